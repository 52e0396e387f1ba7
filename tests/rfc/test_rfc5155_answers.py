"""RFC 5155 §7.2: what a server of zones with NSEC3 answers; the zone and the answers of its appendices."""

import dns.dnssec
import dns.name
import pytest
from support.pipelines import ask, is_authoritative, lines, pipeline_of, rcode, served_zone
from support.served_zones import nodes_of
from support.signing import NSEC3, NSEC3PARAM, Nsec, Nsec3, sign, signed_zone
from support.validator import Bogus, validate

from nameserver.wire.rrset import RRset
from nameserver.zone.contents import Zone

APPENDIX_A = f"""
@      3600 IN SOA   ns1 bugs.x.w 1 3600 300 3600000 3600
@      3600 IN NS    ns1
@      3600 IN NS    ns2
@      3600 IN MX    1 xx
2t7b4g4vsa5smi47k61mv5bv1a22bojr 3600 IN A 192.0.2.127
a      3600 IN NS    ns1.a
a      3600 IN NS    ns2.a
a      3600 IN DS    58470 5 1 {"30" * 20}
ns1.a  3600 IN A     192.0.2.5
ns2.a  3600 IN A     192.0.2.6
ai     3600 IN A     192.0.2.9
c      3600 IN NS    ns1.c
c      3600 IN NS    ns2.c
ns1.c  3600 IN A     192.0.2.7
ns2.c  3600 IN A     192.0.2.8
ns1    3600 IN A     192.0.2.1
ns2    3600 IN A     192.0.2.2
*.w    3600 IN MX    1 ai
x.w    3600 IN MX    1 xx
x.y.w  3600 IN MX    1 xx
xx     3600 IN A     192.0.2.10
"""
APEX = dns.name.from_text("example.")
CHAIN = Nsec3(iterations=12, salt="aabbccdd", opt_out=True, ttl=3600)
# Appendix A: the hashes of the names, from which the owners of its NSEC3 records are made.
HASHES = {
    "example": "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom",
    "ns1": "2t7b4g4vsa5smi47k61mv5bv1a22bojr",
    "x.y.w": "2vptu5timamqttgl4luu9kg21e0aor3s",
    "a": "35mthgpgcu1qg68fab165klnsnk3dpvl",
    "x.w": "b4um86eghhds6nea196smvmlo4ors995",
    "ai": "gjeqe526plbf1g8mklp59enfd789njgi",
    "y.w": "ji6neoaepv8b5o6k4ev33abha8ht9fgc",
    "w": "k8udemvp1j2f7eg6jebps17vp3n8i58h",
    "2t7b": "kohar7mbb8dc2ce8a9qvl8hon4k53uhi",
    "ns2": "q04jkcevqvmu85r014c7dkba38o0ji5r",
    "*.w": "r53bq7cc2uvmubfu5ocmm6pers9tk9en",
    "xx": "t644ebqk9bibcna874givr6joj62mlhv",
}


@pytest.fixture(scope="module")
def pipeline():
    return pipeline_of(served_zone(signed_zone(APPENDIX_A, "example.", CHAIN)))


def ask_dnssec(pipeline, name, rdtype="A", verdict="secure"):
    """A reply to a question with DO, of which a validator has this opinion."""
    reply = ask(pipeline, name, rdtype, edns=4096, want_dnssec=True, transport="tcp")
    assert validate(reply, APEX) == verdict
    return reply


def proof(reply):
    """The names whose NSEC3 records are in the reply, each with its signature."""
    names = {label: name for name, label in HASHES.items()}
    owners = [line.split(".")[0] for line in lines(reply.authority) if line.split()[3] == "NSEC3"]
    return sorted(names.get(owner, owner) for owner in owners)


def test_the_zone_of_appendix_a_has_its_chain():
    owners = [rrset.owner[1:33].decode() for rrset in sign(APPENDIX_A, "example.", CHAIN) if rrset.type == NSEC3]
    assert owners == list(HASHES.values())


# --- appendix B ---------------------------------------------------------------------------------------------------


def test_appendix_b_1_name_error(pipeline):
    reply = ask_dnssec(pipeline, "a.c.x.w.example.", verdict="insecure")
    assert rcode(reply) == "NXDOMAIN"
    assert proof(reply) == sorted(["example", "x.w", "a"])


def test_appendix_b_2_no_data(pipeline):
    assert proof(ask_dnssec(pipeline, "ns1.example.", "MX")) == ["ns1"]


def test_appendix_b_2_1_no_data_at_an_empty_non_terminal(pipeline):
    reply = ask_dnssec(pipeline, "y.w.example.")
    assert rcode(reply) == "NOERROR"
    assert proof(reply) == ["y.w"]


def test_appendix_b_3_referral_to_an_opt_out_unsigned_zone(pipeline):
    reply = ask_dnssec(pipeline, "mc.c.example.", "MX", verdict="insecure")
    assert not is_authoritative(reply)
    assert proof(reply) == ["a", "example"]
    assert [line.split()[3] for line in lines(reply.authority)] == ["NS", "NS", "NSEC3", "RRSIG", "NSEC3", "RRSIG"]


def test_appendix_b_4_wildcard_expansion(pipeline):
    reply = ask_dnssec(pipeline, "a.z.w.example.", "MX", verdict="insecure")
    assert [rrset.rdtype for rrset in reply.answer] == [15, 46]
    assert proof(reply) == ["ns2"]


def test_appendix_b_5_wildcard_no_data(pipeline):
    reply = ask_dnssec(pipeline, "a.z.w.example.", "AAAA", verdict="insecure")
    assert rcode(reply) == "NOERROR"
    assert proof(reply) == sorted(["w", "ns2", "*.w"])


def test_appendix_b_6_ds_asked_of_the_child(pipeline):
    assert proof(ask_dnssec(pipeline, "example.", "DS")) == ["example"]


# --- the rules ----------------------------------------------------------------------------------------------------


def test_section_7_2_4_ds_of_a_delegation_that_was_left_out_is_denied_by_the_closest_provable_encloser(pipeline):
    reply = ask_dnssec(pipeline, "c.example.", "DS", verdict="insecure")
    assert is_authoritative(reply)
    assert proof(reply) == ["a", "example"]


def test_section_7_2_4_ds_of_a_delegation_that_is_in_the_chain_is_denied_by_its_own():
    pipeline = pipeline_of(served_zone(signed_zone(APPENDIX_A, "example.", CHAIN._replace(opt_out=False))))
    for name, rdtype in (("c.example.", "DS"), ("mc.c.example.", "MX")):
        reply = ask_dnssec(pipeline, name, rdtype, verdict="secure" if rdtype == "DS" else "insecure")
        assert proof(reply) == [dns.dnssec.nsec3_hash("c.example", "aabbccdd", 12, 1).lower()]


def test_section_7_2_7_a_referral_to_a_signed_zone_has_its_ds(pipeline):
    reply = ask_dnssec(pipeline, "mc.a.example.", "MX")
    assert [line.split()[3] for line in lines(reply.authority)] == ["NS", "NS", "DS", "RRSIG"]


@pytest.mark.parametrize("rdtype", ["A", "NSEC3", "RRSIG", "ANY", "MX"])
def test_section_7_2_8_the_owner_of_an_nsec3_does_not_exist(pipeline, rdtype):
    name = f"{HASHES['example']}.example."
    reply = ask(pipeline, name, rdtype, edns=4096, want_dnssec=True)
    assert rcode(reply) == "NXDOMAIN"
    assert validate(reply, APEX) == "insecure"
    assert rcode(ask(pipeline, name, rdtype)) == "NXDOMAIN"
    assert rcode(ask(pipeline, f"below.{name}", rdtype)) == "NXDOMAIN"


def test_section_7_2_8_an_nsec3_owner_that_is_also_a_name_of_the_zone_is_that_name_alone(pipeline):
    name = f"{HASHES['ns1']}.example."
    assert lines(ask_dnssec(pipeline, name).answer)[0].endswith("192.0.2.127")
    for rdtype in ("NSEC3", "MX"):
        assert proof(ask_dnssec(pipeline, name, rdtype)) == ["2t7b"]
    assert [line.split()[4] for line in lines(ask(pipeline, name, "RRSIG").answer)] == ["A"]


def test_section_7_2_8_a_wildcard_covers_the_owner_of_an_nsec3():
    pipeline = pipeline_of(served_zone(signed_zone(f"{APPENDIX_A}\n* 3600 TXT any", "example.", CHAIN)))
    name = f"{HASHES['example']}.example."
    for each in (name, f"x.y.{name}"):
        assert lines(ask(pipeline, each, "TXT").answer) == [f'{each} 3600 IN TXT "any"']


def test_section_7_2_8_a_name_below_that_of_an_nsec3_makes_it_an_empty_non_terminal():
    text = f"{APPENDIX_A}\nx.{HASHES['example']} 3600 A 192.0.2.99"
    pipeline = pipeline_of(served_zone(signed_zone(text, "example.", CHAIN)))
    reply = ask_dnssec(pipeline, f"{HASHES['example']}.example.")
    assert (rcode(reply), reply.answer) == ("NOERROR", [])


@pytest.mark.parametrize("opt_out", [True, False])
def test_an_empty_non_terminal_that_only_an_unsigned_delegation_makes_may_be_left_out(opt_out):
    """RFC 5155 §7.1, as its erratum 3441 has it: the proof is that of the closest encloser that can be proved."""
    text = f"{APPENDIX_A}\nd.e.f 3600 NS ns1"
    pipeline = pipeline_of(served_zone(signed_zone(text, "example.", CHAIN._replace(opt_out=opt_out))))
    verdict = "insecure" if opt_out else "secure"
    for name in ("f.example.", "e.f.example."):
        reply = ask_dnssec(pipeline, name, verdict=verdict)
        assert rcode(reply) == "NOERROR"
        assert ("example" in proof(reply)) is opt_out
    reply = ask_dnssec(pipeline, "x.e.f.example.", verdict=verdict)
    assert rcode(reply) == "NXDOMAIN"
    assert ("example" in proof(reply)) is opt_out
    assert proof(ask_dnssec(pipeline, "y.z.e.f.example.", verdict=verdict))[0]


# --- which chain ----------------------------------------------------------------------------------------------------


def zone_of(rrsets):
    return Zone.from_nodes(*nodes_of(rrsets, "example."), 1)


def parameters_in(reply):
    """Iterations and salt of the NSEC3 records in the reply."""
    found = [line.split() for line in lines(reply.authority)]
    return {(int(fields[6]), fields[7]) for fields in found if fields[3] == "NSEC3"}


def test_section_7_3_of_two_chains_one_is_used_throughout():
    both = sign(APPENDIX_A, "example.", CHAIN, Nsec3(iterations=1, salt="ff", ttl=3600))
    pipeline = pipeline_of(served_zone(zone_of(both)))
    for name in ("nope", "ns1", "mc.c", "a.z.w", "y.w", "a.c.x.w"):
        reply = ask(pipeline, f"{name}.example.", "AAAA", edns=4096, want_dnssec=True)
        validate(reply, APEX)
        assert len(parameters_in(reply)) == 1


def test_of_two_chains_the_one_half_gone_is_not_used():
    for gone, stays in ((12, 1), (1, 12)):
        rrsets = sign(APPENDIX_A, "example.", CHAIN, Nsec3(iterations=1, salt="ff", ttl=3600))
        others = [rrset for rrset in rrsets if rrset.type == NSEC3 and iterations_of(rrset) == gone]
        pipeline = pipeline_of(served_zone(zone_of([rrset for rrset in rrsets if rrset not in others[1::2]])))
        reply = ask(pipeline, "nope.example.", "A", edns=4096, want_dnssec=True)
        validate(reply, APEX)
        assert {iterations for iterations, _ in parameters_in(reply)} == {stays}


def iterations_of(rrset):
    return int.from_bytes(rrset.tails[12:14], "big")


@pytest.mark.parametrize("algorithm_and_flags", [b"\x01\x01", b"\x01\x80", b"\x02\x00", b"\x00\x00"])
def test_section_4_1_2_and_8_1_parameters_with_flags_or_of_an_unknown_algorithm_are_ignored(algorithm_and_flags):
    rrsets = [rrset for rrset in sign(APPENDIX_A, "example.", CHAIN) if rrset.type != NSEC3PARAM]
    rdata = algorithm_and_flags + CHAIN.parameters[2:]
    zone = zone_of([*rrsets, RRset.of(APEX.to_wire(), NSEC3PARAM, 0, [rdata])])
    reply = ask(pipeline_of(served_zone(zone)), "nope.example.", "A", edns=4096, want_dnssec=True)
    assert rcode(reply) == "NXDOMAIN"
    assert [rrset.rdtype for rrset in reply.authority] == [6, 46]


def test_nsec3_is_used_rather_than_nsec_where_both_are_there_and_nsec_where_its_apex_is_not():
    rrsets = sign(APPENDIX_A, "example.", Nsec(), CHAIN)
    reply = ask(pipeline_of(served_zone(zone_of(rrsets))), "nope.example.", edns=4096, want_dnssec=True)
    assert {rrset.rdtype for rrset in reply.authority} == {6, 46, 50}
    without_apex = [rrset for rrset in rrsets if HASHES["example"].encode() not in rrset.owner]
    reply = ask(pipeline_of(served_zone(zone_of(without_apex))), "nope.example.", edns=4096, want_dnssec=True)
    assert {rrset.rdtype for rrset in reply.authority} == {6, 46, 47}
    validate(reply, APEX)


def test_owners_in_capitals_are_the_same_chain():
    """As `dnssec-signzone` writes them."""
    rrsets = [
        rrset._replace(owner=rrset.owner[:33].upper() + rrset.owner[33:]) if rrset.type == NSEC3 else rrset
        for rrset in sign(APPENDIX_A, "example.", CHAIN)
    ]
    reply = ask_dnssec(pipeline_of(served_zone(zone_of(rrsets))), "nope.example.", verdict="insecure")
    assert any(line.startswith(HASHES["example"].upper()) for line in lines(reply.authority))


# --- zones with something missing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [2, 3, 5])
@pytest.mark.parametrize("rdtype", [46, 50])
def test_from_a_chain_with_gaps_what_is_there_is_sent(share, rdtype):
    rrsets = sign(APPENDIX_A, "example.", CHAIN)
    gone = [rrset for rrset in rrsets if rrset.type == rdtype][::share]
    pipeline = pipeline_of(served_zone(zone_of([rrset for rrset in rrsets if rrset not in gone])))
    for name in ("nope", "ns1", "mc.c", "a.z.w", "y.w", "a.c.x.w", HASHES["xx"]):
        for asked in ("A", "MX", "DS", "ANY"):
            reply = ask(pipeline, f"{name}.example.", asked, edns=4096, want_dnssec=True)
            assert rcode(reply) in ("NOERROR", "NXDOMAIN")


def test_from_a_chain_without_the_span_of_a_name_the_proof_is_not_accepted_but_there():
    """The test above would say nothing if nothing were missing."""
    rrsets = [rrset for rrset in sign(APPENDIX_A, "example.", CHAIN) if HASHES["x.w"].encode() not in rrset.owner]
    pipeline = pipeline_of(served_zone(zone_of(rrsets)))
    reply = ask(pipeline, "a.c.x.w.example.", edns=4096, want_dnssec=True)
    assert proof(reply)
    with pytest.raises(Bogus):
        validate(reply, APEX)


@pytest.mark.parametrize("label", ["zz" * 16, "-" * 32, "ab", "0" * 33, "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"])
def test_owners_that_are_no_hash_are_in_no_chain(label):
    rrsets = sign(APPENDIX_A, "example.", CHAIN)
    tails = next(rrset.tails for rrset in rrsets if rrset.type == NSEC3)
    odd = RRset(bytes([len(label)]) + label.encode() + APEX.to_wire(), NSEC3, 1, tails)
    pipeline = pipeline_of(served_zone(zone_of([*rrsets, odd])))
    for name in ("nope", "ns1", "a.z.w", "y.w", "a.c.x.w"):
        validate(ask(pipeline, f"{name}.example.", "AAAA", edns=4096, want_dnssec=True, transport="tcp"), APEX)


def test_an_apex_too_long_to_have_hashed_names_below_it_is_served_without_proofs():
    apex = ".".join(["a" * 63] * 3 + ["a" * 31]) + "."
    text = "@ 3600 SOA ns.test. h.test. 1 2 3 4 5\n@ 3600 NS ns.test.\nx 3600 A 192.0.2.1"
    rrsets = sign(text, apex, Nsec())
    rrsets.append(RRset.of(dns.name.from_text(apex).to_wire(), NSEC3PARAM, 0, [b"\x01\0\0\0\0"]))
    pipeline = pipeline_of(served_zone(Zone.from_nodes(*nodes_of(rrsets, apex), 1)))
    for name in (apex, f"x.{apex}", f"nope.{apex}", f"{'y' * 29}.{apex}"):
        for rdtype in ("A", "TXT"):
            reply = ask(pipeline, name, rdtype, edns=4096, want_dnssec=True, transport="tcp")
            validate(reply, dns.name.from_text(apex))
