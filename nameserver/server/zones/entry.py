"""One configured zone, as the transfer process holds it."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from nameserver.config.model import ZoneConfig
from nameserver.control.protocol import ControlError
from nameserver.errors import Reason
from nameserver.refresh.machine import RefreshMachine, State
from nameserver.refresh.outcome import Outcome as RunOutcome
from nameserver.refresh.pause import Pause
from nameserver.server.clocks import to_wall
from nameserver.server.zones.primary_files import FileVerdict
from nameserver.telemetry.events import Kind, NotifyReceivedEvent, Outcome, TransferEvent
from nameserver.telemetry.status import PrimaryStatus
from nameserver.zone.serial import newer

MOST_SENDERS = 16  # of NOTIFYs of a zone that are remembered
NOT_LOADED = "not-loaded"  # the state of a primary zone whose file could not be read
PAUSED = "paused"  # of a zone that would be answered


class ZoneTimes(NamedTuple):
    """For status displays, wall clock."""

    last_success: float | None
    last_change: float | None
    next_refresh: float | None
    expires: float | None


class Trouble(NamedTuple):
    """Why the last attempt failed, None where it did not, and how many did in a row."""

    reason: Reason | None
    detail: str
    failures: int


class Publication(NamedTuple):
    """A version that was committed."""

    generation: int
    serial: int
    soa_rdata: bytes
    at: float  # monotonic: when that was


@dataclass(slots=True)
class SentOut:
    """What secondaries have been sent of a zone: transfers that ended well, by what they were, and all octets."""

    axfr: int = 0
    ixfr: int = 0
    bytes: int = 0

    def count(self, event: TransferEvent) -> None:
        """A transfer to a secondary has ended, well or not."""
        self.bytes += event.bytes
        if event.outcome is Outcome.OK:
            self.axfr += event.got is Kind.AXFR
            self.ixfr += event.got is Kind.IXFR


@dataclass(slots=True)
class ZoneEntry:
    """One configured zone."""

    config: ZoneConfig
    machine: RefreshMachine | None  # None: a primary zone
    primaries: dict[str, PrimaryStatus]
    held: bool = False  # a version is in the store
    tried: bool = False  # at least one run has ended
    task: asyncio.Task[None] | None = None
    queued: float | None = None  # the deadline that stands in the heap
    file: FileVerdict | None = None
    last_transfer: TransferEvent | None = None
    notified_at: float | None = None  # monotonic: first NOTIFY since the last publication
    notifies: dict[str, NotifyReceivedEvent] = field(default_factory=dict)  # the last from each address, of some
    publishing: list[Publication] = field(default_factory=list)  # committed, and not yet answered everywhere
    answered: Publication | None = None  # the last that every worker has confirmed
    queries: int = 0
    control_queries: int = 0
    pause: Pause | None = None  # that every worker answers by; checks and all else go on (`server.zones.pauses`)
    sent: SentOut = field(default_factory=SentOut)
    waiters: list[asyncio.Future[RunOutcome]] = field(default_factory=list)
    live: bool = False  # its machine was started: before, events have nothing to go by
    recovery: asyncio.Task[None] | None = None
    reported: dict[str, set[Reason]] = field(default_factory=dict)  # by remote: failures in the log since it was good
    file_times: ZoneTimes = ZoneTimes(None, None, None, None)

    @property
    def state(self) -> str:
        """One of the states of `telemetry.status.ZONE_STATES`."""
        if self.pause is not None and self.answering:
            return PAUSED
        if self.machine is not None:
            return str(self.machine.state)
        return str(State.SERVING) if self.held else NOT_LOADED

    @property
    def answering(self) -> bool:
        """Whether queries get this zone's data, but for a pause."""
        return self.held and (self.machine is None or self.machine.state is not State.EXPIRED)

    @property
    def trouble(self) -> Trouble:
        """What is wrong, as the last run or the last reading of the file had it."""
        if self.machine is not None:
            seen = self.machine.snapshot()
            return Trouble(seen.last_reason, seen.last_detail, seen.failures)
        if self.file is None or self.file.reason is None:
            return Trouble(None, "", 0)
        return Trouble(self.file.reason, self.file.detail, 1)

    def heard(self, event: NotifyReceivedEvent) -> None:
        """A NOTIFY came, allowed or not. Of many senders, those that were refused are forgotten first."""
        self.notifies.pop(event.source, None)
        if len(self.notifies) >= MOST_SENDERS:
            refused = (source for source, each in self.notifies.items() if each.outcome is Outcome.REFUSED)
            del self.notifies[next(refused, next(iter(self.notifies)))]
        self.notifies[event.source] = event

    def ordered_machine(self) -> RefreshMachine:
        """The machine that takes an operator's order. Raises ControlError where there is none, or none yet."""
        if self.machine is None:
            raise ControlError(f"{self.config.text} is a primary zone: it has nobody to ask; use reload")
        if not self.live:
            raise ControlError("the server is starting, and will check every zone; try again in a moment")
        return self.machine

    def times(self) -> ZoneTimes:
        """When what happened and will."""
        if self.machine is None:
            return self.file_times
        seen = self.machine.snapshot()
        return ZoneTimes(
            to_wall(seen.last_success), to_wall(seen.last_change), to_wall(seen.next_refresh), to_wall(seen.expires_at)
        )

    @staticmethod
    def newest(serials: Iterable[int]) -> int | None:
        """The newest of some serials (RFC 1982)."""
        best: int | None = None
        for serial in serials:
            if best is None or newer(serial, best):
                best = serial
        return best


def update_statuses(held: dict[str, PrimaryStatus], fresh: dict[str, PrimaryStatus]) -> None:
    """What was learnt of primaries stays, in the same dict; where they are and by which key is as configured now."""
    for name in [name for name in held if name not in fresh]:
        del held[name]
    for name, status in fresh.items():
        old = held.get(name, status)
        configured = ("address", "key", "key_fingerprint", "preferred_key", "preferred_key_reason")
        held[name] = old._replace(**{field: getattr(status, field) for field in configured})


def level_of(old: State, new: State) -> int:
    """A healthy zone's checks are not news, and its first version has its transfer's line; everything else is news."""
    if new is State.EXPIRED:
        return logging.ERROR
    if new is State.SERIAL_BACKWARDS:
        return logging.WARNING
    fine = new in (State.SERVING, State.REFRESHING) and old in (
        State.SERVING,
        State.REFRESHING,
        State.NEVER_TRANSFERRED,
    )
    return logging.DEBUG if fine else logging.INFO
