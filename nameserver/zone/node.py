"""A node: everything one owner holds, packed into one `bytes` value.

Why packed: a zone of a million records is then a dict of two bytes objects per owner, which costs half the memory of
the C servers, is invisible to the garbage collector, and turns an answer into a slice.

    key    the owner relative to the apex, folded to lower case, in wire form without the final zero; the apex is b""
    value  flags (1) · [owner as received: length (1) · absolute wire name]   only with HAS_CASE
           then per RRset:  size (4) · count (2) · tails (size)               see nameserver.wire.rrset

RRSIGs are kept as one RRset per type covered (RFC 4034 §3: their TTLs differ), told apart by the first two bytes of
their rdata. RRsets stand in ascending (type, covered) order, records in the order received.
"""

from collections.abc import Iterable, Iterator, Mapping
from struct import Struct

from nameserver.wire import codes
from nameserver.wire.rrset import RRset, split_tails

HAS_CASE = 0x01  # the owner was received in another case than `key` + the apex as received
HAS_NS = 0x02
HAS_CNAME = 0x04
HAS_DNAME = 0x08

_BLOCK = Struct("!IH")  # size of the tails, number of records
_BLOCK_TYPE = Struct("!IHH")  # the same and the type, which is how its first tail begins
_FLAGS = {
    codes.NS.to_bytes(2, "big"): HAS_NS,
    codes.CNAME.to_bytes(2, "big"): HAS_CNAME,
    codes.DNAME.to_bytes(2, "big"): HAS_DNAME,
}
RRSIG = codes.RRSIG.to_bytes(2, "big")
HASHED_KEY = 33  # octets of the key of an NSEC3 record's owner: one label of 32 (RFC 5155 §3)
# What stands before the tail in a node of one record without flags, by the tail's size.
SINGLE_HEADS = {size: b"\0" + _BLOCK.pack(size, 1) for size in range(10, 256)}
# The same without the flags: what stands before a further RRset of one record.
BLOCK_HEADS = {size: head[1:] for size, head in SINGLE_HEADS.items()}
_FLAG_BYTES = [bytes((flags,)) for flags in range(16)]


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
    """(the node, number of its records), from the tails of each RRset by `group_of`. All nodes but single ones."""
    flags = records = 0
    parts = [b""]
    for code in sorted(groups):
        group = groups[code]
        tails, count = b"".join(group), len(group)
        parts.append(_BLOCK.pack(len(tails), count))
        parts.append(tails)
        flags |= _FLAGS.get(code, 0)
        records += count
    parts[0] = _FLAG_BYTES[flags] if owner_as_received is None else _head(flags, owner_as_received)
    return b"".join(parts), records


def pack_single(tail: bytes, owner_as_received: bytes | None) -> bytes:
    """A node of one record, as most are: what loading a large zone spends its time on."""
    flags = _FLAGS.get(tail[:2], 0)
    if owner_as_received is not None:
        return _head(flags, owner_as_received) + _BLOCK.pack(len(tail), 1) + tail
    head = SINGLE_HEADS.get(len(tail)) if flags == 0 else None
    return (head or _FLAG_BYTES[flags] + _BLOCK.pack(len(tail), 1)) + tail


def pack_pair(lower: bytes, higher: bytes) -> bytes:
    """A node of two records of different types, in ascending order of these; its owner is spelled as its key."""
    flags = _FLAGS.get(lower[:2], 0) | _FLAGS.get(higher[:2], 0)
    if lower[:2] == RRSIG or higher[:2] == RRSIG or flags or len(lower) > 255 or len(higher) > 255:
        return pack_groups({group_of(lower): [lower], group_of(higher): [higher]}, None)[0]
    return SINGLE_HEADS[len(lower)] + lower + BLOCK_HEADS[len(higher)] + higher


def _head(flags: int, owner_as_received: bytes) -> bytes:
    return bytes((flags | HAS_CASE, len(owner_as_received))) + owner_as_received


def owner_of(node: bytes, key: bytes, apex: bytes) -> bytes:
    """The owner as received; `apex` is the zone's name as received."""
    if node[0] & HAS_CASE:
        return node[2 : 2 + node[1]]
    return key + apex


def _first_block(node: bytes) -> int:
    return 2 + node[1] if node[0] & HAS_CASE else 1


def unpack_node(node: bytes, owner: bytes) -> Iterator[RRset]:
    """Every RRset of the node, with `owner` as their owner."""
    offset, end = _first_block(node), len(node)
    while offset < end:
        size, count = _BLOCK.unpack_from(node, offset)
        offset += 6
        yield RRset(owner, node[offset] << 8 | node[offset + 1], count, node[offset : offset + size])
        offset += size


def tails_of(node: bytes) -> list[bytes]:
    """The tail of every record, in the node's order."""
    tails: list[bytes] = []
    offset, end = _first_block(node), len(node)
    while offset < end:
        size, count = _BLOCK.unpack_from(node, offset)
        offset += 6
        if count == 1:
            tails.append(node[offset : offset + size])
        else:
            tails += split_tails(node[offset : offset + size])
        offset += size
    return tails


def find_rrset(node: bytes, rdtype: int, owner: bytes) -> RRset | None:
    """The node's RRset of a type (not for RRSIG: see `find_rrsigs`)."""
    offset, end = 2 + node[1] if node[0] & HAS_CASE else 1, len(node)
    while offset < end:
        size, count, found = _BLOCK_TYPE.unpack_from(node, offset)
        offset += 6
        if found >= rdtype:
            return RRset(owner, rdtype, count, node[offset : offset + size]) if found == rdtype else None
        offset += size
    return None


def find_rrsigs(node: bytes, covered: int, owner: bytes) -> RRset | None:
    """The node's RRSIG records that cover a type."""
    offset, end = _first_block(node), len(node)
    while offset < end:
        size, count, rdtype = _BLOCK_TYPE.unpack_from(node, offset)
        offset += 6
        if rdtype >= codes.RRSIG:
            if rdtype > codes.RRSIG:
                return None
            if node[offset + 11] == covered & 0xFF and node[offset + 10] == covered >> 8:
                return RRset(owner, codes.RRSIG, count, node[offset : offset + size])
        offset += size
    return None


def is_signed(apex_node: bytes) -> bool:
    """Whether a zone is signed, in whole or in part: its apex, of which this is the node, holds a signature."""
    offset, end = _first_block(apex_node), len(apex_node)
    while offset < end:
        size, _, rdtype = _BLOCK_TYPE.unpack_from(apex_node, offset)
        if rdtype >= codes.RRSIG:
            return bool(rdtype == codes.RRSIG)
        offset += 6 + size
    return False


def find_denial(node: bytes) -> tuple[bool, bytes]:
    """(whether the node holds an NSEC, the tails of its NSEC3 records)."""
    offset, end, nsec = _first_block(node), len(node), False
    while offset < end:
        size, _, rdtype = _BLOCK_TYPE.unpack_from(node, offset)
        offset += 6
        if rdtype >= codes.NSEC:
            if rdtype == codes.NSEC:
                nsec = True
            elif rdtype >= codes.NSEC3:
                return nsec, node[offset : offset + size] if rdtype == codes.NSEC3 else b""
        offset += size
    return nsec, b""


def is_hashed_name(key: bytes, node: bytes) -> bool:
    """Whether a node is an owner of NSEC3 records and nothing else.

    Such a name belongs to the proofs: for whoever asks for it, it does not exist (RFC 5155 §7.2.8). Its label is a
    SHA-1 in base 32, directly below the apex.
    """
    if len(key) != HASHED_KEY or key[0] != HASHED_KEY - 1:
        return False
    offset, end, hashed = _first_block(node), len(node), False
    while offset < end:
        size, _, rdtype = _BLOCK_TYPE.unpack_from(node, offset)
        if rdtype == codes.NSEC3:
            hashed = True
        elif rdtype != codes.RRSIG:
            return False
        offset += 6 + size
    return hashed


def count_records(node: bytes) -> int:
    """How many records the node holds."""
    offset, end, total = _first_block(node), len(node), 0
    while offset < end:
        size, count = _BLOCK.unpack_from(node, offset)
        total += count
        offset += 6 + size
    return total
