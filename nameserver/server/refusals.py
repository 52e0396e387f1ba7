"""Transfers and NOTIFYs that a worker turned away, on their way into the log and the metrics.

Anyone can cause them, at any rate. So each heart-beat carries the first few as they were and the rest as counts; and of
those few, over all workers, a source that goes on and on gets one line a minute, and a crowd of them a few lines.
"""

from collections import Counter, defaultdict
from typing import Any

from nameserver.query.exchange import Refused
from nameserver.wire import names

SHOWN = 20  # per heart-beat and kind
LINES = 20  # per minute and kind
MINUTE = 60.0

Json = dict[str, Any]
Kind = tuple[str, str]  # what was asked, and the reason why it was refused


class Refusals:
    """What a worker has turned away since its last heart-beat."""

    def __init__(self) -> None:
        self._shown: list[Json] = []
        self._count: Counter[Kind] = Counter()

    def add(self, refused: Refused) -> None:
        """One more."""
        kind = refused.asked, refused.reason
        self._count[kind] += 1
        if self._count[kind] > SHOWN:
            return
        key = names.to_text(refused.key) if refused.key else ""
        zone = names.to_text(refused.zone)
        self._shown.append(
            {"asked": refused.asked, "reason": refused.reason, "zone": zone, "source": refused.source, "key": key}
        )

    def take(self) -> Json:
        """Everything since the last call."""
        shown, more = self._shown, [[*kind, count - SHOWN] for kind, count in self._count.items() if count > SHOWN]
        self._shown, self._count = [], Counter()
        return {"shown": shown, "more": more}


class RefusalLog:
    """Which refusals get a line of their own, and how many did not."""

    def __init__(self) -> None:
        self._until = 0.0  # monotonic: when the present minute ends
        self._told: defaultdict[Kind, set[tuple[str, str]]] = defaultdict(set)  # zone and source
        self._untold: Counter[Kind] = Counter()

    def wants(self, kind: Kind, zone: str, source: str) -> bool:
        """Whether to write a line about this one: the first of its minute, and not one of too many."""
        told = self._told[kind]
        if (zone, source) in told or len(told) >= LINES:
            self._untold[kind] += 1
            return False
        told.add((zone, source))
        return True

    def skipped(self, kind: Kind, count: int) -> None:
        """Some more of which nothing is known but their number."""
        self._untold[kind] += count

    def minute(self, now: float) -> list[tuple[Kind, int]]:
        """Once a minute: how many were not told of, by kind. `now` is monotonic."""
        if now < self._until:
            return []
        untold, self._untold = self._untold, Counter()
        self._told.clear()
        self._until = now + MINUTE
        return list(untold.items())
