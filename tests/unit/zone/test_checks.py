"""Content checks on nodes, the apex and below DNAMEs."""

import pytest
from support.transfer_messages import APEX, NS, WWW, rr, soa

from nameserver.errors import Reason
from nameserver.transfer.limits import TransferLimits
from nameserver.wire.rrset import RRset
from nameserver.zone.checks import (
    FormatLimits,
    NodeError,
    ancestors,
    check_apex,
    check_below_dnames,
    check_node,
    check_touched_below_dnames,
)
from nameserver.zone.node import pack_node

LIMITS = TransferLimits(max_rrset_records=3, max_types_per_name=3)


def node(*lines) -> bytes:
    records = [rr(line) if isinstance(line, str) else line for line in lines]
    rrsets: dict[int, list[bytes]] = {}
    for record in records:
        rrsets.setdefault(record.type, []).append(record.rdata)
    return pack_node([RRset.of(b"", rdtype, 300, rdatas) for rdtype, rdatas in rrsets.items()])


def broken(packed: bytes, key: bytes = b"\1x") -> tuple[Reason, str]:
    with pytest.raises(NodeError) as caught:
        check_node(key, packed, APEX, LIMITS)
    assert caught.value.key == key
    return caught.value.reason, caught.value.detail


def test_a_cname_stands_alone_but_for_dnssec():
    """RFC 2181 §10.1, RFC 4034 §3, §4."""
    signed = node("x 1 CNAME a", "x 1 RRSIG CNAME 8 3 1 0 0 1 . Qg==", "x 1 NSEC y. CNAME RRSIG NSEC")
    check_node(b"\1x", signed, APEX, LIMITS)
    reason, detail = broken(node("x 1 CNAME a", "x 1 A 192.0.2.1", 'x 1 TXT "a"'))
    assert (reason, detail) == (
        Reason.CNAME_CONFLICT,
        "x.example.com has a CNAME beside A, TXT (RFC 2181 §10.1)",
    )


def test_cname_dname_and_soa_are_single():
    assert broken(node("x 1 CNAME a", "x 1 CNAME b"))[0] is Reason.CNAME_CONFLICT
    assert broken(node("x 1 DNAME a", "x 1 DNAME b"))[1].endswith("only one is allowed (RFC 6672 §2.4)")
    assert broken(node(soa(1), soa(2)), b"")[0] is Reason.SOA_IN_MIDDLE


def test_an_soa_below_the_apex_is_refused():
    assert broken(node(soa(1)))[0] is Reason.SOA_IN_MIDDLE


def test_limits_on_one_owner():
    assert broken(node(*(f"x 1 A 192.0.2.{n}" for n in range(4))))[0] is Reason.LIMIT_RRSET
    kinds = ["x 1 A 192.0.2.1", "x 1 AAAA ::1", 'x 1 TXT "a"', "x 1 MX 1 a"]
    check_node(b"\1x", node(*kinds[:3]), APEX, LIMITS)
    assert broken(node(*kinds))[0] is Reason.LIMIT_TYPES
    check_node(b"\1x", node(*kinds), APEX, FormatLimits())


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (None, Reason.NO_SOA),
        (node(NS), Reason.NO_SOA),
        (node(soa(1)), Reason.NO_NS),
        (node(soa(1), soa(2), NS), Reason.SOA_IN_MIDDLE),
    ],
)
def test_an_apex_has_one_soa_and_an_ns(packed, reason):
    with pytest.raises(NodeError) as caught:
        check_apex(packed, APEX)
    assert (caught.value.reason, caught.value.key) == (reason, b"")


def test_a_good_apex_yields_its_soa():
    assert check_apex(node(soa(7), NS), APEX) == soa(7).rdata


def test_ancestors_end_at_the_apex():
    assert list(ancestors(b"\1a\2bb\3ccc")) == [b"\2bb\3ccc", b"\3ccc", b""]
    assert list(ancestors(b"")) == []


DNAME = node("d 1 DNAME a")
DATA = node(WWW)
HASHED = node("x 1 NSEC3 1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A", "x 1 RRSIG NSEC3 8 3 1 0 0 1 . Qg==")


def test_nothing_but_hashed_denial_lies_below_a_dname():
    good = {b"": DATA, b"\1d": DNAME, b"\2dd": DATA, b"\1x\1d": HASHED}
    check_below_dnames(good, {b"\1d"}, APEX)
    check_below_dnames({**good, b"\1x\1d": DATA}, set(), APEX)
    with pytest.raises(NodeError) as caught:
        check_below_dnames({**good, b"\1x\1y\1d": DATA}, {b"\1d"}, APEX)
    assert caught.value.detail.startswith("x.y.d.example.com lies below the DNAME at d.example.com")


def test_changed_nodes_are_looked_at_with_those_above_them():
    held = {b"": DATA, b"\1d": DNAME}
    check_touched_below_dnames({b"\1x\1e": DATA, b"\1y\1e": DATA, b"\1x\1d": None, b"\1z\1d": HASHED}, held.get, APEX)
    with pytest.raises(NodeError) as caught:
        check_touched_below_dnames({b"\1x\1d": DATA}, held.get, APEX)
    assert caught.value.reason is Reason.CNAME_CONFLICT
