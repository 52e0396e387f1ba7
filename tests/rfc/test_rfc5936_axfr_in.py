"""RFC 5936 (AXFR) as a client: what is taken from a primary and what is refused.

Cases named a01 … a25 are the matrix of misbehaving primaries: the zone is held at serial 5, the primary offers 6.
"""

import struct

import pytest
from support.transfer_messages import (
    APEX,
    MAIL,
    NOW,
    NS,
    WWW,
    axfr,
    inbound,
    lines,
    message,
    pack,
    rr,
    soa,
)

from nameserver.errors import Reason, TransferError
from nameserver.transfer.inbound import FullTransfer, Got, State
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes

GOOD = (soa(6), NS, WWW, MAIL, soa(6))


def refused(*messages: bytes, limits: TransferLimits | None = None) -> TransferError:
    """The error that the messages end in."""
    transfer = inbound(limits=limits)
    with pytest.raises(TransferError) as caught:
        for each in messages:
            assert not transfer.feed(each, NOW), "taken as complete"
    assert transfer.state is State.FAILED
    return caught.value


def taken(*messages: bytes) -> tuple[FullTransfer, list[str]]:
    """The zone that the messages lead to, and the warnings."""
    transfer = inbound()
    *first, last = messages
    assert not any(transfer.feed(each, NOW) for each in first)
    assert transfer.feed(last, NOW)
    return transfer.result(), transfer.stats.warnings


def test_a_zone_in_one_message_is_taken_whole():
    transfer = inbound()
    assert transfer.feed(message(*GOOD), NOW)
    built = transfer.result().built
    assert (built.soa.serial, built.records, built.apex_as_received) == (6, 4, APEX)
    assert set(built.nodes) == {b"", b"\3www", b"\4mail"}
    assert built.size == sum(len(key) + len(node) for key, node in built.nodes.items())
    assert (transfer.stats.got, transfer.stats.records, transfer.stats.messages) == (Got.AXFR, 5, 1)
    assert transfer.stats.bytes == len(message(*GOOD))
    assert transfer.serial == 6


def test_a_zone_cut_into_messages_anywhere_is_the_same_zone():
    """§2.2: the cutting means nothing, not even within an owner."""
    whole = axfr(*GOOD)
    result, _ = taken(*(message(record) for record in GOOD))
    assert result.built.nodes == whole.nodes


def test_a01_without_a_closing_soa_it_is_not_complete():
    transfer = inbound()
    assert not transfer.feed(message(*GOOD[:-1]), NOW)
    with pytest.raises(RuntimeError, match="not complete"):
        transfer.result()


def test_a02_a_closing_soa_with_another_serial_is_refused():
    error = refused(message(soa(6), NS, WWW, soa(7)))
    assert (error.reason, "serial 7, not 6" in error.detail) == (Reason.SOA_IN_MIDDLE, True)


def test_a03_a_closing_soa_with_other_contents_is_refused():
    error = refused(message(soa(6), NS, WWW, soa(6, rname="other")))
    assert (error.reason, "other contents" in error.detail) == (Reason.SOA_IN_MIDDLE, True)


def test_a_closing_soa_in_other_letter_case_is_the_same():
    assert axfr(*GOOD[:-1], soa(6, rname="HOSTMASTER")).records == 4


def test_a04_a_record_after_the_closing_soa_is_refused():
    assert refused(message(*GOOD, WWW)).reason is Reason.SOA_IN_MIDDLE


def test_a_message_after_the_closing_soa_is_refused():
    transfer = inbound()
    assert transfer.feed(message(*GOOD), NOW)
    with pytest.raises(TransferError) as caught:
        transfer.feed(message(WWW), NOW)
    assert caught.value.reason is Reason.SOA_IN_MIDDLE


def test_a05_owners_outside_the_zone_are_left_out_and_counted():
    foreign = rr("www.example.org. 300 A 192.0.2.9")
    odd = WWW._replace(owner=b"\x0fx" + b"\x07example\x03comxx" + b"\0")  # ends in the same letters, not in the zone
    trap = WWW._replace(owner=b"\x0dx" + APEX[:-1] + b"\0")  # one label that holds the apex's bytes
    result, warnings = taken(message(soa(6), NS, foreign, foreign, odd, trap, WWW, soa(6)))
    assert lines(result.built.nodes) == lines(axfr(soa(6), NS, WWW, soa(6)).nodes)
    assert result.built.out_of_zone == 4
    assert warnings == ["4 records outside the zone were left out, first www.example.org"]


@pytest.mark.parametrize("rdclass", [codes.CH, codes.NONE, codes.ANY_CLASS])
@pytest.mark.parametrize("position", [0, 1, 2, 4])
def test_a06_a_record_of_another_class_is_refused(position, rdclass):
    records = list(GOOD)
    records[position] = records[position]._replace(rdclass=rdclass)
    assert refused(message(*records)).reason is Reason.WRONG_CLASS


def test_a07_a_cname_beside_other_data_is_refused():
    error = refused(message(soa(6), NS, WWW, rr("www 300 CNAME mail"), soa(6)))
    assert (error.reason, "www.example.com has a CNAME beside A" in error.detail) == (Reason.CNAME_CONFLICT, True)


def test_two_cnames_at_one_owner_are_refused():
    assert refused(message(soa(6), NS, rr("a 1 CNAME b"), rr("a 1 CNAME c"), soa(6))).reason is Reason.CNAME_CONFLICT


def test_a08_a_record_sent_twice_is_taken_once():
    """Also where the owner's records are not sent together, and with names in other letter case."""
    alias, again = rr("x 1 CNAME mail"), rr("X 1 CNAME MAIL")
    result, warnings = taken(message(soa(6), NS, WWW, WWW, alias, WWW, again, soa(6)))
    assert (result.built.records, result.built.duplicates) == (4, 3)
    assert lines(result.built.nodes) == lines(axfr(soa(6), NS, WWW, alias, soa(6)).nodes)
    assert warnings == ["3 records came more than once and were taken once"]


def test_a09_a_zone_without_ns_at_the_apex_is_refused():
    assert refused(message(soa(6), WWW, soa(6))).reason is Reason.NO_NS


def test_a10_an_rrset_with_several_ttls_gets_the_lowest():
    """RFC 2181 §5.2."""
    records = [rr("www 300 A 192.0.2.1"), rr("www 60 A 192.0.2.2"), rr("www 900 A 192.0.2.3")]
    result, warnings = taken(message(soa(6), NS, *records, soa(6)))
    assert {line.split()[1] for line in lines(result.built.nodes) if "www" in line} == {"60"}
    assert result.built.mixed_ttl == 1
    assert warnings == ["1 RRsets had several TTLs and got their lowest, first www.example.com A"]


def test_a11_a_message_with_another_id_is_refused():
    error = refused(message(*GOOD[:2]), message(*GOOD[2:], query_id=7))
    assert error.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "question",
    [b"\5wrong" + APEX + b"\0\xfc\0\1", APEX + b"\0\xfb\0\1", APEX + b"\0\xfc\0\3", b"\7example\3org\0\0\xfc\0\1"],
    ids=["name", "type", "class", "other zone"],
)
def test_a12_the_answer_to_another_question_is_refused(question):
    assert refused(message(*GOOD, question=question)).reason is Reason.MALFORMED


def test_a13_a_query_in_place_of_a_response_is_refused():
    assert refused(message(*GOOD, flags=codes.AA)).reason is Reason.MALFORMED


def test_another_opcode_is_refused():
    assert refused(message(*GOOD, flags=codes.QR | 4 << 11)).reason is Reason.MALFORMED


def test_a14_and_a15_tc_and_missing_aa_are_warned_of_once():
    flags = codes.QR | codes.TC
    result, warnings = taken(message(*GOOD[:2], flags=flags), message(*GOOD[2:], flags=flags))
    assert result.built.records == 4
    assert len(warnings) == 2 and "TC" in warnings[0] and "AA" in warnings[1]


def test_a16_an_soa_in_the_middle_is_refused():
    """The same serial ends the zone, and what follows is too much; another serial is wrong at once."""
    assert refused(message(soa(6), NS, soa(6), WWW, soa(6))).reason is Reason.SOA_IN_MIDDLE
    assert refused(message(soa(6), NS, soa(5), WWW, soa(6))).reason is Reason.SOA_IN_MIDDLE


def test_an_soa_below_the_apex_is_refused():
    foreign = soa(6)._replace(owner=b"\3sub" + APEX)
    error = refused(message(soa(6), NS, foreign, WWW, soa(6)))
    assert (error.reason, "sub.example.com" in error.detail) == (Reason.SOA_IN_MIDDLE, True)


def test_a17_a_zone_that_does_not_begin_with_its_soa_is_refused():
    assert refused(message(WWW, soa(6), NS, soa(6))).reason is Reason.NO_SOA
    assert refused(message(soa(6)._replace(owner=b"\3org\0"), NS, soa(6))).reason is Reason.NO_SOA


def test_a18_malformed_rdata_is_refused():
    error = refused(message(soa(6), NS, WWW._replace(rdata=b"\xc0\0\2"), soa(6)))
    assert error.reason is Reason.MALFORMED
    assert error.detail == "message 1: record 3 of 4: its A rdata is malformed: it has 3 bytes, not 4"


def test_a19_and_a22_the_serial_is_there_for_the_caller_to_judge():
    """Lower or equal serials are refused by policy, after or before the whole zone has come."""
    transfer = inbound(ours=5)
    assert not transfer.feed(message(soa(4), NS), NOW)
    assert transfer.serial == 4
    assert axfr(soa(5), NS, soa(5)).soa.serial == 5


def test_a20_an_empty_message_in_the_middle_is_nothing():
    result, _ = taken(message(*GOOD[:2]), message(), message(*GOOD[2:]))
    assert result.built.records == 4


def test_an_empty_answer_is_no_zone():
    assert refused(message()).reason is Reason.NO_SOA


def test_a21_later_messages_need_no_question():
    """§2.2.1."""
    result, _ = taken(message(*GOOD[:2]), message(*GOOD[2:], question=b""))
    assert result.built.records == 4


def test_a23_a_ttl_with_its_top_bit_set_is_zero():
    """RFC 2181 §8."""
    built = axfr(soa(6), NS, WWW._replace(ttl=0x80000001), soa(6))
    assert "www.example.com. 0 IN A 192.0.2.1" in lines(built.nodes)


def test_a24_two_soas_and_nothing_else_are_no_zone():
    assert refused(message(soa(6), soa(6))).reason is Reason.NO_NS


def test_a25_data_below_a_dname_is_refused():
    """RFC 6672 §2.4."""
    records = (rr("*.w 300 NS ns1"), rr("below.here 300 A 192.0.2.1"), rr("here 300 DNAME example.org."))
    error = refused(message(soa(6), NS, *records, soa(6)))
    assert (error.reason, "below.here.example.com lies below the DNAME" in error.detail) == (
        Reason.CNAME_CONFLICT,
        True,
    )


def test_hashed_denial_below_a_dname_at_the_apex_is_taken():
    hashed = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 300 NSEC3 1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A"
    assert axfr(soa(6), NS, rr("@ 300 DNAME example.org."), rr(hashed), soa(6)).records == 4


@pytest.mark.parametrize(
    ("rcode", "reason"),
    [
        (codes.FORMERR, Reason.FORMERR),
        (codes.SERVFAIL, Reason.SERVFAIL),
        (codes.NXDOMAIN, Reason.NXDOMAIN),
        (codes.NOTIMP, Reason.NOTIMP),
        (codes.REFUSED, Reason.REFUSED),
        (codes.NOTAUTH, Reason.NOTAUTH_ZONE),
        (codes.YXDOMAIN, Reason.MALFORMED),
        (12, Reason.MALFORMED),
    ],
)
def test_the_primarys_rcode_becomes_the_reason(rcode, reason):
    assert refused(message(flags=codes.QR | rcode)).reason is reason


@pytest.mark.parametrize("size", [0, 1, 11])
def test_a_message_shorter_than_a_header_is_refused(size):
    assert refused(message(*GOOD)[:size]).reason is Reason.SHORT_MESSAGE


def test_a_message_cut_anywhere_is_refused_and_never_complete():
    whole = message(*GOOD)
    for size in range(12, len(whole)):
        assert refused(whole[:size]).reason is Reason.MALFORMED


def test_two_questions_are_refused():
    whole = message(*GOOD)
    assert refused(whole[:4] + b"\0\2" + whole[6:]).reason is Reason.MALFORMED


def test_the_largest_messages_are_read():
    """65,535 bytes, 65,534, and one record to a message."""
    for size in (65_535, 65_534):
        filler = WWW._replace(owner=b"\6filler" + APEX, type=codes.NULL, rdata=b"")
        room = size - len(message(soa(6), NS, filler, soa(6)))
        whole = message(soa(6), NS, filler._replace(rdata=bytes(room)), soa(6))
        assert len(whole) == size
        result, _ = taken(whole)
        assert result.built.records == 3


def test_the_case_of_owners_is_kept():
    """§3.4, RFC 4343 §3: as received, though looked up without regard to it."""
    records = [soa(6)._replace(owner=b"\7EXAMPLE\3com\0"), NS, WWW._replace(owner=b"\3WwW" + APEX)]
    built = axfr(*records, soa(6))
    assert built.apex_as_received == b"\7EXAMPLE\3com\0"
    assert b"\3www" in built.nodes and b"\3WwW" in built.nodes[b"\3www"]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (TransferLimits(max_records=99), Reason.LIMIT_RECORDS),
        (TransferLimits(max_bytes=2000), Reason.LIMIT_BYTES),
        (TransferLimits(max_rrset_records=99), Reason.LIMIT_RRSET),
    ],
)
def test_limits_end_a_transfer_that_would_go_on_for_ever(limits, reason):
    transfer = inbound(limits=limits)
    transfer.feed(message(soa(6), NS), NOW)
    with pytest.raises(TransferError) as caught:
        for number in range(1000):
            batch = [rr(f"big 1 A 10.0.{number}.{low}") for low in range(5)]
            transfer.feed(message(*batch), NOW)
    assert caught.value.reason is reason
    assert number < 100


def test_the_limit_on_types_at_one_name_holds():
    many = [WWW._replace(type=60_000 + number) for number in range(101)]
    assert refused(message(soa(6), NS, *many, soa(6))).reason is Reason.LIMIT_TYPES
    assert axfr(soa(6), NS, *many[1:], soa(6)).records == 102


def test_a_failed_transfer_takes_nothing_more():
    transfer = inbound()
    with pytest.raises(TransferError):
        transfer.feed(message(flags=codes.QR | codes.REFUSED), NOW)
    with pytest.raises(RuntimeError, match="failed before"):
        transfer.feed(message(*GOOD), NOW)


def opt(option: bytes) -> bytes:
    return b"\0" + struct.pack("!HHIH", codes.OPT, 1232, 0, len(option)) + option


@pytest.mark.parametrize(
    ("additional", "expire"),
    [
        (opt(b"\0\x09\0\4\0\0\0\x64"), 100),
        (opt(b""), None),
        (opt(b"\0\x09\0\0"), None),
        (pack(WWW), None),
    ],
)
def test_the_expire_option_of_the_first_message_is_noted(additional, expire):
    """RFC 7314 §2."""
    transfer = inbound()
    whole = message(*GOOD, tail=additional)
    assert transfer.feed(whole[:10] + b"\0\1" + whole[12:], NOW)
    assert transfer.stats.expire_option == expire


@pytest.mark.parametrize("additional", [opt(b"")[:-1], opt(b"\0\x09\0\4")[:-3]])
def test_a_malformed_additional_section_is_refused(additional):
    whole = message(*GOOD, tail=additional)
    assert refused(whole[:10] + b"\0\1" + whole[12:]).reason is Reason.MALFORMED
