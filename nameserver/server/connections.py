"""The connections of a small stream server (control socket, HTTP): bounded in number, each a task, ended together."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Connections:
    """What asyncio's `start_server` is given as its callback is `accept`; `serve` has the conversation.

    One beyond `limit` is reset. Where `serve` ends with a broken connection or a time limit, the other side is gone or
    too slow, and nobody is left to be told.
    """

    def __init__(self, serve: Serve, limit: int) -> None:
        self._serve = serve
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= self._limit:
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):  # cancelled: by `end`
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def end(self, more: Iterable[asyncio.Task[object]] = ()) -> None:
        """End every connection, and whatever tasks go with them."""
        tasks: list[asyncio.Task[object]] = [*self._tasks, *more]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
