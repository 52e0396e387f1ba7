"""A report as text for a terminal and as Markdown. What servers wrote is escaped here."""

import re

from nameserver.cli.present import Cell, Palette, safe, table
from nameserver.migrate.report import Finding, Level, Report, Table
from nameserver.telemetry.log import escape

_TONES = {Level.GOOD: "good", Level.NOTE: "", Level.WARNING: "warn", Level.FAULT: "bad"}
MOST_OF_A_LINE = 2**19
_ORDER = (Level.FAULT, Level.WARNING, Level.NOTE, Level.GOOD)


def text(report: Report, palette: Palette) -> list[str]:
    """Lines for a terminal: tables, differences, findings with what to do, the digest, and the verdict last."""
    lines: list[str] = []
    for part in report.tables:
        lines += [*_titled(part, palette), ""]
    if report.lines:
        lines += [*(_difference(line, palette) for line in report.lines), ""]
    for finding in _sorted(report.findings):
        head = palette.paint(f"{finding.level} ({finding.code}):", _TONES[finding.level])
        lines.append(f"{head} {safe(finding.sentence)}")
        if finding.next_step:
            lines.append(f"  {palette.paint('→', 'dim')} {safe(finding.next_step)}")
    if report.findings and report.verdict:
        lines.append("")
    if report.asked_from:
        lines.append(palette.paint(safe(report.asked_from), "dim"))
    lines.append(palette.paint(f"Digest: {report.digest()}", "dim"))
    if report.verdict:
        lines.append(palette.paint(safe(report.verdict), "bold"))
    return lines


def markdown(report: Report) -> list[str]:
    """The same as Markdown, with the digest."""
    lines = [f"# {report.command} {_cell(report.zone)}", ""]
    for part in report.tables:
        lines += [f"## {_cell(part.title)}", ""] if part.title else []
        lines.append(f"| {' | '.join(map(_cell, part.columns))} |")
        lines.append("|---" * len(part.columns) + "|")
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in part.rows]
        lines.append("")
    if report.lines:
        lines += ["```diff", *map(_line, report.lines), "```", ""]
    for finding in _sorted(report.findings):
        step = f" {_cell(finding.next_step)}" if finding.next_step else ""
        lines.append(f"- **{finding.level}** `{finding.code}` {_cell(finding.sentence)}{step}")
    if report.findings:
        lines.append("")
    if report.verdict:
        lines += [f"**{_cell(report.verdict)}**", ""]
    lines += [_cell(report.asked_from), ""] if report.asked_from else []
    return [*lines, f"Digest: `{report.digest()}`"]


def _titled(part: Table, palette: Palette) -> list[str]:
    tones = {row: _TONES[level] for row, level in part.tones.items()}
    rows = [[Cell(cell, tones.get(index, "")) for cell in row] for index, row in enumerate(part.rows)]
    title = [palette.paint(safe(part.title), "bold")] if part.title else []
    return [*title, *table(part.columns, rows, palette)]


def _difference(line: str, palette: Palette) -> str:
    return palette.paint(_line(line), {"+": "good", "-": "bad"}.get(line[:1], ""))


def _line(line: str) -> str:
    """A record whole, however long: what differs may stand at its end. None is beyond 64 KiB, four signs an octet."""
    return escape(line, MOST_OF_A_LINE)


def _sorted(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: _ORDER.index(finding.level))


_MARKS = re.compile(r"[\\`*_\[\]<>|~#&]")


def _cell(value: str) -> str:
    """Text that Markdown shows as it is: what a server wrote makes no link, no tag and no column."""
    return _MARKS.sub(r"\\\g<0>", safe(value))
