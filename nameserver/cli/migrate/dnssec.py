"""`nameserver migrate dnssec ZONE --old A --new B`: do validators go on finding the zone good?"""

import argparse
import asyncio
import time

from nameserver.cli.migrate import common
from nameserver.config.model import Endpoint
from nameserver.migrate import delegation, dnssec, dnssec_plan
from nameserver.migrate.report import Report
from nameserver.migrate.servers import Server


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument("--old", metavar="SERVER", type=common.server, help="where the zone is now")
    parser.add_argument("--new", metavar="SERVER", type=common.server, help="where it is to go")
    parser.add_argument(
        "--plan", choices=["unsign", "multi-signer"], help="hold it against one of the ways to move a signed zone"
    )
    parser.add_argument(
        "--ds-gone-since", type=common.time_of_day, metavar="TIME", help="unsign: when the parent's last DS went away"
    )
    parser.add_argument(
        "--ds-ttl", type=int, default=0, metavar="SECONDS", help="unsign: the TTL that the DS had at the parent"
    )
    common.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when the chain of trust holds at each side (and the plan is complete), 1 when not, 2 usage, 3 unreachable."""
    return common.run(args, lambda: _dnssec(args))


async def _dnssec(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    wanted: list[tuple[str, Server]] = [
        (name, server) for name, server in (("old", args.old), ("new", args.new)) if server is not None
    ]
    if args.plan and len(wanted) < 2:
        raise common.UsageError("--plan needs both sides: --old SERVER --new SERVER")
    if not wanted:
        raise common.UsageError("which servers? give --old SERVER, --new SERVER or both")
    parent = await delegation.measure(tools.tree, args.zone, only_parent=True)
    views = [view for view in parent.parents if not view.problem]
    endpoints: list[Endpoint] = [(await common.endpoints(tools, server))[0] for _, server in wanted]
    sides = await asyncio.gather(
        *(
            dnssec.measure_side(tools.asker, args.zone, name, endpoint)
            for (name, _), endpoint in zip(wanted, endpoints, strict=True)
        )
    )
    seen = dnssec.Measured(
        {str(view.endpoint): view.ds for view in views}, max((view.ds_ttl for view in views), default=0), list(sides)
    )
    now = time.time()
    report = dnssec.judge(args.zone, seen, now)
    if args.plan == "unsign":
        dnssec_plan.tell(
            report, dnssec_plan.unsign(args.zone, seen, args.ds_gone_since, max(args.ds_ttl, seen.ds_ttl), now)
        )
    elif args.plan:
        dnssec_plan.tell(report, dnssec_plan.multi_signer(args.zone, seen, now))
    return report
