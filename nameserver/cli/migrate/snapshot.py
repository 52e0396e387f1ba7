"""`nameserver migrate snapshot ZONE @SERVER -o DIRECTORY`: the zone as it is now, as files to commit."""

import argparse
import time
from pathlib import Path

from nameserver.cli.migrate import common, taking
from nameserver.errors import TransferError
from nameserver.migrate import snapshot
from nameserver.migrate.contents import take_stock
from nameserver.migrate.report import GOOD, Level, Report, Table


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    taking.add_arguments(parser)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("zones"), metavar="DIRECTORY", help="where the files go (zones)"
    )


def main(args: argparse.Namespace) -> int:
    """0 with both files written, 2 where they cannot be, 3 where the zone cannot be had."""
    return common.run(args, lambda: _snapshot(args))


async def _snapshot(args: argparse.Namespace) -> Report:
    try:
        stream, complete = await taking.take(args, common.tools(args))
    except TransferError as error:
        return taking.unavailable("snapshot", args, error)
    contents = take_stock(stream)
    try:
        taken, lines = snapshot.take(stream, contents, str(args.server), time.time(), complete=complete)
        zone_file, facts = snapshot.write(args.output, taken, lines)
    except OSError as error:
        raise common.UsageError(f"{error.filename or args.output}: {error.strerror}; nothing was written") from error
    except snapshot.SnapshotError as error:
        raise common.UsageError(str(error)) from error
    report = Report("snapshot", taken.zone)
    rows = tuple((kind, str(number)) for kind, number in taken.counts.items())
    report.tables.append(Table("", ("TYPE", "RECORDS"), rows))
    report.facts = {"serial": taken.serial, "digest": taken.digest, "records": taken.records, "complete": complete}
    report.measured = {"zone_file": str(zone_file), "facts_file": str(facts), "taken": taken.taken}
    if not complete:
        text = "seen by questions alone: it holds the names of the list and no more, and proves no parity"
        report.add(Level.WARNING, "incomplete", text)
    if report.exit_code == GOOD:
        report.verdict = (
            f"Wrote {zone_file}: serial {taken.serial}, {taken.records} records, SHA-384 {taken.digest[:16]}…"
        )
    return report
