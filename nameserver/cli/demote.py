"""`nameserver demote ZONE [--primaries NAME …]`: the zone comes from another server again."""

import argparse

from nameserver.cli import remote
from nameserver.cli.promote import add_timeout, report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE")
    parser.add_argument(
        "--primaries",
        nargs="+",
        default=[],
        metavar="NAME",
        help="[remote.NAME] tables to take it from (default: the primaries that the configuration has for it)",
    )
    parser.add_argument(
        "--accept-lower", action="store_true", help="take the primaries' version even if its serial is below ours"
    )
    add_timeout(parser)
    remote.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when it is a secondary zone now, or was before; 2 when it stays what it was; 3 without a server."""
    return remote.run(args, lambda: _demote(args))


def _demote(args: argparse.Namespace) -> int:
    answer = remote.ask(
        args,
        "demote",
        patience=args.timeout,
        zone=args.zone,
        primaries=args.primaries,
        accept_lower=args.accept_lower,
        timeout=args.timeout,
    )
    return report(args, answer)
