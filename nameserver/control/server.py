"""The control socket: a Unix socket over which the operator's commands ask and order.

Who may connect is decided by the file's mode (0660: owner and group). Clients are trusted to order, not to be well
behaved: requests are bounded in size, every wait in time.
"""

import asyncio
import errno
import logging
import os
import socket
import stat
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nameserver.control.protocol import MAX_REQUEST, ControlError, Json, decode, encode
from nameserver.errors import NameserverError
from nameserver.server.connections import Connections

Verb = Callable[[Json], Coroutine[Any, Any, Json]]

MODE = 0o660
MAX_CONNECTIONS = 256  # most of them wait for a serial (`server.waiting`)
IDLE_LIMIT = 60.0  # seconds between two requests
VERB_LIMIT = 30.0  # seconds for a verb, where the request brings no "timeout" of its own
LIST_PART = 100  # elements of a list encoded between two turns of the loop
LONGEST_TIMEOUT = 86_400.0  # what a request's "timeout" may ask for, seconds

log = logging.getLogger("nameserver.control")


class ControlServer:
    """Serves `verbs` on `path`. A verb gets the request and returns what stands beside "ok" in the response.

    A verb raises ControlError (or any NameserverError) to answer `{"ok": false, "error": …}`.
    """

    def __init__(
        self,
        path: Path,
        verbs: Mapping[str, Verb],
        *,
        idle_limit: float = IDLE_LIMIT,
        verb_limit: float = VERB_LIMIT,
    ) -> None:
        self._path = path
        self._verbs = dict(verbs)
        self._idle_limit = idle_limit
        self._verb_limit = verb_limit
        self._server: asyncio.Server | None = None
        self._inode: tuple[int, int] | None = None
        self._connections = Connections(self._serve, MAX_CONNECTIONS)
        self._running: set[asyncio.Task[Json]] = set()

    async def start(self) -> None:
        """Listen. Raises ControlError when the path is another's, or cannot be had."""
        listener = _listen(self._path)
        found = self._path.lstat()
        self._inode = (found.st_dev, found.st_ino)
        self._server = await asyncio.start_unix_server(self._connections.accept, sock=listener, limit=MAX_REQUEST)

    async def stop(self) -> None:
        """Stop listening, end every connection, and remove the socket if it is still ours."""
        if self._server is None:
            return
        self._server.close()
        await self._connections.end(self._running)
        await self._server.wait_closed()
        self._server = None
        with suppress(OSError):  # gone, or no longer ours to remove: the next start takes it away
            found = self._path.lstat()
            if (found.st_dev, found.st_ino) == self._inode:
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(self._idle_limit):
                    line = await reader.readline()
            except ValueError:  # StreamReader's way of saying that a line is over the limit
                writer.write(encode(_failure(f"a request is at most {MAX_REQUEST} bytes")))
                await writer.drain()
                return
            if not line.endswith(b"\n"):
                return
            writer.write(await encode_in_turns(await self._answer(line)))
            async with asyncio.timeout(self._idle_limit):
                await writer.drain()

    async def _answer(self, line: bytes) -> Json:
        try:
            request = decode(line)
            verb = self._find(request)
            task = asyncio.ensure_future(verb(request))
            self._running.add(task)
            task.add_done_callback(self._ended)
            limit = _asked_timeout(request) or self._verb_limit
            # Not cancelled when the time is up: half a reload is worse than one that nobody waits for.
            done, _ = await asyncio.wait((task,), timeout=limit)
            if not done:
                text = f"not finished after {limit:g} s; the server goes on with it: see `nameserver status`"
                return {**_failure(text), "timeout": True}
            return {"ok": True, **task.result()}
        except NameserverError as error:
            return _failure(str(error))
        except Exception:
            log.exception("a control request failed")
            return _failure("internal error; the server's log has the details")

    def _ended(self, task: asyncio.Task[Json]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("a control request ended with: %s", error)  # and so counts as looked at when nobody waits

    def _find(self, request: Json) -> Verb:
        name = request.get("verb")
        verb = self._verbs.get(name) if isinstance(name, str) else None
        if verb is None:
            raise ControlError("no such verb; there is: " + ", ".join(sorted(self._verbs)))
        return verb


async def encode_in_turns(message: Json) -> bytes:
    """As `encode`, the loop turning between parts of long lists: the status of 10,000 zones has 6 MB."""
    parts = []
    for key, value in message.items():
        if isinstance(value, list) and len(value) > LIST_PART:
            pieces = []
            for start in range(0, len(value), LIST_PART):
                pieces.append(encode(value[start : start + LIST_PART]).strip()[1:-1])
                await asyncio.sleep(0)
            parts.append(b"%b:[%b]" % (encode(key).strip(), b",".join(pieces)))
        else:
            parts.append(b"%b:%b" % (encode(key).strip(), encode(value).strip()))
    return b"{%b}\n" % b",".join(parts)


def _failure(error: str) -> Json:
    return {"ok": False, "error": error}


def _asked_timeout(request: Json) -> float:
    asked = request.get("timeout")
    if isinstance(asked, bool) or not isinstance(asked, int | float):
        return 0.0
    return min(max(float(asked), 0.0), LONGEST_TIMEOUT)


def _listen(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            mask = os.umask(0o777 & ~MODE)  # from the first moment: chmod after bind leaves a gap
            try:
                listener.bind(str(path))
            finally:
                os.umask(mask)
            path.chmod(MODE)  # a directory's default ACL overrides the umask
            listener.listen(MAX_CONNECTIONS)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ControlError(
            f"cannot offer the control socket {path}: {error.strerror or error}; see [server] control"
        ) from error
    return listener


def _clear(path: Path) -> None:
    """Remove a socket that a dead process left behind; anything else at that place is not ours to touch."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlError(f"{path} exists and is not a socket; move it away, or change [server] control")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(str(path))
    if result not in (errno.ECONNREFUSED, errno.ENOENT):
        raise ControlError(f"another server answers at {path}; stop it, or change [server] control")
    path.unlink(missing_ok=True)
