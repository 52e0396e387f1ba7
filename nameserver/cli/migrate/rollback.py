"""`nameserver migrate rollback ZONE`: exactly what to restore, in the phase that the move is in."""

import argparse
import time

from nameserver.cli.migrate import common, moving
from nameserver.migrate import phases
from nameserver.migrate.report import Level, Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    moving.add_arguments(parser)
    parser.add_argument("--done", metavar="REASON", help="it was restored: take the move back, and record why")


def main(args: argparse.Namespace) -> int:
    """0 with what to restore; 2 without a state file."""
    return common.run(args, lambda: _rollback(args))


async def _rollback(args: argparse.Namespace) -> Report:
    state = moving.load(args)
    baseline, problem = moving.baseline(args, state)
    report = Report("rollback", state.zone)
    report.lines = phases.rollback_lines(state, baseline)
    report.facts = {"phase": state.phase, "ns": baseline.parent_ns if baseline else state.old_ns}
    report.facts["ds"] = baseline.ds if baseline else []
    if problem:
        report.add(Level.WARNING, "no-snapshot", problem)
    if args.done is not None:
        state.go_back(time.time(), args.done)
        moving.save(args, state)
        report.verdict = f"Back in {state.phase}."
    else:
        report.verdict = (
            f"In phase {state.phase}. When it is restored: nameserver migrate rollback {state.zone} --done REASON."
        )
    return report
