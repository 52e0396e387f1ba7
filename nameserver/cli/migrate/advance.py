"""`nameserver migrate advance ZONE`: go on to the next phase, where its gate is open."""

import argparse
import time

from nameserver.cli.migrate import common, moving
from nameserver.migrate.move.phases import PHASES, StateError
from nameserver.migrate.report import Level, Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    moving.add_arguments(parser)
    parser.add_argument("--final", action="store_true", help="into the last phase: the old side may go after it")
    parser.add_argument("--override", metavar="REASON", help="go on although a gate is closed; the reason is recorded")


def main(args: argparse.Namespace) -> int:
    """0 in the next phase, 1 where a gate is closed, 2 usage, 3 when nothing can be reached."""
    return common.run(args, lambda: _advance(args))


async def _advance(args: argparse.Namespace) -> Report:
    state = moving.load(args)
    if args.override is not None and not args.override.strip():
        raise common.UsageError("--override needs a reason: it is what somebody will read afterwards")
    if state.following == PHASES[-1] and not args.final:
        raise common.UsageError(
            f"after this step the old side of {state.zone} may be switched off, and with it the way back: "
            "see nameserver migrate decommission, and advance with --final"
        )
    report = await moving.measure(args, state, "advance")
    closed = report.exit_code != 0
    if closed and args.override is None:
        report.verdict += " Not entered."
        return report
    try:
        state.enter(time.time(), report.digest(), args.override if closed else "")
    except StateError as error:
        raise common.UsageError(str(error)) from error
    moving.save(args, state)
    if closed:
        faults = [finding.code for finding in report.findings if finding.level is Level.FAULT]
        kept = [finding for finding in report.findings if finding.level is not Level.FAULT]
        report.findings = kept
        report.unreachable = False
        text = f"entered over closed gates ({', '.join(sorted(set(faults)))}): {args.override}"
        report.add(Level.WARNING, "override", text)
    report.facts["phase"] = state.phase
    if state.phase == "decommission":
        text = "the old side is still the way back, for as long as it is kept in step with the new one"
        report.add(Level.NOTE, "way-back", text, "Keep it until nameserver migrate decommission says SAFE.")
    report.verdict = f"Entered {state.phase}."
    return report
