"""An event loop whose clock jumps: hours of timers in as long as the work between them takes.

    run_virtually(lambda clock: scenario(clock))

When nothing is left to do now, time is the next timer's. What runs in threads, and what comes over sockets that are
ready, is waited for first, so it takes no time at all by this clock.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Never sleeps: says what is ready, or moves the clock."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.in_threads:
            return super().select(1.0)  # the thread's end writes to a socket of the loop's own
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will happen any more")
        self.loop.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`now` is the time, in seconds; it begins where the caller says."""

    def __init__(self, now: float = 10_000.0) -> None:
        self.now = now
        self.in_threads = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        self.in_threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._back)
        return future

    def _back(self, _future: asyncio.Future[Any]) -> None:
        self.in_threads -= 1


def run_virtually(scenario: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in such a loop to its end."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(scenario(loop))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
