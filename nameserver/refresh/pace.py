"""How many checks the SOA timers may begin in a second, over all zones.

Thousands of zones may fall due in the same moment: after a start, after a suspend, with equal timers. Their primaries
are asked one after the other all the same. A zone whose timer has run out takes the next free turn and is due again
then: nothing waits but the zone's deadline, and turns are given in the order in which they were asked for.
"""


class Pace:
    """Turns, evenly spaced: `rate` a second, and no more in any second."""

    __slots__ = ("_free", "_interval")

    def __init__(self, rate: float) -> None:
        """Raises ValueError for a rate of zero or less."""
        if rate <= 0:
            raise ValueError("a pace needs a rate above zero")
        self._interval = 1.0 / rate
        self._free: float | None = None  # when the next turn is; None: none was taken yet

    def turn(self, now: float) -> float:
        """Take the next free turn; its time, which is `now` where nobody is in the way."""
        turn = now if self._free is None else max(now, self._free)
        self._free = turn + self._interval
        return turn
