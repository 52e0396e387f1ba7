"""Transfers to secondaries, streamed from the store: whole, signed, from one snapshot, and ended when nobody reads."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.message
import dns.name
import dns.rcode
import dns.tsig
import pytest
from support.own_server import KEY, LOOPBACK, OwnServer, commit_bulky, commit_text, own_server, until
from support.pipelines import question
from support.zones import zone_text

from nameserver.errors import Reason
from nameserver.query.acl import Acl, AclRow
from nameserver.server.answering import transfer_out
from nameserver.server.answering.pace import OutLimits
from nameserver.server.answering.tcp import WRITE_HIGH_WATER
from nameserver.server.sockets import TCP_UNSENT
from nameserver.store.reader import LoadedZone
from nameserver.telemetry.events import Direction, Kind, Outcome, TransferEvent
from nameserver.transfer.inbound import FullTransfer, InboundTransfer, TransferKind
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes, names
from nameserver.wire.query import build_query
from nameserver.wire.tsig import StreamVerifier, TsigKey, sign

ZONE = "example.com"
NAME = names.from_text(ZONE)


@asynccontextmanager
async def asking(server: OwnServer, *, buffer: int = 65536) -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """A client that has asked for the zone."""
    import socket

    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (LOOPBACK, server.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=buffer)
    message = question(ZONE, "AXFR")
    writer.write(struct.pack("!H", len(message)) + message)
    yield reader, sock.fileno()
    writer.transport.abort()
    await asyncio.sleep(0)


def finished(server: OwnServer) -> list[TransferEvent]:
    return [TransferEvent.from_json(event) for event in server.transfers.take_finished()]


async def receive_all(reader: asyncio.StreamReader, inbound: InboundTransfer, now: int = 1_800_000_000) -> FullTransfer:
    done = False
    while not done:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        done = inbound.feed(await reader.readexactly(size), now)
    result = inbound.result()
    assert isinstance(result, FullTransfer)
    return result


def machine(ident: int = 4711, verifier: StreamVerifier | None = None) -> InboundTransfer:
    return InboundTransfer(NAME, TransferKind.AXFR, ident, None, TransferLimits(), verifier)


async def test_the_zone_arrives_whole_and_is_reported(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve(ZONE, zone_text(ZONE, 5, hosts=2000))
        async with asking(server) as (reader, _):
            result = await receive_all(reader, machine())
        assert (result.built.soa.serial, result.built.records) == (5, 2015)
        (event,) = finished(server)
        assert (event.direction, event.zone, event.outcome) == (Direction.OUT, ZONE, Outcome.OK)
        assert (event.asked, event.got, event.serial_new, event.records) == (Kind.AXFR, Kind.AXFR, 5, 2015)
        assert event.bytes > 2000
        assert finished(server) == []
        assert server.transfers.in_progress == 0


async def test_every_message_to_a_client_with_a_key_is_signed(tmp_path: Path) -> None:
    async with own_server(tmp_path, KEY) as server:
        server.serve(ZONE, zone_text(ZONE, 5, hosts=2000))
        reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
        now = int(time.time())
        message, mac = sign(build_query(99, NAME, codes.AXFR), KEY, now)
        writer.write(struct.pack("!H", len(message)) + message)
        inbound = machine(99, StreamVerifier(KEY, mac))
        done = False
        while not done:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            data = await reader.readexactly(size)
            assert dns.message.from_wire(data, keyring=False).had_tsig
            done = inbound.feed(data, now)
        assert inbound.result().built.records == 2015  # type: ignore[union-attr]
        writer.close()


async def test_a_version_committed_during_a_transfer_does_not_get_into_it(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve_stored(commit_bulky(server.store, ZONE, 5))
        async with asking(server, buffer=4096) as (reader, _):
            await until(lambda: server.transfers.in_progress == 1)
            commit_text(server.store, ZONE, zone_text(ZONE, 6, hosts=10))
            result = await receive_all(reader, machine())
        assert (result.built.soa.serial, result.built.records) == (5, 235)


async def test_queries_are_answered_during_a_transfer(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve_stored(commit_bulky(server.store, ZONE, 5))
        async with asking(server) as (reader, _):
            await until(lambda: server.transfers.in_progress == 1)
            other_reader, other = await asyncio.open_connection(LOOPBACK, server.port)
            message = question(f"ns1.{ZONE}")
            other.write(struct.pack("!H", len(message)) + message)
            await other_reader.readexactly(2)
            assert server.transfers.in_progress == 1, "long before it is done"
            other.close()
            await receive_all(reader, machine())


async def test_a_client_that_takes_nothing_is_cut_and_its_place_given_to_the_next(tmp_path: Path) -> None:
    """F72. What it costs meanwhile is bounded, however large the zone is."""
    async with own_server(tmp_path, out=OutLimits(at_once=1, idle_timeout=1.0)) as server:
        server.serve_stored(commit_bulky(server.store, ZONE, 5))
        async with asking(server, buffer=4096):
            await until(lambda: server.transfers.in_progress == 1)
            (client,) = server.tcp.clients
            async with asking(server) as (reader, _):
                await until(lambda: client._transport.get_write_buffer_size() > WRITE_HIGH_WATER)
                assert client._on_its_way() < WRITE_HIGH_WATER + 65_536 + 4 * TCP_UNSENT
                await receive_all(reader, machine())
        first, second = finished(server)
        assert (first.outcome, first.reason) == (Outcome.FAILED, Reason.IDLE_TIMEOUT)
        assert second.outcome is Outcome.OK
        assert not server.reader._used, "the snapshot does not hold up the journal"


async def test_a_client_that_takes_too_little_is_cut(tmp_path: Path) -> None:
    """F72: an octet now and then keeps no place."""
    limits = OutLimits(idle_timeout=30.0, min_rate_bytes=10_000_000, min_rate_interval=0.5)
    async with own_server(tmp_path, out=limits) as server:
        server.serve_stored(commit_bulky(server.store, ZONE, 5))
        async with asking(server, buffer=4096) as (reader, _):
            await until(lambda: server.transfers.in_progress == 1)
            await reader.read(10_000)
            await until(lambda: bool(server.transfers._finished))
        (event,) = finished(server)
        assert (event.outcome, event.reason) == (Outcome.FAILED, Reason.TOO_SLOW)
        assert "the client took" in event.detail


async def test_a_client_that_takes_just_enough_does_not_hold_its_snapshot_for_ever(tmp_path: Path) -> None:
    """F72: while there is one, the store's journal only grows."""
    async with own_server(tmp_path, out=OutLimits(total_timeout=0.3)) as server:
        server.serve_stored(commit_bulky(server.store, ZONE, 5))
        async with asking(server, buffer=4096) as (reader, _):
            await until(lambda: server.transfers.in_progress == 1)
            while not server.transfers._finished:
                await reader.read(100_000)
                await asyncio.sleep(0.02)
        (event,) = finished(server)
        assert (event.outcome, event.reason) == (Outcome.FAILED, Reason.TOTAL_TIMEOUT)
        assert not server.reader._used


async def test_who_waits_too_long_for_a_place_is_refused_and_may_ask_on(tmp_path: Path) -> None:
    """F73: not cut off, and told why."""
    async with own_server(tmp_path, out=OutLimits(at_once=1, wait=0.05)) as server:
        server.serve(ZONE, zone_text(ZONE, 5))
        assert await server.transfers._places.take(b"another", 0.0)
        reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
        for outcome in (Outcome.REFUSED, Outcome.OK):
            message = question(ZONE, "AXFR", edns=1232)
            writer.write(struct.pack("!H", len(message)) + message)
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            reply = dns.message.from_wire(await reader.readexactly(size))
            if outcome is Outcome.REFUSED:
                assert reply.rcode() == dns.rcode.REFUSED
                assert [option.text for option in reply.options] == ["too many transfers at once"]
                server.transfers._places.give_back(b"another")
            else:
                assert reply.answer
            await until(lambda: bool(server.transfers._finished))
            assert [event.outcome for event in finished(server)] == [outcome]
        writer.transport.abort()


async def test_a_refusal_to_a_client_with_a_key_is_signed(tmp_path: Path) -> None:
    async with own_server(tmp_path, KEY, out=OutLimits(at_once=1, wait=0.0)) as server:
        server.serve(ZONE, zone_text(ZONE, 5))
        assert await server.transfers._places.take(b"another", 0.0)
        reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
        message, mac = sign(build_query(99, NAME, codes.AXFR), KEY, int(time.time()))
        writer.write(struct.pack("!H", len(message)) + message)
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        key = dns.tsig.Key(dns.name.from_wire(KEY.name, 0)[0], KEY.secret, KEY.algorithm)
        reply = dns.message.from_wire(await reader.readexactly(size), keyring={key.name: key}, request_mac=mac)
        assert (reply.had_tsig, reply.rcode()) == (True, dns.rcode.REFUSED)
        writer.transport.abort()


async def test_a_crowd_without_permission_takes_no_place_from_those_who_have_it(tmp_path: Path) -> None:
    """C56: the access list, and the signature, come before the queue."""
    async with own_server(tmp_path, KEY, out=OutLimits(at_once=1, wait=5.0)) as server:
        server.serve(ZONE, zone_text(ZONE, 5), acl=Acl((AclRow(None, KEY.name),)))
        wrong = TsigKey(KEY.name, KEY.algorithm, b"another secret of thirty-two octet")
        now = int(time.time())
        unsigned, forged = question(ZONE, "AXFR"), sign(build_query(9, NAME, codes.AXFR), wrong, now)[0]
        crowd = []
        for number in range(50):
            reader, writer = await asyncio.open_connection(LOOPBACK, server.port, local_addr=(f"127.0.3.{number}", 0))
            for message in (unsigned, forged) * 5:
                writer.write(struct.pack("!H", len(message)) + message)
            crowd.append((reader, writer))
        reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
        message, mac = sign(build_query(99, NAME, codes.AXFR), KEY, now)
        writer.write(struct.pack("!H", len(message)) + message)
        result = await receive_all(reader, machine(99, StreamVerifier(KEY, mac)), now)
        assert result.built.soa.serial == 5
        assert [event.outcome for event in finished(server)] == [Outcome.OK]
        for reader, other in crowd:
            for _ in range(10):
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                assert (await reader.readexactly(size))[3] & 15 in (codes.REFUSED, codes.NOTAUTH)
            other.transport.abort()
        writer.transport.abort()
        assert (server.transfers.in_progress, server.transfers.waiting) == (0, 0)


@pytest.mark.timeout(60)
async def test_of_a_hundred_at_once_each_is_sent_or_refused_and_no_address_has_more_than_its_share(
    tmp_path: Path,
) -> None:
    """F73."""
    async with own_server(tmp_path, out=OutLimits(at_once=4, per_address=2, wait=0.5)) as server:
        server.serve_stored(commit_bulky(server.store, ZONE, 5, owners=40))
        most = [0]
        places = server.transfers._places
        grant = places._grant

        def watched(client: bytes) -> bool:
            granted = grant(client)
            most[0] = max(most[0], places.held)
            assert max(places._held.values(), default=0) <= 2
            return granted

        places._grant = watched  # type: ignore[method-assign]

        async def one(number: int) -> bool:
            source = f"127.0.4.{number % 5}"
            reader, writer = await asyncio.open_connection(LOOPBACK, server.port, local_addr=(source, 0))
            message = question(ZONE, "AXFR")
            writer.write(struct.pack("!H", len(message)) + message)
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            first = await reader.readexactly(size)
            sent = first[3] & 15 == 0
            assert sent or first[3] & 15 == codes.REFUSED
            inbound = machine()
            if sent and not inbound.feed(first, 1_800_000_000):
                await receive_all(reader, inbound)
            writer.transport.abort()
            return sent

        sent = await asyncio.gather(*(one(number) for number in range(100)))
        await until(lambda: len(server.transfers._finished) == 100)
        outcomes = [event.outcome for event in finished(server)]
        assert outcomes.count(Outcome.OK) == sum(sent) > 0
        assert outcomes.count(Outcome.REFUSED) == 100 - sum(sent)
        assert most[0] <= 4
        assert (server.transfers.in_progress, server.transfers.waiting) == (0, 0)


async def test_a_client_that_goes_away_is_reported_and_frees_its_place_and_its_snapshot(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve_stored(commit_bulky(server.store, ZONE, 5))
        async with asking(server, buffer=4096):
            await until(lambda: server.transfers.in_progress == 1)
        await until(lambda: server.transfers.in_progress == 0)
        (event,) = finished(server)
        assert (event.outcome, event.reason, event.got) == (Outcome.FAILED, Reason.CLOSED_EARLY, Kind.AXFR)
        await until(lambda: not server.reader._used)


async def test_a_zone_that_the_store_has_lost_is_not_sent(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve(ZONE, zone_text(ZONE, 5))
        server.store.remove(NAME)
        async with asking(server) as (reader, _):
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            assert dns.message.from_wire(await reader.readexactly(size)).rcode() == dns.rcode.SERVFAIL
        (event,) = finished(server)
        assert (event.outcome, event.reason, event.got) == (Outcome.FAILED, Reason.SERVFAIL, Kind.NONE)


async def test_damage_found_on_the_way_ends_the_transfer_before_its_closing_soa(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    async with own_server(tmp_path) as server:
        server.serve_stored(commit_bulky(server.store, ZONE, 5))
        with closing(sqlite3.connect(server.store.path)) as database, database:
            database.execute(
                "UPDATE chunk SET crc = crc + 1 WHERE id = (SELECT id FROM chunk ORDER BY first_key DESC LIMIT 1)"
            )
        async with asking(server) as (reader, _):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await receive_all(reader, machine())
        (event,) = finished(server)
        assert (event.outcome, event.reason) == (Outcome.FAILED, Reason.SERVFAIL)


def test_the_apex_comes_first_and_names_keep_their_case(tmp_path: Path) -> None:
    from contextlib import closing

    from nameserver.store.database import Store
    from nameserver.store.reader import StoreReader

    with closing(Store.open(tmp_path, 0.0)) as store, closing(StoreReader(store.path)) as reader:
        commit_text(store, ZONE, zone_text(ZONE, 5).replace("www ", "WwW "))
        loaded = reader.load(NAME)
        assert isinstance(loaded, LoadedZone)
        soa, items = transfer_out._zone_of(loaded)
        owners = [owner for owner, _ in items]
        assert soa.owner == owners[0] == NAME
        assert names.from_text(f"WwW.{ZONE}") in owners
