"""`migrate verify`: after the cut-over, is everything as it was, everywhere? And is it, each time that it is asked?

    plan … cutover     the old side has to be there: it is judged with the new one
    decommission       it may be gone once the TTLs that send resolvers there have run out; what is left of it is judged
    done               the new side alone

One answer that fails in any of several rounds is a finding of all of them: nothing is averaged.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from nameserver.migrate.checks import serials
from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.moments import moment
from nameserver.migrate.move import gates
from nameserver.migrate.move.gate import RESOLVERS_IN_STATE, combine, tell_no_resolvers
from nameserver.migrate.move.phases import PHASES, State, parent_wait
from nameserver.migrate.move.survey import Survey
from nameserver.migrate.report import Finding, Level, Report, Table

SHOWN = 50  # rounds in the table: those that failed before those that did not
AT_RESOLVERS = ("A", "AAAA", "MX")  # types that are asked for at the apex


async def verify(
    survey: Survey,
    state: State,
    baseline: Snapshot | None,
    now: float,
    application: Callable[[], Awaitable[Report]] | None = None,
) -> Report:
    """One round. `now`: seconds since 1970. What the parent says is noted in `state`.

    `application`: measures what is behind the names, where that is wanted.
    """
    survey.plan = ""  # what had to hold before the cut-over need not after it
    # A side that signs with keys of its own differs from the other in just these records.
    survey.ignore_dnssec = survey.ignore_dnssec or bool(state.dnssec)
    reports = await _measure(survey, state, baseline, now)
    if application is not None:
        reports["http"] = await application()
    report = combine(state.zone, reports, "verify")
    if "old side" in reports:  # that it is gone is worth saying, though no fault
        notes = (finding for finding in reports["old side"].findings if finding.level is Level.NOTE)
        report.findings += [replace(note, code=f"old side/{note.code}") for note in notes]
    if report.exit_code == 0:
        gone = "old side" in reports and not survey.old
        report.verdict = "Everything is as it was" + (", at the new side alone." if gone else ".")
    if PHASES.index(state.phase) < PHASES.index("cutover"):
        text = f"the move is in phase {state.phase}: what is asked here holds after the cut-over"
        report.add(Level.WARNING, "before-cutover", text, "For what has to hold before it: nameserver migrate status.")
    if not state.resolvers:
        tell_no_resolvers(report, RESOLVERS_IN_STATE)
    return report


async def _measure(survey: Survey, state: State, baseline: Snapshot | None, now: float) -> dict[str, Report]:
    after = PHASES.index(state.phase) >= PHASES.index("decommission")
    stages = ["delegation", *(["old side"] if after else []), "serials", "parity", "dnssec", "old-keys"]
    stages += [f"resolvers: {kind}" for kind in ("NS", *AT_RESOLVERS, "AD")] if state.resolvers else []
    reports: dict[str, Report] = {}
    for number, name in enumerate(stages, 1):
        survey.watcher.stage(name, number, len(stages))
        if name == "delegation":
            reports[name] = await gates.delegation_gate(survey, state, now)
        elif name == "old side":
            until = served_until(state, baseline, reports["delegation"].facts.get("parent_ns_ttl", 0))
            reports[name] = await old_side(survey, state, until, now)
        elif name == "serials":
            reports[name] = await survey.serials()
        elif name == "parity":
            if survey.old or len(survey.new) > 1:  # one server alone is the same as itself
                reports[name] = await survey.parity()
        elif name == "dnssec":
            reports[name] = await survey.dnssec(state.seen.get("ds-gone"), 0, now)
        elif name == "old-keys":
            reports[name] = await gates.old_keys_gate(survey, state, baseline, now, final=False)
        elif name == "resolvers: NS":
            reports[name] = await survey.resolved(state.new_ns)
        elif name == "resolvers: AD":
            if any(view["ds"] for view in reports["delegation"].facts.get("parents", {}).values()):
                reports[name] = await survey.validated()
        else:
            reports[name] = await survey.same_at_resolvers(name.removeprefix("resolvers: "))
    return reports


def served_until(state: State, baseline: Snapshot | None, parent_ns_ttl: int) -> float:
    """Until when resolvers may still be sent to the old side by what they have cached; seconds since 1970."""
    since = state.seen.get("delegated", state.entered.get("decommission", 0.0))
    return since + max(seconds for _, seconds in parent_wait(state, baseline, parent_ns_ttl).ttls)


async def old_side(survey: Survey, state: State, until: float, now: float) -> Report:
    """Which servers of the old side still answer for the zone. Those that do not are taken out of `survey`.

    `until`: when the last resolver that was sent there has forgotten it. In phase `done` all are taken out.
    """
    report = Report("old side", state.zone)
    sights = await serials.measure(survey.asker, survey.zone, survey.targets("old"))
    answering = {sight.target.endpoint: sight.serial for sight in sights if sight.serial is not None}
    gone = [source for source in survey.old if source.endpoint not in answering]
    survey.old = tuple(source for source in survey.old if source.endpoint in answering and state.phase != "done")
    report.facts = {str(endpoint): serial for endpoint, serial in sorted(answering.items())}
    when = moment(until)
    for source in gone:
        text = f"{source.text} ({source.endpoint}) does not answer for the zone any more"
        if state.phase != "done" and now < until:
            step = "Switch it on again until then: who is sent there gets no answer, or a slow one."
            report.add(Level.FAULT, "old-gone-early", f"{text}; resolvers may be sent there until {when}", step)
        else:
            report.add(Level.NOTE, "old-gone", f"{text}: it is judged no more")
    if not answering:
        report.verdict = "Gone." if report.exit_code == 0 else f"Gone too early: it is needed until {when}."
    elif state.phase == "done":
        report.verdict = "It still answers for the zone; it is judged no more."
    else:
        report.verdict = "Some of its servers are gone." if gone else "It still answers for the zone."
    return report


@dataclass(slots=True)
class Rounds:
    """What several rounds found, as one report."""

    zone: str
    taken: list[tuple[float, Report]] = field(default_factory=list)

    def add(self, report: Report, now: float) -> None:
        """A round ended; `now` in seconds since 1970."""
        self.taken.append((now, report))

    def report(self) -> Report:
        """A fault in any round is a fault of all. The gates are those of the last round."""
        last = self.taken[-1][1]
        whole = Report("verify", self.zone, lines=list(last.lines))
        failed = [number for number, (_, report) in enumerate(self.taken, 1) if report.exit_code]
        whole.facts = {"rounds": len(self.taken), "failed": failed}
        whole.measured = {"rounds": [{"at": when, "verdict": report.verdict} for when, report in self.taken]}
        whole.tables = [self._table(failed), *last.tables]
        for finding, times in self._findings():
            often = "" if times == len(self.taken) else f"in {times} of {len(self.taken)} rounds: "
            whole.findings.append(replace(finding, text=often + finding.text))
        whole.unreachable = all(report.unreachable for _, report in self.taken)
        if failed:
            whole.verdict = f"{len(failed)} of {len(self.taken)} rounds failed."
        else:
            whole.verdict = f"{last.verdict.removesuffix('.')}, in each of {len(self.taken)} rounds."
        return whole

    def _findings(self) -> list[tuple[Finding, int]]:
        """Each finding once, with the number of rounds that had it."""
        first: dict[tuple[str, str, str], Finding] = {}
        times: Counter[tuple[str, str, str]] = Counter()
        for _, report in self.taken:
            for key in {(finding.level, finding.code, finding.text): finding for finding in report.findings}:
                times[key] += 1
            for finding in report.findings:
                first.setdefault((finding.level, finding.code, finding.text), finding)
        return [(finding, times[key]) for key, finding in first.items()]

    def _table(self, failed: list[int]) -> Table:
        rest = [number for number in range(len(self.taken), 0, -1) if number not in set(failed)]
        shown = sorted([*failed[-SHOWN:], *rest[: max(SHOWN - len(failed), 1)]])
        rows = []
        for number in shown:
            when, report = self.taken[number - 1]
            rows.append((str(number), moment(when), report.verdict))
        tones = {index: Level.FAULT for index, number in enumerate(shown) if number in failed}
        return Table("Rounds", ("ROUND", "AT", "VERDICT"), tuple(rows), tones)
