"""The digest of a report is of what was found: a second later it is the same, though less time is left."""

import asyncio

import dns.name
import dns.rdatatype
import pytest
from support.moves import Seen, move, report, snapshot

from nameserver.cli.migrate.render import markdown, text
from nameserver.cli.present import Palette
from nameserver.config.model import Endpoint
from nameserver.migrate.checks import dnssec_plan, propagation
from nameserver.migrate.checks.query_counts import Look
from nameserver.migrate.checks.signed_sides import Measured
from nameserver.migrate.moments import moment, remaining
from nameserver.migrate.move import gates, silence
from nameserver.migrate.move.gate import combine, opening
from nameserver.migrate.move.phases import GATES, State, gates_before
from nameserver.migrate.report import Report

DAY = 86400.0
ZONE = dns.name.from_text("shop.example")


def waiting_parent(now: float) -> Report:
    state = move("decommission", new_ns=["new.shop.example"], seen={"delegated": 5.0})
    found = gates.measure(Seen(report()), state, ("parent-ttl",), now, snapshot(), "", None)  # type: ignore[arg-type]
    return asyncio.run(found)["parent-ttl"]


def waiting_silence(now: float) -> Report:
    state = move("decommission")
    for when in (0.0, 10.0):
        silence.note(state, [Look(7, 1.0)], when)
    return silence.judge(state, now, "")


def stale_resolver(now: float) -> Report:
    seen = propagation.Sight(Endpoint("9.9.9.9", 53), ("old.shop.example.",), int(DAY - now), False, "", False)
    return propagation.judge(ZONE, dns.rdatatype.NS, [seen], expected=["new.shop.example."])


def old_ttl_at_resolver(now: float) -> Report:
    seen = propagation.Sight(Endpoint("9.9.9.9", 53), ("192.0.2.1",), int(DAY - now), False, "", False)
    return propagation.judge_ttls(ZONE, {(ZONE, dns.rdatatype.A): [seen]}, 300)


def waiting_for_the_ds(now: float) -> Report:
    found = Report("dnssec", "shop.example")
    seen = Measured({"192.0.2.5": frozenset()}, 0, [])
    dnssec_plan.tell(found, dnssec_plan.unsign(ZONE, seen, 5.0, 3600, now))
    return found


WAITING = [waiting_parent, waiting_silence, stale_resolver, old_ttl_at_resolver, waiting_for_the_ds]


@pytest.mark.parametrize("measure", WAITING)
def test_two_looks_a_second_apart_have_one_digest(measure):  # type: ignore[no-untyped-def]
    one, two = measure(20.0), measure(21.0)
    assert one.exit_code == 1
    assert one.digest() == two.digest()
    assert combine("shop.example", {"it": one}).digest() == combine("shop.example", {"it": two}).digest()


@pytest.mark.parametrize("measure", [waiting_parent, waiting_silence, stale_resolver, old_ttl_at_resolver])
def test_the_time_that_is_left_is_still_told(measure):  # type: ignore[no-untyped-def]
    one, two = (measure(when).as_json()["findings"][0]["text"] for when in (20.0, 3700.0))
    assert one != two


def test_gates_that_only_wait_say_when_all_of_them_will_be_open():
    assert opening([waiting_parent(20.0), waiting_silence(20.0), report()]) == 5.0 + 3 * DAY
    assert opening([waiting_silence(20.0), waiting_for_the_ds(20.0)]) == 5.0 + 2 * DAY
    assert opening([waiting_silence(20.0), report("straggler")]) is None
    assert opening([stale_resolver(20.0)]) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-3, "0s"), (59, "59s"), (61, "1m 1s"), (3600, "1h"), (172743, "1d 23h"), (15 * DAY, "15d")],
)
def test_a_time_span_is_told_in_its_two_largest_units(seconds: float, text: str):
    assert remaining(seconds) == text


def test_a_moment_is_told_in_utc():
    assert moment(0.0) == "1970-01-01 00:00:00 UTC"


def test_gates_at_resolvers_are_there_where_resolvers_are_named_and_nowhere_else():
    state = State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "zones")
    named = State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "zones", resolvers=["192.0.2.9"])
    assert gates_before("decommission", state) == ("delegation", "old-keys")
    assert "ttl-propagated" not in gates_before("cutover", state)
    assert all(gates_before(phase, named) == wanted for phase, wanted in GATES.items())
    assert gates_before(None, state) == ()


def test_resolvers_are_asked_for_what_caches_have_kept_longest():
    ttls = {"www.shop.example. A": 600, "shop.example. NS": 9000, "*.shop.example. A": 900, "m.shop.example. MX": 700}
    asked = gates.longest_lived("shop.example", snapshot(ttls=ttls))
    assert asked == [("shop.example.", "SOA"), ("m.shop.example.", "MX"), ("www.shop.example.", "A")]


def test_a_resolver_with_a_ttl_of_before_closes_the_gate_and_one_without_the_name_does_not():
    found = old_ttl_at_resolver(20.0)
    assert found.faults == {"ttl-high"}
    gone = propagation.Sight(Endpoint("9.9.9.9", 53), (), 0, False, "NXDOMAIN", False)
    assert propagation.judge_ttls(ZONE, {(ZONE, dns.rdatatype.A): [gone]}, 300).exit_code == 0
    silent = propagation.Sight(Endpoint("9.9.9.9", 53), (), 0, False, "connect-timeout", False)
    assert propagation.judge_ttls(ZONE, {(ZONE, dns.rdatatype.A): [silent]}, 300).exit_code == 3


def validating(*marks: str) -> Report:
    """Resolvers that set AD ("ad"), that do not ("plain"), and that find the zone bogus ("bogus")."""
    sights = [
        propagation.Sight(
            Endpoint("192.0.2.9", port), (), 0, mark == "ad", "SERVFAIL" if mark == "bogus" else "", mark == "bogus"
        )
        for port, mark in enumerate(marks, 1)
    ]
    return propagation.judge_validation(ZONE, sights)


@pytest.mark.parametrize(
    ("marks", "code", "codes"),
    [
        (("ad", "plain"), 0, set()),
        (("plain", "plain"), 0, {"not-validated"}),
        (("ad", "bogus"), 1, {"bogus"}),
    ],
)
def test_one_resolver_that_validates_is_enough_and_one_that_finds_it_bogus_too_many(
    marks: tuple[str, ...], code: int, codes: set[str]
):
    found = validating(*marks)
    assert (found.exit_code, {finding.code for finding in found.findings}) == (code, codes)


def test_the_digest_stands_in_each_form_and_the_verdict_last():
    found = report("lags")
    found.verdict = "No."
    assert text(found, Palette(False))[-2:] == [f"Digest: {found.digest()}", "No."]
    assert markdown(found)[-1] == f"Digest: `{found.digest()}`"
    assert found.as_json()["digest"] == found.digest()
