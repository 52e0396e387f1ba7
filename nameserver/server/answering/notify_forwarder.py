"""From a worker to the transfer process: the first NOTIFY of a zone at once, a storm as few messages.

    a NOTIFY ─▶ its zone was quiet in this window, and few zones were loud? ──▶ sent at once
            └─▶ else kept: one row for each zone, source and key, with its newest serial and a count
    the window ends ─▶ what was kept is sent, many rows to a message; once nothing was kept, there is no window

So what is sent and what is kept is bounded by how many zones there are, not by how many NOTIFYs come; and while the
transfer process does not take what it has been sent, nothing is added to it: rows are kept instead.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from nameserver.query.exchange import NotifyReceived
from nameserver.query.notify import newest_hint
from nameserver.wire import names

WINDOW = 0.02  # seconds
AT_ONCE = 20  # zones in a window whose first NOTIFY is sent without waiting for its end
MAX_SOURCES = 16  # kept by address and key for each zone; further ones are kept as one without
BATCH = 500  # rows in a message
MOST_UNREAD = 256 * 1024  # bytes in the channel beyond which nothing is sent


class NotifyRow(NamedTuple):
    """NOTIFYs of one zone from one source, as the channel carries them."""

    zone: str  # hexadecimal
    source: str  # "": several
    serial: int | None
    times: int
    key: str = ""  # the name of the TSIG key they verified under; "": unsigned, or several


@dataclass(slots=True)
class _Kept:
    """What is kept of one zone's NOTIFYs from one source under one key."""

    serial: int | None
    times: int = 0


class NotifyForwarder:
    """`send` passes rows on; `unread` tells how many bytes of what was sent before have not been taken yet."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, send: Callable[[list[NotifyRow]], None], unread: Callable[[], int]
    ) -> None:
        self._loop = loop
        self._send = send
        self._unread = unread
        self._loud: set[bytes] = set()  # zones of which something was sent in this window, or the one before
        self._kept: dict[bytes, dict[tuple[str, str], _Kept]] = {}
        self._open = False  # a window is

    def received(self, notify: NotifyReceived) -> None:
        """Pass on, or keep until the window ends."""
        zone = notify.zone
        if zone in self._loud or len(self._loud) >= AT_ONCE or self._unread() > MOST_UNREAD:
            self._keep(notify)
        else:
            self._loud.add(zone)
            self._send([NotifyRow(zone.hex(), notify.source, notify.serial, 1, _key_name(notify))])
        if not self._open:
            self._open_window()

    def _keep(self, notify: NotifyReceived) -> None:
        sources = self._kept.setdefault(notify.zone, {})
        sender, serial = (notify.source, _key_name(notify)), notify.serial
        if sender not in sources and len(sources) >= MAX_SOURCES:
            sender, serial = ("", ""), None  # somebody else as well: forged sources must not hide the primary's
        kept = sources.setdefault(sender, _Kept(serial))
        kept.serial = newest_hint(kept.serial, serial)
        kept.times += 1

    def _open_window(self) -> None:
        self._open = True
        self._loop.call_later(WINDOW, self._window_ended)

    def _window_ended(self) -> None:
        if self._unread() > MOST_UNREAD:
            self._open_window()
            return
        kept, self._kept = self._kept, {}
        self._loud = set(kept)
        self._open = False
        rows = [
            NotifyRow(zone.hex(), source, each.serial, each.times, key)
            for zone, sources in kept.items()
            for (source, key), each in sources.items()
        ]
        for start in range(0, len(rows), BATCH):
            self._send(rows[start : start + BATCH])
        if rows:
            self._open_window()


def _key_name(notify: NotifyReceived) -> str:
    return "" if notify.key is None else names.to_text(notify.key)
