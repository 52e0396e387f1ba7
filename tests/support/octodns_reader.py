"""Reads a YAML file as octoDNS does, with its own code and its defaults, and gives back the records that it saw."""

from pathlib import Path

import dns.rdata
from octodns.provider.yaml import YamlProvider
from octodns.zone import Zone

Record = tuple[str, int, str, str]  # owner in small letters, TTL, type, rdata as dnspython writes it


def read(directory: Path, zone: str) -> set[Record]:
    """The records of `DIRECTORY/ZONE.yaml`. Raises what octoDNS raises for a file that it refuses."""
    return {
        (rrset.name, rrset.ttl, rrset._type, canonical(rrset._type, rdata))
        for rrset in (record.to_rrset() for record in populated(directory, zone).records)
        for rdata in rrset.rdatas
    }


def populated(directory: Path, zone: str) -> Zone:
    """The same as octoDNS holds it."""
    provider = YamlProvider("config", str(directory), escaped_semicolons=True)
    seen = Zone(f"{zone}.", [])
    provider.populate(seen)
    seen.validate()
    return seen


def canonical(kind: str, rdata: str) -> str:
    """Rdata as dnspython writes it, names in small letters, and NAPTR's flags in capitals, as octoDNS has them."""
    given = dns.rdata.from_text("IN", kind, rdata)
    if kind == "NAPTR":
        given = given.replace(flags=given.flags.upper())
    wire = given.to_digestable()
    return dns.rdata.from_wire("IN", kind, wire, 0, len(wire)).to_text()
