"""Outgoing messages, judged by dnspython."""

import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
import pytest

from nameserver.wire import codes, names
from nameserver.wire.query import build_query
from nameserver.wire.request import parse_request
from nameserver.wire.rrset import Record, RRset

ZONE = names.from_text("Example.com")
SOA_RDATA = (
    names.from_text("ns.example.net")
    + names.from_text("host.example.net")
    + b"".join(n.to_bytes(4, "big") for n in (2024010101, 3600, 600, 86400, 300))
)
SOA = Record(ZONE, codes.SOA, codes.IN, 300, SOA_RDATA)


def test_a_plain_query_has_one_question_and_nothing_else():
    message = dns.message.from_wire(build_query(77, ZONE, codes.SOA))
    assert message.id == 77
    assert message.flags == 0
    assert message.question[0].to_text() == "Example.com. IN SOA"
    assert message.edns == -1


def test_an_ixfr_request_carries_the_held_soa_in_its_authority_section():
    data = build_query(1, ZONE, codes.IXFR, soa=SOA)
    message = dns.message.from_wire(data)
    assert message.authority[0][0].serial == 2024010101
    assert parse_request(data).soa_serial == 2024010101


def test_a_notify_carries_the_new_soa_in_its_answer_section():
    rrset = RRset.of(ZONE, codes.SOA, 300, [SOA_RDATA])
    data = build_query(1, ZONE, codes.SOA, opcode=codes.NOTIFY, flags=codes.AA, soa=rrset)
    message = dns.message.from_wire(data)
    assert message.opcode() == dns.opcode.NOTIFY
    assert message.flags & dns.flags.AA
    assert message.answer[0].rdtype == dns.rdatatype.SOA
    assert parse_request(data).soa_serial == 2024010101


def test_an_soa_under_another_spelling_of_the_name_keeps_its_own():
    data = build_query(1, ZONE, codes.IXFR, soa=SOA._replace(owner=names.from_text("example.COM")))
    assert names.from_text("example.COM") in data


def test_the_root_zone_can_be_asked_for():
    data = build_query(1, b"\x00", codes.IXFR, soa=SOA._replace(owner=b"\x00"))
    assert parse_request(data).soa_serial == 2024010101


@pytest.mark.parametrize(("edns", "size"), [(True, 1232), (4096, 4096)])
def test_edns_announces_the_size_asked_for(edns, size):
    message = dns.message.from_wire(build_query(1, ZONE, codes.SOA, edns=edns, options=[(codes.OPT_EXPIRE, b"")]))
    assert message.payload == size
    assert message.options[0].otype == codes.OPT_EXPIRE


def test_options_without_edns_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="EDNS"):
        build_query(1, ZONE, codes.SOA, options=[(codes.OPT_EXPIRE, b"")])
