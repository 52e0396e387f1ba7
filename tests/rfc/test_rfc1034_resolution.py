"""RFC 1034 §4.3.2: the algorithm by which an authoritative server answers, seen from the client's side."""

import dns.flags
import pytest
from support.pipelines import ask, is_authoritative, lines, pipeline_of, rcode, served
from support.served_zones import HEAD

EXAMPLE = f"""{HEAD}
WWW        60 IN A     192.0.2.10
www        60 IN A     192.0.2.11
alias      60 IN CNAME hop
hop        60 IN CNAME WWW
away       60 IN CNAME host.elsewhere.test.
across     60 IN CNAME WWW.second.test.
tocut      60 IN CNAME www.sub
broken     60 IN CNAME nope
nodata     60 IN CNAME www
loop1      60 IN CNAME loop2
loop2      60 IN CNAME loop1
self       60 IN CNAME self
tolate     60 IN CNAME www.late.test.
moved      60 IN DNAME second.test.
grow       60 IN DNAME x.grow
sub        60 IN NS    ns.sub
sub        60 IN DS    1 8 2 {"ab" * 32}
ns.sub     60 IN A     192.0.2.53
www.sub    60 IN A     192.0.2.66
"""

SECOND = f"""{HEAD}
www        60 IN CNAME back.example.test.
real       60 IN A     192.0.2.77
"""


@pytest.fixture
def pipeline():
    return pipeline_of(
        served(EXAMPLE, "example.test."),
        served(SECOND, "second.test."),
        served(f"{HEAD}\ndeep IN A 192.0.2.88", "child.example.test."),
        served(None, "late.test."),
    )


def test_step_2_the_nearest_zone_above_the_name_answers(pipeline):
    assert lines(ask(pipeline, "deep.child.example.test.").answer) == ["deep.child.example.test. 3600 IN A 192.0.2.88"]
    assert "child.example.test." in lines(ask(pipeline, "nope.child.example.test.").authority)[0]


def test_step_2_a_name_in_no_zone_of_ours_is_refused(pipeline):
    for name in ("elsewhere.test.", "test.", ".", "xexample.test."):
        reply = ask(pipeline, name)
        assert rcode(reply) == "REFUSED"
        assert not is_authoritative(reply)
        assert not reply.answer + reply.authority + reply.additional


def test_a_label_with_a_dot_in_it_is_not_two_labels(pipeline):
    assert rcode(ask(pipeline, r"www.x\.example.test.")) == "REFUSED"
    assert rcode(ask(pipeline, r"www\.example.test.")) == "REFUSED"


def test_step_3a_data_is_answered_with_aa_and_nothing_beside_it(pipeline):
    reply = ask(pipeline, "www.EXAMPLE.test.")
    assert rcode(reply) == "NOERROR"
    assert is_authoritative(reply)
    assert lines(reply.answer) == ["WWW.example.test. 60 IN A 192.0.2.10", "WWW.example.test. 60 IN A 192.0.2.11"]
    assert reply.authority == reply.additional == []


def test_the_question_comes_back_octet_for_octet(pipeline):
    reply = ask(pipeline, "wWw.eXAMPLE.test.")
    assert reply.question[0].name.to_text() == "wWw.eXAMPLE.test."
    assert reply.id == 4711


def test_rd_is_copied_and_ra_is_never_set(pipeline):
    for rd in (False, True):
        reply = ask(pipeline, "www.example.test.", rd=rd)
        assert bool(reply.flags & dns.flags.RD) is rd
        assert not reply.flags & (dns.flags.RA | dns.flags.AD)


def test_step_3a_a_cname_is_followed_within_the_zone(pipeline):
    reply = ask(pipeline, "alias.example.test.")
    assert [line.split(" ", 1)[1] for line in lines(reply.answer)] == [
        "60 IN CNAME hop.example.test.",
        "60 IN CNAME WWW.example.test.",
        "60 IN A 192.0.2.10",
        "60 IN A 192.0.2.11",
    ]


def test_step_3a_a_cname_asked_for_is_not_followed(pipeline):
    assert lines(ask(pipeline, "alias.example.test.", "CNAME").answer) == [
        "alias.example.test. 60 IN CNAME hop.example.test."
    ]


def test_step_3a_a_cname_is_followed_into_another_zone_of_ours(pipeline):
    reply = ask(pipeline, "across.example.test.")
    assert is_authoritative(reply)
    assert lines(reply.answer) == [
        "across.example.test. 60 IN CNAME WWW.second.test.",
        "www.second.test. 60 IN CNAME back.example.test.",
    ]
    assert rcode(reply) == "NXDOMAIN"
    assert lines(reply.authority)[0].startswith("example.test. 300 IN SOA")


@pytest.mark.parametrize("name", ["away", "tolate"])
def test_step_3a_a_cname_that_leaves_what_we_serve_ends_the_answer(pipeline, name):
    reply = ask(pipeline, f"{name}.example.test.")
    assert rcode(reply) == "NOERROR"
    assert is_authoritative(reply)
    assert len(lines(reply.answer)) == 1
    assert reply.authority == []


@pytest.mark.parametrize(("name", "links"), [("loop1", 2), ("self", 1)])
def test_a_loop_of_cnames_is_gone_round_once(pipeline, name, links):
    reply = ask(pipeline, f"{name}.example.test.")
    assert rcode(reply) == "NOERROR"
    assert len(lines(reply.answer)) == links


def test_a_long_chain_is_cut_and_the_reply_is_valid():
    links = "\n".join(f"c{n} 60 IN CNAME c{n + 1}" for n in range(1000))
    reply = ask(pipeline_of(served(f"{HEAD}\n{links}", "example.test.")), "c0.example.test.", transport="tcp")
    assert rcode(reply) == "NOERROR"
    assert len(lines(reply.answer)) == 12  # the first, and eleven that were followed


def test_step_3b_a_delegation_is_referred_to_with_glue_and_without_aa(pipeline):
    reply = ask(pipeline, "www.sub.example.test.")
    assert rcode(reply) == "NOERROR"
    assert not is_authoritative(reply)
    assert reply.answer == []
    assert lines(reply.authority) == ["sub.example.test. 60 IN NS ns.sub.example.test."]
    assert lines(reply.additional) == ["ns.sub.example.test. 60 IN A 192.0.2.53"]


def test_step_3b_a_chain_into_a_delegation_is_authoritative_for_its_first_name(pipeline):
    reply = ask(pipeline, "tocut.example.test.")
    assert is_authoritative(reply)
    assert lines(reply.answer) == ["tocut.example.test. 60 IN CNAME www.sub.example.test."]
    assert lines(reply.authority) == ["sub.example.test. 60 IN NS ns.sub.example.test."]
    assert lines(reply.additional) == ["ns.sub.example.test. 60 IN A 192.0.2.53"]


def test_rfc4035_section_3_1_4_1_ds_at_a_cut_is_the_parents(pipeline):
    reply = ask(pipeline, "sub.example.test.", "DS")
    assert is_authoritative(reply)
    assert lines(reply.answer)[0].startswith("sub.example.test. 60 IN DS 1 8 2")


def test_rfc4035_section_3_1_4_1_ds_of_a_child_we_serve_is_answered_by_its_parent_if_we_serve_that(pipeline):
    reply = ask(pipeline, "child.example.test.", "DS")
    assert rcode(reply) == "NXDOMAIN"  # example.test has no such delegation, and it is the one to say so
    assert lines(reply.authority)[0].startswith("example.test.")


def test_rfc4035_section_3_1_4_1_without_the_parent_the_child_says_that_it_has_no_ds(pipeline):
    reply = ask(pipeline, "second.test.", "DS")
    assert rcode(reply) == "NOERROR"
    assert is_authoritative(reply)
    assert lines(reply.authority)[0].startswith("second.test.")


def test_rfc6672_section_3_2_a_dname_is_followed_through_the_cname_made_from_it(pipeline):
    reply = ask(pipeline, "Real.moved.example.test.")
    assert is_authoritative(reply)
    assert lines(reply.answer) == [
        "moved.example.test. 60 IN DNAME second.test.",
        "Real.moved.example.test. 60 IN CNAME Real.second.test.",
        "real.second.test. 60 IN A 192.0.2.77",
    ]


def test_rfc6672_section_2_2_a_name_that_grows_too_long_is_yxdomain(pipeline):
    name = ".".join(["x" * 63, "x" * 63, "x" * 63, "x" * 40]) + ".grow.example.test."
    reply = ask(pipeline, name, transport="tcp")
    assert rcode(reply) == "YXDOMAIN"
    assert [rrset.rdtype for rrset in reply.answer].count(39) == 1


def test_rfc6604_section_3_the_last_name_of_a_chain_decides_on_the_rcode(pipeline):
    reply = ask(pipeline, "broken.example.test.")
    assert rcode(reply) == "NXDOMAIN"
    assert lines(reply.answer) == ["broken.example.test. 60 IN CNAME nope.example.test."]


def test_rfc8482_section_4_1_any_gets_one_rrset(pipeline):
    assert [line.split()[3] for line in lines(ask(pipeline, "sub.example.test.", "ANY").authority)] == ["NS"]
    assert len(ask(pipeline, "example.test.", "ANY").answer) == 1
