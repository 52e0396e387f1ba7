"""Which of our zones answers for a name."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum

from nameserver.query.acl import Acl
from nameserver.wire import codes
from nameserver.zone.contents import Zone
from nameserver.zone.denial import HashBudget

SECONDARY = "secondary"
MOST_TOUCHED = 10_000  # owners per zone of which it is known when they changed, …
MOST_TOUCHED_IN_ALL = 100_000  # … and of all zones together: 15 MB


class ZoneState(Enum):
    """What a worker may do with a zone it is configured for."""

    SERVING = "serving"
    NOT_LOADED = "not-loaded"  # nothing held yet: SERVFAIL, "not ready"
    EXPIRED = "expired"  # too long without a primary (RFC 1034 §4.3.5): SERVFAIL, "invalid data"


class Depends(Enum):
    """What may change an answer."""

    NODE = "node"  # the records of the name asked for, and delegations and DNAMEs above it
    ZONE = "zone"  # anything in the zone
    ALL = "all"  # anything in any zone


@dataclass(slots=True, eq=False)
class ServedZone:
    """One configured zone with its rules, its present version, and its counts of queries.

    `name` is the folded absolute wire name, `text` the same for people. `allow_notify` already includes the zone's
    primaries. `control_queries` counts SOA, AXFR, IXFR and NOTIFY, which other servers send by themselves; `queries`
    counts the rest, which somebody wanted answered. `paused` is the RCODE that queries get for a while by command, 0
    where they get the zone; it says nothing of the version, so transfers go on. `expires` is when the zone expires
    unless a primary confirms it, on the pipeline's steady clock: infinite for a primary zone, None while it is not
    known.
    """

    name: bytes
    text: str
    zone: Zone | None = None
    state: ZoneState = ZoneState.NOT_LOADED
    allow_transfer: Acl = Acl()
    allow_notify: Acl = Acl()
    type: str = SECONDARY
    paused: int = 0
    expires: float | None = None
    queries: int = 0
    control_queries: int = 0
    changed: int = 0
    replaced: int = 0
    touched: dict[bytes, int] = field(default_factory=dict)

    @property
    def answered(self) -> Zone | None:
        """The version that queries are answered from; None where they get an error."""
        return self.zone if self.state is ZoneState.SERVING and not self.paused else None


class ZoneSet:
    """All zones we are configured for, by folded wire name; and what they share: the budget for costly hashes.

    `epoch` numbers the changes of all of them, `rearranged` is the number of the last one of which zones there are;
    whoever changes a zone says so by `changed`. `by_name` is for look-ups only, and so is `above`: all names above
    those of zones, with how many zones are below each.
    """

    __slots__ = ("_touched", "above", "by_name", "epoch", "hash_budget", "rearranged")

    def __init__(self) -> None:
        self.by_name: dict[bytes, ServedZone] = {}
        self.above: Counter[bytes] = Counter()
        self.hash_budget = HashBudget()
        self.epoch = 1
        self.rearranged = 1
        self._touched = 0  # owners of all zones of which it is known when they changed

    def __iter__(self) -> Iterator[ServedZone]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)

    def add(self, zone: ServedZone) -> None:
        """Add a zone, in place of one of the same name."""
        before = self.by_name.get(zone.name)
        if before is None:
            self.above.update(_above(zone.name))
        else:
            self._forget_touched(before)
        self.by_name[zone.name] = zone
        self.epoch += 1
        self.rearranged = self.epoch

    def remove(self, name: bytes) -> None:
        """Take a zone away by its folded name. Raises KeyError where there is none."""
        self._forget_touched(self.by_name.pop(name))
        for each in _above(name):
            self.above[each] -= 1
            if not self.above[each]:
                del self.above[each]
        self.epoch += 1
        self.rearranged = self.epoch

    def changed(self, zone: ServedZone, owners: Collection[bytes] | None = None) -> None:
        """Say that a zone has changed: at these owners (keys) only, or altogether, its state included.

        Owners only where none of them is or was a delegation or a DNAME: those change what lies below them.
        """
        self.epoch += 1
        zone.changed = self.epoch
        before = len(zone.touched)
        if owners is None or before + len(owners) > MOST_TOUCHED:
            self._forget_touched(zone)
            return
        zone.touched.update(dict.fromkeys(owners, self.epoch))
        self._touched += len(zone.touched) - before
        if self._touched > MOST_TOUCHED_IN_ALL:
            for each in self:
                if each.touched:
                    self._forget_touched(each)

    def _forget_touched(self, zone: ServedZone) -> None:
        """Know no more which owners of a zone changed when: from now on it counts as changed altogether."""
        zone.replaced = self.epoch
        self._touched -= len(zone.touched)
        zone.touched.clear()

    def exact(self, name: bytes) -> ServedZone | None:
        """The zone of exactly this folded name."""
        return self.by_name.get(name)

    def find(self, name: bytes) -> ServedZone | None:
        """The zone nearest above a folded name, or of that name (RFC 1034 §4.3.2 step 2)."""
        zones = self.by_name
        served = zones.get(name)
        offset = 0
        while served is None:
            length = name[offset]
            if length == 0:
                return None
            offset += length + 1
            served = zones.get(name[offset:])
        return served

    def find_for(self, name: bytes, qtype: int) -> ServedZone | None:
        """The zone that answers a query.

        DS lives on the parent's side of a cut, so at the apex of one of our zones it is asked of the zone above, if
        that is ours too (RFC 4035 §3.1.4.1); else the apex itself must say that it has none.
        """
        if qtype == codes.DS and name in self.by_name and len(name) > 1:
            return self.find(name[name[0] + 1 :]) or self.by_name[name]
        return self.find(name)


def _above(name: bytes) -> Iterator[bytes]:
    """The names above that of a zone, up to the root's."""
    while len(name) > 1:
        name = name[name[0] + 1 :]
        yield name
