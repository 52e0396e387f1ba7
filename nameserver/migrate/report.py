"""What a command found: the one form that all of them are told in, for people, scripts and commits alike.

A report holds no more than was measured and what follows from it. Its digest covers everything but the times at which
things were measured, so that two runs that found the same have the same digest.
"""

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Json = dict[str, Any]

GOOD, FINDING, USAGE, UNREACHABLE = 0, 1, 2, 3


class Level(StrEnum):
    """How much a finding weighs. `FAULT` alone makes the exit code 1."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. `code` is stable for scripts; `text` a sentence; `next_step` what to do about it.

    `passing`: the end of the sentence that is another a moment later (", in 2d"): shown, and left out of the digest.
    """

    level: Level
    code: str
    text: str
    next_step: str = ""
    passing: str = ""

    @property
    def sentence(self) -> str:
        """All of it, as it is shown."""
        return self.text + self.passing

    def as_json(self) -> Json:
        """Plain values."""
        found = {"level": str(self.level), "code": self.code, "text": self.sentence}
        return found | {"next_step": self.next_step} if self.next_step else found


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under titles; `tones` may name a level for a row, by its index."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tones: dict[int, Level] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """What one command found about one zone.

    `facts` are the measured values for `--json`; `verdict` the last line, a sentence. `measured` holds what differs
    from run to run although nothing changed (times, durations): shown, and left out of the digest. `unreachable`:
    what was asked could not be answered at all, which is exit code 3.
    """

    command: str
    zone: str
    facts: Json = field(default_factory=dict)
    measured: Json = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # fit for a commit: stable and sorted
    findings: list[Finding] = field(default_factory=list)
    verdict: str = ""
    unreachable: bool = False
    asked_from: str = ""  # a sentence

    def add(self, level: Level, code: str, text: str, next_step: str = "", *, passing: str = "") -> None:
        """Note a finding."""
        self.findings.append(Finding(level, code, text, next_step, passing))

    @property
    def faults(self) -> set[str]:
        """The codes of all faults."""
        return {finding.code for finding in self.findings if finding.level is Level.FAULT}

    def has(self, level: Level) -> bool:
        """Whether something of that weight was found."""
        return any(finding.level is level for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 good, 1 a finding, 3 what was to be asked could not be reached."""
        if self.unreachable:
            return UNREACHABLE
        return FINDING if self.has(Level.FAULT) else GOOD

    def as_json(self) -> Json:
        """Everything, as plain values."""
        return {
            "command": self.command,
            "zone": self.zone,
            "ok": self.exit_code == GOOD,
            "exit_code": self.exit_code,
            "verdict": self.verdict,
            "digest": self.digest(),
            "facts": self.facts,
            "measured": self.measured | ({"asked_from": self.asked_from} if self.asked_from else {}),
            "lines": self.lines,
            "findings": [finding.as_json() for finding in self.findings],
        }

    def digest(self) -> str:
        """SHA-256 over what was found, as 64 hexadecimal digits."""
        what = {
            "command": self.command,
            "zone": self.zone,
            "facts": self.facts,
            "lines": self.lines,
            "findings": sorted((str(f.level), f.code, f.text) for f in self.findings),
        }
        text = json.dumps(what, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
