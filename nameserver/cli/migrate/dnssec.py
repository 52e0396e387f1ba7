"""`nameserver migrate dnssec ZONE --old A --new B`: do validators go on finding the zone good?"""

import argparse
import time
from pathlib import Path

from nameserver.cli.migrate import common, moving
from nameserver.migrate.asking.servers import Server
from nameserver.migrate.checks import dnssec
from nameserver.migrate.move import gates
from nameserver.migrate.move.phases import PHASES
from nameserver.migrate.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument("--old", metavar="SERVER", type=common.server, help="where the zone is now")
    parser.add_argument("--new", metavar="SERVER", type=common.server, help="where it is to go")
    parser.add_argument(
        "--plan", choices=["unsign", "multi-signer"], help="hold it against one of the ways to move a signed zone"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="of a planned move: its sides, way and times; tells what still needs the old side's keys, and until when",
    )
    common.add_since_arguments(parser)
    common.add_arguments(parser)
    parser.set_defaults(config=None, old_key=None, old_key_file=None, new_key=None, new_key_file=None)


def main(args: argparse.Namespace) -> int:
    """0 when the chain of trust holds at each side (and the plan is complete), 1 when not, 2 usage, 3 unreachable."""
    return common.run(args, lambda: _dnssec(args))


async def _dnssec(args: argparse.Namespace) -> Report:
    if args.state is not None:
        return await _of_move(args)
    tools = common.tools(args)
    wanted: list[tuple[str, Server]] = [
        (name, server) for name, server in (("old", args.old), ("new", args.new)) if server is not None
    ]
    if args.plan and len(wanted) < 2:
        raise common.UsageError("--plan needs both sides: --old SERVER --new SERVER")
    if not wanted:
        raise common.UsageError("which servers? give --old SERVER, --new SERVER or both")
    found = {name: await common.endpoints(tools, server) for name, server in wanted}
    plan = dnssec.Plan(args.plan or "", common.since(args), args.ds_ttl)
    return await dnssec.examine_sides(
        tools.tree, args.zone, found.get("old", ()), found.get("new", ()), time.time(), plan
    )


async def _of_move(args: argparse.Namespace) -> Report:
    """As the state has it: both sides, and the keys of the old one from the first look to the last."""
    if args.old or args.new or args.plan or common.since(args):
        raise common.UsageError("--state FILE has the sides, the way and the times: give either it or them")
    state = moving.load(args)
    survey = await moving.survey(args, state)
    if PHASES.index(state.phase) >= PHASES.index("decommission"):
        survey.plan = ""  # what had to hold before the cut-over need not after it
    if state.phase == PHASES[-1]:
        survey.old = ()
    baseline, problem = moving.baseline(args, state)
    now = time.time()
    reports = await gates.measure(survey, state, ("dnssec",), now, baseline, problem, None)
    report = reports["dnssec"]
    keys = await gates.old_keys_gate(survey, state, state.remember(baseline), now, final=False)
    moving.keep(args, state, report)
    report.tables += keys.tables
    report.findings += [finding for finding in keys.findings if finding not in report.findings]
    report.facts["old_keys"] = keys.facts
    report.verdict = keys.verdict if keys.exit_code or report.exit_code == 0 else report.verdict
    return report
