"""The refresh machine over all states and all events, and over random histories: what holds whatever happens."""

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.refreshing import BROKEN, FAILED, DrivenZone, checks, transferred

from nameserver.refresh.machine import (
    LOOKS,
    NEXT_STATE,
    NOTIFY_SPACING,
    SHORTEST_REST,
    Action,
    Check,
    Event,
    Expire,
    Revive,
    State,
    StateChanged,
    Trigger,
)
from nameserver.refresh.outcome import LowerSerial, Outcome, UpToDate
from nameserver.refresh.timers import TimerLimits

LIMITS = TimerLimits(min_refresh=1, min_retry=1, min_expire=1, max_refresh=1000, max_retry=1000, max_expire=5000)
SERIALS = st.sampled_from([0, 1, 2, 5, 2**31 - 1, 2**31, 2**32 - 1])
TIMES = st.sampled_from([0, 1, 7, 60, 900, 2**31 - 1, 2**32 - 1])
OPTIONS = st.none() | TIMES
SPANS = st.sampled_from([0.0, 0.01, 0.5, 1.0, 30.0, 600.0, 10_000.0])


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_state_has_a_row_and_every_state_can_be_reached_and_left() -> None:
    assert set(NEXT_STATE) == set(State)
    reached = {after for before, row in NEXT_STATE.items() for after in row.values() if after is not before}
    assert reached == set(State) - {State.NEVER_TRANSFERRED}
    assert all(any(after is not state for after in row.values()) for state, row in NEXT_STATE.items())


@pytest.mark.parametrize("state", State)
def test_the_expire_timer_leads_to_expired_from_every_state(state: State) -> None:
    assert NEXT_STATE[state][Event.EXPIRY] is State.EXPIRED


@pytest.mark.parametrize("state", [state for state in State if state is not State.SERVING])
def test_a_transfer_makes_every_zone_serving_and_a_failure_none(state: State) -> None:
    assert NEXT_STATE[state][Event.TRANSFERRED] is State.SERVING
    assert NEXT_STATE[state][Event.FAILED] in (state, State.RETRYING)


# --- all states, all events -----------------------------------------------------------------------------------------


def in_state(state: State, checking: bool) -> DrivenZone:
    """A zone that got into this state by events, with a check under way or not."""
    zone = DrivenZone(LIMITS) if state is State.NEVER_TRANSFERRED else DrivenZone.serving(5, limits=LIMITS)
    if state is State.NEVER_TRANSFERRED:
        zone.start()
        zone.finish(FAILED)
    elif state is State.SERIAL_BACKWARDS:
        zone.to_next_check()
        zone.finish(LowerSerial(4))
    elif state in (State.RETRYING, State.EXPIRED):
        zone.let_fail_until(state)
    if checking:
        zone.to_next_check()
    assert (zone.state, zone.checking) == (state, checking)
    zone.forget()
    return zone


STANDING = [
    (state, checking)
    for state in State
    for checking in (False, True)
    if (state, checking) not in ((State.SERVING, True), (State.REFRESHING, False))
]
OUTCOMES: list[Outcome] = [
    UpToDate(5),
    UpToDate(5, 0),
    UpToDate(5, None, FAILED),
    transferred(6),
    transferred(6, 0),
    LowerSerial(4),
    FAILED,
    BROKEN,
]
EVENTS = {
    "notify": lambda zone: zone.notify(),
    "notify of ours": lambda zone: zone.notify(serial=5),
    "notify of newer": lambda zone: zone.notify(serial=6),
    "refresh": lambda zone: zone.refresh(),
    "retransfer": lambda zone: zone.retransfer(),
    "tick": lambda zone: zone.tick(),
    "late tick": lambda zone: zone.advance(10**6) if zone.checking else zone.to_deadline(),
    "primary back": lambda zone: zone.primary_back(),
    "reconfigure": lambda zone: zone.reconfigure(TimerLimits()),
    "start": lambda zone: zone.start(),
    **{
        f"finished: {number} {outcome}": lambda zone, outcome=outcome: zone.finish(outcome)
        for number, outcome in enumerate(OUTCOMES)
    },
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(("state", "checking"), STANDING)
def test_every_event_in_every_state_leaves_the_machine_sound(state: State, checking: bool, event: str) -> None:
    zone = in_state(state, checking)
    held = zone.machine.serial
    if event.startswith("finished"):
        outcome = OUTCOMES[int(event.split()[1])]
        impossible = not checking or (held is None and isinstance(outcome, UpToDate | LowerSerial))
        if impossible:
            with pytest.raises(ValueError, match=r"no check is under way|no version is held"):
                EVENTS[event](zone)
            assert (zone.state, zone.checking, zone.machine.serial) == (state, checking, held)
            return
        checking = False
    actions = EVENTS[event](zone)
    check_actions(state, actions, zone)
    begun = len(checks(actions))
    assert begun <= (0 if checking else 1)
    assert zone.checking == (checking or begun == 1)
    check_deadlines(zone)
    assert zone.machine.serial == (6 if event.startswith("finished") and "Transferred" in event else held)


def check_actions(before: State, actions: list[Action], zone: DrivenZone) -> None:
    """State changes join up, and Expire and Revive accompany exactly those that enter and leave `expired`."""
    expected: list[type[Action]] = []
    for action in actions:
        if isinstance(action, StateChanged):
            assert action.old is before
            assert action.new is not before
            before = action.new
            if before is State.EXPIRED:
                expected.append(Expire)
            elif action.old is State.EXPIRED:
                expected.append(Revive)
    assert before is zone.state
    assert [type(action) for action in actions if isinstance(action, Expire | Revive)] == expected


def check_deadlines(zone: DrivenZone) -> None:
    """Without a check under way there is a next one; a zone that is answered from has a time to expire."""
    snapshot = zone.machine.snapshot()
    assert (snapshot.next_refresh is None) == snapshot.checking
    deadline = zone.machine.next_deadline()
    if zone.state in (State.NEVER_TRANSFERRED, State.EXPIRED):
        assert deadline == snapshot.next_refresh
    else:
        assert snapshot.expires_at is not None
        assert snapshot.expires_at > zone.now
        assert deadline is not None
        assert deadline <= snapshot.expires_at


# --- random histories ------------------------------------------------------------------------------------------------


class Histories(RuleBasedStateMachine):
    """Random events with random times between them, against a model of what must be so."""

    def __init__(self) -> None:
        super().__init__()
        self.line = self.longest_line = 0.0  # seconds that what a timer starts has to wait for its turn
        self.zone = DrivenZone(LIMITS, random=0.5, turn=lambda now: now + self.line)
        self.answering = False  # by the actions alone
        self.outstanding = 0
        self.asked_for = False  # an order or a NOTIFY that needs a check begun after it
        self.notify_checks: list[float] = []
        self.brought: list[float] = []  # when a check ended that brought another version
        self.looks = 0
        self.follow(self.zone.start())

    def follow(self, actions: list[Action]) -> None:
        """What a shell would do with the actions, and what must hold for each."""
        for action in actions:
            if isinstance(action, Expire):
                assert self.answering
                self.answering = False
            elif isinstance(action, Revive):
                assert not self.answering
                self.answering = True
            elif isinstance(action, Check):
                self.outstanding += 1
                assert self.outstanding == 1
                assert action.accept_lower != self.answering
                assert action.force == (action.reason is Trigger.RETRANSFER)
                self.asked_for = False
                if action.reason is Trigger.NOTIFY:
                    self.notify_checks.append(self.zone.now)
                self.looks += action.reason is Trigger.FOLLOW
            elif action.old is State.NEVER_TRANSFERRED:
                self.answering = True

    def finish(self, outcome: Outcome) -> None:
        self.outstanding = 0
        self.follow(self.zone.finish(outcome))

    @rule(span=SPANS)
    def time_passes(self, span: float) -> None:
        until = self.zone.now + span
        while (deadline := self.zone.machine.next_deadline()) is not None and deadline <= until:
            self.follow(self.zone.to_deadline())
        self.zone.now = until

    @rule(span=SPANS)
    def time_passes_unnoticed(self, span: float) -> None:
        self.zone.now += span
        self.follow(self.zone.tick())

    @rule(source=st.sampled_from(["192.0.2.1", "192.0.2.2"]), hint=st.none() | SERIALS)
    def notify(self, source: str, hint: int | None) -> None:
        # an expiry that nobody has looked at yet counts: every event looks first
        self.follow(self.zone.tick())
        self.asked_for |= hint is None
        self.follow(self.zone.notify(source, hint))

    @rule(hard=st.booleans())
    def order(self, hard: bool) -> None:
        self.asked_for = True
        self.follow(self.zone.retransfer() if hard else self.zone.refresh())

    @rule()
    def primary_back(self) -> None:
        """One check at most, when it is its turn, and none for a zone that has no trouble."""
        self.follow(self.zone.tick())
        troubled, waiting = self.zone.machine.snapshot().failures > 0, not self.outstanding
        self.follow(self.zone.primary_back())
        if waiting and troubled:
            assert self.outstanding or self.zone.wait <= self.longest_line + 1e-6
        elif waiting:
            assert not self.outstanding

    @rule(line=SPANS)
    def the_line_of_other_zones_is_of_another_length(self, line: float) -> None:
        self.line = line
        self.longest_line = max(self.longest_line, line)

    @rule(limits=st.sampled_from([LIMITS, TimerLimits(), TimerLimits(max_refresh=2, max_retry=2, max_expire=4)]))
    def reconfigure(self, limits: TimerLimits) -> None:
        self.follow(self.zone.reconfigure(limits))

    @precondition(lambda self: self.outstanding)
    @rule(serial=SERIALS, refresh=TIMES, retry=TIMES, expire=TIMES, option=OPTIONS)
    def transfer(self, serial: int, refresh: int, retry: int, expire: int, option: int | None) -> None:
        if serial != self.zone.machine.serial:
            self.brought.append(self.zone.now)
        self.finish(transferred(serial, option, refresh=refresh, retry=retry, expire=expire))
        assert self.zone.machine.serial == serial
        if option is not None and option < expire:  # else it is the SOA's own, and clamped like it
            assert self.zone.life <= option + 1e-6

    @precondition(lambda self: self.outstanding and self.zone.machine.serial is not None)
    @rule(option=OPTIONS, missed=st.sampled_from([None, FAILED, BROKEN]))
    def up_to_date(self, option: int | None, missed: None) -> None:
        self.finish(UpToDate(self.zone.machine.serial or 0, option, missed))
        if option is None:
            assert self.answering

    @precondition(lambda self: self.outstanding and self.zone.machine.serial is not None)
    @rule()
    def lower(self) -> None:
        self.finish(LowerSerial((self.zone.machine.serial or 0) - 1 & 0xFFFFFFFF))

    @precondition(lambda self: self.outstanding)
    @rule(failure=st.sampled_from([FAILED, BROKEN]))
    def fail(self, failure: Outcome) -> None:
        life = self.zone.machine.snapshot().expires_at
        self.finish(failure)
        assert self.zone.machine.snapshot().expires_at == life
        assert self.zone.machine.snapshot().failures > 0

    @invariant()
    def answering_is_what_the_state_says(self) -> None:
        assert self.answering == (self.zone.state not in (State.NEVER_TRANSFERRED, State.EXPIRED))
        if self.zone.state is State.REFRESHING:
            assert self.outstanding

    @invariant()
    def one_check_at_most_and_one_planned_otherwise(self) -> None:
        assert self.zone.checking == bool(self.outstanding)
        check_deadlines(self.zone)

    @invariant()
    def what_was_asked_for_is_under_way_or_soon(self) -> None:
        if self.asked_for and not self.outstanding:
            assert self.zone.wait <= 0.5

    @invariant()
    def notify_starts_two_checks_a_second_but_for_those_that_a_new_version_pays_for(self) -> None:
        for earlier, later in pairwise(self.notify_checks):
            paid = any(earlier <= when <= later for when in self.brought)
            assert later - earlier >= (SHORTEST_REST if paid else NOTIFY_SPACING) - 1e-6

    @invariant()
    def looks_end_where_nothing_is_found(self) -> None:
        assert self.looks <= (LOOKS + 1) * len(self.brought)


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestHistories = Histories.TestCase


@pytest.mark.parametrize("outcome", [FAILED, BROKEN, LowerSerial(4)])
def test_a_zone_that_gets_no_good_outcome_always_expires_in_time(outcome: Outcome) -> None:
    zone = DrivenZone.serving(5, refresh=900, retry=60, expire=5000, limits=LIMITS, random=0.7)
    zone.let_fail_until(State.EXPIRED, outcome)
    assert zone.machine.snapshot().expires_at == zone.now


def test_no_outcome_makes_a_busy_loop() -> None:
    """Whatever a primary does, with the smallest SOA there is: never more than one check in the shortest wait."""
    for outcome in OUTCOMES:
        zone = DrivenZone.serving(5, limits=TimerLimits(), refresh=0, retry=0, expire=0)
        start = zone.now
        for _ in range(100):
            zone.to_next_check()
            zone.finish(outcome)
        assert zone.now - start >= 99 * 10
