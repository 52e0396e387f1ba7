"""Planted faults, each of which one command has to name, with exit code 1; and clean pairs, at which none may.

All zones live in one small internet: each fault is a zone of its own, `f…​.example`, at an old and a new server, below a
parent of two servers. What is not in this table stands in the tests beside it: keys, clocks and firewalls in
test_exposure_and_check, resolvers in test_delegation, gates in test_a_move, keys that went too early in test_old_keys.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dns.dnssec
import dns.name
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm
from support.internet import Internet, soa

from nameserver.cli.main import main

pytestmark = pytest.mark.interop

ROOT, TLD1, TLD2, OLD, NEW, SHUT = "127.0.5.1", "127.0.5.2", "127.0.6.2", "127.0.5.3", "127.0.6.4", "127.0.6.5"
BELOW = "127.0.6.6"  # has the zone that each of the others delegates
BODY = (
    "@ NS ns1\n@ NS ns2\nns1 A {OLD}\nns2 A {NEW}\nwww A 192.0.2.1\n*.apps CNAME www\n@ MX 10 mail\nmail A 192.0.2.2\n"
    't TXT "ab" "c"\nodd TYPE4711 \\# 2 0102\nsub NS ns.sub\nns.sub A {BELOW}\n'
    "sub DS 12345 13 2 {DS}\n"
).format(OLD=OLD, NEW=NEW, BELOW=BELOW, DS="ab" * 32)


@dataclass
class Planted:
    """One fault. `verb` and its further words; `old`, `new`: what replaces text of a good zone there.

    `codes` are the faults (or warnings, where the exit code is 0) that have to be named.
    """

    name: str
    verb: str
    codes: set[str]
    old: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    exit_code: int = 1
    glue: dict[str, str] = field(default_factory=dict)  # in the delegation at both servers of the parent
    second: dict[str, str] = field(default_factory=dict)  # in the delegation at the second one alone
    signed: str = ""  # "old new ds": which of the keys a and b sign each, and which the parent names
    at: str = NEW  # where the new side is


def both(name: str, verb: str, codes: set[str], lines: str, signed: str) -> Planted:
    """Further lines at both sides, of which a warning has to be given."""
    change = {"@ MX": f"{lines}@ MX"}
    return Planted(name, verb, codes, change, change, signed=signed, exit_code=0)


COMPARE = [
    Planted("a record is missing", "compare", {"missing", "same-serial-differs"}, new={"www A 192.0.2.1\n": ""}),
    Planted("a record too many", "compare", {"extra"}, new={"www A": "x A 192.0.2.9\nwww A"}),
    Planted("another address", "compare", {"missing", "extra"}, new={"www A 192.0.2.1": "www A 192.0.2.7"}),
    Planted("TTL alone", "compare", {"ttl-drift"}, new={"www A": "www 60 A"}),
    Planted("the wildcard is missing", "compare", {"missing"}, new={"*.apps CNAME www\n": ""}),
    Planted("the wildcard became plain names", "compare", {"missing", "extra"}, new={"*.apps": "one.apps"}),
    Planted("another MX preference", "compare", {"missing", "extra"}, new={"MX 10": "MX 20"}),
    Planted("TXT strings glued together", "compare", {"missing", "extra"}, new={'"ab" "c"': '"abc"'}),
    Planted("an unknown type was dropped", "compare", {"missing"}, new={"odd TYPE4711 \\# 2 0102\n": ""}),
    Planted("a delegation's DS was dropped", "compare", {"missing"}, new={f"sub DS 12345 13 2 {'ab' * 32}\n": ""}),
    Planted("a delegation's glue was dropped", "compare", {"missing"}, new={f"ns.sub A {BELOW}\n": ""}),
    Planted("a delegation was dropped", "compare", {"missing"}, new={"sub NS ns.sub\n": "sub TXT gone\n"}),
    Planted("SOA minimum", "compare", {"soa-differs"}, new={" 300\n@ NS": " 60\n@ NS"}),
    Planted("SOA expire", "compare", {"soa-differs"}, new={"1209600": "604800"}),
    Planted("the apex NS set", "compare", {"extra"}, new={"@ NS ns2": "@ NS ns2\n@ NS ns3"}),
    Planted(
        "the wildcard is missing, seen in a sample of few",
        "compare",
        {"missing"},
        new={"*.apps CNAME www\n": ""},
        words=("--sample", "1", "--accept-partial"),
    ),
    Planted("no fault, and a sample is no proof", "compare", {"incomplete"}, words=("--sample", "100%")),
    Planted("the new side refuses the transfer", "compare", {"incomplete"}, at=SHUT),
    Planted("signed at one side", "compare", {"extra"}, signed="- a -"),
    Planted("nobody has the zone there", "compare", {"no-soa"}, new={"WHOLE": ""}, exit_code=3),
]
CLEAN = [
    Planted("clean: the same", "compare", set(), exit_code=0),
    Planted("clean: the order of the records", "compare", set(), new={"REVERSE": ""}, exit_code=0),
    Planted("clean: case of names in rdata", "compare", set(), new={"CNAME www": "CNAME WWW"}, exit_code=0),
    Planted("clean: case of owners", "compare", set(), new={"www A": "WwW A"}, exit_code=0),
    Planted("clean: another serial", "compare", {"serial-differs"}, new={" 5 ": " 4 "}, exit_code=0),
    Planted(
        "clean: signed, and that is left out", "compare", set(), signed="- a -", words=("--ignore-dnssec",), exit_code=0
    ),
    Planted(
        "clean: a sample that is accepted", "compare", set(), words=("--sample=50%", "--accept-partial"), exit_code=0
    ),
    Planted("clean: serials", "serials", set(), exit_code=0),
    Planted("clean: delegation", "delegation", set(), exit_code=0),
    Planted("clean: ttl", "ttl", set(), exit_code=0),
    Planted("clean: inventory", "inventory", set(), exit_code=0),
    Planted("clean: unsigned", "dnssec", set(), exit_code=0),
    Planted("clean: signed", "dnssec", set(), signed="a a a", exit_code=0),
    both("clean: CDS that was followed", "dnssec", set(), "@ CDS DS-OF-a\n@ CDNSKEY KEY-OF-a\n", "a a a"),
]
REST = [
    Planted("the new side lags", "serials", {"lags"}, new={" 5 ": " 4 "}),
    Planted("serials half the circle apart", "serials", {"serial-undefined"}, new={" 5 ": " 2147483653 "}),
    Planted("one serial, two SOA records", "serials", {"same-serial-differs"}, new={"1209600": "604800"}),
    Planted("a server without an address", "serials", {"no-address"}, old={"@ NS ns2": "@ NS ns2\n@ NS nowhere"}),
    Planted("a server that does not have the zone", "serials", {"refused"}, new={"WHOLE": ""}),
    Planted("a TTL that was forgotten", "ttl", {"ttl-high"}, old={"www A": "www 86400 A"}),
    Planted("the SOA's minimum", "ttl", {"soa-minimum-high"}, old={" 300\n@ NS": " 3600\n@ NS"}),
    Planted("the SOA's TTL", "ttl", {"soa-ttl-high"}, old={"@ 300 IN SOA": "@ 3600 IN SOA"}),
    Planted("a server of the parent is behind", "delegation", {"straggler"}, second={"NS ns2": "NS ns3"}),
    Planted("the zone names others than the parent", "delegation", {"ns-mismatch"}, new={"@ NS ns2\n": ""}),
    Planted(
        "glue with an old address", "delegation", {"glue-differs"}, glue={f"ns2.ZONE A {NEW}": "ns2.ZONE A 127.0.6.9"}
    ),
    Planted("glue was forgotten", "delegation", {"glue-missing"}, glue={f"ns2.ZONE A {NEW}\n": ""}),
    Planted("a lame delegation", "delegation", {"lame"}, new={"WHOLE": ""}),
    Planted(
        "DS at one server of the parent", "delegation", {"ds-differs"}, second={"DS": f"ZONE DS 1 13 2 {'cd' * 32}\n"}
    ),
    Planted("another set than was ordered", "delegation", {"straggler"}, words=("--expect", "ns9.example.net")),
    Planted("DS without a key", "dnssec", {"ds-without-key"}, signed="- - a"),
    Planted("DS, and the new side unsigned", "dnssec", {"ds-without-key"}, signed="a - a"),
    Planted("DS of another key", "dnssec", {"ds-mismatch"}, signed="a b a"),
    Planted("signatures that have ended", "dnssec", {"rrsig-expired"}, signed="a A a"),
    Planted("no way of two signers yet", "dnssec", {"plan-step"}, signed="a b ab", words=("--plan", "multi-signer")),
    Planted(
        "still signed while it is to be unsigned", "dnssec", {"plan-step"}, signed="a a a", words=("--plan", "unsign")
    ),
    both(
        "CDS that the parent has not followed",
        "dnssec",
        {"cds-not-followed"},
        "@ CDS DS-OF-a\n@ CDS DS-OF-b\n",
        "a a a",
    ),
    both("CDS that asks for no DS", "dnssec", {"cds-delete"}, "@ CDS 0 0 0 00\n", "a a a"),
    both(
        "CDS of one key, CDNSKEY of another",
        "dnssec",
        {"cds-cdnskey-differ"},
        "@ CDS DS-OF-a\n@ CDNSKEY KEY-OF-b\n",
        "a a a",
    ),
    both("CDS that leaves the other side without a DS", "dnssec", {"cds-breaks"}, "@ CDS DS-OF-a\n", "a b ab"),
    Planted(
        "CDS at one side alone",
        "dnssec",
        {"cds-differs"},
        new={"@ MX": "@ CDS DS-OF-a\n@ MX"},
        signed="a a a",
        exit_code=0,
    ),
    both("a parent that follows CSYNC", "delegation", {"csync-followed"}, "@ CSYNC 5 3 NS A AAAA\n", "a a a"),
    Planted(
        "CSYNC at one server alone",
        "delegation",
        {"csync-differs"},
        new={"@ MX": "@ CSYNC 5 3 NS\n@ MX"},
        exit_code=0,
    ),
    Planted("the zone is open", "exposure", {"open-transfer"}),
    Planted("DS of no key that the zone has", "inventory", {"ds-without-key"}, signed="a a b", exit_code=0),
    Planted("DS of a zone that is not signed", "inventory", {"ds-without-key"}, signed="- - a", exit_code=0),
    Planted("ALIAS", "inventory", {"provider-type"}, old={"odd TYPE4711": "odd TYPE65401"}, exit_code=0),
    Planted("glue is missing below", "inventory", {"glue-missing"}, old={f"ns.sub A {BELOW}\n": ""}, exit_code=0),
    Planted(
        "data below a delegation",
        "inventory",
        {"occluded"},
        old={"ns.sub A": "x.sub A 192.0.2.4\nns.sub A"},
        exit_code=0,
    ),
    Planted(
        "nobody has a delegated zone",
        "inventory",
        {"child-lame", "child-dead"},
        old={f"ns.sub A {BELOW}": f"ns.sub A {NEW}"},
        exit_code=0,
    ),
    Planted(
        "a delegated zone's server is gone",
        "inventory",
        {"child-silent"},
        old={f"ns.sub A {BELOW}": "ns.sub A 127.0.6.99"},
        exit_code=0,
    ),
    Planted(
        "a delegated zone's server without an address",
        "inventory",
        {"child-no-address"},
        old={"sub NS ns.sub": "sub NS ns.sub\nsub NS nowhere"},
        exit_code=0,
    ),
    Planted("a serial of tomorrow", "inventory", {"serial-future"}, old={" 5 ": " 2099010101 "}, exit_code=0),
    Planted("an expire of a day", "inventory", {"soa-timer"}, old={"1209600": "86400"}, exit_code=0),
]
ALL = [*COMPARE, *CLEAN, *REST]


class Signer:
    """The keys of one side."""

    def __init__(self) -> None:
        self.private = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
        self.public = [
            dns.dnssec.make_dnskey(private.public_key(), Algorithm.ECDSAP256SHA256, flags=flags)
            for private, flags in zip(self.private, (257, 256), strict=True)
        ]

    def ds(self, zone: dns.name.Name) -> str:
        return dns.dnssec.make_ds(zone, self.public[0], "SHA256").to_text()

    def sign(self, text: str, zone: dns.name.Name, ended: bool) -> str:
        made = dns.zone.from_text(text, zone, relativize=False)
        now = datetime.now(UTC) - timedelta(days=20 if ended else 1)
        keys = list(zip(self.private, self.public, strict=True))
        with made.writer() as writer:
            dns.dnssec.sign_zone(made, writer, keys=keys, inception=now, expiration=now + timedelta(days=14))
        return made.to_text(relativize=False)


SIGNERS = {"a": Signer(), "b": Signer()}


def zone_of(planted: Planted) -> str:
    return f"f{ALL.index(planted)}"


def zone_text(planted: Planted, changes: dict[str, str], signer: str) -> str | None:
    """The zone's text at one side; None where it does not have the zone."""
    zone = f"{zone_of(planted)}.example."
    text = soa(zone, 5) + BODY
    if "WHOLE" in changes:
        return None
    if "REVERSE" in changes:
        first, *rest = text.splitlines(keepends=True)
        text = first + "".join(reversed(rest))
    for before, after in changes.items():
        assert before in text or before == "REVERSE", before
        text = text.replace(before, after, 1)
    text = f"$TTL 300\n{text}"
    for name, each in SIGNERS.items():
        text = text.replace(f"DS-OF-{name}", each.ds(dns.name.from_text(zone)))
        text = text.replace(f"KEY-OF-{name}", each.public[0].to_text())
    if signer == "-":
        return text
    return SIGNERS[signer.lower()].sign(text, dns.name.from_text(zone), signer.isupper())


def delegation(planted: Planted, second: bool) -> str:
    zone = zone_of(planted)
    text = f"ZONE NS ns1.ZONE\nZONE NS ns2.ZONE\nns1.ZONE A {OLD}\nns2.ZONE A {NEW}\n"
    changes = planted.glue | (planted.second if second else {})
    for before, after in changes.items():
        if before == "DS":
            text += after
            continue
        assert before in text, before
        text = text.replace(before, after, 1).replace("NS ns3\n", "NS ns3.ZONE\n")
    for name in planted.signed.split(" ")[2] if planted.signed else "":
        if name != "-":
            text += f"ZONE DS {SIGNERS[name].ds(dns.name.from_text(f'{zone}.example.'))}\n"
    return text.replace("ZONE", zone)


@pytest.fixture(scope="module")
def net() -> Iterator[Internet]:
    top = f"@ NS a.root.\na.root. A {ROOT}\nexample. NS a.ns.example.\nexample. NS b.ns.example.\n"
    glue = f"a.ns.example. A {TLD1}\nb.ns.example. A {TLD2}\n"
    servers: dict[str, dict[str, str]] = {
        ROOT: {".": f"$TTL 3600\n{soa('.')}{top}{glue}"},
        **{
            address: {
                "example.": f"$TTL 3600\n{soa('example.')}@ NS a.ns\n@ NS b.ns\na.ns A {TLD1}\nb.ns A {TLD2}\n"
                + "".join(delegation(planted, address == TLD2) for planted in ALL)
            }
            for address in (TLD1, TLD2)
        },
        OLD: {},
        NEW: {},
        SHUT: {},
        BELOW: {
            f"sub.{zone_of(planted)}.example.": f"$TTL 300\n{soa('sub.')}@ NS ns\nns A {BELOW}\n"
            for planted in ALL
            if planted.verb == "inventory"
        },
    }
    for planted in ALL:
        signers = planted.signed.split(" ") if planted.signed else ["-", "-"]
        for address, changes, signer in ((OLD, planted.old, signers[0]), (planted.at, planted.new, signers[1])):
            text = zone_text(planted, changes, signer)
            if text is not None:
                servers[address][f"{zone_of(planted)}.example."] = text
    with Internet(servers, (), {OLD: "any", NEW: "any"}) as world:
        yield world


def test_there_are_more_than_forty():
    assert len([planted for planted in ALL if planted.codes]) >= 40
    assert len({planted.name for planted in ALL}) == len(ALL)


@pytest.mark.parametrize("planted", ALL, ids=lambda planted: f"{planted.verb}: {planted.name}")
def test_each_is_named_by_its_command_and_nothing_else_is(
    planted: Planted, net: Internet, capsys: pytest.CaptureFixture[str]
):
    old, new = f"{OLD}:{net.port}", f"{planted.at}:{net.port}"
    servers = {
        "compare": ["--old", old, "--new", new],
        "dnssec": ["--old", old, "--new", new],
        "ttl": [f"@{old}"],
        "inventory": [f"@{old}"],
        "exposure": [f"@{old}"],
    }.get(planted.verb, [])
    words = ["migrate", planted.verb, f"{zone_of(planted)}.example", *servers, *planted.words, *net.arguments]
    code = main([*words, "--timeout", "2", "--json"])
    report = json.loads(capsys.readouterr().out)
    levels = ("fault", "warning") if planted.exit_code == 0 and planted.codes else ("fault",)
    found = {finding["code"] for finding in report["findings"] if finding["level"] in levels}
    assert code == planted.exit_code, report["findings"]
    assert planted.codes <= found, report["findings"]
    if not planted.codes:
        assert not found, report["findings"]
        assert not any(finding["code"].startswith("child-") for finding in report["findings"])
    whole = planted.verb == "compare" and not any(word.startswith("--sample") for word in planted.words)
    assert (report["verdict"] == "ZONES MATCH: Proceed with cutover") == (whole and code == 0)
