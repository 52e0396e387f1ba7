"""When which zone is to be looked at: one heap of deadlines for all zones, one timer for the first of them.

It wakes at the latest after `LONGEST_SLEEP`, to notice that the wall clock was set: that, and no more, is what ten
thousand idle zones cost.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Mapping

from nameserver.server.clocks import WallClock, machine_clock
from nameserver.server.zones.entry import ZoneEntry

HEAP_SLACK = 1000  # superseded deadlines kept before they are swept out
DUE_AT_ONCE = 200  # zones whose time has come that are seen to in one turn of the loop
LONGEST_SLEEP = 5.0  # seconds: a clock that went on during a suspend is noticed this soon
BROKEN_CLOCK_WAIT = 30.0  # seconds until a zone whose clock broke is looked at again

log = logging.getLogger("nameserver.zones")


class Deadlines:
    """The deadlines of all zones' machines."""

    def __init__(
        self,
        entries: Mapping[bytes, ZoneEntry],
        on_due: Callable[[ZoneEntry, float], None],
        on_clock_set: Callable[[float], None],
        clock: Callable[[], float] = machine_clock,
    ) -> None:
        """`on_due` gets a zone whose time has come, and the time; `on_clock_set` by how far the wall clock was set."""
        self._entries = entries
        self._on_due = on_due
        self._on_clock_set = on_clock_set
        self._clock = clock
        self._heap: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0  # on the loop's clock
        self._wall_clock = WallClock()
        self._stopped = False

    def schedule(self, entry: ZoneEntry) -> None:
        """A zone's machine has moved: its deadline may be another."""
        deadline = entry.machine.next_deadline() if entry.machine else None
        if deadline == entry.queued:
            return
        entry.queued = deadline
        if deadline is not None:
            heapq.heappush(self._heap, (deadline, next(self._order), entry.config.name))
            if len(self._heap) > 2 * len(self._entries) + HEAP_SLACK:
                self._rebuild_heap()
            if self._timer is None or self._heap[0][0] == deadline:  # else it is armed for an earlier one
                self._arm()

    def stop(self) -> None:
        """Wake no more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _rebuild_heap(self) -> None:
        """Leave out superseded deadlines: a busy zone with a long refresh time would pile them up."""
        queued = [(each.queued, each.config.name) for each in self._entries.values() if each.queued is not None]
        self._heap = [(deadline, next(self._order), name) for deadline, name in queued]
        heapq.heapify(self._heap)

    def _arm(self) -> None:
        if not self._heap or self._stopped:
            return
        loop = asyncio.get_running_loop()
        wait = min(max(self._heap[0][0] - self._clock(), 0.0), LONGEST_SLEEP)
        when = loop.time() + wait
        if self._timer is not None:
            if self._armed_for <= when:
                return
            self._timer.cancel()
        # Not asked of the handle: uvloop's has no `when` for what is due at once.
        self._armed_for = when
        self._timer = loop.call_at(when, self._due)

    def _due(self) -> None:
        self._timer = None
        try:
            if step := self._wall_clock.step():
                self._on_clock_set(step)
            self._look_at_the_due()
        finally:  # whatever broke, time goes on
            self._arm()

    def _look_at_the_due(self) -> None:
        now = self._clock()
        seen = 0
        while self._heap and self._heap[0][0] <= now and seen < DUE_AT_ONCE:
            deadline, _, name = heapq.heappop(self._heap)
            entry = self._entries.get(name)
            if entry is None or entry.machine is None or entry.queued != deadline:
                continue
            entry.queued = None
            seen += 1
            try:
                self._on_due(entry, now)
            except Exception:  # one zone's fault must not stop the clock of all
                log.exception("zone %s: its clock broke; please report this", entry.config.text)
                entry.queued = now + BROKEN_CLOCK_WAIT
                heapq.heappush(self._heap, (entry.queued, next(self._order), name))
