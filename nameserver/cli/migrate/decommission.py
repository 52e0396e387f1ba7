"""`nameserver migrate decommission ZONE`: may the old side be switched off?"""

import argparse
import time

from nameserver.cli.migrate import common, moving
from nameserver.migrate import gates, phases
from nameserver.migrate.gate import combine
from nameserver.migrate.report import Level, Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    moving.add_arguments(parser)
    parser.add_argument("--metrics", metavar="URL", help="where the old side counts the zone's queries")


def main(args: argparse.Namespace) -> int:
    """0 when it may, 1 when not, 2 without a state file, 3 when nothing can be reached."""
    return common.run(args, lambda: _decommission(args))


async def _decommission(args: argparse.Namespace) -> Report:
    state = moving.load(args)
    if args.metrics and args.metrics != state.metrics:
        state.metrics = args.metrics
        state.samples.clear()  # another page counts something else
    baseline, problem = moving.baseline(args, state)
    survey = await moving.survey(args, state)
    reports = await gates.measure(
        survey, state, phases.GATES["done"], time.time(), baseline, problem, moving.metrics_of(state)
    )
    moving.save(args, state)
    report = combine(state.zone, reports, "decommission")
    if state.phase not in ("decommission", "done"):
        text = f"the move is in phase {state.phase}: the old side is what resolvers are sent to, or the way back"
        report.add(Level.FAULT, "wrong-phase", text, "Go on step by step: nameserver migrate advance.")
    if report.exit_code == 0:
        report.verdict = "SAFE: nobody asks the old side any more, and nobody is sent there."
        step = "Leave the new servers in its NS set until it is off: resolvers that still ask it are sent on by them."
        report.add(Level.NOTE, "how", "Switch the zone off there, do not empty it first.", step)
    else:
        report.verdict = "NOT YET: keep the old side."
    return report
