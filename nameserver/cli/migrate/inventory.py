"""`nameserver migrate inventory ZONE @SERVER`: everything in the zone that a move has to take care of."""

import argparse
from datetime import UTC, datetime

from nameserver.cli.migrate import common, taking
from nameserver.errors import TransferError
from nameserver.migrate import inventory
from nameserver.migrate.contents import take_stock
from nameserver.migrate.report import Level, Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    taking.add_arguments(parser)
    parser.add_argument("--to-serial", type=int, metavar="N", help="tell how to get to this serial (RFC 1982)")


def main(args: argparse.Namespace) -> int:
    """0 with the inventory, 3 where the zone cannot be had."""
    return common.run(args, lambda: _inventory(args))


async def _inventory(args: argparse.Namespace) -> Report:
    try:
        stream, complete = await taking.take(args, common.tools(args))
    except TransferError as error:
        return taking.unavailable("inventory", args, error)
    today = datetime.now(UTC).strftime("%Y%m%d")
    report = inventory.judge(stream, take_stock(stream), str(args.server), today, args.to_serial)
    if not complete:
        report.add(Level.WARNING, "incomplete", "seen by questions alone: only the names of the list are here")
    return report
