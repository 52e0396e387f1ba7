"""`migrate gate`: all checks that apply, one table, one verdict."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nameserver.migrate.report import Json, Level, Report, Table

RESOLVERS_IN_STATE = "Write some into resolvers in the state file, as 1.1.1.1, 8.8.8.8 and 9.9.9.9."
GO, NO_GO = "GO: every gate is open.", "NO GO"


def tell_no_resolvers(report: Report, how: str) -> None:
    """Add that caches were not looked at. `how`: to name resolvers, as a sentence."""
    report.add(Level.NOTE, "no-resolvers", "no resolver was asked: what caches hold was not looked at", how)


def opening(reports: Iterable[Report]) -> float | None:
    """When all will be open, were nothing but time to pass: seconds since 1970. None where time is not enough."""
    times: list[float] = []
    for report in reports:
        if report.exit_code == 0:
            continue
        if "safe_from" not in report.facts or not report.faults <= {"too-early", "plan-step", "key-needed"}:
            return None
        times.append(float(report.facts["safe_from"]))
    return max(times, default=None)


def combine(zone: str, reports: Mapping[str, Report], command: str = "gate") -> Report:
    """One report of many. What is a fault in one of them is one here, under its name."""
    combined = Report(command, zone)
    rows: list[tuple[str, ...]] = []
    verdicts: Json = {}
    tones: dict[int, Level] = {}
    for name, report in reports.items():
        faults = sum(finding.level is Level.FAULT for finding in report.findings)
        warnings = sum(finding.level is Level.WARNING for finding in report.findings)
        state = "open" if report.exit_code == 0 else "unreachable" if report.unreachable else "closed"
        if state != "open":
            tones[len(rows)] = Level.FAULT
        numbers = ((faults, "fault"), (warnings, "warning"))
        counts = ", ".join(f"{number} {what}{'s' if number > 1 else ''}" for number, what in numbers if number)
        rows.append((name, state, report.verdict, counts))
        for finding in report.findings:
            if finding.level in (Level.FAULT, Level.WARNING):
                combined.findings.append(replace(finding, code=f"{name}/{finding.code}"))
        if report.unreachable and not faults:  # nobody answered, and nobody was blamed for it
            combined.add(Level.FAULT, f"{name}/unreachable", report.verdict or "nothing there could be asked")
        combined.lines += [f"; {name}", *report.lines] if report.lines else []
        combined.facts[name] = {"exit_code": report.exit_code, "digest": report.digest()}
        verdicts[name] = report.verdict  # a sentence that may tell how long something lasts
    combined.tables.append(Table("", ("GATE", "STATE", "VERDICT", ""), tuple(rows), tones))
    combined.measured["verdicts"] = verdicts
    closed = [name for name, report in reports.items() if report.exit_code != 0]
    combined.unreachable = bool(reports) and all(report.unreachable for report in reports.values())
    combined.verdict = f"{NO_GO}: closed: {', '.join(closed)}." if closed else GO
    return combined
