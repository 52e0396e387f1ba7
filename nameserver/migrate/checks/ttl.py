"""`migrate ttl`: how long what is cached now will be cached, and from when on a cut-over is safe.

the old TTLs, from the snapshot ─┐
lowered TTLs first served at T0 ─┴─▶ safe from T0 + max(2 x the largest old TTL, 48 h)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nameserver.config.values import format_duration
from nameserver.migrate.asking.zone_stream import ZoneStream
from nameserver.migrate.checks.contents import Contents
from nameserver.migrate.checks.query_counts import Look
from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.moments import moment, remaining
from nameserver.migrate.report import Level, Report, Table
from nameserver.wire import names

FLOOR = 48 * 3600  # seconds, whatever the TTLs were
MADE_BY_SIGNERS = frozenset({"RRSIG", "NSEC", "NSEC3", "NSEC3PARAM"})
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that has to have run out, in seconds from the moment that the lowered TTLs were first served."""

    name: str
    seconds: float


def terms(baseline: Snapshot, floor: float = FLOOR) -> list[Term]:
    """What bounds the cut-over, longest first."""
    found = [
        Term(f"2 x the largest old TTL ({baseline.largest_ttl} s)", 2.0 * baseline.largest_ttl),
        Term(f"2 x how long absence was cached ({negative_ttl(baseline)} s)", 2.0 * negative_ttl(baseline)),
        Term("floor", floor),
    ]
    return sorted(found, key=lambda term: -term.seconds)


def negative_ttl(baseline: Snapshot) -> int:
    """How long a resolver keeps "no such name": the lesser of the SOA's TTL and its minimum (RFC 2308 §5)."""
    return min(baseline.soa_ttl, baseline.soa_minimum)


def above(contents: Contents, target: int) -> list[tuple[str, str, int]]:
    """(owner, type, TTL) of each RRset above `target`, largest first. What signers make follows what they sign."""
    found = [
        (owner, kind, ttl)
        for (owner, kind), ttl in contents.ttls.items()
        if ttl > target and kind not in MADE_BY_SIGNERS
    ]
    return sorted(found, key=lambda each: (-each[2], each[0], each[1]))


def judge(
    stream: ZoneStream,
    contents: Contents,
    target: int,
    *,
    baseline: Snapshot | None = None,
    lowered_at: float | None = None,
    now: float = 0.0,
    floor: float = FLOOR,
) -> Report:
    """Whether all TTLs are at or below `target`, and when the cut-over is safe. Times are seconds since 1970.

    `lowered_at`: when the lowered TTLs were first served everywhere, where that is known.
    """
    report = Report("ttl", names.to_text(stream.zone))
    high = above(contents, target)
    rows = tuple((str(ttl), owner, kind, _load(ttl, target)) for owner, kind, ttl in high[:SHOWN])
    report.tables.append(Table(f"RRsets above {target} s", ("TTL", "OWNER", "TYPE", "QUERIES AFTERWARDS"), rows))
    if high:
        text = f"{len(high)} RRset{'s are' if len(high) > 1 else ' is'} above {target} s, the largest at {high[0][2]} s"
        report.add(Level.FAULT, "ttl-high", text, f"Lower them to {target} s and raise the serial; then wait.")
    for name, value in (("SOA minimum", stream.soa.minimum), ("the SOA's TTL", stream.soa_ttl)):
        if value > target:
            code = "soa-minimum-high" if name == "SOA minimum" else "soa-ttl-high"
            text = f"{name} is {value} s: the lesser of both is how long absence is cached (RFC 2308 §5)"
            report.add(Level.FAULT, code, text, f"Lower it to {target} s.")
    report.facts = {
        "target": target,
        "above": [{"owner": owner, "type": kind, "ttl": ttl} for owner, kind, ttl in high],
        "soa_minimum": stream.soa.minimum,
        "soa_ttl": stream.soa_ttl,
    }
    if baseline is not None:
        _when(report, baseline, lowered_at, now, floor)
    if report.exit_code == 0 and not report.verdict:
        report.verdict = f"Every TTL is {target} s or less."
    elif report.faults == {"too-early"}:
        report.verdict = (
            f"Every TTL is {target} s or less; those of before run out at {moment(report.facts['safe_from'])}."
        )
    elif report.faults <= {"too-early", "snapshot-late"}:
        report.verdict = "The TTLs are low; what they were before is not known."
    elif report.exit_code:
        report.verdict = "Not yet: TTLs have to be lowered first."
    return report


def _when(report: Report, baseline: Snapshot, lowered_at: float | None, now: float, floor: float) -> None:
    bounds = terms(baseline, floor)
    rows = [(term.name, format_duration(term.seconds)) for term in bounds]
    rows.append(
        (f"NS at the parent ({baseline.parent_ns_ttl} s): how long the old side is asked", "after the cut-over")
    )
    if baseline.ds:
        rows.append((f"DS at the parent ({baseline.ds_ttl} s)", "after each change of the DS"))
    report.tables.append(Table("What has to run out", ("TERM", "TIME"), tuple(rows)))
    report.facts["terms"] = {term.name: term.seconds for term in bounds}
    if lowered_at is None:
        report.add(Level.NOTE, "not-lowered", "when the lowered TTLs were first served is not known")
        return
    if baseline.taken > lowered_at:
        text = f"the snapshot was taken at {moment(baseline.taken)}, when the TTLs had been lowered: "
        step = "Give the one from before. Without it: wait for twice the TTLs that there were."
        report.add(Level.FAULT, "snapshot-late", f"{text}what they were before is not known", step)
    safe = lowered_at + bounds[0].seconds
    report.facts |= {"lowered_at": lowered_at, "safe_from": safe}
    if now < safe:
        text = f"the cut-over is safe from {moment(safe)} on ({bounds[0].name})"
        left = f", in {remaining(safe - now)}"
        report.add(Level.FAULT, "too-early", text, "Wait; caches do not honour anybody's urgency.", passing=left)
    else:
        report.add(Level.GOOD, "aged", f"the old TTLs have run out: the cut-over is safe since {moment(safe)}")


def tell_load(report: Report, looks: Sequence[Look], now: float, baseline: Snapshot | None = None) -> None:
    """Add how many queries a second the zone gets, and how many it will get at most with every TTL at the target.

    `looks`: what each server of the zone has counted since it began. `baseline`: where the TTLs are low already, from
    what they were. Names are not counted apart, so the bound is what it would be were all queries for the RRset with
    the largest TTL. Servers that do not tell when they began are a note, and no estimate.
    """
    starts = [look.started for look in looks if look.started is not None and look.started < now]
    if len(starts) < len(looks):
        text = "how many queries the zone gets is not known: the page does not tell since when it counts"
        report.add(Level.NOTE, "load-unknown", text)
        return
    rate = sum(look.count / (now - start) for look, start in zip(looks, starts, strict=True))
    target = report.facts["target"]
    largest = max((each["ttl"] for each in report.facts["above"]), default=0)
    rows = [(f"on average since {moment(max(starts))}", f"{rate:.3g}")]
    if largest:
        rows.append((f"with every TTL at {target} s, at most", f"{rate * _times(largest, target):.3g}"))
    elif baseline is not None and baseline.largest_ttl > target:
        rows.append(("at the TTLs of the snapshot, at least", f"{rate / _times(baseline.largest_ttl, target):.3g}"))
    report.tables.append(Table("Queries a second", ("WHEN", "QUERIES"), tuple(rows)))
    report.measured["queries_per_second"] = rate
    report.measured["queries_per_second_at_most"] = rate * _times(max(largest, target), target)


def _load(old: int, new: int) -> str:
    return f"up to x {_times(old, new)}"


def _times(old: int, new: int) -> int:
    """How many times as many queries are to be expected: caches ask again that much more often, at most."""
    return max(min(old // max(new, 1), 9999), 1)
