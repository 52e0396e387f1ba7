"""The long run: `make fuzz`, or `PYTHONPATH=tests python -m fuzz.run` with the same variables.

    COUNT_REQUESTS, COUNT_TRANSFERS, COUNT_STATES   how many mutations of each (1,000,000, 100,000 and 10,000)
    SEED                                            draws the same mutations again; a new one each time where not given
    JOBS                                            processes; as many as there are processors where not given

Prints counts, rates, what the inputs came to and the most expensive of them. Inputs that broke something, and the most
expensive, are written to build/fuzz; of a failure that was mended, the file goes to tests/fuzz/regressions, which makes
it a test. Ends with 1 where anything failed.
"""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from fuzz import costly
from fuzz.outcome import WATCH_THE_TIME, Failed, Report, case_name, run
from fuzz.requests import Target as Requests
from fuzz.state import Target as States
from fuzz.transfers import IXFR, frame
from fuzz.transfers import Target as Transfers

OUT = Path("build/fuzz")
# target, what it draws for a piece of work, and how many inputs there are by default
PLANS = {
    "requests": (Requests, 20_000, 1_000_000),
    "transfers": (Transfers, 2_000, 100_000),
    "states": (States, 250, 10_000),
}
FAILURES_SHOWN = 20


def piece(name: str, seed: str, count: int) -> Report:
    """One piece of work, in a process of the pool. Pieces have seeds of their own, so order and processes do not
    matter."""
    return run(PLANS[name][0](seed), count)


def pieces(name: str, seed: str, total: int) -> Iterator[tuple[str, str, int]]:
    size = PLANS[name][1]
    for number, start in enumerate(range(0, total, size)):
        yield name, f"{seed}/{name}/{number}", min(size, total - start)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def fuzz(name: str, seed: str, total: int, pool: ProcessPoolExecutor) -> Report:
    """All of a target's pieces, reported."""
    report, began = Report(), time.monotonic()
    for done in as_completed([pool.submit(piece, *work) for work in pieces(name, seed, total)]):
        report.merge(done.result())
    seconds = time.monotonic() - began
    rate = report.tried / seconds if seconds else 0.0
    say(
        f"{name}: {report.tried:,} mutated in {seconds:.0f} s ({rate:,.0f}/s; "
        f"{report.cpu_seconds / max(1, report.tried) * 1e6:,.0f} us CPU each, judging included): "
        f"{len(report.failures)} failures"
    )
    for verdict, count in sorted(report.verdicts.items(), key=lambda each: -each[1]):
        say(f"  {count:9,}  {verdict}")
    for tried in report.slowest:
        path = OUT / f"slow-{case_name(tried.label, tried.case)}"
        path.write_bytes(tried.case)
        say(f"  {tried.seconds * 1000:7.3f} ms CPU: {len(tried.case)} octets, {tried.verdict}: {path}")
    for number, failure in enumerate(report.failures):
        path = OUT / failure.file_name
        path.write_bytes(failure.case)
        if number < FAILURES_SHOWN:
            say(f"  FAILED: {failure.what:.300}: {path}")
    return report


def costly_streams(seed: str) -> int:
    """Messages that are as expensive as we know how to make them, each once; how many took too long."""
    target, failures = Transfers(seed), 0
    for name, stream in costly.streams().items():
        try:
            tried = target.replay(frame(IXFR if name == "types added and deleted" else 0, stream))
            say(f"  costly: {name}: {tried.seconds * 1000:.1f} ms, {tried.verdict}")
        except Failed as failure:
            failures += 1
            say(f"  FAILED: {name}: {failure.what:.300}")
    return failures


def main() -> int:
    """1 where an input did what no input may do."""
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    jobs = int(os.environ.get("JOBS") or os.cpu_count() or 1)
    os.environ[WATCH_THE_TIME] = "1"  # for the processes to come
    OUT.mkdir(parents=True, exist_ok=True)
    say(f"seed {seed}, {jobs} processes")
    failures = costly_streams(seed)
    with ProcessPoolExecutor(jobs) as pool:
        for name, (_, _, usual) in PLANS.items():
            total = int(os.environ.get(f"COUNT_{name.upper()}") or usual)
            if total:
                failures += len(fuzz(name, seed, total, pool).failures)
    say(f"seed {seed}: {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
