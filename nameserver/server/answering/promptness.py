"""Being woken at once while another process of ours computes: short turns, asked of Linux's scheduler.

A worker sleeps most of the time and runs for some microseconds when a query comes. While a zone is taken in, the
transfer process computes for seconds. Where both have one core, a query waits for the end of that one's turn, which is
four milliseconds. Since Linux 6.12 a process may ask for shorter turns of its own (`sched_setattr`): it gets no more of
the processor than before, but whoever has a longer turn is interrupted for it. Elsewhere nothing changes.
"""

import ctypes
import os
from struct import Struct

TURN = 100_000  # nanoseconds: the shortest that the kernel takes

# Its number by machine: the C library has a function for it since glibc 2.41 only.
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274, "loongarch64": 274, "ppc64le": 355, "s390x": 345}
_ATTRIBUTES = Struct("=IIQiIQQQ")  # size, policy, flags, niceness, priority; runtime, deadline, period


def ask_for_short_turns() -> bool:
    """For the calling thread and those that it starts; False where the system cannot or does not let us."""
    number = _SCHED_SETATTR.get(os.uname().machine)
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False  # an operator who chose another policy knows why
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, niceness, 0, TURN, 0, 0)
    try:
        done: int = ctypes.CDLL(None).syscall(number, 0, attributes, 0)
    except (OSError, AttributeError):
        return False
    return done == 0
