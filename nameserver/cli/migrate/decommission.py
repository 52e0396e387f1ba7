"""`nameserver migrate decommission ZONE`: may the old side be switched off?"""

import argparse
import time
from pathlib import Path

from nameserver.cli.migrate import common, moving
from nameserver.cli.migrate.progress import Progress
from nameserver.migrate.checks import clients, keep_secondary, key_clauses, primary_snippet
from nameserver.migrate.move import gates, phases
from nameserver.migrate.move.gate import combine
from nameserver.migrate.move.phases import State
from nameserver.migrate.report import Level, Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    moving.add_arguments(parser)
    moving.add_metrics_argument(parser)
    parser.add_argument(
        "--query-log", type=Path, metavar="FILE", help="who still asks: BIND's query log, PowerDNS's, or tcpdump -n"
    )
    parser.add_argument(
        "--keep-as-secondary",
        choices=list(keep_secondary.VENDORS),
        help="do not switch it off: what to paste there, to keep it as a secondary of the new side",
    )
    parser.add_argument(
        "--new-software", choices=list(primary_snippet.VENDORS), help="with that: what to paste at the new side too"
    )


def main(args: argparse.Namespace) -> int:
    """0 when it may, 1 when not, 2 without a state file, 3 when nothing can be reached."""
    return common.run(args, lambda: _decommission(args))


async def _decommission(args: argparse.Namespace) -> Report:
    state = moving.load(args)
    if args.keep_as_secondary is not None:
        return await _keep(args, state)
    survey = await moving.survey(args, state)
    if args.new_software is not None:
        raise common.UsageError("--new-software goes with --keep-as-secondary")
    asked_by = _clients(args, state)
    if args.metrics and args.metrics != state.metrics.split():
        state.metrics = " ".join(args.metrics)
        state.forget_counts()  # another page counts something else
    baseline, problem = moving.baseline(args, state)
    wanted = phases.gates_before("done", state)
    with Progress("decommission") as survey.watcher:
        reports = await gates.measure(survey, state, wanted, time.time(), baseline, problem, moving.metrics_of(state))
    report = combine(state.zone, reports, "decommission")
    moving.keep(args, state, report)
    moving.tell_old_keys(report, reports)
    if asked_by is not None:
        clients.tell(report, asked_by, str(args.query_log))
    elif "still-asked" in reports["quiet"].faults:
        text = "who still asks is not known: what is counted names no clients"
        step = "Give --query-log FILE: BIND's query log, PowerDNS's, or what tcpdump -n port 53 prints at the old side."
        report.add(Level.NOTE, "clients-unknown", text, step)
    if state.phase not in ("decommission", "done"):
        text = f"the move is in phase {state.phase}: the old side is what resolvers are sent to, or the way back"
        report.add(Level.FAULT, "wrong-phase", text, "Go on step by step: nameserver migrate advance.")
    if report.exit_code == 0:
        report.verdict = "SAFE: nobody asks the old side any more, and nobody is sent there."
        step = "Leave the new servers in its NS set until it is off: resolvers that still ask it are sent on by them."
        report.add(Level.NOTE, "how", "Switch the zone off there, do not empty it first.", step)
        if reports["quiet"].facts.get("can_be_paused"):
            text = "before that it can be tried for an hour what becomes of it"
            step = f"There: nameserver pause {state.zone}; if anybody complains: nameserver resume {state.zone}."
            report.add(Level.NOTE, "trial", text, step)
    else:
        report.verdict = "NOT YET: keep the old side."
    return report


def _clients(args: argparse.Namespace, state: State) -> clients.Clients | None:
    if args.query_log is None:
        return None
    try:
        with args.query_log.open(encoding="utf-8", errors="replace") as lines:
            return clients.read_log(lines, state.zone)
    except (OSError, ValueError) as error:
        raise common.UsageError(f"{args.query_log}: {getattr(error, 'strerror', None) or error}") from error


async def _keep(args: argparse.Namespace, state: State) -> Report:
    name = args.new_key or state.new_key
    if args.config is None and args.new_key_file is None:
        args.new_key = None  # its name is all that is written; where the key itself is given, its algorithm too
    survey = await moving.survey(args, state)
    report = Report("decommission", state.zone)
    key = survey.new[0].key
    algorithm = key.algorithm if key is not None else "hmac-sha256" if name else ""
    new, old = ([source.endpoint for source in side] for side in (survey.new, survey.old))
    kept = keep_secondary.Kept(state.zone, new, name, algorithm)
    report.lines = keep_secondary.snippet(kept, args.keep_as_secondary)
    if args.new_software is not None:
        wanted = primary_snippet.Wanted(state.zone, old, name, algorithm)
        there = primary_snippet.snippet(wanted, args.new_software).splitlines()
        report.lines = ["At the old side:", "", *report.lines, "", "At the new side:", "", *there]
    if name:
        secret = key_clauses.SECRET
        report.add(Level.NOTE, "secret", f"the secret of {name} is not shown: fill it in where it says {secret}")
    else:
        text = "no key: whoever can send from the old side's addresses can have the zone"
        report.add(Level.WARNING, "no-key", text, "Plan with --new-key NAME, or give it here.")
    step = "Put them back into the zone's NS set and the delegation; then this side is not silent, and need not be."
    report.add(Level.NOTE, "names", f"as a secondary it is asked only by its names: {', '.join(state.old_ns)}", step)
    report.verdict = "Paste it at the old side, in place of the zone; then: nameserver migrate serials."
    return report
