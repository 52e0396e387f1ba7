"""nameserver.query.transfers: who gets a transfer, and what is settled without one (RFC 5936 §2.2, RFC 1995 §2)."""

from ipaddress import ip_network

import dns.message
import dns.rrset
import pytest
from support.pipelines import extended_errors, handle, is_authoritative, lines, pipeline_of, rcode, served
from support.served_zones import HEAD, wire

from nameserver.errors import Reason
from nameserver.query.acl import Acl, AclRow
from nameserver.query.zoneset import ZoneState
from nameserver.wire import codes

SERIAL = 2026010101
OPEN = Acl((AclRow(ip_network("192.0.2.0/24")),))
EXPIRED = {"state": ZoneState.EXPIRED}


@pytest.fixture
def pipeline():
    return pipeline_of(
        served(HEAD, "Example.test.", allow_transfer=OPEN),
        served(HEAD, "child.example.test."),
        served(None, "new.test.", allow_transfer=OPEN),
        served(HEAD, "old.test.", allow_transfer=OPEN, **EXPIRED),
        served(HEAD, "closed-old.test.", **EXPIRED),
    )


def request(zone, rdtype, serial=None) -> bytes:
    message = dns.message.make_query(zone, rdtype, id=4711, use_edns=0)
    if serial is not None:
        message.authority.append(dns.rrset.from_text(zone, 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
    return message.to_wire()


def send(pipeline, zone, rdtype, serial=None, transport="tcp"):
    outcome = handle(pipeline, request(zone, rdtype, serial), transport=transport)
    return outcome, outcome.reply and dns.message.from_wire(outcome.reply)


def test_an_allowed_axfr_over_tcp_is_handed_out_to_be_streamed(pipeline):
    outcome, reply = send(pipeline, "example.TEST.", "AXFR")
    assert reply is None
    transfer = outcome.transfer
    assert transfer.zone is pipeline.zones.exact(wire("example.test."))
    assert (transfer.qtype, transfer.serial, transfer.key, transfer.request_mac) == (codes.AXFR, None, None, b"")
    assert transfer.request.id == 4711
    assert transfer.request.qname == wire("example.TEST.")


@pytest.mark.parametrize("serial", [SERIAL - 1, 0, (SERIAL + 2**31) % 2**32])
def test_an_ixfr_from_a_client_that_is_behind_is_handed_out(pipeline, serial):
    outcome, _ = send(pipeline, "example.test.", "IXFR", serial)
    assert (outcome.transfer.qtype, outcome.transfer.serial) == (codes.IXFR, serial)


@pytest.mark.parametrize("serial", [SERIAL, SERIAL + 1])
def test_rfc1995_section_2_a_client_that_is_not_behind_gets_our_soa_alone(pipeline, serial):
    outcome, reply = send(pipeline, "example.test.", "IXFR", serial)
    assert outcome.transfer is None
    assert is_authoritative(reply)
    assert [line.split()[3] for line in lines(reply.answer)] == ["SOA"]


def test_rfc1995_section_2_over_udp_a_client_gets_our_soa_alone_where_there_are_no_differences(pipeline):
    outcome, reply = send(pipeline, "example.test.", "IXFR", 1, transport="udp")
    assert outcome.transfer is None
    assert reply.answer[0][0].serial == SERIAL


@pytest.mark.parametrize("zone", ["example.test.", "unknown.test."])
def test_rfc5936_section_4_2_axfr_over_udp_is_not_defined_and_not_done(pipeline, zone):
    _, reply = send(pipeline, zone, "AXFR", transport="udp")
    assert rcode(reply) == "NOTIMP"
    assert extended_errors(reply) == [21]


def test_rfc1995_section_3_ixfr_without_the_clients_soa_is_a_format_error(pipeline):
    _, reply = send(pipeline, "example.test.", "IXFR")
    assert rcode(reply) == "FORMERR"
    _, reply = send(pipeline, "unknown.test.", "IXFR")
    assert rcode(reply) == "NOTAUTH"


@pytest.mark.parametrize(("rdtype", "serial"), [("AXFR", None), ("IXFR", 1)])
@pytest.mark.parametrize(
    ("zone", "expected", "extended"),
    [
        ("unknown.test.", "NOTAUTH", 20),
        ("www.example.test.", "NOTAUTH", 20),
        ("child.example.test.", "REFUSED", 18),
        ("closed-old.test.", "REFUSED", 18),
        ("new.test.", "SERVFAIL", 14),
        ("old.test.", "SERVFAIL", 24),
    ],
)
def test_what_cannot_be_transferred_is_told_why(pipeline, zone, expected, extended, rdtype, serial):
    """Permission is judged before the zone's state is told, and by the zone's own rules, not its parent's."""
    outcome, reply = send(pipeline, zone, rdtype, serial)
    assert outcome.transfer is None
    assert rcode(reply) == expected
    assert extended_errors(reply) == [extended]
    assert reply.answer == []
    assert not is_authoritative(reply)


def test_by_default_nobody_may_transfer():
    outcome = handle(pipeline_of(served(HEAD, "example.test.")), request("example.test.", "AXFR"), transport="tcp")
    assert rcode(dns.message.from_wire(outcome.reply)) == "REFUSED"


def test_transfers_count_as_control_queries(pipeline):
    send(pipeline, "example.test.", "AXFR")
    send(pipeline, "example.test.", "IXFR", 1)
    zone = pipeline.zones.exact(wire("example.test."))
    assert (zone.queries, zone.control_queries) == (0, 2)


def test_what_is_turned_away_is_told_with_its_reason(pipeline):
    """The log and the metrics must show who was refused; an ordinary query that is refused is not worth a line."""
    told = [send(pipeline, zone, "AXFR")[0].refused for zone in ("child.example.test.", "elsewhere.test.")]
    assert [(each.asked, each.reason) for each in told if each] == [
        ("axfr", Reason.REFUSED),
        ("axfr", Reason.NOTAUTH_ZONE),
    ]
    assert send(pipeline, "elsewhere.test.", "A")[0].refused is None
