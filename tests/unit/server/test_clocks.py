"""The two clocks, and how a step of the wall clock is noticed."""

import time

import pytest

from nameserver.server.clocks import TOLERANCE, WallClock, machine_clock, to_wall


@pytest.fixture
def offset(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds by which the wall clock is ahead of the true one."""
    true, ahead = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: true() + ahead[0])
    return ahead


def test_never_stays_never_on_the_wall_clock() -> None:
    assert to_wall(None) is None
    assert to_wall(float("inf")) is None
    assert to_wall(machine_clock()) == pytest.approx(time.time(), abs=1)


@pytest.mark.parametrize("step", [86400.0, -86400.0, -1.7e9, 2.5e9, TOLERANCE + 0.5])
def test_a_step_is_seen_once(offset: list[float], step: float) -> None:
    clock = WallClock()
    assert clock.step() == 0.0
    offset[0] = step
    assert clock.step() == pytest.approx(step, abs=0.4)
    assert clock.step() == 0.0
    offset[0] = 0.0
    assert clock.step() == pytest.approx(-step, abs=0.4)


def test_a_clock_that_is_slewed_is_seen_once_the_difference_matters(offset: list[float]) -> None:
    clock = WallClock()
    steps = []
    for _ in range(100):
        offset[0] += TOLERANCE / 20
        steps.append(clock.step())
    assert sum(steps) == pytest.approx(100 * TOLERANCE / 20, abs=TOLERANCE)
    assert 3 <= sum(step != 0.0 for step in steps) <= 6


def test_the_machine_clock_goes_on_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def clock(which: int) -> float:
        asked.append(which)
        return 7.0

    monkeypatch.setattr(time, "clock_gettime", clock)
    assert machine_clock() == 7.0
    assert asked == [time.CLOCK_BOOTTIME]
