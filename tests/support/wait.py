"""Waiting for something outside this process, bounded, with a reason when it does not come."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    predicate: Callable[[], T],
    timeout: float = 10.0,
    what: str = "",
    every: float = 0.05,
    explain: Callable[[], str] | None = None,
) -> T:
    """Calls `predicate` until it returns something true and returns that; AssertionError after `timeout` s.

    The one place in the suite that sleeps: what it waits for happens in another process.
    """
    deadline = time.monotonic() + timeout
    while not (result := predicate()):
        if time.monotonic() > deadline:
            more = f"\n{explain()}" if explain else ""
            raise AssertionError(f"waited {timeout:g} s in vain for {what or predicate.__name__}{more}")
        time.sleep(every)
    return result
