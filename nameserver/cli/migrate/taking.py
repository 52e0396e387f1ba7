"""How inventory, snapshot and ttl come by a zone: one transfer, or questions for a list of names."""

import argparse
from pathlib import Path

from nameserver.cli.migrate import common
from nameserver.cli.migrate.progress import Progress
from nameserver.errors import TransferError
from nameserver.migrate import unavailable as report_of
from nameserver.migrate.by_query import ask_zone, wanted_of_names
from nameserver.migrate.report import Report
from nameserver.migrate.zone_stream import ZoneStream, fetch_zone
from nameserver.wire import names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """ZONE, @SERVER, --names, keys and the common options."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument("server", metavar="@SERVER", type=common.server)
    parser.add_argument(
        "--names", type=Path, metavar="FILE", help="where the transfer is refused: names to ask for, one a line"
    )
    common.add_arguments(parser)
    common.add_key_arguments(parser)


async def take(args: argparse.Namespace, tools: common.Tools) -> tuple[ZoneStream, bool]:
    """(the zone, whether it is complete). Raises UsageError, and TransferError where it cannot be had."""
    zone = names.fold(args.zone.to_wire())
    endpoint = (await common.endpoints(tools, args.server))[0]
    key = common.key(args)
    with Progress(f"fetching {names.to_text(zone)}") as progress:
        try:
            source = tools.asker.source_for(endpoint)
            stream = await fetch_zone(
                zone, endpoint, key, source=source, progress=lambda records: progress("records", records)
            )
        except TransferError:
            if args.names is None:
                raise
        else:
            return stream, True
        try:
            wanted = wanted_of_names(args.names.read_text(encoding="utf-8").splitlines(), zone)
        except (OSError, ValueError) as error:
            raise common.UsageError(f"{args.names}: {getattr(error, 'strerror', None) or error}") from error
        stream, _ = await ask_zone(tools.asker, zone, endpoint, wanted, key, lambda done: progress("asked", done))
    return stream, False


def unavailable(command: str, args: argparse.Namespace, error: TransferError) -> Report:
    """The report where the zone could not be had: the reason and what to do. Exit code 3."""
    zone, address = args.zone.to_text(omit_final_dot=True), str(args.server.endpoint or args.server)
    return report_of.unavailable(command, zone, address, error, key=args.key)
