"""The transfers whose messages are mutated: full and incremental, in one message and in many, plain and signed.

A case is one octet that says what was asked and how it is signed, and then the reply's messages, each behind its length
as on a TCP connection. `corpus/transfers` holds what `seeds()` makes.
"""

from itertools import pairwise

import dns.flags
import dns.message
import dns.rrset
from support.transfer_messages import APEX, NOW, NS, QUERY_ID, WWW, build, message, rr, soa

from nameserver.transfer.inbound import TransferKind
from nameserver.wire import codes
from nameserver.wire.edns import pack_opt
from nameserver.wire.rrset import Record
from nameserver.wire.tsig import StreamSigner, StreamVerifier, TsigKey, sign
from nameserver.zone.changes import diff

IXFR = 1  # asked for, rather than AXFR
SIGNED = 2  # as it stands: no mutation may get through
RESIGNED = 4  # signed after it was mutated, as by a primary that has gone mad: what is signed is not therefore right
KEY = TsigKey(b"\x04fuzz\x00", "hmac-sha256", b"fuzz" * 8)
REQUEST_MAC = bytes(range(32))
BADKEY = TsigKey(b"\x04fuzz\x00", "hmac-sha256", b"zzuf" * 8)
OTHER = Record(b"\x05other\x00", codes.A, codes.IN, 300, b"\1\2\3\4")
ODD = Record(b"\x03WwW\x07Example\x03com\x00", codes.TXT, codes.IN, 60, b"\3odd\0")

BASE = (NS, rr("ns1 300 A 192.0.2.53"), WWW, rr("www 300 A 192.0.2.2"), rr("mail 300 AAAA 2001:db8::25"))
EVERY_TYPE = (
    rr("@ 300 MX 10 mail"), rr('@ 300 TXT "v=spf1 -all" "" "x"'), rr("alias 300 CNAME www"), rr("p 300 PTR www"),
    rr("_sip._tcp 300 SRV 1 2 5060 mail"), rr('n 300 NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:x!" .'), rr("k 300 KX 1 www"),
    rr("d 300 DNAME elsewhere.example."), rr("sub 300 NS ns.sub"), rr("ns.sub 300 A 192.0.2.54"),
    rr("sub 300 DS 12345 13 2 " + "ab" * 32), rr('@ 300 CAA 0 issue "ca.example.net"'), rr("i 300 HINFO a b"),
    rr("s 300 SVCB 1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1"), rr("h 300 HTTPS 0 www"), rr("l 300 LOC 1 N 2 E 3m"),
    rr("t 300 TLSA 3 1 1 " + "cd" * 32), rr("f 300 SSHFP 4 2 " + "ef" * 32), rr("@ 300 NSEC d NS SOA MX RRSIG NSEC"),
    rr("@ 300 RRSIG SOA 13 2 300 20300101000000 20200101000000 1 example.com. c2lnbmF0dXJl"),
    rr("@ 300 RRSIG NS 13 2 300 20300101000000 20200101000000 1 example.com. c2lnbmF0dXJl"),
    rr("@ 300 DNSKEY 257 3 13 " + "q" * 86 + "=="), rr("@ 300 NSEC3PARAM 1 0 0 aabb"), rr("rp 300 RP mail www"),
    rr("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 300 NSEC3 1 1 0 aabb 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA"),
    rr("m 300 TYPE14 \\# 11 046d61696c000377777700"), rr("a 300 AFSDB 1 www"),
    rr("apl 300 APL 1:192.0.2.0/24 !2:2001:db8::/32"),
    rr("hip 300 HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdx www mail"), rr("c 300 CERT 1 2 3 c2ln"),
    rr("ip 300 IPSECKEY 10 3 2 www AQNR"), rr("cs 300 CSYNC 66 3 A NS AAAA"), rr("z 300 ZONEMD 1 1 1 " + "ab" * 48),
    rr("u 300 URI 1 2 \"https://example/\""), rr("e 300 EUI48 00-11-22-33-44-55"), rr("x 300 X25 \"311061700956\""),
    rr("am 300 AMTRELAY 10 1 3 www"), rr("o 300 TYPE65400 \\# 3 010203"), rr("o 300 TYPE65401 \\# 0"),
    rr("\\000\\.\\\\ 300 TXT \"\\000\\255\""), rr("*.w 300 A 192.0.2.77"), rr("a.b.c.d.e.f 300 A 192.0.2.78"),
)  # fmt: skip
UNTIDY = (WWW, rr("www 60 A 192.0.2.3"), rr("mail 300 MX 1 a"), ODD, rr("mail 600 MX 2 A"), WWW, OTHER)
HELD = (*BASE, rr("old 300 A 192.0.2.66"), rr("sub 300 NS ns.sub"), rr('www 300 TXT "five"'))
SIX = (*BASE[:3], rr("mail 300 AAAA 2001:db8::25"), rr("new 300 A 192.0.2.67"), rr("sub 300 NS ns.sub"))
SEVEN = (*SIX, rr("new 300 A 192.0.2.68"), rr("alias 300 CNAME www"), rr("_sip._tcp 300 SRV 1 2 5060 mail"))


def held():
    """The version that incremental transfers start from: serial 5."""
    return build(soa(5), *HELD)


def frame(first: int, messages: list[bytes]) -> bytes:
    """A case from its parts."""
    return bytes((first,)) + b"".join(len(each).to_bytes(2, "big") + each for each in messages)


def unframe(case: bytes) -> tuple[int, list[bytes]]:
    """The parts of a case; a message cut short is left out."""
    messages, offset = [], 1
    while offset + 2 <= len(case):
        end = offset + 2 + (case[offset] << 8 | case[offset + 1])
        if end <= len(case):
            messages.append(case[offset + 2 : end])
        offset = end
    return case[0], messages


def signed(messages: list[bytes], every: int = 1) -> list[bytes]:
    """The messages as a primary signs them: the first, the last, and each whose number is divisible by `every`."""
    context, out = None, []
    for index, each in enumerate(messages):
        if index and index % every and index + 1 < len(messages):
            context.update(each)
            out.append(each)
            continue
        if index == 0:
            signer = StreamSigner(KEY, REQUEST_MAC)
            out.append(signer.sign(each, NOW))
        else:
            out.append(_sign_later(context, each))
        # The context of the next signature is this one's MAC and what comes unsigned meanwhile (RFC 8945 §5.3.1).
        context = StreamVerifier(KEY, b"")._new_context(out[-1][-6 - 32 : -6])
    return out


def _sign_later(context, each: bytes) -> bytes:
    timers = NOW.to_bytes(6, "big") + (300).to_bytes(2, "big")
    context.update(each + timers)
    mac = context.digest()
    algorithm = b"\x0bhmac-sha256\0"
    rdata = algorithm + timers + len(mac).to_bytes(2, "big") + mac + each[:2] + bytes(4)
    count = (int.from_bytes(each[10:12], "big") + 1).to_bytes(2, "big")
    return each[:10] + count + each[12:] + KEY.name + b"\0\xfa\0\xff\0\0\0\0" + len(rdata).to_bytes(2, "big") + rdata


def compressed(*records: Record, kind: str = "AXFR") -> bytes:
    """One message as another implementation packs it: names compressed wherever they may be."""
    reply = dns.message.make_response(dns.message.make_query("example.com.", kind, id=QUERY_ID))
    reply.flags |= dns.flags.AA
    for record in records:
        owner, rdtype, rdclass, ttl, rdata = record
        data = dns.rdata.from_wire(rdclass, rdtype, rdata, 0, len(rdata))
        rrset = dns.rrset.from_rdata(dns.name.from_wire(owner, 0)[0], ttl, data)
        reply.answer.append(rrset)
    return reply.to_wire(max_size=65535)


def _many(records: list[Record], size: int, kind: TransferKind = TransferKind.AXFR) -> list[bytes]:
    parts = [records[start : start + size] for start in range(0, len(records), size)]
    return [message(*part, kind=kind, question=None if index == 0 else b"") for index, part in enumerate(parts)]


def _differences() -> list[Record]:
    versions = [held(), build(soa(6), *SIX), build(soa(7), *SEVEN)]
    records = [soa(7)]
    for old, new in pairwise(versions):
        step = diff(old.nodes, new.nodes, APEX)
        # Nodes are compared in no fixed order; files should be.
        records += [step.deleted[0], *sorted(step.deleted[1:]), step.added[0], *sorted(step.added[1:])]
    return [*records, soa(7)]


def seeds() -> dict[str, bytes]:
    """File name (without .bin) → case."""
    full = [soa(6), *BASE, *EVERY_TYPE, soa(6)]
    steps = _differences()
    opt = pack_opt(1232, options=((codes.OPT_EXPIRE, (1000).to_bytes(4, "big")),))
    with_opt = message(soa(6), *BASE, soa(6))
    with_opt = with_opt[:10] + b"\0\1" + with_opt[12:] + opt
    ixfr = TransferKind.IXFR
    full_streams = {
        "one": [message(*full)],
        "compressed": [compressed(*full)],
        "many": _many(full, 7),
        "singly": _many([soa(6), *BASE, soa(6)], 1),
        "untidy": [message(soa(6), *BASE, *UNTIDY, soa(6))],
        "expire": [with_opt],
        "refused": [message(flags=codes.QR | codes.REFUSED)],
        "empty-zone": [message(soa(6), soa(6))],
        "no-question": [message(soa(6), *BASE, soa(6), question=b"")],
    }
    step_streams = {
        "one": [message(*steps, kind=ixfr)],
        "compressed": [compressed(*steps, kind="IXFR")],
        "many": _many(steps, 4, ixfr),
        "singly": _many(steps, 1, ixfr),
        "repeated-apex": [message(soa(6), soa(5), WWW, soa(6), NS, soa(6), kind=ixfr)],
        "axfr-style": [message(soa(6), *BASE, soa(6), kind=ixfr)],
        "axfr-style-many": _many([soa(6), *BASE, *EVERY_TYPE, soa(6)], 6, ixfr),
        "up-to-date": [message(soa(5), kind=ixfr)],
        "not-implemented": [message(kind=ixfr, flags=codes.QR | codes.NOTIMP)],
    }
    out = {}
    for first, asked, streams in ((0, "axfr", full_streams), (IXFR, "ixfr", step_streams)):
        for name, messages in streams.items():
            out[f"{asked}-{name}"] = frame(first, messages)
            out[f"{asked}-{name}-signed"] = frame(first | SIGNED, signed(messages))
            if len(messages) > 2:
                out[f"{asked}-{name}-gaps"] = frame(first | SIGNED, signed(messages, 3))
    refusal = message(flags=codes.QR | codes.NOTAUTH)
    out["axfr-badsig-signed"] = frame(SIGNED, [sign(message(*full), BADKEY, NOW, REQUEST_MAC)[0]])
    out["axfr-badtime-signed"] = frame(SIGNED, [sign(message(*full), KEY, NOW - 1000, REQUEST_MAC)[0]])
    told = sign(refusal, KEY, NOW, REQUEST_MAC, error=codes.BADTIME, other=(NOW + 900).to_bytes(6, "big"))[0]
    out["axfr-told-badtime-signed"] = frame(SIGNED, [told])
    return out
