"""A node: everything one owner holds, packed into one `bytes` value.

Why packed: a zone of a million records is then a dict of two bytes objects per owner, which costs half the memory of
the C servers, is invisible to the garbage collector, and turns an answer into a slice.

    key    the owner relative to the apex, folded to lower case, in wire form without the final zero; the apex is b""
    value  flags (1) · [owner as received: length (1) · absolute wire name]   only with HAS_CASE
           then with SINGLES:  tail · tail · …                                see nameserver.wire.rrset
           without, per RRset: size (4) · count (2) · tails (size)

SINGLES is the form of a node in which every RRset is of one record, as most are. Tails tell their type and size, so
nothing stands between them: an owner with an address of its own then takes 48 octets of memory, not 64. Where an RRset
has more records, each one's head leads over all of it at once, however many they are.

RRSIGs are kept as one RRset per type covered (RFC 4034 §3: their TTLs differ), told apart by the first two bytes of
their rdata. RRsets stand in ascending (type, covered) order, records in the order received.

Only this module knows the two forms; others look at the flags, and ask the functions below for all else.
"""

from collections.abc import Iterable, Iterator, Mapping
from struct import Struct

from nameserver.wire import codes
from nameserver.wire.rrset import RRset, split_tails

HAS_CASE = 0x01  # the owner was received in another case than `key` + the apex as received
HAS_NS = 0x02
HAS_CNAME = 0x04
HAS_DNAME = 0x08
SINGLES = 0x10  # each RRset is of one record; nothing stands before the tails

_BLOCK = Struct("!IH")  # size of the tails, number of records
_BLOCK_TYPE = Struct("!IHH")  # the same and the type, which is how its first tail begins
_TYPE_SIZE = Struct("!H6xH")  # of a tail: type, size of its rdata
_FLAGS = {
    codes.NS.to_bytes(2, "big"): HAS_NS,
    codes.CNAME.to_bytes(2, "big"): HAS_CNAME,
    codes.DNAME.to_bytes(2, "big"): HAS_DNAME,
}
RRSIG = codes.RRSIG.to_bytes(2, "big")
_NSEC3 = codes.NSEC3.to_bytes(2, "big")
HASHED_KEY = 33  # octets of the key of an NSEC3 record's owner: one label of 32 (RFC 5155 §3)
PLAIN = bytes((SINGLES,))  # what stands before the tails of single records whose owner and types are nothing special
_FLAG_BYTES = [bytes((flags,)) for flags in range(32)]


def rrset_order(rrset: RRset) -> tuple[int, int]:
    """The identity of an RRset within its node: type, and for RRSIG the type covered."""
    return rrset.type, int.from_bytes(rrset.tails[10:12], "big") if rrset.type == codes.RRSIG else 0


def pack_node(rrsets: Iterable[RRset], owner_as_received: bytes | None = None) -> bytes:
    """Pack a node. `owner_as_received` only where its case differs from key + apex."""
    groups: dict[bytes, list[bytes]] = {}
    for rrset in rrsets:
        for tail in split_tails(rrset.tails):
            groups.setdefault(group_of(tail), []).append(tail)
    return pack_groups(groups, owner_as_received)[0]


def group_of(tail: bytes) -> bytes:
    """Which RRset of its node a tail belongs to; RRsets stand in the order of these values."""
    return tail[:2] + tail[10:12] if tail[:2] == RRSIG else tail[:2]


def pack_groups(groups: Mapping[bytes, list[bytes]], owner_as_received: bytes | None) -> tuple[bytes, int]:
    """(the node, number of its records), from the tails of each RRset by `group_of`."""
    flags = records = 0
    codes_in_order = sorted(groups)
    for code in codes_in_order:
        flags |= _FLAGS.get(code, 0)
        records += len(groups[code])
    parts: list[bytes] = []
    if records == len(groups):
        flags |= SINGLES
        parts.extend(groups[code][0] for code in codes_in_order)
    else:
        for code in codes_in_order:
            tails = b"".join(groups[code])
            parts.append(_BLOCK.pack(len(tails), len(groups[code])))
            parts.append(tails)
    head = _FLAG_BYTES[flags] if owner_as_received is None else _head(flags, owner_as_received)
    return head + b"".join(parts), records


def pack_single(tail: bytes, owner_as_received: bytes | None) -> bytes:
    """A node of one record, as most are: what loading a large zone spends its time on."""
    flags = _FLAGS.get(tail[:2], 0) | SINGLES
    if owner_as_received is not None:
        return _head(flags, owner_as_received) + tail
    return _FLAG_BYTES[flags] + tail


def pack_pair(lower: bytes, higher: bytes) -> bytes:
    """A node of two records of different types, in ascending order of these; its owner is spelled as its key."""
    return _FLAG_BYTES[_FLAGS.get(lower[:2], 0) | _FLAGS.get(higher[:2], 0) | SINGLES] + lower + higher


def _head(flags: int, owner_as_received: bytes) -> bytes:
    return bytes((flags | HAS_CASE, len(owner_as_received))) + owner_as_received


def owner_of(node: bytes, key: bytes, apex: bytes) -> bytes:
    """The owner as received; `apex` is the zone's name as received."""
    if node[0] & HAS_CASE:
        return node[2 : 2 + node[1]]
    return key + apex


def _first_block(node: bytes) -> int:
    return 2 + node[1] if node[0] & HAS_CASE else 1


def _blocks(node: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Of each RRset: type, number of records, and where its tails begin and end in the node."""
    offset, end = _first_block(node), len(node)
    if node[0] & SINGLES:
        while offset < end:
            after = offset + 10 + (node[offset + 8] << 8 | node[offset + 9])
            yield node[offset] << 8 | node[offset + 1], 1, offset, after
            offset = after
        return
    while offset < end:
        size, count, rdtype = _BLOCK_TYPE.unpack_from(node, offset)
        offset += 6
        yield rdtype, count, offset, offset + size
        offset += size


def unpack_node(node: bytes, owner: bytes) -> Iterator[RRset]:
    """Every RRset of the node, with `owner` as their owner."""
    for rdtype, count, start, end in _blocks(node):
        yield RRset(owner, rdtype, count, node[start:end])


def tails_of(node: bytes) -> list[bytes]:
    """The tail of every record, in the node's order."""
    if node[0] & SINGLES:
        return split_tails(node[_first_block(node) :])
    tails: list[bytes] = []
    for _, count, start, end in _blocks(node):
        if count == 1:
            tails.append(node[start:end])
        else:
            tails += split_tails(node[start:end])
    return tails


def only_tail(node: bytes) -> bytes | None:
    """The tail of a node's one record, where it has but one and is spelled as its key; None for any other node."""
    if node[0] & (HAS_CASE | SINGLES) == SINGLES and len(node) == 11 + (node[9] << 8 | node[10]):
        return node[1:]
    return None


# The next three are asked for every query, or every owner of a zone: each has the loop of `_blocks` to itself, as a
# generator costs as much again.


def find_tails(node: bytes, rdtype: int) -> tuple[int, bytes] | None:
    """(number of records, their tails) of the node's RRset of a type, not RRSIG."""
    flags, end, count = node[0], len(node), 1
    start = 2 + node[1] if flags & HAS_CASE else 1
    while start < end:
        if flags & SINGLES:
            found, size = _TYPE_SIZE.unpack_from(node, start)
            size += 10
        else:
            size, count, found = _BLOCK_TYPE.unpack_from(node, start)
            start += 6
        if found >= rdtype:
            return (count, node[start : start + size]) if found == rdtype else None
        start += size
    return None


def find_rrset(node: bytes, rdtype: int, owner: bytes) -> RRset | None:
    """The node's RRset of a type (not for RRSIG: see `find_rrsigs`)."""
    found = find_tails(node, rdtype)
    return RRset(owner, rdtype, found[0], found[1]) if found is not None else None


def find_rrsigs(node: bytes, covered: int, owner: bytes) -> RRset | None:
    """The node's RRSIG records that cover a type."""
    flags, end, count = node[0], len(node), 1
    start = 2 + node[1] if flags & HAS_CASE else 1
    while start < end:
        if flags & SINGLES:
            found, size = _TYPE_SIZE.unpack_from(node, start)
            size += 10
        else:
            size, count, found = _BLOCK_TYPE.unpack_from(node, start)
            start += 6
        if found >= codes.RRSIG:
            if found > codes.RRSIG:
                return None
            if node[start + 11] == covered & 0xFF and node[start + 10] == covered >> 8:
                return RRset(owner, codes.RRSIG, count, node[start : start + size])
        start += size
    return None


def find_denial(node: bytes) -> tuple[bool, bytes]:
    """(whether the node holds an NSEC, the tails of its NSEC3 records)."""
    flags, end, nsec = node[0], len(node), False
    start = 2 + node[1] if flags & HAS_CASE else 1
    while start < end:
        if flags & SINGLES:
            found, size = _TYPE_SIZE.unpack_from(node, start)
            size += 10
        else:
            size, _, found = _BLOCK_TYPE.unpack_from(node, start)
            start += 6
        if found >= codes.NSEC:
            if found == codes.NSEC:
                nsec = True
            elif found >= codes.NSEC3:
                return nsec, node[start : start + size] if found == codes.NSEC3 else b""
        start += size
    return nsec, b""


def signed_nsec3(node: bytes) -> tuple[bytes, int, bytes] | None:
    """(the tail of an NSEC3, number of its signatures, their tails), where a node holds just that; None for others."""
    start, signatures = _first_block(node), 1
    if node[0] & SINGLES:
        signed_end = nsec3_start = start + 10 + (node[start + 8] << 8 | node[start + 9])
    else:
        size, signatures = _BLOCK.unpack_from(node, start)
        start += 6
        signed_end = start + size
        nsec3_start = signed_end + 6
    nsec3 = node[nsec3_start:]
    # One record: its own size says that there is nothing behind it.
    if nsec3[:2] != _NSEC3 or len(nsec3) != 10 + (nsec3[8] << 8 | nsec3[9]):
        return None
    signed = node[start:signed_end]
    return (nsec3, signatures, signed) if signed[:2] == RRSIG and signed[10:12] == _NSEC3 else None


def is_signed(apex_node: bytes) -> bool:
    """Whether a zone is signed, in whole or in part: its apex, of which this is the node, holds a signature."""
    return any(rdtype == codes.RRSIG for rdtype, _, _, _ in _blocks(apex_node))


def is_hashed_name(key: bytes, node: bytes) -> bool:
    """Whether a node is an owner of NSEC3 records and nothing else.

    Such a name belongs to the proofs: for whoever asks for it, it does not exist (RFC 5155 §7.2.8). Its label is a
    SHA-1 in base 32, directly below the apex.
    """
    if len(key) != HASHED_KEY or key[0] != HASHED_KEY - 1:
        return False
    types = {rdtype for rdtype, _, _, _ in _blocks(node)}
    return codes.NSEC3 in types and types <= {codes.NSEC3, codes.RRSIG}


def count_records(node: bytes) -> int:
    """How many records the node holds."""
    return sum(count for _, count, _, _ in _blocks(node))
