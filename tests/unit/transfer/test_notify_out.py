"""NOTIFY out: whom to tell, when, and when to stop."""

import pytest

from nameserver.errors import Reason, TransferError
from nameserver.transfer.notify import WAITS, GaveUp, NotifySender, Send
from nameserver.wire import codes


def run_dry(sender: NotifySender[str], start: float) -> list[tuple[float, Send[str] | GaveUp[str]]]:
    """Everything that happens while nobody answers, with its time since `start`."""
    events = []
    while (deadline := sender.next_deadline()) is not None:
        events += [(deadline - start, event) for event in sender.due(deadline)]
    return events


def test_a_new_sender_has_nothing_to_do() -> None:
    sender: NotifySender[str] = NotifySender()
    assert sender.next_deadline() is None
    assert sender.due(0) == []


def test_every_target_is_told_at_once() -> None:
    sender: NotifySender[str] = NotifySender()
    sender.publish(6, ["a", "b"], 100)
    assert sender.next_deadline() == 100
    assert sender.due(100) == [Send("a", 6, 1), Send("b", 6, 1)]
    assert sender.due(100) == []


def test_a_silent_target_is_told_five_times_more_after_growing_waits_and_then_given_up() -> None:
    sender: NotifySender[str] = NotifySender()
    sender.publish(6, ["a"], 100)
    events = run_dry(sender, 100)
    assert [event for _, event in events] == [*(Send("a", 6, attempt) for attempt in range(1, 7)), GaveUp("a", 6, None)]
    assert [when for when, _ in events] == [sum(WAITS[:count]) for count in range(7)]
    assert (WAITS[0], max(WAITS)) == (1, 60)


def test_a_target_that_confirms_is_told_no_more_and_the_others_are_not_delayed() -> None:
    sender: NotifySender[str] = NotifySender()
    sender.publish(6, ["a", "b"], 100)
    sender.due(100)
    assert sender.answered("a", codes.NOERROR, 6)
    assert sender.waiting == ("b",)
    assert sender.due(101) == [Send("b", 6, 2)]


@pytest.mark.parametrize("rcode", [codes.NOTIMP, codes.FORMERR])
def test_a_target_that_does_not_speak_notify_is_told_no_more(rcode: int) -> None:
    sender: NotifySender[str] = NotifySender()
    sender.publish(6, ["a"], 100)
    sender.due(100)
    assert sender.answered("a", rcode)
    assert sender.next_deadline() is None


@pytest.mark.parametrize("rcode", [codes.REFUSED, codes.NOTAUTH, codes.SERVFAIL])
def test_a_target_that_answers_with_an_error_is_told_again_and_the_error_is_reported(rcode: int) -> None:
    sender: NotifySender[str] = NotifySender()
    sender.publish(6, ["a"], 100)
    sender.due(100)
    assert sender.answered("a", rcode, 6)
    events = run_dry(sender, 100)
    assert [event for _, event in events] == [
        *(Send("a", 6, attempt) for attempt in range(2, 7)),
        GaveUp("a", 6, rcode),
    ]


def test_what_failed_is_reported_and_silence_does_not_take_its_place() -> None:
    bad, silent = TransferError(Reason.TSIG_BADKEY), TransferError(Reason.CONNECT_TIMEOUT)
    for heard, expected in (
        ([silent], silent),
        ([silent, bad], bad),
        ([bad, silent], bad),
    ):
        sender: NotifySender[str] = NotifySender()
        sender.publish(6, ["a"], 100)
        sender.due(100)
        for failure in heard:
            sender.failed("a", failure, 6)
        sender.failed("a", TransferError(Reason.UNREACHABLE), 5)  # of a serial that is past
        sender.failed("z", bad, 6)
        assert run_dry(sender, 100)[-1][1] == GaveUp("a", 6, None, expected)


def test_of_an_answer_and_a_failure_the_later_one_is_reported() -> None:
    bad = TransferError(Reason.TSIG_BADKEY)
    sender: NotifySender[str] = NotifySender()
    sender.publish(6, ["a", "b"], 100)
    sender.due(100)
    sender.answered("a", codes.REFUSED, 6)
    sender.failed("a", bad, 6)
    sender.failed("b", bad, 6)
    sender.answered("b", codes.REFUSED, 6)
    assert [event for _, event in run_dry(sender, 100)][-2:] == [
        GaveUp("a", 6, None, bad), GaveUp("b", 6, codes.REFUSED, None)
    ]  # fmt: skip


def test_a_newer_serial_supersedes_and_starts_afresh() -> None:
    sender: NotifySender[str] = NotifySender()
    sender.publish(6, ["a", "b"], 100)
    sender.due(100)
    sender.due(101)
    sender.publish(7, ["b", "c"], 102)
    assert sender.due(102) == [Send("b", 7, 1), Send("c", 7, 1)]


def test_an_answer_to_a_superseded_serial_confirms_nothing() -> None:
    sender: NotifySender[str] = NotifySender()
    sender.publish(6, ["a"], 100)
    sender.due(100)
    sender.publish(7, ["a"], 100.5)
    assert not sender.answered("a", codes.NOERROR, 6)
    assert sender.due(100.5) == [Send("a", 7, 1)]


def test_an_answer_from_one_who_was_not_asked_is_no_news() -> None:
    sender: NotifySender[str] = NotifySender()
    sender.publish(6, ["a"], 100)
    assert not sender.answered("z", codes.NOERROR)


def test_a_late_call_sends_once_and_not_once_per_missed_time() -> None:
    sender: NotifySender[str] = NotifySender()
    sender.publish(6, ["a"], 100)
    assert sender.due(10_000) == [Send("a", 6, 1)]
    assert sender.next_deadline() == 10_001


def test_a_dead_target_among_twenty_delays_none_of_the_others() -> None:
    sender: NotifySender[int] = NotifySender()
    sender.publish(6, range(20), 0)
    assert len(sender.due(0)) == 20
    for target in range(1, 20):
        sender.answered(target, codes.NOERROR, 6)
    assert sender.waiting == (0,)
