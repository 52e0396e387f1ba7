"""What is remembered of ways that do not answer, and who may try them."""

import pytest

from nameserver.errors import Reason
from nameserver.refresh.silence import SHORT, SILENT_REASONS, Silence, Silences

WAY, OTHER = "192.0.2.1", "192.0.2.2"
PATIENCE = 600.0


def silence(since: float, reason: Reason = Reason.CONNECT_TIMEOUT) -> Silence:
    return Silence(reason, "why", since)


def silent(reason: Reason = Reason.CONNECT_TIMEOUT) -> Silences[str, str]:
    """WAY was asked by zone "a" at 0 and failed at 10."""
    silences: Silences[str, str] = Silences(PATIENCE)
    assert silences.enter(WAY, "a", 0) is None
    assert silences.failed(WAY, "a", silence(0, reason), 10) is True
    silences.left(WAY, "a")
    return silences


def test_whoever_did_not_fail_is_asked_by_all_at_once() -> None:
    silences: Silences[str, str] = Silences(PATIENCE)
    assert [silences.enter(WAY, zone, 0) for zone in "abc"] == [None] * 3
    assert silences.answered(WAY, "a", 1) == frozenset()


def test_what_failed_is_tried_by_one_at_a_time_and_the_others_learn_why_at_once() -> None:
    silences = silent()
    assert silences.of(WAY, 11) == silence(0)
    assert silences.of(OTHER, 11) is None
    assert silences.enter(WAY, "b", 11) is None
    assert silences.enter(WAY, "c", 11) == silence(0)
    assert silences.failed(WAY, "b", Silence(Reason.CONNECT_REFUSED, "nobody", 11), 12) is False, "nothing new"
    silences.left(WAY, "b")
    assert silences.of(WAY, 12) == Silence(Reason.CONNECT_REFUSED, "nobody", 0), "why as of now, since as of first"
    assert silences.enter(WAY, "c", 13) is None


def test_who_can_ask_somebody_else_leaves_a_silent_way_to_others() -> None:
    silences = silent()
    assert silences.enter(WAY, "b", 11, elsewhere=True) == silence(0)
    assert silences.enter(WAY, "c", 11) is None
    assert silences.enter(OTHER, "b", 11, elsewhere=True) is None


def test_a_failure_is_remembered_for_so_long_after_the_last_one() -> None:
    silences = silent()
    assert silences.of(WAY, 10 + PATIENCE - 1) is not None
    assert silences.of(WAY, 10 + PATIENCE) is None
    assert [silences.enter(WAY, zone, 10 + PATIENCE) for zone in "bcd"] == [None] * 3
    assert silences.failed(WAY, "b", silence(700), 705) is True
    assert silences.of(WAY, 705 + PATIENCE - 1) == silence(0), "nothing has come since then"


def test_an_answer_ends_it_and_names_who_could_not_get_through() -> None:
    silences = silent()
    assert silences.enter(WAY, "b", 20) is None
    assert silences.enter(WAY, "c", 20) is not None
    assert silences.answered(WAY, "b", 20.1) == {"a", "c"}
    assert [silences.enter(WAY, zone, 31) for zone in "abc"] == [None] * 3
    assert silences.answered(WAY, "b", 32) == frozenset(), "each is named once"


def test_after_a_short_silence_those_alone_are_run_again_who_were_passed_over() -> None:
    """A primary that answers one connection and refuses the next must not be asked in circles."""
    for length, again in ((SHORT - 0.1, {"c"}), (SHORT, {"a", "c"})):
        silences: Silences[str, str] = Silences(PATIENCE)
        silences.failed(WAY, "a", silence(0, Reason.CONNECT_REFUSED), 0.1)
        assert silences.enter(WAY, "b", 0.2) is None
        assert silences.enter(WAY, "c", 0.2) is not None
        assert silences.answered(WAY, "b", length) == again


def test_who_waited_in_vain_for_an_answer_is_not_run_again_out_of_turn() -> None:
    """The primary may have its trouble with that zone alone."""
    silences = silent(Reason.IDLE_TIMEOUT)
    assert silences.answered(WAY, "b", 1000) == frozenset()


def test_a_failure_beside_an_answer_says_nothing_about_the_way() -> None:
    silences: Silences[str, str] = Silences(PATIENCE)
    silences.answered(WAY, "b", 5)
    assert silences.failed(WAY, "a", silence(0, Reason.IDLE_TIMEOUT), 30) is False
    assert silences.of(WAY, 30) is None
    assert silences.failed(WAY, "a", silence(6, Reason.IDLE_TIMEOUT), 36) is True


def test_an_order_or_a_notify_makes_it_worth_asking_again() -> None:
    silences = silent()
    assert silences.enter(WAY, "b", 11) is None
    silences.forget([WAY, OTHER], 12)
    assert [silences.enter(WAY, zone, 12) for zone in "cd"] == [None] * 2
    assert silences.failed(WAY, "b", silence(11), 20) is False, "it began before"
    assert silences.of(WAY, 20) is None
    assert silences.answered(WAY, "c", 30) == {"a"}, "who waits is not forgotten"


def test_a_place_that_was_taken_is_given_back_by_whoever_took_it_only() -> None:
    silences = silent()
    assert silences.enter(WAY, "b", 11) is None
    silences.left(WAY, "c")
    assert silences.enter(WAY, "d", 11) is not None
    silences.left(WAY, "b")
    assert silences.enter(WAY, "d", 11) is None
    silences.left(OTHER, "d")


def test_it_can_be_turned_off() -> None:
    silences: Silences[str, str] = Silences(0)
    assert silences.failed(WAY, "a", silence(0), 10) is False
    assert [silences.enter(WAY, zone, 10) for zone in "abc"] == [None] * 3


def test_nothing_is_kept_of_what_is_not_configured_any_more() -> None:
    silences = silent()
    silences.answered(OTHER, "a", 11)
    silences.keep([OTHER])
    assert silences.of(WAY, 11) is None
    assert (silences._memories, silences._heard) == ({}, {OTHER: 11})


@pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.CLOSED_EARLY, Reason.TOO_SLOW, Reason.TSIG_BADSIG])
def test_who_says_no_or_is_slow_is_not_silent(reason: Reason) -> None:
    assert reason not in SILENT_REASONS
