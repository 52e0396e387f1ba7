"""Where log lines go: a descriptor that may be slow, stuck, full or closed, and is never waited for.

Standard error is mostly a pipe, and who reads it (journald, a container's runtime, a terminal with Ctrl-S pressed) may
stop reading. A server that waits for its log has stopped then.

    line ─▶ taken at once ──────────────────────────────▶ written
         ─▶ not taken     ─▶ kept, up to KEPT octets ───▶ written by a thread, as soon as they are taken
         ─▶ nothing to keep it in, or an error (disk full, nobody there) ─▶ lost and counted; the next line says so

Where ten thousand zones come in, so many lines are written: what is no warning and comes within `GATHER` of a line
before goes out together with what follows it.
"""

import asyncio
import logging
import math
import os
import select
import stat
import threading
import time
from collections import deque

KEPT = 4 * 1024 * 1024  # octets that wait for a reader
PIECE = 4096  # octets that a pipe with any room at all takes without waiting (PIPE_BUF)
GATHER = 0.01  # seconds between two writes of what is no warning
GATHERED = 100  # lines that are written at once
LAST_PATIENCE = 1.0  # seconds at the end of the process for what is still kept


class Outlet:
    """Writes lines to `descriptor` without waiting. `lost` counts those that could not be written."""

    def __init__(self, descriptor: int, kept: int = KEPT) -> None:
        self._descriptor = descriptor
        self._room = kept
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._is_file = _is_file(descriptor)  # which always takes what it is given
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._thread: threading.Thread | None = None
        self._torn = False  # the last line was not written to its end
        self.lost = 0

    def write(self, line: bytes, count: int = 1) -> bool:
        """Write one line, its line feed included, or `count` of them; False when they are lost."""
        with self._lock:
            if self._waiting:
                return self._keep(line, count)
            if self._torn:
                line = b"\n" + line
            try:
                rest = self._push(line)
            except OSError:
                self.lost += count
                return False
            self._torn = False
            return not rest or self._keep(rest, count)

    def flush(self, patience: float) -> None:
        """Give what is kept some time to be taken."""
        until = time.monotonic() + patience
        while self._waiting and time.monotonic() < until:
            time.sleep(0.01)

    def _push(self, data: bytes) -> bytes:
        """Write what is taken at once; what is left. Raises OSError."""
        while data:
            if not self._is_file and not self._poll.poll(0):
                return data
            done = os.write(self._descriptor, data[:PIECE])
            self._torn = True
            data = data[done:]
        return b""

    def _keep(self, data: bytes, count: int) -> bool:
        if len(data) > self._room:
            self.lost += count
            return False
        self._room -= len(data)
        self._waiting.append(data)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_kept, name="log", daemon=True)
            self._thread.start()
        return True

    def _write_kept(self) -> None:
        """The thread: ends when nothing is kept any more."""
        while True:
            self._poll.poll()
            with self._lock:
                data = self._waiting.popleft()
                try:
                    rest = self._push(data)
                except OSError:
                    rest = b""
                    self.lost += 1
                self._room += len(data) - len(rest)
                if rest:
                    self._waiting.appendleft(rest)
                elif not self._waiting:
                    self._torn = False
                    self._thread = None
                    return


def _is_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False


class OutletHandler(logging.Handler):
    """The handler of all that is logged."""

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self._outlet = Outlet(descriptor)
        self._told = 0  # lost lines that were mentioned
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0  # the loop's
        self._gathered: list[bytes] = []
        self._alone = threading.RLock()  # as the handler's own, which the loop does not take when it calls
        self._free = -math.inf  # monotonic: when the next line need not wait for others

    def gather(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called in the loop's thread: from now on what comes in quick succession there is written together."""
        self._loop, self._thread = loop, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, and before it how many are missing; or put it with those that are written soon."""
        loop, now = self._loop, time.monotonic()
        if loop is None or record.levelno >= logging.WARNING or self._thread != threading.get_ident():
            self._write_gathered()
            self._write(record)
        elif self._gathered:
            self._gathered.append(self._line(record))
            if len(self._gathered) >= GATHERED:
                self._write_gathered()
        elif now < self._free and not loop.is_closed():
            self._gathered.append(self._line(record))
            loop.call_later(self._free - now, self._write_gathered)
        else:
            self._free = now + GATHER
            self._write(record)

    def _write_gathered(self) -> None:
        with self._alone:
            gathered, self._gathered = self._gathered, []
            if gathered:
                self._outlet.write(b"".join(gathered), len(gathered))
                self._free = time.monotonic() + GATHER

    def _write(self, record: logging.LogRecord) -> None:
        if missing := self._outlet.lost - self._told:
            self._told += missing
            if not self._outlet.write(self._line(_missing(record, missing))):
                self._told += 1 - missing  # nor could this be said; that it was lost is not to be said as well
        self._outlet.write(self._line(record))

    def _line(self, record: logging.LogRecord) -> bytes:
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a line that cannot be made costs nobody more than that line
            text = f"a log line could not be made: {record.msg!r} from {record.name}:{record.lineno}"
        return text.encode("utf-8", "backslashreplace") + b"\n"

    def flush(self) -> None:
        """At the end of the process: write what was gathered, give what is kept a moment."""
        self._write_gathered()
        self._outlet.flush(LAST_PATIENCE)


def _missing(record: logging.LogRecord, count: int) -> logging.LogRecord:
    text = "%d lines of this log are missing here: they could not be written"
    return logging.LogRecord(record.name, logging.WARNING, record.pathname, record.lineno, text, (count,), None)
