"""`nameserver migrate snapshot ZONE @SERVER -o DIRECTORY`: the zone as it is now, as files to commit."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import dns.name

from nameserver.cli import export_forms
from nameserver.cli.migrate import common, taking
from nameserver.errors import TransferError
from nameserver.migrate.checks import snapshot
from nameserver.migrate.checks.at_parent import ask_parent
from nameserver.migrate.checks.contents import take_stock
from nameserver.migrate.report import GOOD, Level, Report, Table
from nameserver.store.whole_file import write_whole

MOST_TOLD = 20  # records outside the zone


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    taking.add_arguments(parser)
    taking.add_repeat_argument(parser)
    taking.add_no_parent_argument(parser, "NS and DS, which the way back needs")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("zones"), metavar="DIRECTORY", help="where the files go (zones)"
    )
    parser.add_argument(
        "--also",
        choices=(export_forms.JSON, export_forms.OCTODNS),
        nargs="+",
        default=[],
        help="write these beside the zone file: ZONE.rrsets.json, an RRset to a line; ZONE.yaml, as octoDNS reads it",
    )


def main(args: argparse.Namespace) -> int:
    """0 with all files written, 1 where one has no form for something, 2 where they cannot be, 3 for no zone."""
    return common.run(args, lambda: _snapshot(args))


async def _snapshot(args: argparse.Namespace) -> Report:
    if export_forms.OCTODNS in args.also and args.zone == dns.name.root:
        raise common.UsageError("octoDNS has no root zone")
    tools = common.tools(args)
    try:
        had = await taking.take(args, tools, repeat=args.repeat)
    except TransferError as error:
        return taking.unavailable("snapshot", args, error)
    if args.no_parent:
        parent, missing = snapshot.Parent(), "it was not asked"
    else:
        parent, missing = await ask_parent(tools.tree, args.zone)
    stream, complete = snapshot.each_once(had.stream), had.complete
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
    for text in stream.outside[:MOST_TOLD]:
        text = f"the server sends a record that is not in the zone, and not in the file: {text}"
        report.add(Level.WARNING, "out-of-zone", text)
    if missing:
        text = f"the parent's NS and DS are not in it: {missing}"
        report.add(Level.WARNING, "no-parent", text, "Take it again when the parent can be asked.")
    if report.exit_code == GOOD:
        report.verdict = (
            f"Wrote {zone_file}: serial {taken.serial}, {taken.records} records, SHA-384 {taken.digest[:16]}…"
        )
    _write_also(args, taken, lines, report)
    return report


def _write_also(args: argparse.Namespace, taken: snapshot.Snapshot, lines: Sequence[str], report: Report) -> None:
    """The further forms, made of the zone file. What has no form in one is a fault, as with `nameserver export`."""
    for form in dict.fromkeys(args.also):
        path = snapshot.also_path(args.output, taken.zone, form)
        pieces = (line.encode() for line in lines)
        out = export_forms.made(form, taken.zone, taken.serial, taken.records, pieces, args.output)
        try:
            write_whole(path, out.pieces)
        except OSError as error:
            raise common.UsageError(f"{path}: {error.strerror}; the snapshot itself was written") from error
        report.measured[f"{form}_file"] = str(path)
        report.facts |= out.facts()
        for text in out.notes():
            report.add(Level.NOTE, "by-providers", f"{path.name}: {text}")
        for text in out.findings():
            report.add(Level.FAULT, "no-form", f"{path.name}: {text}", "The zone file has it all.")
