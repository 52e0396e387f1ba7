"""`migrate propagation`: what resolvers return by now. Caches count down: any TTL at or below the target is good."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply
from nameserver.migrate.report import Json, Level, Report, Table
from nameserver.wire.rdata import fold_rdata
from nameserver.zone.rdata_to_text import rdata_text

# Three operators whose caches have nothing to do with one another.
PUBLIC = ("1.1.1.1", "8.8.8.8", "9.9.9.9")


@dataclass(frozen=True, slots=True)
class Sight:
    """What one resolver returned: records as sorted text, the TTL that was left of them, and whether it validated."""

    resolver: Endpoint
    records: tuple[str, ...]
    ttl: int
    validated: bool
    problem: str  # "" where it answered
    bogus: bool  # it answers only with checking disabled: DNSSEC is broken

    @property
    def silent(self) -> bool:
        """Whether nothing came back: problems of servers that answered are RCODEs or words of ours."""
        return bool(self.problem) and not self.problem.isupper() and self.problem != "no data"


async def measure(
    asker: Asker,
    name: dns.name.Name,
    rdtype: dns.rdatatype.RdataType,
    resolvers: Sequence[Endpoint],
    times: int = 1,
) -> list[Sight]:
    """Ask them all at once; one that fails is asked again with checking disabled, to tell bogus from unreachable.

    `times`: how often each is asked, for behind one address there may be several caches: one entry for each different
    answer of a resolver, with the longest TTL.
    """
    seen: dict[tuple[Endpoint, tuple[str, ...], str], Sight] = {}
    for _ in range(times):
        for sight in await asyncio.gather(*(_look(asker, name, rdtype, resolver) for resolver in resolvers)):
            key = (sight.resolver, sight.records, sight.problem)
            seen[key] = max(seen.get(key, sight), sight, key=lambda each: each.ttl)
    answered = {sight.resolver for sight in seen.values() if not sight.silent}
    kept = [sight for sight in seen.values() if not (sight.silent and sight.resolver in answered)]
    return sorted(kept, key=lambda sight: resolvers.index(sight.resolver))


def folded(rdtype: dns.rdatatype.RdataType, text: str) -> str:
    """Rdata as it is compared: its names absolute and in lower case, nothing else. Raises ValueError for none."""
    try:
        record = dns.rdata.from_text(dns.rdataclass.IN, rdtype, text, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"{text!r} is not the rdata of {dns.rdatatype.to_text(rdtype)}: {error}") from error
    return _folded(record)


def _folded(record: dns.rdata.Rdata) -> str:
    return rdata_text(record.rdtype, fold_rdata(record.rdtype, record.to_wire() or b""))


async def _look(asker: Asker, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, resolver: Endpoint) -> Sight:
    outcome = await asker.ask(Question(name, rdtype, rd=True, do=True), resolver)
    if isinstance(outcome, Reply) and outcome.rcode == "SERVFAIL":
        unchecked = await asker.ask(Question(name, rdtype, rd=True, do=True, cd=True), resolver)
        bogus = isinstance(unchecked, Reply) and unchecked.rcode in ("NOERROR", "NXDOMAIN")
        return Sight(resolver, (), 0, False, "SERVFAIL", bogus)
    return _sight(name, rdtype, resolver, outcome)


def _sight(name: dns.name.Name, rdtype: dns.rdatatype.RdataType, resolver: Endpoint, outcome: Outcome) -> Sight:
    if not isinstance(outcome, Reply):
        return Sight(resolver, (), 0, False, f"{outcome.reason}", False)
    validated = bool(outcome.message.flags & dns.flags.AD)
    sets = [rrset for rrset in outcome.message.answer if rrset.rdtype == rdtype]
    if not sets:
        return Sight(resolver, (), 0, validated, outcome.rcode if outcome.rcode != "NOERROR" else "no data", False)
    records = sorted(_folded(record) for rrset in sets for record in rrset)
    return Sight(resolver, tuple(records), min(rrset.ttl for rrset in sets), validated, "", False)


def judge(
    name: dns.name.Name,
    rdtype: dns.rdatatype.RdataType,
    sights: Sequence[Sight],
    *,
    expected: Sequence[str] | None = None,
    target: int | None = None,
) -> Report:
    """Whether every resolver returns the same: `expected` where that is given; and at a TTL of at most `target` s.

    Raises ValueError for what is expected and is no rdata.
    """
    report = Report("propagation", name.to_text(omit_final_dot=True))
    kind = dns.rdatatype.to_text(rdtype)
    answered = [sight for sight in sights if not sight.problem]
    wanted = tuple(sorted(folded(rdtype, text) for text in expected)) if expected is not None else None
    for sight in sights:
        _judge_one(report, kind, sight, wanted, target)
    different: dict[Endpoint, list[Sight]] = {}
    for sight in sights:
        different.setdefault(sight.resolver, []).append(sight)
    varying = [str(resolver) for resolver, each in different.items() if len(each) > 1]
    if varying:
        text = f"{', '.join(varying)} answers one question now so, now so"
        step = "Several caches stand behind it, of which some have what was before, or answers are steered: ask again."
        report.add(Level.WARNING if wanted is not None else Level.FAULT, "varies", text, step)
    elif wanted is None and len({sight.records for sight in answered}) > 1:
        text = f"resolvers return {len({sight.records for sight in answered})} different {kind} sets"
        report.add(Level.FAULT, "differs", text, "Some still have what was before, or answers vary by place.")
    report.tables.append(_table(kind, sights, wanted))
    report.facts = {"type": kind, "resolvers": _facts(different)}
    report.measured = {
        "ttl": {
            str(resolver): max(sight.ttl for sight in each) for resolver, each in different.items() if each[0].records
        }
    }
    report.unreachable = all(sight.silent for sight in sights)
    longest = max((sight.ttl for sight in answered), default=0)
    report.verdict = (
        f"All {len(different)} resolvers return the same." if report.exit_code == 0 else "Not everywhere yet."
    )
    if report.exit_code and longest and not report.unreachable:
        report.verdict = f"Not everywhere yet; what is cached runs out within {longest} s."
    return report


def _table(kind: str, sights: Sequence[Sight], wanted: tuple[str, ...] | None) -> Table:
    rows: list[tuple[str, ...]] = []
    tones: dict[int, Level] = {}
    for sight in sights:
        if sight.problem or (wanted is not None and sight.records != wanted):
            tones[len(rows)] = Level.FAULT
        checked = "validated" if sight.validated else "BOGUS" if sight.bogus else ""
        ttl = str(sight.ttl) if not sight.problem else ""
        rows.append((str(sight.resolver), sight.problem or " ".join(sight.records), ttl, checked))
    return Table("", ("RESOLVER", kind, "TTL LEFT", "DNSSEC"), tuple(rows), tones)


def _facts(different: Mapping[Endpoint, Sequence[Sight]]) -> Json:
    return {
        str(sight.resolver): {
            "records": list(sight.records),
            "problem": sight.problem or None,
            "bogus": sight.bogus,
            "also": [list(each.records) for each in others],
        }
        for sight, *others in different.values()
    }


def _judge_one(report: Report, kind: str, sight: Sight, wanted: tuple[str, ...] | None, target: int | None) -> None:
    if sight.bogus:
        text = f"{sight.resolver} fails to validate {report.zone}: with checking disabled it answers"
        report.add(Level.FAULT, "bogus", text, "Compare DS and DNSKEY: nameserver migrate dnssec.")
    elif sight.problem:
        report.add(Level.FAULT, "resolver-fails", f"{sight.resolver}: {sight.problem}")
    elif wanted is not None and sight.records != wanted:
        text, left = f"{sight.resolver} still returns {' '.join(sight.records)}", f", for up to {sight.ttl} s"
        report.add(Level.FAULT, "stale", text, "Wait until its cache has run out, and ask again.", passing=left)
    elif target is not None:
        _judge_ttl(report, kind, sight, target)


def _judge_ttl(report: Report, what: str, sight: Sight, target: int) -> None:
    if sight.ttl > target:
        text = f"{sight.resolver} has {what} from before its TTL was lowered to {target} s"
        step = "Wait until its cache has run out, and ask again."
        report.add(Level.FAULT, "ttl-high", text, step, passing=f", for up to {sight.ttl} s")


def judge_validation(zone: dns.name.Name, sights: Sequence[Sight]) -> Report:
    """Of a zone that has a DS: whether those of the resolvers that validate find it good."""
    report = Report("propagation", zone.to_text(omit_final_dot=True))
    for sight in sights:
        if sight.problem:
            _judge_one(report, "SOA", sight, None, None)
    good = [str(sight.resolver) for sight in sights if sight.validated]
    if not good and report.exit_code == 0:
        text = "the parent has a DS, and no resolver that was asked sets AD: none of them validates"
        report.add(Level.WARNING, "not-validated", text, "Name one that validates, as 1.1.1.1 or 9.9.9.9.")
    report.facts = {"validated": sorted(good), "bogus": sorted(str(sight.resolver) for sight in sights if sight.bogus)}
    report.unreachable = all(sight.silent for sight in sights)
    report.verdict = f"{len(good)} of {len(sights)} resolvers validate it."
    return report


def judge_ttls(
    zone: dns.name.Name,
    seen: Mapping[tuple[dns.name.Name, dns.rdatatype.RdataType], Sequence[Sight]],
    target: int,
) -> Report:
    """Whether no resolver holds anything of what it was asked for at a TTL above `target` s. Caches count down."""
    report = Report("propagation", zone.to_text(omit_final_dot=True))
    rows: list[tuple[str, ...]] = []
    asked = [sight for sights in seen.values() for sight in sights]
    for (name, rdtype), sights in seen.items():
        what = f"{name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(rdtype)}"
        for sight in sights:
            rows.append((str(sight.resolver), what, str(sight.ttl) if not sight.problem else sight.problem))
            gone = sight.problem in ("no data", "NXDOMAIN") and rdtype != dns.rdatatype.SOA  # a zone without is none
            if sight.bogus or (sight.problem and not gone):  # what is gone has no TTL
                _judge_one(report, what, sight, None, None)
            else:
                _judge_ttl(report, what, sight, target)
    report.tables.append(Table("", ("RESOLVER", "HAS", "TTL LEFT"), tuple(rows)))
    report.facts = {"target": target, "asked": [row[:2] for row in rows]}
    report.unreachable = all(sight.silent for sight in asked)
    longest = max((sight.ttl for sight in asked), default=0)
    if report.exit_code == 0:
        report.verdict = f"No resolver has anything for longer than {target} s."
    else:
        report.verdict = f"Not everywhere yet; what is cached runs out within {longest} s."
    return report
