"""The reader of a primary's reply to an SOA query."""

import struct

import dns.edns
import dns.flags
import dns.message
import dns.rrset
import pytest
from support.cpu import least_cpu_seconds

from nameserver.errors import WireError
from nameserver.wire import codes, names
from nameserver.wire.query import build_query
from nameserver.wire.response import MAX_RECORDS, parse_soa_response

ZONE = names.from_text("example.com")
SOA_TEXT = "ns1.example.com. host.example.com. 2024010101 3600 600 86400 300"
SOA_RDATA = (
    names.from_text("ns1.example.com")
    + names.from_text("host.example.com")
    + struct.pack("!IIIII", 2024010101, 3600, 600, 86400, 300)
)


def reply(id: int = 5, edns: bool = False, options: list[dns.edns.Option] | None = None) -> dns.message.Message:
    query = dns.message.from_wire(build_query(id, ZONE, codes.SOA, edns=edns))
    message = dns.message.make_response(query)
    message.flags |= dns.flags.AA
    message.answer.append(dns.rrset.from_text("example.com.", 300, "IN", "SOA", SOA_TEXT))
    if edns:
        message.use_edns(0, options=options or [])
    return message


def test_an_answer_is_read_with_its_rdata_decompressed():
    response = parse_soa_response(reply().to_wire(), 5, ZONE)
    assert response == (0, True, False, 2024010101, SOA_RDATA, None, False)


def test_records_beside_the_soa_are_stepped_over():
    message = reply()
    message.authority.append(dns.rrset.from_text("example.com.", 300, "IN", "NS", "ns1.example.com."))
    message.additional.append(dns.rrset.from_text("ns1.example.com.", 300, "IN", "A", "10.0.0.1"))
    assert parse_soa_response(message.to_wire(), 5, ZONE).serial == 2024010101


def test_edns_expire_is_read():
    option = dns.edns.GenericOption(codes.OPT_EXPIRE, (86000).to_bytes(4, "big"))
    response = parse_soa_response(reply(edns=True, options=[option]).to_wire(), 5, ZONE)
    assert response.has_edns
    assert response.expire == 86000


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x01" * 5])
def test_an_expire_option_of_the_wrong_size_is_not_taken(value):
    option = dns.edns.GenericOption(codes.OPT_EXPIRE, value)
    assert parse_soa_response(reply(edns=True, options=[option]).to_wire(), 5, ZONE).expire is None


def test_an_extended_rcode_is_put_together():
    message = reply(edns=True)
    message.answer.clear()
    message.set_rcode(16)
    assert parse_soa_response(message.to_wire(), 5, ZONE).rcode == 16


def test_an_soa_in_the_authority_section_only_is_not_an_answer():
    message = reply()
    message.authority, message.answer = message.answer, []
    response = parse_soa_response(message.to_wire(), 5, ZONE)
    assert (response.serial, response.soa_rdata) == (None, None)


def test_the_soa_of_another_name_is_not_an_answer():
    message = reply()
    message.answer = [dns.rrset.from_text("example.org.", 300, "IN", "SOA", SOA_TEXT)]
    assert parse_soa_response(message.to_wire(), 5, ZONE).serial is None


def test_a_name_in_another_case_is_the_same_name():
    assert parse_soa_response(reply().to_wire().replace(b"example", b"eXAMPLE"), 5, ZONE).serial == 2024010101


@pytest.mark.parametrize("rcode", [1, 2, 4, 5, 9])
def test_an_error_may_come_without_its_question(rcode):
    assert parse_soa_response(struct.pack("!HHHHHH", 5, 0x8000 | rcode, 0, 0, 0, 0), 5, ZONE).rcode == rcode


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(11),
        reply(id=6).to_wire(),
        build_query(5, ZONE, codes.SOA),  # QR=0
        struct.pack("!HHHHHH", 5, 0xA000, 0, 0, 0, 0),  # opcode
        struct.pack("!HHHHHH", 5, 0x8000, 0, 0, 0, 0),  # NOERROR without the question
        struct.pack("!HHHHHH", 5, 0x8000, 2, 0, 0, 0) + (ZONE + b"\x00\x06\x00\x01") * 2,
        struct.pack("!HHHHHH", 5, 0x8000, 1, 0, 0, 0) + ZONE + b"\x00\x06\x00",
        struct.pack("!HHHHHH", 5, 0x8000, 1, 0, 0, 0) + ZONE + b"\x00\x01\x00\x01",
        struct.pack("!HHHHHH", 5, 0x8000, 1, 0, 0, 0) + ZONE + b"\x00\x06\x00\x03",
        struct.pack("!HHHHHH", 5, 0x8000, 1, 0, 0, 0) + names.from_text("example.org") + b"\x00\x06\x00\x01",
    ],
)
def test_what_does_not_belong_to_the_query_is_refused_so_that_listening_goes_on(data):
    with pytest.raises(WireError):
        parse_soa_response(data, 5, ZONE)


def test_a_reply_cut_at_any_octet_is_refused():
    data = reply(edns=True).to_wire()
    for end in range(len(data)):
        with pytest.raises(WireError):
            parse_soa_response(data[:end], 5, ZONE)


def test_a_truncated_reply_cut_inside_a_record_still_says_that_it_is_truncated():
    """C03."""
    message = reply()
    message.flags |= dns.flags.TC
    data = message.to_wire()
    for end in range(12 + len(ZONE) + 4, len(data)):
        assert parse_soa_response(data[:end], 5, ZONE).truncated


def head(answers: int) -> bytes:
    return struct.pack("!HHHHHH", 5, 0x8400, 1, answers, 0, 0) + ZONE + b"\x00\x06\x00\x01"


def test_an_soa_of_the_wrong_size_is_refused():
    for rdata in (SOA_RDATA[:-1], SOA_RDATA + b"\x00"):
        data = head(1) + b"\xc0\x0c" + struct.pack("!HHIH", 6, 1, 60, len(rdata)) + rdata
        with pytest.raises(WireError, match="size"):
            parse_soa_response(data, 5, ZONE)


def test_more_records_than_an_soa_reply_can_need_are_refused():
    with pytest.raises(WireError, match="256"):
        parse_soa_response(head(MAX_RECORDS + 1), 5, ZONE)


def test_more_than_four_soa_records_are_refused():
    soa = b"\xc0\x0c" + struct.pack("!HHIH", 6, 1, 60, len(SOA_RDATA)) + SOA_RDATA
    assert parse_soa_response(head(4) + soa * 4, 5, ZONE).serial == 2024010101
    with pytest.raises(WireError, match="SOA"):
        parse_soa_response(head(5) + soa * 5, 5, ZONE)


def test_the_dearest_reply_costs_less_than_a_millisecond():
    """C42: SOA records whose owners are pointer chains of 128 hops."""
    chain = bytearray(head(5) + b"\x01a\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 300))
    target = 12
    for _ in range(150):
        here = len(chain)
        chain += (0xC000 | target).to_bytes(2, "big")
        target = here
    owner = (0xC000 | target - 2 * 23).to_bytes(2, "big")
    data = bytes(chain) + (owner + struct.pack("!HHIH", 6, 1, 60, 24) + owner * 2 + bytes(20)) * 4
    assert least_cpu_seconds(lambda: parse_soa_response(data, 5, ZONE)) < 0.001
