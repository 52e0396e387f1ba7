"""TLS in the configuration: `[tls.NAME]`, and what `[server]` says of certificates. The files are read here.

    certificate ─ PEM, its chain behind it     ─┐
    key         ─ private, as every secret is  ─┴▶ tried out together: a pair that does not fit is an error here,
    ca          ─ PEM, one or many                  not at the first connection

What OpenSSL says of a key is not shown: it might quote it.
"""

import ssl
import time
from pathlib import Path
from typing import Any

from nameserver.config import schema
from nameserver.config.files import read_private_file
from nameserver.config.model import Certificate, Endpoint, ServerTls, TlsPeer
from nameserver.config.pem import load_pair
from nameserver.config.problems import Place, Problems
from nameserver.config.sources import Entry, Tables
from nameserver.config.suggest import printable
from nameserver.config.tables import read_table
from nameserver.config.values import BadValue
from nameserver.errors import WireError
from nameserver.wire.certificate import expires_at

_LARGEST_FILE = 1024 * 1024
_SOON = 7 * 86400.0  # seconds before a certificate's end from which on it is warned of
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----\n"


def read_server_tls(
    tables: Tables, read: dict[str, Any], listen: tuple[Endpoint, ...], problems: Problems
) -> ServerTls | None:
    """The server's certificate and whom it lets in; None where it does not speak TLS, or that was reported.

    `read` are the converted values of `[server]`, those about certificates under "tls.…".
    """
    places = {key: entry.place for key, entry in tables.server.items() if key == "listen-tls" or key.startswith("tls-")}
    listen_tls: tuple[Endpoint, ...] = read.get("listen_tls", ())
    if read.get("tls.require_client_certificate") and "tls-client-ca" not in places:
        problems.error(places["tls-require-client-certificate"], "needs tls-client-ca, which says whose are good")
    if not listen_tls:
        for key in places.keys() - {"listen-tls"}:
            problems.warn(places[key], "has no effect without listen-tls")
        if "listen-tls" not in places:
            return None
    for index, endpoint in enumerate(listen_tls):
        if endpoint in listen:
            problems.error(places["listen-tls"].below(index), "is also in listen: an address speaks one of the two")
    missing = [key for key in ("tls-certificate", "tls-key") if key not in places]
    if missing and listen_tls:
        problems.error(places["listen-tls"], f"needs {' and '.join(missing)} too")
    certificate = None
    if not missing and "tls.certificate" in read and "tls.key" in read:
        pair = (places["tls-certificate"], read["tls.certificate"]), (places["tls-key"], read["tls.key"])
        certificate = _certificate(*pair, problems)
    client_ca = (
        _authorities(places["tls-client-ca"], read["tls.client_ca"], problems) if "tls.client_ca" in read else ""
    )
    if certificate is None or client_ca is None:
        return None
    return ServerTls(certificate, client_ca, read.get("tls.require_client_certificate", False))


def read_tls_peers(tables: Tables, problems: Problems) -> dict[str, TlsPeer | None]:
    """Every [tls.NAME]; None for those with errors."""
    return {name: _peer(name, entry, problems) for name, entry in tables.named["tls"].items()}


def _peer(name: str, entry: Entry, problems: Problems) -> TlsPeer | None:
    place, raw = entry.place, entry.raw
    row = read_table(raw, schema.TLS, place, problems)
    good = len(row) == len(raw)
    if good and not row.keys() & {"server_name", "pins", "ca"}:
        problems.error(place, "says nothing about the other end; set server-name, pin or ca")
        good = False
    certificate: Certificate | None = None
    if ("certificate" in raw) != ("key" in raw):
        problems.error(place, "certificate and key go together: set both or neither")
        good = False
    elif "certificate" in row and "key" in row:
        pair = (place.below("certificate"), row["certificate"]), (place.below("key"), row["key"])
        certificate = _certificate(*pair, problems)
        good = good and certificate is not None
    ca = _authorities(place.below("ca"), row["ca"], problems) if "ca" in row else ""
    if not good or ca is None:
        return None
    identity = row.get("server_name", ""), row.get("pins", ()), ca
    return TlsPeer(name, *identity, certificate, row.get("require_alpn", True))


def _certificate(chain_at: tuple[Place, str], key_at: tuple[Place, str], problems: Problems) -> Certificate | None:
    """A certificate with its key, tried out; None after reporting what is wrong."""
    (place, name), (key_place, key_name) = chain_at, key_at
    chain = key = None
    try:
        chain = _public(place, name)
        if "PRIVATE KEY" in chain:
            raise BadValue(f"{printable(name)} holds a private key too; it belongs into the file of the key alone")
        expires = expires_at(ssl.PEM_cert_to_DER_cert(chain[chain.index(_BEGIN) :].split("-----END", 1)[0] + _END))
    except BadValue as bad:
        problems.error(place, str(bad))
        chain = None
    except (ValueError, WireError):
        problems.error(place, f"{printable(name)} holds no certificate in PEM form")
        chain = None
    try:
        key = read_private_file(key_place.file.path.parent / key_name, printable(key_name))
        if "ENCRYPTED" in key:
            raise BadValue(f"{printable(key_name)} is encrypted, and nobody is there to type its password; decrypt it")
    except BadValue as bad:
        problems.error(key_place, str(bad))
        key = None
    if chain is None or key is None:
        return None
    try:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), chain, key)
    except ssl.SSLError as error:
        fault = "is not the key of this certificate" if error.reason == "KEY_VALUES_MISMATCH" else "holds no usable key"
        problems.error(key_place, f"{printable(key_name)} {fault}")
        return None
    except OSError as error:
        problems.error(key_place, f"cannot be tried out: {error.strerror}")
        return None
    if expires < time.time() + _SOON:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires))
        problems.warn(place, f"the certificate {'expired' if expires < time.time() else 'expires'} at {when}; renew it")
    return Certificate(chain, key, expires)


def _authorities(place: Place, name: str, problems: Problems) -> str | None:
    """Certificates that are trusted, as PEM; None after reporting what is wrong."""
    try:
        text = _public(place, name)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except BadValue as bad:
        problems.error(place, str(bad))
    except (ssl.SSLError, ValueError):
        problems.error(place, f"{printable(name)} holds no certificates in PEM form")
    else:
        return text
    return None


def _public(place: Place, name: str) -> str:
    """The text of a file that anyone may read."""
    path: Path = place.file.path.parent / name
    try:
        if path.exists() and not path.is_file():  # a pipe would not be opened before somebody writes to it
            raise BadValue(f"{printable(name)} is not a regular file")
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
        if len(raw) > _LARGEST_FILE:
            raise BadValue(f"{printable(name)} is larger than {_LARGEST_FILE} bytes")
        return raw.decode("ascii")
    except OSError as error:
        raise BadValue(f"{printable(name)} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadValue(f"{printable(name)} holds no certificate in PEM form") from None
