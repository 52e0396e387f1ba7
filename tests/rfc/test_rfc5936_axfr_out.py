"""RFC 5936 (AXFR) as a server: a zone as dnspython, which shares no code with us, receives it from our sockets."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.zone
import pytest
from support.own_server import LOOPBACK, OwnServer, own_server
from support.zones import zone_text

ZONE = "Example.COM"
ODD = """
CamelCase A 192.0.2.7
below.sub A 192.0.2.8
ent.of.nothing TXT "below an empty non-terminal"
_dnskey.sub TYPE65280 \\# 2 c00c
"""


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    def ask(self, rdtype: str, ident: int, **options) -> dns.message.Message:
        flags = options.pop("flags", 0)
        message = dns.message.make_query(ZONE, rdtype, id=ident, flags=flags, **({"use_edns": -1} | options))
        wire = message.to_wire()
        self.writer.write(struct.pack("!H", len(wire)) + wire)
        return message

    async def receive(self) -> dns.message.Message:
        async with asyncio.timeout(30):
            (size,) = struct.unpack("!H", await self._reader.readexactly(2))
            return dns.message.from_wire(await self._reader.readexactly(size), one_rr_per_rrset=True, xfr=True)

    async def whole(self) -> list[dns.message.Message]:
        """All messages of one transfer."""
        messages: list[dns.message.Message] = []
        while sum(rrset.rdtype == dns.rdatatype.SOA for each in messages for rrset in each.answer) < 2:
            messages.append(await self.receive())
        return messages


@asynccontextmanager
async def connected(server: OwnServer) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection(LOOPBACK, server.port))
    try:
        yield client
    finally:
        client.writer.transport.abort()
        await asyncio.sleep(0)


async def transfer(server: OwnServer, **options) -> list[dns.message.Message]:
    async with connected(server) as client:
        client.ask("AXFR", 4711, **options)
        return await client.whole()


def lines(messages: list[dns.message.Message]) -> list[str]:
    return [rrset.to_text() for message in messages for rrset in message.answer]


async def test_section_2_2_the_soa_first_and_last_and_every_other_record_once(tmp_path: Path) -> None:
    text = zone_text(ZONE, 7, extra=ODD, hosts=3000)
    async with own_server(tmp_path) as server:
        server.serve(ZONE.lower(), text)
        messages = await transfer(server)
    sent = lines(messages)
    assert len(messages) > 1 and sent[0] == sent[-1] and " SOA " in sent[0]
    wanted = dns.zone.from_text(text, origin=ZONE, relativize=False)
    records = [dns.rrset.from_rdata(name, ttl, rdata).to_text() for name, ttl, rdata in wanted.iterate_rdatas()]
    assert Counter(sent[1:]) == Counter(records)


@pytest.mark.parametrize("rd", [0, dns.flags.RD])
async def test_section_2_2_1_the_headers_of_all_messages(tmp_path: Path, rd: int) -> None:
    async with own_server(tmp_path) as server:
        server.serve(ZONE.lower(), zone_text(ZONE, 7, hosts=3000))
        for message in await transfer(server, flags=rd):
            assert (message.id, message.rcode()) == (4711, 0)
            assert message.flags == dns.flags.QR | dns.flags.AA | rd


async def test_section_2_2_2_the_question_as_it_was_asked(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve(ZONE.lower(), zone_text(ZONE, 7, hosts=3000))
        for message in await transfer(server):
            assert [each.to_text() for each in message.question] == ["Example.COM. IN AXFR"]


async def test_section_2_2_5_an_opt_with_the_first_message_where_the_request_had_one(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve(ZONE.lower(), zone_text(ZONE, 7, hosts=3000))
        assert [message.edns for message in await transfer(server, use_edns=0)][:2] == [0, -1]
        assert all(message.edns == -1 for message in await transfer(server))


async def test_section_3_2_and_3_5_what_is_below_a_delegation_belongs_to_the_zone_too(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve(ZONE.lower(), zone_text(ZONE, 7, extra=ODD))
        sent = {line.split()[0] for line in lines(await transfer(server))}
    assert {"ns.sub.Example.COM.", "below.sub.Example.COM.", "_dnskey.sub.Example.COM."} <= sent
    assert "of.nothing.Example.COM." not in sent, "an empty non-terminal has no record"


async def test_section_3_4_names_leave_in_the_case_they_came_in(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve(ZONE.lower(), zone_text(ZONE, 7, extra=ODD))
        assert any(line.startswith("CamelCase.Example.COM. ") for line in lines(await transfer(server)))


async def test_section_4_1_queries_and_transfers_share_a_connection(tmp_path: Path) -> None:
    """Each message says by its id what it belongs to."""
    async with own_server(tmp_path) as server:
        server.serve(ZONE.lower(), zone_text(ZONE, 7, hosts=3000))
        async with connected(server) as client:
            client.ask("AXFR", 1)
            client.ask("SOA", 2)
            client.ask("AXFR", 3)
            got: dict[int, list[str]] = {1: [], 2: [], 3: []}
            while not all(len(got[ident]) > 3000 for ident in (1, 3)) or not got[2]:
                message = await client.receive()
                got[message.id] += lines([message])
        assert got[1] == got[3] and got[1][0] == got[1][-1] == got[2][0]
