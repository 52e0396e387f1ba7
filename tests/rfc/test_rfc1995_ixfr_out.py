"""RFC 1995 (IXFR) as a server: what a secondary that says which version it has is sent."""

import asyncio
import socket
import sqlite3
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from support.own_server import KEY, LOOPBACK, OwnServer, commit_text, own_server, until
from support.zones import zone_text

from nameserver.server.answering import transfer_out
from nameserver.server.answering.pace import OutLimits
from nameserver.telemetry.events import Kind, Outcome, TransferEvent
from nameserver.transfer.inbound import Got, InboundTransfer, IncrementalTransfer, Result, TransferKind
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes, names
from nameserver.wire.query import build_query
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import StreamVerifier, TsigKey, sign

ZONE = "example.com"
NAME = names.from_text(ZONE)
HALF = 2**31


def text(serial: int, *lines: str, hosts: int = 20) -> str:
    return zone_text(ZONE, serial, hosts=hosts, extra="".join(f"{line}\n" for line in lines))


def serve(server: OwnServer, *versions: str) -> None:
    """Have these versions come, one after another; the last one is served."""
    for version in versions[:-1]:
        commit_text(server.store, ZONE, version)
    server.serve(ZONE, versions[-1])


def question(serial: int, ident: int = 4711, edns: int | bool = False) -> bytes:
    soa = RRset.of(NAME, codes.SOA, 0, [b"\0\0" + serial.to_bytes(4, "big") + bytes(16)])
    return build_query(ident, NAME, codes.IXFR, soa=soa, edns=edns)


@dataclass
class Answer:
    """What came: as our own machine understands it, and the messages."""

    got: Got
    result: Result
    messages: list[dns.message.Message]

    @property
    def steps(self) -> list[tuple[int, int]]:
        assert isinstance(self.result, IncrementalTransfer)
        return [(step.old_serial, step.new_serial) for step in self.result.changesets]

    @property
    def lines(self) -> list[str]:
        """The records, in the order sent; of SOA records the serial."""
        return [
            f"SOA {rrset[0].serial}" if rrset.rdtype == dns.rdatatype.SOA else f"{rrset.name} {rrset[0]}"
            for message in self.messages
            for rrset in message.answer
        ]


@asynccontextmanager
async def replies(server: OwnServer, message: bytes) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """Send a message over TCP; what receives the next reply."""
    reader, writer = await asyncio.open_connection(LOOPBACK, server.port)

    async def receive() -> bytes:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(size)

    try:
        writer.write(struct.pack("!H", len(message)) + message)
        yield receive
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def ixfr(server: OwnServer, serial: int, key: TsigKey | None = None) -> Answer:
    """Ask over TCP."""
    message, verifier, now = question(serial), None, int(time.time())
    if key is not None:
        message, mac = sign(message, key, now)
        verifier = StreamVerifier(key, mac)
    inbound = InboundTransfer(NAME, TransferKind.IXFR, 4711, serial, TransferLimits(), verifier)
    messages: list[dns.message.Message] = []
    async with asyncio.timeout(30), replies(server, message) as receive:
        done = False
        while not done:
            data = await receive()
            messages.append(dns.message.from_wire(data, keyring=False, one_rr_per_rrset=True))
            done = inbound.feed(data, now)
    return Answer(inbound.stats.got, inbound.result(), messages)


async def over_udp(server: OwnServer, serial: int, edns: int | bool = False) -> dns.message.Message:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.setblocking(False)
        sock.connect((LOOPBACK, server.port))
        sock.send(question(serial, edns=edns))
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65535), 30)
    return dns.message.from_wire(data, one_rr_per_rrset=True)


def serials(message: dns.message.Message) -> list[int]:
    return [rrset[0].serial for rrset in message.answer if rrset.rdtype == dns.rdatatype.SOA]


def finished(server: OwnServer) -> list[TransferEvent]:
    return [TransferEvent.from_json(event) for event in server.transfers.take_finished()]


async def test_section_4_one_step_new_soa_old_soa_deleted_new_soa_added_new_soa(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(5, "gone A 192.0.2.77"), text(6, "come A 192.0.2.78"))
        answer = await ixfr(server, 5)
        assert answer.got is Got.IXFR
        old, new = answer.lines[2:4], answer.lines[5:7]
        assert answer.lines == ["SOA 6", "SOA 5", *old, "SOA 6", *new, "SOA 6"]
        assert sorted(old) == ["gone.example.com. 192.0.2.77", 'serial.example.com. "5"']
        assert sorted(new) == ["come.example.com. 192.0.2.78", 'serial.example.com. "6"']
        (event,) = finished(server)
        assert (event.asked, event.got, event.outcome) == (Kind.IXFR, Kind.IXFR, Outcome.OK)
        assert (event.serial_old, event.serial_new, event.records, event.messages) == (5, 6, 8, 1)
        assert server.transfers.in_progress == 0


async def test_section_4_the_reply_is_authoritative_and_repeats_the_question(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(5), text(6))
        (message,) = (await ixfr(server, 5)).messages
        assert message.flags & codes.AA and message.id == 4711
        assert message.question[0].to_text() == "example.com. IN IXFR"
        assert message.answer[0][0].rname.to_text() == "hostmaster.example.com."  # the SOA as it is, in full


async def test_section_4_several_steps_that_are_too_large_to_be_condensed_go_out_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nameserver.server.answering.transfer_out.are_few", lambda _steps: False)
    async with own_server(tmp_path) as server:
        serve(server, *(text(serial) for serial in range(5, 10)))
        assert (await ixfr(server, 5)).steps == [(5, 6), (6, 7), (7, 8), (8, 9)]
        assert (await ixfr(server, 8)).steps == [(8, 9)]


async def test_section_5_several_steps_are_condensed_into_one_where_that_is_shorter(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        serve(server, *(text(serial, "flap A 192.0.2.77" if serial % 2 else "") for serial in range(5, 10)))
        answer = await ixfr(server, 5)
        assert answer.steps == [(5, 9)]
        assert isinstance(answer.result, IncrementalTransfer)
        (step,) = answer.result.changesets
        # What went and came back is said as such; what came and went is not mentioned.
        assert {record.rdata for record in step.deleted[1:]} == {b"\x015", b"\xc0\0\2\x4d"}
        assert {record.rdata for record in step.added[1:]} == {b"\x019", b"\xc0\0\2\x4d"}


@pytest.mark.parametrize("known", [3, 0])
async def test_section_4_where_the_history_does_not_reach_the_whole_zone_is_the_answer(
    tmp_path: Path, known: int
) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(5), text(6), text(7))
        answer = await ixfr(server, known)
        assert answer.got is Got.AXFR_STYLE
        assert (answer.lines[0], answer.lines[-1], len(answer.lines)) == ("SOA 7", "SOA 7", 36)
        (event,) = finished(server)
        assert (event.asked, event.got, event.outcome) == (Kind.IXFR, Kind.AXFR, Outcome.OK)


async def test_rfc1982_section_3_2_a_serial_neither_before_nor_after_ours_gets_the_whole_zone(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(6), text(7))
        message = await ixfr_raw(server, 7 + HALF)
        assert serials(message) == [7, 7] and len(message.answer) == 36


async def test_several_clients_have_their_steps_condensed_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes many times the octets of the steps, so it is done once at a time however many may ask."""
    real, under_way, most = transfer_out._making, [0], [0]

    def watched(*arguments) -> Generator[None, None, object]:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        yield
        made = yield from real(*arguments)
        under_way[0] -= 1
        return made

    monkeypatch.setattr(transfer_out, "_making", watched)
    async with own_server(tmp_path, out=OutLimits(at_once=4, per_address=4)) as server:
        serve(server, text(1), text(2, "a A 192.0.2.1"), text(3, "b A 192.0.2.2"))
        answers = await asyncio.gather(*(ixfr(server, 1) for _ in range(4)))
    assert most == [1]
    assert [answer.steps for answer in answers] == [[(1, 3)]] * 4


async def test_section_4_differences_larger_than_the_zone_are_not_sent(tmp_path: Path) -> None:
    hosts = [f"h{number} TXT {'x' * 100}" for number in range(20)]
    async with own_server(tmp_path) as server:
        serve(server, text(5), text(6, *hosts), text(7, *hosts[:12]), text(8, *hosts[:4]))
        assert (await ixfr(server, 6)).got is Got.AXFR_STYLE
        assert (await ixfr(server, 5)).steps == [(5, 8)], "condensed they are smaller again"


@pytest.mark.parametrize("known", [6, 7, 6 + HALF - 1])
@pytest.mark.parametrize("udp", [False, True])
async def test_section_2_a_client_with_our_version_or_a_later_one_gets_our_soa_alone(
    tmp_path: Path, known: int, udp: bool
) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(5), text(6))
        message = await over_udp(server, known) if udp else (await ixfr_raw(server, known))
        assert [rrset.rdtype for rrset in message.answer] == [dns.rdatatype.SOA] and serials(message) == [6]


async def ixfr_raw(server: OwnServer, serial: int) -> dns.message.Message:
    """The first message of the reply over TCP."""
    async with asyncio.timeout(30), replies(server, question(serial)) as receive:
        return dns.message.from_wire(await receive(), one_rr_per_rrset=True)


async def test_section_2_serials_that_wrap_are_one_after_another(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(2**32 - 2), text(2**32 - 1), text(0), text(1))
        assert (await ixfr(server, 2**32 - 1)).steps == [(2**32 - 1, 1)]


async def test_section_2_over_udp_all_differences_where_they_fit(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(5), text(6, "come A 192.0.2.78"))
        message = await over_udp(server, 5)
        assert not message.flags & codes.TC and message.flags & codes.AA
        assert serials(message) == [6, 5, 6, 6]
        assert len(message.answer) == 7
        (event,) = finished(server)
        assert (event.got, event.messages, event.bytes) == (Kind.IXFR, 1, len(message.to_wire()))


async def test_section_2_over_udp_our_soa_alone_where_they_do_not_fit(tmp_path: Path) -> None:
    hosts = [f"h{number} A 192.0.2.{number}" for number in range(1, 30)]
    async with own_server(tmp_path) as server:
        serve(server, text(5), text(6, *hosts))
        plain, more = await over_udp(server, 5), await over_udp(server, 5, edns=1232)
        assert serials(plain) == [6] and len(plain.answer) == 1 and not plain.flags & codes.TC
        assert serials(more) == [6, 5, 6, 6] and len(more.answer) == 4 + 31, "with EDNS there is room for them"


async def test_section_2_over_udp_our_soa_alone_where_the_history_does_not_reach(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(5), text(6))
        assert serials(await over_udp(server, 4)) == [6]
        assert finished(server) == []


async def test_section_2_the_reply_over_udp_is_of_the_version_that_is_served(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(5), text(6))
        commit_text(server.store, ZONE, text(7))  # not served yet
        assert serials(await over_udp(server, 5)) == [6]


async def test_a_large_difference_is_cut_into_messages_each_signed(tmp_path: Path) -> None:
    hosts = [f"more-{number} TXT {'x' * 200}" for number in range(1000)]
    async with own_server(tmp_path, KEY) as server:
        serve(server, text(5, hosts=8000), text(6, *hosts, hosts=8000))
        answer = await ixfr(server, 5, KEY)
        assert answer.steps == [(5, 6)] and len(answer.lines) == 1006
        assert len(answer.messages) > 4 and all(message.had_tsig for message in answer.messages)


async def test_rfc6891_the_reply_has_an_opt_where_the_request_had_one(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(5), text(6))
        assert (await over_udp(server, 5, edns=1232)).edns == 0
        assert (await over_udp(server, 5)).edns == -1


async def test_it_takes_a_place_like_any_other_transfer(tmp_path: Path) -> None:
    """And whoever finds none in time is refused."""
    async with own_server(tmp_path, out=OutLimits(at_once=1, wait=0.05)) as server:
        serve(server, text(5), text(6))
        assert await server.transfers._places.take(b"another", 1)
        message = await ixfr_raw(server, 5)
        assert message.rcode() == codes.REFUSED
        server.transfers._places.give_back(b"another")
        assert (await ixfr(server, 5)).steps == [(5, 6)]


def spoil(server: OwnServer, where: str) -> None:
    with closing(sqlite3.connect(server.store.path)) as other:
        other.execute(f"UPDATE history SET data = x'00' WHERE {where}")
        other.commit()


@pytest.mark.parametrize("known", [5, 6])
async def test_a_damaged_history_is_told_of_and_the_whole_zone_sent(
    tmp_path: Path, known: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with own_server(tmp_path) as server:
        serve(server, text(5), text(6), text(7))
        spoil(server, "new_serial = 7")
        assert (await ixfr(server, known)).got is Got.AXFR_STYLE
        assert server.transfers.take_damaged() == {NAME.hex(): server.store.zones()[NAME].generation}
        assert "history of zone example.com is damaged" in caplog.text
        server.store.drop_history(NAME)
        assert (await ixfr(server, known)).got is Got.AXFR_STYLE
        assert server.transfers.take_damaged() == {}


async def test_damage_that_is_found_while_it_is_sent_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client then tries again, and gets the whole zone."""
    monkeypatch.setattr("nameserver.server.answering.transfer_out.are_few", lambda _steps: False)
    hosts = [f"more-{number} TXT {'x' * 250}" for number in range(400)]
    async with own_server(tmp_path) as server:
        serve(server, text(5, hosts=9000), text(6, *hosts, hosts=9000))
        spoil(server, "part = 3")
        with pytest.raises(asyncio.IncompleteReadError):
            await ixfr(server, 5)
        await until(lambda: server.transfers.in_progress == 0)
        assert server.transfers.take_damaged().keys() == {NAME.hex()}
        (event,) = finished(server)
        assert (event.outcome, event.got) == (Outcome.FAILED, Kind.IXFR) and event.messages


async def test_versions_committed_meanwhile_do_not_get_into_an_answer(tmp_path: Path) -> None:
    hosts: Sequence[str] = [f"more-{number} TXT {'x' * 250}" for number in range(2000)]
    async with own_server(tmp_path) as server:
        serve(server, text(5, hosts=30_000), text(6, *hosts, hosts=30_000))
        asking = asyncio.create_task(ixfr(server, 5))
        await until(lambda: server.transfers.in_progress == 1)
        commit_text(server.store, ZONE, text(7))
        answer = await asking
        assert answer.steps == [(5, 6)] and answer.lines[0] == "SOA 6"
