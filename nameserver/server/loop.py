"""The choice of event loop: the only place that knows uvloop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from nameserver.errors import NameserverError


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
    """Run a coroutine to its end on the chosen loop."""
    with asyncio.Runner(loop_factory=loop_factory(choice)) as runner:
        runner.run(main())
