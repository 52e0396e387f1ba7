"""`nameserver migrate plan ZONE --old A --new B`: begin a move, as a file that is made for version control."""

import argparse
import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import dns.name
import dns.rdatatype

from nameserver.cli.arguments import seconds
from nameserver.cli.migrate import common, moving
from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker, Question, Reply
from nameserver.migrate.asking.servers import Server
from nameserver.migrate.moments import remaining
from nameserver.migrate.move import phases
from nameserver.migrate.report import Level, Report, Table
from nameserver.store.whole_file import write_whole

YEAR = 366 * 86400
USUAL = 10 * 86400  # seconds that a move takes


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    moving.add_arguments(parser)
    common.add_side_arguments(parser)
    parser.add_argument("--new-ns", metavar="NAME", type=common.zone_name, nargs="+", help="the names to delegate to")
    parser.add_argument(
        "--snapshot", default="zones", metavar="DIRECTORY", help="where the snapshot is or will be (zones)"
    )
    parser.add_argument("--target", type=common.ttl, default=300, metavar="SECONDS", help="the lowered TTL (300)")
    parser.add_argument(
        "--floor", type=seconds(YEAR), default=48 * 3600, metavar="SECONDS", help="least wait for TTLs (48 h)"
    )
    parser.add_argument(
        "--keep", type=seconds(YEAR), default=phases.KEEP, metavar="SECONDS", help="keep the old side (72 h)"
    )
    parser.add_argument(
        "--quiet", type=seconds(YEAR), default=86400, metavar="SECONDS", help="silence wanted of it (24 h)"
    )
    parser.add_argument(
        "--resolvers", metavar="SERVER", type=common.server, nargs="+", default=[], help="whom to ask too"
    )
    moving.add_metrics_argument(parser)
    parser.add_argument("--start", type=common.time_of_day, metavar="TIME", help="of the calendar (now)")
    parser.add_argument("--ics", type=Path, metavar="FILE", help="write the calendar for a calendar program")


def main(args: argparse.Namespace) -> int:
    """0 with the state written, 2 where there is one already or it cannot be written."""
    return common.run(args, lambda: _plan(args))


async def _plan(args: argparse.Namespace) -> Report:
    path = moving.path_of(args)
    try:
        there = path.exists()
    except OSError as error:
        raise common.UsageError(f"{path}: {error.strerror}; give --state FILE") from error
    if there:
        raise common.UsageError(f"{path} is there already: see nameserver migrate status, or remove it to begin again")
    tools = common.tools(args)
    old_at, new_at = await asyncio.gather(_first(args, tools, args.old[0]), _first(args, tools, args.new[0]))
    old_ns = await _ns(tools.asker, args.zone, old_at)
    if args.new_ns:
        new_ns = {common.folded_text(name) for name in args.new_ns}
    else:  # a copy of the old side's zone names the old servers: to be delegated to those is no move
        new_ns = {*await _ns(tools.asker, args.zone, new_at)} - {*old_ns}
    now = time.time()
    state = phases.State(
        common.folded_text(args.zone),
        [_written(server) for server in args.old],
        [_written(server) for server in args.new],
        args.snapshot,
        old_ns,
        sorted(new_ns),
        args.plan,
        args.target,
        args.floor,
        args.keep,
        args.quiet,
        [_written(server) for server in args.resolvers],
        " ".join(args.metrics),
        args.old_key or "",
        args.new_key or "",
        entered={"plan": now},
    )
    report = _tell(args, state, path, now)  # which may write a calendar; only then is the move begun
    moving.save(args, state)
    return report


def _tell(args: argparse.Namespace, state: phases.State, path: Path, now: float) -> Report:
    baseline, problem = moving.baseline(args, state)
    entries = phases.calendar(state, args.start or now, baseline)
    report = Report("plan", state.zone)
    rows = tuple((datetime.fromtimestamp(when, UTC).strftime("%a %Y-%m-%d %H:%M UTC"), what) for when, what in entries)
    report.tables.append(Table("Calendar, were every gate to open as early as it can", ("WHEN", "WHAT"), rows))
    gate_rows = tuple((phase, ", ".join(phases.gates_before(phase, state))) for phase in phases.GATES)
    report.tables.append(Table("Gates", ("BEFORE", "HAS TO HOLD"), gate_rows))
    if not state.new_ns:
        text = "the names to delegate to are not known: the new side does not answer for the zone, or has the old names"
        report.add(Level.WARNING, "no-new-ns", text, f"Write them into new_ns in {path}, or plan with --new-ns.")
    if problem:
        report.add(Level.WARNING, "no-snapshot", problem)
    whole = entries[-1][0] - entries[0][0]
    if baseline is not None and whole > USUAL:
        text = f"the move takes {remaining(whole)} by the zone's TTLs; {remaining(USUAL)} are usual"
        report.add(Level.NOTE, "long", text, f"The largest TTL is {baseline.largest_ttl} s: nameserver migrate ttl.")
    if args.ics is not None:
        try:
            write_whole(args.ics, [phases.icalendar(entries, state.zone).encode()])
        except OSError as error:
            raise common.UsageError(f"{args.ics}: {error.strerror}") from error
    report.facts = {"state": str(path), "old_ns": state.old_ns, "new_ns": state.new_ns}
    report.measured = {"calendar": [list(entry) for entry in entries]}
    report.verdict = f"Wrote {path}. Next: nameserver migrate status {state.zone}."
    return report


async def _first(args: argparse.Namespace, tools: common.Tools, server: Server) -> Endpoint:
    """Where a side is asked. Raises UsageError, NotFound."""
    return (await common.sources(args, tools, "", server, None))[0].endpoint


async def _ns(asker: Asker, zone: dns.name.Name, endpoint: Endpoint) -> list[str]:
    outcome = await asker.ask(Question(zone, dns.rdatatype.NS), endpoint)
    found = outcome.answer(zone, dns.rdatatype.NS) if isinstance(outcome, Reply) else None
    return sorted(common.folded_text(record.target) for record in found) if found else []


def _written(server: Server) -> str:
    return str(server.endpoint or server)
