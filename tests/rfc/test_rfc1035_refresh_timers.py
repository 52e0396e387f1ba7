"""RFC 1035 §3.3.13 and RFC 1034 §4.3.5: refresh, retry and expire of the SOA, as a secondary keeps them."""

import pytest
from support.refreshing import DAY, FAILED, DrivenZone, checks, serving_changes, transferred

from nameserver.refresh.machine import Check, Expire, Revive, State, Trigger
from nameserver.refresh.outcome import UpToDate
from nameserver.refresh.timers import TimerLimits


def test_refresh_is_the_time_from_a_good_check_to_the_next() -> None:
    zone = DrivenZone.serving(refresh=3600)
    assert checks(zone.advance(3599)) == []
    assert checks(zone.advance(1)) == [Check(Trigger.REFRESH)]


def test_retry_is_the_time_from_a_failed_check_to_the_next() -> None:
    zone = DrivenZone.serving(refresh=3600, retry=600)
    zone.to_next_check()
    zone.finish(FAILED)
    assert checks(zone.advance(599)) == []
    assert checks(zone.advance(1)) == [Check(Trigger.RETRY)]


def test_the_refresh_interval_counts_from_the_end_of_the_check() -> None:
    zone = DrivenZone.serving(refresh=3600)
    zone.to_next_check()
    zone.advance(100)
    zone.finish(UpToDate(5))
    assert zone.wait == 3600


def test_a_failed_zone_is_retried_for_ever() -> None:
    zone = DrivenZone.serving(refresh=3600, retry=600, expire=DAY)
    for _ in range(1000):
        zone.to_next_check()
        zone.finish(FAILED)
    assert zone.state is State.EXPIRED
    assert zone.wait == 600


def test_the_zone_expires_exactly_expire_seconds_after_the_last_good_check() -> None:
    zone = DrivenZone.serving(refresh=3600, retry=600, expire=DAY)
    good = zone.now
    zone.let_fail_until(State.EXPIRED)
    assert zone.now == good + DAY
    assert serving_changes(zone.actions) == [Expire]


def test_a_good_check_without_a_transfer_starts_expire_anew() -> None:
    """A healthy primary with an unchanged zone: the zone lives for ever."""
    zone = DrivenZone.serving(refresh=3600, expire=DAY)
    for _ in range(100):
        zone.to_next_check()
        zone.finish(UpToDate(5))
    assert zone.life == DAY
    assert serving_changes(zone.actions) == []


def test_the_primary_back_a_second_before_expiry_keeps_the_zone_live() -> None:
    zone = DrivenZone.serving(retry=600, expire=DAY)
    zone.let_fail_until(State.RETRYING)
    zone.advance(zone.life - 1)
    zone.finish(UpToDate(5))
    zone.advance(10)
    assert serving_changes(zone.actions) == []
    assert zone.life == DAY - 10


def test_the_primary_back_a_second_after_expiry_revives_the_zone_at_the_same_serial() -> None:
    zone = DrivenZone.expired(expire=DAY)
    zone.to_next_check()
    assert serving_changes(zone.finish(UpToDate(5))) == [Revive]
    assert zone.state is State.SERVING
    assert zone.life == DAY


def test_expiry_comes_while_a_check_hangs_and_the_check_goes_on() -> None:
    zone = DrivenZone.serving(expire=DAY)
    zone.to_next_check()
    actions = zone.advance(DAY)
    assert serving_changes(actions) == [Expire]
    assert checks(actions) == []
    assert zone.checking
    assert zone.state is State.EXPIRED
    assert serving_changes(zone.finish(transferred(6))) == [Revive]
    assert zone.state is State.SERVING
    assert zone.machine.serial == 6


def test_expiry_is_noticed_by_a_late_outcome_without_a_tick_between() -> None:
    zone = DrivenZone.serving(expire=DAY)
    zone.to_next_check()
    zone.now += 2 * DAY
    assert serving_changes(zone.finish(FAILED)) == [Expire]


def test_expiry_is_noticed_before_a_late_good_outcome() -> None:
    zone = DrivenZone.serving(expire=DAY)
    zone.to_next_check()
    zone.now += 2 * DAY
    assert serving_changes(zone.finish(UpToDate(5))) == [Expire, Revive]


@pytest.mark.parametrize("value", [0, 1, 2**31 - 1, 2**32 - 1])
def test_extreme_soa_values_neither_loop_nor_stop(value: int) -> None:
    zone = DrivenZone.serving(refresh=value, retry=value, expire=value)
    start = zone.now
    for _ in range(20):
        zone.to_next_check()
        zone.finish(UpToDate(5))
    good = zone.now
    for _ in range(20):
        zone.to_next_check()
        zone.finish(FAILED)
    assert 20 * 30 <= good - start <= 20 * 28 * DAY
    assert 20 * 10 <= zone.now - good <= 20 * 28 * DAY
    assert zone.began[0][0] - start >= 30


def test_zones_with_equal_timers_drift_apart() -> None:
    """After one cycle their checks are spread over a tenth of the refresh interval, and none is late."""
    zones = [DrivenZone.serving(refresh=3600, random=number / 1000) for number in range(1000)]
    waits = [zone.wait for zone in zones]
    assert max(waits) == 3600
    assert max(waits) - min(waits) == pytest.approx(360, abs=1)


def test_expire_has_no_jitter() -> None:
    assert DrivenZone.serving(expire=DAY, random=0.9).life == DAY


def test_timers_of_a_new_version_are_those_of_its_own_soa() -> None:
    zone = DrivenZone.serving(refresh=3600, expire=DAY)
    zone.to_next_check()
    zone.finish(transferred(6, refresh=1800, expire=2 * DAY))
    assert (zone.wait, zone.life) == (1800, 2 * DAY)


def test_tighter_limits_shorten_running_timers() -> None:
    zone = DrivenZone.serving(refresh=3600, retry=600, expire=7 * DAY)
    zone.reconfigure(TimerLimits(max_refresh=60, max_retry=30, max_expire=1000))
    assert (zone.wait, zone.life) == (60, 1000)


def test_looser_limits_never_lengthen_running_timers() -> None:
    zone = DrivenZone.serving(refresh=0, retry=0, expire=0)
    wait, life = zone.wait, zone.life
    zone.reconfigure(TimerLimits(min_refresh=7200, min_retry=7200, min_expire=DAY))
    assert (zone.wait, zone.life) == (wait, life)
    zone.to_next_check()
    zone.finish(UpToDate(5))
    assert (zone.wait, zone.life) == (7200, DAY)
