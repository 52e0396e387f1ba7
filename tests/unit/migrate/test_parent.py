"""What a parent's server says, and what it does not say by failing."""

import asyncio

import dns.flags
import dns.message
import dns.name
import dns.rcode
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
        if question.type == NS:
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


def test_an_empty_set_of_expected_names_is_not_taken_for_whatever_is_there():
    assert delegation.judge(ZONE, seen(child_too=False), frozenset()).exit_code == 1
