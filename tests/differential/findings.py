"""What a run came to, for people: counts, the entries that applied, and of each class of difference one example."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.rdataclass
import dns.rdatatype
from differential.compare import Difference, Verdict
from differential.questions import Question
from differential.seen import Broken, see
from differential.servers import PEERS

SHOWN = 400  # classes of differences


def describe(question: Question) -> str:
    """A question on one line."""
    parts = [question.name.to_text(), dns.rdataclass.to_text(question.rdclass), dns.rdatatype.to_text(question.rdtype)]
    if question.opcode:
        parts.append(f"opcode={question.opcode}")
    parts.append(f"flags={question.flags:#06x}")
    if question.edns is not None:
        edns = question.edns
        parts.append(
            f"edns={edns.version} size={edns.size} flags={edns.flags:#06x} options={edns.options.hex() or '-'}"
        )
    parts.append(question.transport)
    return " ".join(parts)


def shown(wire: bytes | None) -> str:
    """A reply as text, much as dig prints it."""
    if wire is None:
        return "   no reply"
    try:
        see(wire)
        text = dns.message.from_wire(wire, one_rr_per_rrset=False).to_text()
    except (Broken, dns.exception.DNSException) as problem:
        return f"   unreadable ({problem}): {wire.hex()}"
    return "\n".join(f"   {line}" for line in (f"{len(wire)} octets", *text.splitlines()[1:]))


@dataclass
class Kind:
    """Differences of one kind: how many, and the shortest of them."""

    count: int
    example: Verdict

    def add(self, verdict: Verdict) -> None:
        self.count += 1
        if size_of(verdict) < size_of(self.example):
            self.example = verdict


def size_of(verdict: Verdict) -> int:
    return sum(len(wire or b"") for wire in verdict.case.wires.values())


class Tally:
    """Everything that was compared."""

    def __init__(self) -> None:
        self.compared = 0
        self.zones = 0
        self.applied: dict[str, Kind] = {}
        self.bad: dict[tuple[str, ...], Kind] = {}
        self.disagreed: Counter[tuple[str, str]] = Counter()
        self.transports: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()  # zones that a peer failed to load, and has no vote about

    @property
    def unexplained(self) -> int:
        return sum(kind.count for kind in self.bad.values())

    def add(self, verdict: Verdict) -> None:
        """Take one case in."""
        case = verdict.case
        self.compared += 1
        self.transports[case.question.transport] += 1
        for each in case.votes.values() if case.peers else ():
            for name, seen in case.peers.items():
                if each.decided and getattr(seen, each.field) not in each.allowed:
                    self.disagreed[name, each.field] += 1
        for name in verdict.explained_by:
            self._count(self.applied, name, verdict)
        if not verdict.good:
            self._count(self.bad, class_of(verdict), verdict)

    def _count(self, kinds: dict[Any, Kind], name: object, verdict: Verdict) -> None:
        if name in kinds:
            kinds[name].add(verdict)
        else:
            kinds[name] = Kind(1, verdict)


def class_of(verdict: Verdict) -> tuple[str, ...]:
    """What differences of one kind have in common."""
    found = [each.field if each.decided else f"{each.field} (no majority)" for each in verdict.unexplained]
    broken = {fault.partition(":")[0] for fault in verdict.faults}
    return (*found, *sorted(broken), *(f"{name} {value}" for name, value in traits(verdict)))


def traits(verdict: Verdict) -> Iterable[tuple[str, object]]:
    """What tells one class of differences from another, beside the fields."""
    case = verdict.case
    question = case.question
    if question.rdtype in (41, 43, 46, 47, 50, 51, 128) or question.rdtype >= 249:
        yield "type", dns.rdatatype.to_text(question.rdtype)
    if question.rdclass != 1:
        yield "class", question.rdclass
    if question.opcode:
        yield "opcode", question.opcode
    if question.edns is not None and question.edns.version:
        yield "edns", "unknown version"
    if question.dnssec and any(each.field in ("answer", "authority", "additional") for each in verdict.unexplained):
        yield "do", 1
    yield "rcode", case.ours.rcode
    if "rcode" in (each.field for each in verdict.unexplained):
        yield "majority", case.majority("rcode")


def example_lines(verdict: Verdict, command: str) -> Iterator[str]:
    """A case in full: the question, every server's reply, how to ask it again."""
    case = verdict.case
    world = case.served.world
    for fault in verdict.faults:
        yield f"  {fault}"
    zone = "no zone" if case.zone is None else world.zones[case.zone].text
    yield f"  {describe(case.question)}"
    yield f"  zone {zone}, seed {world.seed}; again: {command} CASE={case.question.label}"
    for name, wire in case.wires.items():
        novote = "" if name not in PEERS or name in case.peers else " (no vote)"
        yield f"  {name}{novote}:"
        yield shown(wire)


def lines(
    tally: Tally, differences: Iterable[Difference], command: str, every_entry_applies: bool, examples: bool = False
) -> Iterator[str]:
    """The whole report; with an example of each difference that is meant, if `examples`."""
    transports = ", ".join(f"{count:,} over {name.upper()}" for name, count in sorted(tally.transports.items()))
    yield f"{tally.zones} zones, {tally.compared:,} questions ({transports}) to Knot, NSD, BIND and ours"
    for name, count in tally.lost.items():
        if count:
            yield f"no vote of {name} on {count} zones: it failed to load them"
    yield "peers against the majority, by field:"
    for name in PEERS:
        found = ", ".join(f"{field} {count:,}" for (who, field), count in tally.disagreed.most_common() if who == name)
        yield f"  {name}: {found or 'never'}"
    yield "differences that are meant:"
    for entry in differences:
        count = tally.applied[entry.name].count if entry.name in tally.applied else 0
        warning = "  <- never applied" if every_entry_applies and not count else ""
        yield f"  {count:9,}  {entry.name} ({entry.source}){warning}"
        if examples and count:
            yield from example_lines(tally.applied[entry.name].example, command)
    ordered = sorted(tally.bad.items(), key=lambda item: -item[1].count)
    for kind, found in ordered[:SHOWN]:
        yield ""
        yield f"UNEXPLAINED, {found.count:,} times: {'; '.join(kind)}"
        yield from example_lines(found.example, command)
    if len(ordered) > SHOWN:
        yield f"... and {len(ordered) - SHOWN} more classes"
    yield ""
    yield f"unexplained differences: {tally.unexplained:,}"
