"""The arithmetic of the SOA timers."""

import pytest
from support.refreshing import DAY, soa

from nameserver.refresh.timers import (
    SHORTEST_WAIT,
    TimerLimits,
    Timers,
    backoff,
    early,
    effective,
    life_after_check,
    life_after_transfer,
)

LIMITS = TimerLimits()
TIMERS = Timers(3600.0, 600.0, 7.0 * DAY)


def test_reasonable_times_are_taken_as_they_are() -> None:
    assert effective(soa(), LIMITS) == Timers(3600, 600, 7 * DAY)


@pytest.mark.parametrize("value", [0, 1, 2**31 - 1, 2**32 - 1])
def test_any_soa_value_comes_out_within_the_limits(value: int) -> None:
    timers = effective(soa(refresh=value, retry=value, expire=value), LIMITS)
    assert LIMITS.min_refresh <= timers.refresh <= LIMITS.max_refresh
    assert LIMITS.min_retry <= timers.retry <= LIMITS.max_retry
    assert timers.refresh + timers.retry <= timers.expire <= LIMITS.max_expire


def test_expire_is_never_below_refresh_and_retry() -> None:
    assert effective(soa(refresh=7200, retry=900, expire=60), LIMITS).expire == 8100


def test_expire_is_never_below_refresh_and_retry_even_above_its_own_limit() -> None:
    assert effective(soa(refresh=7200, retry=900, expire=DAY), TimerLimits(max_expire=100)).expire == 8100


def test_the_configured_minimum_of_expire_holds() -> None:
    assert effective(soa(refresh=30, retry=10, expire=0), TimerLimits(min_expire=500)).expire == 500


def test_limits_of_zero_still_leave_a_wait() -> None:
    nothing = TimerLimits(min_refresh=0, min_retry=0, min_expire=0, jitter=1)
    timers = effective(soa(refresh=0, retry=0, expire=0), nothing)
    assert min(timers) >= SHORTEST_WAIT
    assert early(0, nothing, lambda: 0.999) >= SHORTEST_WAIT


def test_jitter_only_ever_shortens() -> None:
    assert early(1000, LIMITS, lambda: 0.0) == 1000
    assert early(1000, LIMITS, lambda: 0.999999) == pytest.approx(900, abs=0.01)


def test_jitter_takes_at_most_half() -> None:
    assert early(1000, TimerLimits(jitter=5), lambda: 1.0) == 500


def test_backoff_doubles_from_the_second_failure_on_up_to_its_cap() -> None:
    assert [backoff(10, failures, 100) for failures in range(7)] == [10, 10, 20, 40, 80, 100, 100]


def test_backoff_survives_a_year_of_failures() -> None:
    assert backoff(10, 10**6, 3600) == 3600


def test_backoff_never_goes_below_its_first_wait() -> None:
    assert backoff(600, 3, 60) == 600


def test_the_life_of_a_transfer_is_the_soa_expire_without_the_option() -> None:
    assert life_after_transfer(soa(), TIMERS, None) == TIMERS.expire


@pytest.mark.parametrize(("option", "life"), [(99, 99), (100, 500), (101, 500), (2**32 - 1, 500)])
def test_an_option_not_below_the_soa_s_own_expire_gives_the_clamped_expire(option: int, life: int) -> None:
    timers = Timers(30, 10, 500)
    assert life_after_transfer(soa(expire=100), timers, option) == life
    assert life_after_check(soa(expire=100), timers, option, left=0) == life


def test_an_option_never_gives_more_than_the_clamped_expire() -> None:
    timers = Timers(30, 10, 500)
    for option in (501, 999, 1000):
        assert life_after_transfer(soa(expire=1000), timers, option) == 500
        assert life_after_check(soa(expire=1000), timers, option, left=700) == 500


def test_the_life_after_a_check_is_the_soa_expire_without_the_option() -> None:
    assert life_after_check(soa(), TIMERS, None, left=17) == TIMERS.expire
