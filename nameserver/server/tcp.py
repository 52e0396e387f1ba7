"""TCP (RFC 7766): several messages per connection, answered as they come; idle and count limits; back-pressure.

A client that does not read is not answered further: the transport stops reading from it until it has taken what it
was sent. A client that opens a connection and says nothing whole for `idle_timeout` is closed.

    data ─▶ Deframer ─▶ waiting messages ─▶ at most TURN at a time, while the client takes the answers ─▶ write
              ▲                    │ any left: no reading, and another turn of the loop
              └────────────────────┘ none left: reading again

However much a client sends in one go, it gets its turn like everyone else, and costs a bounded amount of answers.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import cast

from nameserver.errors import WireError
from nameserver.query.exchange import Outcome, TransferRequest
from nameserver.query.pipeline import Pipeline
from nameserver.server.udp import parse_address
from nameserver.wire.framing import Deframer, frame

WRITE_HIGH_WATER = 256 * 1024
TURN = 32  # messages of one connection answered before others get their turn
MAX_REQUEST = 65535
TRANSFERS_PER_CONNECTION = 4
SLOWEST_DELIVERY = 60.0  # seconds for answers that the client takes slowly

log = logging.getLogger("nameserver.tcp")

SendTransfer = Callable[["TcpConnection", TransferRequest], Coroutine[None, None, None]]


@dataclass(slots=True)
class TcpLimits:
    """Seconds and connections."""

    idle_timeout: float = 10.0
    max_clients: int = 500
    max_clients_per_address: int = 100


@dataclass(slots=True)
class TcpServer:
    """What all connections of a worker share."""

    loop: asyncio.AbstractEventLoop
    pipeline: Pipeline
    now: Callable[[], int]
    on_outcome: Callable[[Outcome], None]
    send_transfer: SendTransfer
    limits: TcpLimits = field(default_factory=TcpLimits)
    connections: set["TcpConnection"] = field(default_factory=set)
    per_address: dict[IPv4Address | IPv6Address, int] = field(default_factory=dict)

    def connection(self) -> "TcpConnection":
        """The protocol factory."""
        return TcpConnection(self)

    def admit(self, connection: "TcpConnection") -> bool:
        """Whether one more connection from this address is within the limits."""
        count = self.per_address.get(connection.address, 0)
        if len(self.connections) >= self.limits.max_clients or count >= self.limits.max_clients_per_address:
            return False
        self.connections.add(connection)
        self.per_address[connection.address] = count + 1
        return True

    def gone(self, connection: "TcpConnection") -> None:
        """Forget a connection."""
        if connection in self.connections:
            self.connections.discard(connection)
            self.per_address[connection.address] -= 1
            if not self.per_address[connection.address]:
                del self.per_address[connection.address]

    async def drain(self, patience: float) -> int:
        """Close idle connections, let answers in flight finish; returns how many had to be cut."""
        deadline = self.loop.time() + patience
        while self.connections and self.loop.time() < deadline:
            await asyncio.sleep(0.05)  # first of all: what has arrived already is still read and answered
            for connection in list(self.connections):
                connection.close_when_idle()
        cut = len(self.connections)
        for connection in list(self.connections):
            connection.abort()
        return cut


class TcpConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._deframer = Deframer(MAX_REQUEST)
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._active = 0.0
        self._writable = asyncio.Event()
        self._writable.set()
        self._waiting: deque[bytes] = deque()  # messages still to be answered; while there are any, nothing is read
        self._turn: asyncio.Handle | None = None  # the next one, while it is due
        self._transfers: set[asyncio.Task[None]] = set()
        self._last = False  # nothing more will be read: answer what was asked, then close
        self._unsent = 0  # bytes that waited for the client at the last look
        self.address: IPv4Address | IPv6Address = IPv4Address(0)
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or close at once."""
        # Not isinstance: uvloop's transports have the methods without the base class.
        self._transport = stream = cast(asyncio.Transport, transport)
        stream.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        peer = stream.get_extra_info("peername")
        if peer is None:  # gone before we looked
            stream.abort()
            return
        self.address, self.port = parse_address(peer[0]), peer[1]
        if not self._server.admit(self):
            stream.abort()
            return
        self._active = self._server.loop.time()
        self._arm()

    def connection_lost(self, _error: Exception | None) -> None:
        """Stop whatever was being sent."""
        self._server.gone(self)
        if self._idle is not None:
            self._idle.cancel()
        if self._turn is not None:
            self._turn.cancel()
        self._waiting.clear()
        for task in self._transfers:
            task.cancel()
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Take in whole messages; one that cannot be framed ends the connection (RFC 7766 §8)."""
        try:
            messages = self._deframer.feed(data)
        except WireError:
            self.abort()
            return
        if not messages:
            return
        self._active = self._server.loop.time()
        self._waiting += messages
        self._last = self._last or self._deframer.broken
        if self._turn is None:
            self._work()

    def eof_received(self) -> bool:
        """The client has said all it wanted to say; what it asked for is still sent (RFC 7766 §6.2.4)."""
        self._last = True
        return bool(self._transfers or self._waiting)

    def _work(self) -> None:
        """One turn: answer what waits, as far as turn and client allow."""
        self._turn = None
        transport = self._transport
        if transport is None or transport.is_closing():
            self._waiting.clear()
            return
        now = self._server.now()
        replies: list[bytes] = []
        size = 0
        for _ in range(min(TURN, len(self._waiting))):
            if not self._writable.is_set() or size > WRITE_HIGH_WATER:
                break
            if framed := self._answer(self._waiting.popleft(), now):
                replies.append(framed)
                size += len(framed)
        if replies:
            self._active = self._server.loop.time()
            transport.write(b"".join(replies))  # may call pause_writing
        if self._waiting:
            transport.pause_reading()
            if self._writable.is_set():
                self._turn = self._server.loop.call_soon(self._work)
        elif self._writable.is_set() and not transport.is_closing():
            transport.resume_reading()
        self._unsent = transport.get_write_buffer_size()
        self._close_after_last()

    def _close_after_last(self) -> None:
        """Close, once written, when nothing more can be asked on this connection and all that was asked is answered."""
        if self._last and not self._waiting and not self._transfers and self._transport is not None:
            self._transport.close()

    def _answer(self, message: bytes, now: int) -> bytes | None:
        outcome = self._server.pipeline.handle(message, self.address, self.port, "tcp", now)
        if outcome.notify is not None or outcome.refused is not None:
            self._server.on_outcome(outcome)
        if outcome.transfer is not None:
            self._start_transfer(outcome.transfer)
        return frame(outcome.reply) if outcome.reply is not None else None

    def _start_transfer(self, request: TransferRequest) -> None:
        if len(self._transfers) >= TRANSFERS_PER_CONNECTION:
            self.abort()
            return
        task = self._server.loop.create_task(self._server.send_transfer(self, request))
        self._transfers.add(task)
        task.add_done_callback(self._transfer_done)

    def _transfer_done(self, task: asyncio.Task[None]) -> None:
        self._transfers.discard(task)
        self._active = self._server.loop.time()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("transfer out failed", exc_info=error)
            self.abort()
        self._close_after_last()

    async def send(self, message: bytes, patience: float) -> None:
        """Send one framed message as soon as the client takes it; TimeoutError when it takes nothing for too long."""
        if not self._writable.is_set():
            async with asyncio.timeout(patience):
                await self._writable.wait()
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client closed the connection")
        self._transport.write(frame(message))

    def pause_writing(self) -> None:
        """The client does not read: neither do we."""
        self._writable.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()
        if self._waiting and self._turn is None:
            self._turn = self._server.loop.call_soon(self._work)
        elif self._transport is not None and not self._waiting and not self._transport.is_closing():
            self._transport.resume_reading()

    def _arm(self) -> None:
        loop, timeout = self._server.loop, self._server.limits.idle_timeout
        if self._transfers:
            self._active = loop.time()
        left = self._active + timeout - loop.time()
        if left <= 0 and self._slowly_taking():
            left = timeout
        if left <= 0:
            self.abort()
        else:
            self._idle = loop.call_later(left, self._arm)

    def _slowly_taking(self) -> bool:
        """Whether the client has taken some of what waits for it since the last look; not for ever."""
        unsent = self._transport.get_write_buffer_size() if self._transport is not None else 0
        before, self._unsent = self._unsent, unsent
        return 0 < unsent < before and self._server.loop.time() - self._active < SLOWEST_DELIVERY

    def close_when_idle(self) -> None:
        """Close unless an answer is still being written."""
        if self._transport is None:
            return
        if not self._transfers and not self._waiting and self._transport.get_write_buffer_size() == 0:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
