"""Rdata: which bytes of a record's data are domain names, and what a well-formed one looks like.

Records reach us with names in their rdata compressed; zones, the store and answers hold them uncompressed. One table
row per type says how to get from the one to the other:

    prefix        bytes before the first name
    names         how many domain names follow, one after another
    compressed    may a sender have compressed them? RFC 1035 types must be understood compressed, eight more should
                  be (RFC 3597 §4); everywhere else a pointer is an error, not a name
    least, most   bytes after the last name

Types without names are *checked in place* and then copied as they stand, so what is stored, persisted and transferred
out is byte for byte what the primary sent. Types without a row are copied unseen (RFC 3597 §3). Checks are structural
(fields and counts fit in the rdata); whether a signature or a digest makes sense is for those who use it.

Two tables are made for other modules: `COMPRESSIBLE` for the renderer of answers, and `fold` for comparing records.
"""

from collections.abc import Callable
from typing import NamedTuple

import dns.rdatatype

from nameserver.errors import WireError
from nameserver.wire import codes

MAX_NAME = 255
MAX_RDATA = 65535
STRETCH = 32  # bytes of labels after which a name's rest is remembered too, for pointers that lead into its middle
MAX_HOPS = 128  # a name has at most 127 labels; an encoder that adds at least one per pointer needs no more hops

# Types whose rdata names may be compressed on output (RFC 1035 §3.3, RFC 3597 §4): (bytes before the names, names).
COMPRESSIBLE: dict[int, tuple[int, int]] = {
    codes.NS: (0, 1),
    codes.MD: (0, 1),
    codes.MF: (0, 1),
    codes.CNAME: (0, 1),
    codes.SOA: (0, 2),
    codes.MB: (0, 1),
    codes.MG: (0, 1),
    codes.MR: (0, 1),
    codes.PTR: (0, 1),
    codes.MINFO: (0, 2),
    codes.MX: (2, 1),
}

Check = Callable[[bytes, int, int], None]


class Layout(NamedTuple):
    """Where the names stand in a type's rdata; see the head of this file."""

    prefix: int
    names: int
    compressed: bool
    least: int
    most: int


# Types numbered here because nothing else in the project names them.
_AFSDB, _X25, _ISDN, _RT, _NSAP, _NSAP_PTR, _SIG, _KEY, _PX, _GPOS = 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
_LOC, _NXT, _KX, _CERT, _APL, _SSHFP, _IPSECKEY, _DHCID, _TLSA, _SMIMEA = 29, 30, 36, 37, 42, 44, 45, 49, 52, 53
_HIP, _NINFO, _TALINK, _CDS, _CDNSKEY, _CSYNC, _ZONEMD, _DSYNC = 55, 56, 58, 59, 60, 62, 63, 66
_SPF, _NID, _L32, _L64, _LP, _EUI48, _EUI64 = 99, 104, 105, 106, 107, 108, 109
_URI, _CAA, _AVC, _AMTRELAY, _RESINFO, _WALLET, _DLV = 256, 257, 258, 260, 261, 262, 32769
_WKS = 11

LAYOUTS: dict[int, Layout] = {
    **{rdtype: Layout(prefix, names, True, 0, 0) for rdtype, (prefix, names) in COMPRESSIBLE.items()},
    codes.SOA: Layout(0, 2, True, 20, 20),
    # RFC 3597 §4: receivers should decompress these, old senders compress them
    codes.RP: Layout(0, 2, True, 0, 0),
    _AFSDB: Layout(2, 1, True, 0, 0),
    _RT: Layout(2, 1, True, 0, 0),
    _PX: Layout(2, 2, True, 0, 0),
    codes.SRV: Layout(6, 1, True, 0, 0),
    _NXT: Layout(0, 1, True, 0, 16),
    _SIG: Layout(18, 1, True, 0, MAX_RDATA),
    # not allowed by their RFCs, but seen compressed, and unambiguous to read
    _KX: Layout(2, 1, True, 0, 0),
    codes.DNAME: Layout(0, 1, True, 0, 0),
    # never compressed
    _NSAP_PTR: Layout(0, 1, False, 0, 0),
    codes.RRSIG: Layout(18, 1, False, 0, MAX_RDATA),
    _TALINK: Layout(0, 2, False, 0, 0),
    _DSYNC: Layout(5, 1, False, 0, 0),
    _LP: Layout(2, 1, False, 0, 0),
}


def type_text(rdtype: int) -> str:
    """The mnemonic of a type, `TYPE65400` where there is none (RFC 3597 §5)."""
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype))


# --- names, with a memory -----------------------------------------------------------------------------------------


def read_known_name(message: bytes, offset: int, known: dict[int, bytes]) -> tuple[bytes, int]:
    """Read a possibly compressed name: (absolute name, offset after it). RFC 1035 §4.1.4.

    `known` maps offsets of this message to the names that start there, and is added to. It makes the usual case (a
    label and a pointer to a name seen before) two look-ups, and the total work for one message linear in its size
    however its pointers are chained and wherever they lead. Pointers must lead strictly backwards. Raises `WireError`,
    or `IndexError` when the message ends within the name (callers turn that into one `WireError` per message).
    """
    first = message[offset]
    if first >= 0xC0:
        name = known.get((first & 0x3F) << 8 | message[offset + 1])
        if name is not None:
            return name, offset + 2
    elif 0 < first < 0x40:
        after = offset + first + 1
        second = message[after]
        if second >= 0xC0:
            suffix = known.get((second & 0x3F) << 8 | message[after + 1])
            if suffix is not None and len(suffix) + first < MAX_NAME:
                known[offset] = name = message[offset:after] + suffix
                return name, after + 2
    return _resolve(message, offset, known)


def _resolve(message: bytes, offset: int, known: dict[int, bytes]) -> tuple[bytes, int]:
    """The general case of `read_known_name`: follow pointers, remembering the name at every one of their targets.

    Remembered are also the names at the first label behind each `STRETCH` of the message. So pointers into the middle
    of long names, each to another label, do not have the rest of the name read again and again.
    """
    position = start = run = offset  # `run`: where the labels began that a pointer must lead back behind
    after = -1  # where the name ends in the message: after its first pointer or its zero
    segments: list[tuple[int, bytes]] = []
    size = hops = 0
    stretch_end = (offset | STRETCH - 1) + 1
    while True:
        length = message[position]
        if length == 0:
            segments.append((start, message[start:position]))
            name = b"\0"
            after = position + 1 if after < 0 else after
            break
        if length < 0x40:
            position += length + 1
            size += length + 1
            if size >= MAX_NAME:
                raise WireError(f"the name at byte {offset} is longer than 255 bytes")
            if position >= stretch_end:
                stretch_end = (position | STRETCH - 1) + 1
                segments.append((start, message[start:position]))
                start = position
                if after >= 0 and position in known:
                    name = known[position]
                    break
            continue
        if length < 0xC0:
            raise WireError(f"the name at byte {offset} has a label of an unknown kind (0x{length:02x})")
        target = (length & 0x3F) << 8 | message[position + 1]
        after = position + 2 if after < 0 else after
        segments.append((start, message[start:position]))
        hops += 1
        if not 12 <= target < run or hops > MAX_HOPS:
            raise WireError(f"the name at byte {offset} has a compression pointer that does not lead back to a name")
        suffix = known.get(target)
        if suffix is not None:
            name = suffix
            break
        position = start = run = target
        stretch_end = (target | STRETCH - 1) + 1
    for start, segment in reversed(segments):
        name = segment + name
        if len(name) > MAX_NAME:
            raise WireError(f"the name at byte {offset} is longer than 255 bytes")
        known[start] = name
    return name, after


def _skip_plain_name(message: bytes, offset: int, end: int) -> int:
    """The offset after an uncompressed name that must end before `end`. Raises `WireError`."""
    start = offset
    while offset < end:
        length = message[offset]
        offset += 1 + length
        if length == 0:
            if offset - start > MAX_NAME:
                raise WireError("a name in it is longer than 255 bytes")
            return offset
        if length >= 0x40:
            raise WireError("a name in it is compressed, which its type does not allow")
    raise WireError("a name in it runs past its end")


# --- checks of types that are copied as they stand ------------------------------------------------------------------


def _between(least: int, most: int) -> Check:
    def check(message: bytes, offset: int, end: int) -> None:
        if not least <= end - offset <= most:
            wanted = f"{least}" if least == most else f"at least {least}"
            raise WireError(f"it has {end - offset} bytes, not {wanted}")

    return check


def _skip_string(message: bytes, offset: int, end: int) -> int:
    """The offset after a character string (RFC 1035 §3.3) that must end by `end`."""
    if offset >= end or offset + 1 + message[offset] > end:
        raise WireError("a string in it runs past its end")
    return offset + 1 + message[offset]


def _strings(least: int, most: int) -> Check:
    def check(message: bytes, offset: int, end: int) -> None:
        count = 0
        while offset < end:  # in place: sixty thousand empty strings fit into one record
            offset += 1 + message[offset]
            count += 1
        if offset > end:
            raise WireError("a string in it runs past its end")
        if not least <= count <= most:
            raise WireError(f"it has {count} strings")

    return check


def _check_bitmap(message: bytes, offset: int, end: int) -> None:
    """Windows of a type bitmap (RFC 4034 §4.1.2): ascending, 1 to 32 bytes each."""
    last = -1
    while offset < end:
        window = message[offset]
        after = _skip_string(message, offset + 1, end)
        if window <= last or not 2 <= after - offset - 1 <= 33:
            raise WireError("its type bitmap is malformed")
        last, offset = window, after


def _check_nsec(message: bytes, offset: int, end: int) -> None:
    _check_bitmap(message, _skip_plain_name(message, offset, end), end)


def _check_nsec3(message: bytes, offset: int, end: int) -> None:
    after_salt = _skip_string(message, offset + 4, end)
    _check_bitmap(message, _skip_string(message, after_salt, end), end)


def _check_nsec3param(message: bytes, offset: int, end: int) -> None:
    if _skip_string(message, offset + 4, end) != end:
        raise WireError("bytes are left over after its salt")


def _check_csync(message: bytes, offset: int, end: int) -> None:
    if offset + 6 > end:
        raise WireError("it is shorter than 6 bytes")
    _check_bitmap(message, offset + 6, end)


def _check_caa(message: bytes, offset: int, end: int) -> None:
    after = _skip_string(message, offset + 1, end)
    if not message[offset + 2 : after].isalnum():
        raise WireError("its tag is not made of letters and digits")


def _check_apl(message: bytes, offset: int, end: int) -> None:
    while offset < end:
        if offset + 4 > end or (offset := offset + 4 + (message[offset + 3] & 0x7F)) > end:
            raise WireError("an address in it runs past its end")


def _check_gateway(message: bytes, offset: int, end: int, kind: int) -> int:
    """A gateway of IPSECKEY or AMTRELAY: none, IPv4, IPv6 or a name. The offset after it."""
    if kind == 3:
        return _skip_plain_name(message, offset, end)
    if kind > 3 or (offset := offset + (0, 4, 16)[kind]) > end:
        raise WireError("its gateway is malformed")
    return offset


def _check_ipseckey(message: bytes, offset: int, end: int) -> None:
    if offset + 3 > end:
        raise WireError("it is shorter than 3 bytes")
    _check_gateway(message, offset + 3, end, message[offset + 1])


def _check_amtrelay(message: bytes, offset: int, end: int) -> None:
    if offset + 2 > end or _check_gateway(message, offset + 2, end, message[offset + 1] & 0x7F) != end:
        raise WireError("its relay is malformed")


def _check_hip(message: bytes, offset: int, end: int) -> None:
    if offset + 4 > end:
        raise WireError("it is shorter than 4 bytes")
    offset += 4 + message[offset] + (message[offset + 2] << 8 | message[offset + 3])
    if offset > end:
        raise WireError("its key runs past its end")
    while offset < end:
        # A root is passed over in place: sixty thousand of them fit into one record.
        offset = _skip_plain_name(message, offset, end) if message[offset] else offset + 1


def _check_svcb(message: bytes, offset: int, end: int) -> None:
    """Parameters in ascending order of their keys, each once (RFC 9460 §2.2)."""
    offset = _skip_plain_name(message, offset + 2, end)
    last = -1
    while offset < end:
        if offset + 4 > end:
            raise WireError("a parameter in it runs past its end")
        key = message[offset] << 8 | message[offset + 1]
        offset += 4 + (message[offset + 2] << 8 | message[offset + 3])
        if offset > end:
            raise WireError("a parameter in it runs past its end")
        if key <= last:
            raise WireError("its parameters are not in ascending order")
        last = key


def _plain_layout(layout: Layout) -> Check:
    def check(message: bytes, offset: int, end: int) -> None:
        offset += layout.prefix
        for _ in range(layout.names):
            offset = _skip_plain_name(message, offset, end)
        if not layout.least <= end - offset <= layout.most:
            raise WireError(f"{end - offset} bytes follow its names")

    return check


def _check_meta(message: bytes, offset: int, end: int) -> None:
    raise WireError("its type belongs in questions and messages, never in a zone")


_TXT_LIKE = (codes.TXT, _SPF, _NINFO, _AVC, _RESINFO, _WALLET)

# Types whose rdata is checked where it stands and copied unchanged.
VERBATIM: dict[int, Check] = {
    codes.A: _between(4, 4),
    codes.AAAA: _between(16, 16),
    _WKS: _between(5, MAX_RDATA),
    codes.HINFO: _strings(2, 2),
    **dict.fromkeys(_TXT_LIKE, _strings(1, MAX_RDATA)),
    _X25: _strings(1, 1),
    _ISDN: _strings(1, 2),
    _GPOS: _strings(3, 3),
    _LOC: _between(16, 16),
    _CERT: _between(5, MAX_RDATA),
    _APL: _check_apl,
    **dict.fromkeys((codes.DS, _CDS, _DLV), _between(5, MAX_RDATA)),
    **dict.fromkeys((codes.DNSKEY, _KEY, _CDNSKEY), _between(4, MAX_RDATA)),
    _SSHFP: _between(2, MAX_RDATA),
    _IPSECKEY: _check_ipseckey,
    codes.NSEC: _check_nsec,
    codes.NSEC3: _check_nsec3,
    codes.NSEC3PARAM: _check_nsec3param,
    **dict.fromkeys((_TLSA, _SMIMEA), _between(3, MAX_RDATA)),
    _HIP: _check_hip,
    _CSYNC: _check_csync,
    _ZONEMD: _between(18, MAX_RDATA),  # 6 bytes and a digest of at least 12 (RFC 8976 §2.2.4)
    **dict.fromkeys((codes.SVCB, codes.HTTPS), _check_svcb),
    **dict.fromkeys((_NID, _L64), _between(10, 10)),
    _L32: _between(6, 6),
    _EUI48: _between(6, 6),
    _EUI64: _between(8, 8),
    _URI: _between(5, MAX_RDATA),
    _CAA: _check_caa,
    _AMTRELAY: _check_amtrelay,
    # 0, OPT and the range for questions and messages (RFC 6895 §3.1)
    **dict.fromkeys((0, codes.OPT, *range(128, 256)), _check_meta),
    **{rdtype: _plain_layout(layout) for rdtype, layout in LAYOUTS.items() if not layout.compressed},
}

# Types whose names are decompressed while they are read.
DECOMPRESSED: dict[int, Layout] = {rdtype: layout for rdtype, layout in LAYOUTS.items() if layout.compressed}


# --- reading and comparing -------------------------------------------------------------------------------------------


def read_named(message: bytes, offset: int, end: int, layout: Layout, known: dict[int, bytes]) -> bytes:
    """Uncompressed rdata of a type in `DECOMPRESSED`. Raises `WireError` (and `IndexError`, as `read_known_name`)."""
    prefix, count, _, least, most = layout
    if count == 1 and not prefix and not most and offset < end:  # a name and nothing else, as in most types here
        rdata, position = read_known_name(message, offset, known)
        if position == end:
            return rdata
    position = offset + prefix
    parts = [message[offset:position]]
    for _ in range(count):
        if position >= end:
            raise WireError("it ends before its names do")
        name, position = read_known_name(message, position, known)
        parts.append(name)
    if not least <= end - position <= most:
        raise WireError("it ends within a name" if position > end else f"{end - position} bytes follow its names")
    parts.append(message[position:end])
    rdata = b"".join(parts)
    if len(rdata) > MAX_RDATA:
        raise WireError("it is longer than 65535 bytes without compression")
    return rdata


def read_naptr(message: bytes, offset: int, end: int, known: dict[int, bytes]) -> bytes:
    """Uncompressed rdata of a NAPTR record: the only type whose name stands after strings (RFC 3403 §4.1)."""
    position = offset + 4
    for _ in range(3):
        position = _skip_string(message, position, end)
    if position >= end:
        raise WireError("it ends before its name does")
    name, after = read_known_name(message, position, known)
    if after != end:
        raise WireError("it ends within a name" if after > end else f"{end - after} bytes follow its name")
    if position - offset + len(name) > MAX_RDATA:
        raise WireError("it is longer than 65535 bytes without compression")
    return message[offset:position] + name


def read_rdata(message: bytes, offset: int, length: int, rdtype: int, known: dict[int, bytes] | None = None) -> bytes:
    """Read one record's data: checked, names uncompressed; unknown types as they stand (RFC 3597 §3).

    `offset` and `length` are the rdata's within `message`; `known` is the memory of `read_known_name`. Raises
    `WireError` with a sentence about the rdata ("it …").
    """
    end = offset + length
    if end > len(message):
        raise WireError("it runs past the end of the message")
    check = VERBATIM.get(rdtype)
    if check is not None:
        check(message, offset, end)
        return message[offset:end]
    known = {} if known is None else known
    layout = DECOMPRESSED.get(rdtype)
    try:
        if layout is not None:
            return read_named(message, offset, end, layout, known)
        if rdtype == codes.NAPTR:
            return read_naptr(message, offset, end, known)
    except IndexError:
        raise WireError("a name in it runs past the end of the message") from None
    return message[offset:end]


# Types whose names are compared without regard to case (RFC 4034 §6.2 with RFC 6840 §5.1), by bytes before the names;
# nothing but names follows.
_FOLDED = {
    rdtype: LAYOUTS[rdtype].prefix
    for rdtype in (*COMPRESSIBLE, codes.RP, _AFSDB, _RT, _PX, codes.SRV, _KX, codes.DNAME)
    if rdtype != codes.SOA
}


def fold_rdata(rdtype: int, rdata: bytes) -> bytes:
    """The form in which two rdatas of a type (well-formed, uncompressed) are equal when they are the same record."""
    prefix = _FOLDED.get(rdtype)
    if prefix is not None:
        return rdata[:prefix] + rdata[prefix:].lower()
    if rdtype == codes.SOA:
        return rdata[:-20].lower() + rdata[-20:]
    if rdtype in (codes.RRSIG, _SIG):
        after = _skip_plain_name(rdata, 18, len(rdata))
        return rdata[:18] + rdata[18:after].lower() + rdata[after:]
    if rdtype == codes.NAPTR:
        position = 4
        for _ in range(3):
            position = _skip_string(rdata, position, len(rdata))
        return rdata[:position] + rdata[position:].lower()
    return rdata
