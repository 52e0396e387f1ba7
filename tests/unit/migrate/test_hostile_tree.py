"""A tree whose zones lead from one to the next: every walk has an end, and says so."""

import asyncio
from collections.abc import Callable

import dns.flags
import dns.message
import dns.name
import dns.rrset
import pytest
from dns.rdatatype import NS, A

from nameserver.config.model import Endpoint
from nameserver.errors import Reason
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply, Silence
from nameserver.migrate.asking.nameservers import find_targets
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.asking.walk import (
    MOST_ADDRESSES,
    MOST_ENDLESS,
    MOST_QUESTIONS,
    MOST_SERVERS,
    Endless,
    NotFound,
)
from nameserver.migrate.checks import delegation, exposure, serials

ROOT = Endpoint("192.0.2.53", 53)
SHOP = dns.name.from_text("shop.example.")
MANY = 400


class Hostile(Asker):
    """Answers by `answer(question, message)`, which fills the message; None means silence. Counts the questions."""

    def __init__(self, answer: Callable[[Question, dns.message.Message], bool | None]) -> None:
        super().__init__()
        self.answer = answer
        self.asked = 0
        self.now = 0.0

    async def ask(self, question: Question, endpoint: Endpoint, **_: object) -> Outcome:
        self.asked += 1
        assert self.asked < 20 * MOST_QUESTIONS, "there is no end to it"
        message = dns.message.make_response(question.message())
        if self.answer(question, message) is None:
            self.now += self.timeout
            return Silence(endpoint, False, Reason.CONNECT_TIMEOUT, "no answer")
        return Reply(endpoint, False, message, 0.0)


def tree(asker: Hostile) -> Tree:
    made = Tree(asker, (ROOT,), families=frozenset({4}))
    made.bounds.clock = lambda: asker.now
    return made


def add(section: list[dns.rrset.RRset], owner: object, kind: str, *values: str) -> bool:
    section.append(dns.rrset.from_text(owner, 60, "IN", kind, *values))
    return True


def fans_out(question: Question, message: dns.message.Message) -> bool:
    """Each top-level zone has thirteen servers, without addresses, each in a top-level zone of its own."""
    top = question.name.split(2)[1]
    inside = top.to_text().rstrip(".")
    return add(message.authority, top, "NS", *(f"ns.{inside}-{number}." for number in range(13)))


def test_servers_that_are_found_by_way_of_thirteen_others_each_are_given_up():
    asker = Hostile(fans_out)
    with pytest.raises(Endless, match="without an end"):
        asyncio.run(tree(asker).addresses(dns.name.from_text("ns.a.")))
    assert asker.asked <= MOST_QUESTIONS


def test_after_some_walks_without_an_end_no_other_is_begun_and_none_is_walked_twice():
    asker = Hostile(fans_out)
    made = tree(asker)
    for number in range(40):
        for _ in range(2):
            with pytest.raises(Endless):
                asyncio.run(made.addresses(dns.name.from_text(f"ns.b{number}.")))
    assert asker.asked <= MOST_ENDLESS * MOST_QUESTIONS


def test_a_walk_has_a_time_too():
    def silent(question: Question, message: dns.message.Message) -> bool | None:
        return None if question.type == A else fans_out(question, message)

    def leads_to_silence(question: Question, message: dns.message.Message) -> bool | None:
        if len(question.name) == 2:  # a top-level zone: its servers come with addresses, and are silent
            add(message.authority, question.name, "NS", *(f"n{number}.{question.name}" for number in range(12)))
            return all(
                add(message.additional, f"n{number}.{question.name}", "A", f"192.0.2.{number}") for number in range(12)
            )
        message.flags |= dns.flags.AA  # there is nothing more, and the next question is on its way
        return silent(question, message)

    asker = Hostile(leads_to_silence)
    asker.timeout = 100.0
    made = tree(asker)
    made.bounds.patience = 500.0
    with pytest.raises(Endless, match="time"):
        asyncio.run(made.addresses(dns.name.from_text("a.b.c.d.e.f.g.h.")))


def test_a_lame_server_is_no_word_on_the_zone_where_another_has_it():
    lame, good = "192.0.2.1", "192.0.2.2"

    class Two(Hostile):
        async def ask(self, question: Question, endpoint: Endpoint, **_: object) -> Outcome:
            message = dns.message.make_response(question.message())
            if endpoint == ROOT:
                add(message.authority, "shop.", "NS", "ns1.shop.", "ns2.shop.")
                add(message.additional, "ns1.shop.", "A", lame)
                add(message.additional, "ns2.shop.", "A", good)
            elif endpoint.host == lame:
                add(message.authority, ".", "NS", "a.root.")  # upward
            else:
                message.flags |= dns.flags.AA
                add(message.answer, question.name, "A", "192.0.2.9")
            return Reply(endpoint, False, message, 0.0)

    found = asyncio.run(tree(Two(fans_out)).addresses(dns.name.from_text("www.shop.")))
    assert [endpoint.host for endpoint in found] == ["192.0.2.9"]


def test_servers_that_are_found_only_by_way_of_one_another_are_named_as_a_circle():
    def circle(question: Question, message: dns.message.Message) -> bool:
        other = {"one": "two", "two": "one"}[question.name.split(2)[1].to_text(omit_final_dot=True)]
        return add(message.authority, question.name.split(2)[1], "NS", f"ns.{other}.")

    with pytest.raises(NotFound, match="no server of one") as told:
        asyncio.run(tree(Hostile(circle)).addresses(dns.name.from_text("ns.one.")))
    assert not isinstance(told.value, Endless)


def crowded(question: Question, message: dns.message.Message) -> bool:
    """A good tree, but for a zone of four hundred servers, the first of which has as many addresses."""
    name = question.name
    if name == SHOP and question.type == NS:
        return add(message.authority, SHOP, "NS", *(f"ns{number}.net." for number in range(MANY)))
    if name.to_text() == "ns0.net." and question.type == A:
        message.flags |= dns.flags.AA
        return add(message.answer, name, "A", *(f"10.0.{number // 250}.{number % 250}" for number in range(MANY)))
    if name.to_text() in ("net.", "example.") and question.type == NS:
        add(message.authority, name, "NS", f"a.{name}")
        return add(message.additional, f"a.{name}", "A", "192.0.2.1")
    message.flags |= dns.flags.AA
    return add(message.answer, name, "A", "192.0.2.2") if question.type == A else True


def test_of_hundreds_of_servers_and_addresses_some_are_asked_and_the_rest_is_told():
    asker = Hostile(crowded)
    seen = asyncio.run(delegation.measure(tree(asker), SHOP))
    report = delegation.judge(SHOP, seen)
    assert "too-many" in report.faults
    told = [finding.text for finding in report.findings if finding.code == "too-many"]
    assert any(f"{MANY} servers" in text for text in told), told
    assert any(f"{MANY} addresses" in text for text in told), told
    assert len(seen.children) <= MOST_SERVERS * MOST_ADDRESSES
    assert all(len(finding.text) < 2000 for finding in report.findings)


def test_the_list_of_all_servers_is_bounded_and_says_so():
    targets, problems = asyncio.run(find_targets(tree(Hostile(crowded)), SHOP))
    assert len({target.label for target in targets}) <= MOST_SERVERS
    assert any(each.code == "too-many" and f"{MANY} servers" in each.text for each in problems)
    for report in (serials.judge(SHOP, [], problems), exposure.judge(SHOP, [], problems)):
        assert {finding.code for finding in report.findings} == {"too-many"}


def hostile_child(question: Question, message: dns.message.Message) -> bool:
    """shop.example is delegated to a server without an end, and to a good one."""
    if question.name == SHOP and question.type == NS:
        return add(message.authority, SHOP, "NS", "ns.evil.", "ns.net.")
    if question.name in (SHOP, dns.name.from_text("example.")) or question.name.to_text().endswith("net."):
        return crowded(question, message)
    return fans_out(question, message)


def test_a_server_without_an_end_is_no_server_without_an_address():
    _, problems = asyncio.run(find_targets(tree(Hostile(hostile_child)), SHOP))
    for report in (serials.judge(SHOP, [], problems), exposure.judge(SHOP, [], problems)):
        assert {finding.code for finding in report.findings} == {"endless"}


def test_a_delegation_to_servers_without_an_end_is_a_finding_of_its_own():
    asker = Hostile(hostile_child)
    report = delegation.judge(SHOP, asyncio.run(delegation.measure(tree(asker), SHOP)))
    assert "endless" in report.faults
    assert asker.asked < 2 * MOST_QUESTIONS
