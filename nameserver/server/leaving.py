"""Zone versions that nobody needs any more, on their way out of memory, a slice in each turn of the loop.

A dict of a million owners that goes at once holds up everything else for tens of milliseconds. And what still refers to
such a version, as an answer kept that was made from it does until it is asked for again, keeps an empty shell alive.
"""

import asyncio
from collections import deque
from collections.abc import Iterator

from nameserver.server.memory import give_back


class Leaving:
    """All of one process, one after the other; then what they took goes back to the system."""

    def __init__(self) -> None:
        self._slices: deque[Iterator[None]] = deque()

    def take(self, slices: Iterator[None]) -> None:
        """What is taken apart by going through this, as `Zone.dismantled`."""
        self._slices.append(slices)
        if len(self._slices) == 1:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        for _ in self._slices[0]:
            break
        else:
            self._slices.popleft()
        if self._slices:
            asyncio.get_running_loop().call_soon(self._go_on)
        else:
            give_back()
