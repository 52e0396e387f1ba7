"""What to restore, and what is said where that is not known."""

from typing import Any

import dns.name
import pytest
from support.moves import move as at
from support.moves import snapshot as taken

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.nameservers import Target
from nameserver.migrate.checks.serials import Sight
from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.move import way_back
from nameserver.migrate.move.phases import State
from nameserver.migrate.report import Report

DS = "1 13 2 ABCD"


def snapshot(**changed: Any) -> Snapshot:
    return taken(**{"ds": [DS], "ds_ttl": 3600, **changed})


def move(phase: str, **changed: Any) -> State:
    return at(phase, old_ns=["old.shop.example"], **changed)


@pytest.mark.parametrize("phase", ["cutover", "decommission", "done"])
def test_nameservers_and_ds_are_restored_word_for_word(phase: str):
    lines = way_back.lines(move(phase), snapshot())
    assert "  old.shop.example" in lines
    assert f"  shop.example. DS {DS}" in lines
    assert any("for up to 86400 s" in line for line in lines)


def test_nameservers_that_are_not_known_are_not_told_to_be_none():
    lines = way_back.lines(at("cutover"), None)
    assert (
        "The nameservers of shop.example before the move are not known: ask the provider of before for their names."
        in lines
    )
    assert not any("no others" in line for line in lines)


def test_names_that_no_snapshot_tells_are_told_with_where_they_are_from():
    where = "  (As the zone itself named them when the move was planned; no snapshot tells what the parent had.)"
    assert where in way_back.lines(move("cutover"), None)
    assert where not in way_back.lines(move("cutover"), snapshot())


def test_a_zone_that_had_no_ds_is_to_have_none():
    assert "and no DS record: there was none." in way_back.lines(move("cutover"), snapshot(ds=[]))


@pytest.mark.parametrize(
    ("state", "baseline", "why"),
    [
        (move("cutover"), None, "there is no snapshot"),
        (move("cutover"), snapshot(parent_ns=[], ds=[]), "the snapshot was taken without asking the parent"),
        (move("cutover", entered={"cutover": 5.0}), snapshot(taken=9.0), "was taken after the cut-over began"),
    ],
    ids=["none", "--no-parent", "late"],
)
def test_a_ds_that_is_not_known_is_said_to_be_unknown_with_what_to_do(state: State, baseline: Snapshot, why: str):
    told = "\n".join(way_back.lines(state, baseline))
    assert "DS records of before are not known" in told
    assert why in told
    assert DS not in told
    assert "in doubt set none" in told


def test_a_ttl_of_the_parent_that_is_not_known_is_not_called_0():
    told = "\n".join(way_back.lines(move("cutover"), None))
    assert "0 s" not in told
    assert "which is not known" in told


def sight(address: str, serial: int | None) -> Sight:
    target = Target(address, Endpoint(address, 53), "given")
    return Sight(target, "UDP", serial, serial is not None, "", "", "no answer within 3 s", 0.1)


@pytest.mark.parametrize(
    ("old", "codes"),
    [(7, set()), (9, set()), (6, {"old-behind"}), (None, {"old-silent"})],
    ids=["in step", "ahead", "behind", "silent"],
)
def test_an_old_side_that_is_behind_or_silent_is_said_before_anybody_goes_back(old: int | None, codes: set[str]):
    report = Report("rollback", dns.name.from_text("shop.example").to_text())
    way_back.judge_old_side(report, [sight("192.0.2.1", old)], [sight("192.0.2.2", 7)])
    assert {finding.code for finding in report.findings} == codes
    assert report.exit_code == 0
