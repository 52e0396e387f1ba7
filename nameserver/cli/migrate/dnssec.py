"""`nameserver migrate dnssec ZONE --old A --new B`: do validators go on finding the zone good?"""

import argparse
import time

from nameserver.cli.migrate import common
from nameserver.migrate.asking.servers import Server
from nameserver.migrate.checks import dnssec
from nameserver.migrate.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument("--old", metavar="SERVER", type=common.server, help="where the zone is now")
    parser.add_argument("--new", metavar="SERVER", type=common.server, help="where it is to go")
    parser.add_argument(
        "--plan", choices=["unsign", "multi-signer"], help="hold it against one of the ways to move a signed zone"
    )
    common.add_since_arguments(parser)
    common.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when the chain of trust holds at each side (and the plan is complete), 1 when not, 2 usage, 3 unreachable."""
    return common.run(args, lambda: _dnssec(args))


async def _dnssec(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    wanted: list[tuple[str, Server]] = [
        (name, server) for name, server in (("old", args.old), ("new", args.new)) if server is not None
    ]
    if args.plan and len(wanted) < 2:
        raise common.UsageError("--plan needs both sides: --old SERVER --new SERVER")
    if not wanted:
        raise common.UsageError("which servers? give --old SERVER, --new SERVER or both")
    found = {name: await common.endpoints(tools, server) for name, server in wanted}
    plan = dnssec.Plan(args.plan or "", common.since(args), args.ds_ttl)
    return await dnssec.examine_sides(
        tools.tree, args.zone, found.get("old", ()), found.get("new", ()), time.time(), plan
    )
