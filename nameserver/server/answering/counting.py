"""What was answered by a short cut reaches the counters a moment later, in one go."""

import asyncio
from collections.abc import Callable

from nameserver.query.pipeline import Pipeline
from nameserver.query.shortcuts import Shortcuts

COUNT_AFTER = 0.1  # seconds


class CountedShortcuts(Shortcuts):
    """The shortcuts of a process, which count when something was answered and no timer else: idle is idle."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pipeline: Pipeline, locate: Callable[[bytes], int]) -> None:
        super().__init__(pipeline, locate)
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def count_soon(self) -> None:
        """Something was answered."""
        if self._timer is None:
            self._timer = self._loop.call_later(COUNT_AFTER, self.count)

    def count(self) -> None:
        """Bring the counters up to date now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().count()
