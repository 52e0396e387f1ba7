"""`nameserver wait ZONE --serial N [--all]`: until a serial is answered, for scripts and for ACME."""

import argparse
import sys
import time

from nameserver.cli import remote
from nameserver.cli.arguments import seconds
from nameserver.cli.present import Palette, safe
from nameserver.cli.remote import Json
from nameserver.control.protocol import ControlError, ControlUnreachable
from nameserver.telemetry import words

DEFAULT_TIMEOUT = 60.0
SLICE = 20.0  # seconds that the server is asked to wait at a time, so that many who wait leave room for others
SHOWN_SLICE = 1.0  # … where somebody watches
PAUSE = 0.5  # seconds before a server that had no place for us to wait is asked again
LARGEST = (1 << 32) - 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE")
    parser.add_argument(
        "--serial", type=_serial, required=True, metavar="N", help="until this serial, or a newer one, is answered"
    )
    parser.add_argument("--all", action="store_true", help="also by every server that is told of the zone's changes")
    parser.add_argument(
        "--timeout",
        type=seconds(86_400),
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help=f"how long to wait (default: {DEFAULT_TIMEOUT:.0f})",
    )
    remote.add_arguments(parser)


def _serial(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= LARGEST):
        raise argparse.ArgumentTypeError(f"expected a serial from 0 to {LARGEST}, got {text!r}")
    return int(text)


def main(args: argparse.Namespace) -> int:
    """0 when reached, 1 when not in time, 2 for usage, 3 without a server."""
    return remote.run(args, lambda: _wait(args))


def _wait(args: argparse.Namespace) -> int:
    began = time.monotonic()
    until = began + args.timeout
    shown = sys.stderr.isatty() and not args.json
    answer: Json = {}
    while True:
        left = max(0.0, until - time.monotonic())
        within = min(left, SHOWN_SLICE if shown else SLICE)
        asked = time.monotonic()
        try:
            answer = remote.ask(
                args,
                "wait",
                patience=within,
                zone=args.zone,
                serial=args.serial,
                all=bool(args.all),
                within=within,
                timeout=within + 30,
            )
        except ControlUnreachable:
            raise
        except ControlError as error:
            if not answer:
                raise
            return remote.fail(args, str(error), remote.FINDING)  # it was there: a reload has removed it
        if answer["reached"] or time.monotonic() >= until:
            break
        if shown:
            _show(f"{_short(answer)}, {words.duration(round(time.monotonic() - began))} so far")
        if time.monotonic() - asked < within / 2:
            time.sleep(min(PAUSE, max(0.0, until - time.monotonic())))
    if shown:
        _show("")
    answer["waited"] = round(time.monotonic() - began, 3)
    remote.show(args, answer, lambda palette: _lines(answer, palette))
    return remote.GOOD if answer["reached"] else remote.FINDING


def _show(text: str) -> None:
    """One line on the terminal, in the place of the one before."""
    print(f"\r\x1b[K{safe(text)}" if text else "\r\x1b[K", end="", file=sys.stderr, flush=True)


def _short(answer: Json) -> str:
    lacking = [str(each["name"]) for each in answer["downstreams"] if not each["reached"]]
    if not answer["here"]:
        lacking.insert(0, "this server")
    return f"{answer['zone']}: waiting for {', '.join(lacking)}"


def _lines(answer: Json, palette: Palette) -> list[str]:
    zone, below = safe(answer["zone"]), answer["downstreams"]
    waited = words.duration(float(answer["waited"]))
    if answer["reached"]:
        who = f"here and by {words.plural(len(below), 'downstream')}" if below else "here by every worker"
        return [f"{zone}: serial {answer['wanted']} {palette.paint('is answered', 'good')} {who} ({waited})"]
    lines = [f"{zone}: serial {answer['wanted']} {palette.paint('is not answered everywhere', 'bad')} after {waited}"]
    if not answer["here"]:
        held = "nothing is answered" if answer["serial"] is None else f"serial {answer['serial']} is answered"
        seen = answer["primary_serial"]
        primary = "" if seen is None else f", the primary had {seen} when it was asked last"
        lines.append(f"  here: {held} ({safe(answer['state'])}){primary}")
    lines += [f"  {safe(each['name'])}: {_lack(each)}" for each in below if not each["reached"]]
    return [*lines, f"More: nameserver why {zone}"]


def _lack(row: Json) -> str:
    """Why a server below us has not got there, as far as is known."""
    if row.get("serial") is not None:
        how = "answers" if row.get("answers") else "fetched"
        text = f"{how} serial {row['serial']}"
    else:
        text = "what it has is not known"
    if row.get("notify_reason"):
        text += f", NOTIFY was given up ({row['notify_reason']}: {row.get('notify_detail') or ''})"
    if row.get("check_reason"):
        text += f", the last check failed ({row['check_reason']}: {row.get('check_detail') or ''})"
    return safe(text)
