"""What is to be said to other servers: a lane per server, in it the zones in line, a few of them being served at once.

    put ─▶ lane of the server: zone, zone, zone … ─▶ a few tasks ─▶ a place ─▶ a turn ─▶ `work`
                                                     per lane        over all lanes

A server that is silent holds up its own lane, and nobody else's. A zone stands in a lane once, with what was put last.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nameserver.refresh.pace import Pace
from nameserver.server.clocks import machine_clock

log = logging.getLogger("nameserver.lanes")

To = TypeVar("To", bound=Hashable)
What = TypeVar("What")


@dataclass(slots=True)
class Lane(Generic[What]):
    """What waits for one server, and the tasks that see to it."""

    waiting: dict[bytes, What] = field(default_factory=dict)  # by zone
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    serving: int = 0  # of the tasks, those that will look at `waiting` once more


class Lanes(Generic[To, What]):
    """The lanes of all servers. `work` is given the server, the zone and what was put for it.

    `at_once` of it run at a time, `at_once_to_one` of these for one server, and `rate` are begun in a second.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[To, bytes, What], Awaitable[None]],
        *,
        at_once: int,
        at_once_to_one: int,
        rate: float,
    ) -> None:
        self._name = name
        self._work = work
        self._at_once_to_one = at_once_to_one
        self._places = asyncio.Semaphore(at_once)
        self._pace = Pace(rate)
        self._lanes: dict[To, Lane[What]] = {}

    def put(self, to: To, zone: bytes, what: What) -> None:
        """Have it seen to, in turn; it takes the place of what waits for the same server and zone."""
        lane = self._lanes.get(to)
        if lane is None:
            lane = self._lanes[to] = Lane()
        lane.waiting[zone] = what
        if lane.serving < self._at_once_to_one:
            lane.serving += 1
            task = asyncio.create_task(self._serve(to, lane), name=f"{self._name} {to}")
            lane.tasks.add(task)
            task.add_done_callback(lambda done: self._ended(to, lane, done))

    def leave(self, zone: bytes, to: To | None = None) -> None:
        """Drop what waits of a zone: for one server, or for all. What is being done goes on."""
        lanes = self._lanes.values() if to is None else filter(None, (self._lanes.get(to),))
        for lane in lanes:
            lane.waiting.pop(zone, None)

    async def stop(self) -> None:
        """End everything."""
        tasks = [task for lane in self._lanes.values() for task in lane.tasks]
        for lane in self._lanes.values():
            lane.waiting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def lane(self, to: To) -> Lane[What] | None:
        """The lane of a server that something is to be said to."""
        return self._lanes.get(to)

    async def _serve(self, to: To, lane: Lane[What]) -> None:
        """See to one zone after the other while any is in the lane."""
        try:
            while lane.waiting:
                async with self._places:
                    await self._turn()
                    if not lane.waiting:
                        return
                    zone = next(iter(lane.waiting))
                    what = lane.waiting.pop(zone)
                    try:
                        await self._work(to, zone, what)
                    except Exception:  # whoever else stands in this lane is still to be seen to
                        log.exception("%s %s broke; please report this", self._name, to)
        finally:
            lane.serving -= 1

    async def _turn(self) -> None:
        now = machine_clock()
        wait = self._pace.turn(now) - now
        if wait > 0:
            await asyncio.sleep(wait)

    def _ended(self, to: To, lane: Lane[What], task: asyncio.Task[None]) -> None:
        lane.tasks.discard(task)
        if not lane.tasks and not lane.waiting and self._lanes.get(to) is lane:
            del self._lanes[to]
