"""`nameserver migrate primary-snippet ZONE --for bind|knot|nsd|pdns`: what to paste at the primary."""

import argparse
import base64
import sys
from ipaddress import ip_address
from pathlib import Path

from nameserver.cli.migrate import common
from nameserver.config.load import load_config
from nameserver.config.model import Config, Endpoint
from nameserver.errors import ConfigError
from nameserver.migrate.checks.key_clauses import SECRET
from nameserver.migrate.checks.primary_snippet import VENDORS, WITH_TLS, Wanted, snippet
from nameserver.wire import names
from nameserver.wire.tsig import TsigKey

GOOD, USAGE = 0, 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument("--for", dest="vendor", choices=list(VENDORS), required=True, help="the primary's software")
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", required=True, help="our configuration")
    parser.add_argument("--primary", metavar="REMOTE", help="which of the zone's primaries, where they have other keys")
    parser.add_argument(
        "--address", metavar="ADDRESS", type=common.server, action="append", help="ours; needed where we listen on all"
    )
    parser.add_argument("--with-secret", action="store_true", help="with the key's secret in its place")


def main(args: argparse.Namespace) -> int:
    """0 with the snippet on standard output, 2 where the configuration does not tell what has to stand there."""
    try:
        config = load_config(args.config)
        key, addresses = _key(args, config), _addresses(args, config)
    except ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return USAGE
    except common.UsageError as error:
        print(error, file=sys.stderr)
        return USAGE
    zone = args.zone.to_text(omit_final_dot=True).lower()
    tls_port, shows = _tls(args, config)
    if tls_port and args.vendor not in WITH_TLS:
        print("warning: this is for transfers in plain: Knot 3.2 and PowerDNS 4.7 have no others", file=sys.stderr)
        tls_port = 0
    if key is None:
        print("warning: no key: whoever can send from that address can have the zone", file=sys.stderr)
        print(snippet(Wanted(zone, addresses, tls_port=tls_port, shows_certificate=shows), args.vendor), end="")
        return GOOD
    secret = base64.b64encode(key.secret).decode() if args.with_secret else SECRET
    name = names.to_text(key.name)
    wanted = Wanted(zone, addresses, name, key.algorithm, secret, tls_port, shows)
    print(snippet(wanted, args.vendor), end="")
    if not args.with_secret:
        print(f"fill in {SECRET} (key {name}, fingerprint {key.fingerprint}), or give --with-secret", file=sys.stderr)
    return GOOD


def _tls(args: argparse.Namespace, config: Config) -> tuple[int, bool]:
    """(the port with TLS of the zone's primary, 0 where it has none; whether we show it a certificate)."""
    for remote in config.zones[names.fold(args.zone.to_wire())].primaries:
        if remote.tls is not None and args.primary in (None, remote.name):
            return remote.addresses[0].port, remote.tls.certificate is not None
    return 0, False


def _key(args: argparse.Namespace, config: Config) -> TsigKey | None:
    zone = config.zones.get(names.fold(args.zone.to_wire()))
    if zone is None:
        raise common.UsageError(f"{args.config} has no zone {args.zone}")
    remotes = [remote for remote in zone.primaries if args.primary in (None, remote.name)]
    if not remotes:
        known = ", ".join(remote.name for remote in zone.primaries) or "none"
        raise common.UsageError(f"{args.zone} has no primary {args.primary or ''}; it has {known}")
    keys = {remote.keys[:1] for remote in remotes}
    if len(keys) > 1:
        raise common.UsageError("its primaries have different keys: name one with --primary")
    return next(iter(keys.pop()), None)


def _addresses(args: argparse.Namespace, config: Config) -> list[Endpoint]:
    given = [server.endpoint for server in args.address or () if server.endpoint is not None]
    if len(given) < len(args.address or ()):
        raise common.UsageError("--address: an address of ours is wanted, as access lists have it, not a name")
    if given:
        return given
    found = [each for each in config.server.listen if not ip_address(each.host).is_unspecified]
    if not found:
        raise common.UsageError("we listen on every address: say which one the primary sees, with --address")
    return found
