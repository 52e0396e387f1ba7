"""nameserver.query.pipeline: the order of the stages, signatures, options and counters."""

import time
from ipaddress import ip_address, ip_network

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import pytest
from support.pipelines import ask, counted, extended_errors, handle, pipeline_of, question, rcode, served
from support.served_zones import HEAD, wire

from nameserver.query.acl import Acl, AclRow
from nameserver.query.exchange import Exchange, Outcome, QuerySettings
from nameserver.wire.request import parse_request
from nameserver.wire.tsig import TsigKey

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = TsigKey(wire("transfer-key."), "hmac-sha256", SECRET)
WITH_KEY = Acl((AclRow(ip_network("192.0.2.0/24"), KEY.name),))
TEXT = f"{HEAD}\nwww A 192.0.2.10\n" + "\n".join(f"large TXT {n:0200}" for n in range(4))
NS1 = QuerySettings(nsid=b"ns-1")


@pytest.fixture
def pipeline():
    return pipeline_of(
        served(TEXT, "example.test.", allow_transfer=WITH_KEY, allow_notify=WITH_KEY), keys=[KEY], settings=NS1
    )


def key_for_dnspython(name="transfer-key.", secret=SECRET, algorithm="hmac-sha256") -> dns.tsig.Key:
    return dns.tsig.Key(name, secret, algorithm)


def signed(name="www.example.test.", rdtype="A", key=None, **more) -> dns.message.Message:
    message = dns.message.make_query(name, rdtype, id=4711, **more)
    message.use_tsig(key or key_for_dnspython())
    return message


def send(pipeline, message, *, skew=0, **more) -> Outcome:
    """Send a message that dnspython signs, which it does by the real clock."""
    return handle(pipeline, message.to_wire(), now=int(time.time()) + skew, **more)


def verified(outcome: Outcome, message: dns.message.Message) -> dns.message.Message:
    """The reply, its signature checked by dnspython."""
    reply = dns.message.from_wire(outcome.reply, keyring=message.keyring, request_mac=message.mac)
    assert reply.had_tsig
    return reply


# stage 1 and 2


def test_what_comes_from_port_zero_is_dropped_before_it_is_looked_at(pipeline):
    assert handle(pipeline, question("www.example.test."), port=0) == Outcome()
    assert handle(pipeline, b"", port=0) == Outcome()
    assert counted(pipeline) == {"nameserver_dropped_total{reason=port-zero}": 2}


@pytest.mark.parametrize("port", [7, 11, 13, 15, 17, 19, 37])
def test_what_comes_from_a_service_that_answers_anything_is_not_answered_over_udp(pipeline, port):
    """C60: with its port forged as the source, the two of us would answer each other for ever."""
    assert handle(pipeline, question("example.com."), port=port) == Outcome()
    assert counted(pipeline) == {"nameserver_dropped_total{reason=reflector-port}": 1}
    assert handle(pipeline, question("example.com."), port=port, transport="tcp").reply is not None


@pytest.mark.parametrize("port", [1, 9, 53, 123, 1023, 65535])
def test_other_ports_are_answered(pipeline, port):
    """Also 53, which old servers ask and notify from: a reply is answered by neither side, so nothing can go round."""
    reply = handle(pipeline, question("example.com."), port=port).reply
    assert reply is not None
    assert handle(pipeline, reply, port=port) == Outcome()


def test_replies_are_never_answered(pipeline):
    data = bytearray(question("www.example.test."))
    data[2] |= 0x80
    assert handle(pipeline, bytes(data)) == Outcome()
    assert counted(pipeline) == {"nameserver_dropped_total{reason=response}": 1}


@pytest.mark.parametrize("size", [0, 1, 11])
def test_less_than_a_header_is_dropped(pipeline, size):
    assert handle(pipeline, bytes(size)) == Outcome()
    assert counted(pipeline) == {"nameserver_dropped_total{reason=short}": 1}


def test_a_malformed_request_is_a_format_error_and_counted(pipeline):
    reply = dns.message.from_wire(handle(pipeline, question("www.example.test.") + b"x").reply)
    assert rcode(reply) == "FORMERR"
    assert reply.id == 4711
    assert counted(pipeline) == {
        "nameserver_queries_total{transport=udp,family=ipv4,opcode=QUERY,type=other}": 1,
        "nameserver_responses_total{rcode=FORMERR,transport=udp,truncated=false}": 1,
    }


# stage 3


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("www.example.test.", "A", "NOERROR"),
        ("nope.example.test.", "A", "NXDOMAIN"),
        ("elsewhere.", "A", "REFUSED"),
        ("www.example.test.", "MAILB", "NOTIMP"),
    ],
)
def test_every_reply_to_a_signed_request_is_signed(pipeline, name, rdtype, expected, transport):
    message = signed(name, rdtype)
    reply = verified(send(pipeline, message, transport=transport), message)
    assert rcode(reply) == expected


def test_room_is_kept_for_the_signature(pipeline):
    message = signed("large.example.test.", "TXT")
    outcome = send(pipeline, message)
    assert len(outcome.reply) <= 512
    assert verified(outcome, message).flags & dns.flags.TC


def tsig_error(outcome: Outcome) -> tuple[str, int, int]:
    """(RCODE, TSIG error, octets of MAC) of a reply, read without checking it."""
    reply = dns.message.from_wire(outcome.reply, keyring=False)
    return rcode(reply), reply.tsig_error, len(reply.tsig[0].mac)


@pytest.mark.parametrize("rdtype", ["A", "AXFR"])
@pytest.mark.parametrize(
    ("key", "skew", "error", "mac"),
    [
        (key_for_dnspython("unknown."), 0, dns.rcode.BADKEY, 0),
        (key_for_dnspython(algorithm="hmac-sha512"), 0, dns.rcode.BADKEY, 0),
        (key_for_dnspython(secret=b"x" * 32), 0, dns.rcode.BADSIG, 0),
        (key_for_dnspython(secret=b"x" * 32), 3600, dns.rcode.BADSIG, 0),
        (key_for_dnspython(), 3600, dns.rcode.BADTIME, 32),
    ],
)
def test_a_bad_signature_is_notauth_with_its_error_and_nothing_else_happens(pipeline, key, skew, error, mac, rdtype):
    outcome = send(pipeline, signed("example.test.", rdtype, key=key), skew=skew, transport="tcp")
    assert tsig_error(outcome) == ("NOTAUTH", error, mac)
    assert outcome.transfer is None
    assert dns.message.from_wire(outcome.reply, keyring=False).answer == []


def test_a_notify_with_a_bad_signature_is_not_passed_on(pipeline):
    message = signed("example.test.", "SOA", key=key_for_dnspython(secret=b"x" * 32))
    message.set_opcode(dns.opcode.NOTIFY)
    outcome = send(pipeline, message)
    assert outcome.notify is None
    assert tsig_error(outcome)[:2] == ("NOTAUTH", dns.rcode.BADSIG)


def test_a_mac_of_impossible_length_is_a_format_error(pipeline):
    data = bytearray(signed().to_wire())
    mac = data.rindex(b"\x00\x20", 0, -32)  # MAC size 32, before the MAC itself
    data[mac : mac + 2 + 32] = b"\x00\x05" + bytes(5)
    size = data.rindex(b"\x00\xfa\x00\xff") + 8
    data[size : size + 2] = (int.from_bytes(data[size : size + 2], "big") - 27).to_bytes(2, "big")
    reply = dns.message.from_wire(handle(pipeline, bytes(data)).reply)
    assert rcode(reply) == "FORMERR"


def test_a_refusal_of_a_key_with_a_very_long_name_stays_within_the_limit(pipeline):
    long_key = ".".join(["k" * 63] * 3) + ".k."
    long_question = ".".join(["q" * 63] * 3) + ".q."
    outcome = send(pipeline, signed(long_question, key=key_for_dnspython(long_key)))
    assert len(outcome.reply) <= 512
    assert rcode(dns.message.from_wire(outcome.reply, keyring=False)) == "NOTAUTH"


def test_a_transfer_under_the_right_key_is_handed_out_with_what_its_signature_needs(pipeline):
    message = signed("example.test.", "AXFR")
    outcome = send(pipeline, message, transport="tcp")
    assert outcome.transfer.key is KEY
    assert outcome.transfer.request_mac == message.mac


def test_where_a_key_is_asked_for_the_address_alone_is_not_enough(pipeline):
    assert rcode(ask(pipeline, "example.test.", "AXFR", transport="tcp")) == "REFUSED"


def test_a_signed_notify_names_its_key_and_the_acknowledgement_is_signed(pipeline):
    message = signed("example.test.", "SOA")
    message.set_opcode(dns.opcode.NOTIFY)
    outcome = send(pipeline, message)
    assert outcome.notify.key == KEY.name
    assert rcode(verified(outcome, message)) == "NOERROR"


# stages 4 and 5


@pytest.mark.parametrize("opcode", [1, 2, 3, 5, 6, 15])
def test_other_opcodes_are_not_implemented(pipeline, opcode):
    data = bytearray(question("example.test.", "SOA"))
    data[2] |= opcode << 3
    reply = dns.message.from_wire(handle(pipeline, bytes(data)).reply, ignore_trailing=True)
    assert rcode(reply) == "NOTIMP"
    assert reply.opcode() == opcode


def test_a_notify_of_an_unknown_edns_version_is_badvers_and_not_passed_on(pipeline):
    message = dns.message.make_query("example.test.", "SOA", use_edns=1)
    message.set_opcode(dns.opcode.NOTIFY)
    outcome = handle(pipeline, message.to_wire())
    assert rcode(dns.message.from_wire(outcome.reply)) == "BADVERS"
    assert outcome.notify is None


OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"


@pytest.mark.parametrize("opcode", [1, 2, 3, 5, 6, 15])
def test_what_is_not_implemented_is_answered_with_opt_where_it_came_with_one(pipeline, opcode):
    """RFC 6891 §6.1.1; with an unknown version it is BADVERS, §6.1.3."""
    for data in (question("example.test.", "SOA", edns=1232), bytes(11) + b"\x01" + OPT):
        data = data[:2] + bytes((opcode << 3,)) + data[3:]
        reply = dns.message.from_wire(handle(pipeline, data).reply)
        assert (rcode(reply), reply.edns, reply.payload, reply.opcode()) == ("NOTIMP", 0, 1232, opcode)
        newer = handle(pipeline, data[:-5] + b"\x01" + data[-4:]).reply
        assert rcode(dns.message.from_wire(newer)) == "BADVERS"


@pytest.mark.parametrize("opcode", [0, 4])
def test_a_request_without_a_question_is_a_format_error_with_opt(pipeline, opcode):
    data = bytes((0, 7, opcode << 3)) + bytes(8) + b"\x01" + OPT
    reply = dns.message.from_wire(handle(pipeline, data).reply)
    assert (rcode(reply), reply.edns, reply.question) == ("FORMERR", 0, [])


def of_opcode(opcode: dns.opcode.Opcode, rdtype: str, **more) -> dns.message.Message:
    message = signed("example.test.", rdtype, **more)
    message.set_opcode(opcode)
    return message


def test_a_signed_request_of_another_opcode_gets_a_signed_notimp(pipeline):
    message = of_opcode(dns.opcode.STATUS, "SOA")
    assert rcode(verified(send(pipeline, message), message)) == "NOTIMP"


def test_a_wrong_signature_under_another_opcode_is_told_and_reported_as_no_transfer(pipeline):
    outcome = send(pipeline, of_opcode(dns.opcode.STATUS, "AXFR", key=key_for_dnspython(secret=b"x" * 32)))
    assert tsig_error(outcome)[:2] == ("NOTAUTH", dns.rcode.BADSIG)
    assert outcome.refused is None


def test_a_signed_update_with_records_gets_an_unsigned_notimp(pipeline):
    message = of_opcode(dns.opcode.UPDATE, "SOA")
    message.authority.append(dns.rrset.from_text("new.example.test.", 60, "IN", "A", "192.0.2.9"))
    reply = dns.message.from_wire(send(pipeline, message).reply)
    assert (rcode(reply), reply.had_tsig) == ("NOTIMP", False)


# stages 7 to 10


@pytest.mark.parametrize("rdclass", [2, 4, 254, 255, 0, 65535])
def test_classes_other_than_in_and_chaos_are_refused(pipeline, rdclass):
    data = bytearray(question("www.example.test."))
    data[-2:] = rdclass.to_bytes(2, "big")
    assert handle(pipeline, bytes(data)).reply[3] & 15 == dns.rcode.REFUSED


@pytest.mark.parametrize(
    ("rdtype", "expected"),
    [(41, "FORMERR"), (128, "FORMERR"), (250, "FORMERR"), (249, "NOTIMP"), (253, "NOTIMP"), (254, "NOTIMP")],
)
@pytest.mark.parametrize("name", ["www.example.test.", "elsewhere."])
def test_types_that_are_no_data_are_not_looked_up(pipeline, rdtype, expected, name):
    assert answered(pipeline, name, rdtype).rcode() == dns.rcode.from_text(expected)


def answered(pipeline, name: str, rdtype: int) -> dns.message.Message:
    """The reply to a question for a type that may have no name."""
    return dns.message.from_wire(
        handle(pipeline, question(name, dns.rdatatype.RdataType.make(rdtype), edns=1232)).reply
    )


@pytest.mark.parametrize("rdtype", [*range(129, 249), 0, 65280])
def test_types_that_are_unknown_are_questions_like_any_other(pipeline, rdtype):
    """RFC 3597, RFC 6895 §3.1: of the types 128 to 255 only those that have a meaning are anything special."""
    here = answered(pipeline, "www.example.test.", rdtype)
    assert (rcode(here), len(here.authority)) == ("NOERROR", 1)
    assert rcode(answered(pipeline, "nope.example.test.", rdtype)) == "NXDOMAIN"
    assert rcode(answered(pipeline, "elsewhere.", rdtype)) == "REFUSED"


def test_who_asks_for_nxname_is_told_why_not(pipeline):
    """RFC 9824 §3.5."""
    assert extended_errors(answered(pipeline, "www.example.test.", 128)) == [30]


@pytest.mark.parametrize("opcode", range(16))
def test_any_type_and_class_under_any_opcode_gets_a_reply(pipeline, opcode):
    data = bytearray(question("www.example.test."))
    data[2] |= opcode << 3
    for rdtype in (*range(300), 32768, 65535):
        for rdclass in (0, 1, 3, 254, 255):
            data[-4:] = rdtype.to_bytes(2, "big") + rdclass.to_bytes(2, "big")
            for transport in ("udp", "tcp"):
                reply = handle(pipeline, bytes(data), transport=transport).reply
                assert reply[:2] == data[:2]
                assert reply[2] & 0x80


# options


def nsid_of(message) -> list[bytes]:
    return [option.nsid for option in message.options if option.otype == dns.edns.OptionType.NSID]


def test_nsid_is_told_to_those_who_ask_where_it_is_configured(pipeline):
    asking = {"edns": 1232, "options": [dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")]}
    assert nsid_of(ask(pipeline, "www.example.test.", **asking)) == [b"ns-1"]
    assert nsid_of(ask(pipeline, "elsewhere.", **asking)) == [b"ns-1"]
    assert nsid_of(ask(pipeline, "www.example.test.", edns=1232)) == []
    assert nsid_of(ask(pipeline_of(served(TEXT, "example.test.")), "www.example.test.", **asking)) == []


def test_unknown_options_are_ignored(pipeline):
    option = dns.edns.GenericOption(65001, b"whatever")
    reply = ask(pipeline, "www.example.test.", edns=1232, options=[option])
    assert rcode(reply) == "NOERROR"
    assert reply.options == ()


# sizes

LABELS = ["q" * 63] * 3
LONGEST = wire(".".join([*LABELS, "q" * 61]) + ".")
LONGEST_IN_ZONE = ".".join([*LABELS, "q" * 48]) + ".example.test."
LARGE_KEY = TsigKey(LONGEST, "hmac-sha512", SECRET * 2)
MUCH_TO_TELL = QuerySettings(nsid=b"n" * 128, max_udp_size=512)
NSID = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")


def signed_with_large_key(name: str, **more) -> dns.message.Message:
    return signed(
        name, key=key_for_dnspython(dns.name.from_wire(LONGEST, 0)[0], LARGE_KEY.secret, "hmac-sha512"), **more
    )


@pytest.mark.parametrize("name", [LONGEST_IN_ZONE, LONGEST_IN_ZONE.replace("test", "else"), "www.example.test."])
@pytest.mark.parametrize("edns", [{}, {"use_edns": 0, "options": [NSID]}, {"use_edns": 0, "payload": 4096}])
@pytest.mark.parametrize("skew", [0, 3600])
def test_no_signed_reply_exceeds_the_limit_however_long_its_names(name, edns, skew):
    pipeline = pipeline_of(served(TEXT, "example.test."), keys=[LARGE_KEY], settings=MUCH_TO_TELL)
    message = signed_with_large_key(name, **edns)
    outcome = send(pipeline, message, skew=skew)
    assert len(outcome.reply) <= 512
    if skew:
        reply = dns.message.from_wire(outcome.reply, keyring=False)
        assert (rcode(reply), reply.tsig_error) == ("NOTAUTH", dns.rcode.BADTIME)
    else:
        reply = verified(outcome, message)
    assert reply.edns == (0 if edns else -1)
    whole = dns.message.from_wire(send(pipeline, message, skew=skew, transport="tcp").reply, keyring=False)
    assert whole.question == message.question
    missing = (reply.sections, reply.options) != (whole.sections, whole.options)
    assert bool(reply.flags & dns.flags.TC) is missing


def test_options_go_before_the_question_does():
    """RFC 8914 §3: what is dropped of them sets TC, so that the client may have them by TCP."""
    long_name = ".".join([*LABELS, "q" * 55]) + "."
    key = TsigKey(wire("k."), "hmac-sha512", SECRET * 2)
    pipeline = pipeline_of(keys=[key], settings=MUCH_TO_TELL)
    message = signed(long_name, key=key_for_dnspython("k.", key.secret, "hmac-sha512"), use_edns=0, options=[NSID])
    outcome = send(pipeline, message)
    assert len(outcome.reply) <= 512
    reply = verified(outcome, message)
    assert (rcode(reply), reply.question, reply.edns, reply.options) == ("REFUSED", message.question, 0, ())
    assert reply.flags & dns.flags.TC
    by_tcp = verified(send(pipeline, message, transport="tcp"), message)
    assert nsid_of(by_tcp) == [b"n" * 128]
    assert extended_errors(by_tcp) == [20]


# counters and the rest


def test_requests_and_replies_are_counted_by_transport_and_family(pipeline):
    handle(pipeline, question("www.example.test."), client="2001:db8::1", transport="tcp")
    handle(pipeline, question("large.example.test.", "TXT"))
    assert counted(pipeline) == {
        "nameserver_queries_total{transport=tcp,family=ipv6,opcode=QUERY,type=A}": 1,
        "nameserver_queries_total{transport=udp,family=ipv4,opcode=QUERY,type=TXT}": 1,
        "nameserver_responses_total{rcode=NOERROR,transport=tcp,truncated=false}": 1,
        "nameserver_responses_total{rcode=NOERROR,transport=udp,truncated=true}": 1,
    }


def test_zones_keys_and_settings_may_change_between_two_messages(pipeline):
    pipeline.zones.add(served(HEAD, "other.test."))
    assert rcode(ask(pipeline, "other.test.", "SOA")) == "NOERROR"
    pipeline.keys = {}
    assert tsig_error(send(pipeline, signed()))[:2] == ("NOTAUTH", dns.rcode.BADKEY)


def test_an_exchange_without_a_key_has_no_key_name_and_no_mac():
    exchange = Exchange(parse_request(question("www.example.test.")), ip_address("192.0.2.1"), "udp", 0)
    assert (exchange.key_name, exchange.request_mac) == (None, b"")
