"""`nameserver migrate gate ZONE --old A --new B`: go, or no go, with reasons."""

import argparse
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from nameserver.cli.migrate import common
from nameserver.cli.migrate.progress import Progress
from nameserver.migrate.checks import snapshot
from nameserver.migrate.move.gate import combine, tell_no_resolvers
from nameserver.migrate.move.gates import longest_lived
from nameserver.migrate.move.survey import Survey
from nameserver.migrate.report import Finding, Level, Report

_OF_A_MOVE = frozenset({"provider-type", "out-of-zone"})  # findings of the inventory …
_OF_OTHERS = frozenset({"child-dead"})  # … and what a move is not to be blamed for


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    common.add_side_arguments(parser)
    common.add_since_arguments(parser)
    parser.add_argument(
        "--target", type=common.ttl, default=300, metavar="SECONDS", help="what every TTL should be (300)"
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="DIRECTORY", help="the snapshot from before the TTLs were lowered"
    )
    parser.add_argument(
        "--lowered-at", type=common.time_of_day, metavar="TIME", help="when the lowered TTLs were first served"
    )
    parser.add_argument("--new-ns", metavar="NAME", type=common.zone_name, nargs="+", help="the names to delegate to")
    parser.add_argument(
        "--resolvers", metavar="SERVER", type=common.server, nargs="+", default=[], help="whom to ask too"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report there as Markdown too")
    common.add_arguments(parser)
    common.add_key_arguments(parser, "old", "new")


def main(args: argparse.Namespace) -> int:
    """0 go, 1 no go, 2 usage, 3 when nothing could be reached."""
    return common.run(args, lambda: _gate(args))


async def _gate(args: argparse.Namespace) -> Report:
    with Progress("gate") as progress:
        return await _measure(args, progress)


async def _measure(args: argparse.Namespace, progress: Progress) -> Report:
    tools = common.tools(args)
    found = [await common.endpoints(tools, server) for server in args.resolvers]
    survey = await common.survey(args)
    survey.target_ttl, survey.watcher = args.target, progress
    survey.resolvers = tuple(endpoint for endpoints in found for endpoint in endpoints)
    survey.since = common.since(args)
    try:
        baseline = snapshot.read(args.baseline, args.zone.to_text(True).lower()) if args.baseline else None
    except snapshot.SnapshotError as error:
        raise common.UsageError(str(error)) from error
    now = time.time()
    age = _age(args, baseline)
    named = frozenset(map(common.folded_text, args.new_ns or ()))
    gates: dict[str, Callable[[], Awaitable[Report]]] = {
        "inventory": lambda: _inventory(survey),
        "path": survey.path,
        "parity": survey.parity,
        "serials": survey.serials,
        "ttl": lambda: survey.ttl(baseline, args.lowered_at, now),
        "overlap": lambda: _overlap(survey, named),
        "delegation": lambda: survey.delegation(overlap=True),
        "dnssec": lambda: survey.dnssec(None, args.ds_ttl, now),
        "exposure": survey.exposure,
    }
    if survey.resolvers:
        longest = longest_lived(common.folded_text(args.zone), baseline)
        gates["ttl-propagated"] = lambda: survey.lowered_at_resolvers(longest)
        gates["overlap-propagated"] = lambda: survey.same_at_resolvers("NS")
    reports: dict[str, Report] = {}
    for number, (name, measure) in enumerate(gates.items(), 1):
        progress.stage(name, number, len(gates))
        reports[name] = await measure()
    if age is not None:
        reports["ttl"].findings.append(age)
        if reports["ttl"].faults == {"age-unknown"}:
            reports["ttl"].verdict = "The TTLs are low; whether those of before have run out is not known."
    report = combine(survey.zone.to_text(omit_final_dot=True), reports)
    if not survey.resolvers:
        tell_no_resolvers(report, "Give --resolvers, as 1.1.1.1 8.8.8.8 9.9.9.9.")
    if args.output is not None:
        common.write_markdown(args.output, report)
    return report


async def _inventory(survey: Survey) -> Report:
    """Of what is in the zone, what no transfer brings along; its timers and the like are no matter of a cut-over."""
    report = await survey.inventory()
    report.findings = [
        each for each in report.findings if each.level is Level.FAULT or each.code in _OF_A_MOVE | _OF_OTHERS
    ]
    if report.exit_code == 0:
        left = any(each.code in _OF_A_MOVE for each in report.findings)
        odd = "types that no transfer brings along" if left else "nothing that a transfer leaves behind"
        report.verdict = f"The zone has {odd}."
    return report


async def _overlap(survey: Survey, named: frozenset[str]) -> Report:
    """Two sides that both name the old servers alone are the same, and nobody would be sent to the new one."""
    report = await survey.overlap(named)
    if not named:
        text = "the names to delegate to are not known: whether the zone's NS set has them cannot be told"
        report.add(Level.FAULT, "no-new-ns", text, "Give --new-ns with the names of the new side's servers.")
        report.verdict = "Nobody can tell: the new servers have no names."
    return report


def _age(args: argparse.Namespace, baseline: snapshot.Snapshot | None) -> Finding | None:
    """What is missing to know whether the TTLs of before have run out; they may never have been higher."""
    if args.lowered_at is not None and baseline is not None:
        return None
    text = "it is not known whether what was cached at the TTLs of before has run out"
    step = "Give --baseline (the snapshot from before) and --lowered-at (when the lowered TTLs were first served)."
    if baseline is None or baseline.largest_ttl > args.target:
        return Finding(Level.FAULT, "age-unknown", text, step)
    text = f"no TTL of the snapshot is above {args.target} s: that there were none before it is taken on trust"
    return Finding(Level.WARNING, "age-unknown", text, step)
