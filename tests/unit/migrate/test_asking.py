"""What counts as an answer, and as a question that a server has counted."""

import asyncio
import socket
import struct
from threading import Thread

import dns.flags
import dns.message
import dns.name
import dns.rrset
from dns.rdatatype import NS, SOA

from nameserver.config.model import Endpoint
from nameserver.errors import Reason
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply, Silence

ZONE = dns.name.from_text("shop.example.")


def answer(query: bytes, *, tc: bool, rdclass: str = "IN") -> bytes:
    made = dns.message.make_response(dns.message.from_wire(query))
    made.flags |= dns.flags.AA | (dns.flags.TC if tc else 0)
    made.answer.append(dns.rrset.from_text(ZONE, 60, rdclass, "NS", "ns1.shop.example."))
    return made.to_wire()


def test_an_answer_that_is_cut_short_over_tcp_too_is_no_answer():
    with (
        socket.create_server(("127.0.0.1", 0)) as stream,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(stream.getsockname())
        stream.settimeout(20)
        datagrams.settimeout(20)

        def serve() -> None:
            query, client = datagrams.recvfrom(65535)
            datagrams.sendto(answer(query, tc=True), client)
            peer, _ = stream.accept()
            with peer:
                wire = answer(peer.recv(65535)[2:], tc=True)
                peer.sendall(struct.pack("!H", len(wire)) + wire)

        thread = Thread(target=serve)
        thread.start()
        outcome = asyncio.run(Asker().ask(Question(ZONE, NS), Endpoint(*stream.getsockname())))
        thread.join()
    assert isinstance(outcome, Silence), outcome
    assert (outcome.reason, outcome.detail) == (Reason.MALFORMED, "the answer is cut short over TCP too")


def asked_of(where: socket.socket, *questions: Question) -> tuple[list[Outcome], int]:
    asker = Asker(timeout=0.2, tries=1)
    endpoint = Endpoint(*where.getsockname())

    async def all_of_them() -> list[Outcome]:
        return [await asker.ask(question, endpoint) for question in questions]

    return asyncio.run(all_of_them()), asker.asked_as_users[endpoint]


def test_a_question_that_got_no_answer_is_not_taken_off_what_the_server_counts():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert asked_of(silent, Question(ZONE, NS))[1] == 0


def test_what_was_answered_is_taken_off_but_for_what_no_server_counts_as_use():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)

        def serve() -> None:
            for _ in range(2):
                query, client = server.recvfrom(65535)
                server.sendto(answer(query, tc=False, rdclass="CH"), client)

        thread = Thread(target=serve)
        thread.start()
        outcomes, counted = asked_of(server, Question(ZONE, NS), Question(ZONE, SOA))
        thread.join()
    assert counted == 1
    assert isinstance(outcomes[0], Reply)
    assert outcomes[0].answer(ZONE, NS) is None  # a record of another class is none of the zone's


def test_a_server_from_before_edns_is_asked_without_it():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)

        def serve() -> None:
            query, client = server.recvfrom(65535)
            server.sendto(query[:2] + b"\x80\x01" + b"\0" * 8, client)  # FORMERR, a header alone
            query, client = server.recvfrom(65535)
            assert dns.message.from_wire(query).edns == -1
            server.sendto(answer(query, tc=False), client)

        thread = Thread(target=serve)
        thread.start()
        [outcome], _ = asked_of(server, Question(ZONE, NS))
        thread.join()
    assert isinstance(outcome, Reply), outcome
    assert outcome.rcode == "NOERROR"
