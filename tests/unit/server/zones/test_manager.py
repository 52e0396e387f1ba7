"""All zones' machines with their clock, against our own core as the primary: runs, NOTIFY, reloads, faults."""

import asyncio
import logging
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from nameserver.server.channel import Channel
from nameserver.server.clocks import machine_clock
from nameserver.server.sockets import ListeningSockets
from nameserver.server.supervisor import Worker, _open_counters
from nameserver.server.zones import deadlines, pull
from nameserver.server.zones.manager import ZoneManager
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
        await until(lambda: [header["zone"] for header in ours.told("zone")] == [NAME.hex()])
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
        await until(lambda: bool(ours.told("zone")))
        await asyncio.sleep(0.05)
        assert edge.outcomes == []
        ours.supervisor.workers[0].confirmed(NAME, ours.publisher.stored[NAME].generation)
        ours.zones.confirmed([NAME, names.from_text("unknown.example")])
        await until(lambda: bool(edge.outcomes))


async def test_nobody_is_told_while_one_of_several_workers_has_not_confirmed(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b") as ours,
    ):
        slow = Worker(1, ListeningSockets((), ()), *_open_counters())
        end, other_end = socket.socketpair()
        slow.channel = await Channel.over(end)
        ours.supervisor.workers.append(slow)
        primary.serve(ZONE, zone_text(ZONE, 5))
        edge.expect_notify(ZONE)
        await ours.start(of(primary, also_notify=(replace(edge.remote, name="edge"),)))
        await until(lambda: NAME in ours.supervisor.workers[0].served)
        generation = ours.publisher.stored[NAME].generation
        assert ours.entry(ZONE).publishing
        slow.confirmed(NAME, generation - 1)
        ours.zones.confirmed([NAME])
        await asyncio.sleep(0.05)
        assert edge.outcomes == []
        slow.confirmed(NAME, generation)
        ours.zones.confirmed([NAME])
        await until(lambda: bool(edge.outcomes))
        slow.channel.close()
        other_end.close()


async def test_notify_goes_to_configured_targets_alone_whatever_the_zones_ns_records_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that are no host's, that point back at us, or at nobody: none of them is even looked at."""
    asked: list[Endpoint] = []
    ask = pull.ask_once

    async def watched(peer: pull.Peer, *more: Any) -> Any:
        asked.append(peer.endpoint)
        return await ask(peer, *more)

    odd = [".", r"\000\255.", "127.0.0.1.", "localhost.", rf"a\.b.{ZONE}.", f"{'x' * 63}.{ZONE}.", "*"]
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b") as ours,
    ):
        primary.serve(ZONE, zone_text(ZONE, 5, extra="".join(f"@ NS {name}\n" for name in odd)))
        edge.expect_notify(ZONE)
        monkeypatch.setattr(pull, "ask_once", watched)
        await ours.start(of(primary, also_notify=(replace(edge.remote, name="edge"),)))
        await until(lambda: bool(edge.outcomes))
        assert set(asked) == {edge.endpoint}


async def test_a_notify_ahead_of_the_primary_costs_one_question_and_no_transfer(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 101))
        await ours.start(of(primary))
        await until(lambda: ours.serial(ZONE) == 101)
        await ours.idle(ZONE)
        transfers = dict(ours.tally.transfers)
        ours.zones.notified(NAME, "127.0.0.1", 150)
        await ours.idle(ZONE)
        assert dict(ours.tally.soa_checks) == {("own", "up-to-date", ""): 1}
        assert ours.tally.transfers == transfers
        machine = ours.entry(ZONE).machine
        assert machine is not None
        deadline = machine.next_deadline()
        assert deadline is not None and deadline - machine_clock() > 3000, "nothing more until the refresh timer"


async def test_a_notify_of_a_zone_that_is_not_ours_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with managed(tmp_path) as ours:
        monkeypatch.setattr(ours.zones._refresher, "run", None)
        ours.zones.notified(names.from_text(OTHER), "127.0.0.1", 6)
        assert ours.zones.entries == {}
        assert ours.tally.notify_received == {}


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
        assert len(ours.zones.deadlines._heap) < 100
        for _ in range(5000):
            ours.zones.notified(NAME, "127.0.0.1", 5)  # known already
        assert len(ours.zones.deadlines._heap) < 100


async def test_what_timers_start_begins_at_the_configured_rate_and_what_notify_starts_at_once(tmp_path: Path) -> None:
    """Forty zones of an earlier life, all to be checked at once; NOTIFY comes for half of them meanwhile."""
    zones = [f"zone-{number:02}.example" for number in range(40)]
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        for zone in zones:
            primary.serve(zone, zone_text(zone, 5))
            commit_text(ours.store, zone, zone_text(zone, 5))
        ours.publisher.stored = ours.store.zones()
        server = replace(ours.server, soa_rate=1)
        ours.zones = ZoneManager(server, ours.publisher, ours.supervisor, ours.downstreams, ours.tally)
        began = machine_clock()
        await ours.start(*(of(primary, zone) for zone in zones))
        turns = sorted(entry.machine.next_deadline() or 0.0 for entry in ours.zones.entries.values() if entry.machine)
        assert turns[37] - began == pytest.approx(38, abs=2), "one each second; the first one's is an hour away already"
        told = [entry for entry in ours.zones.entries.values() if entry.task is None][-20:]
        for entry in told:
            ours.zones.notified(entry.config.name, "127.0.0.1", None)
        await until(lambda: sum(ours.tally.soa_checks.values()) >= 21, 15)  # in line it would take twenty seconds
        await until(lambda: all(entry.task is None for entry in told))


async def test_thousands_of_zones_that_are_due_do_not_hold_up_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "DUE_AT_ONCE", 5)
    async with managed(tmp_path) as ours:
        zones = [f"zone-{number:02}.example" for number in range(23)]
        await ours.start(*(nowhere(zone) for zone in zones))
        await until(lambda: all(ours.entry(zone).task is None for zone in zones))
        ticked: list[str] = []
        monkeypatch.setattr(RefreshMachine, "tick", lambda machine, _now: ticked.append(machine.zone) or [])
        monkeypatch.setattr(RefreshMachine, "next_deadline", lambda _machine: None)
        past = machine_clock() - 1
        ours.zones.deadlines._heap[:] = [(past, number, names.from_text(zone)) for number, zone in enumerate(zones)]
        for entry in ours.zones.entries.values():
            entry.queued = past
        ours.zones.deadlines._due()
        assert len(ticked) == 5
        await until(lambda: len(ticked) == 23)
        assert sorted(ticked) == zones


async def test_superseded_deadlines_are_swept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "HEAP_SLACK", 10)
    async with managed(tmp_path) as ours:
        await ours.start(nowhere(), nowhere(OTHER))
        entry = ours.entry(ZONE)
        deadline = [1e9]
        monkeypatch.setattr(RefreshMachine, "next_deadline", lambda _self: deadline[0])
        for _ in range(1000):
            deadline[0] += 1
            ours.zones.deadlines.schedule(entry)
        assert len(ours.zones.deadlines._heap) <= 15
        assert (deadline[0], NAME) in [(when, name) for when, _, name in ours.zones.deadlines._heap]


async def test_one_zones_broken_clock_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(OTHER, zone_text(OTHER, 5))
        await ours.start(nowhere(), of(primary, OTHER))
        await until(lambda: ours.serial(OTHER) == 5 and ours.entry(ZONE).trouble.failures > 0)
        await ours.idle(ZONE)
        now = machine_clock()
        ticked: list[str] = []

        def tick(machine: RefreshMachine, _now: float) -> list[object]:
            if machine.zone == ZONE:
                raise RuntimeError("broken on purpose")
            ticked.append(machine.zone)
            return []

        monkeypatch.setattr(RefreshMachine, "tick", tick)
        ours.zones.deadlines._heap[:] = [(now - 2, 0, NAME), (now - 1, 1, names.from_text(OTHER))]
        ours.entry(ZONE).queued, ours.entry(OTHER).queued = now - 2, now - 1
        ours.zones.deadlines._due()
        assert ticked == [OTHER]
        assert len(errors(caplog)) == 1
        assert now < (ours.entry(ZONE).queued or 0) < now + 60, "it is looked at again"
        assert NAME in [name for _, _, name in ours.zones.deadlines._heap]


async def test_the_clock_goes_on_whatever_breaks_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with managed(tmp_path) as ours:
        await ours.start(nowhere())
        await until(lambda: ours.zones.deadlines._timer is not None)

        def broken(*_: object) -> None:
            raise RuntimeError("broken on purpose")

        monkeypatch.setattr(ours.zones.deadlines, "_look_at_the_due", broken)
        with pytest.raises(RuntimeError):
            ours.zones.deadlines._due()
        assert ours.zones.deadlines._timer is not None


async def test_a_zone_that_cannot_be_loaded_whatever_is_fetched_is_not_fetched_without_a_rest(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary))
        await until(lambda: ours.serial(ZONE) == 5)
        ours.zones.worker_failed(NAME, "it does not load")
        await until(lambda: ours.zones._recovered.get(NAME) is not None and ours.serial(ZONE) == 5)
        generation = ours.publisher.stored[NAME].generation
        ours.zones.worker_failed(NAME, "it does not load")
        await asyncio.sleep(0.1)
        assert ours.entry(ZONE).recovery is not None
        assert ours.publisher.stored[NAME].generation == generation
        await ours.zones.reconcile(ours.config())
        assert ours.zones._recovered == {}


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
        wrong = replace(of(primary), primaries=(replace(primary.remote, keys=(old,)),))
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


@pytest.mark.parametrize("text", [None, "@ SOA broken\n"], ids=["missing", "broken"])
async def test_a_secondary_zone_is_not_lost_by_being_configured_as_a_primary_one_of_a_file_that_is_no_good(
    tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "zone"
    if text is not None:
        file.write_text(text)
    primary = ZoneConfig(NAME, ZONE, type="primary", file=file)
    async with own_server(tmp_path / "a") as above, managed(tmp_path / "state") as ours:
        above.serve(ZONE, zone_text(ZONE, 900))
        await ours.start(of(above))
        await ours.idle(ZONE)
        config, problems = await ours.zones.without_losses(ours.config(primary))
        assert len(problems) == 1 and problems[0].startswith(f"zone {ZONE} stays a secondary zone: {file}")
        summary = "0 zones added, 0 removed, 0 changed, 1 untouched"
        assert await ours.zones.reconcile(config) == (summary, [])
    async with managed(tmp_path / "state") as ours:  # nor where that is found at a start
        await ours.start(primary)
        entry = ours.entry(ZONE)
        assert (entry.config.type, ours.serial(ZONE), entry.answering) == ("primary", 900, True)
        assert entry.trouble.detail.startswith(str(file))
        file.write_text(zone_text(ZONE, 901))
        assert (await ours.zones.reconcile(ours.config(primary)))[1] == []
        assert ours.serial(ZONE) == 901


async def test_a_stored_zone_whose_time_has_run_out_starts_expired_and_is_revived_by_its_primary(
    tmp_path: Path,
) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        stored = commit_text(ours.store, ZONE, zone_text(ZONE, 5))
        ours.publisher.stored = {NAME: stored._replace(expires_at=1.0)}
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


async def test_damage_that_a_worker_finds_during_the_start_does_not_stop_the_start(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        commit_text(ours.store, ZONE, zone_text(ZONE, 4))
        ours.publisher.stored = ours.store.zones()
        await ours.zones.prepare(ours.config(of(primary)))
        ours.zones.worker_failed(NAME, "a chunk is not what it was")
        await until(lambda: ours.serial(ZONE) == 5)
        await ours.zones.start()
        assert ours.entry(ZONE).state == State.SERVING


async def test_lost_data_that_no_worker_has_and_nobody_can_fetch_is_answered_by_nobody(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary))
        await until(lambda: ours.serial(ZONE) == 5)
        await ours.idle(ZONE)
        await primary.stop()
        await until(lambda: NAME in ours.supervisor.workers[0].served)
        ours.supervisor.workers[0].served.clear()  # it is a new one
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
        ours.zones.count_queries({NAME.hex(): [3, 1, False], names.from_text(OTHER).hex(): [9, 9, False]})
        ours.zones.count_queries({NAME.hex(): [1, 0, False]})
        assert (ours.entry(ZONE).queries, ours.entry(ZONE).control_queries) == (4, 1)
        assert (ours.zones.transferring, ours.zones.waiting) == (0, 0)
