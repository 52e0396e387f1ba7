"""nameserver.query.resolve: what chains do at their ends; the RFC tests have the rest."""

import pytest
from support.pipelines import ask, extended_errors, is_authoritative, lines, pipeline_of, rcode, served
from support.served_zones import HEAD, wire

from nameserver.query.zoneset import ZoneState


@pytest.mark.parametrize(
    ("zone", "extended"),
    [(served(None, "z.test."), 14), (served(HEAD, "z.test.", state=ZoneState.EXPIRED), 24)],
    ids=["not-loaded", "expired"],
)
def test_a_zone_without_a_valid_version_is_servfail_with_the_reason(zone, extended):
    reply = ask(pipeline_of(zone), "www.z.test.", edns=1232)
    assert rcode(reply) == "SERVFAIL"
    assert extended_errors(reply) == [extended]
    assert not is_authoritative(reply)
    assert reply.answer == reply.authority == []


def test_a_zone_marked_serving_without_contents_is_servfail_too():
    assert rcode(ask(pipeline_of(served(None, "z.test.", state=ZoneState.SERVING)), "z.test.")) == "SERVFAIL"


def test_a_foreign_name_is_refused_with_the_reason_for_those_who_use_edns():
    pipeline = pipeline_of(served(HEAD, "z.test."))
    assert extended_errors(ask(pipeline, "elsewhere.", edns=1232)) == [20]
    assert ask(pipeline, "elsewhere.").options == ()


@pytest.mark.parametrize("state", [ZoneState.EXPIRED, ZoneState.NOT_LOADED])
def test_a_chain_into_a_zone_that_is_not_served_ends_before_it(state):
    pipeline = pipeline_of(
        served(f"{HEAD}\nwww CNAME www.b.test.", "a.test."), served(f"{HEAD}\nwww A 192.0.2.1", "b.test.", state=state)
    )
    reply = ask(pipeline, "www.a.test.")
    assert rcode(reply) == "NOERROR"
    assert len(lines(reply.answer)) == 1


def test_one_dname_that_applies_twice_is_sent_once():
    text = f"{HEAD}\nm DNAME n\nx.n CNAME y.m\ny.n A 192.0.2.1"
    reply = ask(pipeline_of(served(text, "z.test.")), "x.m.z.test.")
    assert [line.split()[3] for line in lines(reply.answer)].count("DNAME") == 1
    assert lines(reply.answer)[-1] == "y.n.z.test. 3600 IN A 192.0.2.1"


def test_questions_for_soa_are_counted_apart_from_the_rest():
    zone = served(HEAD, "z.test.")
    pipeline = pipeline_of(zone)
    for rdtype in ("SOA", "A", "NS"):
        ask(pipeline, "z.test.", rdtype)
    assert (zone.queries, zone.control_queries) == (2, 1)
    assert pipeline.zones.exact(wire("z.test.")) is zone
