"""RFC 4592: wildcards, on the zone of §2.2.1 and its table of answers."""

import pytest
from support.pipelines import ask, lines, pipeline_of, rcode, served
from support.served_zones import HEAD

EXAMPLE = """
example.                 3600 IN  SOA   ns.example.com. host.example. 1 2 3 4 300
example.                 3600     NS    ns.example.com.
example.                 3600     NS    ns.example.net.
*.example.               3600     TXT   "this is a wildcard"
*.example.               3600     MX    10 host1.example.
sub.*.example.           3600     TXT   "this is not a wildcard"
host1.example.           3600     A     192.0.2.1
_ssh._tcp.host1.example. 3600     SRV   0 0 22 host1.example.
_ssh._tcp.host2.example. 3600     SRV   0 0 22 host2.example.
subdel.example.          3600     NS    ns.example.com.
subdel.example.          3600     NS    ns.example.net.
"""


@pytest.fixture
def pipeline():
    return pipeline_of(served(EXAMPLE, "example."))


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [("host3.example.", "MX"), ("host3.example.", "TXT"), ("foo.bar.example.", "TXT"), ("*.Foo.example.", "MX")],
)
def test_section_2_2_1_synthesised_from_the_wildcard_under_the_name_asked_for(pipeline, name, rdtype):
    reply = ask(pipeline, name, rdtype)
    assert rcode(reply) == "NOERROR"
    assert [line.split()[0] for line in lines(reply.answer)] == [name]


@pytest.mark.parametrize(
    ("name", "rdtype", "why"),
    [
        ("host3.example.", "A", "the wildcard has no A"),
        ("foo.bar.example.", "A", "the wildcard has no A"),
        ("host1.example.", "MX", "host1 exists"),
        ("*.example.", "A", "the wildcard itself"),
        ("sub.*.example.", "MX", "it exists"),
        ("_tcp.host1.example.", "TXT", "an empty non-terminal exists"),
        ("host2.example.", "TXT", "an empty non-terminal exists"),
    ],
)
def test_section_2_2_1_and_2_2_2_no_data(pipeline, name, rdtype, why):
    reply = ask(pipeline, name, rdtype)
    assert rcode(reply) == "NOERROR", why
    assert reply.answer == []
    assert lines(reply.authority)[0].split()[3] == "SOA"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("_telnet._tcp.host1.example.", "_tcp.host1 exists"),
        ("ghost.*.example.", "*.example exists"),
        ("x.host1.example.", "host1 exists"),
        ("x.host2.example.", "host2 exists, being an empty non-terminal"),
    ],
)
def test_section_2_2_1_closer_names_block_the_wildcard(pipeline, name, why):
    assert rcode(ask(pipeline, name, "MX")) == "NXDOMAIN", why


def test_section_2_2_1_a_delegation_is_not_covered(pipeline):
    reply = ask(pipeline, "host.subdel.example.", "A")
    assert reply.answer == []
    assert [line.split()[3] for line in lines(reply.authority)] == ["NS", "NS"]


def test_section_2_1_1_an_asterisk_inside_a_label_is_no_wildcard():
    pipeline = pipeline_of(served(f"{HEAD}\nx*.w TXT a\n**.v TXT b", "example."))
    assert rcode(ask(pipeline, "xy.w.example.", "TXT")) == "NXDOMAIN"
    assert rcode(ask(pipeline, "a.v.example.", "TXT")) == "NXDOMAIN"


def test_section_2_1_3_a_wildcard_with_a_name_below_it_still_works(pipeline):
    assert lines(ask(pipeline, "sub.*.example.", "TXT").answer) == [
        'sub.*.example. 3600 IN TXT "this is not a wildcard"'
    ]
    assert lines(ask(pipeline, "any.example.", "TXT").answer) == ['any.example. 3600 IN TXT "this is a wildcard"']


def test_section_2_2_2_a_wildcard_that_is_an_empty_non_terminal_gives_no_data():
    pipeline = pipeline_of(served(f"{HEAD}\nx.*.w TXT a", "example."))
    assert rcode(ask(pipeline, "foo.w.example.", "TXT")) == "NOERROR"
    assert rcode(ask(pipeline, "foo.*.w.example.", "TXT")) == "NXDOMAIN"


def test_section_3_4_a_wildcard_cname_is_followed():
    pipeline = pipeline_of(served(f"{HEAD}\n*.w CNAME ns1", "example."))
    assert lines(ask(pipeline, "Foo.w.example.").answer) == [
        "Foo.w.example. 3600 IN CNAME ns1.example.",
        "ns1.example. 3600 IN A 192.0.2.1",
    ]
