"""RFC 1996: what a secondary does with a NOTIFY it receives."""

import struct
import time
from ipaddress import ip_network

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rrset
import dns.tsig
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pipelines import (
    CLIENT,
    counted,
    extended_errors,
    handle,
    is_authoritative,
    pipeline_of,
    rcode,
    served,
)
from support.served_zones import HEAD, wire

from nameserver.query.acl import Acl, AclRow
from nameserver.query.exchange import NotifyReceived
from nameserver.wire import codes
from nameserver.wire.tsig import TsigKey

FROM_CLIENT = Acl((AclRow(ip_network("192.0.2.0/24")),))
KEY = TsigKey(wire("transfer-key."), "hmac-sha256", bytes(range(32)))
SIGNED_AT = int(time.time())  # dnspython signs by the wall clock
SIGNED_BY_CLIENT = Acl((AclRow(ip_network("192.0.2.0/24"), KEY.name),))


@pytest.fixture
def pipeline():
    return pipeline_of(
        served(HEAD, "Example.test.", allow_notify=FROM_CLIENT),
        served(None, "new.test.", allow_notify=FROM_CLIENT),
        served(HEAD, "closed.test."),
        served(HEAD, "ours.test.", type="primary", allow_notify=FROM_CLIENT),
        served(HEAD, "signed.test.", allow_notify=SIGNED_BY_CLIENT),
        keys=[KEY],
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


@pytest.mark.parametrize("zone", ["unknown.test.", "closed.test.", "example.test."])
@pytest.mark.parametrize("edns", [False, True])
def test_no_reply_is_larger_than_its_notify_but_for_the_code_of_an_extended_error(pipeline, zone, edns):
    """So that a forged source gains nothing by it."""
    request = notify(zone, edns=edns)
    outcome = handle(pipeline, request)
    assert outcome.reply is not None
    assert len(outcome.reply) <= len(request) + (6 if edns else 0)


def signed_notify(name="transfer-key.", secret=KEY.secret, algorithm="hmac-sha256"):
    message = dns.message.from_wire(notify("signed.test."))
    message.use_tsig(dns.tsig.Key(name, secret, algorithm))
    return message.to_wire()


@pytest.mark.parametrize(
    ("request_wire", "late", "expected", "error"),
    [
        (notify("signed.test."), 0, "REFUSED", None),
        (signed_notify(), 0, "NOERROR", 0),
        (signed_notify(name="unknown-key."), 0, "NOTAUTH", dns.rcode.BADKEY),
        (signed_notify(secret=b"x" * 32), 0, "NOTAUTH", dns.rcode.BADSIG),
        (signed_notify(algorithm="hmac-sha512"), 0, "NOTAUTH", dns.rcode.BADKEY),
        (signed_notify(), 3600, "NOTAUTH", dns.rcode.BADTIME),
    ],
    ids=["unsigned", "right", "unknown key", "wrong secret", "wrong algorithm", "long ago"],
)
def test_where_the_primary_has_a_key_its_notify_must_be_signed_by_it(pipeline, request_wire, late, expected, error):
    """Right address and all: without the key's signature nothing is passed on."""
    outcome = handle(pipeline, request_wire, now=SIGNED_AT + late)
    reply = dns.message.from_wire(outcome.reply, keyring=False)
    assert rcode(reply) == expected
    assert (reply.tsig[0].error if reply.had_tsig else None) == error
    assert (outcome.notify is not None) == (expected == "NOERROR")


def changed(data, *, questions=None, answers=None, more=b""):
    """A message with other counts in its header, and something behind it."""
    head = list(struct.unpack("!6H", data[:12]))
    head[2] = head[2] if questions is None else questions
    head[3] = head[3] if answers is None else answers
    return struct.pack("!6H", *head) + data[12:] + more


QUESTION = wire("example.test.") + b"\0\6\0\1"
SOA = wire("example.test.") + b"\0\6\0\1\0\0\0\0\0\x16" + b"\0\0" + bytes(20)


@pytest.mark.parametrize(
    "data",
    [
        changed(notify()[:12], questions=0),
        changed(notify(), questions=2, more=QUESTION),
        changed(notify(), questions=2),
        changed(notify(), answers=1),
        changed(notify(), answers=2, more=SOA + SOA),
        changed(notify(), answers=65535, more=SOA),
        changed(notify(), answers=1, more=SOA[:-1]),
        changed(notify(), answers=1, more=SOA.replace(b"\x16", b"\x15")[:-1]),
        changed(notify(), answers=1, more=SOA.replace(b"\0\6", b"\0\1")),
        changed(notify(), answers=1, more=SOA.replace(b"\0\1\0\0", b"\0\3\0\0", 1)),
        changed(notify(), answers=1, more=SOA.replace(b"example", b"exbmple")),
        changed(notify(), more=SOA),
        changed(notify(serials=(7,)), more=b"\0"),
    ],
    ids=[
        "no question", "two questions", "one of two questions", "no answer where one is announced", "two SOAs",
        "65,535 answers", "a cut SOA", "a SOA too short", "an A record", "of class CH", "of another zone",
        "an answer that is not announced", "an octet too much",
    ],
)  # fmt: skip
def test_a_notify_that_is_not_well_formed_is_a_format_error_and_passes_nothing_on(pipeline, data):
    outcome = handle(pipeline, data)
    assert dns.rcode.to_text(outcome.reply[3] & 0x0F) == "FORMERR"
    assert outcome.notify is None


@given(
    flags=st.integers(0, 2**16 - 1), counts=st.tuples(*[st.integers(0, 3)] * 4), body=st.binary(max_size=60),
    question=st.booleans(),
)  # fmt: skip
def test_whatever_comes_as_a_notify_is_answered_or_dropped(flags, counts, body, question):
    zones = pipeline_of(served(HEAD, "example.test.", allow_notify=FROM_CLIENT))
    flags = flags & ~0x7800 | codes.NOTIFY << 11
    data = struct.pack("!6H", 4711, flags, *counts) + (QUESTION if question else b"") + body
    outcome = handle(zones, data)
    assert (outcome.reply is None) == bool(flags & codes.QR)
    if outcome.notify is not None:
        assert outcome.notify.zone == wire("example.test.")
