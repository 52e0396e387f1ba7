"""Transfers and NOTIFYs that a worker turned away, on their way into the log and the metrics.

Anyone can cause them, at any rate: each heart-beat carries the first few as they were and the rest as counts.
"""

from collections import Counter
from typing import Any

from nameserver.query.exchange import Refused
from nameserver.wire import names

SHOWN = 20  # per heart-beat

Json = dict[str, Any]


class Refusals:
    """What has been turned away since the last heart-beat."""

    def __init__(self) -> None:
        self._shown: list[Json] = []
        self._more: Counter[tuple[str, str]] = Counter()  # asked, reason

    def add(self, refused: Refused) -> None:
        """One more."""
        if len(self._shown) >= SHOWN:
            self._more[refused.asked, refused.reason] += 1
            return
        key = names.to_text(refused.key) if refused.key else ""
        zone = names.to_text(refused.zone)
        self._shown.append(
            {"asked": refused.asked, "reason": refused.reason, "zone": zone, "source": refused.source, "key": key}
        )

    def take(self) -> Json:
        """Everything since the last call."""
        shown, more = self._shown, self._more
        self._shown, self._more = [], Counter()
        return {"shown": shown, "more": [[asked, reason, count] for (asked, reason), count in more.items()]}
