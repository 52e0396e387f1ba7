"""RFC 7314: the EDNS EXPIRE option, as a secondary of other secondaries honours it."""

import pytest
from support.refreshing import DAY, DrivenZone, serving_changes, transferred

from nameserver.refresh.machine import Expire, State
from nameserver.refresh.outcome import UpToDate
from nameserver.refresh.timers import TimerLimits


def test_section_4_after_a_transfer_a_shorter_option_replaces_the_soa_expire() -> None:
    assert DrivenZone.serving(expire=DAY, option=100).life == 100


@pytest.mark.parametrize("option", [DAY, DAY + 1, 2**32 - 1])
def test_section_4_the_soa_expire_stays_the_maximum_after_a_transfer(option: int) -> None:
    assert DrivenZone.serving(expire=DAY, option=option).life == DAY


@pytest.mark.parametrize("option", [DAY, DAY + 1, 2**32 - 1])
def test_section_4_the_soa_expire_stays_the_maximum_after_a_check(option: int) -> None:
    zone = DrivenZone.serving(expire=DAY)
    zone.to_next_check()
    zone.finish(UpToDate(5, option))
    assert zone.life == DAY


def test_section_3_1_an_origin_s_option_is_the_soa_expire_and_clamped_like_it() -> None:
    """A zone of SOA 1 1 1 1 from a primary that sends EXPIRE 1: `min-expire-time` holds with and without the option."""
    times = {"refresh": 1, "retry": 1, "expire": 1}
    zone = DrivenZone.serving(**times, option=1)
    assert zone.life == DrivenZone.serving(**times).life == 60
    for _ in range(20):
        zone.to_next_check()
        assert serving_changes(zone.finish(UpToDate(5, 1))) == []
        assert zone.life == 60
    assert not any(isinstance(action, Expire) for action in zone.actions)


@pytest.mark.parametrize("option", [0, 99])
def test_section_4_another_secondary_s_option_is_not_lengthened_by_our_limits(option: int) -> None:
    limits = TimerLimits(min_expire=500)
    assert DrivenZone.serving(refresh=30, retry=10, expire=100, option=99, limits=limits).life == 99
    zone = DrivenZone.serving(refresh=30, retry=10, expire=100, limits=limits)
    assert zone.life == 500
    zone.to_next_check()
    zone.finish(UpToDate(5, option))
    assert zone.life == 470


def test_section_4_after_a_check_the_longer_of_option_and_time_left_counts() -> None:
    zone = DrivenZone.serving(expire=DAY)
    zone.to_next_check()  # 3600 s later
    zone.finish(UpToDate(5, 100))
    assert zone.life == DAY - 3600
    zone.to_next_check()
    zone.finish(UpToDate(5, DAY - 50))
    assert zone.life == DAY - 50


def test_a_chain_of_secondaries_does_not_extend_a_zone_s_life() -> None:
    """The upstream secondary lost its primary: its option counts down, and so does our life, whenever we ask."""
    zone = DrivenZone.serving(expire=DAY, option=DAY)
    dies_at = zone.now + DAY
    while zone.state is not State.EXPIRED:
        if zone.checking:
            zone.finish(UpToDate(5, int(dies_at - zone.now)))
        else:
            zone.to_deadline()
    assert zone.now == pytest.approx(dies_at, abs=1)


def test_a_life_shorter_than_refresh_is_asked_about_before_it_ends() -> None:
    """Else a zone whose origin came back would expire here, though everybody is healthy."""
    zone = DrivenZone.serving(refresh=3600, expire=DAY, option=100)
    assert zone.wait == 50
    zone.to_next_check()
    zone.finish(UpToDate(5, DAY))
    assert zone.life == DAY
    assert zone.wait == 3600


def test_a_tiny_option_does_not_make_a_busy_loop() -> None:
    zone = DrivenZone.serving(refresh=3600, expire=DAY, option=1)
    start = zone.now
    for _ in range(50):
        zone.to_next_check()
        zone.finish(UpToDate(5, 1))
    assert zone.now - start >= 50 * 10


def test_an_option_of_zero_with_a_transfer_expires_the_version_at_once() -> None:
    zone = DrivenZone()
    zone.start()
    actions = zone.finish(transferred(5, 0))
    assert zone.state is State.EXPIRED
    assert serving_changes(actions) == [Expire]
    assert zone.wait == 600


def test_an_option_of_zero_revives_nothing() -> None:
    zone = DrivenZone.expired()
    zone.to_next_check()
    assert serving_changes(zone.finish(UpToDate(5, 0))) == []
    assert zone.state is State.EXPIRED
    assert zone.wait == 600


def test_an_option_of_zero_leaves_a_live_zone_the_time_it_has() -> None:
    zone = DrivenZone.serving(expire=DAY)
    zone.to_next_check()
    zone.finish(UpToDate(5, 0))
    assert zone.state is State.SERVING
    assert zone.life == DAY - 3600
