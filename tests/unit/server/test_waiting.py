"""Waiting for a serial: here, and below; through reloads, expiry, and with serials that are past or ahead."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.managed import CALM, HASTY, Managed, managed
from support.own_server import OwnServer, own_server, until
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.control.protocol import ControlError, Json
from nameserver.refresh.machine import Expire, Revive
from nameserver.server import waiting as waiting_module
from nameserver.server.waiting import Waiting
from nameserver.wire import names

ZONE = "example.com"
NAME = names.from_text(ZONE)


def of(primary: OwnServer, **more) -> ZoneConfig:
    return primary.zone_config(ZONE, pull=HASTY, timers=CALM, **more)


def begin(ours: Managed, serial: int, *, everyone: bool = False, within: float = 30) -> "asyncio.Task[Json]":
    """Somebody waits, from now on."""
    request = {"zone": ZONE, "serial": serial, "all": everyone, "within": within}
    if getattr(ours, "waits", None) is None:
        ours.waits = Waiting(ours.zones, ours.downstreams)  # type: ignore[attr-defined]
    return asyncio.create_task(ours.waits.verb(request))  # type: ignore[attr-defined]


async def bring(ours: Managed, primary: OwnServer, serial: int) -> None:
    primary.serve(ZONE, zone_text(ZONE, serial))
    ours.zones.refresh(ours.entry(ZONE))
    await until(lambda: ours.serial(ZONE) == serial)


async def begun(ours: Managed, primary: OwnServer, serial: int = 5, **more) -> None:
    primary.serve(ZONE, zone_text(ZONE, serial))
    await ours.start(of(primary, **more))
    await until(lambda: ours.zones.publications.serial_everywhere(ours.entry(ZONE)) == serial)


async def test_a_serial_that_is_held_or_past_is_there_at_once_and_one_ahead_when_it_comes(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        await begun(ours, primary)
        for serial in (5, 4, 2**32 - 1):
            report = await begin(ours, serial, within=0)
            assert (report["reached"], report["serial"], report["downstreams"]) == (True, 5, [])
        waiting = begin(ours, 6)
        await asyncio.sleep(0)
        assert not waiting.done()
        await bring(ours, primary, 7)
        assert (await waiting)["serial"] == 7, "newer than asked for is as good"


@pytest.mark.parametrize("serial", [6, 5 + 2**31])
async def test_one_that_does_not_come_is_told_so_when_the_time_is_up(tmp_path: Path, serial: int) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        await begun(ours, primary)
        report = await begin(ours, serial, within=0.05)
        assert (report["reached"], report["here"], report["serial"], report["primary_serial"]) == (False, False, 5, 5)


async def test_a_version_that_a_worker_does_not_answer_yet_is_not_there(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        await begun(ours, primary)
        ours.confirming = False
        waiting = begin(ours, 6)
        await bring(ours, primary, 6)
        await asyncio.sleep(0.05)
        assert not waiting.done()
        ours.supervisor.workers[0].confirmed(NAME, ours.publisher.stored[NAME].generation)
        ours.zones.confirmed([NAME])
        assert (await waiting)["reached"]


async def test_where_versions_come_faster_than_they_are_confirmed_those_that_are_count(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        await begun(ours, primary)
        ours.confirming = False
        waiting = begin(ours, 6)
        await bring(ours, primary, 6)
        sixth = ours.publisher.stored[NAME].generation
        await bring(ours, primary, 7)
        ours.supervisor.workers[0].confirmed(NAME, sixth)
        ours.zones.confirmed([NAME])
        assert (await waiting)["serial"] == 6
        assert ours.downstreams._zones[NAME].serial == 6, "and those below are told of it"


async def test_with_all_those_below_have_to_answer_it_too(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b") as ours,
    ):
        edge.serve(ZONE, zone_text(ZONE, 4))
        await begun(ours, primary, also_notify=(replace(edge.remote, name="edge"),))
        assert (await begin(ours, 5))["reached"]
        lacking = await begin(ours, 5, everyone=True, within=0.3)
        assert lacking["here"] and not lacking["reached"]
        assert [(each["name"], each["reached"], each["serial"]) for each in lacking["downstreams"]] == [
            ("edge", False, 4)
        ]
        waiting = begin(ours, 5, everyone=True)
        edge.serve(ZONE, zone_text(ZONE, 5))
        assert (await waiting)["downstreams"][0]["reached"]


async def test_while_it_is_not_known_who_is_below_not_all_have_it(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b", ns_port=edge.port) as ours,
    ):
        looking = asyncio.Event()
        find = ours.downstreams._targets.of

        async def slowly(*of: Any) -> Any:
            await looking.wait()
            return await find(*of)

        ours.downstreams._targets.of = slowly  # type: ignore[method-assign]
        edge.serve(ZONE, zone_text(ZONE, 4))
        primary.serve(ZONE, zone_text(ZONE, 5).replace("ns2 IN A 127.0.0.2", "ns2 IN A 127.0.0.1"))
        await ours.start(of(primary, notify_ns=True))
        await until(lambda: ours.zones.publications.serial_everywhere(ours.entry(ZONE)) == 5)
        assert not (await begin(ours, 5, everyone=True, within=0))["reached"]
        waiting = begin(ours, 5, everyone=True)
        looking.set()
        await until(lambda: bool(ours.downstreams.statuses(NAME)))
        edge.serve(ZONE, zone_text(ZONE, 5))
        report = await waiting
        assert report["reached"] and [each["via"] for each in report["downstreams"]] == ["ns"]


async def test_an_expired_zone_has_no_serial_until_it_is_good_again(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        await begun(ours, primary)
        entry = ours.entry(ZONE)
        state, entry.held = entry.held, False
        ours.zones._act(entry, [Expire()])
        waiting = begin(ours, 5)
        await asyncio.sleep(0.05)
        assert not waiting.done()
        assert (await begin(ours, 5, within=0))["serial"] is None
        entry.held = state
        ours.zones._act(entry, [Revive()])
        ours.zones.confirmed([NAME])
        assert (await waiting)["reached"]


async def test_who_waits_for_a_zone_that_a_reload_removes_is_told_so(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        await begun(ours, primary)
        waiting = begin(ours, 6)
        await asyncio.sleep(0)
        await ours.zones.reconcile(ours.config())
        with pytest.raises(ControlError, match=r"no zone example\.com is configured here"):
            await waiting


async def test_a_reload_that_changes_a_zone_goes_on_waiting_for_it(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        await begun(ours, primary)
        waiting = begin(ours, 6)
        await asyncio.sleep(0)
        await ours.zones.reconcile(ours.config(of(primary, check_downstreams=False)))
        await bring(ours, primary, 6)
        assert (await waiting)["reached"]


async def test_who_finds_no_place_to_wait_is_told_how_things_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_module, "MOST_WAITING", 0)
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        await begun(ours, primary)
        assert not (await begin(ours, 6))["reached"]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"serial": 1}, "needs a zone"),
        ({"zone": ZONE}, "needs a serial"),
        ({"zone": ZONE, "serial": 2**32}, "needs a serial"),
        ({"zone": ZONE, "serial": True}, "needs a serial"),
        ({"zone": ZONE, "serial": 1, "within": -1}, "at most"),
        ({"zone": ZONE, "serial": 1, "within": "x"}, "at most"),
        ({"zone": "unknown.example", "serial": 1}, "no zone unknown.example"),
    ],
)
async def test_requests_that_make_no_sense_are_refused(tmp_path: Path, request_: Json, text: str) -> None:
    async with managed(tmp_path / "b") as ours:
        with pytest.raises(ControlError, match=text):
            await Waiting(ours.zones, ours.downstreams).verb(request_)


async def test_nothing_is_left_of_who_waited(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        await begun(ours, primary)
        waits = Waiting(ours.zones, ours.downstreams)
        await waits.verb({"zone": ZONE, "serial": 6, "within": 0.01})
        assert waits._waiting == {} and waits._count == 0


async def test_of_a_paused_zone_nothing_is_answered_until_it_is_resumed(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        await begun(ours, primary)
        await ours.zones.pauses.pause(ours.entry(ZONE), "refused", 60)
        report = await begin(ours, 5, within=0)
        assert (report["reached"], report["serial"], report["state"]) == (False, None, "paused")
        waiting = begin(ours, 6)
        await bring(ours, primary, 6)
        await asyncio.sleep(0.05)
        assert not waiting.done(), "it is held, and not answered"
        await ours.zones.pauses.resume(ours.entry(ZONE))
        assert (await waiting)["serial"] == 6
