"""Fails when the tests leave more than a twentieth of the core's branches untaken. Reads .coverage of the last run."""

# ruff: noqa: T201, S603 - a script of ours, run by hand or by make: it prints, and starts what it names

import json
import subprocess
import sys
import tempfile
from pathlib import Path

LAYERS = ("wire", "zone", "transfer", "refresh", "query")
CORE = ("nameserver/errors.py", *(f"nameserver/{layer}/*" for layer in LAYERS))
NEEDED = 95.0


def measured() -> dict[str, dict[str, int]]:
    """The coverage summaries of the core's files, by path."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "coverage.json"
        command = [sys.executable, "-m", "coverage", "json", "-q", "-o", str(report), f"--include={','.join(CORE)}"]
        subprocess.run(command, check=True)
        files = json.loads(report.read_text())["files"]
    return {path: entry["summary"] for path, entry in files.items()}


def share(summaries: list[dict[str, int]]) -> float:
    """Percentage of branches taken."""
    branches = sum(summary["num_branches"] for summary in summaries)
    return 100.0 * sum(summary["covered_branches"] for summary in summaries) / branches if branches else 100.0


def main() -> int:
    """Prints one line, and the files below the mark when the core as a whole is; 1 when it is."""
    files = measured()
    total = share(list(files.values()))
    print(f"branch coverage of the core: {total:.1f} % (at least {NEEDED:.0f} % needed)")
    if total >= NEEDED:
        return 0
    for path, summary in sorted(files.items(), key=lambda item: share([item[1]])):
        if share([summary]) < NEEDED:
            print(f"  {path}: {share([summary]):.1f} %, {summary['missing_branches']} branches not taken")
    return 1


if __name__ == "__main__":
    sys.exit(main())
