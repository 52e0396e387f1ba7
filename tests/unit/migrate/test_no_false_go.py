"""What was not measured, or only in part, opens no gate."""

import asyncio
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rrset
import pytest
from support.moves import Seen, move, report, snapshot

from nameserver.cli.migrate.drift import DriftMetrics
from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.asking.walk import NotFound
from nameserver.migrate.checks import delegation, parity
from nameserver.migrate.checks.query_counts import Look
from nameserver.migrate.checks.sides import Source
from nameserver.migrate.move import gates, silence
from nameserver.migrate.move.gate import combine
from nameserver.migrate.move.phases import State, calendar, parent_wait
from nameserver.migrate.move.survey import Survey
from nameserver.migrate.report import Level, Report

DAY = 86400.0
ZONE = dns.name.from_text("shop.example.")
ONE, TWO, THREE = (Endpoint(f"192.0.2.{number}", 53) for number in (1, 2, 3))


def test_a_measurement_that_nobody_answered_closes_the_gate_also_where_it_has_no_fault():
    silent = Report("exposure", "shop.example", unreachable=True, verdict="No server answered: nothing is known.")
    silent.add(Level.WARNING, "silent", "192.0.2.1 answered nothing")
    whole = combine("shop.example", {"parity": report(), "exposure": silent})
    assert (whole.exit_code, whole.faults) == (1, {"exposure/unreachable"})
    assert whole.verdict == "NO GO: closed: exposure."
    assert combine("shop.example", {"exposure": silent}).exit_code == 3


class Apex(Asker):
    """Each address has its own NS set; those in `without_authority` answer as a cache does."""

    def __init__(self, sets: dict[Endpoint, str], without_authority: frozenset[Endpoint] = frozenset()) -> None:
        super().__init__()
        self.sets, self.without_authority = sets, without_authority

    async def ask(self, question: Question, endpoint: Endpoint, **_: object) -> Outcome:
        message = dns.message.make_response(question.message())
        if endpoint not in self.without_authority:
            message.flags |= dns.flags.AA
        message.answer.append(dns.rrset.from_text(question.name, 60, "IN", "NS", *self.sets[endpoint].split(" ")))
        return Reply(endpoint, False, message, 0.0)


def overlap(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> Report:
    async def nobody(*_: Any, **__: Any) -> None:
        raise NotFound("no way to the parent")

    monkeypatch.setattr(delegation, "measure", nobody)
    old = (Source("old", "ns.old.example", ONE), Source("old", "ns.old.example", TWO))
    survey = Survey(asker, Tree(asker), ZONE, old, (Source("new", "192.0.2.3", THREE),))
    return asyncio.run(survey.overlap())


def test_each_address_of_a_name_has_an_ns_set_of_its_own(monkeypatch: pytest.MonkeyPatch):
    asker = Apex({ONE: "a.example. lost.example.", TWO: "a.example. b.example.", THREE: "a.example. b.example."})
    found = overlap(asker, monkeypatch)
    assert "ns-mismatch" in found.faults
    assert len(found.facts) == 3


def test_what_a_cache_says_of_the_ns_set_is_not_the_word_of_a_side(monkeypatch: pytest.MonkeyPatch):
    both = dict.fromkeys((ONE, TWO, THREE), "a.example. b.example.")
    assert "server-silent" in overlap(Apex(both, frozenset({THREE})), monkeypatch).faults


def measure(state: State, name: str, seen: Seen, now: float) -> Report:
    found = gates.measure(seen, state, (name,), now, None, "zones: No such file", None)  # type: ignore[arg-type]
    return asyncio.run(found)[name]


def test_a_way_to_the_parent_without_an_end_does_not_open_the_gate_of_the_parents_ttls():
    state = move("decommission", new_ns=["new.shop.example"], seen={"delegated": 5.0})
    found = measure(state, "parent-ttl", Seen(report("endless", unreachable=True)), 400 * DAY)
    assert (found.exit_code, found.faults) == (1, {"endless"})


def test_ttls_of_a_snapshot_that_is_gone_are_waited_for_all_the_same():
    state = move("decommission", new_ns=["new.shop.example"], seen={"delegated": 0.0})
    state.remember(snapshot(ns_ttl=int(7 * DAY), ds=["1 13 2 ab"], ds_ttl=int(9 * DAY)))
    assert parent_wait(state, None, 0).opens() == 9 * DAY
    assert measure(state, "parent-ttl", Seen(report()), 8 * DAY).faults == {"too-early"}
    assert measure(state, "parent-ttl", Seen(report()), 9 * DAY).exit_code == 0


def test_the_calendar_ends_when_all_that_the_last_gate_waits_for_is_over():
    last = calendar(move("plan"), 0.0, snapshot(ns_ttl=int(20 * DAY)))[-1]
    assert last == (14 * DAY + 20 * DAY, "Decommission the old side, if it is silent")


def test_the_ttl_that_a_ds_had_is_kept_from_when_it_was_seen():
    state = move("parallel", dnssec="unsign")
    measure(state, "dnssec", Seen(report("plan-step", ds=["1 13 2 ab"], ds_ttl=int(7 * DAY))), 10.0)
    assert state.longest("ds_ttl", None) == 7 * DAY


def test_a_clock_that_was_set_back_lets_no_wait_begin_before_what_came_earlier():
    state = move("decommission", entered={"decommission": 400 * DAY})
    state.note("delegated", True, 0.0)
    assert state.seen == {"delegated": 400 * DAY}
    silence.note(state, [Look(1.0, 5.0)], 1.0)
    silence.note(state, [Look(1.0, 5.0)], 400 * DAY + 60)
    assert silence.judge(state, 400 * DAY + 60, "").faults == {"too-early"}


def counted(metrics: str, *old: str) -> Report:
    """Ten days of silence on each page of `metrics`."""
    state = move("decommission", metrics=metrics, old=list(old))
    page = 'process_start_time_seconds 1\nnameserver_zone_queries_total{zone="shop.example",kind="normal"} 7\n'
    pages = [page] * len(state.pages)
    gates._quiet(state, 0.0, lambda: pages)
    return gates._quiet(state, 10 * DAY, lambda: pages)


def test_silence_at_one_of_two_servers_is_no_silence_of_the_old_side():
    one, two = "http://192.0.2.1/metrics", "http://192.0.2.2/metrics"
    assert counted(one, "192.0.2.1", "192.0.2.2").faults == {"not-all-counted"}
    assert counted(f"{one} {two}", "192.0.2.1", "192.0.2.2").exit_code == 0
    assert counted(f"{one} {one}", "192.0.2.1", "2001:db8::1").exit_code == 0  # both are one process


def test_an_address_that_does_not_answer_hides_no_count_of_what_differs_at_the_others():
    silent = Report("compare", "shop.example", facts={"silent": "192.0.2.1"}, unreachable=True)
    same = Report("compare", "shop.example", facts=dict.fromkeys(("only_old", "only_new", "ttl_only"), 0))
    same.facts["soa_differs"] = False
    seen = [parity._Seen(Source("new", str(at), at), found) for at, found in ((ONE, silent), (TWO, same))]
    metrics = DriftMetrics("shop.example", "192.0.2.1", None, None)
    found = Report("compare", "shop.example", facts=parity._facts(seen))
    found.add(Level.FAULT, "connect-timeout", "192.0.2.1: no answer")
    metrics.note(found, 5.0)
    assert found.facts["only_old"] == 0
