"""Who is answered next, of the connections that have asked for much.

A turn of the loop answers a bounded number of messages over all connections, so that datagrams, timers and newcomers
never wait for longer than that takes, however many clients send however much. Who asks for little while nobody waits is
answered at once; else all stand in one line, and each is answered a few messages when it comes to the front.
"""

import asyncio
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

TURN = 32  # messages answered before other sockets and timers get their turn
SHARE = 8  # of them, those of one connection while others wait


class Asker(Protocol):
    """A connection. Equal to nothing but itself."""

    @property
    def can_go_on(self) -> bool:
        """Whether there is something to answer that can be answered now."""

    def work(self, most: int) -> int:
        """Answer at most so many messages; how many it was, at least one where it `can_go_on`."""


A = TypeVar("A", bound=Asker)


class Turns(Generic[A]):
    """The line, and what is left of the loop's turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._line: OrderedDict[A, None] = OrderedDict()
        self._left = TURN
        self._next: asyncio.Handle | None = None

    def want(self, asker: A) -> None:
        """It has something to be answered: now, or when its turn comes."""
        if asker in self._line:
            return
        try:
            if self._line or self._left <= 0:
                self._line[asker] = None
            else:
                self._serve(asker)
        finally:
            self._arm()

    def leave(self, asker: A) -> None:
        """It is gone, or wants nothing any more; no matter whether it stood in the line."""
        self._line.pop(asker, None)

    def _begin(self) -> None:
        """A turn of the loop begins."""
        self._next = None
        self._left = TURN
        try:
            while self._line and self._left > 0:
                self._serve(self._line.popitem(last=False)[0])
        finally:
            self._arm()

    def _serve(self, asker: A) -> None:
        self._left -= asker.work(min(SHARE, self._left))
        if asker.can_go_on:
            self._line[asker] = None

    def _arm(self) -> None:
        """The next turn matters where somebody waits for it, or where this one is begun."""
        if self._next is None and (self._line or self._left < TURN):
            self._next = self._loop.call_soon(self._begin)
