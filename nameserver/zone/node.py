"""A node: everything one owner holds, packed into one `bytes` value.

Why packed: a zone of a million records is then a dict of two bytes objects per owner, which costs half the memory of
the C servers, is invisible to the garbage collector, and turns an answer into a slice.

    key    the owner relative to the apex, folded to lower case, in wire form without the final zero; the apex is b""
    value  flags (1) · [owner as received: length (1) · absolute wire name]   only with HAS_CASE
           then per RRset:  size (4) · count (2) · tails (size)               see nameserver.wire.rrset

RRSIGs are kept as one RRset per type covered (RFC 4034 §3: their TTLs differ), told apart by the first two bytes of
their rdata. RRsets stand in ascending (type, covered) order, records in the order received.
"""

from collections.abc import Iterable, Iterator
from struct import Struct

from nameserver.wire import codes
from nameserver.wire.rrset import RRset

HAS_CASE = 0x01  # the owner was received in another case than `key` + the apex as received
HAS_NS = 0x02
HAS_CNAME = 0x04
HAS_DNAME = 0x08
HAS_DS = 0x10

_BLOCK = Struct("!IH")  # size of the tails, number of records
_FLAGS = {codes.NS: HAS_NS, codes.CNAME: HAS_CNAME, codes.DNAME: HAS_DNAME, codes.DS: HAS_DS}


def rrset_order(rrset: RRset) -> tuple[int, int]:
    """The identity of an RRset within its node: type, and for RRSIG the type covered."""
    return rrset.type, int.from_bytes(rrset.tails[10:12], "big") if rrset.type == codes.RRSIG else 0


def pack_node(rrsets: Iterable[RRset], owner_as_received: bytes | None = None) -> bytes:
    """Pack a node. `owner_as_received` only where its case differs from key + apex."""
    flags = 0
    parts: list[bytes] = []
    for rrset in sorted(rrsets, key=rrset_order):
        flags |= _FLAGS.get(rrset.type, 0)
        parts.append(_BLOCK.pack(len(rrset.tails), rrset.rdata_count))
        parts.append(rrset.tails)
    if owner_as_received is None:
        return bytes((flags,)) + b"".join(parts)
    return bytes((flags | HAS_CASE, len(owner_as_received))) + owner_as_received + b"".join(parts)


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


def find_rrset(node: bytes, rdtype: int, owner: bytes) -> RRset | None:
    """The node's RRset of a type (not for RRSIG: see `find_rrsigs`)."""
    offset, end = _first_block(node), len(node)
    high, low = rdtype >> 8, rdtype & 0xFF
    while offset < end:
        size, count = _BLOCK.unpack_from(node, offset)
        offset += 6
        if node[offset + 1] == low and node[offset] == high:
            return RRset(owner, rdtype, count, node[offset : offset + size])
        offset += size
    return None


def find_rrsigs(node: bytes, covered: int, owner: bytes) -> RRset | None:
    """The node's RRSIG records that cover a type."""
    for rrset in unpack_node(node, owner):
        if rrset_order(rrset) == (codes.RRSIG, covered):
            return rrset
    return None


def count_records(node: bytes) -> int:
    """How many records the node holds."""
    offset, end, total = _first_block(node), len(node), 0
    while offset < end:
        size, count = _BLOCK.unpack_from(node, offset)
        total += count
        offset += 6 + size
    return total
