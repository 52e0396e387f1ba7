"""Measuring CPU time inside tests, for claims of the form "no packet costs more than …"."""

import sys
import time
from collections.abc import Callable


def least_cpu_seconds(call: Callable[[], object], rounds: int = 7) -> float:
    """CPU seconds of the quickest of several calls: what the work itself costs, not what else the machine does.

    A coverage tracer is set aside meanwhile, as it costs more than the code that it watches.
    """
    tracer = sys.gettrace()
    least = float("inf")
    try:
        sys.settrace(None)
        for _ in range(rounds):
            start = time.process_time()
            call()
            least = min(least, time.process_time() - start)
    finally:
        sys.settrace(tracer)
    return least
