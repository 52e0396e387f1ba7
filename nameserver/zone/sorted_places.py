"""Places in order, for finding the last one before a name: what denial of existence is made of.

    heads    [ b""      | b"host17"   | b"mail"     | … ]      where each block begins
    blocks   [ p p p p  | p p p p p   | p p         | … ]      in order, each behind the head of its block

A *place* is octets that sort as names have to. For NSEC3 that is the key of a hash's owner itself, as base 32 sorts as
the hashes do. For NSEC it is the name in canonical order, of which the key can be made again.

One flat list of a million would move megabytes at each insertion; blocks of a few dozen move next to nothing. Both
steps of a look-up are bisections in C.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

BLOCK = 64  # places in a block after it was split; one that comes to hold twice as many is split
_DISMANTLED_AT_ONCE = 10  # blocks: some thousand places
_LENGTHS = [bytes((length,)) for length in range(64)]


def canonical_place(key: bytes) -> bytes:
    """Where the name with this zone-relative key stands in canonical order (RFC 4034 §6.1).

    The labels, last first, zeros between them. Where a label itself has an octet 0 or 1 it becomes 1 1 or 1 2, so that
    an end of label sorts before everything.
    """
    if key and key[0] + 1 == len(key):
        label = key[1:]
        return _escape(label) if b"\0" in label or b"\1" in label else label
    labels = []
    offset = 0
    while offset < len(key):
        after = offset + 1 + key[offset]
        labels.append(_escape(key[offset + 1 : after]))
        offset = after
    return b"\0".join(labels[::-1])


def key_at(place: bytes) -> bytes:
    """The key whose `canonical_place` this is."""
    if not place:
        return place
    if b"\0" not in place and b"\1" not in place:
        return _LENGTHS[len(place)] + place
    labels = [label.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1") for label in place.split(b"\0")]
    return b"".join([_LENGTHS[len(label)] + label for label in reversed(labels)])


def _escape(label: bytes) -> bytes:
    return label.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")


class SortedPlaces:
    """A set of places that is kept in order."""

    __slots__ = ("_blocks", "_count", "_heads")

    def __init__(self) -> None:
        self._heads: list[bytes] = [b""]
        self._blocks: list[list[bytes]] = [[]]  # only the first may be empty, and only when nothing else is there
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, place: bytes) -> None:
        """Put in a place that is not in."""
        index = bisect_right(self._heads, place) - 1
        block = self._blocks[index]
        block.insert(bisect_right(block, place), place)
        self._count += 1
        if len(block) >= 2 * BLOCK:
            upper = block[BLOCK:]
            del block[BLOCK:]
            self._blocks.insert(index + 1, upper)
            self._heads.insert(index + 1, upper[0])

    def remove(self, place: bytes) -> None:
        """Take out a place that is in."""
        index = bisect_right(self._heads, place) - 1
        block = self._blocks[index]
        del block[bisect_left(block, place)]
        self._count -= 1
        if not block and len(self._blocks) > 1:
            del self._blocks[index]
            del self._heads[index]
            self._heads[0] = b""  # whatever comes first now takes all that sorts before it

    def at_or_before(self, place: bytes) -> bytes | None:
        """The last place that sorts at or before this one; None where all sort behind it."""
        index = bisect_right(self._heads, place) - 1
        block = self._blocks[index]
        position = bisect_right(block, place)
        if position:
            return block[position - 1]
        return self._blocks[index - 1][-1] if index else None

    def dismantled(self) -> Iterator[None]:
        """Empties the set, some blocks each time that it is asked on; there is nothing else to be asked of it then."""
        while self._blocks:
            del self._blocks[-_DISMANTLED_AT_ONCE:]
            yield
        self._heads.clear()
        self._count = 0

    def first(self) -> bytes | None:
        """The first place."""
        return self._blocks[0][0] if self._count else None

    def last(self) -> bytes | None:
        """The last place."""
        return self._blocks[-1][-1] if self._count else None
