"""Which remote of the configuration (-c FILE) a server is: its key, its source, and whether transfers go over TLS."""

import argparse
from dataclasses import dataclass, replace

from nameserver.config.load import load_config
from nameserver.config.model import Endpoint, Remote
from nameserver.config.values import DNS_PORT
from nameserver.migrate.asking.servers import Server
from nameserver.wire import names


@dataclass(frozen=True, slots=True)
class Place:
    """One address of a server. `endpoint`: where it is asked as resolvers ask it.

    `over_tls`: the remote that it is, with the one address at which zones are had from it over TLS.
    """

    endpoint: Endpoint
    over_tls: Remote | None = None


def remote_of(args: argparse.Namespace, wanted: Server) -> tuple[Remote | None, tuple[Endpoint, ...]]:
    """The remote that a server is, by its name or by its address, and the addresses of it that are meant."""
    if args.config is None:
        return None, ()
    config = load_config(args.config)
    zone = config.zones.get(names.fold(args.zone.to_wire()))
    remotes = [*(zone.primaries if zone else ()), *config.remotes.values()]
    for remote in remotes:
        if wanted.endpoint is None and remote.name == wanted.text:
            return remote, remote.addresses
    for remote in remotes:
        if wanted.endpoint in remote.addresses:
            return remote, (wanted.endpoint,)
    for remote in remotes:  # written without its port, which is another one with TLS
        same = tuple(each for each in remote.addresses if wanted.endpoint and each.host == wanted.endpoint.host)
        if remote.tls is not None and same and wanted.port in (DNS_PORT, args.port):
            return remote, same
    return None, ()


def places_over_tls(args: argparse.Namespace, server: Server) -> list[Place]:
    """Every address of a server that zones are had from over TLS; none where it is no such remote.

    Resolvers come in plain, to the port of `--port`, whatever the one for TLS is: there such a server is asked.
    """
    remote, addresses = remote_of(args, server)
    if remote is None or remote.tls is None:
        return []
    asked = None if server.endpoint in addresses else server.endpoint
    return [
        Place(asked or Endpoint(address.host, args.port), replace(remote, addresses=(address,)))
        for address in addresses
    ]
