"""RFC 2308: negative answers, and how long they may be kept."""

import pytest
from support.pipelines import ask, is_authoritative, lines, pipeline_of, rcode, served
from support.served_zones import HEAD

TEXT = f"""{HEAD}
www     A     192.0.2.10
a.b     TXT   x
tonone  CNAME none
totext  CNAME a.b
"""


@pytest.fixture
def pipeline():
    return pipeline_of(served(TEXT, "Example.test."))


def assert_only_soa(reply, ttl=300):
    assert is_authoritative(reply)
    assert lines(reply.authority) == [
        f"Example.test. {ttl} IN SOA ns1.Example.test. hostmaster.Example.test. 2026010101 7200 900 1209600 300"
    ]
    assert reply.additional == []


def test_section_2_1_a_name_error_carries_the_soa(pipeline):
    reply = ask(pipeline, "none.example.test.")
    assert rcode(reply) == "NXDOMAIN"
    assert reply.answer == []
    assert_only_soa(reply)


def test_section_2_2_no_data_is_noerror_with_the_soa(pipeline):
    reply = ask(pipeline, "www.example.test.", "MX")
    assert rcode(reply) == "NOERROR"
    assert reply.answer == []
    assert_only_soa(reply)


def test_section_2_2_an_empty_non_terminal_has_no_data_but_exists(pipeline):
    reply = ask(pipeline, "b.example.test.")
    assert rcode(reply) == "NOERROR"
    assert_only_soa(reply)


@pytest.mark.parametrize(("name", "expected"), [("tonone", "NXDOMAIN"), ("totext", "NOERROR")])
def test_section_2_1_and_2_2_a_cname_may_stand_before_either(pipeline, name, expected):
    reply = ask(pipeline, f"{name}.example.test.")
    assert rcode(reply) == expected
    assert len(lines(reply.answer)) == 1
    assert_only_soa(reply)


@pytest.mark.parametrize(("ttl", "minimum", "expected"), [(3600, 300, 300), (60, 300, 60), (3600, 0, 0)])
def test_section_3_the_soa_goes_out_under_the_lower_of_its_ttl_and_minimum(ttl, minimum, expected):
    text = f"@ {ttl} IN SOA ns.test. h.test. 1 2 3 4 {minimum}\n@ IN NS ns.test."
    pipeline = pipeline_of(served(text, "example.test."))
    assert [rrset.ttl for rrset in ask(pipeline, "none.example.test.").authority] == [expected]


def test_section_3_asked_for_itself_the_soa_keeps_its_ttl(pipeline):
    assert ask(pipeline, "example.test.", "SOA").answer[0].ttl == 3600
