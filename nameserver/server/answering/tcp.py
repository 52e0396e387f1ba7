"""TCP (RFC 7766): several messages per connection, answered as they come; idle and count limits; back-pressure.

A client that does not read is not answered further: the transport stops reading from it until it has taken what it
was sent. A client that opens a connection and says nothing whole for `idle_timeout` is closed, and so is one that takes
longer than `message_timeout` from the first to the last octet of a message. Who may connect: `server.clients`.

    data ─▶ Deframer ─▶ waiting messages ─▶ a few at a time, while the client takes the answers ─▶ write
              ▲                    │ any left: no reading, and into the line for another turn
              └────────────────────┘ none left: reading again

However much a client sends in one go, it gets its turn like everyone else (`server.turns`), and costs a bounded amount
of answers: beyond what the network is carrying to it, the kernel and we hold some 64 KiB each (`server.sockets`). Of
what it sends we hold one read, which is some 230 KB of objects where it consists of messages of one octet.
"""

import asyncio
import contextlib
import fcntl
import termios
from array import array
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import cast

from nameserver.errors import WireError
from nameserver.query.acl import TlsClient
from nameserver.query.counters import (
    CALLBACK,
    QUERY,
    TCP,
    TCP_ACCEPTED,
    TCP_DISPLACED,
    TCP_IDLE,
    TCP_MALFORMED,
    TCP_REFUSED,
    TCP_SLOW,
    CounterArray,
    handshake_slot,
    tcp_slot,
)
from nameserver.query.exchange import Outcome, TransferRequest
from nameserver.query.pipeline import Pipeline
from nameserver.server.answering.clients import Clients, group_of
from nameserver.server.answering.counting import CountedShortcuts
from nameserver.server.answering.pace import OutLimits, Pace
from nameserver.server.answering.streams import Streams
from nameserver.server.answering.tls_layer import Handshakes
from nameserver.server.answering.turns import Turns
from nameserver.server.answering.udp import parse_address
from nameserver.server.faults import Faults
from nameserver.wire.framing import Deframer, frame

WRITE_HIGH_WATER = 64 * 1024  # octets that wait for a client until it is not answered further
MAX_REQUEST = 65535
TRANSFERS_PER_CONNECTION = 4  # under way; what is asked behind them waits (RFC 7766 §6.2.1.1 has clients pipeline)
SLOWEST_DELIVERY = 60.0  # seconds for answers that the client takes slowly

SendTransfer = Callable[["TcpConnection", TransferRequest], Coroutine[None, None, None]]


@dataclass(slots=True)
class TcpLimits:
    """Seconds and connections."""

    idle_timeout: float = 10.0
    message_timeout: float = 5.0
    max_clients: int = 500
    max_clients_per_address: int = 100


@dataclass(slots=True)
class TcpServer:
    """What all connections of a worker share."""

    loop: asyncio.AbstractEventLoop
    pipeline: Pipeline
    shortcuts: CountedShortcuts
    now: Callable[[], int]
    on_outcome: Callable[[Outcome], None]
    send_transfer: SendTransfer
    faults: Faults
    limits: TcpLimits = field(default_factory=TcpLimits)
    clients: Clients["TcpConnection"] = field(init=False)
    turns: Turns["TcpConnection"] = field(init=False)
    counters: CounterArray = field(init=False)
    streams: Streams = field(init=False)
    handshakes: Handshakes = field(init=False)

    def __post_init__(self) -> None:
        self.counters = self.pipeline.counters
        self.turns = Turns(self.loop)
        self.streams = Streams(self.loop)
        self.handshakes = Handshakes(self.loop, self.limits.message_timeout, self._count_handshake)
        self.clients = Clients(self.limits.max_clients, self.limits.max_clients_per_address)

    def admit(self, host: str, port: int) -> "TcpConnection | None":
        """The protocol for a new client; None where there is no place for it."""
        client = TcpConnection(self, parse_address(host), port)
        if self.clients.full:
            self.faults.remark(f"all {len(self.clients)} places for TCP clients are taken: the longest idle make room")
        if not self.clients.enter(client):
            self.count(TCP_REFUSED)
            return None
        self.count(TCP_ACCEPTED)
        return client

    def count(self, event: str) -> None:
        """Count what happened to a connection."""
        self.counters[tcp_slot(event)] += 1

    def _count_handshake(self, outcome: str) -> None:
        self.counters[handshake_slot(outcome)] += 1

    async def drain(self, patience: float) -> int:
        """Close idle connections, let answers in flight finish; returns how many had to be cut."""
        deadline = self.loop.time() + patience
        while self.clients and self.loop.time() < deadline:
            await asyncio.sleep(0.05)  # first of all: what has arrived already is still read and answered
            for connection in list(self.clients):
                connection.close_when_idle()
        cut = len(self.clients)
        for connection in list(self.clients):
            connection.abort()
        return cut


class TcpConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: TcpServer, address: IPv4Address | IPv6Address, port: int) -> None:
        self._server = server
        self._deframer = Deframer(MAX_REQUEST)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._active = 0.0
        self._begun: float | None = None  # when the message began that is arriving
        self._writable = True  # whether the client has taken most of what was sent to it
        self._caught_up: asyncio.Event | None = None  # made when somebody waits for that
        self._waiting: deque[bytes] = deque()  # messages still to be answered; while there are any, nothing is read
        self._transfers: set[asyncio.Task[None]] = set()
        self._last = False  # nothing more will be read: answer what was asked, then close
        self._unsent = 0  # bytes that waited for the client at the last look
        self._displaced = False
        self.address = address
        self.port = port
        self.group = group_of(address)
        self.client: TlsClient | None = None  # who it is by TLS; None: it speaks none, or is not through the handshake
        self._shortcut = server.shortcuts.of(TCP, address.version)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client can be heard, unless it has had to make room already."""
        self._transport = stream = cast(asyncio.Transport, transport)
        if self._displaced:
            stream.abort()
            return
        stream.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self._active = self._server.loop.time()
        self._arm()

    def secured(self, client: TlsClient) -> None:
        """TLS is there, and this is who speaks it."""
        self.client = client
        self._active = self._server.loop.time()
        self._server.clients.touch(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Stop whatever was being sent."""
        self._server.clients.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        self._server.turns.leave(self)
        self._waiting.clear()
        for task in self._transfers:
            task.cancel()
        self._go_on_writing()

    def data_received(self, data: bytes) -> None:
        """Take in whole messages; one that cannot be framed ends the connection (RFC 7766 §8)."""
        try:
            messages = self._deframer.feed(data)
        except WireError:
            self._server.count(TCP_MALFORMED)
            self.abort()
            return
        if self._deframer.pending:
            self._expect_the_rest(anew=bool(messages))
        else:
            self._begun = None
        if not messages:
            return
        self._active = self._server.loop.time()
        self._server.clients.touch(self)
        self._waiting += messages
        if self._deframer.broken:
            self._server.count(TCP_MALFORMED)
            self._last = True
        self._server.turns.want(self)
        if self._waiting and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client has said all it wanted to say; what it asked for is still sent (RFC 7766 §6.2.4)."""
        self._last = True
        return bool(self._transfers or self._waiting)

    @property
    def can_go_on(self) -> bool:
        """Whether a message waits that the client would take the answer to, and may have whatever it asks for."""
        return bool(self._waiting) and self._writable and len(self._transfers) < TRANSFERS_PER_CONNECTION

    def work(self, most: int) -> int:
        """One turn: answer what waits, as far as turn and client allow; how many messages that was."""
        transport = self._transport
        if transport is None or transport.is_closing():
            self._waiting.clear()
            return 0
        now = self._server.now()
        replies: list[bytes] = []
        size = handled = 0
        while handled < most and self.can_go_on and size <= WRITE_HIGH_WATER:
            handled += 1
            if framed := self._answer(self._waiting.popleft(), now):
                replies.append(framed)
                size += len(framed)
        if replies:
            self._active = self._server.loop.time()
            transport.write(b"".join(replies))  # may call pause_writing
        if not self._waiting and self._writable and not transport.is_closing():
            self._read_on(transport)
        self._unsent = transport.get_write_buffer_size()
        self._close_after_last()
        return handled

    def _close_after_last(self) -> None:
        """Close, once written, when nothing more can be asked on this connection and all that was asked is answered."""
        if self._last and not self._waiting and not self._transfers and self._transport is not None:
            self._transport.close()

    def _answer(self, message: bytes, now: int) -> bytes | None:
        server, shortcut = self._server, self._shortcut
        asked = message[2:]
        entry = shortcut.entries.get(asked)
        try:
            if entry is None or entry[0] != shortcut.zones.epoch:
                entry = shortcut.find(asked)
            if entry is not None:
                shortcut.tally.counts[entry[3]] += 1
                server.shortcuts.count_soon()
                return b"%b%b%b" % ((entry[2] + 2).to_bytes(2, "big"), message[:2], entry[4])
            outcome = server.pipeline.handle(message, self.address, self.port, TCP, now, self.client)
            shortcut.learn(asked, outcome)
        except Exception as error:  # noqa: BLE001 - whatever broke costs this client this answer, and nothing else
            outcome = server.faults.answer(error, server.pipeline, message, TCP)
        if outcome.notify is not None or outcome.refused is not None:
            try:
                server.on_outcome(outcome)
            except Exception as error:  # noqa: BLE001 - the answer is made, and others wait behind this one
                server.faults.broke(CALLBACK, "passing on what a request said", error)
        if outcome.transfer is not None:
            self._start_transfer(outcome.transfer)
        return frame(outcome.reply) if outcome.reply is not None else None

    def _start_transfer(self, request: TransferRequest) -> None:
        task = self._server.loop.create_task(self._server.send_transfer(self, request))
        self._transfers.add(task)
        task.add_done_callback(self._transfer_done)

    def _transfer_done(self, task: asyncio.Task[None]) -> None:
        self._transfers.discard(task)
        self._active = self._server.loop.time()
        self._server.clients.touch(self)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._server.faults.broke(QUERY, "sending a zone", error)
            self.abort()
        if self._waiting:
            self._server.turns.want(self)
        self._close_after_last()

    async def send(self, message: bytes, limits: OutLimits) -> None:
        """Send one framed message of a transfer as soon as the client has taken most of what was sent before.

        Raises TransferError where it takes too little, ConnectionResetError where it is gone.
        """
        loop = self._server.loop
        if not self._writable:
            pace = Pace(limits, loop.time(), self._on_its_way())
            while not self._writable:
                if self._caught_up is None:
                    self._caught_up = asyncio.Event()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pace.look(loop.time(), self._on_its_way())):
                        await self._caught_up.wait()
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client closed the connection")
        self._transport.write(frame(message))

    def reply(self, message: bytes) -> None:
        """Send one framed message now, if anyone is still there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(message))

    def _on_its_way(self) -> int:
        """Octets written that the client has not acknowledged: ours, and the kernel's."""
        if self._transport is None or self._transport.is_closing():
            return 0
        sock = self._transport.get_extra_info("socket")
        queued = array("i", [0])
        with contextlib.suppress(OSError):
            fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, queued)
        return self._transport.get_write_buffer_size() + queued[0]

    def pause_writing(self) -> None:
        """The client does not read: neither do we."""
        self._writable = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._go_on_writing()
        if self._waiting:
            self._server.turns.want(self)
        elif self._transport is not None and not self._transport.is_closing():
            self._read_on(self._transport)

    def _go_on_writing(self) -> None:
        self._writable = True
        if self._caught_up is not None:
            self._caught_up.set()
            self._caught_up = None

    def _read_on(self, transport: asyncio.Transport) -> None:
        """Read again. While we did not, no message could be completed."""
        if self._begun is not None and not transport.is_reading():
            self._begun = self._server.loop.time()
        transport.resume_reading()

    def _expect_the_rest(self, *, anew: bool) -> None:
        """A message has begun to arrive, or another piece of it has."""
        if self._begun is not None and not anew:
            return
        loop, limit = self._server.loop, self._server.limits.message_timeout
        self._begun = loop.time()
        if self._timer is not None and self._timer.when() > self._begun + limit:
            self._timer.cancel()
            self._timer = loop.call_later(limit, self._arm)

    def _arm(self) -> None:
        """Look whether the client's time is up, and when to look again."""
        loop, limits = self._server.loop, self._server.limits
        now = loop.time()
        if self._transfers:
            self._active = now
        left = self._active + limits.idle_timeout - now
        if left <= 0 and self._slowly_taking():
            left = limits.idle_timeout
        reason = TCP_IDLE
        if self._begun is not None and not self._transfers and not self._waiting and self._writable:
            rest = self._begun + limits.message_timeout - now
            if rest < left:
                left, reason = rest, TCP_SLOW
        if left <= 0:
            self._server.count(reason)
            self.abort()
        else:
            self._timer = loop.call_later(left, self._arm)

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

    @property
    def can_be_spared(self) -> bool:
        """Whether it may be cut off to make room for another client."""
        return not self._transfers

    def displace(self) -> None:
        """Make room for another client."""
        self._displaced = True
        self._server.count(TCP_DISPLACED)
        self.abort()
