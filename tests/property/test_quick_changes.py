"""A zone that changes quickly: how soon the last change is held, and what it costs. No clock but the test's."""

from dataclasses import dataclass, field
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.refreshing import DrivenZone, transferred

from nameserver.refresh.machine import LOOKS, NOTIFY_SPACING, SHORTEST_REST, Trigger
from nameserver.refresh.outcome import UpToDate

QUIET = 20.0  # seconds watched after the last change


@dataclass
class Primary:
    """Changes its zone at given times, by one serial each, and tells of it.

    `delay`: NOTIFYs are at least so far apart, and one stands for all changes since the one before. `hints`: they carry
    the serial. `takes`: seconds that a check takes; it brings what the primary has half-way.
    """

    gaps: list[float]
    takes: float
    delay: float = 0.0
    hints: bool = True
    zone: DrivenZone = field(init=False)
    held_after: float = field(init=False, default=-1.0)  # seconds from the last change until it was held

    def __post_init__(self) -> None:
        self.zone = DrivenZone.serving(0)
        start = self.zone.now + 1000.0
        self.changes = [start + offset for offset in accumulate(self.gaps, initial=0.0)]
        self._serve(start)

    def serial(self, now: float) -> int:
        """As the primary has it."""
        return sum(change <= now for change in self.changes)

    def _serve(self, start: float) -> None:
        zone, last, told = self.zone, len(self.changes), 0
        ends, tell_at = None, start
        while True:
            events = [(max(zone.machine.next_deadline() or 1e9, zone.now), "tick")]
            if told < last:
                events.append((max(tell_at, self.changes[told]), "tell"))
            if ends is not None:
                events.append((ends, "end"))
            when, event = min(events)
            if when > self.changes[-1] + QUIET:
                return
            zone.now, begun = when, len(zone.began)
            if event == "tick":
                zone.tick()
            elif event == "tell":
                told, tell_at = self.serial(when), when + self.delay
                zone.notify(serial=told if self.hints else None)
            else:
                ends, found = None, self.serial(when - self.takes / 2)
                news = found != zone.machine.serial
                zone.finish(transferred(found) if news else UpToDate(found))
                if found == last and self.held_after < 0:
                    self.held_after = when - self.changes[-1]
            if len(zone.began) > begun:
                ends = when + self.takes

    @property
    def checks(self) -> int:
        return len(self.zone.began)


GAPS = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.04, 0.1, 0.3, 0.6, 2.0]), max_size=60)
TAKES = st.sampled_from([0.0, 0.002, 0.02, 0.1, 0.4, 1.5])


@settings(max_examples=200, deadline=None)
@given(gaps=GAPS, takes=TAKES)
def test_the_last_change_of_a_primary_that_tells_of_each_is_held_after_two_checks_and_a_rest(
    gaps: list[float], takes: float
) -> None:
    """One check may be under way, which began before the change; then the rest after it; then the one that counts."""
    primary = Primary(gaps, takes)
    assert 0 <= primary.held_after <= 2 * takes + max(SHORTEST_REST, takes) + 1e-6


@settings(max_examples=200, deadline=None)
@given(gaps=GAPS, takes=TAKES, delay=st.sampled_from([0.0, 5.0]), hints=st.booleans())
def test_every_check_is_paid_for_by_a_version_or_is_one_of_two_a_second(
    gaps: list[float], takes: float, delay: float, hints: bool
) -> None:
    primary = Primary(gaps, takes, delay, hints)
    versions = len(set(primary.changes))
    seconds = primary.changes[-1] - primary.changes[0] + QUIET
    assert primary.held_after >= 0
    assert primary.checks <= (2 + LOOKS) * versions + 1 + seconds / NOTIFY_SPACING


@pytest.mark.parametrize("takes", [0.002, 0.01, 0.05])
@pytest.mark.parametrize("hints", [True, False])
def test_a_thousand_changes_in_a_second_are_held_a_moment_after_the_last(takes: float, hints: bool) -> None:
    primary = Primary([0.001] * 999, takes, hints=hints)
    assert primary.held_after <= 0.2
    assert primary.checks <= 1 / SHORTEST_REST + 1 + 2 * LOOKS


@pytest.mark.parametrize(("gap", "changes"), [(0.0005, 1000), (0.001, 1000), (0.005, 200), (0.02, 50)])
def test_also_where_the_primary_holds_its_notifies_back_for_five_seconds(gap: float, changes: int) -> None:
    """As BIND does: one NOTIFY, then silence. It is looked at again after half a second, and while that pays."""
    primary = Primary([gap] * (changes - 1), 0.005, delay=5.0)
    assert primary.held_after <= NOTIFY_SPACING + 0.1
    told = [check for _, check in primary.zone.began if check.reason is Trigger.NOTIFY]
    assert len(told) == 1


@pytest.mark.parametrize("gap", [0.01, 0.06, 0.2, 0.45, 0.7, 3.0])
@pytest.mark.parametrize("hints", [True, False])
def test_a_change_now_and_then_costs_one_check_and_one_look_each_at_most(gap: float, hints: bool) -> None:
    primary = Primary([gap] * 20, 0.01, hints=hints)
    assert primary.checks <= 2 * 21
