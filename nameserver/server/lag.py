"""How late the event loop is, and what held it up.

    loop     ─ a tick every TICK seconds, late by whatever ran meanwhile ─▶ histogram; a warning above WARN
    a thread ─ looks at the loop's thread as often; where a tick is overdue, notes what runs there

While something runs for long, everybody else waits: queries, timers, heart-beats. That it happened shows in the metric;
the log says where. The thread costs some twenty microseconds a second.
"""

import asyncio
import logging
import sys
import threading
import time
from types import FrameType

from nameserver.telemetry.tally import LAG_BOUNDS, Histogram
from nameserver.telemetry.throttle import Throttle

TICK = 0.1  # seconds
WARN = 0.1  # seconds of lag that are worth a warning

_PACKAGE = __name__.partition(".")[0]

log = logging.getLogger("nameserver.lag")


class LoopWatch:
    """Watches one loop, from `start` to `stop`, both called in its thread. `lag` has what was measured."""

    def __init__(self, loop: asyncio.AbstractEventLoop, throttle: Throttle | None = None) -> None:
        self._loop = loop
        self._throttle = throttle or Throttle()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        self._thread_id = 0
        self._due = 0.0  # when the next tick should come, by time.monotonic
        self._computed = 0.0  # CPU time of the loop's thread at the last tick
        self._place = ""  # what ran while the tick was overdue
        self.lag = Histogram(LAG_BOUNDS)

    def start(self) -> None:
        """Begin."""
        self._thread_id = threading.get_ident()
        self._await_tick()
        threading.Thread(target=self._look, name="loop-watch", daemon=True).start()

    def stop(self) -> None:
        """End, the thread included, soon."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    def take(self) -> Histogram:
        """What was measured since the last call."""
        taken, self.lag = self.lag, Histogram(LAG_BOUNDS)
        return taken

    def _await_tick(self) -> None:
        self._place = ""
        self._computed = time.thread_time()
        self._due = time.monotonic() + TICK
        self._timer = self._loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        late = max(0.0, time.monotonic() - self._due)
        self.lag.observe(late)
        if late > WARN:
            self._warn(late)
        self._await_tick()

    def _warn(self, late: float) -> None:
        place = self._place or "an unknown place"
        if times := self._throttle.due(place):
            computed = time.thread_time() - self._computed
            more = f"; {times} times since this was last told" if times > 1 else ""
            text = "the event loop stood still for %.2f s in %s, computing for %.2f s of it%s"
            log.warning(text, late, place, min(computed, late), more)

    def _look(self) -> None:
        """The thread."""
        while not self._ended.wait(TICK):
            if not self._place and time.monotonic() - self._due > WARN:
                self._place = running_place(sys._current_frames().get(self._thread_id))


def running_place(frame: FrameType | None) -> str:
    """The innermost place of ours in a stack, as module:line (function); the very innermost where there is none."""
    innermost = frame
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
            break
        frame = frame.f_back
    found = frame or innermost
    if found is None:
        return ""
    return f"{found.f_globals.get('__name__', '?')}:{found.f_lineno} ({found.f_code.co_name})"
