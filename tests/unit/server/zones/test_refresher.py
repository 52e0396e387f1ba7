"""One refresh run with its sockets, slots and commits, against our own core as the primary."""

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.managed import HASTY, Managed, managed
from support.own_server import KEY, OwnServer, own_server, until
from support.process import free_port
from support.refresh_runs import Runs
from support.scripted_primary import Versions, scripted
from support.zones import zone_text

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.errors import Reason
from nameserver.refresh.hints import TRUE_IN_A_ROW
from nameserver.refresh.outcome import Failed, LowerSerial, Transferred, UpToDate
from nameserver.server.zones import pull
from nameserver.server.zones.refresher import Refresher, ZoneRun, primary_statuses
from nameserver.telemetry.events import TransferEvent
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import names

ZONE = "example.com"
NAME = names.from_text(ZONE)
DEAD = Remote("dead", (Endpoint("127.0.0.1", free_port()),))


async def run(ours: Managed, zone: ZoneConfig, **more):
    """One run; its outcome, what it learnt of the primaries, its transfers."""
    events: list[TransferEvent] = []
    refresher = Refresher(ours.server, ours.publisher, ours.tally)
    work = ZoneRun(zone, primary_statuses(zone), on_transfer=events.append, **more)
    outcome = await refresher.run(work)
    assert (refresher.slots.transferring, refresher.slots.waiting) == (0, 0)
    return outcome, work.primaries, events


def of(primary: OwnServer, **more) -> ZoneConfig:
    return primary.zone_config(ZONE, **({"pull": HASTY} | more))


async def test_a_dead_primary_is_passed_over(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        zone = replace(of(primary), primaries=(DEAD, primary.remote))
        outcome, statuses, events = await run(ours, zone, accept_lower=True)
        assert isinstance(outcome, Transferred) and outcome.serial == 5
        assert (statuses["dead"].last_reason, statuses["own"].serial) == (Reason.CONNECT_REFUSED, 5)
        assert [event.reason for event in events] == [Reason.CONNECT_REFUSED, None]
        assert ours.tally.primary_up == {"dead": False, "own": True}


async def test_small_zones_come_in_while_others_are_being_written_but_not_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place of a transfer is free once it has come; where the disk is slow, what waits for it is held in memory."""
    monkeypatch.setattr("nameserver.server.zones.publisher.TOGETHER", 8)
    names_of_all = [f"z{number}.{ZONE}" for number in range(40)]
    gate = threading.Event()
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        for name in names_of_all:
            primary.serve(name, zone_text(name, 5))
        refresher = Refresher(replace(ours.server, transfers_per_primary=2), ours.publisher, ours.tally)
        runs = [
            ZoneRun(zone, primary_statuses(zone))
            for zone in (primary.zone_config(name, pull=HASTY) for name in names_of_all)
        ]
        blocked = asyncio.create_task(ours.publisher.in_store_thread(gate.wait, 30))
        tasks = [asyncio.create_task(refresher.run(each)) for each in runs]
        try:
            await until(lambda: not ours.publisher.has_room)
            await until(lambda: refresher.slots.transferring == 2)
            for _ in range(200):
                await asyncio.sleep(0)  # enough for many more
            assert (refresher.slots.transferring, refresher.slots.waiting > 10) == (2, True)
        finally:
            gate.set()
        assert await blocked
        outcomes = await asyncio.gather(*tasks)
        assert all(isinstance(outcome, Transferred) for outcome in outcomes)
        assert len(ours.store.zones()) == 40
        assert (refresher.slots.transferring, refresher.slots.waiting) == (0, 0)


async def test_what_is_held_already_needs_no_transfer_and_an_older_serial_is_not_taken(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await run(ours, of(primary))
        outcome, _, events = await run(ours, of(primary))
        assert isinstance(outcome, UpToDate) and events == []
        primary.serve(ZONE, zone_text(ZONE, 4))
        outcome, _, events = await run(ours, of(primary))
        assert isinstance(outcome, LowerSerial) and events == []
        assert ours.publisher.stored[NAME].serial == 5
        outcome, _, _ = await run(ours, of(primary), force=True)
        assert isinstance(outcome, Transferred) and ours.publisher.stored[NAME].serial == 4


async def test_what_breaks_a_limit_is_not_committed(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        outcome, statuses, _ = await run(ours, of(primary, limits=TransferLimits(max_records=10)))
        assert isinstance(outcome, Failed) and outcome.reason is Reason.LIMIT_RECORDS
        assert statuses["own"].last_reason is Reason.LIMIT_RECORDS
        assert ours.store.zones() == {}


async def test_a_secondary_that_expired_itself_is_no_source(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a", KEY) as primary, managed(tmp_path / "b") as ours:
        served = primary.serve(ZONE, zone_text(ZONE, 5))
        await run(ours, of(primary))
        served.state = type(served.state).EXPIRED
        outcome, _, _ = await run(ours, of(primary))
        assert isinstance(outcome, Failed) and outcome.reason is Reason.SERVFAIL


async def test_the_sender_of_a_notify_is_asked_first(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await run(ours, of(primary))
        primary.serve(ZONE, zone_text(ZONE, 6))
        dead = replace(DEAD, addresses=(Endpoint("127.0.0.9", DEAD.addresses[0].port),))
        zone = replace(of(primary), primaries=(dead, primary.remote))
        outcome, statuses, _ = await run(ours, zone, sources=("127.0.0.1", "192.0.2.1"))
        assert isinstance(outcome, Transferred) and outcome.serial == 6
        assert statuses["dead"].last_attempt is None


async def test_a_primary_whose_hints_were_true_is_asked_for_the_difference_until_one_is_not(tmp_path: Path) -> None:
    versions = Versions(serial=1)
    async with scripted(versions) as primary, managed(tmp_path) as ours:
        runs = Runs(ours, primary)
        await runs.load()

        async def notified(hint: int) -> list[str]:
            """What is asked for a NOTIFY with this serial."""
            primary.asked.clear()
            await runs.run(sources=("127.0.0.1",), hints=(("127.0.0.1", hint),))
            return primary.kinds()

        with_a_look, at_once = ["SOA/udp", "IXFR/tcp"], ["IXFR/tcp"]
        for number in range(TRUE_IN_A_ROW + 3):
            versions.serial += 1
            assert await notified(versions.serial) == (with_a_look if number < TRUE_IN_A_ROW else at_once)
        assert ours.publisher.stored[NAME].serial == versions.serial
        assert await notified(versions.serial + 50) == ["IXFR/tcp", "SOA/udp"], "it has nothing newer"
        assert await notified(versions.serial + 50) == ["SOA/udp"]
        versions.serial += 1
        assert await notified(versions.serial) == with_a_look


async def test_a_guess_at_a_primary_that_answers_no_ixfr_any_more_ends_in_the_whole_zone(tmp_path: Path) -> None:
    versions = Versions(serial=1)
    async with scripted(versions) as primary, managed(tmp_path) as ours:
        runs = Runs(ours, primary)
        await runs.load()
        for _ in range(TRUE_IN_A_ROW):
            runs.refresher._hints.proved("p0", true=True)
        primary.asked.clear()
        versions.serial, versions.refuses_ixfr = 2, True
        outcome = await runs.run(sources=("127.0.0.1",), hints=(("127.0.0.1", 2),))
        assert isinstance(outcome, Transferred) and outcome.serial == 2
        assert [kind for kind in primary.kinds() if kind != "IXFR/tcp"] == ["SOA/udp", "AXFR/tcp"]


async def test_a_store_that_cannot_write_fails_the_run_and_keeps_the_version_before(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await run(ours, of(primary))
        primary.serve(ZONE, zone_text(ZONE, 6))
        with closing(sqlite3.connect(ours.store.path)) as blocker:
            ours.store._connected().execute("PRAGMA busy_timeout = 10")
            blocker.execute("BEGIN IMMEDIATE")
            outcome, _, _ = await run(ours, of(primary))
            blocker.rollback()
        assert isinstance(outcome, Failed) and outcome.reason is Reason.STORE_FAILED
        assert ours.tally.store_errors == {"locked": 1}
        assert "cannot be stored" in outcome.detail
        assert ours.publisher.stored[NAME].serial == 5
        outcome, _, _ = await run(ours, of(primary))
        assert isinstance(outcome, Transferred)


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Listen, say nothing, end with the other side."""
    await reader.read()
    writer.close()


async def test_a_run_that_is_cancelled_gives_its_places_back(tmp_path: Path) -> None:
    silent = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with managed(tmp_path) as ours:
        zone = ZoneConfig(NAME, ZONE, primaries=(Remote("silent", (Endpoint("127.0.0.1", port),)),))
        refresher = Refresher(ours.server, ours.publisher, ours.tally)
        task = asyncio.create_task(refresher.run(ZoneRun(zone, primary_statuses(zone), accept_lower=True)))
        await until(lambda: refresher.slots.transferring == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (refresher.slots.transferring, refresher.slots.waiting) == (0, 0)
        await asyncio.sleep(0.05)
    silent.close()


async def test_the_life_that_a_primary_tells_begins_when_it_was_asked_however_long_the_zone_takes_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 7314: else a zone would live longer by one transfer in each server of a chain."""
    real = pull.transfer

    async def slow(*arguments, **more):
        inbound = await real(*arguments, **more)
        await asyncio.sleep(0.5)
        return inbound

    monkeypatch.setattr(pull, "transfer", slow)
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        for version in (text_of(5, "a A 192.0.2.1"), text_of(6, "b A 192.0.2.1")):
            served = primary.serve(ZONE, version)
            served.expires = primary.pipeline.steady() + 1000
            asked = time.time()
            outcome, _, _ = await run(ours, of(primary))
            assert isinstance(outcome, Transferred) and outcome.expire_option is not None
            assert outcome.expire_option <= 999.5
            assert ours.publisher.stored[NAME].expires_at < asked + 1000.25


def text_of(serial: int, line: str) -> str:
    return zone_text(ZONE, serial, extra=f"{line}\n")
