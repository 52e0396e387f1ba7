"""The wall clock as TSIG wants it. A module of its own: workers need no transfer code, nor the puller a worker's."""

import time


def wall_clock() -> int:
    """Whole seconds since the epoch (RFC 8945 §4.2, Time Signed)."""
    return int(time.time())
