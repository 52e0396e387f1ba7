"""What we need of an X.509 certificate (RFC 5280 §4.1) that TLS did not tell: the digest of its key, and its end.

Only certificates are read that OpenSSL has read before, so this walks the outer structure and judges nothing.
"""

import hashlib
from datetime import UTC, datetime

from nameserver.errors import WireError

_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17


def spki_pin(certificate: bytes) -> bytes:
    """SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7858 §4.2). `certificate` is DER; raises WireError."""
    return hashlib.sha256(_fields(certificate)[6]).digest()


def expires_at(certificate: bytes) -> float:
    """A certificate's notAfter, in seconds since 1970. `certificate` is DER; raises WireError."""
    validity = _elements(_content(_fields(certificate)[4]))
    if len(validity) != 2:
        raise WireError("no certificate: its validity is not two times")
    text = _content(validity[1]).decode("ascii", "replace")
    if validity[1][0] == _UTC_TIME:  # two digits of the year: 1950 to 2049 (RFC 5280 §4.1.2.5.1)
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise WireError("no certificate: its end is not a time") from None


def _fields(certificate: bytes) -> list[bytes]:
    """The fields of the part that is signed, from the version on, which is put in where it is left out."""
    whole = _elements(certificate)
    signed = _elements(_content(whole[0])) if len(whole) == 1 and whole[0][0] == _SEQUENCE else []
    fields = _elements(_content(signed[0])) if signed else []
    if fields and fields[0][0] != _VERSION:
        fields.insert(0, b"")
    if len(fields) < 7:
        raise WireError("no certificate: fields are missing")
    return fields


def _elements(data: bytes) -> list[bytes]:
    """The elements that follow each other in `data`, each with its head."""
    found: list[bytes] = []
    offset = 0
    while offset < len(data):
        _, end = _bounds(data, offset)
        found.append(data[offset:end])
        offset = end
    return found


def _content(element: bytes) -> bytes:
    start, end = _bounds(element, 0)
    return element[start:end]


def _bounds(data: bytes, offset: int) -> tuple[int, int]:
    """Where the content of the element at `offset` begins and ends (X.690 §8.1.3)."""
    try:
        first = data[offset + 1]
    except IndexError:
        raise WireError("no certificate: it ends inside an element") from None
    start = offset + 2
    if first < 0x80:
        end = start + first
    else:
        many = first & 0x7F
        start += many
        end = start + int.from_bytes(data[offset + 2 : start], "big")
    if end > len(data) or start > len(data):
        raise WireError("no certificate: it ends inside an element")
    return start, end
