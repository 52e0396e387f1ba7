"""Pauses in the transfer process: ordered, replaced, ended, kept through a restart, under clocks that jump."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.managed import Managed, managed
from support.own_server import commit_text, until
from support.process import free_port
from support.zones import zone_text

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.control.protocol import ControlError, Json
from nameserver.server.zones import pauses as pauses_module
from nameserver.store.pause_file import FILE_NAME, read_pauses
from nameserver.wire import codes, names

ZONE, OTHER = "example.com", "other.example"
NAME = names.from_text(ZONE)
HOUR = 3600.0


class Clocks:
    """The two clocks, by hand."""

    def __init__(self) -> None:
        self.wall, self.machine = 1_795_225_000.0, 5000.0

    def both(self, seconds: float) -> None:
        self.wall += seconds
        self.machine += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clocks]:
    by_hand = Clocks()
    monkeypatch.setattr(time, "time", lambda: by_hand.wall)
    monkeypatch.setattr(time, "clock_gettime", lambda which: by_hand.machine)
    yield by_hand


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's clock is the true one: what is due by hand is seen at the next look."""
    monkeypatch.setattr(pauses_module, "LONGEST_SLEEP", 0.01)


def zones(directory: Path, *wanted: str) -> list[ZoneConfig]:
    """Primary zones from files."""
    found = []
    for zone in wanted:
        path = directory / f"{zone}.zone"
        path.write_text(zone_text(zone, 5))
        found.append(ZoneConfig(names.from_text(zone), zone, type="primary", file=path))
    return found


@asynccontextmanager
async def serving(directory: Path, *wanted: str) -> AsyncIterator[Managed]:
    """A server with these zones, or with one; its state is in the same place the next time."""
    async with managed(directory / "state") as ours:
        await ours.start(*zones(directory, *(wanted or (ZONE,))))
        yield ours


async def pause(ours: Managed, length: object = HOUR, answer: object = "refused", zone: str = ZONE) -> Json:
    return await ours.zones.pauses.pause(ours.entry(zone), answer, length)


def written(directory: Path) -> dict:
    return read_pauses(directory / "state")


async def told(ours: Managed) -> list[int]:
    """What the worker was told of the pause of `ZONE`, to the last word."""
    mark = -1 - len(ours.said)
    ours.supervisor.tell("hear", number=mark)
    await until(lambda: any(header["number"] == mark for header in ours.told("hear")))
    return [header["rcode"] for header in ours.told("pause") if header["zone"] == NAME.hex()]


async def test_a_pause_is_written_down_and_told_and_ends_by_command(
    tmp_path: Path, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with serving(tmp_path) as ours:
        done = await pause(ours)
        assert (done["answer"], done["until"], done["before"]) == ("refused", clocks.wall + HOUR, None)
        assert await told(ours) == [codes.REFUSED]
        assert written(tmp_path)[NAME] == ("refused", clocks.wall, clocks.wall + HOUR)
        assert (ours.entry(ZONE).state, ours.entry(ZONE).answering) == ("paused", True)
        ours.zones.count_queries({NAME.hex(): [7, 7, False]})  # from before, still on its way
        ours.zones.count_queries({NAME.hex(): [2, 3, True]})
        clocks.both(60)
        done = await ours.zones.pauses.resume(ours.entry(ZONE))
        assert (done["was"], done["lasted"], done["queries"], done["control_queries"]) == (True, 60.0, 2, 3)
        assert await told(ours) == [codes.REFUSED, 0]
        assert (ours.entry(ZONE).state, ours.entry(ZONE).queries, written(tmp_path)) == ("serving", 9, {})
        assert (await ours.zones.pauses.resume(ours.entry(ZONE)))["was"] is False
    said = [record.message for record in caplog.records if record.message.startswith("zone example.com is")]
    assert said == [
        "zone example.com is paused until 2026-11-21 02:36:40 UTC: queries get REFUSED",
        "zone example.com is paused no more (by command, after 1m): 2 queries and 3 of peers came meanwhile",
    ]


async def test_it_ends_by_itself_and_not_before(
    tmp_path: Path, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, ZONE, OTHER) as ours:
        await pause(ours, 10)
        await pause(ours, 20, zone=OTHER)
        clocks.both(9.9)
        await asyncio.sleep(0.05)
        assert ours.entry(ZONE).state == "paused"
        clocks.both(0.2)
        await until(lambda: ours.entry(ZONE).state == "serving")
        await until(lambda: list(written(tmp_path)) == [names.from_text(OTHER)])
        assert ours.entry(OTHER).state == "paused"
        clocks.both(10)
        await until(lambda: ours.entry(OTHER).state == "serving")
        await until(lambda: not (tmp_path / "state" / FILE_NAME).exists())
    assert "zone example.com is paused no more (its time is up, after 10s): no queries and 0 of peers" in caplog.text


async def test_those_that_end_together_wait_together_for_a_worker_that_says_nothing(
    tmp_path: Path, clocks: Clocks
) -> None:
    async with serving(tmp_path, ZONE, OTHER) as ours:
        await pause(ours, 10)
        await pause(ours, 10, zone=OTHER)
        assert await told(ours) == [codes.REFUSED]
        before = len(ours.told("hear"))
        clocks.both(11)
        await until(lambda: {ours.entry(ZONE).state, ours.entry(OTHER).state} == {"serving"})
        assert await told(ours) == [codes.REFUSED, 0]
        assert len(ours.told("hear")) == before + 2  # one for both, one of this test


async def test_another_order_replaces_the_time_and_the_answer_and_the_count_goes_on(
    tmp_path: Path, clocks: Clocks
) -> None:
    async with serving(tmp_path) as ours:
        first = await pause(ours)
        ours.zones.count_queries({NAME.hex(): [2, 0, True]})
        clocks.both(60)
        second = await pause(ours, 10, "servfail")
        assert (second["before"], second["since"], second["until"]) == (
            first["until"],
            first["since"],
            clocks.wall + 10,
        )
        assert await told(ours) == [codes.REFUSED, codes.SERVFAIL]
        clocks.both(11)
        await until(lambda: ours.entry(ZONE).pause is None)
        assert ours.entry(ZONE).queries == 2


@pytest.mark.parametrize("length", [0, -5, 0.5, 7 * 86400 + 1, float("nan"), float("inf"), "1h", None, True])
async def test_a_length_that_is_none_or_too_long_is_refused(tmp_path: Path, length: object) -> None:
    async with serving(tmp_path) as ours:
        with pytest.raises(ControlError, match=r"a trial, of 1\.0s to 7d"):
            await pause(ours, length)
        assert ours.entry(ZONE).pause is None


@pytest.mark.parametrize("answer", ["nxdomain", "", None, 5])
async def test_an_answer_that_is_none_is_refused(tmp_path: Path, answer: object) -> None:
    async with serving(tmp_path) as ours:
        with pytest.raises(ControlError, match="refused or servfail"):
            await pause(ours, HOUR, answer)


async def test_a_restart_keeps_it_and_new_workers_are_told_before_they_load(tmp_path: Path, clocks: Clocks) -> None:
    async with serving(tmp_path) as ours:
        await pause(ours, HOUR, "servfail")
    clocks.wall += 600  # the machine was started anew: its clock begins again
    clocks.machine = 3.0
    async with serving(tmp_path) as ours:
        entry = ours.entry(ZONE)
        assert entry.state == "paused" and entry.pause is not None and entry.pause.ends == 3.0 + 3000
        ours.said.clear()
        ours.publisher.bring_up(ours.supervisor.workers[0], ours.config(*zones(tmp_path, ZONE)))
        await until(lambda: ours.told("load"))
        rows = [row["paused"] for header in ours.told("configure") for row in header.get("zones", ())]
        kinds = [header["kind"] for header, _ in ours.said]
        assert rows == [codes.SERVFAIL] and kinds.index("load") == len(kinds) - 1
        clocks.both(3001)
        await until(lambda: entry.state == "serving")


async def test_one_that_has_ended_while_the_server_was_down_is_over(
    tmp_path: Path, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as ours:
        await pause(ours)
    clocks.both(HOUR)
    async with serving(tmp_path) as ours:
        assert ours.entry(ZONE).state == "serving"
        await until(lambda: not written(tmp_path))
    assert "its pause has ended while the server was down" in caplog.text


async def test_a_file_that_cannot_be_read_silences_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE_NAME).write_text("[zone")
    async with serving(tmp_path) as ours:
        assert ours.entry(ZONE).state == "serving"
        assert "all of them are answered" in caplog.text
        await pause(ours)  # and is written anew
        assert list(written(tmp_path)) == [NAME]


@pytest.mark.parametrize("step", [86400.0, -86400.0])
async def test_a_wall_clock_that_is_set_changes_nothing_but_what_is_written(
    tmp_path: Path, clocks: Clocks, step: float
) -> None:
    async with serving(tmp_path) as ours:
        await pause(ours)
        clocks.both(600)
        clocks.wall += step
        ours.zones._clock_was_set(step)
        await until(lambda: written(tmp_path)[NAME].until == clocks.wall + 3000)
        await asyncio.sleep(0.03)
        assert ours.entry(ZONE).state == "paused"
        clocks.both(3001)
        await until(lambda: ours.entry(ZONE).state == "serving")


async def test_a_reload_that_removes_the_zone_drops_it_and_one_that_does_not_keeps_it(
    tmp_path: Path, clocks: Clocks
) -> None:
    async with serving(tmp_path, ZONE, OTHER) as ours:
        await pause(ours)
        both = zones(tmp_path, ZONE, OTHER)
        changed = replace(both[0], check_downstreams=False)
        await ours.zones.reconcile(ours.config(changed, both[1]))
        assert ours.entry(ZONE).state == "paused"
        await told(ours)
        rows = [row for header in ours.told("configure") for row in header.get("zones", ())]
        assert [row["paused"] for row in rows if [NAME.hex(), ZONE] in row["zones"]] == [codes.REFUSED]
        dead = Remote("dead", (Endpoint("127.0.0.1", free_port()),))
        # Of another type it is removed and added, and is still the zone that is to be silent.
        ours.said.clear()
        await ours.zones.reconcile(ours.config(ZoneConfig(NAME, ZONE, primaries=(dead,)), both[1]))
        await told(ours)
        rows = [row for header in ours.told("configure") for row in header.get("zones", ())]
        assert [row["paused"] for row in rows if [NAME.hex(), ZONE] in row["zones"]] == [codes.REFUSED]
        assert ours.entry(ZONE).pause is not None
        await ours.zones.reconcile(ours.config(both[1]))
        assert written(tmp_path) == {}
        await ours.zones.reconcile(ours.config(*both))
        assert ours.entry(ZONE).state == "serving"
        assert (await told(ours))[-1] == 0


async def test_where_it_cannot_be_written_down_the_zone_is_answered(
    tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write = pauses_module.write_pauses
    async with serving(tmp_path) as ours:
        monkeypatch.setattr(pauses_module, "write_pauses", full)
        with pytest.raises(ControlError, match=rf"not paused: .*{FILE_NAME}: No space left"):
            await pause(ours)
        assert ours.entry(ZONE).pause is None and await told(ours) == []
        monkeypatch.setattr(pauses_module, "write_pauses", write)
        await pause(ours)
        monkeypatch.setattr(pauses_module, "write_pauses", full)
        with pytest.raises(ControlError, match="its pause is as it was: "):
            await pause(ours, 10)
        assert ours.entry(ZONE).pause is not None and ours.entry(ZONE).pause.ends == clocks.machine + HOUR
        done = await ours.zones.pauses.resume(ours.entry(ZONE))
        assert (done["was"], ours.entry(ZONE).state) == (True, "serving")
        assert "No space left" in done["trouble"]


async def test_a_zone_that_goes_on_in_another_role_stays_paused(tmp_path: Path, clocks: Clocks) -> None:
    async with serving(tmp_path) as ours:
        await pause(ours)
        (zone,) = zones(tmp_path, ZONE)
        entry = await ours.zones.go_on_as(ours.entry(ZONE), zone, "promoted")
        ours.zones.begin(entry, ours.config(zone))
        assert ours.entry(ZONE).state == "paused"
        assert (await ours.zones.pauses.resume(ours.entry(ZONE)))["was"]
        assert ours.entry(ZONE).state == "serving"


async def test_a_zone_of_which_nothing_is_held_can_be_paused_and_its_state_is_its_own(
    tmp_path: Path, clocks: Clocks
) -> None:
    async with managed(tmp_path / "state") as ours:
        await ours.start(ZoneConfig(NAME, ZONE, type="primary", file=tmp_path / "absent"))
        done = await pause(ours)
        assert done["answering"] is False
        assert (ours.entry(ZONE).state, ours.entry(ZONE).pause is not None) == ("not-loaded", True)


async def test_versions_are_published_and_those_below_are_told_during_it(tmp_path: Path, clocks: Clocks) -> None:
    async with serving(tmp_path) as ours:
        await pause(ours)
        (zone,) = zones(tmp_path, ZONE)
        assert zone.file is not None
        zone.file.write_text(zone_text(ZONE, 6))
        await ours.zones.reconcile(ours.config(zone))
        assert ours.serial(ZONE) == 6
        await until(lambda: ours.entry(ZONE).answered is not None and ours.entry(ZONE).answered.serial == 6)
        assert ours.entry(ZONE).state == "paused"


async def test_a_stored_zone_that_is_lost_and_fetched_again_stays_paused(tmp_path: Path, clocks: Clocks) -> None:
    async with serving(tmp_path) as ours:
        await pause(ours)
        commit_text(ours.store, ZONE, zone_text(ZONE, 7))
        await ours.zones._begin_afresh({NAME})
        assert ours.entry(ZONE).pause is not None
