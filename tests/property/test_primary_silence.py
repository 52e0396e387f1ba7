"""Silent primaries: over random histories of askers and ways, and over random outages with real refresh machines."""

import heapq
from collections.abc import Callable
from itertools import count, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.refreshing import DrivenZone

from nameserver.errors import Reason
from nameserver.refresh.machine import State
from nameserver.refresh.outcome import UpToDate
from nameserver.refresh.plan import PrimaryPlan, RefreshRun
from nameserver.refresh.silence import Silence, Silences
from nameserver.refresh.timers import TimerLimits

PATIENCE = 60.0
WAYS, ASKERS = st.sampled_from(["a", "b"]), st.sampled_from(range(5))
SPANS = st.sampled_from([0.0, 0.5, 5.0, 15.0, 59.0, 61.0])
SILENT = st.sampled_from([Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.IDLE_TIMEOUT])


class Histories(RuleBasedStateMachine):
    """Random exchanges against a model: what was asked, what failed last, what was heard last."""

    def __init__(self) -> None:
        super().__init__()
        self.silences: Silences[str, int] = Silences(PATIENCE)
        self.now = 0.0
        self.under_way: dict[tuple[str, int], tuple[float, bool]] = {}  # → since when; whether as the one who tries
        self.failed_at: dict[str, float] = {}
        self.heard_at: dict[str, float] = {}
        self.owed: dict[str, set[int]] = {"a": set(), "b": set()}  # passed over, and not named or through since

    @rule(span=SPANS)
    def time_passes(self, span: float) -> None:
        self.now += span

    @rule(way=WAYS, asker=ASKERS)
    def enter(self, way: str, asker: int) -> None:
        if (way, asker) in self.under_way:
            return
        silent = self.silences.of(way, self.now) is not None
        trying = any(mine for (other, _), (_, mine) in self.under_way.items() if other == way)
        known = self.silences.enter(way, asker, self.now)
        if known is None:
            assert not (silent and trying), "one at a time"
            self.under_way[way, asker] = (self.now, silent)
        else:
            assert silent and trying, "nobody is passed over for nothing"
            self.owed[way].add(asker)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), reason=SILENT | st.none(), answered=st.booleans())
    def leave(self, data: st.DataObject, reason: Reason | None, answered: bool) -> None:
        way, asker = data.draw(st.sampled_from(sorted(self.under_way)))
        since, _ = self.under_way.pop((way, asker))
        if answered:
            named = self.silences.answered(way, asker, self.now)
            assert named >= self.owed[way] - {asker}, "whoever was passed over is run again"
            self.owed[way].clear()
            self.heard(way)
            # Whoever was let in alone while it was silent need not be alone in the next silence.
            self.under_way = {key: (since, mine and key[0] != way) for key, (since, mine) in self.under_way.items()}
            assert self.silences.of(way, self.now) is None
        elif reason is not None:
            self.owed[way].discard(asker)
            self.silences.failed(way, asker, Silence(reason, "", since), self.now)
            if self.heard_at.get(way, since) <= since:
                self.failed_at[way] = self.now
        self.silences.left(way, asker)

    @rule(way=WAYS)
    def forget(self, way: str) -> None:
        self.silences.forget([way], self.now)
        self.heard(way)

    def heard(self, way: str) -> None:
        self.heard_at[way] = self.now
        self.failed_at.pop(way, None)

    @invariant()
    def silent_is_what_failed_lately_and_was_not_heard_since(self) -> None:
        for way in ("a", "b"):
            failed = self.failed_at.get(way)
            expected = failed is not None and self.now < failed + PATIENCE
            assert (self.silences.of(way, self.now) is not None) == expected


Histories.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestHistories = Histories.TestCase


# --- outages, with machines -------------------------------------------------------------------------------------------

TAKES = {True: 0.05, False: 11.0}  # seconds of one run with one primary, by whether that answers
LIMITS = TimerLimits(min_refresh=30, min_retry=10)
START = DrivenZone().now


class Outage:
    """Some zones of one primary that is away for a while, under a clock of the test's own."""

    def __init__(self, retries: list[int], away: tuple[float, float], seeds: list[float]) -> None:
        self.away = away
        self.silences: Silences[str, int] = Silences(PATIENCE)
        self.zones = [
            DrivenZone.serving(5, limits=LIMITS, random=seed, refresh=60, retry=retry, expire=10**6)
            for retry, seed in zip(retries, seeds, strict=True)
        ]
        self.now = START
        self.asked: list[tuple[float, int, bool]] = []  # when, for which zone, and whether it was answered
        self.good: dict[int, list[float]] = {number: [] for number in range(len(retries))}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        for number, zone in enumerate(self.zones):
            zone.began.clear()
            self._arm(number)

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    def _zone(self, number: int) -> DrivenZone:
        zone = self.zones[number]
        zone.now = self.now
        return zone

    def _arm(self, number: int) -> None:
        deadline = self.zones[number].machine.next_deadline()
        if deadline is not None:
            self._at(max(self.now, deadline), lambda: self._tick(number))

    def _tick(self, number: int) -> None:
        self._acted(number, self._zone(number).tick())

    def _acted(self, number: int, actions: list[object]) -> None:
        if any(type(action).__name__ == "Check" for action in actions):
            self._begin(number)
        else:
            self._arm(number)

    def _begin(self, number: int) -> None:
        plan = RefreshRun([PrimaryPlan("p")], 5)
        known = self.silences.enter("p", number, self.now)
        if known is not None:
            while plan.step is not None:
                plan.failed(known.reason, known.detail, asked=False)
            self._at(self.now, lambda: self._finish(number, plan))
            return
        began = self.now
        # dead when the question arrives
        answers = not self.away[0] <= began < self.away[1]
        self._at(began + TAKES[answers], lambda: self._ended(number, plan, began, answers))

    def _ended(self, number: int, plan: RefreshRun, began: float, answers: bool) -> None:
        self.asked.append((began, number, answers))
        if answers:
            back = self.silences.answered("p", number, self.now)
            plan.soa_answered(5)
        else:
            back = frozenset()
            self.silences.failed("p", number, Silence(Reason.CONNECT_TIMEOUT, "", began), self.now)
            while plan.step is not None:
                plan.failed(Reason.CONNECT_TIMEOUT)
        self.silences.left("p", number)
        self._finish(number, plan)
        for other in back:
            self._acted(other, self._zone(other).machine.primary_back(self.now))

    def _finish(self, number: int, plan: RefreshRun) -> None:
        assert plan.outcome is not None
        if isinstance(plan.outcome, UpToDate):
            self.good[number].append(self.now)
        self._acted(number, self._zone(number).finish(plan.outcome))


@settings(max_examples=60, deadline=None)
@given(
    retries=st.lists(st.integers(10, 900), min_size=1, max_size=30),
    begins=st.floats(0, 200),
    length=st.floats(0, 3000),
    data=st.data(),
)
def test_once_a_primary_is_back_no_zone_waits_longer_than_for_its_own_retry(
    retries: list[int], begins: float, length: float, data: st.DataObject
) -> None:
    """Nor than for its refresh, where it had not noticed. Once one gets through, so do all that had failed before."""
    seeds = data.draw(st.lists(st.floats(0, 0.99), min_size=len(retries), max_size=len(retries)))
    back = START + begins + length
    outage = Outage(retries, (START + begins, back), seeds)
    outage.run(back + max(60, *retries) + 1 + TAKES[False])
    first = min(when for each in outage.good.values() for when in each if when >= back)
    for number, retry in enumerate(retries):
        through = next(when for when in outage.good[number] if when >= back)
        assert through <= back + max(retry, 60) + TAKES[False] + TAKES[True]
        # who had set out before, and came to nothing after, is on its own
        late = any(
            when <= first <= when + TAKES[False]
            for when, whose, answered in outage.asked
            if whose == number and not answered
        )
        assert late or through <= first + 60 + TAKES[True]
    assert all(zone.state in (State.SERVING, State.REFRESHING) for zone in outage.zones)


@settings(max_examples=30, deadline=None)
@given(zones=st.integers(2, 20), retry=st.integers(10, 40), data=st.data())
def test_while_a_primary_is_away_one_zone_at_a_time_asks_it(zones: int, retry: int, data: st.DataObject) -> None:
    seeds = data.draw(st.lists(st.floats(0, 0.99), min_size=zones, max_size=zones))
    outage = Outage([retry] * zones, (START, START + 1e9), seeds)
    outage.run(START + 600.0)
    times = sorted(when for when, _, _ in outage.asked)
    assert not any(answered for _, _, answered in outage.asked)
    # before the first one's time was up nobody knew
    later = [when for when in times if when >= times[0] + TAKES[False]]
    for earlier, when in pairwise(later):
        assert when - earlier >= TAKES[False] - 1e-6
    assert all(zone.state is State.RETRYING for zone in outage.zones)
