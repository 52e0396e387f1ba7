"""RFC 6672: redirection of whole subtrees, from the client's side."""

import dns.message
import pytest
from support.pipelines import ask, handle, lines, pipeline_of, question, rcode, served
from support.served_zones import HEAD

ZONE = f"""{HEAD}
moved      60 IN DNAME here
moved      60 IN TXT   "beside"
a.here     60 IN A     192.0.2.1
alias.here 60 IN CNAME a.here
grow       60 IN DNAME x.grow
self       60 IN DNAME self
p          60 IN DNAME q
q          60 IN DNAME p
"""


@pytest.fixture
def pipeline():
    return pipeline_of(served(ZONE, "example.test."))


def test_section_3_2_any_is_led_on_to_the_target(pipeline):
    reply = ask(pipeline, "a.moved.example.test.", "ANY")
    assert lines(reply.answer) == [
        "moved.example.test. 60 IN DNAME here.example.test.",
        "a.moved.example.test. 60 IN CNAME a.here.example.test.",
        "a.here.example.test. 60 IN A 192.0.2.1",
    ]
    assert rcode(ask(pipeline, "nope.moved.example.test.", "ANY")) == "NXDOMAIN"


def test_section_3_2_any_ends_at_an_alias_in_the_target(pipeline):
    assert lines(ask(pipeline, "alias.moved.example.test.", "ANY").answer)[2:] == [
        "alias.here.example.test. 60 IN CNAME a.here.example.test."
    ]


def test_section_3_2_the_cname_asked_for_is_the_one_made(pipeline):
    assert lines(ask(pipeline, "a.moved.example.test.", "CNAME").answer) == [
        "moved.example.test. 60 IN DNAME here.example.test.",
        "a.moved.example.test. 60 IN CNAME a.here.example.test.",
    ]


@pytest.mark.parametrize("name", ["a.self", "a.p", "a.grow"])
def test_section_3_2_a_dname_that_leads_nowhere_ends_in_a_reply_that_clients_can_read(pipeline, name):
    """Names that grow point to one another on the wire; the reader here gives up at a chain of 16 pointers."""
    outcome = handle(pipeline, question(f"{name}.example.test.", edns=4096), transport="tcp")
    assert outcome.reply is not None
    reply = dns.message.from_wire(outcome.reply)
    assert rcode(reply) == "NOERROR"
    assert len(set(lines(reply.answer))) == len(lines(reply.answer))
