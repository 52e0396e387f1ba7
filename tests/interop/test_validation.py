"""Signed zones through us to a validating resolver: unbound finds every answer secure, before and after IXFR.

Zones are signed by BIND's dnssec-signzone, served by Knot, taken in by ours, and asked of ours alone. What a validator
accepts was proved by what we sent: nothing of ours judges here.
"""

import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dns.flags
import dns.rcode
import pytest
from support.daemon import Nameserver, new_key
from support.peers import KnotPrimary, Target, requires
from support.process import program, short_directory
from support.resolver import PROGRAMS, Unbound

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

# What dnssec-signzone is told, by the zone's name.
SIGNING = {
    "nsec.test": [],
    "nsec3.test": ["-3", "-"],
    "salted.test": ["-3", "aabbccdd", "-H", "5"],
    "optout.test": ["-3", "-", "-A"],
}
CONTENT = """$TTL 300
@ SOA ns1 host {serial} 3600 600 86400 300
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.1
mail A 192.0.2.2
www A 192.0.2.3
www AAAA 2001:db8::3
alias CNAME www
dangling CNAME nowhere
moved DNAME tree
leaf.tree TXT "leaf"
a.empty.non.terminal A 192.0.2.4
*.wild A 192.0.2.5
*.wild TXT "wild"
here.wild A 192.0.2.6
*.alias CNAME www
*.deep.wild MX 10 mail
secure NS ns.secure
secure DS 12345 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.secure A 192.0.2.7
insecure NS ns.insecure
ns.insecure A 192.0.2.8
a.b.insecure2 NS ns1
"""
NAMES = [
    "", "ns1", "mail", "www", "alias", "dangling", "moved", "leaf.tree", "leaf.moved", "tree", "empty.non.terminal",
    "non.terminal", "terminal", "x.terminal", "wild", "x.wild", "x.y.wild", "here.wild", "x.here.wild", "any.alias",
    "z.deep.wild", "nowhere", "zzz", "a.b.c.d", "0", "*.wild", "*", "b.insecure2", "insecure2",
]  # fmt: skip
TYPES = ["A", "AAAA", "TXT", "MX", "CNAME", "NS", "SOA", "DS", "DNSKEY", "SRV"]


@dataclass
class Signer:
    """The versions of one zone, signed with one key."""

    zone: str
    options: list[str]
    directory: Path = field(default_factory=lambda: short_directory("signer"))
    key: str = ""
    now: list[str] = field(default_factory=list)  # the options of the version that was signed last

    @property
    def opts_out(self) -> bool:
        """Whether insecure delegations are left out of its chain, and with them the proofs about their spans."""
        return "-A" in self.now

    def __post_init__(self) -> None:
        self.key = self._run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", self.zone).strip()

    @property
    def anchor(self) -> str:
        return next(
            line for line in (self.directory / f"{self.key}.key").read_text().splitlines() if not line.startswith(";")
        )

    def signed(self, serial: int, changes: str = "", options: list[str] | None = None) -> str:
        """The zone's text at a serial; `options` other than usual change how non-existence is denied."""
        lines = [CONTENT.format(serial=serial), changes, f"$INCLUDE {self.directory / self.key}.key\n"]
        (self.directory / "zone").write_text("".join(lines))
        self.now = how = self.options if options is None else options
        self._run("dnssec-signzone", "-q", "-z", "-P", "-n", "1", *how, "-o", self.zone, "-f", "out", "zone", self.key)
        return f"$ORIGIN {self.zone}.\n" + (self.directory / "out").read_text()

    def _run(self, name: str, *arguments: str) -> str:
        command = [program(name) or name, *arguments]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def signers() -> dict[str, Signer]:
    requires("dnssec-signzone", "dnssec-keygen")
    return {zone: Signer(zone, options) for zone, options in SIGNING.items()}


@pytest.fixture(scope="module")
def chain(signers: dict[str, Signer]) -> Iterator[tuple[KnotPrimary, Nameserver]]:
    """Knot with the signed zones, and ours as its secondary."""
    requires(*KnotPrimary.programs, *PROGRAMS)
    key = new_key("transfer-key")
    texts = {zone: signer.signed(1) for zone, signer in signers.items()}
    with (
        Nameserver(zones=list(signers), key=key) as ours,
        KnotPrimary(texts, transfer_key=key, notify=[Target(ours.port, key)]) as primary,
    ):
        primary.start()
        ours.primary_port = primary.port
        ours.start()
        for zone in signers:
            ours.wait(lambda zone=zone: ours.serial(zone) == 1, what=zone)
        yield primary, ours


def verdicts(signers: dict[str, Signer], server: Nameserver, names: list[str]) -> dict[str, str]:
    """What unbound makes of every name and type, where that is not "secure"."""
    odd = {}
    with Unbound({zone: signer.anchor for zone, signer in signers.items()}, server.port) as resolver:
        for zone, name, rdtype in itertools.product(signers, names, TYPES):
            asked = f"{name}.{zone}." if name else f"{zone}."
            if rdtype == "DS" and not name:
                continue  # the parent's, which is not here
            if rdtype == "CNAME" and name == "leaf.moved":
                continue  # unbound 1.17 cannot do it: Knot's, BIND's and NSD's answers are bogus to it too
            reply = resolver.ask(asked, rdtype)
            secure = reply.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) and reply.flags & dns.flags.AD
            if not secure:
                odd[f"{asked} {rdtype}"] = "insecure" if reply.rcode() != dns.rcode.SERVFAIL else "bogus"
    return odd


def unexplained(signers: dict[str, Signer], odd: dict[str, str]) -> dict[str, str]:
    """What is bogus, and what is insecure where no opt-out leaves it unproved."""
    left_out = [f"{zone}." for zone, signer in signers.items() if signer.opts_out]
    return {
        asked: verdict
        for asked, verdict in odd.items()
        if verdict == "bogus" or not any(asked.split()[0].endswith(zone) for zone in left_out)
    }


def test_every_answer_is_secure(signers: dict[str, Signer], chain: tuple[KnotPrimary, Nameserver]) -> None:
    """But for what opt-out leaves unproved: names in a span that insecure delegations may lie in (RFC 5155 §12.2.2)."""
    odd = verdicts(signers, chain[1], NAMES)
    assert unexplained(signers, odd) == {}
    for zone in signers:
        positive = (f"www.{zone}. A", f"{zone}. SOA", f"alias.{zone}. A", f"leaf.tree.{zone}. TXT")
        assert not set(positive) & set(odd)


def test_delegations_are_proved_to_be_secure_or_not(
    signers: dict[str, Signer], chain: tuple[KnotPrimary, Nameserver]
) -> None:
    """The DS, or that there is none, is the parent's to prove."""
    with Unbound({zone: signer.anchor for zone, signer in signers.items()}, chain[1].port) as resolver:
        for zone in signers:
            present, absent = resolver.ask(f"secure.{zone}.", "DS"), resolver.ask(f"insecure.{zone}.", "DS")
            assert present.flags & dns.flags.AD and present.answer
            assert not absent.answer and absent.rcode() == dns.rcode.NOERROR
            assert absent.flags & dns.flags.AD or signers[zone].opts_out


@pytest.mark.parametrize("how", ["a change", "another chain"])
def test_after_a_change_that_came_by_ixfr_every_answer_is_secure_again(
    signers: dict[str, Signer], chain: tuple[KnotPrimary, Nameserver], how: str
) -> None:
    primary, ours = chain
    changes = 'new A 192.0.2.9\n*.new.wild TXT "new"\nx.y.z.deeper TXT "an empty non-terminal"\nwww TXT "more"\n'
    others = dict(zip(SIGNING, [*list(SIGNING.values())[1:], []], strict=True))
    serial = max(ours.serial(zone) or 0 for zone in signers) + 1
    for zone, signer in signers.items():
        primary.update(zone, signer.signed(serial, changes, None if how == "a change" else others[zone]))
    for zone in signers:
        ours.wait(lambda zone=zone: ours.serial(zone) == serial, what=f"serial {serial} of {zone}")
        assert ours.zone(zone)["last_transfer"]["got"] == "ixfr"
    odd = verdicts(signers, ours, [*NAMES, "new", "x.new.wild", "z.deeper", "deeper", "q.z.deeper"])
    assert unexplained(signers, odd) == {}
