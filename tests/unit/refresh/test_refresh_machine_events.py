"""The refresh machine, event by event: what starts a check, what a zone's state is, what is done about it."""

from itertools import pairwise

import pytest
from support.refreshing import (
    BROKEN,
    DAY,
    FAILED,
    DrivenZone,
    checks,
    serving_changes,
    soa,
    transferred,
)

from nameserver.errors import Reason
from nameserver.refresh.machine import (
    MAX_FIRST_LOAD_WAIT,
    MAX_NOTIFY_SOURCES,
    NOTIFY_SPACING,
    SHORTEST_REST,
    Check,
    Expire,
    Revive,
    State,
    StateChanged,
    Trigger,
)
from nameserver.refresh.outcome import Failed, LowerSerial, Outcome, UpToDate
from nameserver.refresh.timers import TimerLimits

# --- starting --------------------------------------------------------------------------------------------------------


def test_a_machine_that_was_not_started_waits_for_nothing() -> None:
    zone = DrivenZone()
    assert zone.machine.next_deadline() is None
    assert zone.tick() == []
    assert zone.reconfigure(TimerLimits()) == []


def test_a_new_zone_is_fetched_at_once() -> None:
    assert DrivenZone().start() == [Check(Trigger.BOOTSTRAP, accept_lower=True)]


def test_starting_twice_makes_one_check() -> None:
    zone = DrivenZone()
    zone.start()
    assert zone.start() == []


def test_the_first_transfer_makes_the_zone_serving() -> None:
    zone = DrivenZone()
    zone.start()
    assert zone.finish(transferred(5)) == [StateChanged(State.NEVER_TRANSFERRED, State.SERVING)]
    assert zone.machine.serial == 5


def test_a_zone_we_never_had_is_tried_again_with_growing_waits_up_to_an_hour() -> None:
    zone = DrivenZone()
    zone.start()
    waits = []
    for _ in range(12):
        zone.finish(FAILED)
        waits.append(zone.wait)
        assert zone.to_next_check().reason is Trigger.BOOTSTRAP
    assert waits[:4] == [10, 20, 40, 80]
    assert waits[-1] == MAX_FIRST_LOAD_WAIT
    assert zone.state is State.NEVER_TRANSFERRED


def test_the_configured_longest_retry_bounds_the_wait_for_the_first_load() -> None:
    zone = DrivenZone(TimerLimits(max_retry=25))
    zone.start()
    for _ in range(5):
        zone.finish(FAILED)
        zone.to_next_check()
    zone.finish(FAILED)
    assert zone.wait == 25


def test_a_restored_zone_serves_and_is_checked_at_once() -> None:
    zone = DrivenZone()
    assert zone.restore(5, expires_in=1000) == [
        StateChanged(State.NEVER_TRANSFERRED, State.SERVING),
        StateChanged(State.SERVING, State.REFRESHING),
        Check(Trigger.REFRESH),
    ]
    assert zone.life == 1000


@pytest.mark.parametrize("expires_in", [0.0, -8 * 30 * DAY])
def test_a_zone_restored_too_late_is_expired_and_takes_any_serial(expires_in: float) -> None:
    zone = DrivenZone()
    assert zone.restore(5, expires_in) == [
        StateChanged(State.NEVER_TRANSFERRED, State.EXPIRED),
        Expire(),
        Check(Trigger.RETRY, accept_lower=True),
    ]


def test_a_stored_life_beyond_the_soa_s_own_is_cut() -> None:
    """A clock set back while we were down must not make a zone live longer than its SOA says."""
    zone = DrivenZone()
    zone.restore(5, 1000 * DAY, expire=DAY)
    assert zone.life == DAY


def test_a_started_machine_cannot_be_restored() -> None:
    zone = DrivenZone()
    zone.start()
    with pytest.raises(ValueError, match=r"example\.com is already started"):
        zone.restore(5, DAY)
    with pytest.raises(ValueError, match="already started"):
        DrivenZone.serving().restore(5, DAY)


def test_a_restored_machine_knows_what_it_was_told_of_the_past() -> None:
    zone = DrivenZone()
    zone.machine.restore(5, soa(), DAY, zone.now, last_success=zone.now - 10, last_change=zone.now - 20)
    snapshot = zone.machine.snapshot()
    assert (snapshot.last_success, snapshot.last_change) == (zone.now - 10, zone.now - 20)


# --- reports that cannot be ------------------------------------------------------------------------------------------


def test_an_outcome_without_a_check_is_refused() -> None:
    zone = DrivenZone.serving()
    with pytest.raises(ValueError, match="no check is under way"):
        zone.finish(UpToDate(5))


@pytest.mark.parametrize("outcome", [UpToDate(5), LowerSerial(5)])
def test_an_outcome_that_compares_with_nothing_is_refused_and_changes_nothing(
    outcome: UpToDate | LowerSerial,
) -> None:
    zone = DrivenZone()
    zone.start()
    with pytest.raises(ValueError, match="no version is held"):
        zone.finish(outcome)
    assert zone.checking


# --- states ----------------------------------------------------------------------------------------------------------


def test_a_healthy_zone_shows_refreshing_while_it_is_checked() -> None:
    zone = DrivenZone.serving()
    zone.to_next_check()
    assert zone.state is State.REFRESHING
    assert zone.finish(UpToDate(5)) == [StateChanged(State.REFRESHING, State.SERVING)]


def test_a_zone_in_trouble_keeps_its_state_while_it_is_checked() -> None:
    zone = DrivenZone.serving()
    zone.let_fail_until(State.RETRYING)
    zone.to_next_check()
    assert zone.state is State.RETRYING
    assert zone.finish(FAILED) == []


def test_any_good_outcome_ends_the_trouble() -> None:
    zone = DrivenZone.serving()
    zone.let_fail_until(State.RETRYING)
    zone.to_next_check()
    zone.finish(UpToDate(5))
    assert zone.state is State.SERVING
    snapshot = zone.machine.snapshot()
    assert (snapshot.failures, snapshot.last_reason, snapshot.last_detail) == (0, None, "")


def test_the_snapshot_tells_what_went_wrong_last() -> None:
    zone = DrivenZone.serving()
    good = zone.now
    for _ in range(3):
        zone.to_next_check()
        zone.finish(FAILED)
    snapshot = zone.machine.snapshot()
    assert (snapshot.failures, snapshot.last_reason, snapshot.last_detail) == (3, FAILED.reason, FAILED.detail)
    assert (snapshot.last_success, snapshot.last_change, snapshot.serial) == (good, good, 5)


def test_a_check_moves_the_last_success_and_a_transfer_the_last_change_too() -> None:
    zone = DrivenZone.serving()
    loaded = zone.now
    zone.to_next_check()
    zone.finish(UpToDate(5))
    snapshot = zone.machine.snapshot()
    assert (snapshot.last_success, snapshot.last_change) == (zone.now, loaded)
    zone.to_next_check()
    zone.finish(transferred(6))
    snapshot = zone.machine.snapshot()
    assert (snapshot.last_success, snapshot.last_change, snapshot.primary_serial) == (zone.now, zone.now, 6)


# --- failures --------------------------------------------------------------------------------------------------------


def test_a_zone_that_breaks_rules_is_retried_ever_more_slowly_up_to_a_quarter_of_expire() -> None:
    zone = DrivenZone.serving(refresh=3600, retry=600, expire=DAY)
    waits = []
    for _ in range(8):
        zone.to_next_check()
        zone.finish(BROKEN)
        waits.append(zone.wait)
    assert waits == [600, 1200, 2400, 4800, 9600, 19200, DAY / 4, DAY / 4]


def test_another_kind_of_failure_ends_the_back_off() -> None:
    zone = DrivenZone.serving(retry=600)
    for outcome in (BROKEN, BROKEN, FAILED):
        zone.to_next_check()
        zone.finish(outcome)
    assert zone.wait == 600


def test_at_expiry_a_backed_off_zone_goes_back_to_its_retry_timer() -> None:
    zone = DrivenZone.serving(refresh=3600, retry=600, expire=40 * DAY)
    zone.let_fail_until(State.EXPIRED, BROKEN)
    assert zone.wait == 600
    zone.to_next_check()
    zone.finish(BROKEN)
    assert zone.wait == 600


def test_up_to_date_with_a_newer_version_missed_lives_on_and_tries_again_soon() -> None:
    zone = DrivenZone.serving(refresh=3600, retry=600, expire=DAY)
    zone.to_next_check()
    zone.finish(UpToDate(5, missed=FAILED))
    assert zone.state is State.RETRYING
    assert (zone.wait, zone.life) == (600, DAY)
    assert zone.machine.snapshot().last_reason is FAILED.reason


def test_up_to_date_with_a_newer_version_missed_revives_an_expired_zone() -> None:
    zone = DrivenZone.expired()
    zone.to_next_check()
    assert serving_changes(zone.finish(UpToDate(5, missed=FAILED))) == [Revive]
    assert zone.state is State.RETRYING


# --- lower serials ---------------------------------------------------------------------------------------------------


def test_a_lower_serial_has_its_own_state_and_the_zone_stays_live() -> None:
    zone = DrivenZone.serving(7, retry=600)
    life = zone.life
    zone.to_next_check()
    zone.finish(LowerSerial(5))
    assert zone.state is State.SERIAL_BACKWARDS
    assert zone.wait == 600
    assert zone.life == life - 3600  # not a good check: the expire timer runs on
    assert serving_changes(zone.actions) == []
    snapshot = zone.machine.snapshot()
    assert (snapshot.last_reason, snapshot.primary_serial, snapshot.serial) == (Reason.SERIAL_BACKWARDS, 5, 7)
    assert snapshot.last_detail == "the primary holds 5, we hold 7"


def test_a_serial_half_the_circle_away_is_called_undefined() -> None:
    zone = DrivenZone.serving(1)
    zone.to_next_check()
    zone.finish(LowerSerial(1 + 2**31))
    assert zone.state is State.SERIAL_BACKWARDS
    assert zone.machine.snapshot().last_reason is Reason.SERIAL_UNDEFINED


def test_a_lower_serial_is_refused_until_the_zone_expires_and_then_taken() -> None:
    zone = DrivenZone.serving(7, expire=DAY)
    good = zone.now
    while zone.state is not State.EXPIRED:
        if zone.checking:
            assert not zone.began[-1][1].accept_lower
            zone.finish(LowerSerial(5))
        else:
            zone.to_deadline()
    assert zone.now == good + DAY
    if not zone.checking:
        zone.to_next_check()
    assert zone.began[-1][1].accept_lower
    assert serving_changes(zone.finish(transferred(5))) == [Revive]
    assert (zone.machine.serial, zone.state) == (5, State.SERVING)


def test_a_lower_serial_is_taken_on_retransfer() -> None:
    zone = DrivenZone.serving(7)
    assert checks(zone.retransfer()) == [Check(Trigger.RETRANSFER, force=True)]
    zone.finish(transferred(5))
    assert zone.machine.serial == 5


def test_a_zone_that_expires_during_the_check_that_finds_a_lower_serial_is_checked_again_at_once() -> None:
    zone = DrivenZone.serving(7, expire=DAY)
    zone.to_next_check()
    zone.advance(2 * DAY)
    assert zone.finish(LowerSerial(5)) == [Check(Trigger.RETRY, accept_lower=True)]
    zone.finish(LowerSerial(5))
    assert not zone.checking
    assert zone.wait == 600


def test_the_zone_recovers_when_the_primary_s_serial_passes_ours() -> None:
    zone = DrivenZone.serving(7)
    zone.to_next_check()
    zone.finish(LowerSerial(5))
    zone.to_next_check()
    zone.finish(transferred(8))
    assert zone.state is State.SERVING


def test_a_primary_that_cannot_be_reached_is_not_called_backwards() -> None:
    zone = DrivenZone.serving(7)
    zone.to_next_check()
    zone.finish(LowerSerial(5))
    zone.to_next_check()
    zone.finish(FAILED)
    assert zone.state is State.RETRYING


# --- NOTIFY ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hint", [None, 5 + 2**31])
def test_a_notify_without_hint_or_with_one_that_is_in_no_order_starts_a_check_at_its_sender(hint: int | None) -> None:
    zone = DrivenZone.serving(5)
    assert checks(zone.notify("192.0.2.7", hint)) == [Check(Trigger.NOTIFY, first=("192.0.2.7",))]


@pytest.mark.parametrize("hint", [6, 5 + 2**31 - 1])
def test_a_notify_with_a_newer_serial_starts_a_check_at_its_sender_that_knows_of_it(hint: int) -> None:
    zone = DrivenZone.serving(5)
    check = Check(Trigger.NOTIFY, first=("192.0.2.7",), hints=(("192.0.2.7", hint),))
    assert checks(zone.notify("192.0.2.7", hint)) == [check]


@pytest.mark.parametrize("hint", [5, 4, 5 + 2**31 + 1])
def test_a_notify_of_a_serial_we_hold_or_are_past_starts_none(hint: int) -> None:
    zone = DrivenZone.serving(5)
    zone.notify(serial=hint)
    assert checks(zone.advance(100)) == []


@pytest.mark.parametrize("hint", [None, 4, 5, 6])
def test_any_notify_has_an_expired_zone_checked_at_once(hint: int | None) -> None:
    zone = DrivenZone.expired(5)
    assert checks(zone.notify("192.0.2.7", hint)) == [Check(Trigger.NOTIFY, first=("192.0.2.7",), accept_lower=True)]


def test_a_notify_cuts_the_wait_of_a_zone_we_never_had() -> None:
    zone = DrivenZone()
    zone.start()
    zone.finish(FAILED)
    assert checks(zone.notify("192.0.2.7", 1)) == [Check(Trigger.NOTIFY, first=("192.0.2.7",), accept_lower=True)]


def test_a_notify_during_a_check_makes_one_more_after_it() -> None:
    zone = DrivenZone.serving(5)
    zone.to_next_check()
    assert zone.notify("192.0.2.7", 6) == []
    check = Check(Trigger.NOTIFY, first=("192.0.2.7",), hints=(("192.0.2.7", 6),))
    assert checks(zone.finish(UpToDate(5))) == [check]
    assert checks(zone.finish(UpToDate(5))) == []


def test_a_notify_that_the_check_under_way_has_satisfied_makes_none() -> None:
    zone = DrivenZone.serving(5)
    zone.to_next_check()
    zone.notify("192.0.2.7", 6)
    assert checks(zone.finish(transferred(6))) == []
    assert checks(zone.advance(100)) == []


def test_notifies_of_two_primaries_during_a_check_are_both_remembered() -> None:
    zone = DrivenZone.serving(5)
    zone.to_next_check()
    zone.notify("192.0.2.1", 6)
    zone.notify("192.0.2.2", 7)
    assert checks(zone.finish(UpToDate(5)))[0].first == ("192.0.2.1", "192.0.2.2")


def test_of_several_hints_of_one_primary_the_newest_counts() -> None:
    zone = DrivenZone.serving(5)
    zone.to_next_check()
    for hint in (7, 6):
        zone.notify("192.0.2.1", hint)
    assert len(checks(zone.finish(transferred(6)))) == 1


def test_a_notify_without_a_hint_outweighs_those_with_one() -> None:
    zone = DrivenZone.serving(5)
    zone.to_next_check()
    for hint in (6, None, 6):
        zone.notify("192.0.2.1", hint)
    assert len(checks(zone.finish(transferred(6)))) == 1


def test_a_burst_makes_one_check_under_way_and_one_after_it() -> None:
    zone = DrivenZone.serving(5)
    for _ in range(10_000):
        zone.notify()
    assert len(zone.began) == 1
    zone.finish(UpToDate(5))
    zone.advance(60)
    assert len(zone.began) == 2


def test_a_storm_starts_at_most_two_checks_a_second() -> None:
    zone = DrivenZone.serving(5)
    start = zone.now
    while zone.now < start + 10:
        zone.notify()
        if zone.checking:
            zone.finish(UpToDate(5))
        zone.advance(1 / 128)
    assert 18 <= len(zone.began) <= 21


def test_senders_beyond_those_remembered_still_cause_the_check() -> None:
    zone = DrivenZone.serving(5)
    zone.to_next_check()
    for number in range(MAX_NOTIFY_SOURCES + 50):
        zone.notify(f"2001:db8::{number:x}", 6)
    check = checks(zone.finish(transferred(6)))
    assert check == [Check(Trigger.NOTIFY)]


def test_the_senders_kept_from_check_to_check_are_bounded() -> None:
    zone = DrivenZone.serving(5)
    zone.to_next_check()
    for batch in range(20):
        for number in range(100):
            zone.notify(f"2001:db8:{batch:x}::{number:x}", 6)
        zone.finish(FAILED)
        if not zone.checking:
            zone.to_next_check()
    assert len(zone.began[-1][1].first) <= 2 * MAX_NOTIFY_SOURCES


def test_a_notify_ahead_of_the_primary_costs_one_check_and_no_loop() -> None:
    """The primary announces 150 and serves 5."""
    zone = DrivenZone.serving(5)
    zone.notify(serial=150)
    zone.finish(UpToDate(5))
    assert checks(zone.advance(3000)) == []
    assert len(zone.began) == 1


def test_a_notify_ahead_repeated_during_its_check_costs_one_more() -> None:
    zone = DrivenZone.serving(5)
    zone.notify(serial=150)
    zone.notify(serial=150)
    zone.finish(UpToDate(5))
    zone.advance(20)
    zone.finish(UpToDate(5))
    assert checks(zone.advance(20)) == []
    assert len(zone.began) == 2


def test_a_failed_check_after_notify_is_repeated_on_the_retry_timer_and_again_at_the_sender() -> None:
    """Not at the next refresh; and not at another primary first, which may not have the news and end the run."""
    zone = DrivenZone.serving(5, refresh=3600, retry=600)
    zone.notify("192.0.2.7", 6)
    zone.finish(FAILED)
    assert zone.wait == 600
    assert zone.to_next_check() == Check(Trigger.RETRY, first=("192.0.2.7",))
    zone.finish(transferred(6))
    assert zone.to_next_check() == Check(Trigger.REFRESH)


def test_a_notify_held_back_goes_along_with_a_check_that_is_due_anyway() -> None:
    zone = DrivenZone.serving(5, limits=TimerLimits(min_retry=0.2), retry=0)
    zone.notify("192.0.2.7", 6)
    zone.finish(FAILED)
    zone.notify("192.0.2.8", 6)
    check = Check(Trigger.RETRY, first=("192.0.2.8", "192.0.2.7"), hints=(("192.0.2.8", 6),))
    assert zone.to_next_check() == check, "the hint of the one that failed is not gone by again"
    zone.finish(transferred(6))
    assert checks(zone.advance(20)) == []


@pytest.mark.parametrize(("takes", "rest"), [(0.0, SHORTEST_REST), (0.1, 0.2), (0.4, 0.5), (3.0, 3.0)])
def test_after_a_check_that_brought_a_version_the_next_may_begin_after_a_rest_as_long_as_it_took(
    takes: float, rest: float
) -> None:
    zone = DrivenZone.serving(5)
    zone.notify(serial=6)
    began = zone.now
    zone.advance(takes)
    zone.finish(transferred(6))
    zone.notify(serial=7)
    if not zone.checking:
        zone.to_next_check()
    assert zone.now - began == pytest.approx(rest)
    assert zone.began[-1][1].reason is Trigger.NOTIFY


@pytest.mark.parametrize("outcome", [UpToDate(5), FAILED, BROKEN, LowerSerial(4)])
def test_after_a_check_that_brought_nothing_the_next_begins_half_a_second_later(outcome: Outcome) -> None:
    zone = DrivenZone.serving(5)
    zone.notify()
    began = zone.now
    zone.finish(outcome)
    zone.notify()
    zone.to_next_check()
    assert zone.now - began == NOTIFY_SPACING


def test_a_retransfer_of_the_version_that_is_held_is_not_news_that_shortens_the_wait() -> None:
    zone = DrivenZone.serving(5)
    zone.notify()
    zone.finish(transferred(5))
    assert checks(zone.notify()) == []
    assert zone.wait == NOTIFY_SPACING


def test_after_a_version_that_notify_brought_the_primary_is_looked_at_again_once() -> None:
    """BIND holds further NOTIFYs of a zone back for five seconds, whatever changes meanwhile."""
    zone = DrivenZone.serving(5)
    zone.notify("192.0.2.7", 6)
    began = zone.now
    zone.finish(transferred(6))
    assert zone.to_next_check() == Check(Trigger.FOLLOW, first=("192.0.2.7",))
    assert zone.now - began == NOTIFY_SPACING
    zone.finish(UpToDate(6))
    assert zone.to_next_check() == Check(Trigger.REFRESH)


def test_looks_that_bring_something_are_followed_by_more_until_two_bring_nothing() -> None:
    zone = DrivenZone.serving(5)
    zone.notify("192.0.2.7", 6)
    zone.finish(transferred(6))
    times = []
    for outcome in (transferred(8), transferred(9), UpToDate(9), UpToDate(9)):
        assert zone.to_next_check() == Check(Trigger.FOLLOW, first=("192.0.2.7",))
        times.append(zone.now)
        zone.finish(outcome)
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == pytest.approx([SHORTEST_REST, SHORTEST_REST, NOTIFY_SPACING])
    assert zone.to_next_check() == Check(Trigger.REFRESH)


def test_a_zone_that_takes_long_is_not_looked_at_without_a_rest() -> None:
    zone = DrivenZone.serving(5)
    zone.notify(serial=6)
    for serial in range(6, 10):
        zone.advance(30)
        zone.finish(transferred(serial))
        ended = zone.now
        assert zone.to_next_check().reason is Trigger.FOLLOW
        assert zone.now - ended == 30


@pytest.mark.parametrize("outcome", [UpToDate(5), transferred(5), FAILED])
def test_a_notify_that_brought_nothing_new_is_not_followed_by_a_look(outcome: Outcome) -> None:
    zone = DrivenZone.serving(5)
    zone.notify(serial=6)
    zone.finish(outcome)
    assert zone.to_next_check().reason is not Trigger.FOLLOW


def test_a_look_that_fails_is_the_last() -> None:
    zone = DrivenZone.serving(5, retry=600)
    zone.notify(serial=6)
    zone.finish(transferred(6))
    zone.to_next_check()
    zone.finish(FAILED)
    assert zone.wait == 600


def test_looks_that_find_nothing_do_not_delay_a_notify() -> None:
    zone = DrivenZone.serving(5)
    zone.notify(serial=6)
    zone.finish(transferred(6))
    zone.to_next_check()
    zone.finish(UpToDate(6))
    check = Check(Trigger.NOTIFY, first=("192.0.2.1",), hints=(("192.0.2.1", 7),))
    assert checks(zone.notify(serial=7)) == [check]


# --- turns -----------------------------------------------------------------------------------------------------------


class Line:
    """Gives turns `wait` seconds from now, and counts how many were asked for."""

    def __init__(self, wait: float) -> None:
        self.wait = wait
        self.asked = 0

    def turn(self, now: float) -> float:
        self.asked += 1
        return now + self.wait


def in_line(wait: float, **times: int) -> tuple[DrivenZone, Line]:
    """A zone that was just loaded and will have to wait so long for each turn."""
    line = Line(wait)
    zone = DrivenZone(turn=line.turn)
    zone.start()
    zone.finish(transferred(5, **times))
    zone.forget()
    return zone, line


def test_what_a_timer_starts_waits_for_its_turn_and_takes_one() -> None:
    zone, line = in_line(7, refresh=3600, retry=600)
    loaded = zone.now
    assert zone.to_next_check() == Check(Trigger.REFRESH)
    assert (zone.now - loaded, line.asked) == (3607, 1)
    zone.finish(FAILED)
    failed = zone.now
    assert zone.to_next_check() == Check(Trigger.RETRY)
    assert (zone.now - failed, line.asked) == (607, 2)


def test_a_restored_version_waits_for_its_turn_and_an_expired_one_does_not() -> None:
    live, expired = DrivenZone(turn=Line(7).turn), DrivenZone(turn=Line(7).turn)
    assert checks(live.restore(5, DAY)) == []
    assert live.wait == 7
    assert checks(expired.restore(5, 0)) == [Check(Trigger.RETRY, accept_lower=True)]


def test_first_loads_notifies_and_orders_take_no_turn() -> None:
    zone, line = in_line(7)
    for event in (zone.notify, zone.refresh, zone.retransfer):
        assert len(checks(event())) == 1
        zone.finish(UpToDate(5))
    assert line.asked == 0


def test_a_notify_goes_before_the_turn_and_makes_it_needless() -> None:
    zone, line = in_line(7, refresh=3600)
    zone.advance(3601)
    assert checks(zone.notify(serial=6))
    zone.finish(UpToDate(5))
    assert zone.wait == 3600
    zone.to_next_check()
    assert line.asked == 2


def test_a_notify_that_is_held_back_does_not_have_to_wait_for_the_turn_of_a_timer() -> None:
    zone, _ = in_line(100, retry=1)
    zone.notify(serial=6)
    zone.finish(FAILED)
    zone.notify(serial=6)
    zone.reconfigure(TimerLimits(min_retry=0.1, max_retry=0.1))  # due, and then in line, before the NOTIFY may go
    assert zone.wait > 0
    zone.advance(0.2)
    assert zone.to_next_check().reason is Trigger.NOTIFY
    assert zone.now - zone.began[0][0] == NOTIFY_SPACING


def test_a_zone_in_line_expires_in_time() -> None:
    zone, _ = in_line(1000, refresh=3600, retry=600, expire=4200)
    life = zone.life
    good = zone.now
    zone.let_fail_until(State.EXPIRED)
    assert zone.now - good == life


def test_waiting_in_line_takes_at_most_half_of_the_life_that_is_left() -> None:
    """However many zones are before it: it must not expire because of us."""
    zone, _ = in_line(10_000, refresh=3600, retry=600, expire=4200)
    loaded = zone.now
    zone.to_next_check()
    assert zone.now - loaded == 3900
    assert zone.state is State.REFRESHING


def test_new_limits_do_not_help_a_zone_past_the_line() -> None:
    zone, line = in_line(50, refresh=3600)
    zone.advance(3601)
    zone.reconfigure(TimerLimits(max_refresh=30, min_refresh=1))
    assert checks(zone.advance(48)) == []
    assert len(checks(zone.advance(2))) == 1
    assert line.asked == 1


# --- operators -------------------------------------------------------------------------------------------------------


def test_an_operator_s_refresh_is_at_once() -> None:
    assert checks(DrivenZone.serving().refresh()) == [Check(Trigger.MANUAL)]


def test_an_operator_s_refresh_of_an_expired_zone_takes_any_serial() -> None:
    assert checks(DrivenZone.expired().refresh()) == [Check(Trigger.MANUAL, accept_lower=True)]


def test_an_order_during_a_check_follows_right_after_it() -> None:
    zone = DrivenZone.serving()
    zone.to_next_check()
    assert zone.refresh() == []
    assert checks(zone.finish(FAILED)) == [Check(Trigger.MANUAL)]


def test_a_waiting_retransfer_is_not_weakened_by_a_refresh() -> None:
    zone = DrivenZone.serving()
    zone.to_next_check()
    zone.retransfer()
    zone.refresh()
    assert checks(zone.finish(FAILED)) == [Check(Trigger.RETRANSFER, force=True)]


def test_an_order_and_a_notify_make_one_check() -> None:
    zone = DrivenZone.serving(5)
    zone.to_next_check()
    zone.notify("192.0.2.7", 6)
    zone.refresh()
    check = Check(Trigger.MANUAL, first=("192.0.2.7",), hints=(("192.0.2.7", 6),))
    assert checks(zone.finish(UpToDate(5))) == [check]
    assert checks(zone.finish(UpToDate(5))) == []


def test_shutting_down_is_a_failure_like_any_other() -> None:
    zone = DrivenZone.serving()
    zone.to_next_check()
    zone.finish(Failed(Reason.SHUTTING_DOWN))
    assert zone.machine.snapshot().last_reason is Reason.SHUTTING_DOWN


# --- a primary that answers again ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.NEVER_TRANSFERRED, State.RETRYING, State.EXPIRED])
def test_a_zone_in_trouble_is_checked_at_once_when_its_primary_answers_again(state: State) -> None:
    zone = DrivenZone() if state is State.NEVER_TRANSFERRED else DrivenZone.serving(5)
    if state is State.NEVER_TRANSFERRED:
        zone.start()
        zone.finish(FAILED)
    else:
        zone.let_fail_until(state)
    assert zone.wait > 0
    assert len(checks(zone.primary_back())) == 1


def test_a_zone_without_trouble_is_not_checked_when_a_primary_answers_again() -> None:
    zone = DrivenZone.serving(5)
    before = zone.wait
    assert checks(zone.primary_back()) == []
    assert zone.wait == before


def test_a_check_that_fails_after_its_primary_came_back_is_followed_by_another_at_once() -> None:
    zone = DrivenZone.serving(5)
    zone.to_next_check()
    assert checks(zone.primary_back()) == []
    assert len(checks(zone.finish(FAILED))) == 1
    assert checks(zone.finish(FAILED)) == [], "once"
    zone.to_next_check()
    zone.primary_back()
    assert checks(zone.finish(UpToDate(5))) == []
