"""From a TOML file to a `Config`, or to every problem it has.

    files ─▶ sources.read_sources ─▶ tables ─▶ keys, tls ─▶ remotes ─▶ templates ─▶ zones ─▶ Config
                                       │         └── each may refer to what stands left of it
                                       └── server

Nothing here stops at the first fault: what cannot be used is reported and left out, and a reference to something that
is defined but faulty is not reported again. Only at the end is it decided whether there is a configuration.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nameserver.config import keys, schema
from nameserver.config.access import AccessReader
from nameserver.config.model import Config, Endpoint, Remote, ServerConfig, ServerTls, TlsPeer
from nameserver.config.notify_acl import notify_acl
from nameserver.config.problems import Place, Problem, Problems
from nameserver.config.sources import Entry, Tables, read_sources
from nameserver.config.suggest import did_you_mean, may_be_secret, name_fault, named
from nameserver.config.tables import part, read_table
from nameserver.config.tls import read_server_tls, read_tls_peers
from nameserver.config.values import DNS_PORT, TLS_PORT, BadValue
from nameserver.config.zones import ZoneReader
from nameserver.errors import ConfigError
from nameserver.query.rate_limit import RateLimits
from nameserver.wire import names
from nameserver.wire.tsig import TsigKey

__all__ = ["DEFAULT_PATH", "load_config", "notify_acl", "read_config"]

DEFAULT_PATH = Path("/etc/nameserver/nameserver.toml")
_DEFAULT_LISTEN = (Endpoint("0.0.0.0", 53), Endpoint("::", 53))  # noqa: S104 - a nameserver is there for everyone
_DEFAULT_STATE_DIR = "/var/lib/nameserver"
_DEFAULT_CONTROL = "/run/nameserver/control.sock"
_LONGEST_SOCKET_PATH = 107  # bytes of sun_path in Linux, without the final zero


def load_config(path: Path) -> Config:
    """The configuration of `path` and what it includes.

    Raises `ConfigError` with every problem as 'FILE:LINE: path: what is wrong and what to do'.
    """
    config, errors, _ = read_config(path)
    if config is None:
        raise ConfigError([str(error) for error in errors])
    return config


def read_config(path: Path) -> tuple[Config | None, list[Problem], list[Problem]]:
    """The configuration (None where there are errors), its errors and its warnings."""
    problems = Problems()
    tables = read_sources(path, problems)
    server, server_tls = _read_server(tables, path, problems)
    tsig_keys = _read_keys(tables, problems)
    remotes = _read_remotes(tables, tsig_keys, problems)
    access = AccessReader(tsig_keys, remotes, problems, _shown_to_us(tables))
    zones = ZoneReader(access, problems).read(tables)
    if problems.errors:
        return None, problems.errors, problems.warnings
    warnings = problems.warnings
    config = Config(
        path=path,
        server=server,
        keys={name: key for name, key in tsig_keys.items() if key is not None},
        remotes={name: remote for name, remote in remotes.items() if remote is not None},
        zones=zones,
        tls=server_tls,
        warnings=tuple(str(warning) for warning in warnings),
    )
    return config, [], warnings


def _read_server(tables: Tables, path: Path, problems: Problems) -> tuple[ServerConfig, ServerTls | None]:
    """[server], and what it says of certificates; its keys may stand in several files, each carries its own place."""
    converted: dict[str, Any] = {
        "listen": _DEFAULT_LISTEN,
        "state_dir": Path(_DEFAULT_STATE_DIR),
        "control": Path(_DEFAULT_CONTROL),
    }
    for key, entry in tables.server.items():
        table = Place(entry.place.file, entry.place.path[:-1])
        read = read_table({key: entry.raw}, schema.SERVER, table, problems)
        for field in read.keys() & {"state_dir", "control"}:
            read[field] = (entry.place.file.path.parent / read[field]).absolute()
        if "cookie_secrets" in read:
            try:
                read["cookie_secrets"] = keys.cookie_secrets_of_file(
                    entry.place.file.path.parent, read["cookie_secrets"]
                )
            except BadValue as bad:
                problems.error(entry.place, str(bad))
                continue
        converted |= read
    if len(str(converted["control"]).encode()) > _LONGEST_SOCKET_PATH and "control" in tables.server:
        text = f"is longer than the {_LONGEST_SOCKET_PATH} bytes that the path of a Unix socket may have"
        problems.error(tables.server["control"].place, text)
    limits = RateLimits(**part("rate_limit.", converted))
    plain = {key: value for key, value in converted.items() if "." not in key}
    return ServerConfig(rate_limit=limits, **plain), read_server_tls(tables, converted, plain["listen"], problems)


def _shown_to_us(tables: Tables) -> tuple[bool, bool]:
    """Whether clients can come over TLS at all, and whether they can show a certificate then."""
    return "listen-tls" in tables.server, "tls-client-ca" in tables.server


def _read_keys(tables: Tables, problems: Problems) -> dict[bytes, TsigKey | None]:
    """Every [key.NAME] and included key block; None for those with errors."""
    found: dict[bytes, TsigKey | None] = {}
    places: dict[bytes, Place] = {}
    for text, entry in tables.named["key"].items():
        if not keys.is_plain_name(text):
            wanted = "the name of a key has letters, digits, - _ and . only; it is not shown, it may be a secret"
            problems.error(entry.place, wanted)
            continue
        name = _read_name(text, entry.place, problems)
        if name is None:
            continue
        if may_be_secret(text):
            problems.warn(entry.place, "its name looks like a secret; names of keys are sent and logged in clear")
        if name in found:
            problems.error(entry.place, f"is the same key as the one at {places[name].where()}")
            continue
        places[name] = entry.place
        found[name] = _read_key(name, entry, problems)
    return found


def _read_key(name: bytes, entry: Entry, problems: Problems) -> TsigKey | None:
    place = entry.place
    row = read_table(entry.raw, schema.KEY, place, problems)
    algorithm: str | None = None
    try:
        algorithm = keys.algorithm_name(row.get("algorithm", "hmac-sha256"), row.get("allow_weak", False))
    except BadValue as bad:
        problems.error(place.below("algorithm"), str(bad))
    if algorithm in keys.WEAK:
        problems.warn(place.below("algorithm"), f"{algorithm} is weak; change to hmac-sha256 when the other end can")
    if "secret" in entry.raw and "secret-file" in entry.raw:
        problems.error(place.below("secret-file"), "secret and secret-file exclude each other; remove one")
        return None
    if "secret" not in entry.raw and "secret-file" not in entry.raw:
        if not entry.raw.keys() - schema.KEY.keys():  # else the unknown key was probably meant to be it
            problems.error(place, 'has no secret; set secret-file = "FILE" (see `nameserver keygen`)')
        return None
    secret = _read_secret(row, algorithm, place, problems)
    if secret is None or algorithm is None:
        return None
    return TsigKey(name, algorithm, secret)


def _read_secret(row: Mapping[str, Any], algorithm: str | None, place: Place, problems: Problems) -> bytes | None:
    if not row.keys() & {"secret", "secret_file"}:
        return None  # of the wrong type, and reported
    at = place.below("secret" if "secret" in row else "secret-file")
    try:
        if "secret_file" in row:
            text = keys.secret_of_file(place.file.path.parent, row["secret_file"])
        elif not isinstance(row["secret"], str):
            raise BadValue("expected a string of base64")
        else:
            text = row["secret"]
            if place.file.readable_by_others:
                problems.warn(at, "others can read this file and so this secret; chmod 600 it, or use secret-file")
        secret, warnings = keys.decode_secret(text, algorithm)
    except BadValue as bad:
        problems.error(at, str(bad))
        return None
    for warning in warnings:
        problems.warn(at, warning)
    return secret


def _read_remotes(
    tables: Tables, tsig_keys: Mapping[bytes, TsigKey | None], problems: Problems
) -> dict[str, Remote | None]:
    """Every [remote.NAME]; None for those with errors."""
    references = AccessReader(tsig_keys, {}, problems)
    tls_peers = read_tls_peers(tables, problems)
    return {
        name: _read_remote(name, entry, references, tls_peers, problems)
        for name, entry in tables.named["remote"].items()
    }


def _read_remote(
    name: str,
    entry: Entry,
    references: AccessReader,
    tls_peers: Mapping[str, TlsPeer | None],
    problems: Problems,
) -> Remote | None:
    place = entry.place
    row = read_table(entry.raw, schema.REMOTE, place, problems)
    if "address" not in entry.raw and not entry.raw.keys() - schema.REMOTE.keys():
        problems.error(place, 'has no address; set for instance address = ["192.0.2.1"]')
    found = _keys_of_remote(entry, row.get("keys", ()), references, problems)
    if "tls" in row and row["tls"] not in tls_peers:
        text = f"no {named('tls', row['tls'])} is defined{did_you_mean(row['tls'], tls_peers)}"
        problems.error(place.below("tls"), text)
    tls = tls_peers.get(row.pop("tls", ""))
    # One that was to be spoken to over TLS must not go on without.
    if "addresses" not in row or found is None or ("tls" in entry.raw and tls is None):
        return None
    row["keys"], row["tls"] = found, tls
    row["addresses"] = _with_ports(row["addresses"], DNS_PORT if tls is None else TLS_PORT, place, problems)
    source = row.get("source")
    if source is not None and not any((":" in endpoint.host) == (":" in source) for endpoint in row["addresses"]):
        problems.error(place.below("source"), "none of the remote's addresses can be reached from this address family")
        return None
    return Remote(name=name, **row)


def _with_ports(given: tuple[Endpoint, ...], usual: int, place: Place, problems: Problems) -> tuple[Endpoint, ...]:
    """The addresses with the usual port where none was given."""
    found = [endpoint._replace(port=endpoint.port or usual) for endpoint in given]
    for index, endpoint in enumerate(found):
        if endpoint in found[:index]:
            problems.error(place.below("address", index), "stands twice in this list")
    return tuple(found)


def _keys_of_remote(
    entry: Entry, texts: tuple[str | None, ...], references: AccessReader, problems: Problems
) -> tuple[TsigKey, ...] | None:
    """The keys that a remote names, or None where one was reported: the remote must not go on with fewer."""
    if "key" not in entry.raw:
        return ()
    found: list[TsigKey] = []
    for index, text in enumerate(texts):
        place = entry.place.below("key", index) if isinstance(entry.raw["key"], list) else entry.place.below("key")
        key = references.key(text, place) if text is not None else None
        if key is not None and key in found:
            problems.error(place, "stands twice in this list")
        elif key is not None:
            found.append(key)
    return tuple(found) if found and len(found) == len(texts) else None


def _read_name(text: str, place: Place, problems: Problems) -> bytes | None:
    try:
        return names.fold(names.from_text(text))
    except ValueError as error:
        problems.error(place, name_fault(text, error))
        return None
