"""An event loop whose time a test moves by hand, and a transport to nowhere: for what a protocol does when."""

import heapq
import itertools
from collections.abc import Callable


class Timer:
    """A handle as `call_later` gives it."""

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self._when = when
        self.call = call
        self.cancelled = False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.cancelled = True


class ManualLoop:
    """`time`, `call_later` and `call_soon` of a loop; nothing happens but in `advance`."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self._now

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        timer = Timer(self._now + delay, call)
        heapq.heappush(self._timers, (timer.when(), next(self._order), timer))
        return timer

    def call_soon(self, call: Callable[[], None]) -> Timer:
        return self.call_later(0.0, call)

    def advance(self, seconds: float = 0.0) -> None:
        """Let time pass, and all that falls due in it happen in order."""
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            if not timer.cancelled:
                timer.call()
        self._now = end


class NoTransport:
    """What a protocol writes to: `written` is all of it, `unsent` what the test says is still on its way."""

    def __init__(self) -> None:
        self.written = b""
        self.unsent = 0
        self.reading = True
        self.closed = ""

    def set_write_buffer_limits(self, **_: int) -> None:
        pass

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading

    def is_closing(self) -> bool:
        return bool(self.closed)

    def close(self) -> None:
        self.closed = self.closed or "closed"

    def abort(self) -> None:
        self.closed = "aborted"
