"""RFC 4035 §3.1: what a server of signed zones adds for those who set DO; the zone and answers of its appendices."""

import dns.name
import pytest
from support.pipelines import ask, is_authoritative, lines, pipeline_of, rcode, served_zone
from support.served_zones import nodes_of
from support.signing import Nsec, sign, signed_zone
from support.validator import validate

from nameserver.zone.contents import Zone

APPENDIX_A = f"""
@      3600 IN SOA   ns1 bugs.x.w 1081539377 3600 300 3600000 1800
@      3600 IN NS    ns1
@      3600 IN NS    ns2
@      3600 IN MX    1 xx
a      3600 IN NS    ns1.a
a      3600 IN NS    ns2.a
a      3600 IN DS    57855 5 1 {"b6" * 20}
ns1.a  3600 IN A     192.0.2.5
ns2.a  3600 IN A     192.0.2.6
ai     3600 IN A     192.0.2.9
ai     3600 IN HINFO "KLH-10" "ITS"
b      3600 IN NS    ns1.b
b      3600 IN NS    ns2.b
ns1.b  3600 IN A     192.0.2.7
ns2.b  3600 IN A     192.0.2.8
ns1    3600 IN A     192.0.2.1
ns2    3600 IN A     192.0.2.2
*.w    3600 IN MX    1 ai
x.w    3600 IN MX    1 xx
x.y.w  3600 IN MX    1 xx
xx     3600 IN A     192.0.2.10
xx     3600 IN HINFO "KLH-10" "TOPS-20"
"""
MORE = """
alias    3600 IN CNAME  xx
tonone   3600 IN CNAME  ml
towild   3600 IN CNAME  a.z.w
*.calias 3600 IN CNAME  xx
moved    3600 IN DNAME  w
c        3600 IN NS     ns1
c        3600 IN NS     ns1.a
"""
APEX = dns.name.from_text("example.")


@pytest.fixture(scope="module")
def pipeline():
    return pipeline_of(served_zone(signed_zone(APPENDIX_A, "example.", Nsec(ttl=1800))))


@pytest.fixture(scope="module")
def more():
    return pipeline_of(served_zone(signed_zone(APPENDIX_A + MORE, "example.", Nsec(ttl=1800))))


def ask_dnssec(pipeline, name, rdtype="A", **more):
    """A reply to a question with DO, which a validator accepts."""
    reply = ask(pipeline, name, rdtype, edns=4096, want_dnssec=True, transport="tcp", **more)
    validate(reply, APEX)
    return reply


def shown(section):
    """Owner and type of each RRset, in the order sent; of a signature `RRSIG` and the type it covers."""
    texts = []
    for line in lines(section):
        owner, _, _, rdtype, first = line.split()[:5]
        texts.append(f"{owner} RRSIG-{first}" if rdtype == "RRSIG" else f"{owner} {rdtype}")
    return list(dict.fromkeys(texts))


# --- appendix B ---------------------------------------------------------------------------------------------------


def test_appendix_b_1_an_answer_with_its_signature(pipeline):
    reply = ask_dnssec(pipeline, "x.w.example.", "MX")
    assert shown(reply.answer) == ["x.w.example. MX", "x.w.example. RRSIG-MX"]
    assert is_authoritative(reply)
    assert reply.authority == []


def test_appendix_b_2_a_name_error_is_proved_by_the_span_of_the_name_and_that_of_the_wildcard(pipeline):
    reply = ask_dnssec(pipeline, "ml.example.")
    assert rcode(reply) == "NXDOMAIN"
    assert shown(reply.authority) == [
        "example. SOA",
        "example. RRSIG-SOA",
        "b.example. NSEC",
        "b.example. RRSIG-NSEC",
        "example. NSEC",
        "example. RRSIG-NSEC",
    ]


def test_appendix_b_3_no_data_is_proved_by_the_name_s_own_nsec(pipeline):
    reply = ask_dnssec(pipeline, "ns1.example.", "MX")
    assert rcode(reply) == "NOERROR"
    assert shown(reply.authority)[2:] == ["ns1.example. NSEC", "ns1.example. RRSIG-NSEC"]


def test_appendix_b_4_a_referral_to_a_signed_zone_has_its_ds(pipeline):
    reply = ask_dnssec(pipeline, "mc.a.example.", "MX")
    assert not is_authoritative(reply)
    assert shown(reply.authority) == ["a.example. NS", "a.example. DS", "a.example. RRSIG-DS"]
    assert shown(reply.additional) == ["ns1.a.example. A", "ns2.a.example. A"]


def test_appendix_b_5_a_referral_to_an_unsigned_zone_proves_that_there_is_no_ds(pipeline):
    reply = ask_dnssec(pipeline, "mc.b.example.", "MX")
    assert shown(reply.authority) == ["b.example. NS", "b.example. NSEC", "b.example. RRSIG-NSEC"]


def test_appendix_b_6_an_answer_from_a_wildcard_proves_that_no_closer_name_exists(pipeline):
    reply = ask_dnssec(pipeline, "a.z.w.example.", "MX")
    assert shown(reply.answer) == ["a.z.w.example. MX", "a.z.w.example. RRSIG-MX"]
    assert reply.answer[1][0].labels == 2, "the signature is the wildcard's, as stored"
    assert shown(reply.authority) == ["x.y.w.example. NSEC", "x.y.w.example. RRSIG-NSEC"]


def test_appendix_b_7_no_data_at_a_wildcard(pipeline):
    reply = ask_dnssec(pipeline, "a.z.w.example.", "AAAA")
    assert rcode(reply) == "NOERROR"
    assert shown(reply.authority)[2:] == [
        "*.w.example. NSEC",
        "*.w.example. RRSIG-NSEC",
        "x.y.w.example. NSEC",
        "x.y.w.example. RRSIG-NSEC",
    ]


def test_appendix_b_8_ds_asked_of_the_child_is_no_data(pipeline):
    reply = ask_dnssec(pipeline, "example.", "DS")
    assert shown(reply.authority)[2:] == ["example. NSEC", "example. RRSIG-NSEC"]


# --- the rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [("x.w", "MX"), ("ml", "A"), ("ns1", "MX"), ("mc.a", "MX"), ("mc.b", "MX"), ("a.z.w", "MX"), ("a.z.w", "AAAA")],
)
@pytest.mark.parametrize("edns", [None, 1232])
def test_section_3_1_without_do_nothing_of_dnssec_is_sent(pipeline, name, rdtype, edns):
    reply = ask(pipeline, f"{name}.example.", rdtype, edns=edns)
    sent = [rrset.rdtype for section in (reply.answer, reply.authority, reply.additional) for rrset in section]
    assert not {43, 46, 47, 50} & set(sent)


@pytest.mark.parametrize("rdtype", ["RRSIG", "NSEC", "DNSKEY", "DS"])
def test_section_3_1_without_do_they_are_sent_when_asked_for(pipeline, rdtype):
    name = "a.example." if rdtype == "DS" else "example."
    reply = ask(pipeline, name, rdtype)
    assert {line.split()[3] for line in lines(reply.answer)} == {rdtype}


def test_section_3_1_1_with_do_what_is_asked_for_by_type_is_signed_too(pipeline):
    for rdtype in ("NSEC", "DNSKEY"):
        reply = ask_dnssec(pipeline, "example.", rdtype)
        assert shown(reply.answer) == [f"example. {rdtype}", f"example. RRSIG-{rdtype}"]


def test_section_3_1_1_the_signatures_of_negative_answers_have_the_ttl_of_the_soa_there(pipeline):
    """RFC 2308 §5 lowers the SOA's TTL; RFC 4034 §3 gives an RRSIG the TTL of what it covers."""
    reply = ask_dnssec(pipeline, "ml.example.")
    assert [rrset.ttl for rrset in reply.authority[:2]] == [1800, 1800]


def test_section_3_1_1_tc_where_a_signature_of_the_answer_has_no_room():
    many = "\n".join(f'big 3600 TXT "{number:040}"' for number in range(8))
    zone = pipeline_of(served_zone(signed_zone(APPENDIX_A + many, "example.", Nsec())))
    assert not ask(zone, "big.example.", "TXT", edns=512).flags & 0x0200
    cut = ask(zone, "big.example.", "TXT", edns=512, want_dnssec=True)
    assert cut.flags & 0x0200
    assert shown(cut.answer) in ([], ["big.example. TXT"])


def test_section_3_1_1_no_tc_where_only_signatures_of_the_additional_section_have_no_room(more):
    whole = ask_dnssec(more, "x.c.example.")
    assert shown(whole.additional) == ["ns1.example. A", "ns1.a.example. A", "ns1.example. RRSIG-A"]
    size = len(ask(more, "x.c.example.", edns=1232, want_dnssec=True).to_wire())
    for room in range(512, size):
        reply = ask(more, "x.c.example.", edns=room, want_dnssec=True)
        if reply.flags & 0x0200:
            continue
        assert shown(reply.additional)[:2] == shown(whole.additional)[:2]


def test_section_3_1_3_2_one_nsec_that_proves_both_is_sent_once(pipeline):
    reply = ask_dnssec(pipeline, "0.example.")
    assert shown(reply.authority)[2:] == ["example. NSEC", "example. RRSIG-NSEC"]


def test_section_3_1_3_1_an_empty_non_terminal_is_shown_by_the_span_that_ends_below_it(pipeline):
    reply = ask_dnssec(pipeline, "y.w.example.")
    assert rcode(reply) == "NOERROR"
    assert shown(reply.authority)[2:] == ["x.w.example. NSEC", "x.w.example. RRSIG-NSEC"]


def test_section_3_1_3_4_a_wildcard_that_is_an_empty_non_terminal_is_shown_to_exist_as_one():
    """BIND and Knot send only the NSEC that denies the name itself, which leaves the wildcard unproved."""
    text = f"{APPENDIX_A}\nx.*.hollow 3600 A 192.0.2.13"
    reply = ask_dnssec(pipeline_of(served_zone(signed_zone(text, "example.", Nsec()))), "foo.hollow.example.")
    assert rcode(reply) == "NOERROR"
    assert shown(reply.authority)[2::2] == ["b.example. NSEC", "x.*.hollow.example. NSEC"]


@pytest.mark.parametrize("name", ["a.example.", "b.example."])
def test_section_3_1_4_1_ds_at_the_cut_is_answered_by_the_parent(pipeline, name):
    reply = ask_dnssec(pipeline, name, "DS")
    assert is_authoritative(reply)
    if name == "a.example.":
        assert shown(reply.answer) == ["a.example. DS", "a.example. RRSIG-DS"]
    else:
        assert shown(reply.authority)[2:] == ["b.example. NSEC", "b.example. RRSIG-NSEC"]


def test_section_3_1_4_1_ds_is_answered_by_the_parent_where_both_are_served_here():
    child = "@ 3600 SOA ns1 h 1 2 3 4 5\n@ 3600 NS ns1\nns1 3600 A 192.0.2.5"
    pipeline = pipeline_of(
        served_zone(signed_zone(APPENDIX_A, "example.", Nsec())), served_zone(signed_zone(child, "a.example.", Nsec()))
    )
    reply = ask_dnssec(pipeline, "a.example.", "DS")
    assert shown(reply.answer) == ["a.example. DS", "a.example. RRSIG-DS"]
    below = ask(pipeline, "nope.a.example.", edns=1232, want_dnssec=True)
    validate(below, dns.name.from_text("a.example."))


def test_section_3_1_4_nsec_at_the_cut_is_referred_as_any_type_but_ds(pipeline):
    assert shown(ask_dnssec(pipeline, "b.example.", "NSEC").authority)[0] == "b.example. NS"


def test_a_chain_has_the_signatures_of_each_link_and_the_proofs_of_its_end(more):
    reply = ask_dnssec(more, "tonone.example.")
    assert rcode(reply) == "NXDOMAIN"
    assert shown(reply.answer) == ["tonone.example. CNAME", "tonone.example. RRSIG-CNAME"]
    assert "*.calias.example. NSEC" in shown(reply.authority)


def test_a_chain_has_the_proofs_of_the_wildcards_on_its_way(more):
    reply = ask_dnssec(more, "towild.example.", "MX")
    assert shown(reply.answer)[2:] == ["a.z.w.example. MX", "a.z.w.example. RRSIG-MX"]
    assert shown(reply.authority) == ["x.y.w.example. NSEC", "x.y.w.example. RRSIG-NSEC"]
    through = ask_dnssec(more, "any.calias.example.", "A")
    assert shown(through.answer)[:2] == ["any.calias.example. CNAME", "any.calias.example. RRSIG-CNAME"]
    assert shown(through.authority) == ["*.calias.example. NSEC", "*.calias.example. RRSIG-NSEC"]


def test_a_chain_ends_before_proofs_of_two_zones_would_become_one_rrset():
    """Parent and child have an NSEC at the cut, each its own: in one message no client could tell them apart."""
    child = "@ 3600 SOA ns1 h 1 2 3 4 5\n@ 3600 NS ns1\nns1 3600 A 192.0.2.7\n* 3600 CNAME @"
    pipeline = pipeline_of(
        served_zone(signed_zone(APPENDIX_A, "example.", Nsec())), served_zone(signed_zone(child, "b.example.", Nsec()))
    )
    reply = ask(pipeline, r"\).b.example.", "DS", edns=4096, want_dnssec=True, transport="tcp")
    assert rcode(reply) == "NOERROR"
    assert shown(reply.answer) == [r"\).b.example. CNAME", r"\).b.example. RRSIG-CNAME"]
    assert shown(reply.authority) == ["b.example. NSEC", "b.example. RRSIG-NSEC"]
    assert "SOA" in lines(reply.authority)[0]  # the child's, which proves that no closer name exists


def test_an_additional_address_made_from_a_wildcard_has_the_wildcards_signature():
    text = f"{APPENDIX_A}\n*.hosts 3600 A 192.0.2.14\n@ 3600 MX 5 any.hosts"
    pipeline = pipeline_of(served_zone(signed_zone(text, "example.", Nsec())))
    reply = ask(pipeline, "example.", "MX", edns=4096, want_dnssec=True, transport="tcp")
    assert {"any.hosts.example. A", "any.hosts.example. RRSIG-A"} <= set(shown(reply.additional))


def test_the_cname_made_from_a_dname_is_not_signed(more):
    """RFC 6672 §5.3.1"""
    reply = ask_dnssec(more, "x.moved.example.", "MX")
    assert shown(reply.answer) == [
        "moved.example. DNAME",
        "moved.example. RRSIG-DNAME",
        "x.moved.example. CNAME",
        "x.w.example. MX",
        "x.w.example. RRSIG-MX",
    ]


def test_any_is_one_rrset_with_its_signatures(pipeline):
    reply = ask(pipeline, "xx.example.", "ANY", edns=1232, want_dnssec=True)
    assert shown(reply.answer) == ["xx.example. A", "xx.example. RRSIG-A"]


def test_any_prefers_what_the_zone_s_author_wrote_to_what_signing_added():
    text = f"{APPENDIX_A}\nt 3600 CAA 0 issue x"
    pipeline = pipeline_of(served_zone(signed_zone(text, "example.", Nsec())))
    assert shown(ask(pipeline, "t.example.", "ANY").answer) == ["t.example. CAA"]


# --- zones with something missing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["RRSIG", "NSEC", "DNSKEY"])
def test_from_a_zone_that_lacks_records_what_is_there_is_sent(missing):
    """Nothing fails, and no record appears that would deny a name that exists."""
    numbers = {"RRSIG": 46, "NSEC": 47, "DNSKEY": 48}
    for at in ("example.", "ns1.example.", "b.example.", "*.w.example.", None):
        owner = None if at is None else dns.name.from_text(at).to_wire()
        rrsets = [
            rrset
            for rrset in sign(APPENDIX_A, "example.", Nsec())
            if rrset.type != numbers[missing] or (owner is not None and rrset.owner != owner)
        ]
        pipeline = pipeline_of(served_zone(zone_of(rrsets)))
        for name in ("x.w", "ml", "ns1", "mc.a", "mc.b", "a.z.w", "y.w", "0", "b"):
            for rdtype in ("A", "MX", "DS", "NSEC", "RRSIG", "ANY"):
                reply = ask(pipeline, f"{name}.example.", rdtype, edns=4096, want_dnssec=True)
                assert rcode(reply) in ("NOERROR", "NXDOMAIN")
                if name == "ns1" and at == "ns1.example." and missing == "NSEC":
                    assert all(rrset.rdtype != 47 for rrset in reply.authority)


def zone_of(rrsets):
    return Zone.from_nodes(*nodes_of(rrsets, "example."), 1)


def test_a_zone_without_any_signature_at_its_apex_is_an_unsigned_one():
    rrsets = [rrset for rrset in sign(APPENDIX_A, "example.", Nsec()) if rrset.type != 46]
    assert zone_of(rrsets).denial is None
