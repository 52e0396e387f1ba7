"""Telling of what may happen a thousand times a second: the first time at once, then once a minute with a count."""

import time
from collections import OrderedDict
from collections.abc import Callable

INTERVAL = 60.0  # seconds between two mentions of one thing
MOST = 256  # things remembered; beyond that the one mentioned longest ago is forgotten


class Throttle:
    """Decides what is mentioned. A thing is whatever text stands for it: "OSError at nameserver.udp:90"."""

    def __init__(self, interval: float = INTERVAL, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()  # thing → last mentioned, times since

    def due(self, thing: str) -> int:
        """It happened once more: how often since it was last mentioned, this time included; 0: not to be told now."""
        now = self._clock()
        last, times = self._seen.get(thing, (None, 0))
        if last is not None and now - last < self._interval:
            self._seen[thing] = (last, times + 1)
            return 0
        self._seen[thing] = (now, 0)
        self._seen.move_to_end(thing)
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)
        return times + 1
