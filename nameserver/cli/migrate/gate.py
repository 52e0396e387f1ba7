"""`nameserver migrate gate ZONE --old A --new B`: go, or no go, with reasons."""

import argparse
import time
from pathlib import Path

from nameserver.cli.migrate import common
from nameserver.migrate import snapshot
from nameserver.migrate.gate import combine
from nameserver.migrate.report import Finding, Level, Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    common.add_side_arguments(parser)
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
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report there as Markdown too")
    common.add_arguments(parser)
    common.add_key_arguments(parser, "old", "new")


def main(args: argparse.Namespace) -> int:
    """0 go, 1 no go, 2 usage, 3 when nothing could be reached."""
    return common.run(args, lambda: _gate(args))


async def _gate(args: argparse.Namespace) -> Report:
    survey = await common.survey(args)
    survey.target_ttl = args.target
    try:
        baseline = snapshot.read(args.baseline, args.zone.to_text(True).lower()) if args.baseline else None
    except snapshot.SnapshotError as error:
        raise common.UsageError(str(error)) from error
    now = time.time()
    age = _age(args, baseline)
    reports = {
        "path": await survey.path(),
        "parity": await survey.parity(),
        "serials": await survey.serials(),
        "ttl": await survey.ttl(baseline, args.lowered_at, now),
        "overlap": await survey.overlap(frozenset(map(common.folded_text, args.new_ns or ()))),
        "delegation": await survey.delegation(overlap=True),
        "dnssec": await survey.dnssec(None, 0, now),
        "exposure": await survey.exposure(),
    }
    if age is not None:
        reports["ttl"].findings.append(age)
    report = combine(survey.zone.to_text(omit_final_dot=True), reports)
    if args.output is not None:
        common.write_markdown(args.output, report)
    return report


def _age(args: argparse.Namespace, baseline: snapshot.Snapshot | None) -> Finding | None:
    """What is missing to know whether the TTLs of before have run out; they may never have been higher."""
    if args.lowered_at is not None and baseline is not None:
        return None
    higher = baseline is not None and baseline.largest_ttl > args.target
    text = "it is not known whether what was cached at the TTLs of before has run out"
    step = "Give --baseline (the snapshot from before) and --lowered-at (when the lowered TTLs were first served)."
    return Finding(Level.FAULT if higher else Level.WARNING, "age-unknown", text, step)
