"""Building zones: packing, owners that come back, limits."""

import pytest
from support.transfer_messages import APEX, MAIL, NS, WWW, build, lines, message, rr, soa

from nameserver.errors import Reason, ZoneError
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes
from nameserver.wire.rrset import RRset
from nameserver.wire.walk import Section, to_walked
from nameserver.zone import builder as builder_module
from nameserver.zone.builder import ZoneBuilder
from nameserver.zone.checks import FormatLimits
from nameserver.zone.node import HAS_CASE, HAS_CNAME, HAS_DNAME, HAS_NS, SINGLES, pack_node, unpack_node

LIMITS = TransferLimits()
SIG_A = rr("www 300 RRSIG A 8 3 300 20300101000000 20200101000000 1 example.com. Qg==")
SIG_TXT = rr("www 60 RRSIG TXT 8 3 60 20300101000000 20200101000000 1 example.com. Qg==")


def rejected(*records, limits=LIMITS) -> ZoneError:
    builder = ZoneBuilder(APEX, limits)
    with pytest.raises(ZoneError) as caught:
        for record in records:
            builder.add(record)
        builder.finish()
    return caught.value


def test_nodes_are_packed_as_the_node_format_says():
    text, a, sig, other = rr('www 60 TXT "a"'), WWW, SIG_TXT, SIG_A
    expected = pack_node(
        [RRset.of(a.owner, record.type, record.ttl, [record.rdata]) for record in (text, a, sig, other)]
    )
    for order in ([text, a, sig, other], [other, sig, a, text], [sig, text, other, a]):
        assert build(soa(1), NS, *order).nodes[b"\3www"] == expected
    assert build(soa(1), NS, MAIL).nodes[b"\4mail"] == pack_node([RRset.of(b"", 28, 300, [MAIL.rdata])])


def test_signatures_keep_the_ttl_of_what_they_cover():
    """RFC 4034 §3: one RRset per type covered."""
    built = build(soa(1), NS, SIG_A, SIG_TXT)
    assert [rrset.ttl for rrset in unpack_node(built.nodes[b"\3www"], b"")] == [300, 60]
    assert built.mixed_ttl == 0


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("x 1 NS a", HAS_NS), ("x 1 CNAME a", HAS_CNAME), ("x 1 DNAME a", HAS_DNAME),
        ("x 1 DS 1 8 200 AA", 0), ("x 1 A 192.0.2.1", 0),
    ],
)  # fmt: skip
def test_nodes_carry_the_flags_that_answering_looks_at(line, flag):
    owner_case = rr(line)._replace(owner=b"\1X" + APEX)
    assert build(soa(1), NS, rr(line)).nodes[b"\1x"][0] == flag | SINGLES
    assert build(soa(1), NS, owner_case).nodes[b"\1x"][0] == flag | SINGLES | HAS_CASE
    assert build(soa(1), NS, rr(line), MAIL, rr("x 1 RRSIG A 8 3 1 0 0 1 . Qg==")).nodes[b"\1x"][0] == flag | SINGLES


def test_owners_that_come_back_make_the_same_zone():
    hosts = [rr(f"h{number} 300 {kind}") for number in range(5) for kind in ("A 192.0.2.1", "A 192.0.2.2", 'TXT "x"')]
    together, apart = build(soa(1), NS, *hosts), build(soa(1), *hosts[::3], *hosts[1::3], NS, *hosts[2::3])
    assert together.nodes == apart.nodes
    assert (together.records, together.size) == (apart.records, apart.size) == (17, together.size)


def test_owners_that_come_back_in_another_case_keep_the_first():
    upper = WWW._replace(owner=b"\3WWW" + APEX, rdata=b"\1\1\1\1")
    assert b"\3WWW" not in build(soa(1), NS, WWW, MAIL, upper).nodes[b"\3www"]
    node = build(soa(1), NS, upper, MAIL, WWW).nodes[b"\3www"]
    assert node[0] == HAS_CASE and node[2:].startswith(b"\3WWW" + APEX)


def test_what_comes_back_is_checked_too():
    assert rejected(soa(1), NS, WWW, MAIL, rr("www 1 CNAME a")).reason is Reason.CNAME_CONFLICT
    below = [rr("a.www 1 A 192.0.2.1"), rr("www 1 DNAME a")]
    assert rejected(soa(1), NS, WWW, *below).reason is Reason.CNAME_CONFLICT
    many = [rr(f"www 1 A 10.0.0.{number}") for number in range(6)]
    small = TransferLimits(max_rrset_records=5)
    assert rejected(soa(1), NS, *many[:3], MAIL, *many[3:], limits=small).reason is Reason.LIMIT_RRSET


def test_limits_hold_for_what_is_put_aside_too():
    alternating = [rr(f"{owner} 1 A 10.0.{n}.1") for n in range(50) for owner in "ab"]
    records = rejected(soa(1), NS, *alternating, limits=TransferLimits(max_records=50))
    size = rejected(soa(1), NS, *alternating, limits=TransferLimits(max_bytes=900))
    assert (records.reason, size.reason) == (Reason.LIMIT_RECORDS, Reason.LIMIT_BYTES)


def test_a_long_run_within_the_limits_is_let_through():
    """The check of a run that is not complete yet counts each RRset for itself."""
    many = [WWW._replace(type=kind, rdata=bytes((n,) * 4)) for kind in (65300, 65301, 65302) for n in range(5)]
    builder = ZoneBuilder(APEX, TransferLimits(max_rrset_records=5))
    for record in (soa(1), NS, *many):
        builder.add(record)
    assert builder.finish().records == 17


def test_a_ttl_with_its_top_bit_is_zero():
    built = build(soa(1), NS, WWW._replace(ttl=2**31))
    assert "www.example.com. 0 IN A 192.0.2.1" in lines(built.nodes)


def test_the_class_is_in():
    error = rejected(soa(1), NS, WWW._replace(rdclass=codes.CH))
    assert error.detail == "www.example.com A has class 3, a zone holds class IN (1) only"


def test_soa_records_belong_to_the_apex_and_are_one():
    assert rejected(soa(1), NS, soa(1)._replace(owner=WWW.owner)).reason is Reason.SOA_IN_MIDDLE
    assert rejected(soa(1), NS, soa(2)).reason is Reason.SOA_IN_MIDDLE
    assert rejected(NS).reason is Reason.NO_SOA
    assert rejected().reason is Reason.NO_SOA


def test_extend_stops_at_an_soa_and_hands_it_back():
    builder = ZoneBuilder(APEX, LIMITS)
    builder.add(soa(1))
    data = message(NS, WWW, soa(1), MAIL)
    section = Section(data, 12 + len(APEX) + 4, 4)
    assert builder.extend(section) == to_walked(soa(1))
    assert builder.extend(section) is None
    assert builder.finish().records == 4


def test_the_root_can_be_a_zone():
    builder = ZoneBuilder(b"\0", FormatLimits())
    for record in (soa(1)._replace(owner=b"\0"), NS._replace(owner=b"\0"), WWW):
        builder.add(record)
    built = builder.finish()
    assert set(built.nodes) == {b"", WWW.owner[:-1]}


DEEP = b"\1d" * 50 + APEX  # far below the apex: its labels are gone through once, not for every owner


def test_owners_far_below_the_apex_are_taken_in_and_others_that_look_so_left_out():
    inside = [WWW._replace(owner=b"\3www" + DEEP), WWW._replace(owner=b"\4mail" + DEEP)]
    elsewhere = WWW._replace(owner=b"\3www" + b"\1d" * 50 + b"\7example\3org\0")
    within_a_label = WWW._replace(owner=b"\1d" * 50 + bytes((len(APEX),)) + b"x" + APEX)
    built = build(soa(1), NS, *inside, elsewhere, within_a_label)
    assert set(built.nodes) == {b"", *(record.owner[: -len(APEX)] for record in inside)}
    assert built.out_of_zone == 2


def test_not_more_than_so_many_parents_are_remembered(monkeypatch):
    monkeypatch.setattr(builder_module, "_PARENTS_KEPT", 3)
    owners = [b"\1w" + bytes((1, 97 + n)) + DEEP for n in range(8)]
    built = build(soa(1), NS, *(WWW._replace(owner=owner) for owner in owners))
    assert len(built.nodes) == 9
