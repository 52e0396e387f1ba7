"""A primary inside the test that does to each question what a function says: answers, stalls, trickles, dies.

    async with scripted(answer) as primary: …       # in the test's loop
    with scripted_beside(answer) as primary: …      # in a thread, for tests of whole daemons

`answer` gets each `Question` and gives what happens, in order: bytes go out as they are (over TCP mind the length, see
`framed`), `RESET` and `FIN` end the connection, `STALL` leaves it open and silent, a number of seconds is a pause.
After the last one the connection stays open for the next question. Over UDP each of the bytes is a datagram.

`Versions` is what a good primary sends; what is asked is kept in `asked`.
"""

import asyncio
import queue
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdata
import dns.rrset
from support.ask import LOOPBACK
from support.bad_primary import Zone
from support.process import free_port
from support.transfer_messages import pack

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.wire import codes, names
from nameserver.wire.names import skip_name
from nameserver.wire.rrset import Record

TYPES = {codes.SOA: "SOA", codes.AXFR: "AXFR", codes.IXFR: "IXFR"}


class End(Enum):
    """How a connection ends, or does not."""

    RESET = "RST"
    FIN = "FIN"
    STALL = "silence"


RESET, FIN, STALL = End
Act = bytes | End | float
Answer = Callable[["Question"], Iterable[Act]]


class Question(NamedTuple):
    """One question that came."""

    zone: str
    kind: str  # SOA, AXFR, IXFR
    transport: str
    id: int
    wire: bytes  # the question section
    edns: bool
    held: int | None  # the serial in an IXFR
    client: tuple[str, int]

    def message(self, *records: Record, flags: int = codes.QR | codes.AA, rcode: int = 0, **more: bytes | int) -> bytes:
        """A message in reply. `tail` is appended, `count` is ANCOUNT where it is to be wrong, `id` another id."""
        count, tail, ident = more.get("count", len(records)), more.get("tail", b""), more.get("id", self.id)
        header = struct.pack("!HHHHHH", ident, flags | rcode, 1, count, 0, 0)
        return header + self.wire + b"".join(map(pack, records)) + bytes(tail)  # type: ignore[arg-type]


def read_question(data: bytes, transport: str, client: tuple[str, int]) -> Question:
    """What a request of ours asks."""
    ident, _, _, _, authorities, additionals = struct.unpack_from("!HHHHHH", data)
    end = skip_name(data, 12) + 4
    kind = int.from_bytes(data[end - 4 : end - 2], "big")
    held = None
    if authorities:
        start = skip_name(data, end)
        size = int.from_bytes(data[start + 8 : start + 10], "big")
        held = int.from_bytes(data[start + 10 + size - 20 : start + 10 + size - 16], "big")
    zone = names.to_text(data[12 : end - 4]).rstrip(".").lower()
    return Question(zone, TYPES[kind], transport, ident, data[12:end], bool(additionals), held, client)


def framed(*messages: bytes) -> bytes:
    """Messages as they go over TCP."""
    return b"".join(struct.pack("!H", len(each)) + each for each in messages)


def sent(question: Question, messages: Sequence[bytes]) -> list[Act]:
    """Messages by the question's transport."""
    return list(messages) if question.transport == "udp" else [framed(*messages)]


def parted(question: Question, records: Sequence[Record], each: int = 3) -> list[bytes]:
    """Records in messages of so many."""
    return [question.message(*records[start : start + each]) for start in range(0, len(records), each)]


@dataclass
class Versions:
    """A good primary: call it with a question. Some zones, all at one serial; changes come as differences."""

    serial: int = 5
    per_message: int = 3
    hosts: int = 0
    refuses_ixfr: bool = False

    def __call__(self, question: Question) -> list[Act]:
        return sent(question, self.messages(question))

    def messages(self, question: Question) -> list[bytes]:
        """The whole reply."""
        zone = Zone(question.zone)
        if question.kind == "SOA":
            return [question.message(zone.soa(self.serial))]
        if question.kind == "IXFR" and self.refuses_ixfr:
            return [question.message(flags=codes.QR, rcode=codes.NOTIMP)]
        if question.kind == "IXFR" and question.held is not None and question.held <= self.serial:
            records = zone.difference(question.held, self.serial) if question.held < self.serial else []
            return parted(question, records or [zone.soa(self.serial)], self.per_message)
        return parted(question, self.records(zone), self.per_message)

    def records(self, zone: Zone) -> list[Record]:
        """The whole zone."""
        soa, *body, end = zone.whole(self.serial)
        hosts = [zone.rr(f"host-{number} 300 A 192.0.2.{number % 250 + 1}") for number in range(self.hosts)]
        return [soa, *body, *hosts, end]


@dataclass
class ScriptedPrimary:
    """The server; see the head of the file. `answer` may be replaced at any time."""

    answer: Answer
    port: int = 0
    asked: list[Question] = field(default_factory=list)
    open: int = 0  # connections
    faults: list[BaseException] = field(default_factory=list)
    _ends: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def hang_up(self) -> None:
        """End every connection, also those that are kept for a next question."""
        self._ends.set()
        for writer in self._writers:
            writer.close()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(LOOPBACK, self.port)

    def remote(self, name: str = "scripted", **more) -> Remote:
        return Remote(name, (self.endpoint,), **more)

    def zone(self, zone: str, **more) -> ZoneConfig:
        """The zone as its secondary is configured for it."""
        return ZoneConfig(names.from_text(zone), zone, **{"primaries": (self.remote(),), **more})

    def kinds(self, zone: str | None = None) -> list[str]:
        """What was asked, in order: "SOA/udp", "AXFR/tcp"."""
        return [f"{each.kind}/{each.transport}" for each in self.asked if zone in (None, each.zone)]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._converse(reader, writer)
        except Exception as error:
            self.faults.append(error)
            raise
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            question = read_question(data, "tcp", writer.get_extra_info("peername"))
            self.asked.append(question)
            for act in self.answer(question):
                if writer.is_closing() or reader.at_eof():
                    return  # they hung up
                if isinstance(act, bytes):
                    writer.write(act)
                    await writer.drain()
                    await asyncio.sleep(0)  # the other side is in this loop too
                elif act is RESET:
                    # what was written before is on its way: a reset would otherwise overtake it in our own buffers
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()
                    return
                elif act is FIN:
                    return
                elif act is STALL:
                    await self._silence(reader)
                    return
                else:
                    await asyncio.sleep(act)

    async def _silence(self, reader: asyncio.StreamReader) -> None:
        """Until the other side gives up, or the test does."""
        gone, ends = asyncio.ensure_future(reader.read()), asyncio.ensure_future(self._ends.wait())
        with suppress(ConnectionError):
            await asyncio.wait((gone, ends), return_when=asyncio.FIRST_COMPLETED)
        for each in (gone, ends):
            each.cancel()
        await asyncio.gather(gone, ends, return_exceptions=True)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, primary: ScriptedPrimary) -> None:
        self._primary = primary

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, client: tuple[str, int]) -> None:
        question = read_question(data, "udp", client)
        self._primary.asked.append(question)
        for act in self._primary.answer(question):
            if isinstance(act, bytes):
                self._transport.sendto(act, client)  # type: ignore[attr-defined]


@asynccontextmanager
async def scripted(answer: Answer) -> AsyncIterator[ScriptedPrimary]:
    """A primary that listens on TCP and UDP, and is gone afterwards."""
    primary = ScriptedPrimary(answer)
    loop = asyncio.get_running_loop()
    primary.port = free_port()
    server = await asyncio.start_server(primary.connected, LOOPBACK, primary.port, backlog=1024)
    datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(primary), (LOOPBACK, primary.port))
    try:
        yield primary
    finally:
        primary.hang_up()
        server.close()
        datagrams.close()
        async with asyncio.timeout(5):
            while primary.open:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert primary.faults == []


@contextmanager
def scripted_beside(answer: Answer) -> Iterator[ScriptedPrimary]:
    """The same in a loop and thread of its own."""
    started: queue.Queue[ScriptedPrimary] = queue.Queue()
    over = threading.Event()

    async def serve() -> None:
        async with scripted(answer) as primary:
            started.put(primary)
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="scripted primary")
    thread.start()
    try:
        yield started.get(timeout=10)
    finally:
        over.set()
        thread.join(10)


def notify(port: int, zone: str, serial: int) -> None:
    """Tell a server on loopback of a new version; it must take the NOTIFY."""
    apex = dns.name.from_text(zone)
    message = dns.message.make_query(apex, "SOA", use_edns=False, flags=dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    soa = Zone(zone).soa(serial).rdata
    message.answer.append(dns.rrset.from_rdata(apex, 3600, dns.rdata.from_wire(1, codes.SOA, soa, 0, len(soa))))
    for _ in range(5):
        with suppress(dns.exception.Timeout):
            reply = dns.query.udp(message, LOOPBACK, timeout=1.0, port=port)
            if reply.rcode() != dns.rcode.NOERROR:
                raise AssertionError(f"NOTIFY for {zone} was answered {dns.rcode.to_text(reply.rcode())}")
            return
    raise AssertionError(f"no answer to NOTIFY on port {port}")
