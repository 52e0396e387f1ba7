"""A NOTIFY just like one that was accepted before, without the pipeline: a storm from a primary is mostly that.

`query.pipeline` and `query.notify` say what becomes of a NOTIFY. Of one that they accepted, the same octets (but for
the id) from the same address come to the same: the same octets back, and the same word to pass on, since each may mean
another change. It is so as long as the zone and its rules are what they were, which is looked at each time. A NOTIFY
with a signature or a cookie is never kept: both cover the time.
"""

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from nameserver.query.acl import Acl
from nameserver.query.counters import query_slot, response_slot
from nameserver.query.exchange import Outcome, QuerySettings
from nameserver.query.pipeline import Pipeline
from nameserver.query.zoneset import SECONDARY, ServedZone
from nameserver.wire import codes

MOST = 1024  # kept; beyond that it begins afresh
LONGEST = 512  # octets of one that is kept
_QR_AND_OPCODE = 0xF8  # of a message's third octet


class _Accepted(NamedTuple):
    """What came of a NOTIFY, and what it depended on."""

    outcome: Outcome
    served: ServedZone
    acl: Acl
    settings: QuerySettings


def is_notify(packet: bytes) -> bool:
    """Whether a message is a NOTIFY that is not a reply, by its header."""
    return len(packet) > 2 and packet[2] & _QR_AND_OPCODE == codes.NOTIFY << 3


class NotifyShortcut:
    """For one transport ("udp" or "tcp") and one address family (4 or 6)."""

    def __init__(self, pipeline: Pipeline, transport: str, family: int) -> None:
        self._pipeline = pipeline
        self._query_slot = query_slot(transport, family, codes.NOTIFY, codes.SOA)
        self._response_slot = response_slot(codes.NOERROR, transport, False)
        self._held: dict[tuple[bytes, int], _Accepted] = {}

    def find(self, packet: bytes, address: IPv4Address | IPv6Address) -> Outcome | None:
        """What comes of it, counted; the reply has another message's id. None where the pipeline has to be asked."""
        held = self._held.get((packet[2:], int(address)))
        if held is None:
            return None
        outcome, served, acl, settings = held
        pipeline = self._pipeline
        if pipeline.zones.exact(served.name) is not served or served.allow_notify is not acl:
            return None
        if served.type != SECONDARY or pipeline.settings is not settings:
            return None
        pipeline.counters[self._query_slot] += 1
        pipeline.counters[self._response_slot] += 1
        served.control_queries += 1
        return outcome

    def learn(self, packet: bytes, address: IPv4Address | IPv6Address, outcome: Outcome) -> None:
        """Keep what the pipeline said to a NOTIFY, if that may be said again."""
        notify = outcome.notify
        if notify is None or not outcome.alike or len(packet) > LONGEST:
            return
        served = self._pipeline.zones.exact(notify.zone)
        if served is None:
            return
        if len(self._held) >= MOST:
            self._held.clear()
        settings = self._pipeline.settings
        self._held[packet[2:], int(address)] = _Accepted(outcome, served, served.allow_notify, settings)
