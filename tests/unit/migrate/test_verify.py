"""Verifying again and again: when the rounds begin, and what many of them say together."""

import argparse

import pytest

from nameserver.cli.migrate.verify import Repeat, _repeat
from nameserver.migrate.move.verifying import Rounds
from nameserver.migrate.report import Level, Report

DAY = 86400.0


def a_round(*faults: str, unreachable: bool = False) -> Report:
    report = Report("verify", "shop.example", verdict="NO GO" if faults else "Everything is as it was.")
    report.unreachable = unreachable
    for code in faults:
        report.add(Level.FAULT, code, f"{code} it is")
    return report


def rounds(*reports: Report) -> Report:
    found = Rounds("shop.example")
    for number, report in enumerate(reports):
        found.add(report, float(number))
    return found.report()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("60", Repeat(60.0)),
        ("30s", Repeat(30.0)),
        ("T+0,T+1d,T+2d,T+7d", Repeat(schedule=(0.0, DAY, 2 * DAY, 7 * DAY))),
        ("0,1d", Repeat(schedule=(0.0, DAY))),
        ("T+1d", Repeat(schedule=(DAY,))),
    ],
)
def test_an_interval_or_times_after_the_cut_over(text: str, wanted: Repeat):
    assert _repeat(text) == wanted


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "T+", "1d,", "nan", "inf", "T+2y"])
def test_what_is_neither_is_refused(text: str):
    with pytest.raises(argparse.ArgumentTypeError):
        _repeat(text)


def test_times_that_are_over_are_one_round_now():
    schedule = Repeat(schedule=(0.0, DAY, 2 * DAY, 7 * DAY))
    assert schedule.times(0.0, 1.5 * DAY, 10) == [1.5 * DAY, 2 * DAY, 7 * DAY]
    assert Repeat(60.0).times(0.0, 100.0, 3) == [100.0, 160.0, 220.0]


def test_an_answer_that_fails_in_one_of_three_rounds_fails_all_three():
    found = rounds(a_round(), a_round("serials/servfail"), a_round())
    assert (found.exit_code, found.verdict) == (1, "1 of 3 rounds failed.")
    [finding] = found.findings
    assert finding.text == "in 1 of 3 rounds: serials/servfail it is"
    assert [row[0] for row in found.tables[0].rows] == ["1", "2", "3"]


def test_rounds_that_are_all_good_are_good_and_those_that_all_fail_say_so_once():
    assert rounds(a_round(), a_round()).verdict == "Everything is as it was, in each of 2 rounds."
    found = rounds(a_round("parity/missing"), a_round("parity/missing"))
    assert [finding.text for finding in found.findings] == ["parity/missing it is"]


def test_nobody_answered_is_exit_code_3_only_where_that_holds_for_every_round():
    silent = a_round("parity/connect-timeout", unreachable=True)
    assert rounds(silent, silent).exit_code == 3
    assert rounds(silent, a_round()).exit_code == 1


def test_of_many_rounds_those_that_failed_are_shown():
    many = [a_round() for _ in range(500)]
    many[7] = a_round("dnssec/ds-mismatch")
    rows = rounds(*many).tables[0].rows
    assert len(rows) == 50
    assert "8" in [row[0] for row in rows]
