"""Rdata of the common types from the fields of a zone file, quickly.

Each reader takes the fields behind the type and gives the wire form, or None for whatever is not the plain form: that
goes to dnspython, which then reads it or says what is wrong. So nothing here has to judge, and there is one truth about
odd forms (a property test holds both to the same). Fields are octets as they stand in the file; a quoted one keeps its
quotes, and both kinds keep their escapes, which only the readers of strings look at.
"""

import datetime
import re
from binascii import Error as BinasciiError
from binascii import a2b_base64, unhexlify
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from struct import Struct

import dns.exception
import dns.rdatatype
import dns.rdtypes.util

from nameserver.wire import codes

Name = Callable[[bytes], bytes | None]  # a name as it stands in the file → its absolute wire form; None: not plain
Reader = Callable[[list[bytes], Name], bytes | None]

LENGTHS = [bytes((size,)) for size in range(256)]

_OCTETS = {str(value).encode(): bytes((value,)) for value in range(256)}
_HEX_AND_COLON = b"0123456789abcdefABCDEF:"
_BASE32_HEX = b"0123456789abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUV"
_MAX_32 = 0xFFFFFFFF
_HASH_TEXT, _HASH_SIZE = 32, 20  # SHA-1, as every NSEC3 has it (RFC 5155 §11)
_REMEMBERED = 10_000  # bitmaps, and times
_TYPES = {kind.name.replace("_", "-").encode(): int(kind) for kind in dns.rdatatype.RdataType if kind}
_ESCAPED = re.compile(rb"\\([0-9]{3}|[^0-9])")
_GENERIC = b"\\#"  # rdata of any type as hexadecimal octets follows (RFC 3597 §5)
_RRSIG = Struct("!HBBIIIH")


def number(text: bytes, most: int) -> int | None:
    """A plain decimal number up to `most`."""
    if not text.isdigit() or len(text) > 10:
        return None
    value = int(text)
    return value if value <= most else None


def _a(fields: list[bytes], _: Name) -> bytes | None:
    if len(fields) != 1:
        return None
    try:
        first, second, third, fourth = fields[0].split(b".")
        return _OCTETS[first] + _OCTETS[second] + _OCTETS[third] + _OCTETS[fourth]
    except (KeyError, ValueError):
        return None


def _aaaa(fields: list[bytes], _: Name) -> bytes | None:
    text = fields[0]
    if len(fields) != 1 or text.translate(None, _HEX_AND_COLON):
        return None
    before, gap, after = text.partition(b"::")
    groups = before.split(b":") if before or not gap else []
    if gap:
        behind = after.split(b":") if after else []
        missing = 8 - len(groups) - len(behind)
        if missing < 2:
            return None
        groups += [b"0"] * missing + behind
    if len(groups) != 8 or b"" in groups:
        return None
    digits = b"".join([group.zfill(4) for group in groups])
    return unhexlify(digits) if len(digits) == 32 else None


def _name(fields: list[bytes], name: Name) -> bytes | None:
    return name(fields[0]) if len(fields) == 1 else None


def _numbers_and_name(count: int) -> Reader:
    """`count` numbers of 16 bits and a name: MX, SRV."""

    def read(fields: list[bytes], name: Name) -> bytes | None:
        if len(fields) != count + 1:
            return None
        numbers = b""
        for field in fields[:-1]:
            value = number(field, 0xFFFF)
            if value is None:
                return None
            numbers += value.to_bytes(2, "big")
        target = name(fields[-1])
        return None if target is None else numbers + target

    return read


# --- strings --------------------------------------------------------------------------------------------------------


def _string(field: bytes) -> bytes | None:
    """The octets of a character string; None where its escapes are not plain."""
    text = field[1:-1] if field[:1] == b'"' else field
    if b"\\" not in text:
        return text
    rest = _ESCAPED.sub(b"", text)
    if b"\\" in rest:
        return None
    try:
        return _ESCAPED.sub(lambda found: found[1] if len(found[1]) == 1 else LENGTHS[int(found[1])], text)
    except IndexError:
        return None


def _strings(fields: list[bytes], _: Name) -> bytes | None:
    if not fields or fields[0] == _GENERIC:
        return None
    parts: list[bytes] = []
    for field in fields:
        text = _string(field)
        if text is None or len(text) > 255:
            return None
        parts += (LENGTHS[len(text)], text)
    return b"".join(parts)


def _caa(fields: list[bytes], _: Name) -> bytes | None:
    if len(fields) != 3:
        return None
    flags, tag, value = number(fields[0], 255), fields[1], _string(fields[2])
    if flags is None or value is None or not tag.isalnum() or len(tag) > 255:
        return None
    return LENGTHS[flags] + LENGTHS[len(tag)] + tag + value


# --- digests, keys, signatures ----------------------------------------------------------------------------------------


def _numbers_and_octets(layout: str, decode: Callable[[bytes], bytes], sizes: dict[int, int] | None) -> Reader:
    """Numbers as `layout` (of `struct`) has them, then octets as text, which may be in pieces.

    `sizes` has the number of octets by the last of the numbers, where that decides; other numbers are not plain.
    """
    form = Struct(f"!{layout}")
    most = [0xFFFF if code == "H" else 0xFF for code in layout]
    count = len(most)

    def read(fields: list[bytes], _: Name) -> bytes | None:
        if len(fields) <= count:
            return None
        numbers = []
        for field, limit in zip(fields, most, strict=False):
            value = number(field, limit)
            if value is None:
                return None
            numbers.append(value)
        try:
            octets = decode(fields[count] if len(fields) == count + 1 else b"".join(fields[count:]))
        except BinasciiError:
            return None
        if sizes is not None and sizes.get(numbers[-1]) != len(octets):
            return None
        return form.pack(*numbers) + octets

    return read


def _base64(text: bytes) -> bytes:
    return a2b_base64(text, strict_mode=True)


@lru_cache(_REMEMBERED)
def _time(text: bytes) -> int | None:
    """Seconds since 1970 of YYYYMMDDHHmmSS, or as a number (RFC 4034 §3.2)."""
    if len(text) != 14 or not text.isdigit():
        return number(text, _MAX_32)
    year, month, day, hour, minute, second = int(text[:4]), *(int(text[at : at + 2]) for at in range(4, 14, 2))
    try:
        moment = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    except ValueError:
        return None
    value = int(moment.timestamp())
    return value if 0 <= value <= _MAX_32 else None


def _rrsig(fields: list[bytes], name: Name) -> bytes | None:
    if len(fields) < 9:
        return None
    covered, algorithm, labels = _TYPES.get(fields[0]), number(fields[1], 0xFF), number(fields[2], 0xFF)
    ttl, expiration, inception = number(fields[3], _MAX_32), _time(fields[4]), _time(fields[5])
    tag, signer = number(fields[6], 0xFFFF), name(fields[7])
    if None in (covered, algorithm, labels, ttl, expiration, inception, tag) or signer is None:
        return None
    try:
        signature = _base64(fields[8] if len(fields) == 9 else b"".join(fields[8:]))
    except BinasciiError:
        return None
    return _RRSIG.pack(covered, algorithm, labels, ttl, expiration, inception, tag) + signer + signature


# --- denial of existence ----------------------------------------------------------------------------------------------


@lru_cache(_REMEMBERED)
def bitmap(text: bytes) -> bytes | None:
    """The type bitmap (RFC 4034 §4.1.2) of mnemonics with a space between them: many owners share few of them."""
    try:
        types = [dns.rdatatype.from_text(field.decode("ascii")) for field in text.split()]
        windows = dns.rdtypes.util.Bitmap.from_rdtypes(types)
    except (dns.exception.DNSException, ValueError):
        return None
    out = BytesIO()
    windows.to_wire(out)
    return None if 0 in types else out.getvalue()


def _nsec(fields: list[bytes], name: Name) -> bytes | None:
    following, types = name(fields[0]), bitmap(b" ".join(fields[1:]))
    return None if following is None or types is None else following + types


def _hashing(fields: list[bytes]) -> bytes | None:
    """Algorithm, flags, iterations and salt: how NSEC3 and NSEC3PARAM begin."""
    if len(fields) < 4:
        return None
    algorithm, flags, iterations = number(fields[0], 0xFF), number(fields[1], 0xFF), number(fields[2], 0xFFFF)
    if algorithm is None or flags is None or iterations is None:
        return None
    try:
        salt = b"" if fields[3] == b"-" else unhexlify(fields[3])
    except BinasciiError:
        return None
    if len(salt) > 255:
        return None
    return b"%c%c%b%c%b" % (algorithm, flags, iterations.to_bytes(2, "big"), len(salt), salt)


def _nsec3param(fields: list[bytes], _: Name) -> bytes | None:
    return _hashing(fields) if len(fields) == 4 else None


def _nsec3(fields: list[bytes], _: Name) -> bytes | None:
    head = _hashing(fields)
    if head is None or len(fields) < 5:
        return None
    hashed = fields[4]
    if len(hashed) != _HASH_TEXT or hashed.translate(None, _BASE32_HEX):
        return None
    types = bitmap(b" ".join(fields[5:]))
    if types is None:
        return None
    # What Python takes for digits of base 32 is RFC 4648's "base32hex".
    return head + LENGTHS[_HASH_SIZE] + int(hashed, 32).to_bytes(_HASH_SIZE, "big") + types


_SHA = {1: 20, 2: 32}
_KEY_READER = _numbers_and_octets("HBB", _base64, None)

# By mnemonic: (type, reader). SOA is not among them: there is one, and TTLs may follow from it.
READERS: dict[bytes, tuple[int, Reader]] = {
    b"A": (codes.A, _a),
    b"AAAA": (codes.AAAA, _aaaa),
    b"NS": (codes.NS, _name),
    b"CNAME": (codes.CNAME, _name),
    b"DNAME": (codes.DNAME, _name),
    b"PTR": (codes.PTR, _name),
    b"MX": (codes.MX, _numbers_and_name(1)),
    b"SRV": (codes.SRV, _numbers_and_name(3)),
    b"TXT": (codes.TXT, _strings),
    b"CAA": (_TYPES[b"CAA"], _caa),
    b"DS": (codes.DS, _numbers_and_octets("HBB", unhexlify, {1: 20, 2: 32, 4: 48})),
    b"TLSA": (_TYPES[b"TLSA"], _numbers_and_octets("BBB", unhexlify, {1: 32, 2: 64})),
    b"SSHFP": (_TYPES[b"SSHFP"], _numbers_and_octets("BB", unhexlify, _SHA)),
    b"DNSKEY": (codes.DNSKEY, _KEY_READER),
    b"CDNSKEY": (_TYPES[b"CDNSKEY"], _KEY_READER),
    b"RRSIG": (codes.RRSIG, _rrsig),
    b"NSEC": (codes.NSEC, _nsec),
    b"NSEC3": (codes.NSEC3, _nsec3),
    b"NSEC3PARAM": (codes.NSEC3PARAM, _nsec3param),
}
# Those whose fields may be quoted or escaped.
WITH_STRINGS = frozenset((b"TXT", b"CAA"))
