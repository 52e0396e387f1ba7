"""`nameserver migrate rollback ZONE`: exactly what to restore, in the phase that the move is in."""

import argparse
import time
from dataclasses import replace

from nameserver.cli.migrate import common, moving
from nameserver.migrate.asking.walk import NotFound
from nameserver.migrate.checks import serials
from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.move import way_back
from nameserver.migrate.move.phases import PHASES, State
from nameserver.migrate.report import Level, Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    moving.add_arguments(parser)
    parser.add_argument("--all", action="store_true", help="for every phase, to be read before the move")
    parser.add_argument("--done", metavar="REASON", help="it was restored: take the move back, and record why")


def main(args: argparse.Namespace) -> int:
    """0 with what to restore; 2 without a state file."""
    return common.run(args, lambda: _rollback(args))


async def _rollback(args: argparse.Namespace) -> Report:
    state = moving.load(args)
    if args.done is not None and not args.done.strip():
        raise common.UsageError("--done needs a reason: it is what somebody will read afterwards")
    found, problem = moving.baseline(args, state)
    baseline = state.remember(found)
    report = Report("rollback", state.zone)
    report.lines = _of_all_phases(state, baseline) if args.all else way_back.lines(state, baseline)
    ds, unknown = way_back.signers(state, baseline)
    report.facts = {"phase": state.phase, "ns": way_back.names(state, baseline), "ds": ds}
    if problem:
        report.add(Level.WARNING, "no-snapshot", problem)
    if PHASES.index(state.phase) >= PHASES.index("cutover"):
        if ds is None:
            step = "Find out what the parent had before you restore the nameservers."
            report.add(Level.WARNING, "ds-unknown", f"the DS records of before are not known: {unknown}", step)
        await _look(args, state, report)
    if args.done is not None:
        state.go_back(time.time(), args.done)
        moving.save(args, state)
        report.verdict = f"Back in {state.phase}."
    else:
        report.verdict = (
            f"In phase {state.phase}. When it is restored: nameserver migrate rollback {state.zone} --done REASON."
        )
    return report


def _of_all_phases(state: State, baseline: Snapshot | None) -> list[str]:
    found: list[str] = []
    for phase in PHASES:
        found += [f"In {phase}:", *(f"  {line}" for line in way_back.lines(replace(state, phase=phase), baseline)), ""]
    return found[:-1]


async def _look(args: argparse.Namespace, state: State, report: Report) -> None:
    """Whether the old side is fit to be gone back to. That nobody can tell does not keep back what to restore."""
    try:
        survey = await moving.survey(args, state)
    except (NotFound, common.UsageError) as error:
        report.add(Level.WARNING, "old-unknown", f"whether the old side still answers is not known: {error}")
        return
    old, new = (survey.targets(side) for side in ("old", "new"))
    sights = await serials.measure(survey.asker, survey.zone, [*old, *new])
    way_back.judge_old_side(report, sights[: 2 * len(old)], sights[2 * len(old) :])
