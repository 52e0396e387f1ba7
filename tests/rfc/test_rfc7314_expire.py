"""RFC 7314: the EDNS EXPIRE option, as a secondary of other secondaries honours it and tells it to those below."""

import math

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pipelines import NOW, handle, lines, pipeline_of, question, rcode, served
from support.refreshing import DAY, DrivenZone, serving_changes, transferred

from nameserver.query.acl import Acl, AclRow
from nameserver.query.expire import expire_option
from nameserver.query.zoneset import ServedZone, ZoneState
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


# --- our own replies -------------------------------------------------------------------------------------------------

SOA_EXPIRE = 1_209_600
ZONE = f"@ 60 SOA ns host 7 3600 600 {SOA_EXPIRE} 60\n@ 60 NS ns\nns 60 A 192.0.2.1"
ASKED = dns.edns.GenericOption(9, b"")


def secondary(left: float | None, **rules) -> ServedZone:
    """A zone with so many seconds to live; infinitely many: a primary zone."""
    return served(ZONE, "example.", expires=None if left is None else NOW + left, **rules)


def told(zone: ServedZone, name: str = "example.", rdtype: str = "SOA", *, option=ASKED, **more) -> list[int]:
    """The values of the EXPIRE options in the reply."""
    pipeline = pipeline_of(zone, served(None, "unloaded."))
    outcome = handle(pipeline, question(name, rdtype, edns=1232, options=[option], **more))
    assert outcome.reply is not None
    options = dns.message.from_wire(outcome.reply).options
    return [int.from_bytes(each.data, "big") for each in options if each.otype == 9]


def test_section_3_1_a_primary_zone_is_good_for_the_soa_expire() -> None:
    assert told(secondary(math.inf)) == [SOA_EXPIRE]


@pytest.mark.parametrize(
    ("left", "value"), [(1000, 1000), (1000.99, 1000), (0.4, 0), (-3, 0), (SOA_EXPIRE, SOA_EXPIRE)]
)
def test_section_3_2_a_secondary_zone_is_good_for_what_is_left_of_its_life(left: float, value: int) -> None:
    assert told(secondary(left)) == [value]


def test_section_4_the_soa_expire_is_the_maximum_whatever_our_own_limits_say() -> None:
    assert told(secondary(SOA_EXPIRE * 3)) == [SOA_EXPIRE]


def test_section_2_it_is_told_with_the_soa_of_a_zone_and_to_those_who_ask() -> None:
    zone = secondary(1000)
    assert told(zone, option=dns.edns.GenericOption(9, b"\0\0\0\1")) == []
    assert told(zone, option=dns.edns.GenericOption(3, b"")) == []
    assert told(zone, "ns.example.") == []
    assert told(zone, "example.", "NS") == []
    assert told(zone, "elsewhere.test.") == told(zone, "unloaded.") == []
    assert told(secondary(None)) == []  # not known yet
    assert told(secondary(-1, state=ZoneState.EXPIRED)) == []
    assert told(zone, "eXaMPle.") == [1000]


def test_section_2_it_is_told_with_the_soa_that_answers_ixfr() -> None:
    zone = secondary(1000, allow_transfer=Acl((AclRow(),)))
    pipeline = pipeline_of(zone)
    request = dns.message.make_query("example.", "IXFR", use_edns=0, options=[ASKED])
    for serial in (6, 7):
        request.authority = [dns.rrset.from_text("example.", 60, "IN", "SOA", f". . {serial} 1 1 1 1")]
        reply = dns.message.from_wire(handle(pipeline, request.to_wire()).reply or b"")
        assert rcode(reply) == "NOERROR" and len(lines(reply.answer)) == 1
        assert [each.otype for each in reply.options] == [9]


def test_a_reply_that_tells_it_is_not_given_again() -> None:
    pipeline = pipeline_of(secondary(1000))
    assert handle(pipeline, question("example.", "SOA", edns=1232)).repeatable is not None
    assert handle(pipeline, question("example.", "SOA", edns=1232, options=[ASKED])).repeatable is None


@given(st.lists(st.tuples(st.booleans(), st.floats(1, 4000)), max_size=40))
def test_whatever_happens_above_a_secondary_of_ours_never_outlives_what_it_comes_from(steps) -> None:
    """The origin is there or not, the secondary in the middle confirms or not; the lower one asks the middle."""
    middle = DrivenZone.serving(refresh=300, retry=100, expire=DAY)
    lower = DrivenZone.serving(refresh=300, retry=100, expire=DAY)
    for origin_answers, seconds in steps:
        until = middle.now + seconds
        while middle.now < until and middle.state is not State.EXPIRED:
            following = min(until, *(each.machine.next_deadline() or until for each in (middle, lower)))
            for each in (middle, lower):
                each.advance(max(0.0, following - each.now))
            if middle.checking and origin_answers:
                middle.finish(UpToDate(5))
            elif middle.checking:
                middle.let_fail_until(middle.state)
            if lower.checking and middle.state is not State.EXPIRED:
                _, value = expire_option(DAY, middle.life)
                lower.finish(UpToDate(5, int.from_bytes(value, "big")))
            elif lower.checking:
                lower.let_fail_until(lower.state)
            if following == until:
                break
        if middle.state is not State.EXPIRED:
            assert lower.now + lower.life <= middle.now + middle.life
