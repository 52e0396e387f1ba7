"""Zones under clocks that jump: the wall clock is set, the machine was suspended, the process down, a zone expires."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.managed import CALM, HASTY, Managed, managed
from support.own_server import KEY, OwnServer, commit_text, own_server, until
from support.process import free_port
from support.zones import zone_text

from nameserver.config.model import Endpoint, Remote
from nameserver.refresh.machine import State
from nameserver.server.zones import deadlines, pull
from nameserver.wire import names

ZONE = "example.com"
NAME = names.from_text(ZONE)
DAY = 86400.0
EXPIRE = 7 * DAY
TIMES = f"3600 600 {EXPIRE:.0f} 300"

# Seconds since the epoch at which clocks of few bits turn over, and a machine without a clock begins.
MOMENTS = {"1970": 0.0, "2038": 2.0**31, "2106": 2.0**32}


def to(moment: float) -> Callable[[], float]:
    return lambda: moment - time.time()


STEPS: dict[str, Callable[[], float]] = {
    "a day forward": lambda: DAY,
    "a day back": lambda: -DAY,
    "a month forward": lambda: 30 * DAY,
    **{f"to {year}": to(moment + 1.0) for year, moment in MOMENTS.items()},
}


class Clocks:
    """Seconds by which each clock is ahead of the true one."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.machine = 0.0

    def both(self, seconds: float) -> None:
        """Time passes that the event loop does not see."""
        self.wall += seconds
        self.machine += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    true_wall, true_clock, ahead = time.time, time.clock_gettime, Clocks()
    monkeypatch.setattr(time, "time", lambda: true_wall() + ahead.wall)
    monkeypatch.setattr(time, "clock_gettime", lambda which: true_clock(which) + ahead.machine)
    monkeypatch.setattr(deadlines, "LONGEST_SLEEP", 0.02)
    return ahead


@asynccontextmanager
async def serving(directory: Path, **more: Any) -> AsyncIterator[tuple[OwnServer, Managed]]:
    """A zone at serial 5, held and idle, its transfers and checks signed; its checks are in an hour at the earliest."""
    async with own_server(directory / "a", KEY) as primary, managed(directory / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5, timers=TIMES))
        await ours.start(primary.zone_config(ZONE, pull=HASTY, timers=CALM, **more))
        await until(lambda: ours.serial(ZONE) == 5)
        await ours.idle(ZONE)
        yield primary, ours


def checks(ours: Managed) -> int:
    return sum(ours.tally.soa_checks.values())


def states_told(ours: Managed) -> list[str]:
    return [header["state"] for header in ours.told("state")]


@pytest.mark.parametrize("step", STEPS)
async def test_setting_the_wall_clock_expires_nothing_and_starts_nothing(
    tmp_path: Path, clocks: Clocks, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    async with serving(tmp_path) as (primary, ours):
        machine = ours.entry(ZONE).machine
        assert machine is not None
        before = machine.snapshot()
        clocks.wall = STEPS[step]()
        with caplog.at_level(logging.WARNING):
            await until(lambda: "the clock was set" in caplog.text)
        await ours.publisher.flush_timers()
        assert machine.snapshot() == before
        assert states_told(ours) == []
        assert checks(ours) == 0, "it came by AXFR; nothing was asked since"
        written = ours.store.zones()[NAME]
        assert written.expires_at - time.time() == pytest.approx(EXPIRE, abs=5), "by the clock of the next start"
        assert caplog.text.count("the clock was set") == 1
        primary.serve(ZONE, zone_text(ZONE, 6, timers=TIMES))
        ours.zones.notified(NAME, "127.0.0.1", 6)
        await until(lambda: ours.serial(ZONE) == 6)
        assert ours.publisher.stored[NAME].expires_at - time.time() == pytest.approx(EXPIRE, abs=5)


@pytest.mark.parametrize("step", STEPS)
async def test_after_a_restart_under_the_clock_that_was_set_the_zone_is_served(
    tmp_path: Path, clocks: Clocks, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    async with serving(tmp_path) as (primary, ours):
        await primary.stop()
        clocks.wall = STEPS[step]()
        with caplog.at_level(logging.WARNING):
            await until(lambda: "the clock was set" in caplog.text)
        config = ours.entry(ZONE).config
        await primary.start()
    caplog.clear()
    async with managed(tmp_path / "b") as again:
        await again.start(config)
        assert again.entry(ZONE).answering
        expires = again.entry(ZONE).times().expires
        assert expires is not None
        assert expires - time.time() == pytest.approx(EXPIRE, abs=10)
        assert "it was set back, or is wrong" not in caplog.text


async def test_a_leap_second_is_no_step(tmp_path: Path, clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tmp_path) as (_, ours):
        for second in (-1.0, 0.0, 1.0):
            clocks.wall = second
            await asyncio.sleep(0.05)  # some looks at the clock
        assert "the clock was set" not in caplog.text
        assert checks(ours) == 0


@pytest.mark.parametrize(("asleep", "state"), [(2 * 3600.0, State.SERVING), (EXPIRE + 1, State.EXPIRED)])
async def test_after_a_suspend_what_is_overdue_is_done_at_the_next_look(
    tmp_path: Path, clocks: Clocks, asleep: float, state: State
) -> None:
    """The loop's own clock stands still meanwhile, so its timers are no help; a look comes every few seconds."""
    async with serving(tmp_path) as (primary, ours):
        await primary.stop()
        seen: list[State] = []
        machine = ours.entry(ZONE).machine
        assert machine is not None
        clocks.both(asleep)
        await until(lambda: checks(ours) > 0)
        seen.append(machine.state)
        assert (State.EXPIRED in seen) == (state is State.EXPIRED)
        assert states_told(ours) == (["expired"] if state is State.EXPIRED else [])
        await primary.start()
        ours.zones.refresh(ours.entry(ZONE))
        await until(lambda: machine.state is State.SERVING)


async def test_a_timer_is_never_armed_for_longer_than_a_few_seconds(tmp_path: Path) -> None:
    assert deadlines.LONGEST_SLEEP <= 5.0
    async with serving(tmp_path) as (_, ours):
        loop = asyncio.get_running_loop()
        assert ours.zones.deadlines._timer is not None
        assert ours.zones.deadlines._armed_for - loop.time() <= deadlines.LONGEST_SLEEP
        ours.zones.deadlines._due()
        assert ours.zones.deadlines._timer is not None
        assert ours.zones.deadlines._armed_for - loop.time() <= deadlines.LONGEST_SLEEP


@asynccontextmanager
async def restarted(
    directory: Path, *, last_success: float, life: float
) -> AsyncIterator[tuple[OwnServer, Managed, list[str]]]:
    """A process that finds a zone in its store, as one before it left it. Its primary is there, at the same serial."""
    async with own_server(directory / "a") as primary, managed(directory / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5, timers=TIMES))
        stored = commit_text(ours.store, ZONE, zone_text(ZONE, 5, timers=TIMES))
        ours.publisher.stored = {
            NAME: stored._replace(last_success=last_success, last_change=last_success, expires_at=last_success + life)
        }
        await ours.zones.prepare(ours.config(primary.zone_config(ZONE, pull=HASTY, timers=CALM)))
        states: list[str] = [ours.entry(ZONE).state]
        await ours.zones.start()
        states.append(ours.entry(ZONE).state)
        yield primary, ours, states


async def test_after_a_downtime_shorter_than_expire_the_zone_is_served_for_the_rest_of_it(tmp_path: Path) -> None:
    async with restarted(tmp_path, last_success=time.time() - 3 * DAY, life=EXPIRE) as (_, ours, states):
        assert states[-1] == State.REFRESHING, "served, and checked at once"
        expires = ours.entry(ZONE).times().expires
        assert expires is not None
        assert expires - time.time() == pytest.approx(4 * DAY, abs=5)
        await until(lambda: ours.entry(ZONE).state == State.SERVING)
        assert states_told(ours) == []


async def test_after_a_downtime_longer_than_expire_the_zone_is_not_served_until_its_primary_confirms_it(
    tmp_path: Path,
) -> None:
    async with restarted(tmp_path, last_success=time.time() - 8 * DAY, life=EXPIRE) as (_, ours, states):
        assert states[-1] == State.EXPIRED
        await until(lambda: ours.entry(ZONE).state == State.SERVING)
        await until(lambda: states_told(ours)[-1] == "serving")
        assert set(states_told(ours)[:-1]) == {"expired"}


@pytest.mark.parametrize("life", [EXPIRE, 100.0])
async def test_a_clock_behind_the_last_check_makes_no_zone_expire_and_none_live_longer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, life: float
) -> None:
    """How old the zone is cannot be told: it is served, for as long as it had after its last check, and checked."""
    async with restarted(tmp_path, last_success=time.time() + 30 * DAY, life=life) as (_, ours, states):
        assert states[-1] == State.REFRESHING
        times = ours.entry(ZONE).times()
        assert times.expires is not None and times.last_success is not None
        assert times.expires - time.time() == pytest.approx(life, abs=5)
        assert times.last_success <= time.time() + 1
        assert caplog.text.count("it was set back, or is wrong") == 1
        await until(lambda: ours.entry(ZONE).state == State.SERVING)
        await ours.publisher.flush_timers()
        assert ours.store.zones()[NAME].last_success == pytest.approx(time.time(), abs=5)


async def test_a_clock_a_moment_behind_is_nothing_to_speak_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with restarted(tmp_path, last_success=time.time() + 2.0, life=EXPIRE) as (_, ours, states):
        assert states[-1] == State.REFRESHING
        assert "it was set back" not in caplog.text
        assert ours.entry(ZONE).answering


async def test_expiry_is_told_and_logged_once_and_nobody_is_notified_any_more(
    tmp_path: Path, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    edge = Remote("edge", (Endpoint("127.0.0.1", free_port()),))
    async with serving(tmp_path, also_notify=(edge,)) as (primary, ours):
        await until(lambda: bool(ours.downstreams.notify._zones))
        await primary.stop()
        clocks.both(EXPIRE + 1)
        await until(lambda: ours.entry(ZONE).state == State.EXPIRED)
        assert ours.downstreams.notify._zones == {}, "though the edge had not answered yet"
        for failures in range(2, 5):
            await until(lambda: ours.entry(ZONE).task is None)
            clocks.both(600)
            await until(lambda failures=failures: ours.entry(ZONE).trouble.failures == failures)
        assert states_told(ours) == ["expired"]
        expiries = [record for record in caplog.records if "expired" in record.getMessage()]
        assert [record.levelname for record in expiries] == ["ERROR"]
        await primary.start()


async def test_a_notify_of_any_serial_has_an_expired_zone_checked_at_once(tmp_path: Path, clocks: Clocks) -> None:
    async with serving(tmp_path) as (primary, ours):
        await primary.stop()
        clocks.both(EXPIRE + 1)
        await until(lambda: ours.entry(ZONE).state == State.EXPIRED and ours.entry(ZONE).trouble.failures > 0)
        await ours.idle(ZONE)
        await primary.start()
        ours.zones.notified(NAME, "127.0.0.1", 5)
        await until(lambda: states_told(ours) == ["expired", "serving"])
        assert ours.entry(ZONE).state == State.SERVING


async def test_a_zone_that_expires_during_a_transfer_is_answered_again_when_that_is_done(
    tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, go_on, transfer = asyncio.Event(), asyncio.Event(), pull.transfer

    async def held_up(*arguments: Any, **more: Any) -> Any:
        under_way.set()
        await go_on.wait()
        return await transfer(*arguments, **more)

    async with serving(tmp_path) as (primary, ours):
        monkeypatch.setattr(pull, "transfer", held_up)
        primary.serve(ZONE, zone_text(ZONE, 6, timers=TIMES))
        ours.zones.notified(NAME, "127.0.0.1", 6)
        await under_way.wait()
        run = ours.entry(ZONE).task
        clocks.both(EXPIRE + 1)
        await until(lambda: states_told(ours) == ["expired"])
        assert ours.entry(ZONE).task is run, "it goes on"
        go_on.set()
        await until(lambda: ours.serial(ZONE) == 6 and states_told(ours) == ["expired", "serving"])
        assert ours.entry(ZONE).state == State.SERVING
