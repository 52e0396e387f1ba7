"""Padding (RFC 7830), in blocks as RFC 8467 has them: over TLS only, and for those alone who ask for it."""

from ipaddress import ip_address

import dns.edns
import dns.message
import pytest
from support.own_server import KEY
from support.pipelines import NOW, pipeline_of, served

from nameserver.query.acl import TlsClient
from nameserver.query.pipeline import PADDED_TO
from nameserver.wire.tsig import sign

ZONE = "example.com"
CLIENT = ip_address("192.0.2.7")
TEXT = "\n".join((
    "@ 3600 SOA ns1 hostmaster 1 3600 600 86400 300", "@ 3600 NS ns1", "ns1 300 A 192.0.2.1",
    "sub 300 NS ns.sub", "ns.sub 300 A 192.0.2.53",
))  # fmt: skip
PADDING = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(5))


def asked(name: str, rdtype: str, *, padded: bool = True, payload: int = 4096) -> bytes:
    options = [PADDING] if padded else []
    return dns.message.make_query(f"{name}{ZONE}", rdtype, use_edns=0, payload=payload, options=options).to_wire()


@pytest.mark.parametrize(
    ("name", "rdtype"), [("", "SOA"), ("ns1.", "A"), ("nobody.", "A"), ("", "AXFR"), ("x.sub.", "A")]
)
@pytest.mark.parametrize("signed", [False, True])
def test_4_a_padded_query_over_tls_gets_a_reply_of_whole_blocks(name: str, rdtype: str, signed: bool) -> None:
    pipeline = pipeline_of(served(TEXT, ZONE), keys=[KEY])
    query = asked(name, rdtype)
    if signed:
        query, _ = sign(query, KEY, NOW)
    outcome = pipeline.handle(query, CLIENT, 5353, "tcp", NOW, TlsClient())
    assert outcome.reply is not None
    assert (len(outcome.reply) % PADDED_TO, len(outcome.reply) > 0) == (0, True)
    assert outcome.repeatable is None, "what it is depends on the way on which it came"
    if not signed:
        assert dns.message.from_wire(outcome.reply).options[-1].otype == dns.edns.OptionType.PADDING


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_6_nothing_is_padded_that_everybody_can_read(transport: str) -> None:
    pipeline = pipeline_of(served(TEXT, ZONE))
    plain = pipeline.handle(asked("ns1.", "A", padded=False), CLIENT, 5353, transport, NOW).reply
    outcome = pipeline.handle(asked("ns1.", "A"), CLIENT, 5353, transport, NOW)
    assert plain is not None
    assert outcome.reply is not None
    assert plain[2:] == outcome.reply[2:]


def test_4_who_does_not_pad_gets_no_padding() -> None:
    pipeline = pipeline_of(served(TEXT, ZONE))
    reply = pipeline.handle(asked("ns1.", "A", padded=False), CLIENT, 5353, "tcp", NOW, TlsClient()).reply
    assert reply is not None
    assert not dns.message.from_wire(reply).options
