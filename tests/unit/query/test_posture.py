"""What anybody gets who is nobody to us: little, of bounded size, and nothing by an odd name, type, class or order."""

import itertools
import os
import random
from ipaddress import ip_network

import dns.flags
import dns.message
import dns.rcode
import pytest
from support.pipelines import ask, handle, lines, pipeline_of, question, rcode, served
from support.served_zones import HEAD

from nameserver.query.acl import Acl, AclRow
from nameserver.query.exchange import QuerySettings
from nameserver.query.pipeline import Pipeline

OPEN, SHUT = Acl((AclRow(ip_network("0.0.0.0/0")),)), Acl()
ERROR_CODE = 6  # octets of an extended error without text (RFC 8914 §2)


# who may transfer


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("rdtype", ["AXFR", "IXFR"])
def test_a_zones_own_rules_hold_whatever_its_parents_are_and_in_whichever_order_they_came(order, rdtype):
    """C57: also for names that sort before, after, and as the beginning of their parent's."""
    for child, grandchild in [
        ("child.example.test.", "a.child.example.test."),
        ("zz.example.test.", "z.zz.example.test."),
        (r"\000.example.test.", r"\255.\000.example.test."),
        ("example.test.example.test.", "test.example.test.example.test."),
    ]:
        rules = {"example.test.": OPEN, child: SHUT, grandchild: OPEN}
        zones = [served(HEAD, name, allow_transfer=acl) for name, acl in rules.items()]
        pipeline = pipeline_of(*(zones[place] for place in order))
        for name, acl in rules.items():
            for spelled in (name, name.upper()):
                message = dns.message.make_query(spelled, rdtype, use_edns=0)
                if rdtype == "IXFR":
                    message.authority.append(dns.rrset.from_text(spelled, 0, "IN", "SOA", ". . 1 0 0 0 0"))
                outcome = handle(pipeline, message.to_wire(), transport="tcp")
                if acl is OPEN:
                    assert outcome.transfer.zone is pipeline.zones.exact(dns.name.from_text(name).to_wire())
                else:
                    assert rcode(dns.message.from_wire(outcome.reply)) == "REFUSED"


# sizes


@pytest.fixture(scope="module")
def crowded() -> Pipeline:
    """A zone whose RRsets have any size up to 8 KB."""
    texts = [f"size-{count} TXT {n:0100}" for count in range(1, 80) for n in range(count)]
    return pipeline_of(served("\n".join([HEAD, *texts]), "example.test."))


def test_no_reply_over_udp_is_larger_than_1232_octets_or_than_its_client_takes(crowded):
    """C59: ten thousand questions with any size announced, 65535 among them."""
    chooser = random.Random(59)
    for _ in range(10_000):
        announced = chooser.choice((None, 0, 511, 512, 1231, 1232, 1233, 4096, 65535, chooser.randrange(65536)))
        name = f"size-{chooser.randrange(1, 80)}.example.test."
        reply = handle(crowded, asked := question(name, "TXT", edns=announced)).reply
        assert len(reply) <= min(1232, max(512, announced or 0))
        whole = handle(crowded, asked, transport="tcp").reply
        truncated = bool(reply[2] & 2)
        assert truncated is (len(whole) > min(1232, max(512, announced or 0)))
        if not truncated:
            assert reply == whole


@pytest.mark.parametrize("rdtype", ["A", "ANY", "TXT", "DNSKEY", "SOA", "NS"])
@pytest.mark.parametrize("edns", [None, 512, 65535])
def test_a_zone_that_is_not_served_is_refused_with_no_more_than_the_question(crowded, rdtype, edns):
    """S04: nothing to reflect with: the question, an OPT of ours and the code of an extended error."""
    for name in ("elsewhere.", "test.", ".".join(["x" * 63] * 3 + ["x" * 61]) + ".", "."):
        asked = question(name, rdtype, edns=edns)
        reply = handle(crowded, asked).reply
        assert rcode(dns.message.from_wire(reply)) == "REFUSED"
        assert len(reply) - len(asked) == (0 if edns is None else ERROR_CODE)


def test_a_referral_to_thirteen_servers_fits_into_512_octets_without_their_addresses_if_need_be():
    """S07: the servers, the addresses without which they cannot be reached, and nothing else."""
    servers = [f"sub NS {chr(97 + n)}.elsewhere.test." for n in range(13)]
    glue = [
        line
        for n in range(3)
        for line in (f"in NS ns{n}.in", f"ns{n}.in A 192.0.2.{n}", f"ns{n}.in AAAA 2001:db8::{n}")
    ]
    pipeline = pipeline_of(served("\n".join([HEAD, *servers, *glue]), "example.test."))
    for name, counts in (("www.sub.example.test.", (0, 13, 0)), ("www.in.example.test.", (0, 3, 6))):
        reply = ask(pipeline, name)
        assert len(handle(pipeline, question(name)).reply) <= 512
        assert tuple(len(lines(section)) for section in (reply.answer, reply.authority, reply.additional)) == counts
        assert not reply.flags & (dns.flags.TC | dns.flags.AA | dns.flags.RA)


def test_hosts_with_names_of_very_many_labels_are_looked_for_up_to_a_bound():
    """C43: a wildcard that names 64 of them must not make each made-up name cost milliseconds."""
    deep = [".".join([*f"{n:02}", *("x" * 110), "example.test."]) for n in range(64)]
    many = [f"*.mx MX {n} {host}" for n, host in enumerate(deep)] + [f"{host} A 192.0.2.1" for host in deep]
    many += [f"usual MX 1 m{n}" for n in range(64)] + [f"m{n} A 192.0.2.1" for n in range(64)]
    pipeline = pipeline_of(served("\n".join([HEAD, *many]), "example.test."))
    reply = ask(pipeline, "x.mx.example.test.", "MX", transport="tcp")
    assert len(lines(reply.answer)) == 64
    assert 1 < len(lines(reply.additional)) < 12
    assert len(lines(ask(pipeline, "usual.example.test.", "MX", transport="tcp").additional)) == 64


def test_many_signatures_at_a_name_cost_no_more_than_their_octets():
    """C52: we do not validate, so 500 signatures (CVE-2023-50387) are 500 records: cut over UDP, whole over TCP."""
    signature = "{} 13 3 3600 20300101000000 20260101000000 {} example.test. " + "A" * 86 + "=="
    many = [f"www RRSIG {signature.format('A', tag)}" for tag in range(500)]
    apex = [f"@ RRSIG {signature.format('SOA', 1)}", "@ NSEC www SOA NS RRSIG NSEC", "www NSEC @ A RRSIG NSEC"]
    signed = "\n".join([HEAD, "www A 192.0.2.10", *many, *apex])
    pipeline = pipeline_of(served(signed, "example.test."))
    for rdtype in ("A", "RRSIG"):
        over_udp = ask(pipeline, "www.example.test.", rdtype, edns=65535, want_dnssec=True)
        assert over_udp.flags & dns.flags.TC
        over_tcp = ask(pipeline, "www.example.test.", rdtype, edns=65535, want_dnssec=True, transport="tcp")
        assert len(lines(over_tcp.answer)) == 500 + (rdtype == "A")
    without = ask(pipeline, "www.example.test.", "A", edns=65535)
    assert len(lines(without.answer)) == 1 and not without.flags & dns.flags.TC


# any type, any class, any opcode

CASES = int(os.environ.get("NAMESERVER_TYPE_CASES", "20000"))
CLASSES = (0, 1, 2, 3, 4, 254, 255, 32768, 65535)
ALLOWED = {
    dns.rcode.NOERROR, dns.rcode.FORMERR, dns.rcode.NXDOMAIN, dns.rcode.NOTIMP, dns.rcode.REFUSED, dns.rcode.NOTAUTH
}  # fmt: skip


def test_any_type_of_any_class_under_any_opcode_is_answered_and_never_with_servfail(crowded):
    """C47. The whole sweep is 65,536 types by 9 classes by 16 opcodes: NAMESERVER_TYPE_CASES=9437184."""
    total = 65536 * len(CLASSES) * 16
    names = ("size-1.example.test.", "nope.example.test.", "example.test.", "elsewhere.", ".")
    heads = [question(name) for name in names] + [question(name, edns=1232) for name in names]
    step = max(1, total // CASES) | 1  # odd, so that it goes through all types, and on from case to case otherwise
    for number in range(min(CASES, total)):
        case = number * step % total
        opcode, rest = case % 16, case // 16
        rdclass, rdtype = CLASSES[rest % len(CLASSES)], rest // len(CLASSES)
        data = bytearray(heads[number % len(heads)])
        data[2] |= opcode << 3
        end = data.index(b"\0", 12) + 1
        data[end : end + 4] = rdtype.to_bytes(2, "big") + rdclass.to_bytes(2, "big")
        for transport in ("udp", "tcp"):
            outcome = handle(crowded, bytes(data), transport=transport)
            assert outcome.transfer is None
            reply = outcome.reply
            assert reply[:2] == data[:2] and reply[2] >> 3 == 16 | opcode, (rdtype, rdclass, opcode)
            assert reply[3] & 15 in ALLOWED, (rdtype, rdclass, opcode)
            assert len(reply) <= (1232 if transport == "udp" else 65535)


def test_recursion_is_neither_done_nor_promised(crowded):
    """S03."""
    for name in ("size-1.example.test.", "nope.example.test.", "elsewhere."):
        reply = ask(crowded, name, rd=True, edns=1232)
        assert reply.flags & dns.flags.RD
        assert not reply.flags & dns.flags.RA


def test_any_is_one_rrset_over_udp_and_tcp():
    """S06: RFC 8482 §4.1."""
    text = f"{HEAD}\nwww A 192.0.2.1\nwww A 192.0.2.2\nwww AAAA 2001:db8::1\nwww TXT x"
    for transport in ("udp", "tcp"):
        reply = ask(pipeline_of(served(text, "example.test.")), "www.example.test.", "ANY", transport=transport)
        assert len(reply.answer) == 1


def test_the_defaults_are_the_careful_ones():
    """S05, S07: what `QuerySettings` has where nothing is configured."""
    settings = QuerySettings()
    assert (settings.max_udp_size, settings.minimal_responses) == (1232, True)
    assert (settings.version, settings.identity, settings.nsid) == ("", "", b"")
