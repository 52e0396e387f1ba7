"""Connections to primaries that are done with one zone and wait a moment for the next (RFC 7766 §6.2.1, RFC 5936 §4.1).

    take ──▶ an exchange ──▶ keep ─▶ idle for KEPT_FOR seconds ─▶ closed
      ▲                               │
      └───────────────────────────────┘

What a zone meets on such a connection may be due to the zones before it: whatever breaks off there, or makes no sense,
is asked for once more over a fresh connection, and only what comes of that counts. A primary where this happens again
and again (it takes one question per connection) gets a fresh connection for each, for an hour.
"""

import asyncio
import time
from dataclasses import dataclass

from nameserver.config.model import Endpoint, TlsPeer
from nameserver.errors import Reason, TransferError
from nameserver.refresh.outcome import CLASS_OF, FailureClass
from nameserver.server.zones.dialogue import Dialogue, Peer

KEPT_FOR = 2.0  # seconds
KEPT_AT_MOST = 20  # idle ones, of all primaries
LOSSES = 3  # in a row, of kept connections to one address, after which …
NOT_KEPT_FOR = 3600.0  # … none is kept for so many seconds

Line = tuple[Endpoint, str | None, TlsPeer | None]  # where to, from which address of ours, and who is to be there

# What is no word about a zone: the connection may have been used up, closed, or out of step.
_MAY_BE_THE_PAST = frozenset({FailureClass.STREAM, FailureClass.CONNECT})


@dataclass(slots=True)
class _Idle:
    line: Line
    dialogue: Dialogue
    until: float


class KeptConnections:
    """Idle connections, and which primaries are known to take one question on each."""

    def __init__(self) -> None:
        self._idle: list[_Idle] = []  # the one that is to be closed next comes first
        self._losses: dict[Line, int] = {}
        self._never: dict[Line, float] = {}  # until (monotonic)
        self._timer: asyncio.TimerHandle | None = None

    def take(self, peer: Peer) -> Dialogue | None:
        """One that the primary has not closed, as far as we know."""
        line = _line(peer)
        for index in range(len(self._idle) - 1, -1, -1):
            if self._idle[index].line == line:
                dialogue = self._idle.pop(index).dialogue
                if not dialogue.ended:
                    return dialogue
        return None

    def keep(self, peer: Peer, dialogue: Dialogue) -> None:
        """An exchange has come to its end, to the last octet of its answer."""
        line, now = _line(peer), time.monotonic()
        if self._never.get(line, 0.0) > now or not dialogue.rest():
            dialogue.close()
            return
        self._idle.append(_Idle(line, dialogue, now + KEPT_FOR))
        if len(self._idle) > KEPT_AT_MOST:
            self._idle.pop(0).dialogue.close()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEPT_FOR, self._sweep)

    def served_again(self, peer: Peer) -> None:
        """A kept connection has done for another exchange."""
        self._losses.pop(_line(peer), None)

    def is_to_blame(self, peer: Peer, dialogue: Dialogue, error: TransferError) -> bool:
        """Whether an exchange may have failed for what its kept connection was used for before."""
        unanswered = error.reason is Reason.IDLE_TIMEOUT and not dialogue.heard
        if CLASS_OF[error.reason] not in _MAY_BE_THE_PAST and not unanswered:
            return False
        line = _line(peer)
        losses = self._losses[line] = self._losses.get(line, 0) + 1
        if losses >= LOSSES or unanswered:
            now = time.monotonic()
            self._never = {each: until for each, until in self._never.items() if until > now}
            self._never[line] = now + NOT_KEPT_FOR
            del self._losses[line]
        return True

    def close(self) -> None:
        """Close all that are idle."""
        for each in self._idle:
            each.dialogue.close()
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer, now = None, time.monotonic()
        while self._idle and self._idle[0].until <= now:
            self._idle.pop(0).dialogue.close()
        if self._idle:
            wait = max(0.0, self._idle[0].until - now)
            self._timer = asyncio.get_running_loop().call_later(wait, self._sweep)


def _line(peer: Peer) -> Line:
    return peer.endpoint, peer.remote.source, peer.remote.tls
