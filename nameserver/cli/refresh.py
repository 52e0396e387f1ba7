"""`nameserver refresh [ZONE]`: check the primaries now, as if the refresh timer had run out."""

import argparse

from nameserver.cli import remote
from nameserver.cli.present import safe
from nameserver.telemetry import words


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", nargs="?", metavar="ZONE", help="one zone; without it, or with --all, every one")
    parser.add_argument("--all", action="store_true", help="every secondary zone")
    remote.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when the check was started, 2 for usage, 3 without a server."""
    if args.zone is not None and args.all:
        return remote.fail(args, "give either a ZONE or --all", remote.USAGE)
    return remote.run(args, lambda: _refresh(args))


def _refresh(args: argparse.Namespace) -> int:
    answer = remote.ask(args, "refresh", zone=args.zone)
    if args.json:
        remote.print_json(answer)
    elif args.zone is not None:
        print(f"{safe(args.zone)}: check started; see: nameserver status {safe(args.zone)}")
    else:
        print(f"{words.plural(int(answer.get('zones', 0)), 'check')} started")
    return remote.GOOD
