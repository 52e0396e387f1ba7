"""Rendering: compression, limits, sections. dnspython reads what we wrote."""

import random

import dns.flags
import dns.message
import dns.rcode
import pytest

from nameserver.wire import codes, names
from nameserver.wire.edns import ede_option
from nameserver.wire.query import build_query
from nameserver.wire.render import render, render_error
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request, parse_request
from nameserver.wire.rrset import RRset


def wire(text: str) -> bytes:
    return names.from_text(text)


def ask(name: str, qtype: int = codes.A, flags: int = 0, edns: bool | int = False) -> Request:
    return parse_request(build_query(7, wire(name), qtype, flags=flags, edns=edns))


def addresses(owner: str, count: int, first: int = 0) -> RRset:
    return RRset.of(wire(owner), codes.A, 300, [bytes((10, 0, n >> 8, n & 255)) for n in range(first, first + count)])


def soa(owner: str) -> RRset:
    return RRset.of(wire(owner), codes.SOA, 300, [wire("ns1." + owner) + wire("host." + owner) + bytes(20)])


def read(data: bytes) -> dns.message.Message:
    return dns.message.from_wire(data)


def test_id_opcode_question_and_rd_come_from_the_request():
    request = ask("WWW.example.com", flags=codes.RD | codes.CD | codes.AD)
    data = render(request, Reply(), 512, 1232)
    assert data[12:] == request.question
    assert int.from_bytes(data[:2], "big") == 7
    assert int.from_bytes(data[2:4], "big") == codes.QR | codes.RD


def test_aa_is_set_for_authoritative_replies_only():
    request = ask("example.com")
    assert read(render(request, Reply(authoritative=True), 512, 1232)).flags & dns.flags.AA
    assert not read(render(request, Reply(), 512, 1232)).flags & dns.flags.AA


def test_an_owner_equal_to_the_question_is_a_pointer_to_it():
    request = ask("www.example.com")
    rrset = addresses("www.example.com", 1)
    data = render(request, Reply(answer=[rrset]), 512, 1232)
    assert data[12:] == request.question + b"\xc0\x0c" + rrset.tails


def test_each_record_of_an_rrset_has_the_pointer():
    data = render(ask("www.example.com"), Reply(answer=[addresses("www.example.com", 5)]), 512, 1232)
    assert data.count(b"\xc0\x0c\x00\x01") == 5
    assert len(read(data).answer[0]) == 5


def test_an_owner_above_the_question_points_into_it():
    data = render(ask("a.b.example.com"), Reply(rcode=3, authority=[soa("example.com")]), 512, 1232)
    assert data[12 + 17 + 4 :][:2] == b"\xc0\x10"
    assert read(data).rcode() == dns.rcode.NXDOMAIN


def test_names_in_the_rdata_of_rfc_1035_types_are_compressed():
    mx = RRset.of(wire("example.com"), codes.MX, 60, [b"\x00\x0a" + wire(f"mail{n}.example.com") for n in range(3)])
    data = render(ask("example.com", codes.MX), Reply(answer=[mx]), 512, 1232)
    assert data.count(b"example") == 1
    assert {record.exchange.to_text() for record in read(data).answer[0]} == {f"mail{n}.example.com." for n in range(3)}


def test_names_in_the_rdata_of_later_types_are_not_compressed():
    """RFC 3597 §4."""
    srv = RRset.of(wire("example.com"), codes.SRV, 60, [bytes(6) + wire("a.example.com")])
    data = render(ask("example.com", codes.SRV), Reply(answer=[srv]), 512, 1232)
    assert data.count(b"example") == 2


def test_a_name_of_another_case_is_not_pointed_at():
    """The owner leaves as the zone spells it, whatever the question spells."""
    data = render(ask("WWW.EXAMPLE.COM"), Reply(answer=[addresses("www.Example.com", 1)]), 512, 1232)
    assert read(data).answer[0].name.to_text() == "www.Example.com."
    assert wire("www.Example.com") in data


def test_names_of_later_records_point_at_earlier_ones():
    cname = RRset.of(wire("a.example.com"), codes.CNAME, 60, [wire("b.other.org")])
    data = render(
        ask("a.example.com"), Reply(answer=[cname, addresses("b.other.org", 1), addresses("c.other.org", 1)]), 512, 1232
    )
    assert data.count(b"other") == 1
    assert [rrset.name.to_text() for rrset in read(data).answer] == ["a.example.com.", "b.other.org.", "c.other.org."]


def test_the_root_is_never_a_pointer():
    ns = RRset.of(b"\x00", codes.NS, 60, [wire("a.root-servers.net"), b"\x00"])
    data = render(parse_request(build_query(7, b"\x00", codes.NS)), Reply(answer=[ns]), 512, 1232)
    assert [record.target.to_text() for record in read(data).answer[0]] == ["a.root-servers.net.", "."]


def test_several_records_at_the_root_are_written():
    rrset = RRset.of(b"\x00", codes.TXT, 60, [b"\x01a", b"\x01b"])
    data = render(parse_request(build_query(7, b"\x00", codes.TXT)), Reply(answer=[rrset]), 512, 1232)
    assert len(read(data).answer[0]) == 2


def test_an_answer_that_does_not_fit_sets_tc_and_leaves_nothing_of_itself():
    reply = Reply(answer=[addresses("example.com", 100)], authority=[soa("example.com")])
    data = render(ask("example.com", edns=True), reply, 512, 1232)
    message = dns.message.from_wire(data)
    assert message.flags & dns.flags.TC
    assert not message.answer
    assert not message.authority
    assert message.edns == 0


def test_rrsets_before_the_one_that_does_not_fit_stay():
    cname = RRset.of(wire("a.example.com"), codes.CNAME, 60, [wire("b.example.com")])
    message = read(render(ask("a.example.com"), Reply(answer=[cname, addresses("b.example.com", 99)]), 512, 1232))
    assert message.flags & dns.flags.TC
    assert [rrset.name.to_text() for rrset in message.answer] == ["a.example.com."]


def test_an_authority_section_that_does_not_fit_sets_tc():
    ns = RRset.of(wire("example.com"), codes.NS, 60, [wire(f"{'n' * 50}{n}.example.org") for n in range(20)])
    message = read(
        render(ask("www.example.com"), Reply(answer=[addresses("www.example.com", 1)], authority=[ns]), 512, 1232)
    )
    assert message.flags & dns.flags.TC
    assert message.answer
    assert not message.authority


def glue_reply(required: int) -> Reply:
    ns = RRset.of(wire("sub.example.com"), codes.NS, 60, [wire("ns1.sub.example.com"), wire("ns2.sub.example.com")])
    glue = [addresses("ns1.sub.example.com", 40), addresses("ns2.sub.example.com", 1)]
    return Reply(authority=[ns], additional=glue, glue_required=required)


def test_an_additional_rrset_that_does_not_fit_is_left_out_and_the_next_one_tried():
    message = read(render(ask("www.sub.example.com"), glue_reply(required=0), 512, 1232))
    assert not message.flags & dns.flags.TC
    assert [rrset.name.to_text() for rrset in message.additional] == ["ns2.sub.example.com."]


@pytest.mark.parametrize("required", [1, 2])
def test_required_glue_that_does_not_fit_sets_tc(required):
    """RFC 9471 §3.1."""
    message = read(render(ask("www.sub.example.com"), glue_reply(required), 512, 1232))
    assert message.flags & dns.flags.TC
    assert message.authority


def test_what_does_not_fit_behind_the_required_glue_is_left_out_without_tc():
    """RFC 9471 §3.2: sibling glue."""
    ns = RRset.of(wire("sub.example.com"), codes.NS, 60, [wire("ns.sub.example.com"), wire("ns.example.com")])
    glue = [addresses("ns.sub.example.com", 1), addresses("ns.example.com", 40)]
    reply = Reply(authority=[ns], additional=glue, glue_required=1)
    message = read(render(ask("www.sub.example.com"), reply, 512, 1232))
    assert not message.flags & dns.flags.TC
    assert [rrset.name.to_text() for rrset in message.additional] == ["ns.sub.example.com."]


def test_names_of_an_rrset_that_was_taken_back_are_not_pointed_at():
    long = RRset.of(
        wire("gone.example.net"), codes.MX, 60, [b"\x00\x01" + wire(f"m{n}.gone.example.net") for n in range(40)]
    )
    after = RRset.of(wire("example.com"), codes.MX, 60, [b"\x00\x01" + wire("m0.gone.example.net")])
    message = read(render(ask("example.com", codes.MX), Reply(additional=[long, after]), 512, 1232))
    assert message.additional[0][0].exchange.to_text() == "m0.gone.example.net."


def test_an_rrset_that_crosses_the_limit_only_by_its_owner_is_taken_back():
    rrset = RRset.of(wire("x" * 60 + ".example.net"), codes.TXT, 60, [b"\xc8" + b"t" * 200, b"\xc8" + b"u" * 200])
    size = 12 + len(wire("example.com")) + 4 + len(rrset.owner) + 2 + len(rrset.tails)
    fits = render(ask("example.com"), Reply(answer=[rrset]), size, 1232)
    assert len(fits) == size
    assert read(fits).answer
    cut = read(render(ask("example.com"), Reply(answer=[rrset]), size - 1, 1232))
    assert cut.flags & dns.flags.TC


def test_the_limit_is_kept_to_the_octet():
    reply = Reply(answer=[addresses("example.com", 10)])
    request = ask("example.com", edns=True)
    whole = render(request, reply, 65535, 1232)
    assert render(request, reply, len(whole), 1232) == whole
    assert len(render(request, reply, len(whole) - 1, 1232)) < len(whole)


def test_names_that_grow_label_by_label_stay_readable():
    """Clients follow 16 pointers in a row and no more; dnspython is one of them."""
    targets = ["x.example.com"]
    for _ in range(60):
        targets.append("a." + targets[-1])
    growing = RRset.of(wire("example.com"), codes.NS, 300, [wire(target) for target in targets])
    message = read(render(ask("example.com"), Reply(answer=[growing]), 65535, 1232))
    assert {str(rdata.target) for rdata in message.answer[0]} == {f"{target}." for target in targets}


@pytest.mark.parametrize("count", [100, 250, 270, 300])
def test_many_names_of_very_many_labels_are_written_up_to_the_limit_and_not_beyond(count):
    """C43: names of 120 labels that share their end alone, so that many pointers are made far into the message."""
    chooser = random.Random(count)
    targets = [wire(".".join([*chooser.choices("abcdefghij", k=120), "example.com"])) for _ in range(count)]
    many = RRset.of(wire("example.com"), codes.MX, 300, [b"\x00\x01" + target for target in targets])
    message = read(render(ask("example.com"), Reply(answer=[many]), 65535, 1232))
    if message.flags & dns.flags.TC:
        assert message.answer == []
    else:
        assert {rdata.exchange.to_wire() for rdata in message.answer[0]} == set(targets)


def test_a_cname_may_end_in_a_pointer_into_the_dname_it_is_made_from():
    target = wire("far.away.example")
    dname = RRset.of(wire("moved.example.com"), codes.DNAME, 60, [target])
    cname = RRset.of(wire("www.moved.example.com"), codes.CNAME, 60, [b"\x03www" + target])
    data = render(ask("www.moved.example.com"), Reply(answer=[dname, cname]), 512, 1232)
    assert data.count(b"\x03far\x04away") == 1
    assert str(read(data).answer[1][0].target) == "www.far.away.example."


def test_what_fits_only_without_looking_at_the_case_of_letters_is_sent_so():
    """RFC 4343 §4.1: compression may change the case of letters; a question over TCP costs more than that."""
    question, owner = ask("WWW.a-rather-long-label.example.com"), "www.A-rather-long-label.example.com"
    reply = Reply(authoritative=True, answer=[addresses(owner, 3)], authority=[soa("example.COM")])
    whole = render(question, reply, 512, 1232)
    assert read(whole).answer[0].name.to_text() == f"{owner}."
    data = render(question, reply, len(whole) - 1, 1232)
    assert not read(data).flags & dns.flags.TC
    assert len(data) < len(whole)
    assert read(data).answer == read(whole).answer
    assert read(data).authority == read(whole).authority


def test_letters_stay_as_they_are_where_changing_them_makes_not_enough_room():
    reply = Reply(answer=[addresses("www.EXAMPLE.com", 2), addresses("www2.EXAMPLE.com", 100)])
    message = read(render(ask("www.example.com"), reply, 512, 1232))
    assert message.flags & dns.flags.TC
    assert [rrset.name.to_text() for rrset in message.answer] == ["www.EXAMPLE.com."]


def test_names_beyond_the_reach_of_a_pointer_are_written_out():
    """A pointer has 14 bits: what lies behind octet 16383 cannot be pointed at."""
    texts = [RRset.of(wire(f"t{n}.example.com"), codes.TXT, 60, [(b"\xff" + b"x" * 255) * 16]) for n in range(5)]
    late = [
        RRset.of(wire("late.example.net"), codes.MX, 60, [b"\x00\x01" + wire("mx.late.example.net")]),
        RRset.of(wire("late.example.net"), codes.TXT, 60, [b"\x01a", b"\x01b"]),
        addresses("late.example.net", 6000),
        addresses("late.example.net", 1),
    ]
    message = read(render(ask("example.com"), Reply(additional=[*texts, *late]), 65535, 1232))
    assert len(message.additional) == 8  # all but the 6000 addresses
    assert message.additional[5][0].exchange.to_text() == "mx.late.example.net."


def test_no_opt_without_edns_in_the_request():
    assert read(render(ask("example.com"), Reply(options=[ede_option(14)]), 512, 1232)).edns == -1


def test_our_opt_announces_our_size_repeats_do_and_carries_the_options():
    request = parse_request(dns.message.make_query("example.com", "A", want_dnssec=True, payload=4096).to_wire())
    message = read(render(request, Reply(options=[(codes.OPT_NSID, b"n1")]), 1232, 1400))
    assert message.payload == 1400
    assert message.ednsflags & dns.flags.DO
    assert message.options[0].to_wire() == b"n1"


def test_an_extended_rcode_is_split_over_header_and_opt():
    assert read(render(ask("example.com", edns=True), Reply(rcode=codes.BADVERS), 512, 1232)).rcode() == 16


def test_a_request_without_a_question_is_answered_without_one():
    request = parse_request(bytes.fromhex("000728000000000000000000"))
    data = render(request, Reply(rcode=codes.NOTIMP), 512, 1232)
    assert data.hex() == "0007a8040000000000000000"


@pytest.mark.parametrize("edns", [False, True])
def test_an_error_holds_header_question_and_opt(edns):
    request = ask("example.com", flags=codes.RD, edns=edns)
    data = render_error(
        9, request.flags | codes.NOTIFY << 11, codes.NOTIFY, request.question, codes.FORMERR, request.edns, 1400
    )  # fmt: skip
    message = read(data)
    assert (message.id, message.rcode(), message.opcode()) == (9, 1, 4)
    assert message.flags & dns.flags.RD
    assert (message.edns == 0) is edns
    assert message.payload == (1400 if edns else 0)


def test_an_error_without_a_question_is_a_header():
    assert render_error(9, 0, 0, b"", codes.FORMERR, None).hex() == "000980010000000000000000"
