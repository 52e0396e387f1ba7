"""`nameserver pause ZONE [--answer refused|servfail] [--for 1h]`: a zone is silent for a while, as if it were gone."""

import argparse

from nameserver.cli import remote
from nameserver.cli.present import Palette, safe
from nameserver.cli.remote import Json
from nameserver.cli.status import pause_text
from nameserver.config.values import BadValue, duration
from nameserver.refresh.pause import ANSWERS, DEFAULT_LENGTH, LONGEST, SHORTEST
from nameserver.telemetry import words
from nameserver.telemetry.status import PauseStatus

_to_seconds = duration(SHORTEST, LONGEST)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE")
    parser.add_argument(
        "--answer", choices=list(ANSWERS), default="refused", help="what queries get (default: refused)"
    )
    parser.add_argument(
        "--for",
        dest="length",
        type=_length,
        default=DEFAULT_LENGTH,
        metavar="TIME",
        help="how long, from now, as 30m; at most 7d (default: 1h)",
    )
    remote.add_arguments(parser)


def _length(text: str) -> float:
    try:
        return float(_to_seconds(text))
    except BadValue as bad:
        raise argparse.ArgumentTypeError(f"{bad}; a pause is a trial, and ends by itself") from bad


def main(args: argparse.Namespace) -> int:
    """0 when it is silent, 2 when it cannot be, 3 without a server."""
    return remote.run(args, lambda: _pause(args))


def _pause(args: argparse.Namespace) -> int:
    answer = remote.ask(args, "pause", zone=args.zone, answer=args.answer, length=args.length)
    remote.show(args, answer, lambda palette: _lines(answer, palette))
    return remote.GOOD


def _lines(answer: Json, palette: Palette) -> list[str]:
    zone, pause = safe(answer["zone"]), PauseStatus.from_json(answer)
    lines = [f"{zone}: {palette.paint('paused', 'warn')}, {pause_text(pause, float(answer['now']))}"]
    if answer["before"] is not None:
        lines.append(f"  it was until {words.timestamp(float(answer['before']))}, which this replaces")
    if not answer["answering"]:
        lines.append("  it would not be answered without that: see nameserver why " + zone)
    if not answer["heard"]:
        lines.append("  not every worker has said yet that it does so")
    return [
        *lines,
        "  checks, transfers and NOTIFY go on; who may transfer it is told its SOA",
        f"  who still asks is counted: nameserver status {zone}",
        f"  to have it answered again at once: nameserver resume {zone}",
    ]
