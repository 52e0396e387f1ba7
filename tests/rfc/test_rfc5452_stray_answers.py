"""RFC 5452: a question of `migrate` over UDP ends with the answer to it, whatever else comes first (§9.1)."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.name
import dns.rrset
import dns.tsig
import pytest
from dns.rdatatype import SOA

from nameserver.config.model import Endpoint
from nameserver.errors import Reason
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply, Silence
from nameserver.wire.tsig import TsigKey

ZONE = dns.name.from_text("shop.example.")
LOOPBACK = "127.0.0.1"
KEY = TsigKey(b"\x01k\x00", "hmac-sha256", b"secret" * 6)
# What is sent before the answer: (from the server's own address, datagram), of the answer and the query.
Junk = Callable[[bytes, bytes], tuple[bool, bytes]]


@contextmanager
def server(*junk: Junk, answers: bool = True, key: dns.tsig.Key | None = None) -> Iterator[Endpoint]:
    """A real socket that sends all of `junk` before its answer to the first question, or instead of one."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        own.bind((LOOPBACK, 0))
        other.bind((LOOPBACK, 0))
        own.settimeout(20)

        def serve() -> None:
            query, client = own.recvfrom(65535)
            asked = dns.message.from_wire(query, keyring={key.name: key} if key else None)
            answer = dns.message.make_response(asked)
            answer.flags |= dns.flags.AA
            answer.answer.append(dns.rrset.from_text(ZONE, 60, "IN", "SOA", "a. b. 7 1 1 1 1"))
            wire = answer.to_wire()
            for make in junk:
                true_source, datagram = make(wire, query)
                (own if true_source else other).sendto(datagram, client)
            if answers:
                own.sendto(wire, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Endpoint(*own.getsockname())
        finally:
            thread.join()


def ask(where: Endpoint, timeout: float = 10.0, key: TsigKey | None = None) -> Outcome:
    asker = Asker(timeout=timeout, tries=1)
    return asyncio.run(asker.ask(Question(ZONE, SOA), where, tcp=False, key=key))


def another_serial(answer: bytes) -> bytes:
    found = dns.message.from_wire(answer)
    found.answer[:] = [dns.rrset.from_text(ZONE, 60, "IN", "SOA", "a. b. 666 1 1 1 1")]
    return found.to_wire()


def another_id(answer: bytes, _: bytes) -> tuple[bool, bytes]:
    return True, bytes((answer[0] ^ 1, *another_serial(answer)[1:]))


def another_question(answer: bytes, _: bytes) -> tuple[bool, bytes]:
    return True, another_serial(answer).replace(b"\x04shop", b"\x04shot")


def another_source(answer: bytes, _: bytes) -> tuple[bool, bytes]:
    return False, another_serial(answer)


def the_query_itself(_: bytes, query: bytes) -> tuple[bool, bytes]:
    return True, query


def no_message(_: bytes, __: bytes) -> tuple[bool, bytes]:
    return True, b"\x00junk"


def cut_off(answer: bytes, _: bytes) -> tuple[bool, bytes]:
    return True, answer[:-1]


def bad_mac(answer: bytes, _: bytes) -> tuple[bool, bytes]:
    return True, answer[:-20] + b"\xff" * 14 + answer[-6:]  # behind it: original id, error, length of other data


JUNK = [another_id, another_question, another_source, the_query_itself, no_message, cut_off]


@pytest.mark.parametrize("junk", JUNK)
def test_section_9_1_what_is_no_answer_to_the_question_does_not_end_it(junk: Junk):
    with server(junk, junk) as where:
        outcome = ask(where)
    assert isinstance(outcome, Reply), outcome
    assert [record.serial for record in outcome.message.answer[0]] == [7]


@pytest.mark.parametrize("junk", [another_id, another_question, another_source, the_query_itself, no_message])
def test_section_9_1_where_nothing_but_such_comes_it_was_silence(junk: Junk):
    with server(junk, answers=False) as where:
        outcome = ask(where, timeout=0.3)
    assert isinstance(outcome, Silence), outcome
    assert outcome.reason is Reason.CONNECT_TIMEOUT


def test_an_answer_that_cannot_be_read_is_named_as_such_where_no_better_one_follows():
    with server(cut_off, answers=False) as where:
        outcome = ask(where)
    assert isinstance(outcome, Silence), outcome
    assert outcome.reason is Reason.MALFORMED


@pytest.mark.parametrize(("answers", "reason"), [(True, None), (False, Reason.TSIG_BADSIG)])
def test_a_signature_that_does_not_hold_is_passed_over_for_one_that_does(answers: bool, reason: Reason | None):
    key = dns.tsig.Key("k.", KEY.secret, "hmac-sha256.")
    with server(bad_mac, answers=answers, key=key) as where:
        outcome = ask(where, key=KEY)
    assert (outcome.reason if isinstance(outcome, Silence) else None) is reason, outcome
