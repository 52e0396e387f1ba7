"""A whole version of a zone as two columns in key order: what a transfer ends in, and what the store writes.

A dict of a million owners takes a fifth of a second to fill and as long to read again in key order, which is all that
is done with most of them. Two lists side by side are in that order from the start.
"""

from bisect import bisect_left
from collections.abc import ItemsView, Iterator, Mapping, ValuesView

from nameserver.zone.emptied import AT_ONCE


class SortedNodes(Mapping[bytes, bytes]):
    """A mapping of key to packed node that does not change. A single owner is found by bisection."""

    __slots__ = ("column", "owners")

    def __init__(self, owners: list[bytes], column: list[bytes]) -> None:
        """`owners` are keys, each once, in ascending order; `column` holds the node of each."""
        self.owners = owners
        self.column = column

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
