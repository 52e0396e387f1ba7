"""`nameserver retransfer ZONE [--wait]`: fetch the whole zone anew, whatever its serial."""

import argparse

from nameserver.cli import remote
from nameserver.cli.arguments import seconds
from nameserver.cli.present import Palette, safe
from nameserver.cli.remote import Json
from nameserver.telemetry.advice import advise

DEFAULT_TIMEOUT = 300.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE")
    parser.add_argument("--wait", action="store_true", help="return when the transfer has ended, and say how")
    parser.add_argument(
        "--timeout",
        type=seconds(86_400),
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help=f"how long --wait waits (default: {DEFAULT_TIMEOUT:.0f})",
    )
    remote.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when started (with --wait: when transferred), 1 when it failed or took longer, 2 for usage, 3 unreachable."""
    return remote.run(args, lambda: _retransfer(args))


def _retransfer(args: argparse.Namespace) -> int:
    timeout = args.timeout if args.wait else 0.0
    answer = remote.ask(args, "retransfer", patience=timeout, zone=args.zone, wait=bool(args.wait), timeout=timeout)
    failed = args.wait and answer.get("outcome") not in ("ok", "up-to-date")
    remote.show(args, answer, lambda palette: _lines(args, answer, palette))
    return remote.FINDING if failed else remote.GOOD


def _lines(args: argparse.Namespace, answer: Json, palette: Palette) -> list[str]:
    zone = safe(args.zone)
    if not args.wait:
        return [f"{zone}: transfer started; see: nameserver status {zone}"]
    outcome = answer.get("outcome")
    if outcome in ("ok", "up-to-date"):
        return [f"{zone}: {palette.paint('transferred', 'good')}, serial {safe(answer.get('serial'))}"]
    reason, detail = str(answer.get("reason") or ""), str(answer.get("detail") or "")
    told = ": ".join(part for part in ("failed", reason, detail) if part)
    # The zone's last transfer is the one that failed only where it says so: the run may have ended before any.
    last = answer.get("transfer") or {}
    peer = last if last.get("reason") == reason else {}
    advice = advise(reason, zone=args.zone, address=str(peer.get("address") or ""), key=peer.get("key") or None)
    return [
        f"{zone}: {palette.paint(safe(told), 'bad')}",
        *([safe(advice.meaning), safe(advice.next_step)] if reason else []),
        f"More: nameserver why {zone}",
    ]
