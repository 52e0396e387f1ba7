"""The parser of requests: what is taken in, what is FORMERR, what is dropped."""

import contextlib
import struct
from functools import partial

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operations import operations

from nameserver.wire import codes, names
from nameserver.wire.query import build_query
from nameserver.wire.request import BadRequest, Request, Unanswerable, parse_request
from nameserver.wire.rrset import Record
from nameserver.wire.tsig import TsigKey, sign

ZONE = names.from_text("Example.com")
QUESTION = ZONE + b"\x00\x06\x00\x01"
SOA_RDATA = b"\x00\x00" + bytes([0, 0, 0, 9]) + bytes(16)
SOA = Record(ZONE, codes.SOA, codes.IN, 300, SOA_RDATA)
OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00"
KEY = TsigKey(names.from_text("key"), "hmac-sha256", bytes(32))


def header(flags: int = 0, questions: int = 1, answers: int = 0, authorities: int = 0, additionals: int = 0) -> bytes:
    return struct.pack("!HHHHHH", 4660, flags, questions, answers, authorities, additionals)


def record(rdtype: int, rdata: bytes, owner: bytes = b"\xc0\x0c", rdclass: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", rdtype, rdclass, 0, len(rdata)) + rdata


def refused(data: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse_request(data)
    assert caught.value.rcode == codes.FORMERR
    return caught.value


def test_a_query_is_read():
    data = header(codes.RD) + QUESTION
    assert parse_request(data) == Request(
        id=4660, flags=codes.RD, opcode=0, qname=ZONE, qname_folded=ZONE.lower(), qtype=6, qclass=1, question=QUESTION,
        edns=None, tsig=None, soa_serial=None,
    )  # fmt: skip


def test_a_query_with_edns_is_read():
    edns = parse_request(header(additionals=1) + QUESTION + OPT).edns
    assert edns is not None
    assert (edns.udp_size, edns.version, edns.dnssec_ok, edns.options) == (1232, 0, True, ())


def test_opt_and_tsig_together_are_read():
    data, mac = sign(header(additionals=1) + QUESTION + OPT, KEY, 1000)
    request = parse_request(data)
    assert request.edns is not None
    assert request.tsig is not None
    assert request.tsig.mac == mac


@pytest.mark.parametrize("size", range(12))
def test_less_than_a_header_is_dropped(size):
    with pytest.raises(Unanswerable):
        parse_request(bytes(size))


def test_a_reply_is_dropped():
    with pytest.raises(Unanswerable):
        parse_request(header(codes.QR) + QUESTION)


def test_a_bad_request_carries_what_an_answer_needs():
    error = refused(header(codes.RD | codes.NOTIFY << 11, additionals=3) + QUESTION + OPT)
    assert (error.id, error.flags, error.opcode) == (4660, codes.RD | codes.NOTIFY << 11, codes.NOTIFY)
    assert error.question == QUESTION
    assert error.edns is None


def test_a_bad_request_whose_opt_was_read_carries_it():
    assert refused(header(additionals=1) + QUESTION + OPT + b"x").edns is not None


@pytest.mark.parametrize("questions", [0, 2, 65535])
def test_other_than_one_question_is_refused(questions):
    assert refused(header(questions=questions) + QUESTION).question == b""


@pytest.mark.parametrize("end", range(12, 12 + len(QUESTION)))
def test_a_question_cut_anywhere_is_refused(end):
    assert refused((header() + QUESTION)[:end]).question == b""


def test_a_compressed_question_is_refused():
    refused(header() + b"\x03www\xc0\x04\x00\x01\x00\x01")
    refused(header() + b"\xc0\x0c\x00\x01\x00\x01")


def test_a_qname_of_255_octets_is_read_and_one_of_256_refused():
    """C46."""
    head = (b"\x3f" + b"a" * 63) * 3
    longest = head + b"\x3d" + b"b" * 61 + b"\x00"
    assert parse_request(header() + longest + b"\x00\x01\x00\x01").qname == longest
    refused(header() + head + b"\x3e" + b"b" * 62 + b"\x00" + b"\x00\x01\x00\x01")


def test_counts_of_65535_over_an_empty_body_are_refused():
    """C44."""
    refused(struct.pack("!HHHHHH", 1, 0, 65535, 65535, 65535, 65535))
    refused(struct.pack("!HHHHHH", 1, 0, 1, 65535, 65535, 65535) + QUESTION)


@pytest.mark.parametrize("section", ["answers", "authorities", "additionals"])
def test_a_query_full_of_records_is_refused_without_reading_them(section):
    """C45: the records here are not even well-formed."""
    refused(header(**{section: 4000}) + QUESTION + b"\xff" * 48000)


def test_a_record_in_the_answer_or_authority_of_a_query_is_refused():
    refused(header(answers=1) + QUESTION + record(6, SOA_RDATA))
    refused(header(authorities=1) + QUESTION + record(6, SOA_RDATA))


def test_an_ixfr_takes_one_soa_in_its_authority_section_only():
    question = ZONE + b"\x00\xfb\x00\x01"
    assert parse_request(header(authorities=1) + question + record(6, SOA_RDATA)).soa_serial == 9
    assert parse_request(header() + question).soa_serial is None
    refused(header(answers=1) + question + record(6, SOA_RDATA))
    refused(header(authorities=2) + question + record(6, SOA_RDATA) * 2)
    refused(header(answers=1, authorities=1) + question + record(6, SOA_RDATA) * 2)


def test_a_notify_takes_one_soa_in_its_answer_section_only():
    flags = codes.NOTIFY << 11
    assert parse_request(header(flags, answers=1) + QUESTION + record(6, SOA_RDATA)).soa_serial == 9
    assert parse_request(header(flags) + QUESTION).soa_serial is None
    refused(header(flags, authorities=1) + QUESTION + record(6, SOA_RDATA))
    refused(header(flags, answers=2) + QUESTION + record(6, SOA_RDATA) * 2)


@pytest.mark.parametrize(
    "hint",
    [
        record(1, b"\x7f\x00\x00\x01"),  # not an SOA
        record(6, SOA_RDATA, rdclass=3),
        record(6, SOA_RDATA, owner=names.from_text("other.org")),
        record(6, SOA_RDATA[:-1]),
        record(6, SOA_RDATA + b"\x00"),
        record(6, SOA_RDATA)[:-1],
        record(6, SOA_RDATA)[:9],
        b"\xc0\xff" + record(6, SOA_RDATA)[2:],
    ],
)
def test_a_hint_that_is_not_the_zones_soa_is_refused(hint):
    refused(header(codes.NOTIFY << 11, answers=1) + QUESTION + hint)


def test_the_hint_may_spell_the_zone_in_another_case():
    data = header(codes.NOTIFY << 11, answers=1) + QUESTION + record(6, SOA_RDATA, owner=ZONE.upper())
    assert parse_request(data).soa_serial == 9


@pytest.mark.parametrize(
    "additional",
    [
        b"",
        OPT[:5],
        OPT[:-1] + b"\x01",  # an option that is not there
        OPT[:-2] + b"\x00\x02\x00\x03",  # half an option
        b"\x01a" + OPT,  # owner is not the root
        b"\xc0\x0c" + OPT[1:],
        record(1, b"\x7f\x00\x00\x01")[:-1],  # of a type that is passed over, but cut short
    ],
)
def test_an_additional_record_that_is_not_a_sound_opt_is_refused(additional):
    refused(header(additionals=1) + QUESTION + additional)


def test_an_additional_record_of_another_type_is_passed_over():
    address = record(1, b"\x7f\x00\x00\x01")
    assert parse_request(header(additionals=1) + QUESTION + address).edns is None
    for additional in (address + OPT, OPT + address):
        assert parse_request(header(additionals=2) + QUESTION + additional).edns is not None
    refused(header(additionals=3) + QUESTION + address + address + OPT)


def test_a_query_without_a_question_is_read_where_it_brings_a_cookie():
    cookie = OPT[:-2] + b"\x00\x0c\x00\x0a\x00\x08" + bytes(8)
    request = parse_request(header(questions=0, additionals=1) + cookie)
    assert (request.question, request.qname, request.qtype) == (b"", b"", 0)
    assert request.edns is not None
    assert request.edns.options == ((10, bytes(8)),)
    assert refused(header(questions=0, additionals=1) + OPT).edns is not None
    refused(header(questions=0, additionals=1) + cookie + b"x")
    refused(header(codes.NOTIFY << 11, questions=0, additionals=1) + cookie)


def test_two_opt_records_are_refused():
    refused(header(additionals=2) + QUESTION + OPT + OPT)


def test_a_higher_edns_version_is_read_without_looking_at_its_options():
    opt = OPT[:6] + b"\x01" + OPT[7:-2] + b"\x00\x01\xff"
    edns = parse_request(header(additionals=1) + QUESTION + opt).edns
    assert edns is not None
    assert (edns.version, edns.options) == (1, ())


def test_octets_behind_the_message_are_refused():
    refused(header() + QUESTION + b"\x00")
    refused(header(additionals=1) + QUESTION + OPT + b"\x00")


@pytest.mark.parametrize("opcode", [1, 2, 3, 5, 6, 15])
def test_other_opcodes_give_their_question_whatever_follows(opcode):
    request = parse_request(header(opcode << 11, answers=9) + QUESTION + b"\xff" * 50)
    assert (request.opcode, request.question, request.qname, request.qtype) == (opcode, QUESTION, ZONE, 6)


@pytest.mark.parametrize("body", [b"", b"\x03ww", b"\xc0\x0c\x00\x01\x00\x01", QUESTION[:-1]])
def test_other_opcodes_without_a_readable_question_are_taken_without_one(body):
    request = parse_request(header(codes.UPDATE << 11) + body)
    assert (request.opcode, request.question, request.qname) == (codes.UPDATE, b"", b"")


def test_other_opcodes_with_two_questions_are_taken_without_one():
    assert parse_request(header(codes.STATUS << 11, questions=2) + QUESTION * 2).question == b""


@pytest.mark.parametrize("opcode", [1, 2, 3, 5, 6, 15])
@pytest.mark.parametrize("asked", [b"", QUESTION])
def test_other_opcodes_give_their_opt_and_signature(opcode, asked):
    """RFC 6891 §6.1.1, RFC 8945 §5.3: the reply has both where the request had them."""
    data = header(opcode << 11, questions=len(asked) and 1, additionals=1) + asked + OPT
    edns = parse_request(data).edns
    assert edns is not None
    assert edns.udp_size == 1232
    signed = parse_request(sign(data, KEY, 1000)[0])
    assert (signed.edns, signed.question) == (edns, asked)
    assert signed.tsig is not None


@pytest.mark.parametrize(
    ("counts", "behind"),
    [
        ({"answers": 1, "additionals": 1}, record(6, SOA_RDATA) + OPT),
        ({"authorities": 1, "additionals": 1}, record(6, SOA_RDATA) + OPT),
        ({"questions": 2, "additionals": 1}, QUESTION + OPT),
        ({"additionals": 3}, OPT * 3),
        ({"additionals": 1}, b"\x01" + OPT),
        ({"additionals": 1}, b""),
    ],
)
def test_what_other_opcodes_have_beyond_the_table_is_not_read_and_no_error(counts, behind):
    request = parse_request(header(codes.STATUS << 11, **counts) + QUESTION + behind)
    assert (request.edns, request.tsig) == (None, None)


def test_an_opt_before_something_unreadable_counts_and_a_signature_before_something_does_not():
    request = parse_request(sign(header(codes.STATUS << 11, additionals=1) + QUESTION + OPT, KEY, 1000)[0] + b"x")
    assert request.edns is not None
    assert request.tsig is None


@pytest.mark.parametrize("opcode", [codes.QUERY, codes.NOTIFY])
def test_an_opt_without_a_question_is_given_with_the_format_error(opcode):
    assert refused(header(opcode << 11, questions=0, additionals=1) + OPT).edns is not None
    assert refused(header(opcode << 11, questions=0) + OPT).edns is None


def test_every_type_class_and_opcode_is_taken():
    """C47, sampled: all types with the classes that matter, over every opcode."""
    for qtype in [*range(0, 300), *range(300, 65536, 997), 65535]:
        for qclass in (0, 1, 3, 254, 255):
            question = b"\x00" + struct.pack("!HH", qtype, qclass)
            request = parse_request(header((qtype & 15) << 11) + question)
            assert (request.qtype, request.qclass, request.question) == (qtype, qclass, question)


def try_to_parse(data: bytes) -> None:
    with contextlib.suppress(BadRequest, Unanswerable):
        parse_request(data)


def packed(size: int, kind: str) -> bytes:
    """Of each kind the dearest packet that we know of, filled up to about `size` octets."""
    if kind == "labels":
        return header() + b"\x01a" * (size // 2)
    if kind == "pointers":
        chain = b"".join((0xC000 | target & 0x3FFF).to_bytes(2, "big") for target in range(12, 12 + size, 2))
        return header(authorities=1) + b"\x00\x00\xfb\x00\x01" + chain + bytes(30)
    name = b"\x01a" * 126
    if kind == "options":
        count = size // 4
        options = OPT[:-2] + (4 * count).to_bytes(2, "big") + bytes(4 * count)
        return header(additionals=1) + QUESTION + options
    if kind == "records":
        return header(additionals=size // 300) + QUESTION + b"".join(
            name + b"\x00" + record(65280, b"", owner=b"") for _ in range(size // 300)
        )  # fmt: skip
    # all that is ever read of one packet: a long question, an SOA and a TSIG of long names, a hundred options
    rdata = name + b"\x00" + struct.pack("!HIHH", 0, 0, 300, max(0, size - 2000)) + bytes(max(0, size - 2000) + 6)
    soa = record(6, name + b"\x00" + name + b"\x00" + bytes(20))
    options = OPT[:-2] + (400).to_bytes(2, "big") + bytes(400)
    tsig = name + b"\x00" + struct.pack("!HHIH", 250, 255, 0, len(rdata)) + rdata
    return header(authorities=1, additionals=2) + name + b"\x00" + struct.pack("!HH", 251, 1) + soa + options + tsig


MOST_STEPS = 40_000  # Python's own instructions
KINDS = ("labels", "pointers", "options", "records", "everything")


@pytest.mark.parametrize("kind", KINDS)
def test_no_packet_takes_more_than_so_many_steps_however_large_it_is(kind: str) -> None:
    """C42: counted, not timed. A usual query takes some two hundred."""
    small, large = (operations(partial(try_to_parse, packed(size, kind))) for size in (4096, 65_000))
    assert large <= small + 100
    assert large < MOST_STEPS


def test_the_dearest_packet_is_read_to_its_end() -> None:
    """Else the steps counted above would be those of a packet that is refused early."""
    request = parse_request(packed(4096, "everything"))
    assert request.tsig is not None and request.edns is not None and len(request.edns.options) == 100
    assert request.soa_serial == 0


@given(st.binary(max_size=600), st.sampled_from(KINDS), st.integers(0, 5000))
def test_nor_does_a_packet_with_any_octets_in_it(octets: bytes, kind: str, at: int) -> None:
    packet = packed(4096, kind)
    assert operations(partial(try_to_parse, packet[:at] + octets + packet[at + len(octets) :])) < MOST_STEPS


def test_what_dnspython_sends_is_read():
    message = dns.message.make_query("www.example.com", "AAAA", use_edns=0, want_dnssec=True, payload=1400)
    request = parse_request(message.to_wire())
    assert request.id == message.id
    assert names.to_text(request.qname) == "www.example.com"
    assert request.edns is not None
    assert request.edns.dnssec_ok
    assert request.edns.udp_size == 1400


def test_what_we_send_is_read():
    assert parse_request(build_query(3, ZONE, codes.IXFR, soa=SOA, edns=True)).soa_serial == 9
