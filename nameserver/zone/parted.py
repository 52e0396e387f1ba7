"""The nodes of a large zone: a dict cut into many, each as full as a dict can be.

CPython's dict has 2^n places, of which two thirds can be filled; then it moves to one of twice the size. So one dict of
a large zone costs up to twice what it must (for 750,000 owners 56 octets each, not 28), and moving it holds up every
query (30 ms for those). Here each owner's part follows from the hash of its key, and the number of parts from the
number of owners, which is known before a zone is loaded: each part is then nearly full, moving one takes a fifth of a
millisecond, and so does giving up a part of a version that is no longer served.

A look-up costs a tenth of a microsecond more than that of a dict. So zones of up to `WHOLE` owners keep to one.
"""

from collections.abc import Iterable, Iterator, MutableMapping
from itertools import chain

WHOLE = 87_381  # owners that are kept in one dict: two thirds of 2^17, which is moved to in a millisecond
PART = 21_845  # owners of a full part: two thirds of 2^15, the most places that a dict points at with two octets each
_FULL = 0.965  # how full parts are meant to be; how many owners each gets differs by chance, by less than the rest


class PartedNodes(MutableMapping[bytes, bytes]):
    """Key → packed node, as a dict has it; the order is any."""

    __slots__ = ("_count", "_parts")

    def __init__(self, owners: int) -> None:
        """For about so many owners: any other number is held too, in more memory than it must take."""
        # An odd number: parts that share the lowest bit of all hashes would have their owners collide.
        self._count = max(1, round(owners / (PART * _FULL))) | 1
        self._parts: list[dict[bytes, bytes]] = [{} for _ in range(self._count)]  # as many as they are, always

    def get(self, key: bytes, default: bytes | None = None) -> bytes | None:  # type: ignore[override]  # nothing else
        """As of a dict; said here since every query asks it."""
        return self._parts[hash(key) % self._count].get(key, default)

    def __getitem__(self, key: bytes) -> bytes:
        return self._parts[hash(key) % self._count][key]

    def __setitem__(self, key: bytes, node: bytes) -> None:
        self._parts[hash(key) % self._count][key] = node

    def __delitem__(self, key: bytes) -> None:
        del self._parts[hash(key) % self._count][key]

    def __contains__(self, key: object) -> bool:
        return key in self._parts[hash(key) % self._count]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self._parts)

    def put(self, items: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        """Take in many; the keys among them that were not there."""
        parts, count = self._parts, self._count
        new: list[bytes] = []
        for key, node in items:
            part = parts[hash(key) % count]
            if key not in part:
                new.append(key)
            part[key] = node
        return new

    @property
    def parts(self) -> list[dict[bytes, bytes]]:
        """The dicts."""
        return self._parts
