"""Which of our zones answers for a name."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from nameserver.query.acl import Acl
from nameserver.wire import codes
from nameserver.zone.contents import Zone

SECONDARY = "secondary"


class ZoneState(Enum):
    """What a worker may do with a zone it is configured for."""

    SERVING = "serving"
    NOT_LOADED = "not-loaded"  # nothing held yet: SERVFAIL, "not ready"
    EXPIRED = "expired"  # too long without a primary (RFC 1034 §4.3.5): SERVFAIL, "invalid data"


@dataclass(slots=True, eq=False)
class ServedZone:
    """One configured zone with its rules, its present version, and its counts of queries.

    `name` is the folded absolute wire name, `text` the same for people. `allow_notify` already includes the zone's
    primaries. `control_queries` counts SOA, AXFR, IXFR and NOTIFY, which other servers send by themselves; `queries`
    counts the rest, which somebody wanted answered.
    """

    name: bytes
    text: str
    zone: Zone | None = None
    state: ZoneState = ZoneState.NOT_LOADED
    allow_transfer: Acl = Acl()
    allow_notify: Acl = Acl()
    type: str = SECONDARY
    queries: int = 0
    control_queries: int = 0


class ZoneSet:
    """All zones we are configured for, by folded wire name."""

    __slots__ = ("_zones",)

    def __init__(self) -> None:
        self._zones: dict[bytes, ServedZone] = {}

    def __iter__(self) -> Iterator[ServedZone]:
        return iter(self._zones.values())

    def __len__(self) -> int:
        return len(self._zones)

    def add(self, zone: ServedZone) -> None:
        """Add a zone, in place of one of the same name."""
        self._zones[zone.name] = zone

    def remove(self, name: bytes) -> None:
        """Take a zone away by its folded name. Raises KeyError where there is none."""
        del self._zones[name]

    def exact(self, name: bytes) -> ServedZone | None:
        """The zone of exactly this folded name."""
        return self._zones.get(name)

    def find(self, name: bytes) -> ServedZone | None:
        """The zone nearest above a folded name, or of that name (RFC 1034 §4.3.2 step 2)."""
        zones = self._zones
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
        if qtype == codes.DS and name in self._zones and len(name) > 1:
            return self.find(name[name[0] + 1 :]) or self._zones[name]
        return self.find(name)
