"""The choice of event loop: the only place that knows uvloop."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from nameserver.errors import NameserverError

CLOSE_PATIENCE = 5.0  # seconds for a loop to be closed


def loop_factory(choice: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The factory for "uvloop", "asyncio" or "auto" (uvloop where installed); None is asyncio's own."""
    if choice == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if choice == "uvloop":
            raise NameserverError('event-loop = "uvloop", but uvloop is not installed') from None
        return None
    return uvloop.new_event_loop


def run(main: Callable[[], Coroutine[Any, Any, None]], choice: str) -> None:
    """Run a coroutine to its end on the chosen loop; the process is about to end then, and does so.

    uvloop's `close` waits, deaf to signals, for every handle to be closed, and was seen to wait for ever (rarely, with
    a socket that was being closed when the loop ended). By then nothing is left to do, so a process that does not get
    beyond it leaves without.
    """
    status = 1
    last_resort = threading.Timer(CLOSE_PATIENCE, lambda: os._exit(status))
    last_resort.daemon = True
    try:
        with asyncio.Runner(loop_factory=loop_factory(choice)) as runner:
            try:
                runner.run(_and_settle(main))
                status = 0
            finally:
                last_resort.start()
    finally:
        last_resort.cancel()


async def _and_settle(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Give what was closed at the very end the turns of the loop that it takes to be closed."""
    await main()
    for _ in range(3):
        await asyncio.sleep(0)
