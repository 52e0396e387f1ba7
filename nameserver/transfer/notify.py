"""NOTIFY out: telling other servers that a zone has changed, until they say they heard it (RFC 1996).

One `NotifySender` per zone. Each target goes its own way, so a silent one delays no other:

    publish ──▶ send ──(wait 1 s)──▶ send ──(3 s)──▶ … five more in all … ──(60 s)──▶ given up
                  │ answered with success, or by one who does not speak NOTIFY
                  ▼
                done                     a later `publish` starts every target afresh, with the new serial

To be called only once every worker answers from the new version: a secondary that asks at once must get it.
"""

from collections.abc import Container, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from nameserver.errors import Reason, TransferError
from nameserver.wire import codes

# seconds from one sending to the next; the last one is how long the last sending may still be answered
WAITS = (1.0, 3.0, 8.0, 20.0, 60.0, 60.0)

_FINAL = frozenset({codes.NOERROR, codes.FORMERR, codes.NOTIMP})

Target = TypeVar("Target", bound=Hashable)


class Send(NamedTuple, Generic[Target]):
    """Send a NOTIFY with this serial in its answer section to this target. `attempt` counts from 1."""

    target: Target
    serial: int
    attempt: int


class GaveUp(NamedTuple, Generic[Target]):
    """The target was told often enough. The last that was heard of it: an answer (`rcode`), or what failed.

    Both None: it was silent throughout.
    """

    target: Target
    serial: int
    rcode: int | None
    failure: TransferError | None = None


@dataclass(slots=True)
class _Pending:
    """A target that has not confirmed yet."""

    due: float
    attempts: int = 0
    rcode: int | None = None
    failure: TransferError | None = None


class NotifySender(Generic[Target]):
    """What of one zone's NOTIFYs is still to be sent. A target is anything hashable that the caller can send to."""

    __slots__ = ("_pending", "_serial")

    def __init__(self) -> None:
        self._serial = 0
        self._pending: dict[Target, _Pending] = {}

    def publish(self, serial: int, targets: Iterable[Target], now: float) -> None:
        """A version with this serial is being served: tell all targets. Supersedes what was under way before."""
        self._serial = serial
        self._pending = {target: _Pending(now) for target in targets}

    def add(self, target: Target, now: float) -> None:
        """Tell one target more of the serial that was published last."""
        self._pending[target] = _Pending(now)

    def keep(self, targets: Container[Target]) -> None:
        """Tell nobody any more who is none of these."""
        self._pending = {target: each for target, each in self._pending.items() if target in targets}

    def due(self, now: float) -> list[Send[Target] | GaveUp[Target]]:
        """What is to be sent now, and who has been given up since."""
        events: list[Send[Target] | GaveUp[Target]] = []
        for target, pending in [item for item in self._pending.items() if item[1].due <= now]:
            if pending.attempts == len(WAITS):
                del self._pending[target]
                events.append(GaveUp(target, self._serial, pending.rcode, pending.failure))
                continue
            pending.due = now + WAITS[pending.attempts]
            pending.attempts += 1
            events.append(Send(target, self._serial, pending.attempts))
        return events

    def answered(self, target: Target, rcode: int, serial: int | None = None) -> bool:
        """The target answered, to the NOTIFY that carried `serial` (None: the present one). True when that was news.

        Success ends it, and so does FORMERR or NOTIMP, from one who does not speak NOTIFY (RFC 1996 §3.12). REFUSED,
        NOTAUTH or SERVFAIL may come from a server that is only just learning of the zone: it is told again. An answer
        to a superseded serial, or to one already confirmed, says nothing.
        """
        pending = self._pending.get(target)
        if pending is None or serial not in (None, self._serial):
            return False
        pending.rcode, pending.failure = rcode, None
        if rcode in _FINAL:
            del self._pending[target]
        return True

    def failed(self, target: Target, failure: TransferError, serial: int) -> None:
        """There was no answer to the NOTIFY that carried `serial`, or none that may be believed: it is told again.

        Silence says less than what was heard before it, and does not take its place.
        """
        pending = self._pending.get(target)
        if pending is None or serial != self._serial:
            return
        heard_before = pending.rcode is not None or pending.failure is not None
        if not (heard_before and failure.reason is Reason.CONNECT_TIMEOUT):
            pending.rcode, pending.failure = None, failure

    @property
    def waiting(self) -> tuple[Target, ...]:
        """Targets that have not confirmed the present serial."""
        return tuple(self._pending)

    def next_deadline(self) -> float | None:
        """When to call `due`; None when nothing is under way."""
        return min((pending.due for pending in self._pending.values()), default=None)
