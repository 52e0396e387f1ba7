"""Zone files for the control socket: begun with one request, taken piece by piece with the following ones.

    {"verb": "export", "zone": Z}            ──▶ {"export": 7, "serial": …, "records": …}
    {"verb": "export-piece", "export": 7}    ──▶ {"text": "…"}, {"text": "…"}, …, {"text": ""}

All pieces are of the version that was stored when it began, whatever is published meanwhile. The work is done in a
thread, a piece at a time. What nobody takes any more is given up.
"""

import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nameserver.control.protocol import ControlError, Json
from nameserver.store.reader import StoreReader

if TYPE_CHECKING:
    from nameserver.store.zone_export import ZoneExport

AT_ONCE = 4
IDLE_LIMIT = 60.0  # seconds after which an export whose pieces are not taken is given up


@dataclass(slots=True)
class _Export:
    export: "ZoneExport"
    pieces: Iterator[bytes]
    giving_up: asyncio.TimerHandle | None = None


class Exports:
    """The exports under way. All methods run in the event loop."""

    def __init__(self, store: Path, idle_limit: float = IDLE_LIMIT) -> None:
        self._reader = StoreReader(store)
        self._directory = store.parent
        self._idle_limit = idle_limit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="export")
        self._numbers = itertools.count(1)
        self._running: dict[int, _Export] = {}

    async def begin(self, name: bytes, text: str) -> Json:
        """Begin an export of a zone. Raises ControlError where there is nothing of it, or too much goes on."""
        if len(self._running) >= AT_ONCE:
            raise ControlError(f"{AT_ONCE} exports are under way; try again when one has ended")
        loop = asyncio.get_running_loop()
        export = await loop.run_in_executor(self._thread, _begin, self._reader, name, self._directory)
        if export is None:
            raise ControlError(f"no version of zone {text} is stored: there is nothing to export")
        number = next(self._numbers)
        self._running[number] = _Export(export, export.pieces())
        self._wait_for_taker(number)
        return {"export": number, "serial": export.meta.serial, "records": export.meta.records}

    async def piece(self, number: object) -> Json:
        """The next piece; empty at the end. Raises ControlError for an export that is not under way, StoreError."""
        running = self._running.get(number) if isinstance(number, int) else None
        if running is None or not isinstance(number, int):
            raise ControlError("there is no such export: it ended, or nobody took its pieces for a minute")
        if running.giving_up is not None:
            running.giving_up.cancel()
        loop = asyncio.get_running_loop()
        try:
            piece = await loop.run_in_executor(self._thread, next, running.pieces, b"")
        except BaseException:
            self._running.pop(number, None)
            raise
        if piece:
            self._wait_for_taker(number)
        else:
            self._running.pop(number, None)
        return {"text": piece.decode("ascii")}

    def _wait_for_taker(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        self._running[number].giving_up = loop.call_later(self._idle_limit, self._give_up, number)

    def _give_up(self, number: int) -> None:
        running = self._running.pop(number, None)
        if running is not None:
            self._thread.submit(running.pieces.close)  # type: ignore[attr-defined]
            self._thread.submit(running.export.close)

    async def stop(self) -> None:
        """Give everything up."""
        for number, running in list(self._running.items()):
            if running.giving_up is not None:
                running.giving_up.cancel()
            self._give_up(number)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._reader.close)
        self._thread.shutdown()


def _begin(reader: StoreReader, name: bytes, directory: Path) -> "ZoneExport | None":
    from nameserver.store.zone_export import ZoneExport  # with dnspython, which few daemons need and a start waits for

    return ZoneExport.begin(reader, name, directory)
