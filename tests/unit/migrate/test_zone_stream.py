"""Records that are taken by the column are those that walking over them one by one finds."""

import dns.message
import dns.name
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameserver.errors import WireError
from nameserver.migrate.asking.zone_stream import _Collector
from nameserver.transfer.limits import TransferLimits
from nameserver.wire.walk import Section

APEX = b"\x04shop\x07example\x00"
ZONE = dns.name.from_wire(APEX, 0)[0]
LABELS = [b"a", b"b1", b"WWW", b"host17", b"\x00", b"x\x01y", b"*", b"_dmarc", b"z" * 63]
RECORDS = [("A", "192.0.2.1"), ("A", "192.0.2.2"), ("AAAA", "2001:db8::1"), ("TXT", '"x"'), ("NS", "ns1.shop.example.")]


def section(message: bytes) -> Section:
    found = dns.message.from_wire(message, ignore_trailing=True, one_rr_per_rrset=True)
    return Section(message, 12, len(found.answer))


def collector() -> _Collector:
    return _Collector(APEX, TransferLimits(), lambda records: None)


def walked_over(message: bytes) -> _Collector:
    found = collector()
    for walked in section(message):
        found.add_walked(walked)
    return found


owners = st.lists(st.sampled_from(LABELS), max_size=3).map(lambda labels: dns.name.Name((*labels, *ZONE.labels)))
foreign = st.just(dns.name.from_text("host17.elsewhere.example."))
record_lists = st.lists(
    st.tuples(st.one_of(owners, owners, foreign), st.lists(st.sampled_from(RECORDS), min_size=1, max_size=4)),
    max_size=30,
)


@given(record_lists)
def test_by_the_column_or_one_by_one_the_records_are_the_same(
    records: list[tuple[dns.name.Name, list[tuple[str, str]]]],
):
    answer = dns.message.Message(id=0)
    for owner, rdatas in records:
        for rdtype, text in rdatas:
            answer.answer.append(dns.rrset.from_text(owner, 300, "IN", rdtype, text))
    message = answer.to_wire(max_size=65535)
    found, wanted = collector(), walked_over(message)
    assert found.extend(section(message)) is None
    assert (sorted(found.records), found.outside) == (sorted(wanted.records), wanted.outside)


def test_what_follows_the_last_record_of_a_message_is_no_answer():
    head = bytes(12) + b"\x01a" + APEX + b"\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01"
    more = b"".join(
        b"\x01%c\xc0\x0e\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01" % octet for octet in b"bcdef"
    )
    found = collector()
    found.extend(Section(head + more, 12, 4))
    assert [record[:1] for record in found.records] == [b"a", b"b", b"c", b"d"]


@pytest.mark.parametrize("pointer", [b"\xff\xff", b"\xc0\x2c"], ids=["past the end", "forwards"])
def test_a_pointer_that_leads_nowhere_is_refused_as_anywhere_else(pointer: bytes):
    tail = b"\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01"
    message = bytes(12) + b"\x01a" + APEX + tail + b"".join(b"\x01%c" % octet + pointer + tail for octet in b"bcd")
    with pytest.raises(WireError):
        collector().extend(Section(message, 12, 4))
