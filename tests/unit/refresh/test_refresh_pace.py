"""Turns for the checks that timers start: how many there are in a second, and what ten thousand zones make of them."""

import heapq
import random
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.refreshing import DrivenZone

from nameserver.refresh.machine import State
from nameserver.refresh.outcome import UpToDate
from nameserver.refresh.pace import Pace

DAY = 86400


def most_in_a_second(times: list[float]) -> int:
    """The largest number of moments within any one second; `times` ascend."""
    return max(bisect_left(times, when + 1.0 - 1e-6) - index for index, when in enumerate(times))


def test_a_turn_is_at_once_where_nobody_is_in_the_way() -> None:
    pace = Pace(100)
    assert [pace.turn(now) for now in (-5.0, 0.0, 0.01, 7.0)] == [-5.0, 0.0, 0.01, 7.0]


def test_turns_asked_for_at_once_are_evenly_spaced() -> None:
    pace = Pace(4)
    assert [pace.turn(10.0) for _ in range(5)] == [10.0, 10.25, 10.5, 10.75, 11.0]


def test_turns_that_were_not_used_do_not_add_up() -> None:
    pace = Pace(4)
    pace.turn(0.0)
    assert [pace.turn(1000.0), pace.turn(1000.0)] == [1000.0, 1000.25]


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_of_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Pace(rate)


@given(
    rate=st.sampled_from([1, 3, 100, 999]), waits=st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.3, 5.0]), min_size=1)
)
def test_turns_come_in_order_never_early_and_never_too_many(rate: int, waits: list[float]) -> None:
    pace, now = Pace(rate), 0.0
    turns = []
    for wait in waits * 20:
        now += wait
        turns.append(pace.turn(now))
        assert turns[-1] >= now
    assert turns == sorted(turns)
    assert most_in_a_second(turns) <= rate


class Herd:
    """Zones with the same timers on one clock; every check is answered in the same moment: nothing new."""

    def __init__(self, count: int, rate: float, *, expires_in: float, refresh: int) -> None:
        pace, drawn = Pace(rate), random.Random(4711)
        self.began: list[float] = []
        self.zones: list[DrivenZone] = []
        for _ in range(count):
            zone = DrivenZone(now=0.0, random=drawn.random(), turn=pace.turn)
            zone.restore(5, expires_in, refresh=refresh, expire=7 * DAY)
            self.zones.append(zone)
            self._answer(zone)
        self.heap = [(zone.machine.next_deadline() or 0.0, number) for number, zone in enumerate(self.zones)]
        heapq.heapify(self.heap)

    def run(self, until: float) -> None:
        while self.heap[0][0] <= until:
            now, number = heapq.heappop(self.heap)
            zone = self.zones[number]
            zone.now = max(zone.now, now)
            zone.tick()
            self._answer(zone)
            heapq.heappush(self.heap, (zone.machine.next_deadline() or 0.0, number))

    def _answer(self, zone: DrivenZone) -> None:
        if zone.checking:
            self.began.append(zone.now)
            zone.finish(UpToDate(5))


def test_ten_thousand_zones_with_equal_timers_are_checked_at_the_rate_and_spread() -> None:
    """All restored in one moment, as at a start; then one cycle of an hour's refresh time."""
    refresh = 3600
    herd = Herd(10_000, 100, expires_in=DAY, refresh=refresh)
    herd.run(until=100.0)
    assert len(herd.began) == 10_000, "each once, at the rate"
    dues = sorted(zone.now + zone.wait for zone in herd.zones)
    assert dues[-1] - dues[0] >= refresh / 10
    herd.run(until=refresh + 101.0)
    assert len(herd.began) >= 20_000, "and none of them late by more than the line is long"
    assert most_in_a_second(sorted(herd.began)) <= 100


def test_more_zones_than_the_rate_allows_for_are_checked_late_but_none_expires() -> None:
    """A thousand zones, a turn every second, a minute to live."""
    herd = Herd(1000, 1, expires_in=60, refresh=30)
    herd.run(until=600.0)
    assert {zone.state for zone in herd.zones} == {State.SERVING}
