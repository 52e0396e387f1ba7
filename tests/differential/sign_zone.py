"""Signing by BIND's dnssec-signzone, so that nothing of ours decides what a right proof is."""

import shutil
import subprocess
from pathlib import Path

import dns.rdatatype
import dns.zonefile
from differential.draft import RRset, ZoneDraft
from dns.rdatatype import RdataType
from support.process import program, short_directory

MINFO = 14
PROGRAMS = ("dnssec-keygen", "dnssec-signzone")


def sign(zone: ZoneDraft) -> None:
    """Put the signed zone in place of the unsigned one. ValueError with what the tool said where it cannot."""
    directory = short_directory("sign")
    try:
        zone.replace(_signed(zone, directory))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _signed(zone: ZoneDraft, directory: Path) -> list[RRset]:
    origin = zone.origin.to_text()
    key = _run(directory, "dnssec-keygen", "-q", "-K", ".", "-a", "ED25519", "-f", "KSK", origin).strip()
    (directory / "zone").write_text("\n".join([*zone_lines(zone), f"$INCLUDE {key}.key", ""]))
    options = []
    if zone.signing.startswith("nsec3"):
        salt = zone.rng.choice(("-", "-", "ab", "aabbccdd", "00" * 20))
        options = ["-3", salt, "-H", str(zone.rng.choice((0, 0, 1, 5)))]
        if zone.signing == "nsec3-optout":
            options.append("-A")
    _run(directory, "dnssec-signzone", "-q", "-z", "-P", "-n", "1", *options, "-o", origin, "-f", "out", "zone", key)
    found = dns.zonefile.read_rrsets(
        (directory / "out").read_text(), origin=zone.origin, relativize=False, rdclass=None, default_ttl=3600
    )
    return [RRset(rrset.name, rrset.rdtype, rrset.ttl, list(rrset)) for rrset in found]


def zone_lines(zone: ZoneDraft) -> list[str]:
    """The zone as a file for the tool: it wants no DS without NS, and prints MINFO so that dnspython cannot read it."""
    return ["$TTL 3600"] + [
        f"{rrset.owner} {rrset.ttl} IN {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in zone.rrsets()
        if rrset.rdtype != MINFO and (rrset.rdtype != RdataType.DS or RdataType.NS in zone.at(rrset.owner))
        for rdata in rrset.rdatas
    ]


def _run(directory: Path, name: str, *arguments: str) -> str:
    done = subprocess.run(
        [program(name) or name, *arguments], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise ValueError(f"{name} {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout
