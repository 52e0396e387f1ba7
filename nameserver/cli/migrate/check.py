"""`nameserver migrate check ZONE @SERVER`: can the zone be had from there, and if not, what is in the way?"""

import argparse
import asyncio

from nameserver.cli.migrate import common
from nameserver.migrate import check
from nameserver.migrate.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument("server", metavar="@SERVER", type=common.server)
    common.add_arguments(parser)
    common.add_key_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when every step is good, 1 when one is not, 3 when nothing answers there."""
    return common.run(args, lambda: _check(args))


async def _check(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    key = common.key(args)
    limits = common.pull_limits(args)
    addresses = await common.endpoints(tools, args.server)
    measured = await asyncio.gather(
        *(check.measure(tools.asker, args.zone, endpoint, key, limits) for endpoint in addresses)
    )
    return check.judge(args.zone, measured, key)
