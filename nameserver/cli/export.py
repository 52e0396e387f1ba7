"""`nameserver export ZONE [-o FILE]`: the version that is served, as a zone file, as JSON or as octoDNS has it.

From the running server; where none answers, from its store. Which of them it was is said on standard error, so that
standard output is the zone and nothing else. The other forms are made here of the zone file, in bounded memory.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from nameserver.cli import export_forms, remote
from nameserver.cli.present import safe
from nameserver.control.client import ControlClient
from nameserver.control.protocol import ControlError, ControlUnreachable
from nameserver.errors import StoreError
from nameserver.store.schema import DATABASE_NAME
from nameserver.store.whole_file import write_whole
from nameserver.telemetry.words import plural
from nameserver.wire import names

_PATIENCE = 120.0  # seconds until the first piece of a large zone: all of it is sorted before


class _Source(NamedTuple):
    serial: int
    records: int
    origin: str  # where it comes from, in words
    pieces: Iterator[bytes]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write to FILE, whole or not at all (default: print it)"
    )
    parser.add_argument("--state-dir", metavar="DIR", type=Path, help="where to look while no server answers")
    parser.add_argument(
        "--format",
        choices=export_forms.FORMATS,
        default=export_forms.ZONE,
        help="zone: a canonical zone file; json: an RRset to a line; octodns: the YAML of its YamlProvider",
    )
    remote.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when written, 1 when there is nothing to write, that failed or something has no form, 2 for usage, 3 for
    neither server nor store.
    """
    return remote.run(args, lambda: _export(args))


def _export(args: argparse.Namespace) -> int:
    if args.json and args.output is None:
        return remote.fail(args, "--json tells of a file: say which, with -o FILE", remote.USAGE)
    try:
        name = names.fold(names.from_text(args.zone))
    except ValueError as error:
        return remote.fail(args, f"{args.zone!r} is not a zone name: {error}", remote.USAGE)
    if args.format == export_forms.OCTODNS and name == names.ROOT:
        return remote.fail(args, "octoDNS has no root zone", remote.USAGE)
    try:
        client = ControlClient(remote.control_path(args))
    except ControlUnreachable as unreachable:
        return _from_store(args, name, unreachable)
    with client:
        answer = client.call("export", patience=_PATIENCE, zone=args.zone)
        pieces = _taken(client, answer["export"])
        return _write(args, _Source(answer["serial"], answer["records"], "the running server", pieces))


def _taken(client: ControlClient, number: int) -> Iterator[bytes]:
    while text := client.call("export-piece", patience=_PATIENCE, export=number, timeout=_PATIENCE)["text"]:
        yield str(text).encode("ascii")


def _from_store(args: argparse.Namespace, name: bytes, unreachable: ControlUnreachable) -> int:
    from nameserver.store.reader import StoreReader
    from nameserver.store.zone_export import ZoneExport

    directory = args.state_dir or remote.state_directory(args)
    if directory is None or not (directory / DATABASE_NAME).exists():
        where = (
            f", and {directory} has no store" if directory else "; -c FILE or --state-dir DIR tells where the store is"
        )
        raise ControlUnreachable(f"{unreachable}{where}") from unreachable
    origin = f"the store in {directory}, as no server answers"
    try:
        with closing(StoreReader(directory / DATABASE_NAME)) as reader:
            export = ZoneExport.begin(reader, name, args.output.parent if args.output else None)
            if export is None:
                return remote.fail(args, f"no version of zone {args.zone} is in {origin}", remote.FINDING)
            with closing(export):
                return _write(args, _Source(export.meta.serial, export.meta.records, origin, export.pieces()))
    except StoreError as error:
        return remote.fail(args, f"{args.zone} cannot be exported from {origin}: {error}", remote.FINDING)


def _write(args: argparse.Namespace, source: _Source) -> int:
    spill = args.output.parent if args.output else None
    zone = names.to_text(names.fold(names.from_text(args.zone)))
    form = export_forms.made(args.format, zone, source.serial, source.records, source.pieces, spill)
    try:
        if args.output is None:
            for piece in form.pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.flush()
        else:
            write_whole(args.output, form.pieces)
    except BrokenPipeError:
        raise
    except OSError as error:
        return remote.fail(args, f"{args.output or 'standard output'}: {error.strerror}", remote.FINDING)
    except ControlError as error:
        where = "what was printed is not the whole zone" if args.output is None else f"{args.output} is as it was"
        return remote.fail(args, f"{args.zone} cannot be exported: {error}; {where}", remote.FINDING)
    code = remote.FINDING if form.findings() else remote.GOOD
    if args.json:
        told: dict[str, object] = {
            "zone": args.zone, "serial": source.serial, "records": source.records, "from": source.origin,
            "file": str(args.output),
        }  # fmt: skip
        remote.print_json(told | ({} if args.format == export_forms.ZONE else {"format": args.format}) | form.facts())
        return code
    where = f", written to {args.output}" if args.output else ""
    text = f"{args.zone}: serial {source.serial}, {plural(source.records, 'record')}, from {source.origin}{where}"
    for line in (text, *form.notes(), *form.findings()):
        print(safe(line), file=sys.stderr)
    return code
