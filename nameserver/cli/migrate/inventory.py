"""`nameserver migrate inventory ZONE @SERVER`: everything in the zone that a move has to take care of."""

import argparse
from datetime import UTC, datetime

from nameserver.cli.migrate import common, taking
from nameserver.errors import TransferError
from nameserver.migrate.checks import children, inventory
from nameserver.migrate.checks.at_parent import ask_parent, tell_ds
from nameserver.migrate.checks.contents import take_stock
from nameserver.migrate.report import Level, Report

MOST_CHILDREN = 100_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    taking.add_arguments(parser)
    parser.add_argument(
        "--to-serial", type=common.count(0, 2**32 - 1), metavar="N", help="tell how to get to this serial (RFC 1982)"
    )
    taking.add_no_parent_argument(parser, "the DS")
    taking.add_repeat_argument(parser)
    parser.add_argument(
        "--children",
        type=common.count(0, MOST_CHILDREN),
        default=children.MOST,
        metavar="COUNT",
        help=f"of so many delegations ask every server whether it answers ({children.MOST}; 0: of none)",
    )


def main(args: argparse.Namespace) -> int:
    """0 with the inventory, 3 where the zone cannot be had."""
    return common.run(args, lambda: _inventory(args))


async def _inventory(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    try:
        taken = await taking.take(args, tools, repeat=args.repeat)
    except TransferError as error:
        return taking.unavailable("inventory", args, error)
    today = datetime.now(UTC).strftime("%Y%m%d")
    contents = take_stock(taken.stream)
    report = inventory.judge(taken.stream, contents, str(args.server), today, args.to_serial)
    if contents.delegations and args.children:
        children.judge(
            report, await children.measure(tools.tree, contents.delegations, contents.addresses, args.children)
        )
    if not args.no_parent:
        tell_ds(report, contents, *await ask_parent(tools.tree, args.zone))
    report.findings += taken.findings
    if not taken.complete:
        report.add(Level.WARNING, "incomplete", "seen by questions alone: only the names of the list are here")
    return report
