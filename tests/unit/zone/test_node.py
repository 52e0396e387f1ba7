"""nameserver.zone.node"""

from support.served_zones import wire

from nameserver.wire import codes
from nameserver.wire.rrset import RRset
from nameserver.zone.node import (
    HAS_CASE,
    HAS_CNAME,
    HAS_DNAME,
    HAS_NS,
    SINGLES,
    count_records,
    find_denial,
    find_rrset,
    find_rrsigs,
    is_hashed_name,
    is_signed,
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
        assert pack_node([RRset.of(OWNER, rdtype, 1, [b"\0"]), TXT])[0] == flag | SINGLES
    assert pack_node([A])[0] == 0


NSEC = RRset.of(OWNER, codes.NSEC, 60, [b"\0\0\1\2"])
NSEC3 = RRset.of(OWNER, codes.NSEC3, 60, [b"\1\0\0\0\0" + bytes(21), b"\1\0\0\1\0" + bytes(21)])
SIG_NSEC3 = RRset.of(OWNER, codes.RRSIG, 60, [codes.NSEC3.to_bytes(2, "big") + b"sig"])
HASHED = b"\x20" + b"0" * 32


def test_a_zone_is_signed_when_its_apex_holds_a_signature():
    for owner in (None, OWNER):
        assert is_signed(pack_node(ALL, owner))
        assert not is_signed(pack_node([A, TXT], owner))
        assert not is_signed(pack_node([A, NSEC, NSEC3], owner))
    assert not is_signed(pack_node([]))


def test_what_denies_is_found_beside_anything_else():
    for owner in (None, OWNER):
        assert find_denial(pack_node(ALL, owner)) == (False, b"")
        assert find_denial(pack_node([*ALL, NSEC], owner)) == (True, b"")
        assert find_denial(pack_node([*ALL, NSEC3], owner)) == (False, NSEC3.tails)
        assert find_denial(pack_node([*ALL, NSEC, NSEC3], owner)) == (True, NSEC3.tails)
        assert find_denial(pack_node([A], owner)) == (False, b"")


def test_an_owner_of_nsec3_and_nothing_else_is_a_hashed_name():
    for owner in (None, OWNER):
        assert is_hashed_name(HASHED, pack_node([NSEC3], owner))
        assert is_hashed_name(HASHED, pack_node([NSEC3, SIG_NSEC3], owner))
        assert not is_hashed_name(HASHED, pack_node([NSEC3, SIG_NSEC3, A], owner))
        assert not is_hashed_name(HASHED, pack_node([SIG_NSEC3], owner))
        assert not is_hashed_name(HASHED, pack_node([NSEC3, UNKNOWN], owner))
    assert not is_hashed_name(b"\x1f" + b"0" * 32, pack_node([NSEC3]))
    assert not is_hashed_name(b"\x20" + b"0" * 31, pack_node([NSEC3]))
