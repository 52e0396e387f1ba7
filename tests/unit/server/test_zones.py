"""All zones' machines with their clock, against our own core as the primary: runs, NOTIFY, reloads, faults."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from support.managed import CALM, HASTY, managed
from support.own_server import KEY, OwnServer, commit_text, own_server, until
from support.process import free_port
from support.zones import zone_text

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.control.protocol import ControlError
from nameserver.errors import Reason, StoreError
from nameserver.refresh.machine import RefreshMachine, State
from nameserver.refresh.outcome import UpToDate
from nameserver.server import zones as zones_module
from nameserver.server.zones import to_wall
from nameserver.wire import names
from nameserver.wire.tsig import TsigKey

ZONE, OTHER = "example.com", "example.net"
NAME = names.from_text(ZONE)


def of(primary: OwnServer, zone: str = ZONE, **more) -> ZoneConfig:
    return primary.zone_config(zone, pull=HASTY, timers=CALM, **more)


def nowhere(zone: str = ZONE) -> ZoneConfig:
    """A zone whose primary is dead."""
    remote = Remote("dead", (Endpoint("127.0.0.1", free_port()),))
    return ZoneConfig(names.from_text(zone), zone, primaries=(remote,), pull=HASTY, timers=CALM)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = [record for record in caplog.records if record.name.startswith("nameserver")]
    return [record.getMessage() for record in ours if record.levelno >= logging.ERROR]


async def test_a_zone_is_fetched_committed_published_and_told_on(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b") as ours,
    ):
        primary.serve(ZONE, zone_text(ZONE, 5))
        edge.expect_notify(ZONE)
        ours.tally.primary_seen("gone", up=True)
        await ours.start(of(primary, also_notify=(replace(edge.remote, name="edge"),)))
        await until(lambda: ours.entry(ZONE).state == "serving")
        assert ours.serial(ZONE) == 5
        await until(lambda: [header["zones"] for header in ours.told("load")] == [[NAME.hex()]])
        await until(lambda: bool(edge.outcomes))
        assert ours.entry(ZONE).answering
        times = ours.entry(ZONE).times()
        assert times.last_success is not None and times.expires is not None and times.expires > times.last_success


async def test_nobody_is_told_before_every_worker_answers(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b") as ours,
    ):
        ours.confirming = False
        primary.serve(ZONE, zone_text(ZONE, 5))
        edge.expect_notify(ZONE)
        await ours.start(of(primary, also_notify=(replace(edge.remote, name="edge"),)))
        await until(lambda: bool(ours.told("load")))
        await asyncio.sleep(0.05)
        assert edge.outcomes == []
        ours.supervisor.workers[0].confirmed(NAME, ours.publisher.stored[NAME].generation)
        ours.zones.confirmed([NAME, names.from_text("unknown.example")])
        await until(lambda: bool(edge.outcomes))


async def test_a_notify_brings_the_new_version(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary))
        await until(lambda: ours.serial(ZONE) == 5)
        await ours.idle(ZONE)
        primary.serve(ZONE, zone_text(ZONE, 6))
        ours.zones.notified(NAME, "127.0.0.1", 6)
        ours.zones.notified(names.from_text(OTHER), "127.0.0.1", 6)
        await until(lambda: ours.serial(ZONE) == 6)
        await until(lambda: ours.tally.notify_to_publish.sum > 0)


async def test_a_storm_of_notifies_starts_two_checks_a_second_and_costs_no_memory(tmp_path: Path) -> None:
    """Twenty thousand in one turn, without a serial, so that each might be news."""
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary))
        await until(lambda: ours.serial(ZONE) == 5)
        await ours.idle(ZONE)
        before = sum(ours.tally.soa_checks.values())
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        while loop.time() - began < 0.9:
            for _ in range(200):
                ours.zones.notified(NAME, "127.0.0.1", None)
            await asyncio.sleep(0.005)
        checks = sum(ours.tally.soa_checks.values()) - before
        assert 1 <= checks <= 2 + 2 * (loop.time() - began)
        assert len(ours.zones._heap) < 100
        for _ in range(5000):
            ours.zones.notified(NAME, "127.0.0.1", 5)  # known already
        assert len(ours.zones._heap) < 100


async def test_superseded_deadlines_are_swept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones_module, "HEAP_SLACK", 10)
    async with managed(tmp_path) as ours:
        await ours.start(nowhere(), nowhere(OTHER))
        entry = ours.entry(ZONE)
        deadline = [1e9]
        monkeypatch.setattr(RefreshMachine, "next_deadline", lambda _self: deadline[0])
        for _ in range(1000):
            deadline[0] += 1
            ours.zones._schedule(entry)
        assert len(ours.zones._heap) <= 15
        assert (deadline[0], NAME) in [(when, name) for when, _, name in ours.zones._heap]


async def test_one_zones_broken_clock_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(OTHER, zone_text(OTHER, 5))
        await ours.start(nowhere(), of(primary, OTHER))
        await until(lambda: ours.serial(OTHER) == 5 and ours.entry(ZONE).trouble.failures > 0)
        await ours.idle(ZONE)
        now = zones_module.machine_clock()
        ticked: list[str] = []

        def tick(machine: RefreshMachine, _now: float) -> list[object]:
            if machine.zone == ZONE:
                raise RuntimeError("broken on purpose")
            ticked.append(machine.zone)
            return []

        monkeypatch.setattr(RefreshMachine, "tick", tick)
        ours.zones._heap[:] = [(now - 2, 0, NAME), (now - 1, 1, names.from_text(OTHER))]
        ours.entry(ZONE).queued, ours.entry(OTHER).queued = now - 2, now - 1
        ours.zones._due()
        assert ticked == [OTHER]
        assert len(errors(caplog)) == 1


async def test_a_primary_that_a_reload_takes_away_during_the_run_does_not_break_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        zone = of(primary)
        await ours.start(zone)
        renamed = replace(zone, primaries=(replace(primary.remote, name="renamed"),))
        await ours.zones.reconcile(ours.config(renamed))
        await until(lambda: ours.serial(ZONE) == 5)
        await until(lambda: ours.entry(ZONE).primaries["renamed"].last_success is not None)
        await until(lambda: ours.entry(ZONE).state == "serving")
        assert list(ours.entry(ZONE).primaries) == ["renamed"]
        assert errors(caplog) == []


async def test_a_run_that_breaks_is_logged_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))

        async def broken(_work: object) -> None:
            raise RuntimeError("broken on purpose")

        with monkeypatch.context() as patched:
            patched.setattr(ours.zones._refresher, "run", broken)
            await ours.start(of(primary))
            await until(lambda: ours.entry(ZONE).trouble.failures == 1)
        assert ours.entry(ZONE).trouble.detail == "internal error: RuntimeError"
        assert "a refresh run broke" in errors(caplog)[0]
        ours.zones.refresh(ours.entry(ZONE))
        await until(lambda: ours.serial(ZONE) == 5)


async def test_a_machine_hears_of_its_runs_end_even_where_taking_in_the_outcome_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))

        async def impossible(_work: object) -> UpToDate:
            return UpToDate(5)  # with what? nothing is held

        with monkeypatch.context() as patched:
            patched.setattr(ours.zones._refresher, "run", impossible)
            await ours.start(of(primary))
            await until(lambda: ours.entry(ZONE).trouble.failures == 1)
        assert "the end of a refresh run broke" in errors(caplog)[0]
        ours.zones.refresh(ours.entry(ZONE))
        await until(lambda: ours.serial(ZONE) == 5)


async def test_a_reload_leaves_what_did_not_change_alone(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        primary.serve(OTHER, zone_text(OTHER, 5))
        await ours.start(of(primary))
        await until(lambda: ours.serial(ZONE) == 5)
        await ours.idle(ZONE)
        entry, stored, transfers = ours.entry(ZONE), ours.publisher.stored[NAME], dict(ours.tally.transfers)
        text, _ = await ours.zones.reconcile(ours.config(of(primary)))
        assert text == "0 zones added, 0 removed, 0 changed, 1 untouched"
        assert (ours.entry(ZONE), ours.publisher.stored[NAME]) == (entry, stored)
        assert ours.tally.transfers == transfers
        await ours.zones.reconcile(ours.config(of(primary), of(primary, OTHER)))
        await until(lambda: ours.serial(OTHER) == 5)
        await ours.zones.reconcile(ours.config(of(primary, OTHER)))
        assert ours.serial(ZONE) is None
        assert NAME not in ours.store.zones()
        await until(lambda: any(header.get("removed") == [NAME.hex()] for header in ours.told("configure")))


async def test_after_a_change_of_key_the_status_shows_the_new_one(tmp_path: Path) -> None:
    old = TsigKey(names.from_text("old-key"), "hmac-sha256", bytes(32))
    async with own_server(tmp_path / "a", KEY) as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        wrong = replace(of(primary), primaries=(replace(primary.remote, key=old),))
        await ours.start(wrong)
        await until(lambda: ours.entry(ZONE).trouble.reason == Reason.TSIG_BADKEY)
        await ours.idle(ZONE)
        await ours.zones.reconcile(ours.config(of(primary)))
        await until(lambda: ours.serial(ZONE) == 5)
        status = ours.entry(ZONE).primaries["own"]
        assert (status.key, status.key_fingerprint) == ("transfer-key", KEY.fingerprint)


async def test_who_waits_for_a_retransfer_learns_how_it_ended(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary), nowhere(OTHER))
        entry = ours.entry(ZONE)
        result = await ours.zones.retransfer(entry, wait=True)  # the first run is still under way: one more follows
        assert (result["outcome"], result["serial"]) == ("ok", 5)
        primary.serve(ZONE, zone_text(ZONE, 3))
        assert (await ours.zones.retransfer(entry, wait=True))["serial"] == 3, "a lower serial is taken on demand"
        assert await ours.zones.retransfer(entry, wait=False) == {"started": True}
        failed = await ours.zones.retransfer(ours.entry(OTHER), wait=True)
        assert (failed["outcome"], failed["reason"]) == ("failed", Reason.CONNECT_REFUSED)


async def test_who_waits_for_a_zone_that_is_removed_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with managed(tmp_path) as ours:

        async def endless(_work: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(ours.zones._refresher, "run", endless)
        await ours.start(nowhere())
        entry = ours.entry(ZONE)
        entry.task, running = None, entry.task
        waiting = asyncio.create_task(ours.zones.retransfer(entry, wait=True))
        await until(lambda: bool(entry.waiters))
        entry.task = running
        await ours.zones.reconcile(ours.config())
        with pytest.raises(ControlError, match="was removed meanwhile"):
            await waiting


async def test_orders_to_a_primary_zone_and_to_no_zone_are_refused(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        file = tmp_path / "zone"
        file.write_text(zone_text(ZONE, 5))
        await ours.start(ZoneConfig(NAME, ZONE, type="primary", file=file))
        entry = ours.entry(ZONE)
        assert (entry.state, entry.answering, entry.times().expires) == ("serving", True, None)
        assert ours.zones.secondaries() == []
        with pytest.raises(ControlError, match="primary zone"):
            ours.zones.refresh(entry)
        with pytest.raises(ControlError, match="primary zone"):
            await ours.zones.retransfer(entry, wait=False)
        assert ours.zones.named("EXAMPLE.com.") is entry
        with pytest.raises(ControlError, match=r"no zone example\.org is configured"):
            ours.zones.named("example.org")
        with pytest.raises(ControlError, match="not a zone name"):
            ours.zones.named("a..b")
        file.write_text(zone_text(ZONE, 5, extra="broken IN A x\n"))
        text, problems = await ours.zones.reconcile(ours.config(ZoneConfig(NAME, ZONE, type="primary", file=file)))
        assert text == "0 zones added, 0 removed, 0 changed, 1 untouched"
        assert len(problems) == 1 and problems[0].startswith(f"zone {ZONE}: {file}:")
        assert (entry.trouble.reason, entry.trouble.failures) == (Reason.MALFORMED, 1)


async def test_what_is_stored_of_zones_no_longer_configured_or_of_another_type_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "zone"
    file.write_text(zone_text(ZONE, 5))
    async with managed(tmp_path / "state") as ours:
        for zone in (ZONE, OTHER):
            commit_text(ours.store, zone, zone_text(zone, 900))
        ours.publisher.stored = ours.store.zones()
        await ours.start(ZoneConfig(NAME, ZONE, type="primary", file=file))
        assert ours.serial(ZONE) == 5, "its own file now, not the copy of a primary's"
        assert set(ours.store.zones()) == {NAME}


async def test_a_stored_zone_whose_time_has_run_out_starts_expired_and_is_revived_by_its_primary(
    tmp_path: Path,
) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        stored = commit_text(ours.store, ZONE, zone_text(ZONE, 5))
        ours.publisher.stored = {NAME: replace(stored, expires_at=1.0)}
        await ours.zones.prepare(ours.config(of(primary)))
        assert [header["state"] for header in (await until(lambda: bool(ours.said)), ours.told("state"))[1]] == [
            "expired"
        ]
        await ours.zones.start()
        await until(lambda: ours.entry(ZONE).state == "serving")
        await until(lambda: [header["state"] for header in ours.told("state")][-1] == "serving")
        assert not ours.tally.transfers, "the same serial needs no transfer"


async def test_damaged_data_is_set_aside_and_fetched_again(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        for zone in (ZONE, OTHER):
            primary.serve(zone, zone_text(zone, 5))
        await ours.start(of(primary), of(primary, OTHER))
        await until(lambda: ours.serial(ZONE) == ours.serial(OTHER) == 5)
        other, generation = ours.entry(OTHER), ours.publisher.stored[NAME].generation
        for _ in range(3):
            ours.zones.worker_failed(NAME, "a chunk is not what it was")
        await until(lambda: ours.serial(ZONE) is None)
        await until(lambda: ours.serial(ZONE) == 5)
        assert ours.publisher.stored[NAME].generation > generation
        assert ours.entry(OTHER) is other
        assert len(list((tmp_path / "b").glob("zone.damaged-*"))) == 1


async def test_lost_data_that_cannot_be_fetched_again_is_answered_by_nobody(tmp_path: Path) -> None:
    """Workers that hold the zone in memory would otherwise go on for ever: what is not held cannot expire."""
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary))
        await until(lambda: ours.serial(ZONE) == 5)
        await ours.idle(ZONE)
        await primary.stop()
        ours.zones.worker_failed(NAME, "a chunk is not what it was")
        await until(lambda: bool(ours.told("state")))
        assert ours.told("state")[-1]["state"] == "not-loaded"
        assert ours.entry(ZONE).state == State.NEVER_TRANSFERRED
        assert ours.supervisor.workers[0].awaited == {}
        await primary.start()


async def test_a_disk_that_does_not_let_damage_be_set_aside_is_reported_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary))
        await until(lambda: ours.serial(ZONE) == 5)
        generation = ours.publisher.stored[NAME].generation

        def full(_name: bytes, _now: float) -> set[bytes]:
            raise StoreError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(ours.store, "quarantine", full)
            ours.zones.worker_failed(NAME, "damaged")
            await until(lambda: "cannot be set aside: the disk is full" in caplog.text)
        await until(lambda: ours.entry(ZONE).recovery is None)
        ours.zones.worker_failed(NAME, "damaged")
        await until(lambda: ours.serial(ZONE) == 5 and ours.publisher.stored[NAME].generation > generation)


async def test_queries_are_counted_for_zones_that_are_there(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        await ours.start(nowhere())
        ours.zones.count_queries({NAME.hex(): [3, 1], names.from_text(OTHER).hex(): [9, 9]})
        ours.zones.count_queries({NAME.hex(): [1, 0]})
        assert (ours.entry(ZONE).queries, ours.entry(ZONE).control_queries) == (4, 1)
        assert (ours.zones.transferring, ours.zones.waiting) == (0, 0)


def test_never_stays_never_on_the_wall_clock() -> None:
    assert to_wall(None) is None
    assert to_wall(float("inf")) is None
    assert to_wall(zones_module.machine_clock()) == pytest.approx(__import__("time").time(), abs=1)
