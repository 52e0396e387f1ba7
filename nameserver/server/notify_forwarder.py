"""From a worker to the transfer process: the first NOTIFY at once, a storm as one message per zone and window."""

import asyncio
from collections.abc import Callable

from nameserver.query.exchange import NotifyReceived

WINDOW = 0.05  # seconds in which further NOTIFYs of a zone are put together
MAX_SOURCES = 16  # primaries remembered per zone and window


class NotifyForwarder:
    """Coalesces by zone; remembers each source, and the last serial that it hinted at."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, send: Callable[[bytes, str, int | None], None], window: float = WINDOW
    ) -> None:
        self._loop = loop
        self._send = send
        self._window = window
        self._waiting: dict[bytes, dict[str, int | None]] = {}  # zones within their window

    def received(self, notify: NotifyReceived) -> None:
        """Pass on, or remember until the zone's window ends."""
        waiting = self._waiting.get(notify.zone)
        if waiting is None:
            self._waiting[notify.zone] = {}
            self._send(notify.zone, notify.source, notify.serial)
            self._loop.call_later(self._window, self._window_ended, notify.zone)
        elif notify.source in waiting or len(waiting) < MAX_SOURCES:
            waiting[notify.source] = notify.serial

    def _window_ended(self, zone: bytes) -> None:
        waiting = self._waiting.pop(zone)
        if not waiting:
            return
        for source, serial in waiting.items():
            self._send(zone, source, serial)
        self._waiting[zone] = {}
        self._loop.call_later(self._window, self._window_ended, zone)
