"""`nameserver migrate check ZONE @SERVER`: can the zone be had from there, and if not, what is in the way?"""

import argparse
import asyncio
import sys
import time

from nameserver.cli.arguments import seconds
from nameserver.cli.migrate import common
from nameserver.cli.migrate.configured import remote_of
from nameserver.config.load import load_config
from nameserver.config.model import Remote
from nameserver.control.client import call
from nameserver.control.protocol import ControlError
from nameserver.migrate.checks import check, check_notify
from nameserver.migrate.checks.check_step import Step
from nameserver.migrate.report import Report
from nameserver.telemetry.advice import Advice
from nameserver.telemetry.events import NotifyReceivedEvent
from nameserver.telemetry.status import ZoneStatus

_SEND = "rndc notify {zone}, knotc zone-notify {zone}, nsd-control notify {zone}, pdns_control notify {zone}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument(
        "server",
        metavar="@SERVER",
        type=common.server,
        help="an address or a name; with -c also a remote of the configuration, whose key, source and TLS are used",
    )
    parser.add_argument(
        "--notify",
        type=seconds(3600),
        default=0.0,
        metavar="SECONDS",
        help="wait so long for a NOTIFY from it, which is sent there meanwhile, to reach our daemon (with -c)",
    )
    common.add_arguments(parser)
    common.add_key_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when every step is good, 1 when one is not, 3 when nothing answers there."""
    return common.run(args, lambda: _check(args))


async def _check(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    remote, addresses = remote_of(args, args.server)
    key = common.key(args) or (remote.keys[0] if remote and remote.keys else None)
    limits = common.pull_limits(args)
    if remote is None:
        addresses = await common.endpoints(tools, args.server)
    notify = asyncio.create_task(_notified(args, remote))
    measured = await asyncio.gather(
        *(check.measure(tools.asker, args.zone, endpoint, key, limits, remote) for endpoint in addresses)
    )
    step = await notify
    if step is not None:
        measured[0].steps.append(step)
    return check.judge(args.zone, measured, key)


async def _notified(args: argparse.Namespace, remote: Remote | None) -> Step | None:
    """What our daemon has heard from that primary; None where it is none of ours. Raises UsageError."""
    if remote is None:
        if args.notify:
            raise common.UsageError("--notify: give -c FILE, a configuration in which @SERVER is a primary of the zone")
        return None
    path = load_config(args.config).server.control
    zone = common.folded_text(args.zone)

    def heard() -> tuple[NotifyReceivedEvent, ...]:
        [status] = call(path, "status", zone=zone)["zones"]
        return ZoneStatus.from_json(status).notifies

    if args.notify:
        print(f"waiting {args.notify:g} s for a NOTIFY. At the primary: {_SEND.format(zone=zone)}", file=sys.stderr)
    try:
        hosts = {endpoint.host for endpoint in remote.addresses}
        return await check_notify.measure(heard, hosts, args.notify, time.time)
    except ControlError as error:
        if args.notify:
            raise common.UsageError(f"--notify: {error}") from error
        words = Advice("", f"{error}. Start it, and ask again.")
        return Step(check_notify.NOTIFY, None, "our daemon does not answer, so nobody knows", words=words, unknown=True)
