"""TCP (RFC 7766) over real connections: framing, limits, back-pressure, fairness, an orderly end."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from support.own_server import OwnServer, own_server, until
from support.pipelines import counted, question
from support.zones import zone_text

from nameserver.query import pipeline as pipeline_module
from nameserver.server.answering import tcp as tcp_module
from nameserver.server.answering.streams import READ_SIZE
from nameserver.server.answering.tcp import TRANSFERS_PER_CONNECTION, WRITE_HIGH_WATER, TcpLimits
from nameserver.server.answering.turns import SHARE, TURN
from nameserver.wire import codes, names
from nameserver.wire.query import build_query

ZONE = "example.com"
BIG = "\n".join(f'big IN TXT "{number:03}{"x" * 245}"' for number in range(200)) + "\n"  # some 50 KB


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *messages: bytes) -> None:
        """All of them in one segment."""
        self.writer.write(b"".join(struct.pack("!H", len(message)) + message for message in messages))

    async def receive_wire(self) -> bytes:
        (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        return await self.reader.readexactly(size)

    async def receive(self) -> dns.message.Message:
        return dns.message.from_wire(await self.receive_wire())

    async def closed(self) -> bool:
        """Whether the server ends it, with nothing more to say."""
        try:
            async with asyncio.timeout(5):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connected(server: OwnServer, address: str = "127.0.0.1", limit: int = 65536) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0), limit=limit)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def ask(name: str = f"ns1.{ZONE}", rdtype: str = "A", ident: int = 1) -> bytes:
    return ident.to_bytes(2, "big") + question(name, rdtype)[2:]


async def answered(client: Client) -> None:
    client.send(ask())
    assert (await client.receive()).answer


def tcp_events(server: OwnServer) -> dict[str, int]:
    """What is counted of connections, by event."""
    name = "nameserver_tcp_connections_total{event="
    return {key[len(name) : -1]: value for key, value in counted(server.pipeline).items() if key.startswith(name)}


@asynccontextmanager
async def serving(tmp_path: Path, **limits: float) -> AsyncIterator[OwnServer]:
    async with own_server(tmp_path, limits=TcpLimits(**limits)) as server:  # type: ignore[arg-type]
        server.serve(ZONE, zone_text(ZONE, 1, extra=BIG))
        yield server


async def test_one_connection_carries_many_messages_in_one_segment_and_in_many(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        client.send(ask(ident=1), ask(ident=2))
        assert [(await client.receive()).id for _ in range(2)] == [1, 2]
        for byte in struct.pack("!H", len(ask())) + ask(ident=3):
            client.writer.write(bytes((byte,)))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.receive()).id == 3


async def test_where_passing_a_notify_on_breaks_it_is_answered_and_so_is_what_came_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as server, connected(server) as client:

        def broken(_outcome: object) -> None:
            raise RuntimeError("broken on purpose")

        server.tcp.on_outcome = broken
        server.expect_notify("other.example")
        notify = build_query(2, names.from_text("other.example"), codes.SOA, opcode=codes.NOTIFY, flags=codes.AA)
        client.send(ask(ident=1), notify, ask(ident=3))
        assert [(await client.receive()).id for _ in range(3)] == [1, 2, 3]
        assert counted(server.pipeline)["nameserver_internal_errors_total{process=worker,where=callback}"] == 1
        assert "broken on purpose" in caplog.text


@pytest.mark.parametrize("frame", [b"\0\0", b"\0\0\0\x0c" + bytes(12)])
async def test_an_empty_message_ends_the_connection(tmp_path: Path, frame: bytes) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        client.writer.write(frame)
        assert await client.closed()
        assert not server.tcp.clients


async def test_a_client_that_says_nothing_whole_is_closed_although_it_trickles(tmp_path: Path) -> None:
    async with serving(tmp_path, idle_timeout=0.15) as server, connected(server) as client:
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        trickle = iter(struct.pack("!H", 500) + bytes(500))

        def drip() -> None:
            if not client.writer.is_closing():
                client.writer.write(bytes((next(trickle),)))
                loop.call_later(0.02, drip)

        drip()
        assert await client.closed()
        assert 0.1 < loop.time() - began < 2
        client.writer.transport.abort()


async def test_a_message_starts_the_idle_time_again(tmp_path: Path) -> None:
    async with serving(tmp_path, idle_timeout=0.2) as server, connected(server) as client:
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        while loop.time() - began < 0.5:
            client.send(ask())
            await client.receive()
            await asyncio.sleep(0.05)
        assert await client.closed()


async def test_the_longest_idle_makes_room_first_of_its_own_address_then_of_all(tmp_path: Path) -> None:
    async with serving(tmp_path, max_clients=3, max_clients_per_address=2) as server:
        async with connected(server) as first, connected(server) as second:
            await until(lambda: len(server.tcp.clients) == 2)
            for client in (second, first):  # so that the second is idle for longer
                await answered(client)
            async with connected(server) as third, connected(server, "127.0.0.2") as other:
                assert await second.closed()
                for client in (first, third, other):
                    await answered(client)
                async with connected(server, "127.0.0.3") as newest:
                    await answered(newest)
                    assert await first.closed()
                    for client in (third, other, newest):
                        await answered(client)
        await until(lambda: not server.tcp.clients)
        assert tcp_events(server) == {"accepted": 5, "displaced": 2}


async def test_who_asks_at_once_is_answered_while_a_flood_of_silent_connections_lasts(tmp_path: Path) -> None:
    """C54, F71: all places are taken, again and again; nobody who asks is turned away for it."""
    async with serving(tmp_path, max_clients=20, max_clients_per_address=8) as server:
        flood: list[socket.socket] = []
        for turn in range(10):
            sources = [(f"127.0.1.{number}", 0) for number in range(12)]
            flood += [socket.create_connection(("127.0.0.1", server.port), 5, source) for source in sources]
            async with connected(server, f"127.0.2.{turn}") as client:
                await answered(client)
        assert len(server.tcp.clients) <= 20
        assert "refused" not in tcp_events(server)
        for sock in flood:
            sock.close()


async def test_a_client_to_whom_a_zone_is_sent_is_never_the_one_that_makes_room(tmp_path: Path) -> None:
    async with serving(tmp_path, max_clients=2) as server, connected(server) as receiver:
        released = asyncio.Event()

        async def slow(connection: tcp_module.TcpConnection, _request: object) -> None:
            await released.wait()
            await connection.send(ask(ident=77), 1.0)

        server.tcp.send_transfer = slow
        receiver.send(ask(ZONE, "AXFR"))
        async with connected(server) as second:
            await answered(second)
            async with connected(server) as third:
                await answered(third)
                assert await second.closed()
                released.set()
                assert (await receiver.receive()).id == 77


async def test_where_nobody_can_be_spared_the_newcomer_is_turned_away(tmp_path: Path) -> None:
    async with serving(tmp_path, max_clients=1) as server, connected(server) as receiver:
        never = asyncio.Event()

        async def endless(_connection: object, _request: object) -> None:
            await never.wait()

        server.tcp.send_transfer = endless
        receiver.send(ask(ZONE, "AXFR"))
        await until(lambda: any(not each.can_be_spared for each in server.tcp.clients))
        async with connected(server) as newcomer:
            assert await newcomer.closed()
        assert tcp_events(server) == {"accepted": 1, "refused": 1}


async def test_a_message_has_to_be_whole_in_time_however_steadily_it_trickles_in(tmp_path: Path) -> None:
    """Slowloris (F71): each octet alone would keep the connection; the message as a whole does not."""
    async with serving(tmp_path, idle_timeout=30.0, message_timeout=0.2) as server, connected(server) as client:
        await answered(client)
        loop = asyncio.get_running_loop()
        trickle = iter(struct.pack("!H", 500) + bytes(500))

        def drip() -> None:
            if not client.writer.is_closing():
                client.writer.write(bytes((next(trickle),)))
                loop.call_later(0.02, drip)

        drip()
        assert await client.closed()
        assert tcp_events(server) == {"accepted": 1, "message-timeout": 1}
        client.writer.transport.abort()


async def test_a_fault_in_answering_is_servfail_to_the_one_who_asked_and_the_connection_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F75."""
    async with serving(tmp_path) as server, connected(server) as client:
        with monkeypatch.context() as patch:
            patch.setattr(pipeline_module, "answer_query", broken_on_purpose)
            client.send(ask(ident=5))
            reply = await client.receive()
            assert (reply.id, reply.rcode()) == (5, dns.rcode.SERVFAIL)
        await answered(client)
        assert counted(server.pipeline)["nameserver_internal_errors_total{process=worker,where=query}"] == 1


def broken_on_purpose(*_: object, **__: object) -> None:
    raise RuntimeError("broken on purpose")


async def test_a_flood_on_one_connection_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """However much arrives at once, others get their turn after TURN messages of it."""
    async with serving(tmp_path) as server, connected(server) as flood, connected(server) as other:
        handled: list[tuple[str, int]] = []
        pipeline, count = server.pipeline, 20 * TURN
        other.send(ask())
        await other.receive()

        class Watched:
            """The pipeline, with a record of who was answered in which order."""

            def handle(self, data, address, port, transport, now, client=None):
                handled.append(("flood" if data[1] == 7 else "other", len(handled)))
                return pipeline.handle(data, address, port, transport, now)

        server.tcp.pipeline = Watched()
        flood.send(*[ask(ident=7)] * count)
        await until(lambda: bool(handled))
        other.send(ask())
        await other.receive()
        place = next(position for who, position in handled if who == "other")
        assert place < count, "not after the whole flood"
        for _ in range(count):
            assert (await flood.receive_wire())[1] == 7


async def test_many_floods_at_once_leave_datagrams_and_newcomers_their_turn(tmp_path: Path) -> None:
    """Over all connections together, one turn of the loop answers TURN messages at most."""
    async with serving(tmp_path) as server, AsyncExitStack() as stack:
        floods = [await stack.enter_async_context(connected(server)) for _ in range(12)]
        handled, most = 0, 0
        pipeline = server.pipeline

        class Watched:
            """The pipeline, counting what is answered between two turns of the loop."""

            def handle(self, *request):
                nonlocal handled, most
                handled += 1
                most = max(most, handled)
                return pipeline.handle(*request)

        def turn() -> None:
            nonlocal handled
            handled = 0
            server.tcp.loop.call_soon(turn)

        server.tcp.pipeline = Watched()
        server.tcp.loop.call_soon(turn)
        for each in floods:
            each.send(*[ask(ident=7)] * (3 * TURN))
        for each in floods:
            for _ in range(3 * TURN):
                assert (await each.receive_wire())[1] == 7
        assert SHARE <= most <= 2 * TURN, "a turn of ours may begin in the middle of one of the server's"


async def test_who_waits_in_the_line_is_not_read_from(tmp_path: Path) -> None:
    """Else what a client has sent would pile up here, the more the longer the line is."""
    async with serving(tmp_path) as server, AsyncExitStack() as stack:
        floods = [await stack.enter_async_context(connected(server)) for _ in range(5)]
        waiting = 0

        def look() -> None:
            nonlocal waiting
            waiting = max([waiting, *(sum(map(len, each._waiting)) for each in server.tcp.clients)])
            server.tcp.loop.call_soon(look)

        server.tcp.loop.call_soon(look)
        for each in floods:
            each.send(*[ask(ident=7)] * 20_000)
        for each in floods:
            for _ in range(200):
                await each.receive_wire()
        assert 0 < waiting <= READ_SIZE, "one read"


async def test_a_client_that_does_not_read_costs_a_bounded_amount_of_memory(tmp_path: Path) -> None:
    """Some hundred questions of 30 bytes for a 50 KB answer each must not make 20 MB of answers."""
    async with serving(tmp_path) as server, connected(server, limit=1000) as greedy, connected(server) as other:
        count = 400
        greedy.send(*[ask(f"big.{ZONE}", "TXT")] * count)
        for _ in range(20):
            other.send(ask())
            assert (await other.receive()).answer
        port = greedy.writer.get_extra_info("sockname")[1]
        connection = next(each for each in server.tcp.clients if each.port == port)
        assert connection._transport.get_write_buffer_size() < 8 * WRITE_HIGH_WATER
        for _ in range(count):
            assert len(await greedy.receive_wire()) > 50_000
        greedy.send(ask())
        assert (await greedy.receive()).answer, "it is read from again"


async def test_a_client_that_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with connected(server, limit=1000) as client:
            client.send(*[ask(f"big.{ZONE}", "TXT")] * 400)
            await until(lambda: bool(server.tcp.clients))
        await until(lambda: not server.tcp.clients)


async def test_answers_come_in_full_when_the_client_has_already_finished_sending(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        client.send(*[ask(ident=number) for number in range(3 * TURN)])
        client.writer.write_eof()
        assert [(await client.receive_wire())[1] for _ in range(3 * TURN)] == list(range(3 * TURN))
        assert await client.closed()


async def test_draining_answers_what_has_arrived_and_closes_the_idle(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as idle, connected(server) as asking:
        await until(lambda: len(server.tcp.clients) == 2)
        asking.send(*[ask(ident=number) for number in range(200)])
        await asking.writer.drain()
        assert await server.tcp.drain(5.0) == 0
        assert [(await asking.receive_wire())[1] for _ in range(200)] == list(range(200))
        assert await asking.closed()
        assert await idle.closed()


async def test_draining_cuts_a_client_that_does_not_read(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server, limit=1000) as client:
        client.send(*[ask(f"big.{ZONE}", "TXT")] * 400)
        await until(lambda: any(each._waiting for each in server.tcp.clients))
        assert await server.tcp.drain(0.2) == 1
        await until(lambda: not server.tcp.clients)


async def test_a_transfer_that_breaks_is_logged_and_ends_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as server, connected(server) as client:

        async def broken(_connection: object, _request: object) -> None:
            raise RuntimeError("broken on purpose")

        server.tcp.send_transfer = broken
        with caplog.at_level(logging.ERROR):
            client.send(ask(ZONE, "AXFR"))
            assert await client.closed()
        assert "broken on purpose" in caplog.text


async def test_one_connection_gets_only_so_many_transfers_at_once_and_the_others_in_turn(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        under_way: list[asyncio.Event] = []

        async def slow(_connection: object, _request: object) -> None:
            under_way.append(asyncio.Event())
            await under_way[-1].wait()

        server.tcp.send_transfer = slow
        client.send(*[ask(ZONE, "AXFR")] * (2 * TRANSFERS_PER_CONNECTION), ask(ident=7))
        for done in range(2 * TRANSFERS_PER_CONNECTION):
            started = min(done + TRANSFERS_PER_CONNECTION, 2 * TRANSFERS_PER_CONNECTION)
            await until(lambda wanted=started: len(under_way) >= wanted)
            await asyncio.sleep(0.01)
            assert len(under_way) == started
            under_way[done].set()
        assert (await client.receive()).id == 7


async def test_a_transfer_keeps_its_connection_from_being_idle(tmp_path: Path) -> None:
    async with serving(tmp_path, idle_timeout=0.3) as server, connected(server) as client:

        async def slow(connection: tcp_module.TcpConnection, _request: object) -> None:
            await asyncio.sleep(0.8)
            await connection.send(ask(), 1.0)

        server.tcp.send_transfer = slow
        client.send(ask(ZONE, "AXFR"))
        assert await client.receive_wire() == ask()
        assert await client.closed()


async def test_a_frame_that_cannot_be_read_ends_the_connection_behind_the_answers_before_it(tmp_path: Path) -> None:
    async with serving(tmp_path, idle_timeout=30.0) as server, connected(server) as client:
        client.send(ask(ident=7), b"")
        assert (await client.receive()).id == 7
        assert await client.closed()


async def test_a_transfer_is_sent_whole_to_a_client_that_has_already_finished_sending(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        client.send(question(ZONE, "AXFR"))
        client.writer.write_eof()
        soas = 0
        while soas < 2:
            soas += sum(rrset.rdtype == dns.rdatatype.SOA for rrset in (await client.receive()).answer)
        assert await client.closed()


async def test_a_client_that_takes_its_answers_slowly_is_not_idle(tmp_path: Path) -> None:
    """It takes some every moment, and all of it over more than twice the idle time."""
    async with serving(tmp_path, idle_timeout=1.0) as server, connected(server, limit=4096) as client:
        began = asyncio.get_running_loop().time()
        client.send(*(ask(f"big.{ZONE}", "TXT", ident) for ident in range(50)))
        for _ in range(50):
            await asyncio.sleep(0.045)
            await client.receive_wire()
        assert asyncio.get_running_loop().time() - began > 2.0
        assert await client.closed()
