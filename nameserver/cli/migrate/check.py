"""`nameserver migrate check ZONE @SERVER`: can the zone be had from there, and if not, what is in the way?"""

import argparse
import asyncio

from nameserver.cli.migrate import common
from nameserver.config.load import load_config
from nameserver.config.model import Endpoint, Remote
from nameserver.config.values import DNS_PORT
from nameserver.migrate import check
from nameserver.migrate.report import Report
from nameserver.wire import names


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument(
        "server",
        metavar="@SERVER",
        type=common.server,
        help="an address or a name; with -c also a remote of the configuration, whose key, source and TLS are used",
    )
    common.add_arguments(parser)
    common.add_key_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when every step is good, 1 when one is not, 3 when nothing answers there."""
    return common.run(args, lambda: _check(args))


async def _check(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    remote, addresses = _configured(args)
    key = common.key(args) or (remote.keys[0] if remote and remote.keys else None)
    limits = common.pull_limits(args)
    if remote is None:
        addresses = await common.endpoints(tools, args.server)
    measured = await asyncio.gather(
        *(check.measure(tools.asker, args.zone, endpoint, key, limits, remote) for endpoint in addresses)
    )
    return check.judge(args.zone, measured, key)


def _configured(args: argparse.Namespace) -> tuple[Remote | None, tuple[Endpoint, ...]]:
    """The remote that `@SERVER` is in the configuration, by its name or by its address, and where it is asked."""
    if args.config is None:
        return None, ()
    config = load_config(args.config)
    zone = config.zones.get(names.fold(args.zone.to_wire()))
    remotes = [*(zone.primaries if zone else ()), *config.remotes.values()]
    wanted = args.server
    for remote in remotes:
        if wanted.endpoint is None and remote.name == wanted.text:
            return remote, remote.addresses
    for remote in remotes:
        if wanted.endpoint in remote.addresses:
            return remote, (wanted.endpoint,)
    for remote in remotes:  # written without its port, which is another one with TLS
        same = tuple(each for each in remote.addresses if wanted.endpoint and each.host == wanted.endpoint.host)
        if remote.tls is not None and same and wanted.port == DNS_PORT:
            return remote, same
    return None, ()
