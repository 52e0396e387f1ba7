"""`nameserver resume ZONE`: end a pause, and have the zone answered again at once."""

import argparse

from nameserver.cli import remote
from nameserver.cli.present import Palette, safe
from nameserver.cli.remote import Json
from nameserver.telemetry import words


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE")
    remote.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when it is paused no more, or was not; 2 for usage, 3 without a server."""
    return remote.run(args, lambda: _resume(args))


def _resume(args: argparse.Namespace) -> int:
    answer = remote.ask(args, "resume", zone=args.zone)
    remote.show(args, answer, lambda palette: _lines(answer, palette))
    return remote.GOOD


def _lines(answer: Json, palette: Palette) -> list[str]:
    zone = safe(answer["zone"])
    if not answer["was"]:
        return [f"{zone}: it is not paused: nothing is done"]
    asked = f"{words.queries(answer['queries'])} came meanwhile, and {answer['control_queries']:,} of peers"
    told = palette.paint("answered again", "good")
    if not answer["answering"]:
        told = palette.paint(f"paused no more, but {safe(answer['state'])}: queries get SERVFAIL", "bad")
    lines = [f"{zone}: {told}, after {words.duration(float(answer['lasted']))}; {asked}"]
    if not answer["heard"]:
        lines.append("  not every worker has said yet that it does so")
    if answer["trouble"]:
        lines.append(f"  this cannot be written down, and a restart goes by what was: {safe(answer['trouble'])}")
    return lines
