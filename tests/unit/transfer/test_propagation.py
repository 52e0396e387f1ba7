"""How far versions have come: what counts as having one, when to ask, and how long it took."""

import itertools

import pytest

from nameserver.errors import Reason, TransferError
from nameserver.transfer.propagation import (
    DEAF,
    LONGEST_WAIT,
    LONGEST_WATCH,
    MOST_WAITING,
    TAKEN_WAIT,
    TOLD_WAIT,
    UNTOLD_WAIT,
    Propagation,
    reaches,
)

SILENT = TransferError(Reason.CONNECT_TIMEOUT)
REFUSED = TransferError(Reason.REFUSED)


def at_serial(serial: int, *targets: str, published: float = 0.0) -> Propagation[str]:
    """All targets answer this serial, and nothing is under way."""
    made: Propagation[str] = Propagation()
    made.publish(serial, targets or ("a",), published, checks=True)
    for target in targets or ("a",):
        made.answered(target, serial, published, published)
    assert made.next_deadline() is None
    return made


def lacking(made: Propagation[str], serial: int) -> list[str]:
    """Who is not known to have a serial."""
    return [target for target in made.targets if not reaches(made.seen(target).serial, serial)]


def asked_when(made: Propagation[str], target: str, serial: int, until: float) -> list[float]:
    """When the target is asked, while it answers with this serial each time, at once."""
    times = []
    while (deadline := made.next_deadline()) is not None and deadline < until:
        assert target in made.due(deadline)
        times.append(deadline)
        made.answered(target, serial, deadline, deadline)
    return times


def test_a_server_has_a_version_when_it_answers_it() -> None:
    below = at_serial(5)
    below.publish(6, ["a"], 100, checks=True)
    assert lacking(below, 6) == ["a"] and lacking(below, 5) == []
    assert below.answered("a", 6, 101.5, 101.5).lags == (1.5,)
    assert lacking(below, 6) == []
    assert below.next_deadline() is None


def test_a_transfer_alone_is_not_believed_where_the_server_can_be_asked() -> None:
    below = at_serial(5)
    below.publish(6, ["a"], 100, checks=True)
    assert below.took("a", 6, 100.5, 100.5).lags == ()
    assert lacking(below, 6) == ["a"]
    assert below.next_deadline() == 100.5 + TAKEN_WAIT, "it is asked right after"


def test_the_end_of_the_transfer_is_the_time_that_counts_however_late_the_check_comes() -> None:
    below = at_serial(5)
    below.publish(6, ["a"], 100, checks=True)
    below.took("a", 6, 100.25, 100.5)
    assert below.answered("a", 6, 130, 130).lags == (0.25,)


def test_unless_the_old_version_was_still_answered_after_it() -> None:
    below = at_serial(5)
    below.publish(6, ["a"], 100, checks=True)
    below.took("a", 6, 100.25, 100.25)
    assert below.answered("a", 5, 100.5, 100.5).lags == ()
    assert below.answered("a", 6, 107, 107).lags == (7,)


def test_an_answer_that_was_on_its_way_before_the_transfer_ended_says_nothing_about_what_came_of_it() -> None:
    below = at_serial(5)
    below.publish(6, ["a"], 100, checks=True)
    below.took("a", 6, 100.25, 100.25)
    below.answered("a", 5, 100.2, 100.3)
    assert below.answered("a", 6, 107, 107).lags == (0.25,)


def test_who_confirms_the_notify_is_asked_with_growing_waits_and_left_alone_in_the_end() -> None:
    below = at_serial(5)
    below.publish(6, ["a"], 100, checks=True)
    assert below.next_deadline() == 100 + UNTOLD_WAIT
    below.told("a", 100.1)
    times = asked_when(below, "a", 5, 10_000)
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert times[0] == 100.1 + TOLD_WAIT
    assert waits[:3] == pytest.approx([2 * TOLD_WAIT, 4 * TOLD_WAIT, 8 * TOLD_WAIT])
    assert max(waits) == pytest.approx(LONGEST_WAIT)
    assert 100 + LONGEST_WATCH <= times[-1] <= 101 + LONGEST_WATCH + LONGEST_WAIT
    assert below.seen("a").behind_since == 100


def test_who_waits_for_a_serial_has_those_asked_again_that_were_left_alone_and_no_others() -> None:
    below = at_serial(5, "a", "b")
    below.publish(6, ["a", "b"], 100, checks=True)
    below.answered("b", 6, 100, 100)
    asked_when(below, "a", 5, 10_000)
    below.hurry(6, 10_000)
    assert below.due(10_000) == ["a"]


def test_a_server_that_does_not_answer_is_taken_by_what_it_fetched() -> None:
    below = at_serial(5)
    below.publish(6, ["a"], 100, checks=True)
    below.took("a", 6, 101, 101)
    for number in range(DEAF - 1):
        assert below.failed("a", SILENT, 103 + number).lags == ()
    assert below.failed("a", SILENT, 110).lags == (1,)
    assert lacking(below, 6) == [] and not below.seen("a").answers


def test_so_is_one_that_refuses_to_be_asked_from_the_first_time_on() -> None:
    below = at_serial(5)
    below.publish(6, ["a"], 100, checks=True)
    below.took("a", 6, 101, 101)
    assert below.failed("a", REFUSED, 101.5).lags == (1,)


def test_where_nobody_is_to_be_asked_nobody_is_and_what_was_fetched_counts() -> None:
    below: Propagation[str] = Propagation()
    below.publish(6, ["a"], 100, checks=False)
    assert below.next_deadline() is None
    assert below.took("a", 6, 101, 101).lags == (1,)
    below.hurry(7, 102)
    assert below.next_deadline() is None


def test_each_of_several_publications_has_its_own_time_when_they_arrive_together() -> None:
    below = at_serial(5)
    for serial in (6, 7, 8):
        below.publish(serial, ["a"], 100 + serial, checks=True)
    assert below.answered("a", 7, 110, 110).lags == (4, 3)
    assert below.seen("a").behind_since == 108
    assert below.answered("a", 8, 111, 111).lags == (3,)


def test_what_is_kept_of_publications_is_bounded_and_the_oldest_stays() -> None:
    below = at_serial(5)
    for serial in range(6, 6 + 3 * MOST_WAITING):
        below.publish(serial, ["a"], 100.0 + serial, checks=True)
    assert below.seen("a").behind_since == 106
    lags = below.answered("a", 5 + 3 * MOST_WAITING, 1000, 1000).lags
    assert len(lags) == MOST_WAITING and max(lags) == 1000 - 106 and min(lags) == 1000 - 105 - 3 * MOST_WAITING


def test_a_server_that_fetched_from_a_worker_that_was_first_has_it_at_once() -> None:
    below = at_serial(5)
    below.took("a", 6, 99.9, 99.9)
    assert below.publish(6, ["a"], 100, checks=True) == {}
    assert below.next_deadline() == 100 + TAKEN_WAIT
    assert below.answered("a", 6, 100.1, 100.1).lags == (0,)


def test_the_same_serial_again_is_not_measured_again() -> None:
    below = at_serial(5)
    assert {target: each.lags for target, each in below.publish(5, ["a"], 100, checks=True).items()} == {"a": ()}
    assert lacking(below, 5) == []


def test_a_server_ahead_of_a_zone_that_began_anew_is_not_measured_and_not_waited_for() -> None:
    below = at_serial(200)
    below.publish(100, ["a"], 100, checks=True)
    assert below.answered("a", 200, 101, 101).lags == ()
    assert lacking(below, 100) == [], "as serials go, it is past it"
    assert below.seen("a").serial == 200


def test_after_a_start_everybody_is_asked_first_and_told_only_when_behind() -> None:
    below: Propagation[str] = Propagation()
    assert below.resume(6, ["current", "behind", "silent"], 100, checks=True) == []
    assert below.due(100) == ["current", "behind", "silent"]
    assert not below.answered("current", 6, 100, 100).tell
    assert below.answered("behind", 5, 100, 100).tell
    assert below.failed("silent", SILENT, 102).tell
    assert not below.answered("behind", 5, 101, 101).tell, "once is enough: NOTIFY has its own repeats"


def test_after_a_start_without_checks_everybody_is_told() -> None:
    below: Propagation[str] = Propagation()
    assert below.resume(6, ["a", "b"], 100, checks=False) == ["a", "b"]


def test_a_reload_keeps_what_is_known_of_those_who_stay() -> None:
    below = at_serial(6, "a", "b")
    assert below.resume(6, ["b", "c"], 100, checks=True) == []
    assert below.targets == ("b", "c")
    assert below.due(100) == ["c"]
    assert lacking(below, 6) == ["c"]


def test_what_is_heard_of_a_server_that_is_none_of_ours_any_more_is_passed_over() -> None:
    below = at_serial(6)
    assert not below.answered("gone", 6, 1, 1).lags and not below.took("gone", 6, 1, 1).lags
    assert not below.failed("gone", SILENT, 1).tell
    below.told("gone", 1)
    below.look("gone", 1)


def test_where_it_cannot_be_told_who_fetched_something_each_is_asked() -> None:
    below = at_serial(5, "a", "b")
    below.publish(6, ["a", "b"], 100, checks=True)
    below.answered("b", 6, 100, 100)
    below.look("a", 100.5)
    below.look("b", 100.5)
    assert below.next_deadline() == 100.5 + TAKEN_WAIT
    assert below.due(101) == ["a"]


@pytest.mark.parametrize(
    ("has", "wanted", "reached"),
    [(5, 5, True), (6, 5, True), (4, 5, False), (None, 5, False), (0, 2**32 - 1, True), (2**31, 0, False)],
)
def test_serials_are_compared_as_on_a_circle(has: int | None, wanted: int, reached: bool) -> None:
    assert reaches(has, wanted) is reached
