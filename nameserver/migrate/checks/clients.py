"""Who still asks the old side, by its own log of queries: no counter names clients, neither ours nor theirs.

Three forms of a line are read, since those are what there is: BIND's query log (`rndc querylog on`), PowerDNS's
(`log-dns-queries=yes`), and `tcpdump -n port 53`, which does for every server. Clients are shown as networks.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from nameserver.migrate.asking.asking import AS_PEERS_ASK
from nameserver.migrate.report import Level, Report, Table

PREFIX = {4: 24, 6: 48}  # no more of an address is shown: it may be a person's
TOP = 10

_BIND = re.compile(r"client (?:@0x[0-9a-f]+ )?([0-9a-fA-F.:]+)(?:%\S+)?#\d+.*?: query: (\S+) \S+ (\S+)")
_PDNS = re.compile(r"Remote ([0-9a-fA-F.:]+)\S* wants '([^|']*)\|(\w+)'")
_TCPDUMP = re.compile(r"\bIP6? ([0-9a-fA-F.:]+)\.\d+ > \S+\.53: \d+\S*(?: \[[^\]]*\])* (\w+)\? (\S+) \(\d+\)")


@dataclass(slots=True)
class Clients:
    """What a log says of one zone. `networks`: queries by network; `types`: of each network, by type."""

    lines: int = 0
    queries: int = 0
    networks: Counter[str] = field(default_factory=Counter)
    types: dict[str, Counter[str]] = field(default_factory=dict)


def read_log(lines: Iterable[str], zone: str) -> Clients:
    """Count the queries of users in a log. `zone`: folded text without its final dot.

    Raises ValueError for a log of lines of which none is a query in a form that is known.
    """
    found = Clients()
    known = False
    for line in lines:
        found.lines += 1
        query = _query(line)
        known = known or query is not None
        if query is None:
            continue
        client, name, kind = query
        folded = name.lower().rstrip(".")
        if kind.upper() in AS_PEERS_ASK or not (folded == zone or folded.endswith(f".{zone}")):
            continue
        network = _network(client)
        if network is not None:
            found.queries += 1
            found.networks[network] += 1
            found.types.setdefault(network, Counter())[kind.upper()] += 1
    if found.lines and not known:
        raise ValueError(
            "no line of it is a query in BIND's log, in PowerDNS's, or of tcpdump -n; an empty file is silence"
        )
    return found


def _query(line: str) -> tuple[str, str, str] | None:
    """(client, name, type)."""
    if match := _BIND.search(line) or _PDNS.search(line):
        return match[1], match[2], match[3]
    if match := _TCPDUMP.search(line):
        return match[1], match[3], match[2]
    return None


def _network(client: str) -> str | None:
    try:
        address = ip_address(client)
    except ValueError:
        return None
    return str(ip_network(f"{address}/{PREFIX[address.version]}", strict=False))


def tell(report: Report, clients: Clients, where: str) -> None:
    """Add who still asks to a report. `where`: the log's name."""
    rows = tuple(
        (network, str(number), ", ".join(f"{kind} {times}" for kind, times in clients.types[network].most_common(4)))
        for network, number in clients.networks.most_common(TOP)
    )
    report.tables.append(Table("Who still asks, by its log", ("CLIENTS", "QUERIES", "FOR"), rows))
    report.measured["clients"] = dict(clients.networks.most_common(TOP))
    count = clients.queries
    if count:
        text = f"{where} has {count} quer{'y' if count == 1 else 'ies'} of users, from {len(clients.networks)} networks"
        step = (
            "Resolvers that ask on after the TTLs have run out were told the old servers by name: tell who runs them."
        )
        report.add(Level.WARNING, "clients", text, step)
    else:
        report.add(Level.NOTE, "clients", f"{where} has no query of users for {report.zone} in {clients.lines} lines")
