"""Ours beside Knot, NSD, BIND and PowerDNS: the same zones and the same load, in one run.

    make bench                                             (an hour; as root, for the peers)
    make bench BENCH_ARGS="--rounds 1 --only udp,nxdomain --servers nameserver,Knot --json FILE"

    core 0: the server, one answering worker          the other cores: the primary and the load

In each round each server is started, taken through the scenario, and ended; then comes the next round. A figure is the
median over the rounds; a ratio is the median of the ratios within each round, which a busy machine hardly changes where
it is of CPU time. CPU per query is the user and system time of all processes of the server over the answers.
"""

# ruff: noqa: T201 - a script: it prints

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import report
from bench.contestants import CONTESTANTS, Contestant, prepare
from bench.failed import Failed
from bench.lab import Lab, Sizes
from bench.scenario import Figures, Rounds, Scenario
from bench.scenarios import SCENARIOS
from support.process import program
from support.tables import finite
from support.usage import favoured, on_cores

NICENESS = -15  # where we may: other work on the machine is not what is measured


def say(text: str) -> None:
    print(text, flush=True)


def measure(lab: Lab, scenario: Scenario, contestants: Sequence[Contestant], rounds: int) -> Rounds:
    """Every contestant once per round."""
    found: dict[str, list[Figures]] = {each.name: [] for each in contestants}
    scenario.prepare(lab)
    for number in range(rounds):
        for each in contestants:
            try:
                figures = scenario.run(lab, each)
            except (Failed, AssertionError, OSError, subprocess.SubprocessError) as failure:
                figures = {"failed": f"{type(failure).__name__}: {failure}"}
                say(f"{scenario.name}, {each.name}: {figures['failed']}")
            found[each.name].append(figures)
            shown = ", ".join(f"{row.figure} {figures[row.figure]:.4g}" for row in _distinct(scenario, figures))
            say(f"{scenario.name}, round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}: {each.name}: {shown}")
    return found


def _distinct(scenario: Scenario, figures: Figures) -> list[Any]:
    rows = {row.figure: row for row in scenario.rows if figures.get(row.figure) is not None}
    return list(rows.values())


def chosen(given: argparse.Namespace) -> tuple[list[Scenario], list[Contestant]]:
    """What is to be run, and with whom."""
    scenarios, servers = words(given.only), words(given.servers)
    for unknown in {*scenarios} - {each.name for each in SCENARIOS}:
        raise SystemExit(f"no scenario {unknown!r}; there are {', '.join(each.name for each in SCENARIOS)}")
    for unknown in {*servers} - {each.name for each in CONTESTANTS}:
        raise SystemExit(f"no server {unknown!r}; there are {', '.join(each.name for each in CONTESTANTS)}")
    found = [each for each in CONTESTANTS if each.name in servers or not servers]
    for each in found:
        if not each.here:
            say(f"{each.name} is not here, so it is left out; `make test` installs it, as root on Debian")
    wanted = [each for each in SCENARIOS if each.name in scenarios or not scenarios]
    return wanted, [each for each in found if each.here]


def words(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def cores() -> tuple[set[int], set[int]]:
    """For the server, for all else."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


def main(arguments: Sequence[str] | None = None) -> int:
    given = parsed(arguments)
    if program("dnsperf") is None:
        raise SystemExit("dnsperf is not here; as root on Debian `make bench` installs it (package dnsperf)")
    scenarios, contestants = chosen(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is ended
    server_cores, load_cores = cores()
    sizes = Sizes(**{each.name: getattr(given, each.name) for each in fields(Sizes)})
    prepare()
    lab = Lab(server_cores, load_cores, sizes)
    found: dict[Scenario, Rounds] = {}
    about: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "versions": {each.name: each.version() for each in contestants},
        "machine": f"{os.cpu_count()} cores, Linux {platform.release()}, CPython {platform.python_version()}",
        "load_average": [round(each, 1) for each in os.getloadavg()],
        "rounds": given.rounds,
        "sizes": asdict(sizes),
    }
    try:
        with favoured(given.niceness) as first, on_cores(load_cores):
            about["niceness"] = given.niceness if first else 0
            for scenario in scenarios:
                taking_part = [each for each in contestants if each.name not in scenario.slow or given.servers]
                found[scenario] = measure(lab, scenario, taking_part, given.rounds)
                finish(about, found, contestants, given)  # what is known is kept, should the rest be cut off
    finally:
        lab.close()
    say(f"\n{table_of(about, found, contestants)}")
    wrong = report.doubts(found)
    for each in wrong:
        say(f"doubtful: {each}")
    return 1 if wrong else 0


def table_of(about: dict[str, Any], found: dict[Scenario, Rounds], contestants: Sequence[Contestant]) -> str:
    """The table under a line that says what it is of."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    loads = "; ".join(f"{load:g}" for load in (*about["load_average"][:1], round(os.getloadavg()[0], 1)))
    head = f"{about['date']}, {versions}; {about['machine']}; load average {loads} at start and end; "
    head += f"median of {about['rounds']} rounds. Ratio: ours over the best of those named, within a round."
    return f"{head}\n\n{report.table(found, [each.name for each in contestants])}\n"


def finish(
    about: dict[str, Any], found: dict[Scenario, Rounds], contestants: Sequence[Contestant], given: argparse.Namespace
) -> None:
    """Writes the files that were asked for."""
    if given.json:
        figures = {
            scenario.name: {
                "title": scenario.title,
                "rounds": rounds,
                "ratios": [{**asdict(row), "ratio": row.ratio(rounds)} for row in scenario.rows],
            }
            for scenario, rounds in found.items()
        }
        Path(given.json).write_text(json.dumps(finite({**about, "scenarios": figures}), indent=1) + "\n")
    if given.markdown:
        Path(given.markdown).write_text(table_of(about, found, contestants))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help=", ".join(each.name for each in SCENARIOS))
    parser.add_argument("--servers", default="", help=", ".join(each.name for each in CONTESTANTS))
    parser.add_argument("--rounds", type=int, default=5)
    for each in fields(Sizes):
        kind = float if isinstance(each.default, float) else int
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=kind, default=each.default, metavar="N")
    parser.add_argument("--niceness", type=int, default=NICENESS, help="of servers and load, against all else here")
    parser.add_argument("--json", help="also write everything to this file")
    parser.add_argument("--markdown", help="also write the table to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
