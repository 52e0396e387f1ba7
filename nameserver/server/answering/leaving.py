"""Zone versions that nobody is answered from any more, on their way out of memory, a slice in each turn of the loop.

A dict of a million owners that goes at once holds up queries for tens of milliseconds. And what still refers to such a
version, as an answer kept that was made from it does until it is asked for again, keeps an empty shell alive.
"""

import asyncio
from collections import deque
from collections.abc import Iterator

from nameserver.server.memory import give_back
from nameserver.zone.contents import DISMANTLED_AT_ONCE, Zone


class Leaving:
    """All of them, one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slices: deque[Iterator[None]] = deque()

    def take(self, zone: Zone) -> None:
        """A version that was replaced or whose zone is gone; a small one is left to go by itself."""
        if len(zone.nodes) <= DISMANTLED_AT_ONCE:
            return
        self._slices.append(zone.dismantled())
        if len(self._slices) == 1:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        for _ in self._slices[0]:
            break
        else:
            self._slices.popleft()
        if self._slices:
            self._loop.call_soon(self._go_on)
        else:
            give_back()
