"""`nameserver migrate delegation ZONE`: is the zone delegated to whom it should be, at every server of the parent?"""

import argparse

from nameserver.cli.migrate import common
from nameserver.migrate.checks import delegation
from nameserver.migrate.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument("--old", metavar="SERVER", type=common.server, help="ask this one for the zone's NS too")
    parser.add_argument("--new", metavar="SERVER", type=common.server, help="and this one")
    parser.add_argument(
        "--expect", metavar="NAME", type=common.zone_name, nargs="+", help="the servers that ought to be delegated to"
    )
    parser.add_argument(
        "--parent",
        metavar="SERVER",
        type=common.server,
        nargs="+",
        default=[],
        help="ask these, not all of the parent's",
    )
    common.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when parent and zone agree everywhere, 1 when not, 3 when the parent's servers cannot be reached."""
    return common.run(args, lambda: _delegation(args))


async def _delegation(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    given = []
    for name, server in (("old", args.old), ("new", args.new)):
        if server is not None:
            given += [(f"{name} {server}", endpoint) for endpoint in await common.endpoints(tools, server)]
    parents = [(str(server), endpoint) for server in args.parent for endpoint in await common.endpoints(tools, server)]
    expected = frozenset(map(common.folded_text, args.expect)) if args.expect else None
    return delegation.judge(
        args.zone, await delegation.measure(tools.tree, args.zone, given, parents=parents), expected
    )
