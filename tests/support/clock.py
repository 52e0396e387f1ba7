"""A clock that tests move by hand: nothing in the suite sleeps to see time pass."""


class ManualClock:
    """Seconds as a float; call it to read it. Never goes back unless a test says so with `set`."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Moves on by `seconds` (>= 0) and returns the new time."""
        if seconds < 0:
            raise ValueError("a clock advances; use set() to turn it back on purpose")
        self.now += seconds
        return self.now

    def set(self, now: float) -> None:
        """Jumps to `now`, in either direction."""
        self.now = now
