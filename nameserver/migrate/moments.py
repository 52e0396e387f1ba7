"""Times in sentences: the moment, which stays what it is, and how long until then, which does not."""

from datetime import UTC, datetime
from itertools import pairwise

_END = 253402300800  # the year 10000
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def moment(when: float) -> str:
    """Seconds since 1970 as 2026-11-23 17:53:29 UTC; as they are where no calendar has them."""
    if not 0 <= when < _END:
        return f"{when:.0f} s after 1970"
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def remaining(seconds: float) -> str:
    """A time span in its two largest units: "1d 23h", "5m 3s", "0s"."""
    left = max(round(seconds), 0)
    for (large, size), (small, part) in pairwise(_UNITS):
        if left >= size:
            rest = left % size // part
            return f"{left // size}{large}" + (f" {rest}{small}" if rest else "")
    return f"{left}s"
