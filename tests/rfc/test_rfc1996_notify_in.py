"""RFC 1996: what a secondary does with a NOTIFY it receives."""

from ipaddress import ip_network

import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass
import dns.rrset
import pytest
from support.pipelines import CLIENT, counted, extended_errors, handle, is_authoritative, pipeline_of, rcode, served
from support.served_zones import HEAD, wire

from nameserver.query.acl import Acl, AclRow
from nameserver.query.exchange import NotifyReceived

FROM_CLIENT = Acl((AclRow(ip_network("192.0.2.0/24")),))


@pytest.fixture
def pipeline():
    return pipeline_of(
        served(HEAD, "Example.test.", allow_notify=FROM_CLIENT),
        served(None, "new.test.", allow_notify=FROM_CLIENT),
        served(HEAD, "closed.test."),
        served(HEAD, "ours.test.", type="primary", allow_notify=FROM_CLIENT),
    )


def notify(zone="example.test.", rdtype="SOA", rdclass="IN", serials=(), edns=False, flags=dns.flags.AA):
    message = dns.message.make_query(zone, rdtype, rdclass, id=4711, flags=flags, use_edns=0 if edns else -1)
    message.set_opcode(dns.opcode.NOTIFY)
    for serial in serials:
        message.answer.append(dns.rrset.from_text(zone, 0, rdclass, "SOA", f". . {serial} 0 0 0 0"))
    return message.to_wire()


def send(pipeline, data, **more):
    outcome = handle(pipeline, data, **more)
    return outcome, dns.message.from_wire(outcome.reply, one_rr_per_rrset=True)


def test_section_4_7_an_accepted_notify_is_acknowledged_with_aa_and_its_question(pipeline):
    _, reply = send(pipeline, notify("eXample.test."))
    assert rcode(reply) == "NOERROR"
    assert reply.opcode() == dns.opcode.NOTIFY
    assert is_authoritative(reply)
    assert reply.id == 4711
    assert reply.question[0].name.to_text() == "eXample.test."
    assert reply.answer == []


@pytest.mark.parametrize(("serials", "hint"), [((), None), ((0,), 0), ((2**32 - 1,), 2**32 - 1)])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_section_3_7_the_hint_in_the_answer_section_is_passed_on(pipeline, serials, hint, transport):
    outcome, _ = send(pipeline, notify(serials=serials), transport=transport)
    assert outcome.notify == NotifyReceived(wire("example.test."), CLIENT, hint, None)


def test_a_zone_that_is_not_loaded_yet_takes_a_notify(pipeline):
    assert send(pipeline, notify("new.test."))[0].notify is not None


@pytest.mark.parametrize("zone", ["unknown.test.", "www.example.test.", "test.", "."])
def test_a_zone_that_is_not_ours_is_notauth_and_nothing_is_passed_on(pipeline, zone):
    outcome, reply = send(pipeline, notify(zone, edns=True))
    assert rcode(reply) == "NOTAUTH"
    assert extended_errors(reply) == [20]
    assert not is_authoritative(reply)
    assert outcome.notify is None


@pytest.mark.parametrize(
    ("zone", "client"), [("closed.test.", CLIENT), ("ours.test.", CLIENT), ("example.test.", "2001:db8::1")]
)
def test_section_3_10_a_sender_that_is_not_a_primary_is_refused(pipeline, zone, client):
    outcome, reply = send(pipeline, notify(zone, edns=True), client=client)
    assert rcode(reply) == "REFUSED"
    assert extended_errors(reply) == [18]
    assert outcome.notify is None


@pytest.mark.parametrize(
    ("rdtype", "rdclass"), [("A", "IN"), ("AXFR", "IN"), ("SOA", "CH"), ("SOA", "ANY"), ("SOA", "NONE")]
)
def test_section_3_3_anything_but_soa_of_class_in_is_a_format_error(pipeline, rdtype, rdclass):
    outcome, reply = send(pipeline, notify(rdtype=rdtype, rdclass=rdclass))
    assert rcode(reply) == "FORMERR"
    assert outcome.notify is None


def test_two_soa_records_are_a_format_error(pipeline):
    outcome, reply = send(pipeline, notify(serials=(1, 2)))
    assert rcode(reply) == "FORMERR"
    assert outcome.notify is None


def test_a_reply_to_a_notify_is_never_answered(pipeline):
    outcome = handle(pipeline, notify(flags=dns.flags.QR | dns.flags.AA))
    assert (outcome.reply, outcome.notify) == (None, None)


def test_flags_that_mean_nothing_here_do_no_harm(pipeline):
    flags = dns.flags.RD | dns.flags.TC
    assert send(pipeline, notify(flags=flags))[0].notify is not None


def test_a_notify_is_counted_as_such(pipeline):
    send(pipeline, notify())
    assert counted(pipeline) == {
        "nameserver_queries_total{transport=udp,family=ipv4,opcode=NOTIFY,type=SOA}": 1,
        "nameserver_responses_total{rcode=NOERROR,transport=udp,truncated=false}": 1,
    }
    served_zone = pipeline.zones.exact(wire("example.test."))
    assert (served_zone.queries, served_zone.control_queries) == (0, 1)
