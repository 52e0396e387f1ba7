"""`nameserver migrate serials ZONE [@SERVER …]`: which server serves which version."""

import argparse

from nameserver.cli.migrate import common
from nameserver.migrate.checks import serials
from nameserver.migrate.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    common.add_server_arguments(parser)
    parser.add_argument(
        "--serial", type=common.count(0, 2**32 - 1), metavar="N", help="the serial that all should have reached"
    )
    common.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when every address serves the same version, 1 when one lags or differs, 3 when nobody answers."""
    return common.run(args, lambda: _serials(args))


async def _serials(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    targets, problems = await common.targets(tools, args)
    return serials.judge(args.zone, await serials.measure(tools.asker, args.zone, targets), problems, args.serial)
