"""What a run of a target has to report, how long an input may take, and where inputs are kept.

Every target is a class with

    name            how it is called on the command line and in file names
    __init__(seed)  prepares everything; two with the same seed draw the same inputs
    step()          draws one input, passes it through the code under test, and returns `Tried`; raises `Failed`
    replay(case)    the same for an input that was kept

Time is CPU time of this process, so other work on the machine does not count; and since even that is blurred by caches
and interrupts, an input over the limit is tried again before it is called slow: the median of those tries counts.
"""

import hashlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
REGRESSIONS = HERE / "regressions"
RETRIES = 5
WATCH_THE_TIME = "FUZZ_WATCH_THE_TIME"  # set by `make fuzz` alone: a test that times things fails on a busy machine
SLOWEST_KEPT = 5


class Failed(Exception):
    """An input did what no input may do. `case` is the input, as `replay` takes it."""

    def __init__(self, what: str, label: str, case: bytes) -> None:
        super().__init__(what, label, case)  # all three, for the way from one process to another
        self.what = what
        self.label = label  # which kind of input: the first part of its file's name
        self.case = case

    @property
    def file_name(self) -> str:
        return case_name(self.label, self.case)


@dataclass(slots=True)
class Tried:
    """One input that went well: what it came to, and what its most expensive part took."""

    verdict: str
    seconds: float
    label: str
    case: bytes


@dataclass(slots=True)
class Report:
    """Any number of inputs: counts by verdict, the slowest, the failures."""

    tried: int = 0
    cpu_seconds: float = 0.0
    verdicts: dict[str, int] = field(default_factory=dict)
    slowest: list[Tried] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)

    def add(self, tried: Tried) -> None:
        self.tried += 1
        self.verdicts[tried.verdict] = self.verdicts.get(tried.verdict, 0) + 1
        if len(self.slowest) < SLOWEST_KEPT or tried.seconds > self.slowest[-1].seconds:
            self._keep(tried)

    def _keep(self, *more: Tried) -> None:
        self.slowest = sorted([*self.slowest, *more], key=lambda each: -each.seconds)[:SLOWEST_KEPT]

    def merge(self, other: "Report") -> None:
        self.tried += other.tried
        self.cpu_seconds += other.cpu_seconds
        for verdict, count in other.verdicts.items():
            self.verdicts[verdict] = self.verdicts.get(verdict, 0) + count
        self._keep(*other.slowest)
        self.failures += other.failures


def case_name(label: str, case: bytes) -> str:
    return f"{label}-{hashlib.sha256(case).hexdigest()[:12]}.bin"


def run(target, count: int) -> Report:
    """`count` steps of a target. A tracer (coverage) is set aside meanwhile: it costs more than what it watches."""
    report = Report()
    tracer = sys.gettrace()
    began = time.process_time()
    try:
        sys.settrace(None)
        for _ in range(count):
            try:
                report.add(target.step())
            except Failed as failure:
                report.tried += 1
                report.failures.append(failure)
    finally:
        sys.settrace(tracer)
    report.cpu_seconds = time.process_time() - began
    return report


def timed(call: Callable[[], object], limit: float) -> tuple:
    """The call's result, and its CPU seconds: the median of some more calls where the first took over `limit`."""
    if not os.environ.get(WATCH_THE_TIME):
        return call(), 0.0
    began = time.process_time()
    result = call()
    seconds = time.process_time() - began
    if seconds > limit:
        seconds = statistics.median(_once(call) for _ in range(RETRIES))
    return result, seconds


def _once(call: Callable[[], object]) -> float:
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        began = time.process_time()
        call()
        return time.process_time() - began
    finally:
        sys.settrace(tracer)
