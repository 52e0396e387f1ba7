"""Our answers beside those of Knot, NSD and BIND, a small run; and that the comparison would see what is wrong.

The large run is `make differential`. NAMESERVER_DIFFERENTIAL_SEED draws other zones and questions for the small one.
"""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from struct import pack
from threading import Event, Thread

import dns.name
import dns.zone
import pytest
from differential import own_rules, rounds
from differential.compare import Case, Served, Vote, differing, judge, make_case
from differential.differences import DIFFERENCES, TEXT, document
from differential.draft import RRset, ZoneDraft
from differential.exchange import TRIES
from differential.findings import lines
from differential.primary import records
from differential.questions import Edns, Question, questions
from differential.rounds import run
from differential.seen import FIELDS, Broken, see, spelled
from differential.servers import KINDS, OURS, Servers
from differential.sign_zone import PROGRAMS
from differential.worlds import World, make_world
from support.peers import requires
from support.served_zones import HEAD

SEED = int(os.environ.get("NAMESERVER_DIFFERENTIAL_SEED", "20261121"))
NAME = dns.name.from_text("www.Example.test.")
QUESTION = Question("0/0/0", NAME, 1, edns=Edns(1232))
PEER_NAMES = ("Knot", "NSD", "BIND")


@pytest.mark.interop
@pytest.mark.timeout(240)
def test_no_answer_differs_from_the_majority_but_in_ways_that_are_meant() -> None:
    requires(*(each for kind in KINDS.values() for each in kind.programs), *PROGRAMS)
    tally = run(SEED, 20, 4000, DIFFERENCES, signed=True)
    command = f"make differential SEED={SEED} ZONES=20"
    assert tally.compared == 4000 and not any(tally.lost.values())
    assert not tally.unexplained, "\n".join(lines(tally, DIFFERENCES, command, False))


def test_the_document_is_what_the_table_says() -> None:
    assert TEXT.read_text() == "\n".join(document()) + "\n"


def test_a_seed_draws_the_same_zones_and_questions_again_and_another_seed_others() -> None:
    def drawn(seed: int) -> list[object]:
        world = make_world(seed, 1, 5, signed=False)
        return [records(zone) for zone in world.zones] + [list(questions(world, 3, 50))]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_a_question_is_the_same_whatever_the_number_asked_for() -> None:
    world = make_world(5, 0, 3, signed=False)
    assert list(questions(world, 2, 40))[:10] == list(questions(world, 2, 10))


# --- the comparison -------------------------------------------------------------------------------------------------


def reply(
    *,
    flags: int = 0x8400,
    answer: bytes = b"",
    authority: bytes = b"",
    additional: bytes = b"",
    opt: bytes | None = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00",
    question: bytes = QUESTION.question,
) -> bytes:
    """A reply to the question, of sections with one record or none."""
    counts = (1, bool(answer), bool(authority), bool(additional) + (opt is not None))
    return pack("!HHHHHH", 7, flags, *counts) + question + answer + authority + additional + (opt or b"")


def rr(owner: str, rdtype: int, ttl: int, rdata: bytes) -> bytes:
    return dns.name.from_text(owner).to_wire() + pack("!HHIH", rdtype, 1, ttl, len(rdata)) + rdata


ADDRESS = rr("www.Example.test.", 1, 300, b"\xc0\x00\x02\x01")


@pytest.fixture(scope="module")
def served() -> Served:
    zone = dns.zone.from_text(f"{HEAD}\nwww 300 A 192.0.2.1\n*.wild 60 A 192.0.2.2", "Example.test.", relativize=False)
    draft = ZoneDraft(dns.name.from_text("Example.test."), random.Random(0))
    draft.replace(
        RRset(name, rdataset.rdtype, rdataset.ttl, list(rdataset)) for name, rdataset in zone.iterate_rdatasets()
    )
    return Served(World(0, 0, [draft]))


def case_of(served: Served, ours: bytes | None, *peers: bytes | None, question: Question = QUESTION) -> Case:
    wires = {OURS: ours} | dict(zip(PEER_NAMES, peers, strict=False))
    return make_case(question, wires, OURS, {name: {0} for name in PEER_NAMES}, served)


def fields(votes: list[Vote]) -> set[str]:
    return {each.field for each in votes}


GOOD = reply(answer=ADDRESS)
CHANGES = {
    "reply": None,
    "rcode": reply(answer=ADDRESS, flags=0x8405),
    "opcode": reply(answer=ADDRESS, flags=0x9400),
    "aa": reply(answer=ADDRESS, flags=0x8000),
    "tc": reply(answer=ADDRESS, flags=0x8600),
    "rd": reply(answer=ADDRESS, flags=0x8500),
    "ra": reply(answer=ADDRESS, flags=0x8480),
    "z": reply(answer=ADDRESS, flags=0x8440),
    "ad": reply(answer=ADDRESS, flags=0x8420),
    "cd": reply(answer=ADDRESS, flags=0x8410),
    "question": reply(answer=ADDRESS, question=b"\x03www" + QUESTION.question[4:].lower()),
    "answer": reply(answer=ADDRESS.replace(b"\x00\x00\x01\x2c", b"\x00\x00\x01\x2d")),
    "authority": reply(answer=ADDRESS, authority=rr("example.test.", 6, 300, bytes(22))),
    "additional": reply(answer=ADDRESS, additional=rr("other.example.test.", 1, 300, bytes(4))),
    "opt": reply(answer=ADDRESS, opt=None),
    "optional_authority": reply(answer=ADDRESS, authority=rr("example.test.", 2, 300, b"\x03ns1\x00")),
    "optional_additional": None,
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_difference_in_any_field_is_seen(served: Served, field: str) -> None:
    good, bad = GOOD, CHANGES[field]
    if field == "optional_additional":  # the address of the server that the answer names
        good = reply(answer=rr("example.test.", 2, 300, b"\x03ns1\x00"))
        bad = reply(answer=rr("example.test.", 2, 300, b"\x03ns1\x00"), additional=rr("ns1.", 1, 1, bytes(4)))
    assert differing(case_of(served, good, good, good, good)) == []
    assert field in fields(differing(case_of(served, bad, good, good, good)))


def test_letters_order_and_compression_make_no_difference(served: Served) -> None:
    two = ADDRESS + ADDRESS[:-1] + b"\x02"
    head = pack("!HHHHHH", 7, 0x8400, 1, 2, 0, 0) + QUESTION.question
    turned = b"\xc0\x0c" + ADDRESS[len(NAME.to_wire()) : -1] + b"\x02" + ADDRESS.lower()
    assert see(head + two).answer == see(head + turned).answer


def test_the_majority_decides_and_without_one_ours_must_be_somebodys(served: Served) -> None:
    one, two, three, four = (reply(answer=ADDRESS[:-1] + bytes((octet,))) for octet in range(4))
    assert differing(case_of(served, one, one, one, two)) == []
    assert fields(differing(case_of(served, two, one, one, two))) == {"answer"}
    assert differing(case_of(served, two, one, two, three)) == []
    assert fields(differing(case_of(served, four, one, two, three))) == {"answer"}


def test_a_server_that_fails_has_no_vote_on_sections(served: Served) -> None:
    failed, empty = reply(flags=0x8002), reply()
    assert differing(case_of(served, GOOD, GOOD, GOOD, failed)) == []
    assert fields(differing(case_of(served, empty, GOOD, failed, GOOD))) == {"answer"}


def test_a_server_that_does_not_hold_the_zone_has_no_vote(served: Served) -> None:
    refused = reply(flags=0x8005)
    wires = {OURS: GOOD, "Knot": refused, "NSD": refused, "BIND": GOOD}
    case = make_case(QUESTION, wires, OURS, {"Knot": set(), "NSD": set(), "BIND": {0}}, served)
    assert differing(case) == []


@pytest.mark.parametrize("field", ["rcode", "aa", "tc", "answer", "authority", "additional", "opt"])
def test_no_entry_of_the_table_explains_what_has_no_reason(served: Served, field: str) -> None:
    verdict = judge(case_of(served, CHANGES[field], GOOD, GOOD, GOOD), DIFFERENCES)
    assert field in fields(verdict.unexplained)
    assert not verdict.good


def test_where_a_long_chain_ends_nobody_else_must_tell_but_nobody_may_deny(served: Served) -> None:
    def chain(links: int, rcode: int) -> bytes:
        names = [NAME.to_wire(), *(pack("!BB", 1, 97 + number) + NAME.to_wire()[4:] for number in range(links))]
        owners = [b"\xc0\x0c" if number == 0 else name for number, name in enumerate(names)]
        records = [
            owner + pack("!HHIH", 5, 1, 300, len(target)) + target
            for owner, target in zip(owners, names[1:], strict=False)
        ]
        head = pack("!HHHHHH", 7, 0x8400 | rcode, 1, links, 0, 1)
        return head + GOOD[12 : 12 + len(QUESTION.question)] + b"".join(records) + GOOD[-11:]

    def unexplained(*peers: bytes) -> set[str]:
        return fields(judge(case_of(served, chain(7, 3), *peers), DIFFERENCES).unexplained)

    begun, formerr = chain(5, 0), pack("!HHHHHH", 7, 0x8001, 0, 0, 0, 0)
    assert "rcode" not in unexplained(begun, formerr)
    assert "rcode" not in unexplained(begun, chain(7, 3))
    assert "rcode" in unexplained(begun, chain(7, 0))


def test_whoever_does_not_reply_in_time_is_asked_again_with_more_patience(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "PATIENCE", 0.02)
    asked: list[int] = []
    over = Event()

    def late(sock: socket.socket) -> None:
        """A machine that has no time for the first questions."""
        while not over.is_set():
            with suppress(TimeoutError):
                query, client = sock.recvfrom(512)
                asked.append(sock.getsockname()[1])
                if asked.count(asked[-1]) > TRIES:
                    sock.sendto(query[:2] + GOOD[2:], client)

    with ExitStack() as stack:
        ports = {}
        for name in (*PEER_NAMES, OURS):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(0.1)
            ports[name] = sock.getsockname()[1]
            if name == OURS:
                asked += [ports[name]] * TRIES
            thread = Thread(target=late, args=(sock,))
            thread.start()
            stack.callback(thread.join)
        servers = Servers(ports, {name: {0} for name in PEER_NAMES}, {})
        stack.callback(over.set)
        (verdict,) = rounds.compare(served.world, servers, [QUESTION], DIFFERENCES)
    assert verdict.good and None not in verdict.case.wires.values()


def test_a_reply_that_cannot_be_read_to_its_end_is_broken() -> None:
    for wire in (GOOD[:-1], GOOD + b"\x00", GOOD[:11], GOOD[:2] + b"\x04\x00" + GOOD[4:]):
        with pytest.raises(Broken):
            see(wire)
    loop = GOOD[:12] + b"\xc0\x0c" + GOOD[14:]
    with pytest.raises(Broken):
        see(loop)


# --- the rules for our own replies ----------------------------------------------------------------------------------


def wrong_replies() -> Iterator[tuple[str, Question, bytes]]:
    other_case = reply(answer=ADDRESS.replace(b"Example", b"eXAMPLE"))
    yield "letters", QUESTION._replace(transport="tcp"), other_case
    yield "a TTL", QUESTION, reply(answer=rr("www.Example.test.", 1, 301, b"\xc0\x00\x02\x01"))
    yield "data of nobody", QUESTION, reply(answer=ADDRESS[:-1] + b"\x09")
    twice = pack("!HHHHHH", 7, 0x8400, 1, 2, 0, 1) + GOOD[12:-11] + ADDRESS + GOOD[-11:]
    yield "a record twice", QUESTION, twice
    yield "no OPT", QUESTION, CHANGES["opt"]
    yield "too large", QUESTION._replace(edns=None), reply(answer=rr("www.Example.test.", 16, 1, bytes(600)), opt=None)
    elsewhere = QUESTION._replace(name=dns.name.from_text("a.Example.test."))
    yield "an answer to another name", elsewhere, reply(answer=ADDRESS, question=elsewhere.question)
    yield "a negative TTL", QUESTION, reply(authority=rr("Example.test.", 6, 301, bytes(22)))


WRONG = {what: (question, wire) for what, question, wire in wrong_replies()}


@pytest.mark.parametrize("what", WRONG)
def test_our_replies_must_be_what_the_zone_holds(served: Served, what: str) -> None:
    question, wire = WRONG[what]
    assert own_rules.faults(case_of(served, wire, question=question), wire, own_rules.Contents.of(served))


def test_a_reply_must_come_again() -> None:
    assert own_rules.repeated(GOOD, b"id" + GOOD[2:]) == []
    for other in (None, GOOD[:-1], GOOD[:2] + b"\x80" + GOOD[3:]):
        assert own_rules.repeated(GOOD, other)


def test_a_right_reply_breaks_no_rule(served: Served) -> None:
    contents = own_rules.Contents.of(served)
    assert own_rules.faults(case_of(served, GOOD), GOOD, contents) == []
    wild = QUESTION._replace(name=dns.name.from_text("A.wild.example.test."))
    made = reply(answer=rr("A.wild.example.test.", 1, 60, b"\xc0\x00\x02\x02"), question=wild.question)
    assert own_rules.faults(case_of(served, made, question=wild), made, contents) == []
    assert [record.owner for record in spelled(made)] == [wild.name.to_wire()]
