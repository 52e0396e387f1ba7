"""`nameserver migrate snapshot ZONE @SERVER -o DIRECTORY`: the zone as it is now, as files to commit."""

import argparse
import time
from pathlib import Path

from nameserver.cli.migrate import common, taking
from nameserver.errors import TransferError
from nameserver.migrate import delegation, snapshot
from nameserver.migrate.contents import take_stock
from nameserver.migrate.report import GOOD, Level, Report, Table
from nameserver.migrate.walk import NotFound


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    taking.add_arguments(parser)
    taking.add_repeat_argument(parser)
    parser.add_argument(
        "--no-parent", action="store_true", help="do not ask the parent for NS and DS, which the way back needs"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("zones"), metavar="DIRECTORY", help="where the files go (zones)"
    )


def main(args: argparse.Namespace) -> int:
    """0 with both files written, 2 where they cannot be, 3 where the zone cannot be had."""
    return common.run(args, lambda: _snapshot(args))


async def _snapshot(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    try:
        had = await taking.take(args, tools, repeat=args.repeat)
    except TransferError as error:
        return taking.unavailable("snapshot", args, error)
    parent, missing = await _parent(args, tools)
    stream, complete = had.stream, had.complete
    contents = take_stock(stream)
    try:
        taken, lines = snapshot.take(stream, contents, str(args.server), time.time(), complete=complete, parent=parent)
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
    report.findings += had.findings
    if not complete:
        text = "seen by questions alone: it holds the names of the list and no more, and proves no parity"
        report.add(Level.WARNING, "incomplete", text)
    if missing:
        text = f"the parent's NS and DS are not in it: {missing}"
        report.add(Level.WARNING, "no-parent", text, "Take it again when the parent can be asked.")
    if report.exit_code == GOOD:
        report.verdict = (
            f"Wrote {zone_file}: serial {taken.serial}, {taken.records} records, SHA-384 {taken.digest[:16]}…"
        )
    return report


async def _parent(args: argparse.Namespace, tools: common.Tools) -> tuple[snapshot.Parent, str]:
    """(what the parent says of the zone, why it is not known)."""
    if args.no_parent:
        return snapshot.Parent(), "it was not asked"
    try:
        seen = await delegation.measure(tools.tree, args.zone, only_parent=True)
    except NotFound as error:
        return snapshot.Parent(), str(error)
    views = [view for view in seen.parents if not view.problem and not view.child_too]
    ds = sorted(frozenset().union(*(view.ds for view in views)))
    ns = sorted(frozenset().union(*(view.ns for view in views)))
    found = snapshot.Parent(
        ns, max((view.ns_ttl for view in views), default=0), ds, max((view.ds_ttl for view in views), default=0)
    )
    return found, "" if views else "none of its servers answered"
