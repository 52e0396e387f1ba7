"""Memory that was needed for a moment and is not any more: giving it back to the system.

The C library keeps what was freed for later, in case as much is needed again. After a large zone that is megabytes of
message buffers, chunks and lists, which nobody needs before the zone's next whole transfer.
"""

import ctypes
from collections.abc import Callable


def _find() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None  # a C library other than glibc
    return trim


_trim = _find()


def give_back() -> None:
    """Return freed memory to the system, where the C library can: some milliseconds' work."""
    if _trim is not None:
        _trim(0)
