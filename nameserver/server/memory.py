"""Memory that was needed for a moment and is not any more: finding it, and giving it back to the system.

The C library keeps what was freed for later, in case as much is needed again. After a large zone that is megabytes of
message buffers, chunks and lists, which nobody needs before the zone's next whole transfer.
"""

import ctypes
import gc
from collections.abc import Callable

# Objects made and not freed by counting, until those of them are looked through for cycles; such passes until the next
# generation is looked through too, which in the last one means everything there is.
GENERATIONS = (10_000, 20, 20)


def _find() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None  # a C library other than glibc
    return trim


_trim = _find()


def collect_seldom() -> None:
    """Have the garbage collector look for cycles more seldom than it does by itself.

    We make few, and ten thousand zones are half a million objects that stay: while they are made, and taken in, it
    would go through all of them again and again, which took 40 % of the time.
    """
    gc.set_threshold(*GENERATIONS)


def give_back() -> None:
    """Return freed memory to the system, where the C library can: some milliseconds' work."""
    if _trim is not None:
        _trim(0)
