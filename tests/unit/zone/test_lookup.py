"""nameserver.zone.lookup: every kind of answer, owner spelling, and which rule wins over which."""

import pytest
from support.served_zones import HEAD, key_of, wire, zone_from_text

from nameserver.wire import codes
from nameserver.wire.rrset import RRset
from nameserver.zone.contents import Zone
from nameserver.zone.lookup import Answer, Kind, lookup

ORIGIN = "Example."
TEXT = f"""{HEAD}
WWW         A     192.0.2.10
www         AAAA  2001:db8::10
alias       CNAME www
signed      CNAME www
signed      RRSIG CNAME 8 2 60 20300101000000 20200101000000 1 example. AAAA
signed      NSEC  www CNAME RRSIG NSEC
many        TXT   "t"
many        RRSIG A 8 2 60 20300101000000 20200101000000 1 example. AAAA
many        RRSIG TXT 8 2 60 20300101000000 20200101000000 1 example. AAAA
a.b.c       TXT   deep
*.Wild      TXT   wild
*.Wild      MX    10 mail
host.wild   A     192.0.2.11
x.ent.wild  A     192.0.2.12
*.calias    CNAME www
x.*.hollow  A     192.0.2.13
sub         NS    ns.sub
sub         NS    NS2.other
sub         NS    ns1
sub         NS    ns.elsewhere.test.
sub         NS    missing.sub
sub         DS    1 8 2 abababababababababababababababababababababababababababababababab
ns.sub      A     192.0.2.53
ns.sub      AAAA  2001:db8::53
www.sub     A     192.0.2.66
deep.sub    NS    ns.deep.sub
other       NS    ns2.other
ns2.other   A     192.0.2.54
bare        NS    ns.elsewhere.test.
moved       DNAME New.target.
moved       TXT   here
www.moved   A     192.0.2.67
"""


@pytest.fixture(scope="module")
def zone() -> Zone:
    return zone_from_text(TEXT, ORIGIN)


def look(zone: Zone, name: str, rdtype: int) -> Answer:
    return lookup(zone, key_of(name, ORIGIN), rdtype, wire(name))


def names(rrsets: tuple[RRset, ...]) -> list[tuple[bytes, int]]:
    return [(rrset.owner, rrset.type) for rrset in rrsets]


def assert_negative(zone: Zone, answer: Answer, kind: Kind) -> None:
    assert answer._replace(source=b"", encloser=None) == Answer(kind, authority=(zone.negative_soa,))


def test_a_hit_shows_the_owner_as_the_zone_spells_it(zone):
    answer = look(zone, "wWw.eXample.", codes.A)
    assert answer.kind is Kind.HIT
    assert names(answer.answer) == [(wire("WWW.Example."), codes.A)]
    assert answer.authority == answer.additional == ()


def test_the_apex_answers_its_own_soa_and_ns(zone):
    for rdtype in (codes.SOA, codes.NS):
        answer = look(zone, ORIGIN, rdtype)
        assert answer.kind is Kind.HIT
        assert names(answer.answer) == [(wire(ORIGIN), rdtype)]


def test_a_missing_type_is_nodata(zone):
    assert_negative(zone, look(zone, "www.example.", codes.MX), Kind.NODATA)
    assert_negative(zone, look(zone, ORIGIN, codes.DS), Kind.NODATA)


@pytest.mark.parametrize("name", ["c.example.", "b.c.example.", "wild.example.", "ent.wild.example."])
def test_an_empty_non_terminal_is_nodata(zone, name):
    assert_negative(zone, look(zone, name, codes.A), Kind.NODATA)


@pytest.mark.parametrize("name", ["nope.example.", "x.www.example.", "x.b.c.example.", "b.example.", "x.y.z.example."])
def test_a_name_that_does_not_exist_is_nxdomain(zone, name):
    assert_negative(zone, look(zone, name, codes.A), Kind.NXDOMAIN)


def test_a_cname_leads_to_its_target(zone):
    answer = look(zone, "alias.example.", codes.A)
    assert answer.kind is Kind.CNAME
    assert names(answer.answer) == [(wire("alias.Example."), codes.CNAME)]
    assert answer.target == wire("www.Example.")


@pytest.mark.parametrize("rdtype", [codes.CNAME, codes.RRSIG, codes.NSEC, codes.ANY])
def test_types_that_stand_beside_a_cname_are_answered_and_not_followed(zone, rdtype):
    answer = look(zone, "signed.example.", rdtype)
    assert answer.kind is Kind.HIT
    assert answer.target is None


@pytest.mark.parametrize("name", ["alias.example.", "x.calias.example."])
@pytest.mark.parametrize("rdtype", [codes.RRSIG, codes.NSEC, 24, 25])
def test_types_that_may_stand_beside_a_cname_are_nodata_where_they_do_not(zone, name, rdtype):
    """RFC 2181 §10.1, RFC 4034 §3, §4: they would be data of the alias itself, not of what it points to."""
    assert_negative(zone, look(zone, name, rdtype), Kind.NODATA)


def test_nxt_is_looked_for_at_a_cnames_target_like_any_type(zone):
    """RFC 3755 §3 has retired it: Knot, NSD and BIND all follow."""
    assert look(zone, "alias.example.", 30).kind is Kind.CNAME


def test_rrsig_gives_the_signatures_of_all_types(zone):
    answer = look(zone, "many.example.", codes.RRSIG)
    assert [rrset.tails[10:12] for rrset in answer.answer] == [b"\0\1", b"\0\x10"]


def test_any_gives_one_rrset(zone):
    answer = look(zone, "www.example.", codes.ANY)
    assert answer.kind is Kind.HIT
    assert names(answer.answer) == [(wire("WWW.Example."), codes.A)]
    assert look(zone, "alias.example.", codes.ANY).answer[0].type == codes.CNAME


def test_a_wildcard_answers_under_the_spelling_asked_for(zone):
    answer = look(zone, "FoO.Bar.wild.example.", codes.TXT)
    assert answer.kind is Kind.HIT
    assert names(answer.answer) == [(wire("FoO.Bar.wild.example."), codes.TXT)]


def test_a_wildcard_without_the_type_is_nodata(zone):
    assert_negative(zone, look(zone, "foo.wild.example.", codes.A), Kind.NODATA)


def test_a_wildcard_itself_is_found_under_its_own_spelling(zone):
    answer = look(zone, "*.wild.example.", codes.TXT)
    assert names(answer.answer) == [(wire("*.Wild.Example."), codes.TXT)]


@pytest.mark.parametrize("name", ["x.host.wild.example.", "y.ent.wild.example.", "x.*.wild.example."])
def test_a_closer_name_blocks_the_wildcard(zone, name):
    assert_negative(zone, look(zone, name, codes.TXT), Kind.NXDOMAIN)


def test_a_wildcard_cname_is_followed_from_the_name_asked_for(zone):
    answer = look(zone, "X.calias.example.", codes.A)
    assert answer.kind is Kind.CNAME
    assert names(answer.answer) == [(wire("X.calias.example."), codes.CNAME)]
    assert answer.target == wire("www.Example.")


def test_a_wildcard_that_is_an_empty_non_terminal_covers_names_without_data(zone):
    assert_negative(zone, look(zone, "foo.hollow.example.", codes.A), Kind.NODATA)


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("sub.example.", codes.A),
        ("sub.example.", codes.NS),
        ("sub.example.", codes.ANY),
        ("www.sub.example.", codes.A),
        ("ns.sub.example.", codes.A),
        ("nope.sub.example.", codes.DS),
        ("x.deep.sub.example.", codes.A),
        ("deep.sub.example.", codes.DS),
    ],
)
def test_everything_at_and_below_the_topmost_cut_is_referred(zone, name, rdtype):
    answer = look(zone, name, rdtype)
    assert answer.kind is Kind.REFERRAL
    assert answer.answer == ()
    assert names(answer.authority) == [(wire("sub.Example."), codes.NS)]


def test_a_referral_has_in_domain_glue_first_then_other_addresses_of_the_zone(zone):
    answer = look(zone, "www.sub.example.", codes.A)
    assert names(answer.additional) == [
        (wire("ns.sub.Example."), codes.A),
        (wire("ns.sub.Example."), codes.AAAA),
        (wire("ns2.other.Example."), codes.A),
        (wire("ns1.Example."), codes.A),
    ]
    assert answer.glue_required == 2


def test_a_referral_to_servers_elsewhere_has_no_glue(zone):
    answer = look(zone, "bare.example.", codes.A)
    assert answer.kind is Kind.REFERRAL
    assert answer.additional == ()
    assert answer.glue_required == 0


def test_addresses_of_servers_beside_the_cut_may_be_missing():
    zone = zone_from_text(f"{HEAD}\nsub NS ns.other\nother NS ns.other\nns.other A 192.0.2.54", ORIGIN)
    answer = look(zone, "www.sub.example.", codes.A)
    assert names(answer.additional) == [(wire("ns.other.Example."), codes.A)]
    assert answer.glue_required == 0


def test_ds_at_the_cut_is_answered_here(zone):
    answer = look(zone, "sub.example.", codes.DS)
    assert answer.kind is Kind.HIT
    assert names(answer.answer) == [(wire("sub.Example."), codes.DS)]
    assert_negative(zone, look(zone, "other.example.", codes.DS), Kind.NODATA)


def test_below_a_dname_everything_moves_whatever_the_zone_holds_there(zone):
    answer = look(zone, "WWW.a.moved.example.", codes.A)
    assert answer.kind is Kind.DNAME
    assert names(answer.answer) == [
        (wire("moved.Example."), codes.DNAME),
        (wire("WWW.a.moved.example."), codes.CNAME),
    ]
    assert answer.target == wire("WWW.a.New.target.")
    assert list(answer.answer[1].rdatas()) == [answer.target]
    assert answer.answer[1].ttl == answer.answer[0].ttl
    assert look(zone, "www.moved.example.", codes.A).kind is Kind.DNAME


def test_the_owner_of_a_dname_is_not_moved(zone):
    for rdtype in (codes.TXT, codes.DNAME):
        assert look(zone, "moved.example.", rdtype).kind is Kind.HIT
    assert_negative(zone, look(zone, "moved.example.", codes.A), Kind.NODATA)


def test_asked_for_the_cname_the_one_made_from_a_dname_is_the_answer(zone):
    answer = look(zone, "www.moved.example.", codes.CNAME)
    assert answer.kind is Kind.HIT
    assert answer.target is None
    assert [rrset.type for rrset in answer.answer] == [codes.DNAME, codes.CNAME]


def test_a_name_that_a_dname_makes_too_long_has_no_target():
    target = ".".join(["t" * 63] * 3) + "."
    zone = zone_from_text(f"{HEAD}\nm DNAME {target}", ORIGIN)
    fits, too_long = (f"{'x' * length}.m.example." for length in (61, 62))
    assert len(look(zone, fits, codes.A).target) == 255
    answer = look(zone, too_long, codes.A)
    assert (answer.kind, answer.target) == (Kind.DNAME, None)
    assert [rrset.type for rrset in answer.answer] == [codes.DNAME]


def test_a_dname_at_the_apex_moves_everything_but_the_apex():
    zone = zone_from_text(f"{HEAD}\n@ DNAME target.", ORIGIN)
    assert look(zone, "ns1.example.", codes.A).kind is Kind.DNAME
    assert look(zone, "example.", codes.SOA).kind is Kind.HIT


def test_a_delegation_above_a_dname_wins():
    zone = zone_from_text(f"{HEAD}\nsub NS ns.test.\nm.sub DNAME target.", ORIGIN)
    assert look(zone, "x.m.sub.example.", codes.A).kind is Kind.REFERRAL


def test_a_wildcard_of_ns_or_dname_type_is_data_and_nothing_else():
    zone = zone_from_text(f"{HEAD}\n*.n NS ns.test.\n*.d DNAME target.", ORIGIN)
    assert look(zone, "x.n.example.", codes.NS).kind is Kind.HIT
    assert_negative(zone, look(zone, "x.n.example.", codes.A), Kind.NODATA)
    assert_negative(zone, look(zone, "x.d.example.", codes.A), Kind.NODATA)


def test_a_wildcard_at_the_apex_covers_what_is_not_there():
    zone = zone_from_text(f"{HEAD}\n* A 192.0.2.5", ORIGIN)
    assert look(zone, "x.y.example.", codes.A).kind is Kind.HIT
    assert_negative(zone, look(zone, "x.ns1.example.", codes.A), Kind.NXDOMAIN)


def test_the_root_zone_is_a_zone_like_any_other():
    zone = zone_from_text(
        "@ 60 IN SOA ns.test. h.test. 1 2 3 4 5\n@ 60 IN NS ns.test.\ntest. NS ns.test.\nns.test. A 192.0.2.1", "."
    )
    answer = lookup(zone, b"\x04test", codes.A, wire("test."))
    assert answer.kind is Kind.REFERRAL
    assert names(answer.additional) == [(wire("ns.test."), codes.A)]
    assert lookup(zone, b"", codes.SOA, b"\0").kind is Kind.HIT
    assert lookup(zone, b"\x04nope", codes.SOA, wire("nope.")).kind is Kind.NXDOMAIN
