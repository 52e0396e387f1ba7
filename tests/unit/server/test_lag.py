"""How late the loop is, and what held it up (F78)."""

import asyncio
import logging
import sys
import threading
import time

import pytest
from support.own_server import until

from nameserver.server import lag as lag_module
from nameserver.server.lag import LoopWatch, running_place
from nameserver.telemetry.tally import LAG_BOUNDS, Histogram


def stand_still(seconds: float) -> None:
    time.sleep(seconds)


# As one of ours, so that it is the place that is named.
OURS = {"__name__": "nameserver.pretended", "stand_still": stand_still}
exec("def hold_up(seconds):\n    stand_still(seconds)\n", OURS)


def watchers() -> int:
    return sum(each.name == "loop-watch" for each in threading.enumerate())


async def test_what_holds_the_loop_up_is_measured_named_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch(asyncio.get_running_loop())
    watch.start()
    try:
        with caplog.at_level(logging.WARNING):
            for count in (1, 2):
                OURS["hold_up"](0.5)  # type: ignore[operator]
                await until(lambda count=count: sum(watch.lag.counts[LAG_BOUNDS.index(0.25) :]) >= count)
        messages = [each.getMessage() for each in caplog.records if "pretended" in each.getMessage()]
        assert len(messages) == 1
        assert "stood still for" in messages[0]
        assert "in nameserver.pretended:2 (hold_up), computing for 0.0" in messages[0]
    finally:
        watch.stop()
    await until(lambda: watchers() == 0)


async def test_what_was_measured_is_taken_once_and_adds_up_elsewhere() -> None:
    watch = LoopWatch(asyncio.get_running_loop())
    watch.start()
    await until(lambda: sum(watch.lag.counts) >= 2)
    taken = watch.take()
    assert sum(taken.counts) >= 2 > sum(watch.lag.counts)
    watch.stop()
    total = Histogram(LAG_BOUNDS)
    for _ in range(3):
        total.merge(taken.to_json())
    assert total.counts == [3 * each for each in taken.counts]
    assert total.sum == pytest.approx(3 * taken.sum)


async def test_a_lag_that_nobody_saw_begin_is_told_without_a_place(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch(asyncio.get_running_loop())
    watch._await_tick()
    watch._due -= 3.0
    with caplog.at_level(logging.WARNING):
        watch._tick()
    watch.stop()
    assert "stood still for" in caplog.text
    assert "in an unknown place" in caplog.text


def test_the_place_is_the_innermost_of_ours_or_else_the_innermost() -> None:
    assert running_place(None) == ""
    here = running_place(sys._getframe())
    assert here.startswith(f"{__name__}:")
    assert here.endswith("(test_the_place_is_the_innermost_of_ours_or_else_the_innermost)")
    assert lag_module.TICK > 0
