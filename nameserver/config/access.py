"""Access lists: the rows of `allow-notify` and `allow-transfer`, made into policy objects of the core."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from nameserver.config import keys, schema
from nameserver.config.model import Remote
from nameserver.config.notify_acl import rows_of
from nameserver.config.problems import Place, Problems
from nameserver.config.suggest import did_you_mean, may_be_secret, named
from nameserver.config.tables import read_table
from nameserver.config.values import BadValue
from nameserver.query.acl import Acl, AclRow
from nameserver.wire.tsig import TsigKey

_OF_TLS = {"tls": "tls", "certificate-name": "certificate_name", "certificate-pin": "certificate_pin"}


class AccessReader:
    """Turns rows into `Acl`s; knows the keys and remotes that rows may name (None: defined, but with errors)."""

    def __init__(
        self,
        tsig_keys: Mapping[bytes, TsigKey | None],
        remotes: Mapping[str, Remote | None],
        problems: Problems,
        tls: tuple[bool, bool] = (False, False),
    ) -> None:
        """`tls`: whether clients can come over TLS, and whether they can show a certificate then."""
        self._keys = tsig_keys
        self._remotes = remotes
        self._problems = problems
        self._transfers = False
        self._tls_is_there, self._certificates_are_seen = tls

    def read(self, raw_rows: Iterable[dict[str, Any] | None], place: Place, *, transfers: bool = False) -> Acl:
        """The access list of the rows at `place`; None is a row that was reported.

        `transfers`: it says who may transfer, for which a remote that is spoken to over TLS has to come over TLS too.
        """
        self._transfers = transfers
        rows: list[AclRow] = []
        for index, raw in enumerate(raw_rows):
            if raw is not None:
                rows += self._row(raw, place.below(index))
        return Acl(tuple(dict.fromkeys(rows)))

    def _row(self, raw: dict[str, Any], place: Place) -> list[AclRow]:
        row = read_table(raw, schema.ROW, place, self._problems)
        if not raw.keys() & {"address", "key", "remote", "certificate-name", "certificate-pin"}:
            if raw.keys() - schema.ROW.keys():
                return []  # the unknown key was probably meant to be one of them
            text = (
                "an empty row would allow everyone"
                if not raw
                else "a row needs an address, a key, a remote or a certificate"
            )
            self._problems.error(place, f'{text}; name who is meant, or write address = "any" with public = true')
            return []
        key = self.key(row["key"], place.below("key")) if "key" in row else None
        if "remote" in raw:
            return self._remote_row(raw, row, key, place)
        return self._address_row(raw, row, key, place)

    def _address_row(self, raw: dict[str, Any], row: dict[str, Any], key: TsigKey | None, place: Place) -> list[AclRow]:
        network = row.get("network")
        if "address" in raw and "network" not in row:
            return []  # its address was reported
        if "key" in raw and key is None:
            return []  # its key was reported
        tls = self._tls(raw, row, place, usual=False)
        if tls is None:
            return []
        shows_certificate = bool(raw.keys() & {"certificate-name", "certificate-pin"})
        is_everyone = (network is None or network.prefixlen == 0) and key is None and not shows_certificate
        if is_everyone and not row.get("public", False):
            text = (
                "allows everyone without a key; add key = …, narrow the address, or set public = true if that is meant"
            )
            self._problems.error(place, text)
            return []
        if row.get("public", False) and not is_everyone:
            self._problems.warn(place.below("public"), "has no effect: this row does not allow everyone")
        # "any" and a network of length 0 mean the same for their family; None spares the comparison for both
        return [replace(tls, network=network, key=key.name if key is not None else None)]

    def _tls(self, raw: dict[str, Any], row: dict[str, Any], place: Place, *, usual: bool) -> AclRow | None:
        """What a row demands of TLS, as a row of nothing else; None where that was reported."""
        if any(key in raw and field not in row for key, field in _OF_TLS.items()):
            return None
        name, pin = row.get("certificate_name", ""), row.get("certificate_pin", b"")
        if (name or pin) and not row.get("tls", True):
            self._problems.error(place.below("tls"), "a certificate is shown over TLS only; remove one of the two")
            return None
        demanded = bool(name or pin) or row.get("tls", usual)
        if demanded and not self._tls_is_there:
            self._problems.warn(place, "demands TLS, over which nobody can come; set listen-tls in [server]")
        elif (name or pin) and not self._certificates_are_seen:
            self._problems.warn(
                place, "demands a certificate, and nobody is asked for one; set tls-client-ca in [server]"
            )
        return AclRow(tls=demanded, certificate_name=name, certificate_pin=pin)

    def _remote_row(self, raw: dict[str, Any], row: dict[str, Any], key: TsigKey | None, place: Place) -> list[AclRow]:
        if "address" in raw:
            self._problems.error(place.below("address"), "a remote brings its addresses; write one row for each")
            return []
        if "public" in row:
            self._problems.warn(place.below("public"), "has no effect: this row does not allow everyone")
        remote = self.remote(row["remote"], place.below("remote")) if "remote" in row else None
        if remote is None or ("key" in raw and key is None):
            return []
        if key is not None and remote.keys and key not in remote.keys:
            text = f"the {named('remote', remote.name)} has another key, and no request is signed with two; remove one"
            self._problems.error(place.below("key"), text)
            return []
        tls = self._tls(raw, row, place, usual=self._transfers and remote.tls is not None)
        if tls is None:
            return []
        rows = rows_of(remote, key.name if key is not None else None)
        return [replace(tls, network=each.network, key=each.key) for each in rows]

    def key(self, text: str, place: Place) -> TsigKey | None:
        """The key that is referred to, or None after reporting it."""
        try:
            name = keys.key_reference(text)
        except BadValue as bad:
            self._problems.error(place, str(bad))
            return None
        if name not in self._keys:
            if may_be_secret(text):
                self._problems.error(place, keys.NOT_A_KEY_NAME)
                return None
            known = [keys.display_name(known_name) for known_name in self._keys]
            self._problems.error(place, f'no [key."{text}"] is defined{did_you_mean(text, known)}')
            return None
        return self._keys[name]

    def remote(self, name: str, place: Place) -> Remote | None:
        """The remote that is referred to, or None after reporting it."""
        if name not in self._remotes:
            hint = did_you_mean(name, self._remotes)
            if _is_address(name):
                hint = f'; addresses stand in a table of their own: [remote.NAME] with address = ["{name}"]'
            self._problems.error(place, f"no {named('remote', name)} is defined{hint}")
            return None
        return self._remotes[name]


def _is_address(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
