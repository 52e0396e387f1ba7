"""Who still sends resolvers to the old side: by names that it alone has, or by addresses where the names stay."""

import asyncio

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from support.moves import move

from nameserver.config.model import Endpoint
from nameserver.errors import Reason
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply, Silence
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.asking.walk import NotFound
from nameserver.migrate.checks import delegation
from nameserver.migrate.checks.delegation import Measured, ParentView
from nameserver.migrate.checks.old_keys import Look
from nameserver.migrate.checks.sides import Source
from nameserver.migrate.move import key_look
from nameserver.migrate.move.survey import Survey

ZONE = dns.name.from_text("shop.example.")
OLD, NEW, PARENT = (Endpoint(f"192.0.2.{number}", 53) for number in (1, 2, 3))


class Quiet(Asker):
    """Nobody answers but the old side, which has an A; who is asked is kept."""

    async def ask(self, question: Question, endpoint: Endpoint, **_: object) -> Outcome:
        self.asked.add(endpoint)
        if endpoint == OLD and question.type == dns.rdatatype.A:
            message = dns.message.make_response(question.message())
            message.answer.append(dns.rrset.from_text(question.name, 86400, "IN", "A", "192.0.2.9"))
            return Reply(endpoint, False, message, 0.0)
        return Silence(endpoint, False, Reason.CONNECT_TIMEOUT, "no answer")


class Names(Tree):
    """Knows these addresses and no others."""

    def __init__(self, asker: Asker, known: dict[str, str]) -> None:
        super().__init__(asker)
        self.known = known

    async def addresses(self, name: dns.name.Name) -> tuple[Endpoint, ...]:
        text = name.to_text(omit_final_dot=True)
        if text not in self.known:
            raise NotFound(f"{text}: nobody answers")
        return (Endpoint(self.known[text], 53),)


def look(
    monkeypatch: pytest.MonkeyPatch,
    named: str,
    *,
    own: tuple[str, ...] = ("ns.a",),
    new: tuple[str, ...] = ("ns.b",),
    addresses: dict[str, str] | None = None,
    glue: str = "",
    ds: frozenset[str] = frozenset(),
    ever_signed: bool = False,
) -> tuple[Look, set[Endpoint]]:
    view = ParentView("p", PARENT, frozenset({named}), 60, (("ns.a", glue),) if glue else (), ds)

    async def parent(*_: object, **__: object) -> Measured:
        return Measured("example", [view])

    monkeypatch.setattr(delegation, "measure", parent)
    asker = Quiet()
    tree = Names(asker, addresses or {})
    survey = Survey(asker, tree, ZONE, (Source("old", "a", OLD),), (Source("new", "b", NEW),))
    state = move("cutover", old_ns=list(own), new_ns=list(new))
    lasting = [("shop.example.", "SOA"), ("www.shop.example.", "A")]
    return asyncio.run(key_look.look(survey, state, lasting, ever_signed=ever_signed)), asker.asked


def test_ttls_that_were_raised_again_at_the_old_side_count(monkeypatch: pytest.MonkeyPatch):
    seen, _ = look(monkeypatch, "ns.b", ever_signed=True)
    assert seen.ttls.answers == 86400


@pytest.mark.parametrize(("named", "sends", "to_new"), [("ns.a", True, False), ("ns.b", False, True)])
def test_the_parent_s_names_tell_to_which_side_resolvers_are_sent(
    named: str, sends: bool, to_new: bool, monkeypatch: pytest.MonkeyPatch
):
    seen, _ = look(monkeypatch, named)
    assert (bool(seen.sends), seen.to_new) == (sends, to_new)


SAME = {"own": ("ns.a",), "new": ("ns.a",)}


@pytest.mark.parametrize(
    ("addresses", "glue", "sends", "to_new"),
    [
        ({"ns.a": OLD.host}, OLD.host, True, False),
        ({"ns.a": NEW.host}, OLD.host, True, True),
        ({"ns.a": NEW.host}, NEW.host, False, True),
        ({}, NEW.host, True, True),
    ],
    ids=["before", "the glue is behind", "after", "nobody tells its address"],
)
def test_where_the_names_stay_their_addresses_tell(
    addresses: dict[str, str], glue: str, sends: bool, to_new: bool, monkeypatch: pytest.MonkeyPatch
):
    seen, _ = look(monkeypatch, "ns.a", addresses=addresses, glue=glue, **SAME)  # type: ignore[arg-type]
    assert (bool(seen.sends), seen.to_new) == (sends, to_new)


def test_names_of_the_old_side_that_nobody_knew_are_told_by_their_addresses_too(monkeypatch: pytest.MonkeyPatch):
    seen, _ = look(monkeypatch, "ns.a", own=(), addresses={"ns.a": OLD.host})
    assert (bool(seen.sends), seen.to_new) == (True, False)


@pytest.mark.parametrize(
    ("ds", "ever_signed", "asked"),
    [(frozenset(), False, False), (frozenset({"1 13 2 ab"}), False, True), (frozenset(), True, True)],
)
def test_the_sides_of_a_zone_that_was_never_signed_are_not_asked(
    ds: frozenset[str], ever_signed: bool, asked: bool, monkeypatch: pytest.MonkeyPatch
):
    _, whom = look(monkeypatch, "ns.b", ds=ds, ever_signed=ever_signed)
    assert whom == ({OLD, NEW} if asked else set())
