"""`nameserver promote ZONE`: this server becomes the zone's primary, with what it holds of it."""

import argparse
from pathlib import Path

from nameserver.cli import remote
from nameserver.cli.arguments import seconds
from nameserver.cli.present import Palette, safe
from nameserver.cli.remote import Json

DEFAULT_TIMEOUT = 300.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE")
    parser.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="the zone file to write, and to serve from then on (default: in the state directory)",
    )
    add_timeout(parser)
    remote.add_arguments(parser)


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """How long the server may take."""
    parser.add_argument(
        "--timeout",
        type=seconds(86_400),
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help=f"how long to wait for the server, which goes on all the same (default: {DEFAULT_TIMEOUT:.0f})",
    )


def main(args: argparse.Namespace) -> int:
    """0 when it is a primary zone now, or was before; 2 when it stays what it was; 3 without a server."""
    return remote.run(args, lambda: _promote(args))


def _promote(args: argparse.Namespace) -> int:
    file = str(args.file.absolute()) if args.file else None
    answer = remote.ask(args, "promote", patience=args.timeout, zone=args.zone, file=file, timeout=args.timeout)
    return report(args, answer)


def report(args: argparse.Namespace, answer: Json) -> int:
    """Print what was done, step by step, and what to know about it."""
    if args.json:
        remote.print_json(answer)
        return remote.GOOD
    palette = Palette.of()
    print(palette.paint(f"{safe(answer['zone'])}: {safe(answer['type'])} zone", "bold"))
    for step in answer["steps"]:
        print(f"  {palette.paint('done', 'good')}  {safe(step)}")
    for hint in answer["hints"]:
        print(f"  {palette.paint('note', 'warn')}  {safe(hint)}")
    return remote.GOOD
