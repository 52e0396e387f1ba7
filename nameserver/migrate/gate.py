"""`migrate gate`: all checks that apply, one table, one verdict."""

from collections.abc import Mapping
from dataclasses import dataclass

from nameserver.migrate.report import Level, Report, Table

GO, NO_GO = "GO: every gate is open.", "NO GO"


@dataclass(frozen=True, slots=True)
class Gate:
    """One check of a gate. `opens`: seconds since 1970 from when on it will be open by itself, where that is known."""

    name: str
    report: Report
    opens: float | None = None

    @property
    def open(self) -> bool:
        """Whether it lets through."""
        return self.report.exit_code == 0


def opening(report: Report) -> float | None:
    """When a gate that only waits for time will be open; None where something else is wrong with it."""
    faults = [finding.code for finding in report.findings if finding.level is Level.FAULT]
    if faults and set(faults) <= {"too-early", "not-yet", "plan-step"}:
        safe = report.facts.get("safe_from")
        return float(safe) if safe is not None else None
    return None


def combine(zone: str, reports: Mapping[str, Report], command: str = "gate") -> Report:
    """One report of many. What is a fault in one of them is one here, under its name."""
    combined = Report(command, zone)
    rows: list[tuple[str, ...]] = []
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
                combined.add(finding.level, f"{name}/{finding.code}", finding.text, finding.next_step)
        combined.lines += [f"; {name}", *report.lines] if report.lines else []
        combined.facts[name] = {"verdict": report.verdict, "exit_code": report.exit_code, "digest": report.digest()}
    combined.tables.append(Table("", ("GATE", "STATE", "VERDICT", ""), tuple(rows), tones))
    closed = [name for name, report in reports.items() if report.exit_code != 0]
    combined.unreachable = bool(reports) and all(report.unreachable for report in reports.values())
    combined.verdict = f"{NO_GO}: closed: {', '.join(closed)}." if closed else GO
    return combined
