"""A zone whose stored copy is lost while workers still answer it: answered on, fetched whole, or expired."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.managed import CALM, HASTY, Managed, managed
from support.own_server import OwnServer, own_server, until
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.errors import Reason, StoreFault
from nameserver.refresh.machine import State
from nameserver.refresh.timers import TimerLimits
from nameserver.wire import names

ZONE = "example.com"
NAME = names.from_text(ZONE)


@asynccontextmanager
async def lost_with_its_primary_gone(
    tmp_path: Path, *, soa: str = "3600 600 86400 300", timers: TimerLimits = CALM
) -> AsyncIterator[tuple[OwnServer, Managed]]:
    """Serial 5, answered by the one worker, lost by the store; nobody there to fetch it from."""
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5, timers=soa))
        await ours.start(primary.zone_config(ZONE, pull=HASTY, timers=timers))
        await until(lambda: NAME in ours.supervisor.workers[0].served)
        await ours.idle(ZONE)
        await primary.stop()
        ours.zones.worker_failed(NAME, "a chunk is not what it was")
        await until(lambda: ours.serial(ZONE) is None)
        await until(lambda: ours.entry(ZONE).trouble.reason is Reason.CONNECT_REFUSED)
        yield primary, ours
        if not primary._closers:
            await primary.start()


async def test_what_a_worker_still_answers_is_answered_on_and_said_to_be_stored_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with lost_with_its_primary_gone(tmp_path) as (_, ours):
        entry = ours.entry(ZONE)
        assert (entry.state, entry.answering) == (State.RETRYING, True)
        assert ours.told("state") == [], "nobody was told to stop"
        assert (held := ours.publisher.held(NAME)) is not None and held.serial == 5
        assert NAME in ours.publisher.unstored
        assert ours.supervisor.workers[0].awaited == {}
        assert "it is answered on from memory, and fetched again whole" in caplog.text


@pytest.mark.parametrize("serial", [5, 6])
async def test_it_is_fetched_whole_when_the_primary_is_back(tmp_path: Path, serial: int) -> None:
    async with lost_with_its_primary_gone(tmp_path) as (primary, ours):
        primary.serve(ZONE, zone_text(ZONE, serial))
        await primary.start()
        ours.zones.notified(NAME, "127.0.0.1", serial)
        await until(lambda: ours.serial(ZONE) == serial)
        await ours.idle(ZONE)
        assert ours.publisher.unstored == {}
        assert (ours.entry(ZONE).state, ours.entry(ZONE).trouble.reason) == (State.SERVING, None)
        assert ours.store.zones()[NAME].serial == serial


async def test_an_older_serial_does_not_take_its_place(tmp_path: Path) -> None:
    async with lost_with_its_primary_gone(tmp_path) as (primary, ours):
        primary.serve(ZONE, zone_text(ZONE, 4))
        await primary.start()
        ours.zones.refresh(ours.entry(ZONE))
        await until(lambda: ours.entry(ZONE).state == State.SERIAL_BACKWARDS)
        assert ours.entry(ZONE).answering and NAME in ours.publisher.unstored


async def test_it_expires_as_it_would_have(tmp_path: Path) -> None:
    hurried = replace(CALM, min_refresh=0.5, min_retry=0.5, min_expire=1.0)
    async with lost_with_its_primary_gone(tmp_path, soa="1 1 3 300", timers=hurried) as (_, ours):
        await until(lambda: ours.entry(ZONE).state == State.EXPIRED, 10)
        await until(lambda: bool(ours.told("state")))
        assert [each["state"] for each in ours.told("state")] == ["expired"]
        assert not ours.entry(ZONE).answering


async def test_with_the_last_worker_that_answered_it_it_is_gone(tmp_path: Path) -> None:
    async with lost_with_its_primary_gone(tmp_path) as (_, ours):
        worker = ours.supervisor.workers[0]
        worker.served.clear()  # as when it ends
        ours.publisher.bring_up(worker, ours.config(ours.entry(ZONE).config))
        await until(lambda: ours.entry(ZONE).state == State.NEVER_TRANSFERRED)
        await until(lambda: bool(ours.told("state")))
        assert ours.told("state")[-1]["state"] == "not-loaded"
        assert ours.publisher.unstored == {} and not ours.entry(ZONE).answering


async def test_a_reload_that_leaves_it_out_forgets_it(tmp_path: Path) -> None:
    async with lost_with_its_primary_gone(tmp_path) as (_, ours):
        assert await ours.zones.reconcile(ours.config()) == (
            "0 zones added, 1 removed, 0 changed, 0 untouched", []
        )  # fmt: skip
        assert ours.publisher.unstored == {}


async def test_a_primary_zone_takes_its_file_again(tmp_path: Path) -> None:
    file = tmp_path / "zone"
    file.write_text(zone_text(ZONE, 5))
    async with managed(tmp_path / "state") as ours:
        await ours.start(ZoneConfig(NAME, ZONE, type="primary", file=file))
        await until(lambda: NAME in ours.supervisor.workers[0].served)
        before = ours.publisher.stored[NAME].generation
        ours.zones.worker_failed(NAME, "a chunk is not what it was")
        await until(lambda: ours.serial(ZONE) == 5 and ours.publisher.stored[NAME].generation > before)
        assert ours.publisher.unstored == {}


@pytest.mark.parametrize("fault", [fault for fault in StoreFault if fault is not StoreFault.DAMAGED])
async def test_a_worker_that_cannot_read_is_no_damage(
    tmp_path: Path, fault: StoreFault, caplog: pytest.LogCaptureFixture
) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(primary.zone_config(ZONE, pull=HASTY, timers=CALM))
        await until(lambda: NAME in ours.supervisor.workers[0].served)
        stored = ours.publisher.stored[NAME]
        for _ in range(3):
            ours.zones.worker_failed(NAME, "reading zone example.com failed", fault)
        assert ours.entry(ZONE).recovery is None and ours.publisher.stored[NAME] is stored
        assert ours.tally.store_errors[fault] >= 3
        assert ours.zones.unread_notice.startswith("1 zone cannot be loaded by every worker; tried again: reading zone")
        assert caplog.text.count("a worker cannot load a zone, and tries again") == 1
        ours.zones.confirmed([NAME])
        assert ours.zones.unread_notice == "", "it can now"
        assert list((tmp_path / "b").glob("zone.damaged-*")) == []
