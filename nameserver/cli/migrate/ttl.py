"""`nameserver migrate ttl ZONE @SERVER --target 300`: are the TTLs low, and since when?"""

import argparse
import time
from pathlib import Path

from nameserver.cli.arguments import seconds
from nameserver.cli.migrate import common, moving, taking
from nameserver.config.values import format_duration
from nameserver.errors import TransferError
from nameserver.migrate.checks import query_counts, snapshot, ttl
from nameserver.migrate.checks.contents import take_stock
from nameserver.migrate.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    taking.add_arguments(parser)
    parser.add_argument(
        "--target", type=common.ttl, default=300, metavar="SECONDS", help="what every TTL should be (300)"
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="DIRECTORY", help="the snapshot from before: for when the cut-over is safe"
    )
    parser.add_argument(
        "--lowered-at",
        type=common.time_of_day,
        metavar="TIME",
        help="when the lowered TTLs were first served, as 2026-11-21T12:00:00Z",
    )
    moving.add_metrics_argument(parser, "for the load that lower TTLs bring: where the zone's servers count queries")
    floor = format_duration(ttl.FLOOR)
    parser.add_argument(
        "--floor",
        type=seconds(86400 * 60),
        default=ttl.FLOOR,
        metavar="SECONDS",
        help=f"the least time to wait ({floor})",
    )


def main(args: argparse.Namespace) -> int:
    """0 when every TTL is low (and has been long enough), 1 when not, 2 usage, 3 where the zone cannot be had."""
    return common.run(args, lambda: _ttl(args))


async def _ttl(args: argparse.Namespace) -> Report:
    try:
        baseline = snapshot.read(args.baseline, args.zone.to_text(True).lower()) if args.baseline else None
    except snapshot.SnapshotError as error:
        raise common.UsageError(str(error)) from error
    try:
        taken = await taking.take(args, common.tools(args))
    except TransferError as error:
        return taking.unavailable("ttl", args, error)
    now = time.time()
    report = ttl.judge(
        taken.stream,
        take_stock(taken.stream),
        args.target,
        baseline=baseline,
        lowered_at=args.lowered_at,
        now=now,
        floor=args.floor,
    )
    report.findings += taken.findings
    if args.metrics:
        try:
            looks = query_counts.read_pages(args.metrics, moving.pages_of(args.metrics)(), report.zone)
        except ValueError as error:
            raise common.UsageError(f"--metrics: {error}") from error
        ttl.tell_load(report, looks, now, baseline)
    return report
