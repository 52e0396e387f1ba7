"""The server whose requests are mutated, and the requests themselves: one of every kind that is understood or refused.

`corpus/requests` holds what `seeds()` makes, so that a change here shows in the files. Times and secrets are fixed.
"""

import struct
from ipaddress import ip_network

import dns.edns
import dns.message
from support.pipelines import NOW, pipeline_of, question, served
from support.served_zones import HEAD, wire

from nameserver.query.acl import Acl, AclRow
from nameserver.query.exchange import QuerySettings
from nameserver.query.pipeline import Pipeline
from nameserver.query.zoneset import ZoneState
from nameserver.wire import codes
from nameserver.wire.tsig import TsigKey, sign

KEYS = {
    name: TsigKey(wire(name), f"hmac-{name}", name.encode() * 12)
    for name in ("sha256", "sha384", "sha512", "sha224", "sha1")
}
SECONDARY = ip_network("192.0.2.0/28")  # may transfer and notify without a key
STRANGER, FRIEND = "198.51.100.7", "192.0.2.5"
LONG = ".".join(["a"] * 120)
MANY = "\n".join(f"many {'TXT' if number % 2 else 'A'} {f'text{number}' if number % 2 else f'10.0.0.{number}'}"
                 for number in range(250))  # fmt: skip
TEXT = f"""{HEAD}
@ MX 10 mail
@ TXT "v=spf1 -all" "second"
@ CAA 0 issue "example.net"
mail A 192.0.2.25
mail AAAA 2001:db8::25
wWw A 192.0.2.80
www AAAA 2001:db8::80
*.w CNAME www
*.txt TXT "wild"
sub NS ns.sub
sub NS ns.other.example.
sub DS 1 8 2 {"00" * 32}
ns.sub A 192.0.2.53
d DNAME other.example.
loop1 CNAME loop2
loop2 CNAME loop1
a.b.c.d.e A 192.0.2.9
_sip._tcp SRV 1 2 5060 mail
{LONG} A 192.0.2.10
www RRSIG A 8 3 300 20300101000000 20200101000000 1 example. c2ln
svc HTTPS 1 . alpn=h2
odd TYPE65400 \\# 4 01020304
{MANY}
"""
CHAIN = "\n".join(f"c{number} CNAME c{number + 1}" for number in range(30))


def make_pipeline() -> Pipeline:
    """Zones in every state, with transfers and NOTIFY for some, under keys and addresses."""
    by_key = Acl(tuple(AclRow(key=key.name) for key in KEYS.values()))
    by_address = Acl((AclRow(network=SECONDARY),))
    return pipeline_of(
        served(TEXT, "example.", allow_transfer=by_key, allow_notify=by_key),
        served(f"{HEAD}\nwww.d A 192.0.2.1\n{CHAIN}", "other.example.", allow_transfer=by_address),
        served(f"{HEAD}\nc0 CNAME c0.other.example.", "open.", allow_transfer=by_address, allow_notify=by_address),
        served(None, "new.", allow_notify=by_key),
        served(HEAD, "old.", state=ZoneState.EXPIRED),
        served(HEAD, "still.", allow_transfer=by_address, paused=codes.REFUSED),
        keys=KEYS.values(),
        settings=QuerySettings(nsid=b"fuzz", version="1", identity="fuzzed"),
    )


def _options(*options: tuple[int, bytes], name: str = "www.example.") -> bytes:
    more = [dns.edns.GenericOption(code, value) for code, value in options]
    return question(name, "A", use_edns=0, edns=1232) if not more else _with_options(name, more)


def _with_options(name: str, options: list) -> bytes:
    return dns.message.make_query(name, "A", id=4711, use_edns=0, payload=1232, options=options).to_wire()


def _counts(data: bytes, *counts: int) -> bytes:
    return data[:4] + struct.pack("!4H", *counts) + data[12:]


def _opcode(opcode: int) -> bytes:
    data = bytearray(question("example.", "SOA"))
    data[2] |= opcode << 3
    return bytes(data)


def _soa(serial: int, owner: bytes = b"\xc0\x0c") -> bytes:
    rdata = b"\x02ns\xc0\x0c\x01h\xc0\x0c" + struct.pack("!5I", serial, 1, 2, 3, 4)
    return owner + struct.pack("!HHIH", 6, 1, 0, len(rdata)) + rdata


def _ixfr(name: str, serial: int) -> bytes:
    return _counts(question(name, "IXFR"), 1, 0, 1, 0) + _soa(serial)


def _notify(name: str, serial: int | None) -> bytes:
    data = bytearray(question(name, "SOA"))
    data[2] |= 4 << 3 | 4
    return bytes(data) if serial is None else _counts(bytes(data), 1, 1, 0, 0) + _soa(serial)


def _signed(data: bytes, key: str = "sha256", now: int = NOW) -> bytes:
    return sign(data, KEYS[key], now)[0]


def _ordinary() -> dict[str, bytes]:
    names = {
        "hit": "www.example.", "case": "WwW.eXample.", "wildcard": "x.y.w.example.", "referral": "a.b.sub.example.",
        "dname": "x.d.example.", "loop": "loop1.example.", "chain": "c0.open.", "nxdomain": "no.example.",
        "empty": "c.d.e.example.", "refused": "www.elsewhere.", "loading": "www.new.", "expired": "www.old.",
        "paused": "www.still.", "paused-apex": "still.",
        "root": ".", "deep": f"{LONG}.example.", "deeper": f"{LONG}.no.example.", "many": "many.example.",
        "dot-in-label": "a\\.b.example.",
    }  # fmt: skip
    seeds = {f"query-{label}": question(name) for label, name in names.items()}
    for rdtype in ("SOA", "NS", "MX", "TXT", "DS", "ANY", "RRSIG", "HTTPS", "TYPE65535", "OPT", "TSIG", "MAILB"):
        seeds[f"type-{rdtype.lower()}"] = question("example.", rdtype)
    seeds |= {f"edns-{size}": question("many.example.", "TXT", edns=size) for size in (0, 512, 1232, 65535)}
    return seeds


def _special() -> dict[str, bytes]:
    query = question("www.example.")
    edns = question("www.example.", edns=1232, want_dnssec=True)
    opt = edns[len(query) :]
    return {
        "chaos-version": question("version.bind.", "TXT", "CH"),
        "chaos-id": question("id.server.", "TXT", "CH"),
        "class-any": question("www.example.", "A", "ANY"),
        "dnssec-ok": edns,
        "badvers": edns.replace(b"\0\0)\x04\xd0\0\0", b"\0\0)\x04\xd0\0\1"),
        "options": _options((3, b""), (10, bytes(8)), (8, b"\0\1\x18\0\xc0\0\2"), (12, bytes(40))),
        "options-100": _options(*[(65001, b"")] * 100),
        "options-101": _options(*[(65001, b"")] * 101),
        "opt-twice": _counts(edns + opt, 1, 0, 0, 2),
        "reply": query[:2] + b"\x84\0" + query[4:],
        "header": query[:12],
        "short": query[:11],
        "counts-65535": _counts(query, 65535, 65535, 65535, 65535)[:12],
        "records-4000": _counts(query, 1, 4000, 0, 0) + (b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + bytes(4)) * 12,
        "compressed-question": _counts(query, 1, 0, 0, 0)[:12] + b"\xc0\x0c\0\1\0\1",
        "two-questions": _counts(query + query[12:], 2, 0, 0, 0),
        "update": _opcode(5),
        "status": _opcode(2),
        "stateful": _opcode(6),
        "trailing": query + b"\0",
        "axfr": question("example.", "AXFR"),
        "axfr-open": question("open.", "AXFR"),
        "ixfr": _ixfr("open.", 1),
        "ixfr-current": _ixfr("open.", 2026010101),
        "ixfr-no-soa": question("open.", "IXFR"),
        "notify": _notify("open.", None),
        "notify-hint": _notify("open.", 7),
        "notify-new": _notify("new.", 7),
    }


def _signatures() -> dict[str, bytes]:
    query = question("www.example.", edns=1232)
    stranger = TsigKey(wire("stranger"), "hmac-sha256", bytes(32))
    liar = TsigKey(KEYS["sha256"].name, "hmac-sha256", bytes(32))
    wordy = TsigKey(wire(".".join(["k" * 49] * 5)), "hmac-sha512", bytes(64))
    cut = _signed(query, "sha512")
    at = len(cut) - 6 - 64
    shorter = bytearray(cut[: at + 32] + cut[at + 64 :])
    shorter[at - 2 : at] = (32).to_bytes(2, "big")
    rdlength = at - 12 - len(b"\x0bhmac-sha512\0")
    shorter[rdlength : rdlength + 2] = (int.from_bytes(cut[rdlength : rdlength + 2], "big") - 32).to_bytes(2, "big")
    return {
        **{f"tsig-{name}": _signed(query, name) for name in KEYS},
        "tsig-axfr": _signed(question("example.", "AXFR"), "sha384"),
        "tsig-ixfr": _signed(_ixfr("example.", 5)),
        "tsig-notify": _signed(_notify("example.", 2026010102)),
        "tsig-notify-new": _signed(_notify("new.", None), "sha1"),
        "tsig-large-reply": _signed(question("many.example.", "TXT", edns=512)),
        "tsig-late": _signed(query, now=NOW - 3600),
        "tsig-badsig": sign(query, liar, NOW)[0],
        "tsig-badkey": sign(query, stranger, NOW)[0],
        "tsig-long-names": sign(question(f"{LONG}.example."), wordy, NOW)[0],
        "tsig-truncated": bytes(shorter),
    }


def seeds() -> dict[str, bytes]:
    """File name (without .bin) → message."""
    return _ordinary() | _special() | _signatures()
