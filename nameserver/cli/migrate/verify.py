"""`nameserver migrate verify ZONE`: after the cut-over, is everything as it was, everywhere?"""

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nameserver.cli.migrate import common, moving, then_http
from nameserver.cli.migrate.progress import Progress
from nameserver.cli.migrate.render import markdown
from nameserver.cli.present import safe
from nameserver.config.values import duration
from nameserver.migrate.asking.servers import BadValue
from nameserver.migrate.asking.walk import NotFound
from nameserver.migrate.moments import moment
from nameserver.migrate.move import silence, verifying
from nameserver.migrate.report import USAGE, Level, Report

LONGEST = 366 * 86400.0  # seconds, of a schedule
ROUNDS, MOST_ROUNDS = 10, 1_000_000
_to_duration = duration(0.0, LONGEST)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    moving.add_arguments(parser)
    parser.add_argument(
        "--repeat",
        type=_repeat,
        metavar="WHEN",
        help='again and again: an interval ("30s", 60), or times after the cut-over ("T+0,T+1d,T+2d,T+7d")',
    )
    parser.add_argument("--rounds", type=_rounds, metavar="N", help=f"how often, with an interval ({ROUNDS})")
    then_http.add_argument(parser)
    parser.add_argument("--append", type=Path, metavar="FILE", help="append each round's report there as Markdown")


def main(args: argparse.Namespace) -> int:
    """0 when all of it is, in every round; 1 when not, 2 without a state file, 3 when nothing can be reached."""
    if args.rounds is not None and (args.repeat is None or args.repeat.schedule):
        return common.fail(args, "--rounds goes with --repeat and an interval", USAGE)
    return common.run(args, lambda: _verify(args))


@dataclass(frozen=True, slots=True)
class Repeat:
    """When to ask again: every `interval` seconds, or at the times of `schedule`, in seconds after the cut-over."""

    interval: float = 0.0
    schedule: tuple[float, ...] = ()

    def times(self, cut_over: float, now: float, rounds: int) -> list[float]:
        """When the rounds begin, in seconds since 1970; those that are over already are one, now."""
        if not self.schedule:
            return [now + number * self.interval for number in range(rounds)]
        return sorted({max(cut_over + after, now) for after in self.schedule})


def _repeat(text: str) -> Repeat:
    parts = [part.strip() for part in text.split(",")]
    try:
        found = tuple(_seconds(part.removeprefix("T+")) for part in parts)
    except BadValue as bad:
        raise argparse.ArgumentTypeError(str(bad)) from bad
    if len(parts) > 1 or parts[0].startswith("T+"):
        return Repeat(schedule=found)
    if not found[0]:
        raise argparse.ArgumentTypeError("an interval is longer than that")
    return Repeat(found[0])


def _seconds(text: str) -> float:
    try:
        value: float | str = float(text)
    except ValueError:
        value = text
    return float(_to_duration(value))


def _rounds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_ROUNDS:
        raise argparse.ArgumentTypeError(f"expected a number of rounds from 1 to {MOST_ROUNDS}, got {text!r}")
    return int(text)


async def _verify(args: argparse.Namespace) -> Report:
    if args.repeat is None:
        return await _round(args)
    state, now = moving.load(args), time.time()
    cut_over = state.seen.get("delegated", state.entered.get("decommission", now))
    found = verifying.Rounds(state.zone)
    begins = args.repeat.times(cut_over, now, args.rounds or ROUNDS)
    try:
        for number, when in enumerate(begins, 1):
            await asyncio.sleep(max(when - time.time(), 0))
            now = time.time()
            try:
                report = await _round(args)
            except (common.UsageError, NotFound) as error:
                if not found.taken:
                    raise
                report = _failed(state.zone, str(error))  # a full disk, a name that has lost its address: for a while
            found.add(report, now)
            line = f"round {number} of {len(begins)}, {moment(now)}: {report.verdict}"
            print(safe(line), file=sys.stderr, flush=True)
    except asyncio.CancelledError:  # Ctrl-C: what was found until then is told
        if not found.taken:
            raise
        report = found.report()
        report.add(Level.WARNING, "stopped", f"stopped after {len(found.taken)} of {len(begins)} rounds")
        return report
    return found.report()


def _failed(zone: str, why: str) -> Report:
    report = Report("verify", zone, verdict="It could not be asked.", unreachable=True)
    report.add(Level.FAULT, "round-failed", why)
    return report


async def _round(args: argparse.Namespace) -> Report:
    state = moving.load(args)  # each time: others go on with the move between two rounds
    baseline, _ = moving.baseline(args, state)
    now = time.time()
    survey = await moving.survey(args, state)
    urls = args.then_http
    application = (lambda: then_http.measure(state.zone, urls, args.timeout)) if urls else None
    old = [source.endpoint for source in survey.old]
    with Progress("verify") as survey.watcher:
        report = await verifying.verify(survey, state, state.remember(baseline), now, application)
    silence.note_own(state, survey.asker, old, time.time())
    state.log.append({"at": now, "verified": report.exit_code == 0, "digest": report.digest()})
    moving.keep(args, state, report)
    if args.append is not None:
        try:
            with args.append.open("a", encoding="utf-8") as file:
                file.write("\n".join([*markdown(report), "", f"Asked at {moment(now)}.", "", ""]))
        except OSError as error:
            raise common.UsageError(f"{args.append}: {error.strerror}") from error
    return report
