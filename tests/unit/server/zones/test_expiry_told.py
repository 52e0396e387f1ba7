"""When zones expire, from the transfer process to the workers, and from them to secondaries (RFC 7314)."""

import asyncio
import math
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import dns.edns
import dns.message
import pytest
from support.managed import CALM, Managed, managed
from support.own_server import LOOPBACK, OwnServer, commit_text, own_server, until
from support.pipelines import question
from support.worker_end import worker_on
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.refresh.timers import TimerLimits
from nameserver.server.clocks import machine_clock
from nameserver.server.zones.publisher import Publisher
from nameserver.store.database import Store, ZoneTimers
from nameserver.wire import names
from nameserver.zone.builder import Tally
from nameserver.zone.changes import Applied
from nameserver.zone.zonefile import read_zone_file

ZONE = "example.com"
NAME = names.from_text(ZONE)
CONFIG = ZoneConfig(NAME, ZONE, timers=CALM)
ASKED = dns.edns.GenericOption(9, b"")


def lasting(seconds: float) -> ZoneTimers:
    now = time.time()
    return ZoneTimers(now, now, now + seconds, now + seconds)


def left(header: dict) -> float:
    """The seconds left to the zone, as a message to a worker has it."""
    return header["expires"][NAME.hex()] - machine_clock()


async def publish(ours: Managed, serial: int, seconds: float) -> None:
    built = read_zone_file(zone_text(ZONE, serial), NAME, "a test")
    await ours.publisher.publish_full(CONFIG, built, "a test", lasting(seconds))


async def change(ours: Managed, serial: int, seconds: float) -> None:
    built = read_zone_file(zone_text(ZONE, serial), NAME, "a test")
    applied = Applied({b"": built.nodes[b""]}, built.soa, built.soa_rdata, 0, 0, Tally(), ())
    await ours.publisher.publish_changes(CONFIG, lambda: (applied, lasting(seconds)), "a test")


async def told(ours: Managed, kind: str, count: int = 1) -> dict:
    """The last of so many messages of a kind."""
    await until(lambda: len(ours.told(kind)) >= count)
    return ours.told(kind)[-1]


async def test_a_version_comes_with_its_expiry_whole_or_changed(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        await publish(ours, 1, 1000)
        assert left(await told(ours, "zone")) == pytest.approx(1000, abs=20)
        await change(ours, 2, 50)
        assert left(await told(ours, "change")) == pytest.approx(50, abs=20)


async def test_a_zone_that_was_confirmed_is_told_and_one_that_answers_again_at_once(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        await publish(ours, 1, 100)
        ours.publisher.set_expiry(NAME, machine_clock() + 5000)
        ours.publisher.set_expired(NAME, False)
        assert left(await told(ours, "state")) == pytest.approx(5000, abs=20)
        await ours.publisher.flush_timers()
        assert left(await told(ours, "confirmed")) == pytest.approx(5000, abs=20)


async def test_a_primary_zone_never_expires(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        await publish(ours, 1, math.inf)
        assert left(await told(ours, "zone")) == math.inf


@pytest.mark.parametrize("set_back", [0, 10_000])
async def test_a_new_worker_is_told_of_what_is_stored_whatever_became_of_the_clock(
    tmp_path: Path, set_back: int
) -> None:
    """A clock that was set back shows a check that is still to come: the zone has the life it had then, and no more."""
    async with managed(tmp_path) as ours:
        await publish(ours, 1, 500)
        stored = ours.publisher.stored[NAME]
        later = {"last_success": stored.last_success + set_back, "expires_at": stored.expires_at + set_back}
        await ours.publisher.in_store_thread(ours.store.save_timers, {NAME: stored.timers._replace(**later)})
        ours.said.clear()
        again = Publisher(ours.store, ours.supervisor)
        again.bring_up(ours.supervisor.workers[0], ours.config(CONFIG))
        assert left(await told(ours, "load")) == pytest.approx(500, abs=20)


async def test_other_limits_that_shorten_a_life_are_told(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        await publish(ours, 1, 100_000)
        await ours.start(CONFIG)
        await ours.idle(ZONE)
        await ours.zones.reconcile(
            ours.config(replace(CONFIG, timers=TimerLimits(max_refresh=60, max_retry=60, max_expire=200)))
        )
        await ours.publisher.flush_timers()
        await until(lambda: any(left(each) < 201 for each in ours.told("confirmed")))


async def test_a_worker_tells_what_it_was_told_last(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 0.0)
    stored = commit_text(store, ZONE, zone_text(ZONE, 1))

    async with worker_on(store.path) as reins:

        async def answered() -> list[int]:
            reply = await reins.ask(ZONE, "SOA", options=[ASKED])
            return [int.from_bytes(each.data, "big") for each in reply.options if each.otype == 9]

        reins.configure(CONFIG)
        reins.load(ZONE)
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert await answered() == []
        served = reins.worker.zones.exact(NAME)
        assert served is not None
        for life, value in (
            (5000, pytest.approx(5000, abs=20)),
            (100, pytest.approx(100, abs=20)),
            (math.inf, 86400),
        ):
            when = machine_clock() + life
            reins.channel.send("confirmed", expires={NAME.hex(): when})
            await until(lambda when=when: served.expires == when)
            assert await answered() == [value]
    store.close()


@asynccontextmanager
async def first_message(server: OwnServer, **edns) -> AsyncIterator[dns.message.Message]:
    reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
    message = question(ZONE, "AXFR", **edns)
    writer.write(struct.pack("!H", len(message)) + message)
    (size,) = struct.unpack("!H", await reader.readexactly(2))
    yield dns.message.from_wire(await reader.readexactly(size))
    writer.close()


async def test_a_transfer_s_first_message_says_for_how_long_what_is_sent_is_good(tmp_path: Path) -> None:
    """RFC 7314 §2, RFC 5936 §2.2.5."""
    async with own_server(tmp_path) as server:
        served = server.serve(ZONE, zone_text(ZONE, 5))
        served.expires = server.pipeline.steady() + 300
        async with first_message(server, edns=1232, options=[ASKED]) as message:
            assert [(each.otype, each.data) for each in message.options] == [(9, struct.pack("!I", 300))]
        async with first_message(server, edns=1232) as message:
            assert message.edns == 0 and not message.options
        async with first_message(server) as message:
            assert message.edns == -1


async def test_a_version_newer_than_the_one_served_goes_out_with_its_own_life(tmp_path: Path) -> None:
    """It was committed, and the worker has not heard of it yet."""
    async with own_server(tmp_path) as server:
        served = server.serve(ZONE, zone_text(ZONE, 5))
        served.expires = server.pipeline.steady() + 9000
        built = read_zone_file(zone_text(ZONE, 6), NAME, "a test")
        server.store.commit_full(
            NAME, ZONE, built.nodes, apex_as_received=built.apex_as_received, soa_rdata=built.soa_rdata, serial=6,
            records=built.records, source="a test", timers=lasting(200),
        )  # fmt: skip
        async with first_message(server, edns=1232, options=[ASKED]) as message:
            assert message.answer[0][0].serial == 6
            (option,) = message.options
            assert int.from_bytes(option.data, "big") == pytest.approx(200, abs=20)
