"""A primary that misbehaves to order: what it does wrong is chosen by the name of the zone, so one run has all cases.

    zone a07.bad.test ─▶ row a07 ─▶ what AXFR is answered with (to IXFR: NOTIMP, or the same again with `ixfr_in_full`)
    zone i07.bad.test ─▶ row i07 ─▶ what IXFR is answered with (to AXFR: the new version, whole and right)

    serial 5, all good ──misbehave()──▶ serial 6 (8 in i05), as the row says ──heal()──▶ serial 9, all good

Rows are data: a `Reply` is what one question is answered with, message by message. With a key, each message is signed
rightly (by dnspython, which we did not write), so that nothing is wrong but the content. The server is one event loop
in a thread of its own, on any number of ports, which differ in nothing but by which one was asked: see `asked`.
"""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
from dns.rdtypes.ANY.TSIG import TSIG
from support.ask import LOOPBACK, Key
from support.ask import Record as Shown
from support.process import free_port
from support.transfer_messages import pack

from nameserver.wire import codes
from nameserver.wire.rrset import Record

ORIGIN = "bad.test"
GOOD_SERIAL, HEALED_SERIAL = 5, 9
TIMERS = "1 1 86400 300"  # a peer that is told nothing else asks again every second
ANSWER = codes.QR | codes.AA


class Phase(Enum):
    """How the primary behaves."""

    GOOD = "good"
    BAD = "bad"
    HEALED = "healed"


@lru_cache(maxsize=10_000)
def _read(origin: dns.name.Name, line: str) -> Record:
    owner, ttl, rdtype, rdata = line.split(" ", 3)
    kind = dns.rdatatype.from_text(rdtype)
    parsed = dns.rdata.from_text(dns.rdataclass.IN, kind, rdata, origin, False)
    return Record(dns.name.from_text(owner, origin).to_wire(), int(kind), codes.IN, int(ttl), parsed.to_wire())


class Zone:
    """One zone in all its versions. Each has a few records, of which one tells the serial."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.origin = dns.name.from_text(name)
        self.wire = self.origin.to_wire()

    def rr(self, line: str) -> Record:
        """`"www 300 A 192.0.2.1"`, relative to the zone, class IN."""
        return _read(self.origin, line)

    def soa(self, serial: int, rname: str = "hostmaster") -> Record:
        return self.rr(f"@ 3600 SOA ns1 {rname} {serial} {TIMERS}")

    def body(self, serial: int) -> list[Record]:
        """The version's records without the SOA."""
        lines = [
            "@ 3600 NS ns1",
            "ns1 3600 A 127.0.0.1",
            "www 300 A 192.0.2.1",
            "mail 300 AAAA 2001:db8::25",
            f"serial 300 TXT {serial}",
            *(["new 300 A 192.0.2.7"] if serial > GOOD_SERIAL else []),
        ]
        return [self.rr(line) for line in lines]

    def whole(self, serial: int) -> list[Record]:
        """The version as a transfer: between its SOAs."""
        return [self.soa(serial), *self.body(serial), self.soa(serial)]

    def step(self, old: int, new: int) -> list[Record]:
        """The difference between two versions (RFC 1995 §4), without the first and the last SOA."""
        before, after = self.body(old), self.body(new)
        deleted = [record for record in before if record not in after]
        return [self.soa(old), *deleted, self.soa(new), *(record for record in after if record not in before)]

    def difference(self, old: int, new: int) -> list[Record]:
        """The step as a transfer."""
        return [self.soa(new), *self.step(old, new), self.soa(new)]


class Message(NamedTuple):
    """One message of a reply, and how it differs from a right one."""

    records: Sequence[Record] = ()
    flags: int = ANSWER
    question: bytes | None = None  # another than the one asked; b"": none
    other_id: int = 0  # is added to the id


class Reply(NamedTuple):
    """What one question over TCP is answered with."""

    messages: tuple[Message, ...]
    closes: bool = False  # the connection, afterwards


Script = Callable[[Zone], Reply]


def _sent(*records: Record, closes: bool = False, **oddities: int | bytes) -> Reply:
    """All in one message."""
    return Reply((Message(records, **oddities),), closes)  # type: ignore[arg-type]


def _parted(records: Sequence[Record], between: Sequence[Message] = (), **oddities: int | bytes) -> Reply:
    """In two messages; the oddities are the second one's."""
    return Reply((Message(records[:3]), *between, Message(records[3:], **oddities)))  # type: ignore[arg-type]


def _failed(rcode: int) -> Reply:
    return _sent(flags=codes.QR | rcode)


@dataclass(frozen=True)
class Row:
    """One case: what is wrong, the reply to AXFR (a-rows) or IXFR (i-rows), the serial that the SOA question shows."""

    what: str
    script: Script
    serial: int = 6


def _other_class(zone: Zone) -> Reply:
    soa, *body, end = zone.whole(6)
    return _sent(soa, *body, zone.rr("new 300 TXT chaos")._replace(rdclass=codes.CH), end)


def _with(*lines: str) -> Script:
    """The version with more records."""

    def script(zone: Zone) -> Reply:
        soa, *body, end = zone.whole(6)
        return _sent(soa, *body, *map(zone.rr, lines), end)

    return script


def _flagged(flags: int) -> Script:
    return lambda zone: Reply((Message(zone.whole(6)[:3], flags), Message(zone.whole(6)[3:], flags)))


def _soa_in_the_middle(zone: Zone) -> Reply:
    soa, *body, end = zone.whole(6)
    return _sent(soa, *body[:3], zone.soa(5), *body[3:], end)


def _short_address(zone: Zone) -> Reply:
    soa, *body, end = zone.whole(6)
    return _sent(soa, *body, zone.rr("short 300 A 192.0.2.8")._replace(rdata=b"\xc0\0\2"), end)


def _top_bit(zone: Zone) -> Reply:
    soa, *body, end = zone.whole(6)
    return _sent(soa, *body, zone.rr("ttl 0 A 192.0.2.8")._replace(ttl=0x80000001), end)


def _serial_same(zone: Zone) -> Reply:
    return _sent(zone.soa(5), *zone.body(6), zone.soa(5))


def _gap(zone: Zone) -> Reply:
    """From 5 to 6 and from 7 to 8. All of it can be done to 5; the record of the step between is missing then."""
    return _sent(zone.soa(8), *_less_new(zone, zone.step(5, 6)), zone.soa(7), *zone.step(6, 8)[1:], zone.soa(8))


def _elsewhere(zone: Zone) -> Reply:
    """From 4. All of it can be done to 5; a record is missing then."""
    new, _, *rest = zone.difference(5, 6)
    return _sent(new, zone.soa(4), *_less_new(zone, rest))


def _less_new(zone: Zone, records: Sequence[Record]) -> list[Record]:
    left_out = zone.rr("new 300 A 192.0.2.7")
    return [record for record in records if record != left_out]


def _step_with(deleted: Sequence[str] = (), added: Sequence[str] = (), without: Sequence[str] = ()) -> Script:
    """The right difference, with more deleted and added; `without` lines are left out of it."""

    def script(zone: Zone) -> Reply:
        new, old, gone, middle, *rest, end = zone.difference(5, 6)
        left_out = [zone.rr(line) for line in without]
        kept = [record for record in (gone,) if record not in left_out]
        return _sent(new, old, *kept, *map(zone.rr, deleted), middle, *map(zone.rr, added), *rest, end)

    return script


def _other_case(zone: Zone) -> Reply:
    """Owner and name in the data of what is deleted are in capitals."""
    new, old, *rest = zone.difference(5, 6)
    mail = zone.rr("mail 300 AAAA 2001:db8::25")
    name_server = zone.rr("@ 3600 NS NS1")
    capitals = [mail._replace(owner=mail.owner.upper()), name_server._replace(owner=zone.wire.upper())]
    middle = rest.index(zone.soa(6))
    back = [zone.rr("mail 300 AAAA 2001:db8::25"), zone.rr("@ 3600 NS ns1")]
    return _sent(new, old, *rest[:middle], *capitals, rest[middle], *back, *rest[middle + 1 :])


def _other_soa(zone: Zone) -> Reply:
    new, old, gone, middle, *rest = zone.difference(5, 6)
    return _sent(new, old, gone, middle._replace(owner=b"\3sub" + zone.wire), *rest)


def _chaos_added(zone: Zone) -> Reply:
    *most, end = zone.difference(5, 6)
    return _sent(*most, zone.rr("chaos 300 TXT chaos")._replace(rdclass=codes.CH), end)


ROWS: dict[str, Row] = {
    "a00": Row("a good AXFR", lambda z: _sent(*z.whole(6))),
    "a01": Row("no closing SOA, then FIN", lambda z: _sent(*z.whole(6)[:-1], closes=True)),
    "a02": Row("closing SOA with another serial", lambda z: _sent(*z.whole(6)[:-1], z.soa(7))),
    "a03": Row("closing SOA with another rname", lambda z: _sent(*z.whole(6)[:-1], z.soa(6, "other"))),
    "a04": Row("record after the closing SOA", lambda z: _sent(*z.whole(6), z.rr("late 300 A 192.0.2.8"))),
    "a05": Row("owner outside the zone", _with("www.elsewhere.test. 300 A 192.0.2.8")),
    "a06": Row("record of class CH", _other_class),
    "a07": Row("CNAME beside an A", _with("www 300 CNAME mail")),
    "a08": Row("a record twice", _with("www 300 A 192.0.2.1")),
    "a09": Row("no NS at the apex", lambda z: _sent(z.soa(6), *z.body(6)[1:], z.soa(6))),
    "a10": Row("two TTLs in an RRset", _with("www 60 A 192.0.2.2")),
    "a11": Row("another id in the 2nd message", lambda z: _parted(z.whole(6), other_id=1)),
    "a12": Row("another name in the question", lambda z: _sent(*z.whole(6), question=b"\5wrong" + z.wire)),
    "a13": Row("QR=0", _flagged(codes.AA)),
    "a14": Row("TC=1 over TCP", _flagged(ANSWER | codes.TC)),
    "a15": Row("AA=0", _flagged(codes.QR)),
    "a16": Row("apex SOA in the middle", _soa_in_the_middle),
    "a17": Row("first record is no SOA", lambda z: _sent(z.body(6)[0], z.soa(6), *z.body(6)[1:], z.soa(6))),
    "a18": Row("A with 3 bytes", _short_address),
    "a19": Row("SOA says 6, AXFR holds 4", lambda z: _sent(*z.whole(4))),
    "a20": Row("empty message in the middle", lambda z: _parted(z.whole(6), between=[Message()])),
    "a21": Row("no question in the 2nd message", lambda z: _parted(z.whole(6), question=b"")),
    "a22": Row("our own serial 5, other data", _serial_same),
    "a23": Row("TTL with its top bit set", _top_bit),
    "a24": Row("SOA, SOA and nothing else", lambda z: _sent(z.soa(6), z.soa(6))),
    "a25": Row(
        "wildcard NS, data below a DNAME",
        _with("*.wild 300 NS ns1", "below.here 300 A 192.0.2.8", "here 300 DNAME elsewhere.test."),
    ),
    "i00": Row("a good IXFR", lambda z: _sent(*z.difference(5, 6))),
    "i01": Row("a single newer SOA, then FIN", lambda z: _sent(z.soa(6), closes=True)),
    "i02": Row("deletes what is not there", _step_with(deleted=["absent 300 A 192.0.2.8"])),
    "i03": Row("adds what is there", _step_with(added=["www 300 A 192.0.2.1"])),
    "i04": Row("starts at 4, we hold 5", _elsewhere),
    "i05": Row("5→6, then 7→8", _gap, serial=8),
    "i06": Row("a whole zone", lambda z: _sent(*z.whole(6))),
    "i07": Row("SOA, SOA and nothing else", lambda z: _sent(z.soa(6), z.soa(6))),
    "i08": Row("deletes the NS of the apex", _step_with(deleted=["@ 3600 NS ns1"])),
    "i10": Row("REFUSED", lambda z: _failed(codes.REFUSED)),
    "i11": Row("FORMERR", lambda z: _failed(codes.FORMERR)),
    "i12": Row("NOTAUTH", lambda z: _failed(codes.NOTAUTH)),
    "i13": Row("cut in the middle, then FIN", lambda z: _sent(*z.difference(5, 6)[:4], closes=True)),
    "i14": Row("a single older SOA", lambda z: _sent(z.soa(4))),
    "i15": Row("deletes with another TTL", _step_with(deleted=["serial 77 TXT 5"], without=["serial 300 TXT 5"])),
    "i16": Row("deletes in another letter case", _other_case),
    "i17": Row("adds an owner outside the zone", _step_with(added=["www.elsewhere.test. 300 A 192.0.2.8"])),
    "i18": Row("deletes a record twice", _step_with(deleted=["serial 300 TXT 5"])),
    "i19": Row("another zone's SOA in the middle", _other_soa),
    "i20": Row("adds a record of class CH", _chaos_added),
    "i21": Row("a whole zone, cut short, then FIN", lambda z: _sent(*z.whole(6)[:-2], closes=True)),
    "i22": Row("a single SOA of our serial 5", lambda z: _sent(z.soa(5))),
}


def zone_of(row: str) -> str:
    """The zone's name."""
    return f"{row}.{ORIGIN}"


def row_of(zone: str) -> str:
    """The row's name."""
    return zone.partition(".")[0]


class Asked(NamedTuple):
    """One question that came."""

    port: int
    zone: str
    rdtype: str
    phase: Phase


def shown(records: Iterable[Record]) -> set[Shown]:
    """As `support.ask` gives what a server sent, for comparing."""
    return {
        Shown(
            dns.name.from_wire(record.owner, 0)[0].to_text(),
            record.ttl,
            dns.rdatatype.to_text(record.type),
            dns.rdata.from_wire(record.rdclass, record.type, record.rdata, 0, len(record.rdata)).to_text(),
        )
        for record in records
    }


class BadPrimary:
    """The server: started by `with`. Its methods are called from the test's thread."""

    def __init__(self, *, ports: int = 1, key: Key | None = None, ixfr_in_full: bool = False) -> None:
        self.zones = {zone_of(row): Zone(zone_of(row)) for row in ROWS}
        self.ports = [free_port() for _ in range(ports)]
        self.key = key
        self.ixfr_in_full = ixfr_in_full
        self.phase = Phase.GOOD
        self.asked: list[Asked] = []
        self.faults: list[str] = []
        self._keyring = {dns.name.from_text(key.name): key.dnspython} if key else None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bad primary")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None

    # what the tests call

    def misbehave(self) -> None:
        """From now on newer versions are offered, each as its row says."""
        self.phase = Phase.BAD

    def heal(self) -> None:
        """From now on everything is right again."""
        self.phase = Phase.HEALED

    def serial(self, zone: str) -> int:
        """What the zone's SOA says now."""
        return {Phase.GOOD: GOOD_SERIAL, Phase.BAD: ROWS[row_of(zone)].serial, Phase.HEALED: HEALED_SERIAL}[self.phase]

    def notify(self, port: int) -> None:
        """Tell the server on this port about every zone (RFC 1996); each NOTIFY is to be answered with NOERROR.

        No serial is named: whether one would be believed (`nameserver.refresh.hints`) depends on whose turn it is when.
        """
        for zone in self.zones.values():
            message = dns.message.make_query(zone.origin, "SOA", use_edns=False, flags=dns.flags.AA)
            message.set_opcode(dns.opcode.NOTIFY)
            if self.key:
                message.use_tsig(self.key.dnspython)
            reply = _ask(message, port)
            if reply.rcode() != dns.rcode.NOERROR:
                raise AssertionError(f"NOTIFY for {zone.name} was answered {dns.rcode.to_text(reply.rcode())}")

    def asked_for(self, zone: str, port: int, phase: Phase = Phase.BAD) -> list[str]:
        """What transfers of the zone were asked for at this port, in order: AXFR, IXFR."""
        return [
            each.rdtype
            for each in list(self.asked)
            if (each.zone, each.port, each.phase) == (zone, port, phase) and each.rdtype != "SOA"
        ]

    # its life

    def __enter__(self) -> "BadPrimary":
        self._thread.start()
        if not self._ready.wait(10):
            raise AssertionError("the bad primary did not start")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop and self._end:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        connections: set[asyncio.Task[None] | None] = set()
        async with contextlib.AsyncExitStack() as stack:
            for port in self.ports:
                transport, _ = await self._loop.create_datagram_endpoint(
                    lambda port=port: _Datagrams(self, port), (LOOPBACK, port)
                )
                stack.callback(transport.close)

                async def connected(
                    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port
                ) -> None:
                    task = asyncio.current_task()
                    connections.add(task)
                    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                        await self._converse(reader, writer, port)
                    connections.discard(task)
                    writer.close()

                server = await asyncio.start_server(connected, LOOPBACK, port, backlog=512)
                stack.callback(server.close)
            self._ready.set()
            await self._end.wait()
            for task in list(connections):
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        while True:
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            messages, closes = self.answer_or_note(data, port, tcp=True)
            for message in messages:
                writer.write(struct.pack("!H", len(message)) + message)
                await writer.drain()
            if closes or not messages:
                return

    # answering

    def answer_or_note(self, data: bytes, port: int, *, tcp: bool) -> tuple[list[bytes], bool]:
        """As `answer`; a fault of ours goes to `faults`, where a test sees it, and nothing is answered."""
        try:
            return self.answer(data, port, tcp=tcp)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shall know
            self.faults.append(repr(error))
            return [], True

    def answer(self, data: bytes, port: int, *, tcp: bool) -> tuple[list[bytes], bool]:
        """The messages that a request is answered with; whether the connection ends then. Nothing to what is wrong."""
        try:
            request = dns.message.from_wire(data, keyring=self._keyring)
        except dns.exception.DNSException as error:
            self.faults.append(f"a request that is wrong: {error!r}")
            return [], True
        question = request.question[0]
        zone = self.zones.get(question.name.to_text(omit_final_dot=True).lower())
        if self.key and not request.had_tsig:
            self.faults.append(f"an unsigned request for {question}")
            zone = None
        if zone is None:
            return self._packed(_failed(codes.REFUSED), request), False
        rdtype = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(Asked(port, zone.name, rdtype, self.phase))
        reply = self._reply(zone, rdtype, request, tcp)
        return self._packed(reply, request), reply.closes

    def _reply(self, zone: Zone, rdtype: str, request: dns.message.Message, tcp: bool) -> Reply:
        serial, row = self.serial(zone.name), ROWS[row_of(zone.name)]
        if rdtype == "SOA" or not tcp:
            return _sent(zone.soa(serial))
        incremental = zone.name.startswith("i")
        if rdtype == "AXFR":
            return row.script(zone) if self.phase is Phase.BAD and not incremental else _sent(*zone.whole(serial))
        if rdtype != "IXFR":
            return _failed(codes.REFUSED)
        if self.phase is Phase.BAD and (incremental or self.ixfr_in_full):
            return row.script(zone)
        if not incremental and not self.ixfr_in_full:
            return _failed(codes.NOTIMP)
        held = request.authority[0][0].serial
        if held == serial:
            return _sent(zone.soa(serial))
        return _sent(*(zone.difference(held, serial) if incremental else zone.whole(serial)))

    def _packed(self, reply: Reply, request: dns.message.Message) -> list[bytes]:
        packed: list[bytes] = []
        context = None
        for message in reply.messages:
            wire = _wire(message, request)
            if self.key and request.had_tsig:
                wire, context = _signed(wire, self.key.dnspython, request.mac, context, len(reply.messages) > 1)
            packed.append(wire)
        return packed


class _Datagrams(asyncio.DatagramProtocol):
    """Answers over UDP."""

    def __init__(self, primary: BadPrimary, port: int) -> None:
        self._primary = primary
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        for message in self._primary.answer_or_note(data, self._port, tcp=False)[0]:
            self._transport.sendto(message, address)  # type: ignore[attr-defined]


def _wire(message: Message, request: dns.message.Message) -> bytes:
    asked = request.question[0]
    fixed = struct.pack("!HH", asked.rdtype, asked.rdclass)
    question = asked.name.to_wire() + fixed
    if message.question is not None:
        question = message.question + fixed if message.question else b""
    header = struct.pack(
        "!HHHHHH",
        (request.id + message.other_id) & 0xFFFF,
        message.flags,
        1 if question else 0,
        len(message.records),
        0,
        0,
    )
    return header + question + b"".join(map(pack, message.records))


def _signed(wire: bytes, key: dns.tsig.Key, request_mac: bytes, context: object, several: bool) -> tuple[bytes, object]:
    """The message with its TSIG (RFC 8945 §5.3.1: each but the first covers the one before it)."""
    original_id = int.from_bytes(wire[:2], "big")
    blank = TSIG(dns.rdataclass.ANY, dns.rdatatype.TSIG, key.algorithm, 0, 300, b"", original_id, 0, b"")
    tsig, context = dns.tsig.sign(wire, key, blank, int(time.time()), request_mac, context, several)
    rdata = tsig.to_wire()
    owner = key.name.to_wire() + struct.pack("!HHIH", dns.rdatatype.TSIG, dns.rdataclass.ANY, 0, len(rdata))
    counted = wire[:10] + struct.pack("!H", int.from_bytes(wire[10:12], "big") + 1) + wire[12:]
    return counted + owner + rdata, context


def _ask(message: dns.message.Message, port: int, tries: int = 5) -> dns.message.Message:
    for _ in range(tries):
        with contextlib.suppress(dns.exception.Timeout, socket.timeout):
            return dns.query.udp(message, LOOPBACK, timeout=1.0, port=port)
    raise AssertionError(f"no answer to NOTIFY on port {port}")
