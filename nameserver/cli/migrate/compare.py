"""`nameserver migrate compare ZONE --old A --new B`: the parity gate."""

import argparse
import time
from pathlib import Path

from nameserver.cli.arguments import seconds
from nameserver.cli.migrate import common
from nameserver.cli.migrate.drift import DriftMetrics
from nameserver.cli.migrate.progress import Progress
from nameserver.migrate.checks import parity
from nameserver.migrate.checks.by_query import Wanted, wanted_of_names
from nameserver.migrate.checks.sampling import SampleSize
from nameserver.migrate.checks.sides import Taker
from nameserver.migrate.checks.steering import TIMES
from nameserver.migrate.report import USAGE, Report
from nameserver.wire import names


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    for name, help_text in (("old", "where the zone is now"), ("new", "where it is to go")):
        parser.add_argument(
            f"--{name}",
            metavar="SERVER",
            type=common.server,
            nargs="+",
            required=True,
            help=f"{help_text}; of several servers and of a name every address is compared",
        )
    parser.add_argument("--ignore-dnssec", action="store_true", help="leave out what signers make")
    parser.add_argument(
        "--names", type=Path, metavar="FILE", help="names to ask for where no side may be transferred, one a line"
    )
    parser.add_argument(
        "--accept-partial", action="store_true", help="a side that could only be asked may pass as equal"
    )
    parser.add_argument(
        "--sample",
        type=_sample,
        metavar="N|P%",
        help="ask for so many names, or such a share of them, chosen evenly: one side is transferred at most, with "
        "--names none, and it proves no parity",
    )
    parser.add_argument("--seed", default="", metavar="TEXT", help="what --sample follows from (zone and serial)")
    parser.add_argument(
        "--repeat",
        type=common.count(0, 100),
        metavar="COUNT",
        help=f"ask so often whether answers vary ({TIMES}; 0: not at all, as with --watch: servers count it as use)",
    )
    watching = parser.add_argument_group("watching for drift")
    watching.add_argument("--watch", type=seconds(86400 * 7), metavar="SECONDS", help="compare again and again")
    watching.add_argument("--metrics-file", type=Path, metavar="FILE", help="write metrics for a textfile collector")
    watching.add_argument(
        "--metrics", type=common.server, metavar="ADDRESS:PORT", help="serve metrics over HTTP, as 127.0.0.1:9531"
    )
    common.add_arguments(parser)
    common.add_key_arguments(parser, "old", "new")


def main(args: argparse.Namespace) -> int:
    """0 when the zones match, 1 when they differ or that cannot be proven, 2 usage, 3 when a side does not answer."""
    if args.watch is None:
        return common.run(args, lambda: _compare(args))
    try:
        metrics = DriftMetrics(
            common.folded_text(args.zone), " ".join(map(str, args.new)), args.metrics_file, args.metrics
        )
    except (OSError, ValueError) as error:
        return common.fail(args, f"--metrics: {getattr(error, 'strerror', None) or error}", USAGE)
    begun = False
    while True:
        code = common.run(args, lambda: _compare(args, metrics), again=True)
        if code == USAGE and not begun:  # afterwards it is a name that has lost its address, or a full disk
            return code
        begun = True
        time.sleep(args.watch)


async def _compare(args: argparse.Namespace, metrics: DriftMetrics | None = None) -> Report:
    tools = common.tools(args)
    zone = names.fold(args.zone.to_wire())
    old, new = await common.sides(args, tools, args.old, args.new)
    usual = 0 if args.watch is not None else TIMES
    with Progress("comparing") as progress:
        taker = Taker(
            tools.asker,
            zone,
            _names(args, zone),
            common.pull_limits(args),
            args.ignore_dnssec,
            usual if args.repeat is None else args.repeat,
            progress,
            progress.expect,
            args.sample,
            args.seed,
        )
        report = await parity.measure(taker, old, new, accept_partial=args.accept_partial)
    if metrics is not None:
        try:
            metrics.note(report, time.time())
        except OSError as error:
            raise common.UsageError(f"{args.metrics_file}: {error.strerror or error}") from error
    return report


def _sample(text: str) -> SampleSize:
    try:
        return SampleSize.of_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _names(args: argparse.Namespace, zone: bytes) -> list[Wanted] | None:
    if args.names is None:
        return None
    try:
        return wanted_of_names(args.names.read_text(encoding="utf-8").splitlines(), zone)
    except (OSError, ValueError) as error:
        raise common.UsageError(f"{args.names}: {getattr(error, 'strerror', None) or error}") from error
