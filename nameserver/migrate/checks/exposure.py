"""`migrate exposure`: who hands the zone to anybody? AXFR and IXFR without a key, at every address of every server.

"Refused" is the good answer here. A server that cannot be reached exposes nothing to us either, which proves little: it
is told apart.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset

from nameserver.errors import Reason
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply
from nameserver.migrate.asking.nameservers import Target, Unfound
from nameserver.migrate.report import Level, Report, Table

# What is tried. IXFR over UDP answers small zones whole (RFC 1995 §4).
WAYS = (("AXFR", True), ("IXFR", True), ("IXFR", False))


@dataclass(frozen=True, slots=True)
class IxfrQuestion(Question):
    """A request for all changes since serial 0, which is the whole zone where there is no history."""

    def message(self) -> dns.message.QueryMessage:
        """A new query for it, with an SOA of serial 0 as its authority section (RFC 1995 §3)."""
        query = Question.message(self)
        query.authority.append(dns.rrset.from_text(self.name, 0, "IN", "SOA", ". . 0 0 0 0 0"))
        return query


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and what came of it. `records` are those of the first message but for the SOA."""

    target: Target
    kind: str
    transport: str
    open: bool
    records: int
    answered: bool
    result: str  # an RCODE, a reason, or "handed out"


async def measure(asker: Asker, zone: dns.name.Name, targets: Sequence[Target]) -> list[Attempt]:
    """Try every way at every address, all at once."""
    tries = [(target, kind, tcp) for target in targets for kind, tcp in WAYS]
    outcomes = await asyncio.gather(
        *(asker.ask(_question(zone, kind), target.endpoint, tcp=tcp) for target, kind, tcp in tries)
    )
    return [_attempt(*each, outcome) for each, outcome in zip(tries, outcomes, strict=True)]


def _question(zone: dns.name.Name, kind: str) -> Question:
    if kind == "AXFR":
        return Question(zone, dns.rdatatype.AXFR, size=0)
    return IxfrQuestion(zone, dns.rdatatype.IXFR, size=0)


def _attempt(target: Target, kind: str, tcp: bool, outcome: Outcome) -> Attempt:
    transport = "TCP" if tcp else "UDP"
    if not isinstance(outcome, Reply):
        return Attempt(target, kind, transport, False, 0, False, str(outcome.reason))
    answer = outcome.message.answer
    records = sum(len(rrset) for rrset in answer if rrset.rdtype != dns.rdatatype.SOA)
    # A single SOA is what anybody may have: "come over TCP", or "you are up to date".
    handed = records > 0 or (kind == "AXFR" and bool(answer)) or bool(tcp and answer and outcome.rcode == "NOERROR")
    return Attempt(target, kind, transport, handed, records, True, "handed out" if handed else outcome.rcode)


def _unheard(attempt: Attempt) -> bool:
    return attempt.result in (Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE)


def judge(
    zone: dns.name.Name, attempts: Sequence[Attempt], problems: Sequence[Unfound] = (), vantage: str = ""
) -> Report:
    """Any transfer that began is a fault. `vantage`: where was asked from; access lists may treat others otherwise."""
    report = Report("exposure", zone.to_text(omit_final_dot=True))
    rows: list[tuple[str, ...]] = []
    tones: dict[int, Level] = {}
    for attempt in attempts:
        where = f"{attempt.target.label} ({attempt.target.endpoint})"
        if attempt.open:
            tones[len(rows)] = Level.FAULT
            text = f"{where} hands out the zone to anybody: {attempt.kind} over {attempt.transport}"
            step = "Allow transfers there to your own secondaries alone (allow-transfer, provide-xfr, acl)."
            report.add(Level.FAULT, "open-transfer", text, step)
        elif attempt.result == Reason.MALFORMED and attempt.transport == "TCP":
            text = f"{where} answers {attempt.kind} over TCP with what cannot be read: it may be the zone"
            report.add(Level.FAULT, "unreadable", text, "Look at it with another tool: dig, or a packet capture.")
        rows.append(
            (attempt.target.label, str(attempt.target.endpoint), attempt.kind, attempt.transport, attempt.result)
        )
    for each in problems:
        report.add(Level.WARNING, each.code, each.text, each.next_step)
    for target in dict.fromkeys(attempt.target for attempt in attempts):
        ways = [each for each in attempts if each.target == target]
        if any(each.answered for each in ways) and all(_unheard(each) for each in ways if each.transport == "TCP"):
            text = f"{target.label} ({target.endpoint}) answers UDP, not TCP: whether it hands out the zone is unknown"
            report.add(Level.WARNING, "tcp-silent", text, "Ask from where TCP port 53 gets through.")
    silent = {attempt.target for attempt in attempts} - {attempt.target for attempt in attempts if attempt.answered}
    for target in sorted(silent, key=str):
        report.add(Level.WARNING, "silent", f"{target.label} ({target.endpoint}) answered nothing: it proves nothing")
    report.tables.append(Table("", ("SERVER", "ADDRESS", "ASKED", "OVER", "ANSWER"), tuple(rows), tones))
    report.facts = {
        "open": sorted({f"{each.target.label} {each.target.endpoint}" for each in attempts if each.open}),
        "asked": len(attempts),
        "answered": sum(each.answered for each in attempts),
    }
    report.measured = {"vantage": vantage}
    report.unreachable = not report.facts["answered"] and not report.faults
    from_where = f", asked from {vantage}" if vantage else ""
    if report.exit_code == 0 and report.has(Level.WARNING):
        report.verdict = f"No server that answered hands out the zone without a key{from_where}; not all did."
    elif report.exit_code == 0:
        report.verdict = f"No server hands out the zone without a key{from_where}."
    elif report.unreachable:
        report.verdict = f"No server answered{from_where}: nothing is known."
    elif not report.facts["open"]:
        report.verdict = f"It is not known whether the zone is open{from_where}."
    else:
        report.verdict = f"THE ZONE IS OPEN: anybody can have all of it{from_where}."
    return report
