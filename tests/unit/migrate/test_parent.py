"""What a parent's server says, and what it does not say by failing."""

import asyncio

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from dns.rdatatype import NS

from nameserver.config.model import Endpoint
from nameserver.errors import Reason
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply, Silence
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.asking.walk import NotFound
from nameserver.migrate.checks import delegation, dnssec
from nameserver.migrate.checks.delegation import Measured, ParentView
from nameserver.migrate.checks.signed_sides import measure_side
from nameserver.migrate.report import Level

ZONE = dns.name.from_text("shop.example.")
AT = Endpoint("192.0.2.1", 53)
NEW, OLD = frozenset({"new.shop.example"}), frozenset({"old.shop.example"})


class Parent(Asker):
    """A server of the parent that delegates, and answers the question for DS as it is told."""

    def __init__(self, ds: str) -> None:
        super().__init__()
        self.ds = ds

    async def ask(self, question: Question, endpoint: Endpoint, **_: object) -> Outcome:
        message = dns.message.make_response(question.message())
        if question.type == NS and question.name != ZONE:
            message.flags |= dns.flags.AA
        elif question.type == NS:
            message.authority.append(dns.rrset.from_text(ZONE, 60, "IN", "NS", "old.shop.example."))
        elif self.ds == "silent":
            return Silence(endpoint, False, Reason.CONNECT_TIMEOUT, "no answer")
        elif self.ds == "referral":
            message.authority.append(dns.rrset.from_text(ZONE, 60, "IN", "NS", "old.shop.example."))
        elif self.ds == "none":
            message.flags |= dns.flags.AA
        else:
            message.set_rcode(dns.rcode.from_text(self.ds))
        return Reply(endpoint, False, message, 0.0)


@pytest.mark.parametrize("answer", ["silent", "SERVFAIL", "REFUSED", "referral"])
def test_a_question_for_ds_that_fails_is_no_absence_of_ds(answer: str):
    view = asyncio.run(delegation._ask_parent(Parent(answer), ZONE, "ns.example", AT))
    assert view.problem.startswith("asked for DS: ")


def test_a_server_of_the_parent_that_says_with_authority_that_there_is_no_ds_is_believed():
    view = asyncio.run(delegation._ask_parent(Parent("none"), ZONE, "ns.example", AT))
    assert (view.problem, view.ds) == ("", frozenset())


def test_a_parent_that_tells_nothing_of_its_ds_is_not_taken_for_one_without():
    with pytest.raises(NotFound, match="asked for DS"):
        asyncio.run(dnssec.examine(Tree(Parent("silent"), (AT,)), ZONE, [("old", AT)], 0.0))


def seen(*, child_too: bool) -> Measured:
    return Measured("example", [ParentView("ns.example", AT, OLD, 60, child_too=child_too)])


@pytest.mark.parametrize("child_too", [False, True])
def test_another_set_than_was_expected_is_named_also_where_the_parents_server_serves_the_zone_itself(child_too: bool):
    assert "straggler" in delegation.judge(ZONE, seen(child_too=child_too), NEW).faults


def test_what_is_wanted_is_not_told_to_be_the_parents():
    found = Measured("example", [ParentView("ns.example", AT, OLD, 60)], [delegation.ChildView("ns", AT, OLD)])
    assert [each.text for each in delegation.judge(ZONE, found, NEW).findings if each.code == "ns-mismatch"] == [
        "ns (192.0.2.1:53) has {old.shop.example} as the zone's own NS, wanted are {new.shop.example}"
    ]


def test_a_parent_that_serves_the_zone_itself_sends_nobody_to_another_side():
    view = ParentView("ns.example", AT, NEW, 60, child_too=True)
    levels = {
        each.level
        for expected in (NEW, None)
        for each in delegation.judge(ZONE, Measured("example", [view]), expected).findings
        if each.code == "parent-is-child" and (each.next_step != "") == (expected is not None)
    }
    assert levels == {Level.WARNING, Level.NOTE}


def test_an_empty_set_of_expected_names_is_not_taken_for_whatever_is_there():
    assert delegation.judge(ZONE, seen(child_too=False), frozenset()).exit_code == 1


class Scripted(Asker):
    """Answers of the zone's own server by (name, type): records, None for silence, "elsewhere" for a referral."""

    def __init__(self, answers: dict[tuple[str, str], list[str] | str | None]) -> None:
        super().__init__()
        self.answers = answers

    async def ask(self, question: Question, endpoint: Endpoint, **_: object) -> Outcome:
        kind = dns.rdatatype.to_text(question.type)
        found = self.answers.get((str(question.name), kind), [])
        if found is None:
            return Silence(endpoint, False, Reason.CONNECT_TIMEOUT, "no answer")
        message = dns.message.make_response(question.message())
        if isinstance(found, list):
            message.flags |= dns.flags.AA
        if isinstance(found, list) and found:
            message.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
        return Reply(endpoint, False, message, 0.0)


def own_servers(address: list[str] | str | None) -> delegation.ChildView:
    asker = Scripted({("shop.example.", "NS"): ["ns1.shop.example."], ("ns1.shop.example.", "A"): address})
    return asyncio.run(delegation._ask_child(asker, ZONE, "ns1.shop.example", AT))


def judged(view: delegation.ChildView) -> set[str]:
    glue = (("ns1.shop.example", "192.0.2.1"),)
    parent = ParentView("ns.example", AT, frozenset({"ns1.shop.example"}), 60, glue)
    return delegation.judge(ZONE, Measured("example", [parent], [view])).faults


def test_a_server_with_a_name_in_the_zone_needs_its_address_there_and_not_as_glue_alone():
    assert judged(own_servers([])) == {"address-missing"}
    assert judged(own_servers(["192.0.2.1"])) == set()
    assert judged(own_servers(["192.0.2.2"])) == {"glue-differs"}


def test_an_address_that_nobody_could_ask_for_is_no_glue_that_is_right():
    assert judged(own_servers(None)) == {"server-silent"}


def test_the_address_of_a_server_below_a_delegation_is_another_zones_to_tell():
    assert judged(own_servers("elsewhere")) == set()


def test_a_server_of_the_parent_whose_address_nobody_could_tell_may_say_something_else():
    seen = Measured("example", [ParentView("ns.example", AT, NEW, 60)], unfound=["ns.elsewhere, whose address …"])
    assert "parent-silent" in delegation.judge(ZONE, seen, NEW).faults
    assert seen.silent == "ns.elsewhere, whose address …"


def test_who_looks_for_the_parents_servers_tells_which_were_not_found():
    referral = dns.rrset.from_text("example.", 60, "IN", "NS", "ns.example.", "ns.elsewhere.")
    glue = dns.rrset.from_text("ns.example.", 60, "IN", "A", "192.0.2.1")

    class Root(Asker):
        async def ask(self, question: Question, endpoint: Endpoint, **_: object) -> Outcome:
            if question.name.is_subdomain(dns.name.from_text("elsewhere.")):
                return Silence(endpoint, False, Reason.CONNECT_TIMEOUT, "no answer")
            message = dns.message.make_response(question.message())
            message.authority.append(referral)
            message.additional.append(glue)
            return Reply(endpoint, False, message, 0.0)

    found = asyncio.run(delegation.measure(Tree(Root(), (AT,)), ZONE, only_parent=True))
    assert found.unfound[0].startswith("ns.elsewhere, whose address is not found: no server of . answered")


def test_a_side_without_an_soa_has_no_signatures_that_could_hold():
    side = asyncio.run(measure_side(Scripted({("shop.example.", "DNSKEY"): []}), ZONE, "old", AT))
    assert side.problem == "answered without the zone's SOA"
