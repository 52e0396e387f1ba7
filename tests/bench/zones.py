"""The zones that are served, as texts: one that has everything, one that is large, many that are small."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.failed import Failed
from support.process import program

TIMERS = "3600 600 1209600 300"
SHARE_OF_HOSTS = 0.75  # of all records; every third host has two
DELEGATIONS_EACH = 40  # records for one delegation of four and one wildcard


def head(zone: str, serial: int) -> list[str]:
    """What every zone begins with: five records."""
    return [
        f"$ORIGIN {zone}.",
        "$TTL 300",
        f"@ SOA ns1 host {serial} {TIMERS}",
        "@ NS ns1",
        "@ NS ns2",
        "ns1 A 192.0.2.1",
        "ns2 A 192.0.2.2",
    ]


def large(zone: str, records: int, serial: int = 1) -> str:
    """That many records but for three at most: every host has an A, every third an AAAA."""
    return "\n".join([*head(zone, serial), *_hosts(hosts_of_large(records))]) + "\n"


def hosts_of_large(records: int) -> int:
    return (records - 5) * 3 // 4


def records_of(text: str) -> int:
    """How many there are in one of these texts."""
    return text.count("\n") - text.count("$")


def mixed(zone: str, records: int) -> str:
    """Hosts, delegations with glue, wildcards, aliases."""
    lines = head(zone, 1)
    lines += _hosts(mixed_hosts(records))
    for number in range(mixed_cuts(records)):
        lines += [
            f"sub{number} NS ns1.sub{number}",
            f"sub{number} NS ns2.sub{number}",
            f"ns1.sub{number} A 192.0.2.3",
            f"ns2.sub{number} A 192.0.2.4",
            f"*.wild{number} A 192.0.2.5",
        ]
    return "\n".join(lines) + "\n"


def mixed_hosts(records: int) -> int:
    return int(records * SHARE_OF_HOSTS) * 3 // 4


def mixed_cuts(records: int) -> int:
    """So many delegations, and wildcards."""
    return records // 20


def _hosts(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"host{number:07} A 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        if number % 3 == 0:
            yield f"host{number:07} AAAA 2001:db8::{number & 0xFFFF:x}"


def small(zone: str, serial: int) -> str:
    """Ten records."""
    hosts = [f"host{number} A 192.0.2.{number}" for number in range(3, 7)]
    return "\n".join([*head(zone, serial), *hosts, f'serial TXT "{serial}"']) + "\n"


def signed(zone: str, text: str, directory: Path) -> str:
    """The zone signed with one ECDSA key and NSEC3 without salt or more iterations, by BIND's tool."""
    (directory / "plain").write_text(text)
    made = _run(directory, "dnssec-keygen", "-q", "-K", ".", "-a", "ECDSAP256SHA256", "-f", "KSK", zone).strip()
    with (directory / "plain").open("a") as file:
        file.write(f"$INCLUDE {made}.key\n")
    nsec3 = ["-3", "-", "-H", "0"]
    _run(directory, "dnssec-signzone", "-q", "-z", "-P", *nsec3, "-o", zone, "-f", "out", "plain", made)
    return (directory / "out").read_text()


def _run(directory: Path, name: str, *arguments: str) -> str:
    command = [program(name) or name, *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def random_label(dice: random.Random) -> str:
    """Thirteen letters and digits: nobody asks for the same twice."""
    return f"{dice.getrandbits(64):013x}"[:13]
