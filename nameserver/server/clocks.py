"""The two clocks, and what each is for.

The machine clock never steps back and goes on while the machine is suspended: every timer that runs goes by it. The
wall clock may be set at any moment, by an operator, by NTP, by a machine that boots without one: only what outlives the
process goes by it (times in the store), and what others see (signatures, logs, status). So setting it expires nothing
and starts nothing; but times in the store then are of another age than the clock that they will be compared with, and
have to be written anew: see `WallClock`.
"""

import logging
import math
import time
from collections.abc import Iterable

from nameserver.telemetry.words import timestamp

CLOCK_BEHIND = 60.0  # seconds by which the clock may be behind the last check of a stored zone
TOLERANCE = 2.0  # seconds by which the clocks may run apart, as they do while NTP slews, before that is a step
_MACHINE = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

log = logging.getLogger("nameserver.zones")


def machine_clock() -> float:
    """The clock of the refresh machines: never steps back, and goes on while the machine is suspended."""
    return time.clock_gettime(_MACHINE)


def to_wall(when: float | None) -> float | None:
    """A moment of the machine clock as wall-clock time; None stays None, never becomes None."""
    if when is None or math.isinf(when):
        return None
    return time.time() + when - machine_clock()


def from_wall(when: float) -> float:
    """A moment of the wall clock, as it is set now, on the machine clock."""
    return when - time.time() + machine_clock()


class WallClock:
    """Notices that the wall clock was set, by how far it and the machine clock are apart."""

    def __init__(self) -> None:
        self._apart = time.time() - machine_clock()

    def step(self) -> float:
        """By how many seconds it was set since the last step (back: negative); 0.0 while it was not."""
        apart = time.time() - machine_clock()
        step = apart - self._apart
        if abs(step) < TOLERANCE:
            return 0.0
        self._apart = apart
        return step


def tell_if_behind(checked: Iterable[float]) -> None:
    """Say so where the clock is behind what the store holds: it was not set yet, or it was wrong before.

    `checked` is when stored zones were checked last, by the wall clock.
    """
    last = max(checked, default=0.0)
    if last - time.time() > CLOCK_BEHIND:
        log.warning(
            "the clock says %s, but stored zones were checked at %s: it was set back, or is wrong. How old they "
            "are cannot be told; they are served as if just checked, and are checked now",
            timestamp(time.time()),
            timestamp(last),
        )
