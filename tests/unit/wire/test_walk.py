"""The tight reader of record sections."""

import dns.message
import dns.rrset
import pytest
from support.transfer_messages import APEX, WWW, message, rr, soa

from nameserver.errors import WireError
from nameserver.wire import codes
from nameserver.wire.rrset import Record
from nameserver.wire.walk import Section, to_record, to_walked

ANSWERS = 12 + len(APEX) + 4  # where the answers of `message` begin

ZONE = """
example.com. 3600 IN SOA ns1.example.com. host.example.com. 1 2 3 4 5
example.com. 3600 IN NS ns1.example.com.
example.com. 3600 IN MX 10 mail.example.com.
www.example.com. 300 IN A 192.0.2.1
www.example.com. 300 IN AAAA 2001:db8::1
www.example.com. 300 IN TXT "one" "two"
a.b.c.www.example.com. 300 IN CNAME www.example.com.
_sip._tcp.example.com. 300 IN SRV 1 2 3 www.example.com.
naptr.example.com. 300 IN NAPTR 100 50 "s" "x" "" www.example.com.
example.org. 300 IN PTR .
odd.example.com. 300 IN TYPE65280 \\# 2 c00c
""".strip().splitlines()


def walk_all(data: bytes, offset: int, count: int) -> list[Record]:
    return [to_record(walked) for walked in Section(data, offset, count)]


def test_it_reads_what_dnspython_wrote_compressed():
    """Every owner and every name in rdata comes out whole."""
    query = dns.message.make_query("example.com", "AXFR")
    reply = dns.message.make_response(query)
    expected = []
    for line in ZONE:
        owner, ttl, rdclass, rdtype, rdata = line.split(" ", 4)
        rrset = dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, rdata)
        reply.answer.append(rrset)
        expected.append(Record(rrset.name.to_wire(), int(rrset.rdtype), 1, int(ttl), rrset[0].to_wire()))
    wire = reply.to_wire(max_size=65535)
    assert len(wire) < sum(len(record.owner) + 10 + len(record.rdata) for record in expected), "it is compressed"
    read = walk_all(wire, ANSWERS, len(expected))
    assert read == expected


def test_a_ttl_with_its_top_bit_is_zero():
    """RFC 2181 §8."""
    for rdtype, rdata in ((codes.A, bytes(4)), (codes.TXT, b"\1a")):
        record = WWW._replace(type=rdtype, rdata=rdata, ttl=0xFFFFFFFF)
        assert walk_all(message(record), ANSWERS, 1) == [record._replace(ttl=0)]
    assert walk_all(message(WWW._replace(ttl=0x7FFFFFFF)), ANSWERS, 1)[0].ttl == 0x7FFFFFFF


def test_records_before_the_malformed_one_are_yielded():
    records = Section(message(WWW, WWW._replace(rdata=b"\1")), ANSWERS, 2)
    assert to_record(next(records)) == WWW
    with pytest.raises(WireError, match=r"record 2 of 2: its A rdata is malformed: it has 1 bytes, not 4"):
        next(records)


def test_a_count_that_is_too_high_is_refused():
    with pytest.raises(WireError, match="record 2 of 65535 runs past the end"):
        walk_all(message(WWW), ANSWERS, 65535)


def test_rdata_past_the_end_is_refused():
    with pytest.raises(WireError, match="runs past the end of the message"):
        walk_all(message(WWW)[:-1], ANSWERS, 1)


def test_rdata_of_other_classes_is_not_looked_at():
    """Its layout is another; the class itself is for the reader to refuse."""
    record = WWW._replace(rdclass=codes.CH, rdata=b"\1")
    assert walk_all(message(record), ANSWERS, 1) == [record]


def test_bad_owners_are_refused():
    whole = message(WWW)
    with pytest.raises(WireError, match="record 1 of 1: the name at byte"):
        walk_all(whole[:ANSWERS] + b"\xc1\xff" + whole[ANSWERS + len(WWW.owner) :], ANSWERS, 1)


def test_records_and_walked_records_convert_both_ways():
    for record in (WWW, soa(7), rr('x 1 TXT "a"')):
        assert to_record(to_walked(record)) == record
