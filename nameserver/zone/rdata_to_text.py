"""Rdata as it is written in zone files.

Common types are written by our own code, as dnspython would (a property test holds them to it), and every other by
dnspython, whose text is taken only where it reads back as the same octets; else the generic form stands for it (RFC
3597 §5). Names are absolute.
"""

import datetime
from base64 import b32hexencode, b64encode
from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception, named like one

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.util
import dns.wire

from nameserver.errors import WireError
from nameserver.wire import codes, names
from nameserver.wire.names import read_plain_name
from nameserver.wire.rdata import type_text
from nameserver.zone.rdata_from_text import bitmap

_Writer = Callable[[bytes], str | None]

_REMEMBERED = 10_000  # names, bitmaps, and times
_BASE64_PIECE = 32
_SAFE_IN_LABEL = bytes(octet for octet in range(0x21, 0x7F) if octet not in b'"().;\\@$')
_SAFE_IN_STRING = bytes(octet for octet in range(0x20, 0x7F) if octet not in b'"\\')
_CHARACTER = [
    f"\\{chr(octet)}" if octet in b'"\\' else chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"
    for octet in range(256)
]
_ZEROS = [(count, ":" + "0:" * count) for count in range(8, 1, -1)]
_COLONS = ":{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:"
_GROUPS = Struct("!8H")
_RRSIG = Struct("!HBBIIIH")
_SOA = Struct("!IIIII")
_SHA1_SIZE = 20


def rdata_text(rdtype: int, rdata: bytes) -> str:
    """Presentation form of uncompressed rdata; the generic form (RFC 3597 §5) where there is no faithful other."""
    write = _WRITERS.get(rdtype)
    if write is not None:
        try:
            text = write(rdata)
        except (IndexError, StructError, WireError):
            text = None
        if text is not None:
            return text
    return odd_rdata_text(rdtype, rdata)


def odd_rdata_text(rdtype: int, rdata: bytes) -> str:
    """The same for any type, by way of dnspython."""
    kind = dns.rdatatype.RdataType.make(rdtype)
    try:
        text = dns.rdata.from_wire(dns.rdataclass.IN, kind, rdata, 0, len(rdata)).to_text().rstrip()
        if dns.rdata.from_text(dns.rdataclass.IN, kind, text, dns.name.root, False).to_wire() == rdata:
            return text
    except (dns.exception.DNSException, ValueError):
        pass
    return f"\\# {len(rdata)} {rdata.hex()}".rstrip()


def name_text(name: bytes) -> str:
    """Presentation form of an absolute name, with its final dot. As `names.to_text_absolute`, for many names."""
    size = name[0]
    if not size:
        return "."
    label = name[1 : size + 1]
    if label.translate(None, _SAFE_IN_LABEL):
        return names.to_text_absolute(name)
    behind = name[size + 1 :]
    return (
        f"{label.decode('ascii')}." if behind == names.ROOT else f"{label.decode('ascii')}.{_known_name_text(behind)}"
    )


_known_name_text = lru_cache(_REMEMBERED)(names.to_text_absolute)


def _a(rdata: bytes) -> str | None:
    return f"{rdata[0]}.{rdata[1]}.{rdata[2]}.{rdata[3]}" if len(rdata) == 4 else None


def _aaaa(rdata: bytes) -> str | None:
    groups = _GROUPS.unpack(rdata)
    text = _COLONS.format(*groups)
    if ":0:0:" not in text:
        return text[1:-1]
    for count, zeros in _ZEROS:
        at = text.find(zeros)
        if at >= 0:
            if at == 0 and (count == 6 or (count == 5 and groups[5] == 0xFFFF)):
                return None  # an IPv4 address is in it
            return f"{text[1:at]}::{text[at + len(zeros) : -1]}"
    return None


def _name(rdata: bytes) -> str | None:
    return name_text(rdata) if read_plain_name(rdata, 0)[1] == len(rdata) else None


def _numbers_and_name(layout: str) -> _Writer:
    form = Struct(f"!{layout}")
    shown = " ".join(["%d"] * len(layout))

    def write(rdata: bytes) -> str | None:
        name = _name(rdata[form.size :])
        return None if name is None else f"{shown % form.unpack_from(rdata)} {name}"

    return write


def _soa(rdata: bytes) -> str | None:
    mname, at = read_plain_name(rdata, 0)
    rname, at = read_plain_name(rdata, at)
    numbers = _SOA.unpack(rdata[at:])
    return f"{name_text(mname)} {name_text(rname)} {' '.join(map(str, numbers))}"


def _quoted(text: bytes) -> str:
    if text.translate(None, _SAFE_IN_STRING):
        return f'"{"".join([_CHARACTER[octet] for octet in text])}"'
    return f'"{text.decode("ascii")}"'


def _strings(rdata: bytes) -> str | None:
    offset, parts = 0, []
    while offset < len(rdata):
        after = offset + 1 + rdata[offset]
        if after > len(rdata):
            return None
        parts.append(_quoted(rdata[offset + 1 : after]))
        offset = after
    return " ".join(parts) or None


def _caa(rdata: bytes) -> str | None:
    tag = rdata[2 : 2 + rdata[1]]
    if len(tag) != rdata[1] or not tag.isalnum():
        return None
    return f"{rdata[0]} {tag.decode('ascii')} {_quoted(rdata[2 + len(tag) :])}"


def _base64(octets: bytes) -> str:
    text = b64encode(octets).decode("ascii")
    return " ".join([text[at : at + _BASE64_PIECE] for at in range(0, len(text), _BASE64_PIECE)])


def _numbers_and_digest(layout: str, sizes: dict[int, int]) -> _Writer:
    """`sizes`: octets of the digest by the last number."""
    form = Struct(f"!{layout}")
    shown = " ".join(["%d"] * len(layout))

    def write(rdata: bytes) -> str | None:
        numbers, digest = form.unpack_from(rdata), rdata[form.size :]
        return f"{shown % numbers} {digest.hex()}" if sizes.get(numbers[-1]) == len(digest) else None

    return write


def _key(rdata: bytes) -> str | None:
    if len(rdata) < 5:
        return None
    return f"{rdata[0] << 8 | rdata[1]} {rdata[2]} {rdata[3]} {_base64(rdata[4:])}"


@lru_cache(_REMEMBERED)
def _time(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y%m%d%H%M%S")


def _rrsig(rdata: bytes) -> str | None:
    covered, algorithm, labels, ttl, expiration, inception, tag = _RRSIG.unpack_from(rdata)
    signer, at = read_plain_name(rdata, _RRSIG.size)
    if at == len(rdata):
        return None
    return (
        f"{_type_text(covered)} {algorithm} {labels} {ttl} {_time(expiration)} {_time(inception)} {tag} "
        f"{name_text(signer)} {_base64(rdata[at:])}"
    )


_type_text = lru_cache(None)(type_text)


@lru_cache(_REMEMBERED)
def _bitmap_text(octets: bytes) -> str | None:
    """The types of a bitmap, a space before each; None where that would not read back as the same."""
    try:
        text = dns.rdtypes.util.Bitmap.from_wire_parser(dns.wire.Parser(octets)).to_text()
    except (dns.exception.DNSException, ValueError):
        return None
    return text if bitmap(text.strip().encode("ascii")) == octets else None


def _nsec(rdata: bytes) -> str | None:
    following, at = read_plain_name(rdata, 0)
    types = _bitmap_text(rdata[at:])
    return None if types is None else f"{name_text(following)}{types}"


def _nsec3param(rdata: bytes) -> str | None:
    salt = rdata[5 : 5 + rdata[4]]
    if len(salt) != rdata[4]:
        return None
    return f"{rdata[0]} {rdata[1]} {rdata[2] << 8 | rdata[3]} {salt.hex() or '-'}"


def _whole_nsec3param(rdata: bytes) -> str | None:
    return _nsec3param(rdata) if len(rdata) == 5 + rdata[4] else None


def _nsec3(rdata: bytes) -> str | None:
    head, at = _nsec3param(rdata), 5 + rdata[4]
    if head is None or rdata[at] != _SHA1_SIZE:
        return None
    hashed, types = rdata[at + 1 : at + 1 + _SHA1_SIZE], _bitmap_text(rdata[at + 1 + _SHA1_SIZE :])
    if types is None or len(hashed) != _SHA1_SIZE:
        return None
    return f"{head} {b32hexencode(hashed).lower().decode('ascii')}{types}"


_CAA, _TLSA, _SSHFP, _CDNSKEY = 257, 52, 44, 60

_WRITERS: dict[int, _Writer] = {
    codes.A: _a,
    codes.AAAA: _aaaa,
    codes.NS: _name,
    codes.CNAME: _name,
    codes.DNAME: _name,
    codes.PTR: _name,
    codes.MX: _numbers_and_name("H"),
    codes.SRV: _numbers_and_name("HHH"),
    codes.SOA: _soa,
    codes.TXT: _strings,
    _CAA: _caa,
    codes.DS: _numbers_and_digest("HBB", {1: 20, 2: 32, 4: 48}),
    _TLSA: _numbers_and_digest("BBB", {1: 32, 2: 64}),
    _SSHFP: _numbers_and_digest("BB", {1: 20, 2: 32}),
    codes.DNSKEY: _key,
    _CDNSKEY: _key,
    codes.RRSIG: _rrsig,
    codes.NSEC: _nsec,
    codes.NSEC3: _nsec3,
    codes.NSEC3PARAM: _whole_nsec3param,
}
