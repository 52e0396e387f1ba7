"""RFC 4035 §3.1.6: AD and CD in what an authoritative server sends."""

import dns.flags
import dns.message
import pytest
from support.pipelines import ask, handle, pipeline_of, served
from support.served_zones import HEAD


@pytest.fixture
def pipeline():
    return pipeline_of(served(f"{HEAD}\nwww IN A 192.0.2.1", "example.test."))


@pytest.mark.parametrize("name", ["www.example.test.", "nope.example.test.", "www.elsewhere.test."])
@pytest.mark.parametrize("want_dnssec", [False, True])
def test_cd_and_ad_are_clear_whatever_was_asked(pipeline, name, want_dnssec):
    query = dns.message.make_query(name, "A", want_dnssec=want_dnssec, flags=dns.flags.CD | dns.flags.AD)
    outcome = handle(pipeline, query.to_wire())
    assert outcome.reply is not None
    reply = dns.message.from_wire(outcome.reply)
    assert not reply.flags & (dns.flags.CD | dns.flags.AD)


def test_rd_is_still_copied_beside_them(pipeline):
    assert ask(pipeline, "www.example.test.", rd=True).flags & dns.flags.RD
