"""The primary that all servers under comparison get their zones from: SOA over UDP and TCP, AXFR over TCP, no more.

A zone is sent as it was drawn, record for record, whatever it is, so that no server's reading of zone files comes into
it. One event loop in a thread of its own.
"""

import asyncio
import random
import threading
from collections.abc import Iterator
from struct import pack

import dns.message
import dns.name
import dns.rdatatype
from differential.draft import ZoneDraft
from dns.name import Name
from support.ask import LOOPBACK
from support.process import free_port

ROOM = 16000  # octets of records in a message
AXFR, SOA = 252, 6


def record(owner: Name, rdtype: int, ttl: int, rdata: bytes) -> bytes:
    return owner.to_wire() + pack("!HHIH", rdtype, 1, ttl, len(rdata)) + rdata


def records(zone: ZoneDraft) -> list[bytes]:
    """The zone's records on the wire without the SOA; in one zone of five the owners' records are not together."""
    found = [
        record(rrset.owner, rrset.rdtype, rrset.ttl, rdata.to_wire())
        for rrset in zone.rrsets()
        for rdata in rrset.rdatas
        if rrset.rdtype != SOA
    ]
    order = random.Random(zone.text)
    if order.random() < 0.2:
        order.shuffle(found)
    return found


def soa(zone: ZoneDraft) -> bytes:
    rrset = zone.at(zone.origin)[SOA]
    return record(rrset.owner, SOA, rrset.ttl, rrset.rdatas[0].to_wire())


class ZoneSource:
    """Serves the zones until closed. `asked` are the names, folded, that were transferred."""

    def __init__(self, zones: list[ZoneDraft]) -> None:
        self.port = free_port()
        self._soa = {zone.origin: soa(zone) for zone in zones}
        self._records = {zone.origin: records(zone) for zone in zones}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        started = threading.Event()
        self._loop.call_soon(lambda: self._loop.create_task(self._start(started)))
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the primary did not start")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _start(self, started: threading.Event) -> None:
        self._datagrams, _ = await self._loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(LOOPBACK, self.port)
        )
        self._server = await asyncio.start_server(self._stream, LOOPBACK, self.port)
        started.set()

    def close(self) -> None:
        """Stop the loop; connections end with it."""

        async def end() -> None:
            self._server.close()
            self._datagrams.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # what was closed is gone one turn later
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join(10)

    def __enter__(self) -> "ZoneSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                query = dns.message.from_wire(await reader.readexactly(size))
                for reply in self.replies(query):
                    writer.write(pack("!H", len(reply)) + reply)
                    await writer.drain()
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    def replies(self, query: dns.message.Message) -> Iterator[bytes]:
        """The messages that answer a question."""
        question = query.question[0]
        first = self._soa.get(question.name)
        if first is None:
            yield message(query, [], 5)
        elif question.rdtype == AXFR:
            waiting, size = [first], len(first)
            for packed in (*self._records[question.name], first):
                if size + len(packed) > ROOM:
                    yield message(query, waiting)
                    waiting, size = [], 0
                waiting.append(packed)
                size += len(packed)
            yield message(query, waiting)
        elif question.rdtype == SOA:
            yield message(query, [first])
        else:
            yield message(query, [], 4)  # IXFR: not here, ask for the whole


def message(query: dns.message.Message, answer: list[bytes], rcode: int = 0) -> bytes:
    question = query.question[0]
    head = pack("!HHHHHH", query.id, 0x8400 | rcode, 1, len(answer), 0, 0)
    return head + question.name.to_wire() + pack("!HH", question.rdtype, question.rdclass) + b"".join(answer)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, source: ZoneSource) -> None:
        self._source = source

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        reply = message(query, [], 4) if query.question[0].rdtype == 251 else next(self._source.replies(query))
        self._transport.sendto(reply, address)  # type: ignore[attr-defined]
