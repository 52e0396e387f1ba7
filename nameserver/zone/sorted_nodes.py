"""A whole version of a zone as two columns in key order: what a transfer ends in, and what the store writes.

A dict of a million owners takes a fifth of a second to fill and as long to read again in key order, which is all that
is done with most of them. Two lists side by side are in that order from the start.
"""

from bisect import bisect_left, bisect_right
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from itertools import compress, count, islice, pairwise
from operator import eq, ge

from nameserver.zone.emptied import AT_ONCE

_STRAYS = 100  # entries that may be out of place for them to be moved one by one


class SortedNodes(Mapping[bytes, bytes]):
    """A mapping of key to packed node that does not change. A single owner is found by bisection."""

    __slots__ = ("column", "owners", "size")

    def __init__(self, owners: list[bytes], column: list[bytes], size: int | None = None) -> None:
        """`owners` are keys, each once, in ascending order; `column` holds the node of each.

        `size` is the bytes of both, counted where it is not given.
        """
        self.owners = owners
        self.column = column
        self.size = sum(map(len, owners)) + sum(map(len, column)) if size is None else size

    @classmethod
    def of(cls, nodes: Mapping[bytes, bytes]) -> "SortedNodes":
        """Any mapping of key to node, sorted."""
        if isinstance(nodes, SortedNodes):
            return nodes
        owners = sorted(nodes)
        return cls(owners, [nodes[key] for key in owners])

    def __getitem__(self, key: bytes) -> bytes:
        index = bisect_left(self.owners, key)
        if index < len(self.owners) and self.owners[index] == key:
            return self.column[index]
        raise KeyError(key)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.owners)

    def __len__(self) -> int:
        return len(self.owners)

    def items(self) -> ItemsView[bytes, bytes]:
        """Pairs of key and node, in key order."""
        return _Items(self)

    def dismantled(self) -> Iterator[None]:
        """Empties it, by a slice each time that this is asked on. For a version that nobody needs any more."""
        while self.owners:
            del self.owners[-AT_ONCE:]
            del self.column[-AT_ONCE:]
            yield

    def values(self) -> ValuesView[bytes]:
        """The nodes, in key order."""
        return _Values(self)


class _Items(ItemsView[bytes, bytes]):
    """As `ItemsView`, without a bisection for each."""

    _mapping: SortedNodes

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return zip(self._mapping.owners, self._mapping.column, strict=True)


class _Values(ValuesView[bytes]):
    _mapping: SortedNodes

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._mapping.column)


def sort_columns(keys: list[bytes], nodes: list[bytes]) -> tuple[list[bytes], list[bytes], bool]:
    """Both lists in ascending order of the keys, and whether one is there more than once; these stay in their order.

    The lists are not to be used any more. Of a million owners that are nearly in order, as they come of names that are
    all of one length, the few that are not are moved: to touch each owner again would take longer than all else.
    """
    if len(keys) > _STRAYS:
        # Where a run of ascending keys ends and the next one begins: a few of them, or too many and not all.
        breaks = list(islice(compress(count(1), map(ge, keys, islice(keys, 1, None))), _STRAYS + 1))
        if len(breaks) <= _STRAYS:
            start, end = max(pairwise([0, *breaks, len(keys)]), key=lambda run: run[1] - run[0])
            if len(keys) - (end - start) <= _STRAYS:
                return keys, nodes, _move_strays(keys, nodes, start, end)
    order = sorted(range(len(keys)), key=keys.__getitem__)
    keys = list(map(keys.__getitem__, order))
    return keys, list(map(nodes.__getitem__, order)), any(map(eq, keys, islice(keys, 1, None)))


def _move_strays(keys: list[bytes], nodes: list[bytes], start: int, end: int) -> bool:
    """Put what stands outside of an ascending run into it; whether one of these was there already."""
    before, after = list(zip(keys[:start], nodes[:start], strict=True)), list(zip(keys[end:], nodes[end:], strict=True))
    for column in (keys, nodes):
        del column[end:], column[:start]
    repeated = False
    for strays, find in ((reversed(before), bisect_left), (after, bisect_right)):
        for key, node in strays:
            index = find(keys, key)
            repeated |= key in keys[max(0, index - 1) : index + 1]
            keys.insert(index, key)
            nodes.insert(index, node)
    return repeated
