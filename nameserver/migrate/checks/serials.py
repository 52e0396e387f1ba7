"""`migrate serials`: the SOA at every address of every server, over UDP and TCP; which lag, which differ."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import dns.name
import dns.rdatatype

from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply
from nameserver.migrate.asking.nameservers import Target, Unfound
from nameserver.migrate.report import Level, Report, Table
from nameserver.wire.tsig import TsigKey
from nameserver.zone.serial import Order, compare

TRANSPORTS = ("UDP", "TCP")


@dataclass(frozen=True, slots=True)
class Sight:
    """What one address answered over one transport. `serial` is None where the answer is none to rely on."""

    target: Target
    transport: str
    serial: int | None
    authoritative: bool
    contents: str  # the SOA without its serial
    problem: str  # reason or RCODE, "" where the answer is as it has to be
    detail: str
    seconds: float | None  # None: nothing came back


async def measure(
    asker: Asker, zone: dns.name.Name, targets: Sequence[Target], key: TsigKey | None = None
) -> list[Sight]:
    """Ask them all at once; one entry for each address and transport, in the order of `targets`."""
    question = Question(zone, dns.rdatatype.SOA)
    ways = [(target, transport) for target in targets for transport in TRANSPORTS]
    outcomes = await asyncio.gather(
        *(asker.ask(question, target.endpoint, tcp=transport == "TCP", key=key) for target, transport in ways)
    )
    return [_sight(zone, target, transport, seen) for (target, transport), seen in zip(ways, outcomes, strict=True)]


def _sight(zone: dns.name.Name, target: Target, transport: str, outcome: Outcome) -> Sight:
    if not isinstance(outcome, Reply):
        return Sight(target, transport, None, False, "", str(outcome.reason), outcome.detail, None)
    found = outcome.answer(zone, dns.rdatatype.SOA)
    if outcome.rcode != "NOERROR" or found is None:
        problem = outcome.rcode.lower() if outcome.rcode != "NOERROR" else "no-soa"
        detail = f"answered {outcome.rcode}" if outcome.rcode != "NOERROR" else "answered without the zone's SOA"
        return Sight(target, transport, None, outcome.authoritative, "", problem, detail, outcome.seconds)
    soa = found[0]
    contents = f"{soa.mname} {soa.rname} {soa.refresh} {soa.retry} {soa.expire} {soa.minimum}".lower()
    problem = "" if outcome.authoritative else "not-authoritative"
    detail = "" if outcome.authoritative else "answered without authority (AA is not set)"
    serial = soa.serial if outcome.authoritative else None
    return Sight(target, transport, serial, outcome.authoritative, contents, problem, detail, outcome.seconds)


def newest(serials: Sequence[int]) -> int | None:
    """The serial that all others are at or before (RFC 1982); None where two cannot be compared, or of none."""
    for candidate in serials:
        if all(compare(candidate, other) in (Order.NEWER, Order.EQUAL) for other in serials):
            return candidate
    return None


def judge(
    zone: dns.name.Name, sights: Sequence[Sight], problems: Sequence[Unfound] = (), wanted: int | None = None
) -> Report:
    """What follows: every address serves one serial, and the same SOA beside it.

    `wanted`: the serial that all should be at or beyond. `problems`: servers that are not asked.
    """
    report = Report("serials", zone.to_text(omit_final_dot=True))
    known = sorted({sight.serial for sight in sights if sight.serial is not None})
    top = newest(known)
    for each in problems:
        report.add(Level.FAULT, each.code, each.text, each.next_step)
    _judge_serials(report, sights, known, top, wanted)
    _judge_contents(report, sights, top)
    rows: list[tuple[str, ...]] = []
    tones: dict[int, Level] = {}
    for sight in sights:
        lags = sight.serial is not None and top is not None and sight.serial != top
        state = sight.problem or ("lags" if lags else "current" if top is not None else "differs")
        if sight.problem or lags:
            tones[len(rows)] = Level.FAULT
        serial = "-" if sight.serial is None else str(sight.serial)
        where = str(sight.target.endpoint)
        rows.append((sight.target.label, where, sight.transport, sight.target.named_by, serial, state, sight.detail))
    columns = ("SERVER", "ADDRESS", "OVER", "NAMED BY", "SERIAL", "STATE", "DETAIL")
    report.tables.append(Table("", columns, tuple(rows), tones))
    report.facts = {
        "serials": known,
        "newest": top,
        "servers": [
            {
                "server": sight.target.label,
                "address": str(sight.target.endpoint),
                "transport": sight.transport,
                "named_by": sight.target.named_by,
                "serial": sight.serial,
                "problem": sight.problem or None,
            }
            for sight in sights
        ],
    }
    report.measured = {"seconds": [sight.seconds for sight in sights]}
    report.unreachable = all(sight.seconds is None for sight in sights)
    report.verdict = (
        f"All {len(sights)} answers have serial {top}."
        if report.exit_code == 0
        else "The servers do not all serve the same version of the zone."
    )
    return report


def _judge_serials(
    report: Report, sights: Sequence[Sight], known: Sequence[int], top: int | None, wanted: int | None
) -> None:
    for sight in sights:
        where = f"{sight.target.label} ({sight.target.endpoint}) over {sight.transport}"
        if sight.problem:
            report.add(Level.FAULT, sight.problem, f"{where}: {sight.detail}", _advice(sights, sight))
        elif top is not None and sight.serial != top:
            step = "Look at that server's log; does NOTIFY reach it, may it transfer the zone?"
            report.add(Level.FAULT, "lags", f"{where} has serial {sight.serial}, others have {top}", step)
    if known and top is None:
        text = f"serials {', '.join(map(str, known))} cannot be put in order (RFC 1982 §3.2)"
        report.add(Level.FAULT, "serial-undefined", text, "Transfer the zone afresh on the servers that are wrong.")
    if wanted is not None and top is not None and compare(top, wanted) not in (Order.NEWER, Order.EQUAL):
        report.add(Level.FAULT, "not-yet", f"serial {wanted} is wanted, the newest that is served is {top}")


def _judge_contents(report: Report, sights: Sequence[Sight], top: int | None) -> None:
    """The same serial with other contents beside it: somebody changed a zone without raising its serial."""
    contents = {sight.contents for sight in sights if sight.serial is not None and sight.serial == top}
    if len(contents) > 1:
        text = f"serial {top} goes with {len(contents)} different SOA records: " + "; ".join(sorted(contents))
        step = "The zone was changed without raising its serial, or two primaries feed the servers: raise it at one."
        report.add(Level.FAULT, "same-serial-differs", text, step)


def _advice(sights: Sequence[Sight], sight: Sight) -> str:
    other = next((each for each in sights if each.target == sight.target and each.transport != sight.transport), None)
    if other is not None and other.serial is not None and sight.problem.startswith(("connect", "unreachable")):
        if sight.transport == "TCP":
            return "UDP answers, TCP does not: a firewall lets only UDP through; open TCP port 53 (RFC 7766)."
        return "TCP answers, UDP does not: a firewall lets only TCP through; open UDP port 53."
    if sight.problem == "not-authoritative":
        return "This is a resolver, or the zone there has expired or was never loaded."
    if sight.problem in ("refused", "notauth", "servfail"):
        return "The zone is not loaded there, or has expired."
    return ""
