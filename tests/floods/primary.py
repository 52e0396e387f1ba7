"""The zones' primary for the floods: it answers rightly and counts who asks for what, and when.

One event loop in a thread of its own. Each zone has an SOA that asks for no refresh within the run, so that whatever
comes for it is caused by NOTIFY. What it sends is made once per version; a question costs it a look into a dict.
"""

import asyncio
import contextlib
import struct
import threading
import time
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdataclass
import dns.rdatatype
import dns.zone
from support.ask import LOOPBACK
from support.process import free_port

SOA, AXFR, IXFR = dns.rdatatype.SOA, dns.rdatatype.AXFR, dns.rdatatype.IXFR
HEADER = 12
BIG_TEXTS = 4  # strings of 250 octets at the owner `big`: an answer of about a kilobyte


def zone_text(zone: str, serial: int) -> str:
    """A small zone whose timers never run out during a run."""
    text = " ".join(f'"{"x" * 250}"' for _ in range(BIG_TEXTS))
    return (
        f"$ORIGIN {zone}.\n$TTL 300\n@ SOA ns1 hostmaster {serial} 86400 3600 1209600 300\n@ NS ns1\n"
        f"ns1 A {LOOPBACK}\nwww A 192.0.2.1\nmail AAAA 2001:db8::25\nbig TXT {text}\n"
    )


def notify(zone: str, serial: int | None = None) -> bytes:
    """A NOTIFY (RFC 1996) with id 0 and the new SOA in it, as BIND, Knot and NSD send it.

    Without a serial, without an SOA: whoever gets it cannot know whether anything changed.
    """
    message = dns.message.make_query(zone, "SOA", use_edns=False, flags=dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    message.id = 0
    wire = bytearray(message.to_wire())
    if serial is not None:
        wire[7] = 1  # ANCOUNT
        rdata = b"\x03ns1\xc0\x0c\x0ahostmaster\xc0\x0c" + struct.pack("!IIIII", serial, 86400, 3600, 1209600, 300)
        wire += b"\xc0\x0c" + struct.pack("!HHIH", SOA, 1, 300, len(rdata)) + rdata
    return bytes(wire)


class Asked(NamedTuple):
    """One question that came."""

    at: float  # monotonic
    zone: str
    rdtype: int


class Version:
    """What one version of a zone is answered with: counts and sections behind id, flags and question."""

    def __init__(self, zone: str, serial: int) -> None:
        self.serial = serial
        parsed = dns.zone.from_text(zone_text(zone, serial), relativize=False)
        records = [
            name.to_wire() + struct.pack("!HHIH", rdata.rdtype, 1, ttl, len(wire)) + wire
            for name, ttl, rdata in parsed.iterate_rdatas()
            for wire in [rdata.to_wire()]
            if rdata.rdtype != SOA
        ]
        soa = parsed.get_rdataset(parsed.origin, SOA)
        wire = soa[0].to_wire()
        self.soa = parsed.origin.to_wire() + struct.pack("!HHIH", SOA, 1, soa.ttl, len(wire)) + wire
        self.whole = self.soa + b"".join(records) + self.soa
        self.whole_count = len(records) + 2


class CountingPrimary:
    """The server: started by `with`; its methods are called from other threads."""

    def __init__(self, *zones: str) -> None:
        self.port = free_port()
        self.asked: list[Asked] = []
        self._names = {dns.name.from_text(zone).to_wire(): zone for zone in zones}
        self._versions = {zone: Version(zone, 1) for zone in zones}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="primary", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None

    def publish(self, zone: str) -> int:
        """A new version; its serial. Nobody is told."""
        self._versions[zone] = version = Version(zone, self._versions[zone].serial + 1)
        return version.serial

    def serial(self, zone: str) -> int:
        return self._versions[zone].serial

    def count(self, zone: str, begin: float, end: float) -> dict[str, int]:
        """How many SOA questions and how many for transfers came between two monotonic times."""
        kinds = [each.rdtype for each in list(self.asked) if each.zone == zone and begin <= each.at < end]
        transfers = kinds.count(AXFR) + kinds.count(IXFR)
        return {"soa": kinds.count(SOA), "transfers": transfers}

    def __enter__(self) -> "CountingPrimary":
        self._thread.start()
        if not self._ready.wait(10):
            raise AssertionError("the primary did not start")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop and self._end:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            tasks.add(task)  # type: ignore[arg-type]  # there is one
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                    reply = self.answer(data)
                    writer.write(struct.pack("!H", len(reply)) + reply)
            tasks.discard(task)  # type: ignore[arg-type]
            writer.close()

        transport, _ = await self._loop.create_datagram_endpoint(lambda: _Datagrams(self), (LOOPBACK, self.port))
        server = await asyncio.start_server(connected, LOOPBACK, self.port, backlog=4096)
        self._ready.set()
        await self._end.wait()
        transport.close()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def answer(self, data: bytes) -> bytes:
        """The reply to one message. What is not a question for one of the zones is refused."""
        end = data.index(0, HEADER) + 5
        question = data[HEADER:end]
        zone = self._names.get(question[:-4].lower())
        rdtype = int.from_bytes(question[-4:-2], "big")
        version = self._versions.get(zone or "")
        if zone is None or version is None or rdtype not in (SOA, AXFR, IXFR):
            return data[:2] + struct.pack("!HHHHH", 0x8005, 1, 0, 0, 0) + question
        self.asked.append(Asked(time.monotonic(), zone, rdtype))
        whole = rdtype == AXFR or (rdtype == IXFR and _held(data) != version.serial)
        count, body = (version.whole_count, version.whole) if whole else (1, version.soa)
        return data[:2] + struct.pack("!HHHHH", 0x8400, 1, count, 0, 0) + question + body


def _held(request: bytes) -> int:
    """The serial in the authority section of a request for IXFR."""
    return int(dns.message.from_wire(request).authority[0][0].serial)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, primary: CountingPrimary) -> None:
        self._primary = primary

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._transport.sendto(self._primary.answer(data), address)  # type: ignore[attr-defined]
