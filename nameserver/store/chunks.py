"""Chunks: a zone version cut into rows of some 32 KiB, and the overlay of what has changed since.

A row per owner would cost seconds to write for a large zone; one row per zone would make every small change rewrite
all of it. So a version is stored in two parts:

    base      rows of up to CHUNK_OWNERS owners in key order, written once
    overlay   a row per owner changed since: its new node, or None where the owner is gone

        base       [ "" … b"\\4host" ]   [ b"\\5host1" … b"\\5host7" ]   [ b"\\5host8" … ]
        overlay              ▲ b"\\4fred": None        ▲ b"\\5host3": node
        version    = the base with the overlay laid over it, in key order

A chunk keeps its columns apart, so that reading one takes a few calls into C per chunk instead of several
operations of the interpreter per owner, and one owner is found by bisection without unpacking the rest:

    count (4) · key length (1) x count · node length (4) x count · keys, one after another · nodes, one after another

Keys stand in ascending byte order, which puts the apex (b"") first. Every row carries a CRC-32, since SQLite itself
does not notice a flipped bit within a value; it covers the row's place as well as its content. Nor does SQLite notice a
page that is whole but old, as where a write never reached the disk: so a chunk's CRC covers the generation of its base
too, and the zone's row holds a sum over its overlay rows (`overlay_mark`).
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, islice
from struct import Struct, error, pack, unpack_from
from zlib import crc32

from nameserver.errors import StoreDamaged
from nameserver.zone.sorted_nodes import SortedNodes

Item = tuple[bytes, bytes]  # key, packed node
Change = tuple[bytes, bytes | None]  # None: the owner is gone

CHUNK_OWNERS = 512
CHUNK_SIZE = 32 * 1024  # bytes of keys and nodes; exceeded only by a node larger than that on its own

SUM_MODULUS = 4294967291  # the largest prime below 2**32

_COUNT = Struct("!I")
_FIELDS = [f"{length}s" for length in range(1024)]  # in a layout, so many bytes
_CHUNK_PLACE = Struct("!qq")
_OVERLAY_PLACE = Struct("!q?")


def pack_chunk(items: Sequence[Item]) -> bytes:
    """Pack at least one item; keys are at most 255 bytes and stand in ascending order."""
    keys, nodes = zip(*items, strict=True)
    return _pack_columns(keys, nodes)


def _pack_columns(keys: Sequence[bytes], nodes: Sequence[bytes]) -> bytes:
    count = len(keys)
    return b"".join((pack(f"!I{count}B{count}I", count, *map(len, keys), *map(len, nodes)), *keys, *nodes))


def chunks_of(nodes: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """All chunks of a whole version, in key order: (first key, chunk).

    `cut` and `pack_chunk` in one, without a tuple for each owner.
    """
    content = SortedNodes.of(nodes)
    for start in range(0, len(content), CHUNK_OWNERS):
        keys = content.owners[start : start + CHUNK_OWNERS]
        column = content.column[start : start + CHUNK_OWNERS]
        chunk = _pack_columns(keys, column)
        if len(chunk) <= CHUNK_SIZE + 4 + 5 * len(keys):
            yield keys[0], chunk
        else:
            for part in _cut_by_size(list(zip(keys, column, strict=True))):
                yield part[0][0], pack_chunk(part)


def unpack_chunk(chunk: bytes) -> list[Item]:
    """All items of a chunk. Raises StoreDamaged where its lengths do not add up.

    One call into C cuts them all out, which takes two thirds of the time that a slice for each would.
    """
    count, key_lengths, node_lengths = _lengths(chunk)
    start = 4 + 5 * count
    keys = "".join(map(_FIELDS.__getitem__, key_lengths))
    few = max(node_lengths, default=0) < len(_FIELDS)
    nodes = "".join(map(_FIELDS.__getitem__, node_lengths)) if few else "%ds" * count % node_lengths
    layout = Struct(f"={keys}{nodes}")
    _check_size(chunk, count, start + layout.size)
    fields = layout.unpack_from(chunk, start)
    return list(zip(fields[:count], fields[count:], strict=True))


def _lengths(chunk: bytes) -> tuple[int, bytes, tuple[int, ...]]:
    """How many items there are, and the lengths of their keys and nodes."""
    try:
        (count,) = _COUNT.unpack_from(chunk)
        return count, chunk[4 : 4 + count], unpack_from(f"!{count}I", chunk, 4 + count)
    except error:
        raise StoreDamaged("a chunk is shorter than the lengths at its start") from None


def _check_size(chunk: bytes, count: int, claimed: int) -> None:
    if not count or claimed != len(chunk):
        raise StoreDamaged(f"a chunk of {len(chunk)} bytes claims to have {claimed}")


def _ends(chunk: bytes) -> tuple[list[int], list[int]]:
    """Offsets of all keys and of all nodes, each with the end of the last one added."""
    count, key_lengths, node_lengths = _lengths(chunk)
    key_ends = list(accumulate(key_lengths, initial=4 + 5 * count))
    node_ends = list(accumulate(node_lengths, initial=key_ends[-1]))
    _check_size(chunk, count, node_ends[-1])
    return key_ends, node_ends


class ChunkIndex:
    """One chunk prepared for finding single owners in it. Raises StoreDamaged as `unpack_chunk` does."""

    __slots__ = ("_chunk", "_key_ends", "_node_ends", "first", "last")

    def __init__(self, chunk: bytes) -> None:
        key_ends, node_ends = _ends(chunk)
        self._chunk = chunk
        self._key_ends = array("I", key_ends)  # a list of integer objects would weigh more than the chunk
        self._node_ends = array("I", node_ends)
        self.first = self._key(0)
        self.last = self._key(len(key_ends) - 2)

    def _key(self, index: int) -> bytes:
        return self._chunk[self._key_ends[index] : self._key_ends[index + 1]]

    def find(self, key: bytes) -> bytes | None:
        """The node stored under a key."""
        count = len(self._key_ends) - 1
        index = bisect_left(range(count), key, key=self._key)
        if index == count or self._key(index) != key:
            return None
        return self._chunk[self._node_ends[index] : self._node_ends[index + 1]]


def cut(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut items (in key order) into what goes into one chunk each."""
    rest = iter(items)
    while group := list(islice(rest, CHUNK_OWNERS)):
        if sum(map(len, chain.from_iterable(group))) <= CHUNK_SIZE:
            yield group
        else:
            yield from _cut_by_size(group)


def _cut_by_size(group: list[Item]) -> Iterator[list[Item]]:
    part: list[Item] = []
    size = 0
    for item in group:
        weight = len(item[0]) + len(item[1])
        if part and size + weight > CHUNK_SIZE:
            yield part
            part, size = [], 0
        part.append(item)
        size += weight
    yield part


def merge(base: Iterable[list[Item]], overlay: Iterator[Change]) -> Iterator[list[Item]]:
    """Lay an overlay over a base, both in key order: the version's items, in key order, in slices.

    Takes no more of either than it needs for the next slice. No slice is empty.
    """
    pending = next(overlay, None)
    for items in base:
        if pending is not None and pending[0] <= items[-1][0]:
            merged: dict[bytes, bytes] = dict(items)
            last = items[-1][0]
            while pending is not None and pending[0] <= last:
                key, node = pending
                if node is None:
                    merged.pop(key, None)
                else:
                    merged[key] = node
                pending = next(overlay, None)
            items = sorted(merged.items())
        if len(items) <= 2 * CHUNK_OWNERS:
            if items:
                yield items
        else:  # much was added in one place: slices stay small enough not to hold up whoever works through them
            yield from cut(items)
    yield from cut(_behind(pending, overlay))


def _behind(first: Change | None, overlay: Iterator[Change]) -> Iterator[Item]:
    """What the overlay adds behind the last key of the base."""
    if first is not None:
        if first[1] is not None:
            yield first[0], first[1]
        for key, node in overlay:
            if node is not None:
                yield key, node


def check_chunk(zone_id: int, base_generation: int, row: tuple[object, object, object] | None) -> tuple[bytes, bytes]:
    """First key and content of a chunk's row (first key, crc, content). Raises StoreDamaged where they do not match."""
    if row is not None:
        first_key, crc, chunk = row
        # Types first: what a damaged row holds may be anything that SQLite can store.
        if isinstance(first_key, bytes) and isinstance(chunk, bytes):  # noqa: SIM102
            if chunk_crc(zone_id, base_generation, first_key, chunk) == crc:
                return first_key, chunk
    raise StoreDamaged("a chunk does not match its checksum")


def check_change(zone_id: int, row: tuple[object, object, object]) -> tuple[bytes, int, bytes | None]:
    """An overlay row (key, crc, node), its types known. Raises StoreDamaged where it does not match its checksum."""
    key, crc, node = row
    if isinstance(key, bytes) and isinstance(crc, int) and isinstance(node, bytes | None):  # noqa: SIM102
        if change_crc(zone_id, key, node) == crc:
            return key, crc, node
    raise StoreDamaged("a changed owner does not match its checksum")


def chunk_crc(zone_id: int, base_generation: int, first_key: bytes, chunk: bytes) -> int:
    """The checksum of a chunk's row."""
    return crc32(chunk, crc32(first_key, crc32(_CHUNK_PLACE.pack(zone_id, base_generation))))


def change_crc(zone_id: int, key: bytes, node: bytes | None) -> int:
    """The checksum of an overlay row."""
    return crc32(node or b"", crc32(key, crc32(_OVERLAY_PLACE.pack(zone_id, node is None))))


def overlay_mark(crc: int) -> int:
    """What an overlay row with this checksum adds to the sum over them, modulo SUM_MODULUS.

    Not the CRC itself, neither added nor xor-ed: CRCs are linear, and rows that were changed in the same way, as a
    digit in each, would cancel each other out. The cube is a different one for each CRC.
    """
    return crc * crc * crc % SUM_MODULUS
