"""The clocks of a move: what starts them, what stops them, and what must do neither."""

import asyncio

import dns.name
import pytest
from support.moves import Seen, move, report, snapshot

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.checks import dnssec
from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.move import gates, way_back
from nameserver.migrate.move.phases import State
from nameserver.migrate.report import Report

DAY = 86400.0


def measure(state: State, name: str, seen: Seen, now: float, baseline: Snapshot | None = None) -> Report:
    problem = "" if baseline else "zones/shop.example.json: No such file"
    found = gates.measure(seen, state, (name,), now, baseline, problem, None)  # type: ignore[arg-type]
    return asyncio.run(found)[name]


def test_without_the_snapshot_nobody_knows_how_long_the_old_ttls_are_cached_so_the_gate_is_closed():
    state = move("lower-ttl", seen={"ttl-lowered": 0.0})
    found = measure(state, "ttl", Seen(report()), 400 * DAY)
    assert (found.exit_code, found.faults) == (1, {"no-snapshot"})


def test_a_snapshot_that_was_first_taken_after_the_ttls_were_lowered_opens_nothing():
    state = move("lower-ttl", seen={"ttl-lowered": 1000.0})
    found = measure(state, "ttl", Seen(report()), 400 * DAY, snapshot(taken=2000.0, largest_ttl=300))
    assert found.faults == {"snapshot-late"}


def test_a_snapshot_without_what_the_parent_says_is_a_way_back_that_lacks_the_ds():
    found = measure(move("plan"), "snapshot", Seen(report()), 0.0, snapshot(parent_ns=[]))
    assert (found.exit_code, [finding.code for finding in found.findings]) == (0, ["no-parent"])


def test_a_snapshot_that_is_taken_again_does_not_shorten_the_wait():
    state = move("plan")
    measure(state, "snapshot", Seen(report()), 0.0, snapshot(taken=0.0, largest_ttl=7 * 86400))
    state.phase = "lower-ttl"
    seen = Seen(report())
    measure(state, "ttl", seen, 1000.0, snapshot(taken=500.0, largest_ttl=300))
    assert seen.baselines[-1] is not None
    assert seen.baselines[-1].largest_ttl == 7 * 86400


@pytest.mark.parametrize(
    ("look", "kept"), [(report("connect-timeout", unreachable=True), True), (report("ttl-high"), False)]
)
def test_a_server_that_does_not_answer_stops_no_clock_of_lowered_ttls_but_a_high_ttl_does(look: Report, kept: bool):
    state = move("lower-ttl", seen={"ttl-lowered": 5.0})
    found = measure(state, "ttl", Seen(look), 10.0, snapshot())
    assert (found.exit_code != 0, "ttl-lowered" in state.seen) == (True, kept)


@pytest.mark.parametrize(
    "look",
    [
        report("parent-silent", unreachable=True),
        report("parent-silent", ds=[], sides={}),
    ],
    ids=["no server of the parent answers", "one of them does not"],
)
def test_a_ds_is_not_gone_while_a_server_of_the_parent_does_not_say_so(look: Report):
    state = move("parallel", dnssec="unsign")
    found = measure(state, "dnssec", Seen(look), 10.0, snapshot())
    assert (found.exit_code != 0, state.seen) == (True, {})


def holds(keys: bool, ds: bool, *codes: str) -> Report:
    return report(*codes, holds={"keys-shared": keys, "ds-both": ds})


def test_with_two_signers_the_clocks_run_from_when_keys_and_ds_were_first_seen_and_begin_anew_when_they_are_gone():
    state = move("parallel", dnssec="multi-signer")
    measure(state, "dnssec", Seen(holds(True, False)), 10.0, snapshot())
    measure(state, "dnssec", Seen(holds(True, True)), 20.0, snapshot())
    assert state.seen == {"keys-shared": 10.0, "ds-both": 20.0}
    measure(state, "dnssec", Seen(holds(False, False, "server-silent")), 30.0, snapshot())
    assert state.seen == {"keys-shared": 10.0, "ds-both": 20.0}
    measure(state, "dnssec", Seen(holds(True, False)), 40.0, snapshot())
    assert state.seen == {"keys-shared": 10.0}


def test_what_holds_at_one_server_alone_does_not_hold_yet(monkeypatch: pytest.MonkeyPatch):
    looks = [holds(True, True, "plan-step"), holds(True, False)]

    async def examine(*_: object) -> Report:
        return looks.pop(0)

    monkeypatch.setattr(dnssec, "examine", examine)
    servers = [Endpoint("192.0.2.1", 53), Endpoint("192.0.2.2", 53)]
    tree = Tree(Asker())
    found = asyncio.run(dnssec.examine_sides(tree, dns.name.from_text("shop.example."), servers[:1], servers, 0.0))
    assert (found.exit_code, found.facts["holds"]) == (1, {"keys-shared": True, "ds-both": False})


def test_a_ds_that_is_seen_anywhere_stops_the_clock():
    state = move("parallel", dnssec="unsign", seen={"ds-gone": 1.0})
    measure(state, "dnssec", Seen(report("parent-silent", ds=["1 13 2 ab"])), 10.0, snapshot())
    assert state.seen == {}


@pytest.mark.parametrize("gate", ["delegation", "parent-ttl", "overlap"])
def test_without_names_to_delegate_to_no_gate_that_is_about_them_opens(gate: str):
    state = move("cutover", seen={})
    found = measure(state, gate, Seen(report()), 10.0, snapshot())
    assert (found.exit_code, "delegated" in state.seen) == (1, False)


@pytest.mark.parametrize(
    ("look", "since"),
    [
        (report(), 5.0),
        (report("server-silent"), 5.0),
        (report("parent-silent"), 5.0),
        (report("parent-silent", unreachable=True), 5.0),
        (report("straggler"), None),
    ],
    ids=["good", "a server of the zone fails", "one of the parent fails", "all of them fail", "another NS set"],
)
def test_only_what_the_parent_says_stops_the_clock_of_the_delegation(look: Report, since: float | None):
    state = move("decommission", new_ns=["new.shop.example"], seen={"delegated": 5.0})
    found = measure(state, "parent-ttl", Seen(look), 400 * DAY, snapshot())
    assert state.seen.get("delegated") == since
    assert found.exit_code == (0 if look.faults <= {"server-silent"} else 1)


def test_after_a_rollback_to_the_plan_the_ttls_have_to_age_anew():
    state = move("parallel", seen={"ttl-lowered": 1.0, "ds-gone": 2.0})
    state.go_back(10.0, "not this week")
    assert (state.phase, state.seen) == ("plan", {})


def test_after_a_rollback_of_the_cut_over_the_low_ttls_still_count_and_the_ds_does_not():
    state = move("cutover", seen={"ttl-lowered": 1.0, "ds-gone": 2.0, "delegated": 3.0})
    state.go_back(10.0, "answers were wrong")
    assert (state.phase, state.seen) == ("parallel", {"ttl-lowered": 1.0})


def test_the_way_back_of_an_unsigned_zone_names_no_ds_that_nothing_signs_for():
    lines = way_back.lines(move("cutover", dnssec="unsign"), snapshot(ds=["1 13 2 ABCD"]))
    assert not any("ABCD" in line for line in lines)
    assert any("no DS record" in line for line in lines)


def test_the_way_back_does_not_lead_to_the_new_side_by_a_snapshot_of_after_the_cut_over():
    state = move("cutover", old_ns=["old.shop.example"], entered={"cutover": 100.0})
    lines = way_back.lines(state, snapshot(taken=200.0, parent_ns=["new.shop.example"]))
    assert ("  old.shop.example" in lines, "  new.shop.example" in lines) == (True, False)


@pytest.mark.parametrize(("fault", "seen"), [("lags", {}), ("connect-timeout", {"ttl-lowered": 5.0})])
def test_another_server_of_the_old_side_that_may_have_the_old_ttls_keeps_the_gate_closed(
    fault: str, seen: dict[str, float]
):
    state = move("lower-ttl", seen={"ttl-lowered": 5.0})
    found = measure(state, "ttl", Seen(report(), lagging=(fault,)), 400 * DAY, snapshot())
    assert (found.faults, state.seen) == ({fault}, seen)
