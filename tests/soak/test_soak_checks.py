"""The soak's checker finds what it is there to find: mixed versions, lost zones, unpublished and older serials."""

import time
from collections.abc import Callable
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from soak.board import Board, Slot
from soak.history import ZONE, Question, Row, Verdict, WrongAnswerError, ZoneLostError, judge, questions, version
from soak.querier import Asked, Watcher

SERIAL = 1000
# One question for each way in which an answer follows from the serial.
CHANGING = [
    Question(*each)
    for each in (
        (ZONE, "SOA"),
        (f"set.{ZONE}", "TXT"),
        (f"addresses.{ZONE}", "A"),
        (f"alias.{ZONE}", "A"),
        (f"x.wild.{ZONE}", "TXT"),
        (f"www.sub.{ZONE}", "A"),
        (f"missing-1.{ZONE}", "A"),
        (f"serial.{ZONE}", "A"),
        (f"target-v{SERIAL}.{ZONE}", "A"),
    )
]


def reply(
    question: Question, serial: int, change: Callable[[dns.message.Message], None] = lambda message: None
) -> bytes:
    """The right reply at a serial, then `change` done to it."""
    right = version(serial).lookup(question)
    message = dns.message.make_response(dns.message.make_query(*question))
    message.flags &= ~dns.flags.RD
    message.flags |= dns.flags.AA if right.authoritative else 0
    message.set_rcode(dns.rcode.from_text(right.rcode))
    sections = (
        (message.answer, right.answer),
        (message.authority, right.authority),
        (message.additional, right.additional),
    )
    for section, rows in sections:
        add(message, section, sorted(rows))
    change(message)
    return message.to_wire(max_size=65535)


def add(message: dns.message.Message, section: list[dns.rrset.RRset], rows: list[Row]) -> None:
    for owner, rdtype, rdata in rows:
        one = dns.rrset.from_text(owner, 300, "IN", rdtype, rdata)
        message.find_rrset(section, one.name, dns.rdataclass.IN, one.rdtype, create=True).add(one[0], 300)


def other_version(question: Question, serial: int, section: str) -> Callable[[dns.message.Message], None]:
    """Puts one section of another version's reply in place."""

    def change(message: dns.message.Message) -> None:
        rows = getattr(version(serial).lookup(question), section)
        getattr(message, section).clear()
        add(message, getattr(message, section), sorted(rows))

    return change


@pytest.mark.parametrize("question", sorted({each for each in questions() if each.name.endswith(ZONE)}))
def test_each_right_answer_is_taken_for_its_own_serial(question: Question) -> None:
    for serial in range(SERIAL, SERIAL + 7):
        verdict = judge(reply(question, serial), question, True)
        assert verdict.lowest <= serial <= verdict.highest


@pytest.mark.parametrize("question", CHANGING)
def test_what_changes_with_each_serial_is_taken_for_no_other(question: Question) -> None:
    assert judge(reply(question, SERIAL), question, False) == Verdict(SERIAL, SERIAL)


def test_a_set_of_records_from_two_versions_is_wrong() -> None:
    question = Question(f"set.{ZONE}", "TXT")

    def mix(message: dns.message.Message) -> None:
        old = sorted(version(SERIAL - 1).lookup(question).answer)
        message.answer.clear()
        add(message, message.answer, [*old[:2], *sorted(version(SERIAL).lookup(question).answer)[2:]])

    with pytest.raises(WrongAnswerError):
        judge(reply(question, SERIAL, mix), question, False)


@pytest.mark.parametrize(
    ("question", "section"),
    [
        (Question(f"lent.{ZONE}", "NS"), "authority"),
        (Question(f"host-0.{ZONE}", "A"), "authority"),
        (Question(f"target-v{SERIAL}.{ZONE}", "A"), "answer"),
        (Question(f"branch-{SERIAL % 3}.{ZONE}", "TXT"), "authority"),
        (Question(f"leaf.branch-{SERIAL % 3}.{ZONE}", "TXT"), "answer"),
    ],
)
def test_sections_from_two_versions_are_wrong(question: Question, section: str) -> None:
    with pytest.raises(WrongAnswerError):
        judge(reply(question, SERIAL, other_version(question, SERIAL + 1, section)), question, False)


def test_an_alias_of_one_version_with_the_address_of_another_is_wrong() -> None:
    question = Question(f"alias.{ZONE}", "A")

    def mix(message: dns.message.Message) -> None:
        del message.answer[1:]
        add(message, message.answer, [(f"target-v{SERIAL}.{ZONE}", "A", "10.0.1.200")])

    with pytest.raises(WrongAnswerError):
        judge(reply(question, SERIAL, mix), question, False)


@pytest.mark.parametrize("flag", [dns.flags.AA, dns.flags.TC])
def test_a_flag_that_should_not_be_as_it_is_makes_an_answer_wrong(flag: int) -> None:
    def flip(message: dns.message.Message) -> None:
        message.flags ^= flag

    with pytest.raises(WrongAnswerError):
        judge(reply(Question(ZONE, "SOA"), SERIAL, flip), Question(ZONE, "SOA"), False)


def test_another_ttl_is_wrong() -> None:
    def change(message: dns.message.Message) -> None:
        message.answer[0].ttl = 299

    with pytest.raises(WrongAnswerError):
        judge(reply(Question(ZONE, "SOA"), SERIAL, change), Question(ZONE, "SOA"), False)


@pytest.mark.parametrize("rcode", ["REFUSED", "SERVFAIL", "NOTAUTH", "NXDOMAIN"])
def test_an_answer_as_without_the_zone_is_a_zone_lost(rcode: str) -> None:
    def lose(message: dns.message.Message) -> None:
        message.set_rcode(dns.rcode.from_text(rcode))
        message.answer.clear()

    with pytest.raises(ZoneLostError):
        judge(reply(Question(ZONE, "SOA"), SERIAL, lose), Question(ZONE, "SOA"), False)


@pytest.mark.parametrize(
    ("published", "floor", "counted"),
    [
        (SERIAL, SERIAL, None),
        (SERIAL + 9, SERIAL, None),
        (SERIAL - 1, 0, Slot.WRONG),
        (SERIAL + 1, SERIAL + 1, Slot.BACKWARDS),
    ],
)
def test_an_answer_is_held_against_what_was_published_and_what_was_answered_before(
    published: int, floor: int, counted: Slot | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = Board(tmp_path / "board", create=True)
    board[Slot.PUBLISHED] = published
    question = Question(ZONE, "SOA")
    Watcher(board).check(reply(question, SERIAL), Asked(question, time.monotonic(), floor), False)
    faults = {slot: board[slot] for slot in (Slot.WRONG, Slot.LOST, Slot.BACKWARDS)}
    assert faults == {slot: int(slot is counted) for slot in faults}
    assert bool(capsys.readouterr().out) is (counted is not None)
