"""A packed node says what its records say, in either of its forms, and changes lead from one form to the other."""

from hypothesis import given
from hypothesis import strategies as st
from support.transfer_messages import APEX, NS, build, rr, soa

from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes
from nameserver.wire.rrset import Record, RRset
from nameserver.zone.changes import Changeset, apply_changes
from nameserver.zone.node import (
    HAS_CASE,
    SINGLES,
    count_records,
    find_denial,
    find_rrset,
    find_rrsigs,
    find_tails,
    is_hashed_name,
    is_signed,
    only_tail,
    owner_of,
    pack_node,
    pack_pair,
    pack_single,
    signed_nsec3,
    tails_of,
    unpack_node,
)

TYPES = [codes.A, codes.NS, codes.TXT, codes.AAAA, codes.RRSIG, codes.NSEC, codes.NSEC3, 0x0141, 65280]
COVERED = [codes.A, codes.NSEC3, 0x0141]
FEW = st.sampled_from([1, 1, 1, 2, 3])
HASHED = b"\x20" + b"0" * 32

rdatas = st.binary(max_size=6) | st.sampled_from([b"\0\1\0\0", bytes(300)])
signatures = st.builds(lambda covered, rest: covered.to_bytes(2, "big") + rest, st.sampled_from(COVERED), rdatas)


@st.composite
def rrsets(draw):
    """RRsets as an owner may have them, in a node's order; mostly of one record."""
    made = []
    for rdtype in sorted(draw(st.sets(st.sampled_from(TYPES), min_size=1, max_size=5))):
        count = draw(FEW)
        wanted = draw(
            st.lists(signatures if rdtype == codes.RRSIG else rdatas, min_size=count, max_size=count, unique=True)
        )
        groups: dict[bytes, list[bytes]] = {}
        for rdata in wanted:
            groups.setdefault(rdata[:2] if rdtype == codes.RRSIG else b"", []).append(rdata)
        made += [RRset.of(b"", rdtype, 300, groups[covered]) for covered in sorted(groups)]
    return made


@given(rrsets(), st.sampled_from([None, b"\1X" + APEX, b"\x3f" + b"X" * 63 + APEX]))
def test_whatever_is_asked_of_a_node_its_records_answer(held, spelled):
    node = pack_node(held, spelled)
    key = b"\1x" if spelled is None else spelled[: -len(APEX)].lower()
    assert list(unpack_node(node, b"")) == held
    assert b"".join(tails_of(node)) == b"".join(rrset.tails for rrset in held)
    assert len(tails_of(node)) == count_records(node) == sum(rrset.rdata_count for rrset in held)
    assert owner_of(node, key, APEX) == (spelled or key + APEX)
    assert bool(node[0] & SINGLES) == all(rrset.rdata_count == 1 for rrset in held)
    of_type = {rrset.type: rrset for rrset in held if rrset.type != codes.RRSIG}
    for rdtype in {*TYPES, codes.MX} - {codes.RRSIG}:
        there = of_type.get(rdtype)
        assert find_rrset(node, rdtype, b"") == there
        assert find_tails(node, rdtype) == (None if there is None else (there.rdata_count, there.tails))
    covering = {rrset.tails[10:12]: rrset for rrset in held if rrset.type == codes.RRSIG}
    for covered in [*COVERED, codes.MX]:
        assert find_rrsigs(node, covered, b"") == covering.get(covered.to_bytes(2, "big"))
    assert is_signed(node) == bool(covering)
    nsec3 = of_type.get(codes.NSEC3)
    assert find_denial(node) == (codes.NSEC in of_type, nsec3.tails if nsec3 else b"")
    assert is_hashed_name(HASHED, node) == (set(of_type) == {codes.NSEC3})
    single = len(held) == held[0].rdata_count == 1 and spelled is None
    assert only_tail(node) == (held[0].tails if single else None)
    signed = covering.get(codes.NSEC3.to_bytes(2, "big"))
    if len(held) == 2 and signed and nsec3 and nsec3.rdata_count == 1:
        assert signed_nsec3(node) == (nsec3.tails, signed.rdata_count, signed.tails)
    else:
        assert signed_nsec3(node) is None


@given(rrsets(), st.sampled_from([None, b"\1X" + APEX]))
def test_the_short_ways_to_pack_come_to_the_same_octets(held, spelled):
    tails = [tail for rrset in held for tail in tails_of(pack_node([rrset]))]
    assert pack_single(tails[0], spelled) == pack_node([held[0]._replace(rdata_count=1, tails=tails[0])], spelled)
    if len(tails) > 1 and tails[0][:2] < tails[-1][:2]:
        ends = [
            rrset._replace(rdata_count=1, tails=tail)
            for rrset, tail in zip(held[:1] + held[-1:], tails[:1] + tails[-1:], strict=True)
        ]
        assert pack_pair(tails[0], tails[-1]) == pack_node(ends)


HELD = [rr(f"x 300 A 192.0.2.{number}") for number in range(3)]
HELD += [rr("x 300 AAAA 2001:db8::1"), rr('x 300 TXT "t"'), rr('x 300 TXT "u"')]
some = st.sets(st.sampled_from(HELD))


@given(some, some, st.booleans())
def test_a_change_leads_to_the_node_that_a_whole_transfer_would_have_brought(before, after, upper):
    def spell(records: set[Record]) -> list[Record]:
        return [each._replace(owner=b"\1X" + APEX) if upper else each for each in HELD if each in records]

    old, new = build(soa(1), NS, *spell(before)), build(soa(2), NS, *spell(after))
    step = Changeset(1, 2, [soa(1), *spell(before - after)], [soa(2), *spell(after - before)])
    applied = apply_changes(old.nodes.get, [step], APEX, TransferLimits())
    changed = {**old.nodes, **applied.nodes}
    node, wanted = changed.get(b"\1x"), new.nodes.get(b"\1x")
    assert (node is None) == (wanted is None)
    if node is not None and wanted is not None:
        assert sorted(tails_of(node)) == sorted(tails_of(wanted))
        assert node[0] == wanted[0] and bool(node[0] & HAS_CASE) == upper
        assert [rrset._replace(tails=b"") for rrset in unpack_node(node, b"")] == [
            rrset._replace(tails=b"") for rrset in unpack_node(wanted, b"")
        ]
    assert applied.records_delta == len(after) - len(before)
    assert applied.size_delta == new.size - old.size
