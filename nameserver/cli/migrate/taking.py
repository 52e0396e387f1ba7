"""How inventory, snapshot and ttl come by a zone: one transfer, or questions for a list of names."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.name

from nameserver.cli.migrate import common
from nameserver.cli.migrate.progress import Progress
from nameserver.config.model import Endpoint
from nameserver.errors import TransferError
from nameserver.migrate.asking.asking import Asker
from nameserver.migrate.asking.nameservers import Target
from nameserver.migrate.asking.zone_stream import ZoneStream
from nameserver.migrate.checks import serials, steering
from nameserver.migrate.checks import unavailable as report_of
from nameserver.migrate.checks.by_query import Askable, ask_zone, wanted_of_names
from nameserver.migrate.checks.sides import Source
from nameserver.migrate.report import Finding, Level, Report
from nameserver.wire import names
from nameserver.wire.tsig import TsigKey

MOST_TOLD = 10  # RRsets of each address whose answers are told


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """ZONE, @SERVER, --names, keys and the common options."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument("server", metavar="@SERVER", type=common.server)
    parser.add_argument(
        "--names", type=Path, metavar="FILE", help="where the transfer is refused: names to ask for, one a line"
    )
    common.add_arguments(parser)
    common.add_key_arguments(parser)


def add_repeat_argument(parser: argparse.ArgumentParser) -> None:
    """`--repeat`."""
    parser.add_argument(
        "--repeat",
        type=common.count(0, 100),
        default=steering.TIMES,
        metavar="COUNT",
        help=f"ask so often whether answers vary ({steering.TIMES}; 0: not at all)",
    )


def add_no_parent_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """`--no-parent`. `what`: that the parent is asked for otherwise."""
    parser.add_argument("--no-parent", action="store_true", help=f"do not ask the parent for {what}")


@dataclass(slots=True)
class Taken:
    """A zone, whether it is complete, and what has to be said of how it was come by."""

    stream: ZoneStream
    complete: bool
    findings: list[Finding] = field(default_factory=list)


async def take(args: argparse.Namespace, tools: common.Tools, repeat: int = 0) -> Taken:
    """The zone from the first address of the server that hands it out; the others are held against its serial.

    `repeat`: how often each address is asked whether it always answers what was handed out, and so.

    Raises UsageError, and TransferError where it cannot be had.
    """
    zone = names.fold(args.zone.to_wire())
    sources = await common.sources(args, tools, "", args.server, common.key(args))
    key = sources[0].key
    addresses = tuple(source.endpoint for source in sources)
    with Progress(f"fetching {names.to_text(zone)}") as progress:
        taken, endpoint = await _first(args, tools, zone, sources, progress)
    taken.findings += await _others(tools.asker, args.zone, taken.stream.soa.serial, endpoint, addresses, key)
    for each in addresses if repeat else ():
        varying, made_up = await steering.probe(tools.asker, taken.stream, each, repeat)
        if not taken.complete:
            made_up = []  # a question that went unanswered is not in it either
        told = steering.told(str(each), varying[:MOST_TOLD], made_up[:MOST_TOLD], zone)
        taken.findings += [Finding(Level.WARNING, *words) for words in told]
    return taken


async def _first(
    args: argparse.Namespace,
    tools: common.Tools,
    zone: bytes,
    sources: Sequence[Source],
    progress: Progress,
) -> tuple[Taken, Endpoint]:
    """The zone and the address that it is from: by transfer from any of them, else by questions from any of them."""
    failures: list[TransferError] = []
    for source in sources:
        try:
            stream = await source.fetch(
                tools.asker, zone, common.pull_limits(args), lambda records: progress("records", records)
            )
        except TransferError as error:
            failures.append(error)
        else:
            return Taken(stream, True), source.endpoint
    if args.names is None:
        raise failures[0]
    try:
        wanted = wanted_of_names(args.names.read_text(encoding="utf-8").splitlines(), zone)
    except (OSError, ValueError) as error:
        raise common.UsageError(f"{args.names}: {getattr(error, 'strerror', None) or error}") from error
    for source in sources:
        try:
            stream, coverage = await ask_zone(
                tools.asker, zone, source.endpoint, Askable(wanted), source.key, lambda done: progress("asked", done)
            )
        except TransferError as error:
            failures.append(error)
            continue
        taken = Taken(stream, False)
        if coverage.silent:
            text = f"{coverage.silent} of {coverage.asked} questions were not answered: what they ask for is not here"
            taken.findings.append(Finding(Level.WARNING, "unanswered", text, "Ask again, with a longer --timeout."))
        return taken, source.endpoint
    raise failures[-1]


async def _others(
    asker: Asker,
    zone: dns.name.Name,
    serial: int,
    endpoint: Endpoint,
    addresses: Sequence[Endpoint],
    key: TsigKey | None,
) -> list[Finding]:
    """Which address was taken where there are several, and what the others serve."""
    if len(addresses) == 1:
        return []
    text = f"taken from {endpoint}, one of {len(addresses)} addresses"
    found = [Finding(Level.NOTE, "address", text)]
    for sight in await serials.measure(asker, zone, [Target("", each, "given") for each in addresses], key):
        if sight.transport == "TCP" or sight.target.endpoint == endpoint or sight.serial == serial:
            continue
        said = sight.detail if sight.serial is None else f"serves serial {sight.serial}"
        text = f"{sight.target.endpoint} {said}; this is serial {serial} from {endpoint}"
        found.append(Finding(Level.WARNING, "address-differs", text, "Ask that address by itself."))
    return found


def unavailable(command: str, args: argparse.Namespace, error: TransferError) -> Report:
    """The report where the zone could not be had: the reason and what to do. Exit code 3."""
    zone, address = args.zone.to_text(omit_final_dot=True), str(args.server.endpoint or args.server)
    return report_of.unavailable(command, zone, address, error, key=args.key)
