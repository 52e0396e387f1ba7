"""`nameserver migrate status ZONE`: the phase of a move, and whether the gate to the next one is open."""

import argparse

from nameserver.cli.migrate import common, moving
from nameserver.migrate.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    moving.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when the gate is open, 1 when it is closed, 2 without a state file, 3 when nothing can be reached."""
    return common.run(args, lambda: _status(args))


async def _status(args: argparse.Namespace) -> Report:
    return await moving.measure(args, moving.load(args), "status")
