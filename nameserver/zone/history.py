"""The history of a zone: the steps from one version to the next, as they are kept and sent on (RFC 1995).

A step is one difference sequence: the old SOA and what goes, the new SOA and what comes (§4). It is packed into parts
of some 32 KiB, so that whoever reads one never holds much of it:

    part     record · record · …          record   owner length (1) · owner · tail      nameserver.wire.rrset

    steps    5 ──▶ 6 ──▶ 7 ──▶ 8          a client at 6 gets the last two as they are, or both condensed into one

Condensed, a record that came and went again is not mentioned. One that went and came back is deleted and added: that
is right whatever its TTL was, and needs no look at the version before.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from nameserver.errors import Reason, ZoneError
from nameserver.wire import codes
from nameserver.wire.rdata import fold_rdata
from nameserver.wire.rrset import Record
from nameserver.wire.walk import to_walked
from nameserver.zone.changes import Changeset

PART_SIZE = 32 * 1024  # octets after which a part ends
CONDENSE_AT_MOST = 2 * 1024 * 1024  # octets of steps: they are held in memory meanwhile
LEAST_KEPT = 64 * 1024  # octets that a zone's history may take however small the zone is
MIB = 1024 * 1024

PACKED_AT_ONCE = 2000  # records, some half a millisecond

Pair = tuple[bytes, bytes]  # owner, tail
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How much is kept of one zone's history; the oldest steps go first."""

    max_changes: int = 1000  # steps; 0: no history
    max_age: float = 14 * 86400.0  # seconds
    max_size: int = 16 * MIB  # octets; never more than twice the zone either, or LEAST_KEPT

    def room(self, zone_size: int) -> int:
        """The octets that the history of a zone of this size may take."""
        return min(self.max_size, max(2 * zone_size, LEAST_KEPT))


@dataclass(frozen=True, slots=True)
class PackedStep:
    """One step, packed. `size` is about what it takes on the wire, without the message around it."""

    old_serial: int
    new_serial: int
    records: int
    size: int
    parts: tuple[bytes, ...]


class Packer:
    """Fills parts with records, and counts."""

    __slots__ = ("_filled", "_part", "_parts", "_shared", "records", "size")

    def __init__(self, apex: bytes) -> None:
        """`apex` is the zone's name."""
        self._shared = len(apex) - 2  # what an owner below the apex saves by ending in a pointer
        self.records = self.size = 0
        self._parts: list[bytes] = []
        self._part: list[bytes] = []
        self._filled = 0

    def add(self, owner: bytes, tail: bytes) -> None:
        """Take a record in."""
        self._part.append(b"%c%b%b" % (len(owner), owner, tail))
        size = len(owner) + len(tail)
        self._filled += size
        self.records += 1
        self.size += size - self._shared
        if self._filled >= PART_SIZE:
            self._end_part()

    def _end_part(self) -> None:
        self._parts.append(b"".join(self._part))
        self._part, self._filled = [], 0

    def finish(self) -> list[bytes]:
        """The parts; nothing is added after this."""
        if self._part:
            self._end_part()
        return self._parts


def pack_step(old_serial: int, new_serial: int, *packers: Packer) -> PackedStep:
    """One step of what some packers hold, one after another: old SOA, deleted, new SOA, added."""
    parts: list[bytes] = []
    for part in (part for packer in packers for part in packer.finish()):
        if parts and len(parts[-1]) + len(part) <= PART_SIZE:
            parts[-1] += part
        else:
            parts.append(part)
    records, size = sum(packer.records for packer in packers), sum(packer.size for packer in packers)
    return PackedStep(old_serial, new_serial, records, size, tuple(parts))


def pack_pairs(old_serial: int, new_serial: int, pairs: Iterable[Pair], apex: bytes) -> PackedStep:
    """The same of the records themselves, in this order."""
    packer = Packer(apex)
    for owner, tail in pairs:
        packer.add(owner, tail)
    return pack_step(old_serial, new_serial, packer)


def pack_changeset(step: Changeset, apex: bytes) -> PackedStep:
    """Pack one step. Raises ZoneError (no-soa) unless each of its lists begins with its SOA and holds no other."""
    for records, serial in ((step.deleted, step.old_serial), (step.added, step.new_serial)):
        soas = [record for record in records if record.type == codes.SOA]
        if len(soas) != 1 or records[0] is not soas[0] or int.from_bytes(soas[0].rdata[-20:-16], "big") != serial:
            raise ZoneError(Reason.NO_SOA, f"the step to serial {step.new_serial} is not one from SOA to SOA")
    pairs = ((record.owner, to_walked(record)[3]) for records in (step.deleted, step.added) for record in records)
    return pack_pairs(step.old_serial, step.new_serial, pairs, apex)


def pairs_of(part: bytes) -> Iterator[Pair]:
    """The records of a part."""
    offset, end = 0, len(part)
    while offset < end:
        owner_end = offset + 1 + part[offset]
        tail_end = owner_end + 10 + (part[owner_end + 8] << 8 | part[owner_end + 9])
        yield part[offset + 1 : owner_end], part[owner_end:tail_end]
        offset = tail_end


def unpack_changeset(step: PackedStep) -> Changeset:
    """The reverse of `pack_changeset`."""
    halves: list[list[Record]] = [[], []]
    half = -1
    for part in step.parts:
        for owner, tail in pairs_of(part):
            rdtype = tail[0] << 8 | tail[1]
            half += rdtype == codes.SOA
            halves[half].append(Record(owner, rdtype, codes.IN, int.from_bytes(tail[4:8], "big"), tail[10:]))
    return Changeset(step.old_serial, step.new_serial, *halves)


class Condenser:
    """Makes one step of several that follow on one another. Feed them in order, part by part."""

    __slots__ = ("_added", "_apex", "_deleted", "_deleting", "_new_soa", "_old_soa")

    def __init__(self, apex: bytes) -> None:
        """`apex` is the zone's name."""
        self._apex = apex
        self._old_soa: Pair | None = None
        self._new_soa: Pair | None = None
        self._deleting = False
        # By the record as it is compared: its TTL and letters' case play no part in what a deletion is about.
        self._deleted: dict[tuple[bytes, bytes, bytes], Pair] = {}
        self._added: dict[tuple[bytes, bytes, bytes], Pair] = {}

    def feed(self, part: bytes) -> None:
        """Take the next part of the present step, or the first of the next."""
        deleted, added = self._deleted, self._added
        for pair in pairs_of(part):
            owner, tail = pair
            if tail[:2] == _SOA:
                self._take_soa(pair)
                continue
            key = (owner.lower(), tail[:2], fold_rdata(tail[0] << 8 | tail[1], tail[10:]))
            if not self._deleting:
                added[key] = pair
            elif added.pop(key, None) is None:
                deleted[key] = pair

    def _take_soa(self, pair: Pair) -> None:
        self._deleting = not self._deleting
        if self._deleting:
            self._old_soa = self._old_soa or pair
        else:
            self._new_soa = pair

    def packing(self) -> Generator[None, None, PackedStep]:
        """Make the one step, in slices of work. Raises ZoneError (no-soa) where no whole step was fed."""
        if self._old_soa is None or self._new_soa is None or self._deleting:
            raise ZoneError(Reason.NO_SOA, "a step of the history has no SOA records")
        packer = Packer(self._apex)
        pairs = chain((self._old_soa,), self._deleted.values(), (self._new_soa,), self._added.values())
        for number, (owner, tail) in enumerate(pairs, 1):
            packer.add(owner, tail)
            if number % PACKED_AT_ONCE == 0:
                yield
        return pack_step(_serial(self._old_soa), _serial(self._new_soa), packer)


def condense(steps: Sequence[PackedStep], apex: bytes) -> PackedStep:
    """One step with the effect of all of these, at least one, one after another."""
    condenser = Condenser(apex)
    for step in steps:
        for part in step.parts:
            condenser.feed(part)
    return finished(condenser.packing())


def finished(work: Generator[None, None, Made]) -> Made:
    """What a generator comes to that yields for others' turns only, all of it done at once."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        made: Made = end.value
        return made


def _serial(soa: Pair) -> int:
    return int.from_bytes(soa[1][-20:-16], "big")


_SOA = codes.SOA.to_bytes(2, "big")
