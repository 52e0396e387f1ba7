"""A small HTTP/1.1 server for metrics, probes and the status page: GET and HEAD, no bodies, nothing kept per client.

It shares the transfer process with the refresh machine, so it is bounded in every direction (request head, time,
connections), and a long body is taken from an iterator a chunk at a time, the event loop turning between two chunks.
Who accepts gzip gets long bodies so, packed in slices on the way: the series of many zones shrink to a tenth.

    connection:  read head ─▶ route ─▶ write ─▶ read head …     one request after another
                    │  └ too long 431, not HTTP 400, a body 413, other methods 405, unknown path 404
                    └ within the time limit nothing: closed; not all of it: 408
"""

import asyncio
import logging
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

import h11

from nameserver.config.model import Endpoint
from nameserver.errors import NameserverError
from nameserver.server.connections import Connections

MAX_HEAD = 16 * 1024  # bytes of request line and headers
READ = 4096  # bytes taken at once: how far a head can be over the limit before it is noticed
TIME_LIMIT = 5.0  # seconds for a request to arrive, and for a chunk of the response to be taken
MAX_CONNECTIONS = 64
MAX_REQUESTS = 1000  # on one connection
PACK_FROM = 1024  # bytes of a body that is at hand whole: a shorter one is sent as it is
PACK_SLICE = 64 * 1024  # bytes packed at once, well below a millisecond
_PACK_LEVEL = 1  # the exposition is so repetitive that more work gains little
_GZIP = 31  # zlib's window size, with the header of gzip (RFC 1952)
_CODING = re.compile(r"\s*([^\s;,]+)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE)
LINGER, LINGER_READS = 1.0, 256  # seconds, and reads, for a peer whose request was refused

log = logging.getLogger("nameserver.http")


class HttpError(NameserverError):
    """The HTTP server cannot start."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a route answers. A body given as an iterable of chunks is sent as it is produced."""

    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[], Response]


class _Refused(Exception):
    """A request that no route sees. `response` is what its sender gets before the connection closes."""

    def __init__(self, status: HTTPStatus, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status.phrase)
        self.response = plain(f"{status.phrase}\n", status, headers)


def plain(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A text response."""
    return Response(status, body=text.encode(), headers=headers or {})


class HttpServer:
    """Serves `routes` (exact paths) on one endpoint. Routes run in the event loop and must be quick."""

    def __init__(
        self,
        endpoint: Endpoint,
        routes: Mapping[str, Route],
        *,
        time_limit: float = TIME_LIMIT,
        max_connections: int = MAX_CONNECTIONS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = endpoint
        self._routes = dict(routes)
        self._time_limit = time_limit
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._connections = Connections(self._serve, max_connections)

    async def start(self) -> None:
        """Listen. Raises HttpError saying which address cannot be had and why."""
        try:
            self._server = await asyncio.start_server(
                self._connections.accept, self._endpoint.host, self._endpoint.port, limit=MAX_HEAD
            )
        except OSError as error:
            # asyncio's own text names the address once more
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            raise HttpError(
                f"cannot listen for HTTP on {self._endpoint}: {why}; "
                'choose another address with [server] http, or turn it off with http = ""'
            ) from error

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens; the port is the real one where 0 was asked for."""
        if self._server is None or not self._server.sockets:
            return self._endpoint
        name = self._server.sockets[0].getsockname()
        return Endpoint(name[0], name[1])

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._server is None:
            return
        self._server.close()
        await self._connections.end()
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        for _ in range(MAX_REQUESTS):
            try:
                request = await self._within_time(connection, reader)
            except _Refused as refused:
                await self._write(connection, writer, refused.response)
                await _linger(reader, writer)
                return
            if request is None:
                return
            await self._write(connection, writer, self._respond(request), request)
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _within_time(self, connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
        """The next request, or None where none begins in time. Raises _Refused, also where one does not end in time."""
        try:
            async with asyncio.timeout(self._time_limit):
                return await _read_request(connection, reader)
        except TimeoutError:
            if not connection.trailing_data[0]:
                return None
            raise _Refused(HTTPStatus.REQUEST_TIMEOUT) from None

    def _respond(self, request: h11.Request) -> Response:
        path = request.target.split(b"?", 1)[0].decode("ascii", "replace")
        route = self._routes.get(path)
        if route is None:
            return plain("Not Found. There is: " + "  ".join(sorted(self._routes)) + "\n", HTTPStatus.NOT_FOUND)
        try:
            return route()
        except Exception:
            log.exception("the page %s could not be made", path)
            return plain("Internal Server Error; the log has the details\n", HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _write(
        self,
        connection: h11.Connection,
        writer: asyncio.StreamWriter,
        response: Response,
        request: h11.Request | None = None,
    ) -> None:
        body = response.body
        headers = [("date", formatdate(self._clock(), usegmt=True))]  # RFC 9110 §6.6.1
        headers += [("content-type", response.content_type), ("cache-control", "no-store")]
        headers += [("x-content-type-options", "nosniff"), *response.headers.items()]
        if isinstance(body, bytes) and len(body) < PACK_FROM:
            headers.append(("content-length", str(len(body))))
            body = (body,)
        else:
            headers.append(("vary", "accept-encoding"))
            if request is not None and accepts_gzip(request):
                headers.append(("content-encoding", "gzip"))
                body = _packed((body,) if isinstance(body, bytes) else body)
            elif isinstance(body, bytes):
                headers.append(("content-length", str(len(body))))
                body = (body,)
        if connection.our_state is h11.ERROR or connection.their_state is h11.ERROR or response.status >= 400:
            headers.append(("connection", "close"))
        phrase = HTTPStatus(response.status).phrase.encode()
        head = h11.Response(status_code=response.status, headers=headers, reason=phrase)
        writer.write(connection.send(head) or b"")
        if request is None or request.method != b"HEAD":
            for chunk in body:
                if chunk:
                    writer.write(connection.send(h11.Data(data=chunk)) or b"")
                async with asyncio.timeout(self._time_limit):
                    await writer.drain()
                await asyncio.sleep(0)  # drain() alone does not yield while the peer keeps up
        # After HEAD, h11 knows that no body follows, whatever the headers announce.
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        async with asyncio.timeout(self._time_limit):
            await writer.drain()


def accepts_gzip(request: h11.Request) -> bool:
    """Whether the client takes gzip: named with a weight above 0, or covered by "*" (RFC 9110 §12.5.3)."""
    listed = ",".join(value.decode("latin-1") for name, value in request.headers if name == b"accept-encoding")
    weights: dict[str, float] = {}
    for part in listed.split(","):
        match = _CODING.fullmatch(part)
        if match is not None:
            weights[match[1].lower()] = float(match[2] or 1)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _packed(body: Iterable[bytes]) -> Iterator[bytes]:
    """`body` as gzip. Gives a chunk, maybe an empty one, for each slice of input, so that the loop turns in between."""
    packer = zlib.compressobj(_PACK_LEVEL, zlib.DEFLATED, _GZIP)
    for chunk in body:
        for start in range(0, len(chunk) or 1, PACK_SLICE):
            yield packer.compress(chunk[start : start + PACK_SLICE])
    yield packer.flush()


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The next whole request, or None when the peer closed. Raises _Refused."""
    request: h11.Request | None = None
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise _Refused(HTTPStatus(error.error_status_hint)) from error
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ))
        elif isinstance(event, h11.Request):
            if event.method not in (b"GET", b"HEAD"):
                raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, {"allow": "GET, HEAD"})
            if any(
                name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
                for name, value in event.headers
            ):
                raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)  # now: it may wait for "100 Continue"
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request
        else:  # ConnectionClosed
            return None


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the peer read a refusal: closing with unread data would reset the connection and discard it."""
    writer.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            for _ in range(LINGER_READS):
                if not await reader.read(READ):
                    return
