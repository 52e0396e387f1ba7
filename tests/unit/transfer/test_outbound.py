"""Packing a zone into AXFR messages: order, sizes, compression."""

import random
import struct

import dns.message
import dns.rdatatype
import pytest
from support.cpu import least_cpu_seconds
from support.transfer_messages import APEX, MAIL, NOW, NS, QUERY_ID, WWW, build, inbound, rr, soa

from nameserver.errors import Reason, TransferError
from nameserver.transfer.outbound import TARGET, axfr_messages
from nameserver.wire import codes
from nameserver.wire.edns import pack_opt
from nameserver.zone.builder import BuiltZone
from nameserver.zone.node import find_rrset, owner_of, pack_node

QUESTION = APEX + struct.pack("!HH", codes.AXFR, 1)


def send(built: BuiltZone, question: bytes = QUESTION, **options) -> list[bytes]:
    apex = built.apex_as_received
    soa_rrset = find_rrset(built.nodes[b""], codes.SOA, apex)
    items = [(owner_of(node, key, apex), node) for key, node in built.nodes.items()]
    return list(axfr_messages(soa_rrset, items, QUERY_ID, question, **options))


def receive(messages: list[bytes]) -> BuiltZone:
    transfer = inbound()
    assert [transfer.feed(each, NOW) for each in messages] == [False] * (len(messages) - 1) + [True]
    return transfer.result().built


def big(count: int) -> BuiltZone:
    hosts = [rr("h 300 A 192.0.2.1")._replace(owner=b"\x06h%05d" % n + APEX) for n in range(count)]
    return build(soa(7), NS, *hosts)


def test_the_soa_comes_first_and_last_and_nowhere_else():
    """RFC 5936 §2.2."""
    (only,) = send(build(soa(7), NS, WWW, MAIL))
    answer = dns.message.from_wire(only, one_rr_per_rrset=True).answer
    kinds = [dns.rdatatype.to_text(rrset.rdtype) for rrset in answer]
    assert kinds == ["SOA", "NS", "A", "AAAA", "SOA"]


@pytest.mark.parametrize("reserve", [0, 300])
def test_an_opt_record_ends_the_first_message_and_takes_its_room(reserve: int):
    """RFC 5936 §2.2.5."""
    opt = pack_opt(1232, options=[(65001, bytes(1000))])
    zone = big(4000)
    first, *others = send(zone, opt=opt, reserve=reserve)
    assert first.endswith(opt) and len(first) <= TARGET
    assert struct.unpack("!H", first[10:12]) == (1,)
    assert dns.message.from_wire(first).options[0].otype == 65001
    assert all(each[10:12] == b"\0\0" for each in others)
    assert receive([first, *others]).nodes == zone.nodes


def test_header_and_question_are_those_of_the_reply():
    first, *others = send(big(2000), flags=codes.QR | codes.AA | codes.RD)
    assert first[:6] == struct.pack("!HHH", QUERY_ID, codes.QR | codes.AA | codes.RD, 1)
    assert first[12 : 12 + len(QUESTION)] == QUESTION
    assert others and all(each[12 : 12 + len(QUESTION)] == QUESTION for each in others), "owners point at it"


def test_messages_are_filled_to_the_target_and_not_beyond():
    messages = send(big(5000))
    assert all(TARGET - 100 < len(each) <= TARGET for each in messages[:-1])
    assert receive(messages).nodes == big(5000).nodes


def test_room_for_a_signature_is_left():
    messages = send(big(5000), reserve=200)
    assert max(map(len, messages)) <= TARGET
    large = rr("x 1 A 1.1.1.1")._replace(type=65280, rdata=bytes(65_000))
    assert max(map(len, send(build(soa(7), NS, large), reserve=300))) <= 65_535 - 300


def test_owners_are_compressed():
    (only,) = send(build(soa(7), NS, WWW, rr("www 300 A 192.0.2.2"), rr("www 300 AAAA ::1")))
    assert only.count(b"\3www") == 1
    assert only.count(b"\xc0\x0c\0\6\0\1") == 2, "both SOAs begin with a pointer to the question"


def test_an_apex_in_another_case_than_the_question_keeps_its_case():
    """RFC 5936 §3.4: pointers lead to names of the same case only."""
    upper = b"\7EXAMPLE\3com\0"
    built = build(soa(7)._replace(owner=upper), NS, WWW._replace(owner=b"\3www" + upper), MAIL)
    messages = send(built)
    received = receive(messages)
    assert received.apex_as_received == upper
    assert received.nodes == built.nodes
    assert messages[0].count(b"\xc0\x0c") == 0


def test_an_apex_that_holds_nothing_but_its_soa_adds_nothing():
    """No such zone is taken in; a name without a record would be no message."""
    built = build(soa(7), NS)
    only_soa = pack_node([find_rrset(built.nodes[b""], codes.SOA, APEX)])
    (only,) = send(BuiltZone({b"": only_soa}, APEX, built.soa, built.soa_rdata, 1, 0, built.tally))
    answer = dns.message.from_wire(only, one_rr_per_rrset=True).answer
    assert [dns.rdatatype.to_text(rrset.rdtype) for rrset in answer] == ["SOA", "SOA"]


def test_the_root_zone_can_be_sent():
    built = build(soa(7), NS)
    root = BuiltZone({b"": built.nodes[b""]}, b"\0", built.soa, built.soa_rdata, 2, 0, built.tally)
    (only,) = send(root, b"\0" + struct.pack("!HH", codes.AXFR, 1))
    answer = dns.message.from_wire(only, one_rr_per_rrset=True).answer
    assert [str(rrset.name) for rrset in answer] == [".", ".", "."]


def test_names_of_very_many_labels_are_sent_as_fast_as_any_others():
    """C43: what a record costs does not grow with the labels of its owner, nor does any message cost much."""
    chooser = random.Random(43)
    host = rr("h 300 A 192.0.2.1")

    def deep() -> bytes:
        labels = (255 - len(APEX)) // 2
        return b"".join(bytes((1, chooser.randrange(97, 123))) for _ in range(labels)) + APEX

    many = build(soa(7), NS, *(host._replace(owner=deep()) for _ in range(2000)))
    usual = big(2000)
    assert least_cpu_seconds(lambda: send(many)) < 4 * least_cpu_seconds(lambda: send(usual))
    assert len(send(many)) > 10, "so each of its messages is a small part of that"
    assert receive(send(many)).nodes == many.nodes


def test_a_large_record_has_a_message_of_its_own():
    large = rr("x 1 A 1.1.1.1")._replace(type=65280, rdata=bytes(60_000))
    built = build(soa(7), NS, large, rr("y 1 A 192.0.2.1"), rr("y 1 A 192.0.2.2"))
    messages = send(built)
    assert sorted(len(each) > 60_000 for each in messages) == [False, False, True]
    assert receive(messages).nodes == built.nodes


def test_names_out_of_a_pointers_reach_are_written_in_full():
    """A pointer has 14 bits: nothing that stands behind a large record can be pointed to."""
    pair = [rr("x 1 A 1.1.1.1")._replace(type=kind, rdata=bytes(40_000)) for kind in (65280, 65281)]
    behind = [rr("y 1 A 192.0.2.1"), rr("y 1 A 192.0.2.2")]
    first = rr("a 1 A 1.1.1.1")._replace(type=65280, rdata=bytes(20_000))
    for content in (pair, [first, *behind]):
        built = build(soa(7), NS, *content)
        assert receive(send(built)).nodes == built.nodes


@pytest.mark.parametrize(("room", "fits"), [(0, True), (-1, False)])
def test_a_record_too_large_for_any_message_ends_the_transfer(room, fits):
    """No loop, one clear error."""
    size = 65_535 - 12 - (2 + len(APEX)) - 10 - room
    built = build(soa(7), NS, rr("x 1 A 1.1.1.1")._replace(type=65280, rdata=bytes(size)))
    if fits:
        assert receive(send(built)).nodes == built.nodes
        return
    with pytest.raises(TransferError) as caught:
        send(built)
    assert caught.value.reason is Reason.LIMIT_BYTES
    assert "x.example.com TYPE65280 takes" in caught.value.detail
