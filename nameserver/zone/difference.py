"""What changed between a stored version and a new one that came whole: made slice by slice, and bounded.

`nameserver.zone.changes.diff` does the same for two versions in memory. Here both come in slices in key order, as the
store reads and writes them, and only what differs is kept, up to a limit. For a million owners of which few changed
that is a comparison of bytes for each, and no more memory than two slices.

    old   [ a b c d ]      [ e f g ]            the new items up to the old slice's last key are compared with it
    new   [ a b c ]  [ c2 d e ] [ g h ]         at once; where they are others, owner by owner
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping

from nameserver.errors import Reason, ZoneError
from nameserver.wire import codes
from nameserver.zone.history import PackedStep, Packer, Pair, pack_step
from nameserver.zone.node import owner_of, tails_of
from nameserver.zone.sorted_nodes import SortedNodes

SLICE = 512  # owners
FEW = 8  # records that are looked through faster than made a set of
Items = list[tuple[bytes, bytes]]  # key, node
_SOA = codes.SOA.to_bytes(2, "big")


def slices_of(nodes: Mapping[bytes, bytes]) -> Iterator[Items]:
    """A version in memory as slices in key order."""
    content = SortedNodes.of(nodes)
    for start in range(0, len(content), SLICE):
        end = start + SLICE
        yield list(zip(content.owners[start:end], content.column[start:end], strict=True))


def difference(old: Iterable[Items], new: Iterable[Items], apex: bytes, limit: int) -> PackedStep | None:
    """The step from one version to another, both under this apex, each in slices in ascending order of keys.

    None where it takes more than `limit` octets. TTL and case are part of the comparison: a record of which only these
    changed is deleted and added. Raises `ZoneError` (no-soa) unless both have an SOA, each another, and whatever the
    slices raise.
    """
    collector = _Collector(apex, limit)
    arriving = _Arriving(new)
    for items in old:
        coming = arriving.up_to(items[-1][0])
        if coming != items and not collector.compare(items, coming):
            return None
    for items in arriving.rest():
        if not collector.compare([], items):
            return None
    return collector.step()


class _Arriving:
    """The new version, taken by ranges of keys."""

    def __init__(self, slices: Iterable[Items]) -> None:
        self._slices = iter(slices)
        self._items: Items = []
        self._at = 0

    def up_to(self, last: bytes) -> Items:
        """Everything not taken yet up to this key."""
        found: Items = []
        while True:
            if self._at == len(self._items):
                self._items, self._at = next(self._slices, []), 0
                if not self._items:
                    return found
            end = len(self._items)
            if self._items[-1][0] > last:
                end = bisect_right(self._items, last, lo=self._at, key=_key)
            found += self._items[self._at : end]
            self._at = end
            if end < len(self._items):
                return found

    def rest(self) -> Iterator[Items]:
        """What is left, in slices."""
        if self._at < len(self._items):
            yield self._items[self._at :]
        yield from self._slices


def _key(item: tuple[bytes, bytes]) -> bytes:
    return item[0]


class _Collector:
    """What distinguishes the two versions, packed."""

    def __init__(self, apex: bytes, limit: int) -> None:
        self._apex = apex
        self._limit = limit
        self._deleted, self._added = Packer(apex), Packer(apex)
        self._soas: tuple[list[Pair], list[Pair]] = ([], [])  # old, new; none where it did not change

    def compare(self, old: Items, new: Items) -> bool:
        """Note what distinguishes two ranges of the same keys; False once that is too much."""
        before, after = dict(old), dict(new)
        for key, node in old:
            if after.get(key) != node:
                self._compare_node(key, node, after.get(key))
        for key, node in new:
            if key not in before:
                self._compare_node(key, None, node)
        return self._deleted.size + self._added.size <= self._limit

    def _compare_node(self, key: bytes, before: bytes | None, after: bytes | None) -> None:
        old_owner = b"" if before is None else owner_of(before, key, self._apex)
        new_owner = b"" if after is None else owner_of(after, key, self._apex)
        gone = [] if before is None else tails_of(before)
        come = [] if after is None else tails_of(after)
        if old_owner == new_owner:
            few = len(gone) + len(come) <= FEW
            held, wanted = (gone, come) if few else (frozenset(gone), frozenset(come))
            gone = [tail for tail in gone if tail not in wanted]
            come = [tail for tail in come if tail not in held]
        if not key:
            for tails, owner, soa in ((gone, old_owner, self._soas[0]), (come, new_owner, self._soas[1])):
                soa += [(owner, tail) for tail in tails if tail[:2] == _SOA]
            gone, come = ([tail for tail in tails if tail[:2] != _SOA] for tails in (gone, come))
        for tail in gone:
            self._deleted.add(old_owner, tail)
        for tail in come:
            self._added.add(new_owner, tail)

    def step(self) -> PackedStep:
        """The step, once all was compared."""
        if [len(soas) for soas in self._soas] != [1, 1]:
            raise ZoneError(Reason.NO_SOA, "two versions of which one has no SOA, or whose SOA is the same")
        packed = []
        for (soa,) in self._soas:
            packed.append(Packer(self._apex))
            packed[-1].add(*soa)
        serials = [int.from_bytes(soa[1][-20:-16], "big") for (soa,) in self._soas]
        return pack_step(serials[0], serials[1], packed[0], self._deleted, packed[1], self._added)
