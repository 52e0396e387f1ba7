"""RFC 3597: types nobody here has heard of go through transfers, the zone and zone files byte for byte."""

import struct

import pytest
from support.transfer_messages import APEX, NOW, NS, QUERY_ID, axfr, inbound, lines, rr, soa

from nameserver.errors import Reason, TransferError
from nameserver.transfer.outbound import axfr_messages
from nameserver.wire import codes
from nameserver.wire.rdata import COMPRESSIBLE
from nameserver.zone.changes import differs
from nameserver.zone.node import find_rrset, owner_of
from nameserver.zone.zone_text import write_zone_file
from nameserver.zone.zonefile import read_zone_file

UNKNOWN = rr(r"odd 300 TYPE65534 \# 4 01020304")
QUESTION = APEX + struct.pack("!HH", codes.AXFR, 1)


@pytest.mark.parametrize("rdata", [b"", b"\xc0\x0c", bytes(range(256)), b"\3www\xc0\x0c"])
def test_unknown_rdata_is_kept_as_it_is_even_if_it_looks_like_a_compressed_name(rdata):
    """§3, §4: nothing in it is expanded, on the way in or out."""
    record = UNKNOWN._replace(rdata=rdata)
    built = axfr(soa(6), NS, record, soa(6))
    node = built.nodes[b"\3odd"]
    assert list(find_rrset(node, 65534, b"").rdatas()) == [rdata]
    out = axfr_messages(
        find_rrset(built.nodes[b""], codes.SOA, APEX),
        [(owner_of(node, key, APEX), node) for key, node in built.nodes.items()],
        QUERY_ID,
        QUESTION,
    )
    transfer = inbound()
    assert [transfer.feed(each, NOW) for each in out][-1]
    assert transfer.result().built.nodes == built.nodes


def test_unknown_rdatas_are_compared_byte_for_byte():
    """§6: letter case matters."""
    built = axfr(soa(6), NS, UNKNOWN._replace(rdata=b"a"), UNKNOWN._replace(rdata=b"A"), soa(6))
    assert (built.records, built.duplicates) == (4, 0)


def test_unknown_types_have_a_generic_text_form():
    """§5."""
    built = axfr(soa(6), NS, UNKNOWN, UNKNOWN._replace(rdata=b""), soa(6))
    written = [line for line in lines(built.nodes) if "odd" in line]
    assert written == [
        r"odd.example.com. 300 IN TYPE65534 \# 0",
        r"odd.example.com. 300 IN TYPE65534 \# 4 01020304",
    ]
    read = read_zone_file(write_zone_file(built.nodes, APEX), APEX, "z")
    assert (read.records, differs(read.nodes.get, built.nodes, APEX)) == (built.records, False)


def test_names_may_arrive_compressed_in_well_known_types_only():
    """§4: decompressed in RFC 1035's types and those of the list there; an error in a type defined since."""
    pointer = b"\xc0\x0c"
    compressed = [(codes.NS, pointer), (codes.MX, b"\0\1" + pointer), (codes.SRV, bytes(6) + pointer)]
    compressed += [(codes.RP, pointer * 2), (codes.NAPTR, bytes(7) + pointer), (codes.DNAME, b"\3sub" + pointer)]
    for rdtype, rdata in compressed:
        built = axfr(soa(6), NS, UNKNOWN._replace(type=rdtype, rdata=rdata), soa(6))
        (kept,) = find_rrset(built.nodes[b"\3odd"], rdtype, b"").rdatas()
        assert kept == rdata.replace(pointer, APEX)
    for rdtype, rdata in [(codes.SVCB, b"\0\0" + pointer), (codes.RRSIG, bytes(18) + pointer), (codes.NSEC, pointer)]:
        with pytest.raises(TransferError) as caught:
            axfr(soa(6), NS, UNKNOWN._replace(type=rdtype, rdata=rdata), soa(6))
        assert caught.value.reason is Reason.MALFORMED


def test_only_rfc_1035_types_are_compressed_on_output():
    """§4."""
    assert set(COMPRESSIBLE) == {2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15}


@pytest.mark.parametrize("rdtype", [0, codes.OPT, 128, codes.TKEY, codes.TSIG, codes.AXFR, codes.ANY])
def test_types_of_questions_and_messages_are_no_zone_data(rdtype):
    """RFC 6895 §3.1."""
    with pytest.raises(TransferError) as caught:
        axfr(soa(6), NS, UNKNOWN._replace(type=rdtype), soa(6))
    assert caught.value.reason is Reason.MALFORMED
