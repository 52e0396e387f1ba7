"""nameserver.zone.node"""

from support.served_zones import wire

from nameserver.wire import codes
from nameserver.wire.rrset import RRset
from nameserver.zone.node import (
    HAS_CASE,
    HAS_CNAME,
    HAS_DNAME,
    HAS_NS,
    count_records,
    find_rrset,
    find_rrsigs,
    owner_of,
    pack_node,
    unpack_node,
)

OWNER = wire("Www.example.")
KEY, APEX = b"\x03www", wire("example.")
A = RRset.of(OWNER, codes.A, 60, [b"\x01\x02\x03\x04", b"\x01\x02\x03\x05"])
TXT = RRset.of(OWNER, codes.TXT, 300, [b"\x01t"])
SIG_A = RRset.of(OWNER, codes.RRSIG, 60, [codes.A.to_bytes(2, "big") + b"sig"])
SIG_TXT = RRset.of(OWNER, codes.RRSIG, 300, [codes.TXT.to_bytes(2, "big") + b"sig"])
UNKNOWN = RRset.of(OWNER, 0x0141, 5, [b"", b"x"])  # low octet 65, high octet 1
ALL = [A, TXT, SIG_A, SIG_TXT, UNKNOWN]


def test_unpacking_gives_back_what_was_packed_in_order_of_type():
    assert list(unpack_node(pack_node(reversed(ALL)), OWNER)) == ALL


def test_an_rrset_is_found_by_both_octets_of_its_type():
    node = pack_node(ALL)
    assert find_rrset(node, codes.TXT, OWNER) == TXT
    assert find_rrset(node, 0x0141, OWNER) == UNKNOWN
    assert find_rrset(node, 0x0041, OWNER) is None
    assert find_rrset(node, 0x0101, OWNER) is None


def test_signatures_are_found_by_the_type_they_cover():
    node = pack_node(ALL)
    assert find_rrsigs(node, codes.TXT, OWNER) == SIG_TXT
    assert find_rrsigs(node, codes.MX, OWNER) is None


def test_records_are_counted():
    assert count_records(pack_node(ALL)) == 7
    assert count_records(pack_node([])) == 0


def test_an_owner_is_kept_only_where_its_case_differs():
    assert owner_of(pack_node([A]), KEY, APEX) == wire("www.example.")
    with_case = pack_node(ALL, OWNER)
    assert with_case[0] & HAS_CASE
    assert owner_of(with_case, KEY, APEX) == OWNER
    assert list(unpack_node(with_case, OWNER)) == ALL
    assert count_records(with_case) == 7


def test_the_flags_say_which_types_steer_a_look_up():
    for rdtype, flag in ((codes.NS, HAS_NS), (codes.CNAME, HAS_CNAME), (codes.DNAME, HAS_DNAME)):
        assert pack_node([RRset.of(OWNER, rdtype, 1, [b"\0"]), A])[0] == flag
    assert pack_node([A])[0] == 0
