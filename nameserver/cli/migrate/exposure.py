"""`nameserver migrate exposure ZONE [@SERVER …]`: who hands out the zone to anybody?"""

import argparse

from nameserver.cli.migrate import common
from nameserver.migrate.checks import exposure
from nameserver.migrate.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    common.add_server_arguments(parser)
    common.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when nobody does, 1 when somebody does, 3 when nobody answers at all."""
    return common.run(args, lambda: _exposure(args))


async def _exposure(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    targets, problems = await common.targets(tools, args)
    attempts = await exposure.measure(tools.asker, args.zone, targets)
    return exposure.judge(args.zone, attempts, problems, common.vantage(targets, args.source))
