"""Parity at every address of both sides: one of the old side is the measure, and every other is held against it.

    old ── first address that may be transferred ──┐ the measure, kept
    old ── each further address ─ one at a time ───┤
    new ── each address ────────── one at a time ──┴─▶ a report each ─▶ one report

So no more than two versions are in memory at once, however many addresses there are. A side whose addresses hold
different zones is no side that could be moved from or to.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nameserver.migrate.checks.compare import COLUMNS, MADE_UP, MATCH, NOT_PROVEN, VARY, judge
from nameserver.migrate.checks.sides import Had, Source, Taker, Unavailable
from nameserver.migrate.checks.unavailable import unavailable
from nameserver.migrate.report import Json, Level, Report, Table
from nameserver.wire import names

_OF_ANSWERS = frozenset({"varies", "answers-differ"})
_COUNTS = ("only_old", "only_new", "ttl_only", "soa_differs")


@dataclass(frozen=True, slots=True)
class _Seen:
    """One address, and what holding it against the measure showed."""

    source: Source
    report: Report

    @property
    def differences(self) -> int:
        return sum(self.report.facts.get(name, 0) for name in _COUNTS)

    @property
    def state(self) -> str:
        if self.report.unreachable:
            return "not compared"
        if self.differences:
            return f"{self.differences} differences" if self.differences > 1 else "1 difference"
        return "the same" if "incomplete" not in self._codes else "no difference in what was asked"

    @property
    def _codes(self) -> set[str]:
        return {finding.code for finding in self.report.findings}


async def measure(
    taker: Taker, old: Sequence[Source], new: Sequence[Source], *, accept_partial: bool = False
) -> Report:
    """Whether all addresses hold the same zone. `old`, `new`: every address of each side, at least one of each.

    The report is that of `compare.judge` where each side has one address, and one of all pairs where not. Exit code 3
    where no two could be compared.
    """
    if taker.size is None:
        (standard, failed), first = await asyncio.gather(taker.first(old), taker.transfer(new[0]))
    else:
        standard, failed = await taker.first(old)
        first = await taker.transfer(new[0], standard)
    waiting = {had.source.endpoint: had for had in (*failed, first)}
    seen: list[_Seen] = []
    for source in {source.endpoint: source for source in (*old, *new)}.values():
        if source.endpoint == standard.source.endpoint:
            continue
        had = waiting.pop(source.endpoint, None) or await taker.transfer(source, standard)
        seen.append(_Seen(source, await _held(taker, standard, had, accept_partial=accept_partial)))
        standard = replace(standard, varying=(), made_up=())  # told once
    report = seen[0].report if len(seen) == 1 else _together(names.to_text(taker.zone), standard.source, seen)
    if taker.sample is not None and not report.unreachable:
        report.add(Level.NOTE, "sample", taker.sample.text, "--seed chooses others; with this one, the same again.")
        report.facts["sample"] = taker.sample.facts()
    return report


async def _held(taker: Taker, standard: Had, had: Had, *, accept_partial: bool) -> Report:
    source = had.source
    try:
        one, two = await taker.pair(standard, had)
    except Unavailable as error:
        key = names.to_text(error.source.key.name) if error.source.key else None
        text = names.to_text(taker.zone)
        report = unavailable("compare", text, str(error.source.endpoint), error, NOT_PROVEN, key)
        report.facts = {"silent": error.source.shown}
        if ":" in error.source.endpoint.host:
            report.add(Level.NOTE, "family", "where this machine has no way to IPv6, -4 leaves such addresses out")
        return report
    if source.name == standard.source.name:
        who = (standard.source.shown, source.shown)
        # What the new side holds has to be proven; an old server beside the measure that shows no difference is enough.
        lenient = accept_partial or source.name == "old"
        return judge(one, two, ignore_dnssec=taker.ignore_dnssec, accept_partial=lenient, who=who)
    return judge(one, two, ignore_dnssec=taker.ignore_dnssec, accept_partial=accept_partial)


def _together(zone: str, standard: Source, seen: Sequence[_Seen]) -> Report:
    """One report of all addresses; what is found at one of them is told with its address."""
    report = Report("compare", zone)
    rows: list[tuple[str, ...]] = [(standard.name, standard.shown, "", "", "", "the measure")]
    tones: dict[int, Level] = {}
    for each in seen:
        where = each.source.shown
        for finding in each.report.findings:
            at = each.report.facts.get("silent", where)
            text = finding.text if finding.code in _OF_ANSWERS else f"{at}: {finding.text}"  # which names its server
            report.add(finding.level, finding.code, text, finding.next_step)
        if each.report.lines:
            report.lines += [f"; {where} beside {standard.shown}", *each.report.lines]
        if each.report.exit_code:
            tones[len(rows)] = Level.FAULT
        cells = ("", "", "")
        if each.report.tables:  # the measure's row, then this one's
            [(_, _, *first), (_, _, *second)] = each.report.tables[0].rows
            cells = (second[0], second[1], second[2])
            if each.report.facts["old"]["seen_by"] == "axfr" or not rows[0][2]:
                rows[0] = (standard.name, standard.shown, *first, "the measure")
        rows.append((each.source.name, where, *cells, each.state))
    report.tables.append(Table("", (*COLUMNS, "HELD AGAINST IT"), tuple(rows), tones))
    report.facts = _facts(seen)
    report.unreachable = all(each.report.unreachable for each in seen)
    report.verdict = _verdict(standard, seen, report)
    return report


def _facts(seen: Sequence[_Seen]) -> Json:
    """Those of the address that differs most, and a line on each."""
    most = max(seen, key=lambda each: (not each.report.unreachable, each.differences))
    return most.report.facts | {
        "addresses": [
            {
                "side": each.source.name,
                "server": each.source.text,
                "address": str(each.source.endpoint),
                "differences": each.differences,
                "verdict": each.report.verdict,
                "exit_code": each.report.exit_code,
            }
            for each in seen
        ]
    }


def _verdict(standard: Source, seen: Sequence[_Seen], report: Report) -> str:
    differing = [each for each in seen if each.differences and each.report.exit_code]
    if differing:
        where = ", ".join(each.source.shown for each in differing)
        return f"ZONES DIFFER at {where} from {standard.shown}: do not proceed"
    if of_answers := report.faults & _OF_ANSWERS:
        return f"{VARY if 'varies' in of_answers else MADE_UP}: do not proceed"
    if report.exit_code:
        closed = next(each for each in seen if each.report.exit_code)
        return f"{NOT_PROVEN} ({closed.source.shown})" if not closed.report.unreachable else NOT_PROVEN
    crossing = [each.report.verdict for each in seen if each.source.name != standard.name]
    return next((verdict for verdict in crossing if verdict != MATCH), MATCH)
