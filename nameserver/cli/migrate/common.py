"""What the migration commands share: how servers, keys and resolvers are given, and how a report is shown."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.exception
import dns.name

from nameserver.cli.arguments import seconds
from nameserver.cli.migrate import configured
from nameserver.cli.migrate.render import markdown, text
from nameserver.cli.present import Palette, forget_reader, safe_lines
from nameserver.config.load import load_config
from nameserver.config.model import Endpoint, PullLimits
from nameserver.config.one_key import read_key
from nameserver.config.values import DNS_PORT, parse_port
from nameserver.errors import ConfigError, NameserverError
from nameserver.migrate.asking import vantage as where
from nameserver.migrate.asking.asking import Asker
from nameserver.migrate.asking.nameservers import Target, Unfound, find_targets
from nameserver.migrate.asking.root_hints import read_root_hints
from nameserver.migrate.asking.servers import BadValue, Server, parse_server
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.asking.walk import NotFound
from nameserver.migrate.checks.sides import Source
from nameserver.migrate.move.survey import Survey
from nameserver.migrate.report import UNREACHABLE, USAGE, Finding, Level, Report
from nameserver.store.whole_file import write_whole
from nameserver.wire import names
from nameserver.wire.tsig import TsigKey


class UsageError(NameserverError):
    """What was asked for cannot be done as it was written."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a command measures with."""

    asker: Asker
    tree: Tree


def zone_name(text: str) -> dns.name.Name:
    """A zone's name, for argparse."""
    if text.startswith("@"):
        raise argparse.ArgumentTypeError(f"{text!r} is written as a server: the zone stands first")
    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a domain name: {error}") from error


def folded_text(name: dns.name.Name) -> str:
    """A name in lower case without its final dot, as reports have it."""
    return name.canonicalize().to_text(omit_final_dot=True)


def server(text: str) -> Server:
    """A server, for argparse."""
    try:
        return parse_server(text)
    except BadValue as bad:
        raise argparse.ArgumentTypeError(str(bad)) from bad


def refuse_password(address: str) -> None:
    """A secret in an address would stand in the list of processes, and in files that are committed; for argparse."""
    if "@" in address.partition("://")[2].partition("/")[0]:
        raise argparse.ArgumentTypeError("a name or password stands in front of the host: no secret goes on this line")


def time_of_day(text: str) -> float:
    """A time with its zone, as seconds since 1970, for argparse."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a time as 2026-11-21T12:00:00Z, got {text!r}") from None
    if when.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} names no time zone: put Z behind it for UTC")
    if not 1970 <= when.year < 2200:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time of a move")
    return when.timestamp()


def port(text: str) -> int:
    """A port, for argparse."""
    try:
        return parse_port(text)
    except BadValue as bad:
        raise argparse.ArgumentTypeError(str(bad)) from bad


def count(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds, for argparse."""

    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"expected a number from {least} to {most}, got {text!r}")
        return int(text)

    return convert


def ttl(text: str) -> int:
    """A TTL in seconds, for argparse."""
    if not text.isdecimal() or not int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to {2**31 - 1}, got {text!r}")
    return int(text)


def _source(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected an IPv4 or IPv6 address of ours, got {text!r}") from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every migration command."""
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="the report as one JSON object")
    shown.add_argument("--markdown", action="store_true", help="the report as Markdown, for a ticket or a commit")
    asking = parser.add_argument_group("how it asks")
    asking.add_argument("--timeout", type=seconds(600), default=3.0, metavar="SECONDS", help="for each try")
    asking.add_argument(
        "--source", type=_source, action="append", default=[], metavar="ADDRESS", help="ask from it; one per family"
    )
    families = asking.add_mutually_exclusive_group()
    families.add_argument("-4", dest="families", action="store_const", const=frozenset({4}), help="IPv4 only")
    families.add_argument("-6", dest="families", action="store_const", const=frozenset({6}), help="IPv6 only")
    asking.add_argument(
        "--root-hints", type=Path, metavar="FILE", help="servers to start from: a root hints file, or any zone's NS"
    )
    asking.add_argument(
        "--resolver",
        type=server,
        metavar="ADDRESS",
        help="ask it for names and zone cuts instead of walking from the root",
    )
    asking.add_argument(
        "--port", type=port, default=DNS_PORT, metavar="PORT", help="of servers that are found by name (53)"
    )


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """`@SERVER …`: whom to ask instead of those that the tree names."""
    parser.add_argument(
        "servers", metavar="@SERVER", nargs="*", type=server, help="instead of those that parent and zone name"
    )


def add_side_arguments(parser: argparse.ArgumentParser) -> None:
    """`--old` and `--new`, each one server or several; which way to move a signed zone."""
    for name, help_text in (("old", "where the zone is now"), ("new", "where it is to go")):
        parser.add_argument(
            f"--{name}", metavar="SERVER", type=server, nargs="+", required=True, help=f"{help_text}; all its servers"
        )
    parser.add_argument("--ignore-dnssec", action="store_true", help="compare: leave out what signers make")
    parser.add_argument("--plan", choices=["unsign", "multi-signer"], default="", help="how a signed zone is moved")


def add_since_arguments(parser: argparse.ArgumentParser) -> None:
    """Since when what the ways to move a signed zone wait for has been so."""
    parser.add_argument(
        "--ds-gone-since", type=time_of_day, metavar="TIME", help="unsign: when the parent's last DS went away"
    )
    parser.add_argument(
        "--ds-ttl", type=ttl, default=0, metavar="SECONDS", help="unsign: the TTL that the DS had at the parent"
    )
    parser.add_argument(
        "--keys-since",
        type=time_of_day,
        metavar="TIME",
        help="multi-signer: when both sides were first seen with the keys of both",
    )
    parser.add_argument(
        "--ds-since",
        type=time_of_day,
        metavar="TIME",
        help="multi-signer: when all of the parent's servers were first seen with a DS of both sides",
    )


def since(args: argparse.Namespace) -> dict[str, float]:
    """What `add_since_arguments` was given, as `dnssec.Plan` has it."""
    given = {"ds-gone": args.ds_gone_since, "keys-shared": args.keys_since, "ds-both": args.ds_since}
    return {what: when for what, when in given.items() if when is not None}


def add_key_arguments(parser: argparse.ArgumentParser, *prefixes: str) -> None:
    """`--key NAME` and `--key-file FILE`, or for each prefix `--PREFIX-key NAME` and its file; and -c FILE."""
    keys = parser.add_argument_group("keys (a secret never stands on the command line)")
    for prefix in prefixes or ("",):
        option = f"--{prefix}-key" if prefix else "--key"
        whose = f"the {prefix} side's TSIG key" if prefix else "the TSIG key"
        keys.add_argument(option, metavar="NAME", help=f"{whose}, a name of the configuration or of its key file")
        keys.add_argument(f"{option}-file", type=Path, metavar="FILE", help="the key in a file: BIND block or secret")
    keys.add_argument("-c", "--config", type=Path, metavar="FILE", help="the configuration that has the key")


def tools(args: argparse.Namespace) -> Tools:
    """What the command asks with, as its options say. Raises UsageError."""
    asker = Asker(timeout=args.timeout, source=tuple(args.source))
    roots: tuple[Endpoint, ...] = ()
    if args.root_hints is not None:
        try:
            roots = read_root_hints(args.root_hints.read_text(encoding="utf-8"), args.port)
        except (OSError, ValueError) as error:
            raise UsageError(f"{args.root_hints}: {getattr(error, 'strerror', None) or error}") from error
    if args.resolver is not None and args.resolver.endpoint is None:
        raise UsageError(f"--resolver {args.resolver}: give an address, for who would look up the name?")
    resolver = args.resolver.endpoint if args.resolver is not None else None
    found = Tools(asker, Tree(asker, roots, args.port, args.families or frozenset({4, 6}), resolver))
    args.measured_with = found  # `run` tells from where was asked
    return found


def key(args: argparse.Namespace, prefix: str = "") -> TsigKey | None:
    """The key that `--key` and `--key-file` (or those of `prefix`) mean; None without. Raises UsageError."""
    option = f"{prefix}_key" if prefix else "key"
    name: str | None = getattr(args, option)
    path: Path | None = getattr(args, f"{option}_file")
    shown = "--" + option.replace("_", "-")
    if name is None:
        if path is not None:
            raise UsageError(f"{shown}-file needs the key's name too: {shown} NAME")
        return None
    if ":" in name:  # as dig has it: with the secret behind it, which is not to be shown once more
        raise UsageError(f"{shown}: expected a key's name; its secret is read from {shown}-file FILE or -c FILE")
    try:
        wanted = names.fold(names.from_text(name))
    except ValueError as error:
        raise UsageError(f"{shown} {name}: {error}") from error
    if path is not None:
        try:
            found, warnings = read_key(path, wanted, None)
        except BadValue as bad:
            raise UsageError(str(bad)) from bad
        for warning in warnings:
            print("\n".join(safe_lines(f"warning: {warning}")), file=sys.stderr)
        return found
    if args.config is None:
        raise UsageError(
            f"{shown} {name}: where is it? give -c FILE, a configuration that has it, or {shown}-file FILE"
        )
    keys = load_config(args.config).keys
    if wanted not in keys:
        raise UsageError(f"{args.config} has no key {name}; it has {', '.join(map(names.to_text, keys)) or 'none'}")
    return keys[wanted]


async def endpoints(tools: Tools, server: Server) -> tuple[Endpoint, ...]:
    """Where a server is reached: one address, or all of its name's. Raises UsageError where it has none, NotFound
    where nobody can be asked for it.
    """
    if server.endpoint is not None:
        return (server.endpoint,)
    if server.name is None:
        raise AssertionError("a server has an address or a name")
    try:
        found = await tools.tree.addresses(server.name)
    except NotFound as error:
        raise NotFound(f"{server}: {error}") from error
    if not found:
        raise UsageError(f"{server} has no address")
    return tuple(Endpoint(endpoint.host, server.port) for endpoint in found)


async def targets(tools: Tools, args: argparse.Namespace) -> tuple[list[Target], list[Unfound]]:
    """The servers that were given, else all that parent and zone name; and what could not be found.

    Raises UsageError for a server without an address, NotFound where the tree leads to none.
    """
    if not args.servers:
        return await find_targets(tools.tree, args.zone)
    found = [
        Target(str(server), endpoint, "given") for server in args.servers for endpoint in await endpoints(tools, server)
    ]
    return found, []


async def survey(args: argparse.Namespace) -> Survey:
    """What measures a move between the servers of `--old` and `--new`. Raises UsageError."""
    found = tools(args)
    old, new = await sides(args, found, args.old, args.new)
    limits = pull_limits(args)
    return Survey(
        found.asker, found.tree, args.zone, old, new, ignore_dnssec=args.ignore_dnssec, plan=args.plan, limits=limits
    )


async def sides(
    args: argparse.Namespace, found: Tools, old: Sequence[Server], new: Sequence[Server]
) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Every address of both sides, each with its side's key. Raises UsageError."""
    both: list[tuple[Source, ...]] = []
    for name, servers in (("old", old), ("new", new)):
        side_key = key(args, name)
        side = [source for each in servers for source in await sources(args, found, name, each, side_key)]
        both.append(tuple(side))
    refuse_one_side_twice(*both)
    return both[0], both[1]


async def sources(
    args: argparse.Namespace, found: Tools, name: str, server: Server, side_key: TsigKey | None
) -> list[Source]:
    """Every address of one server. Over TLS, where the configuration says so, with the remote's key if none was given.

    Raises UsageError, NotFound.
    """
    over_tls = configured.places_over_tls(args, server)
    places = over_tls or [configured.Place(endpoint) for endpoint in await endpoints(found, server)]
    return [
        Source(
            name,
            str(server),
            place.endpoint,
            side_key or next(iter(place.over_tls.keys if place.over_tls else ()), None),
            place.over_tls,
        )
        for place in places
    ]


def pull_limits(args: argparse.Namespace) -> PullLimits:
    """How long a server is waited for, as `--timeout` says."""
    wait = args.timeout
    return PullLimits(connect_timeout=wait, idle_timeout=wait * 3, udp_timeout=wait, udp_tries=2)


def refuse_one_side_twice(old: Sequence[Source], new: Sequence[Source]) -> None:
    """A server agrees with itself, which proves nothing. Raises UsageError where both sides have an address."""
    if both := {source.endpoint for source in old} & {source.endpoint for source in new}:
        raise UsageError(f"{', '.join(map(str, sorted(both)))} is given as the old side and as the new one")


def write_markdown(path: Path, report: Report) -> None:
    """The report as a file. Raises UsageError."""
    try:
        write_whole(path, (f"{line}\n".encode() for line in markdown(report)))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def vantage(targets: Sequence[Target], sources: Sequence[str]) -> str:
    """Our addresses as those servers see them."""
    return where.vantage([target.endpoint for target in targets], sources)


def run(args: argparse.Namespace, command: Callable[[], Coroutine[Any, Any, Report]], *, again: bool = False) -> int:
    """Run a command and show its report; the exit code. What cannot be begun is a sentence on standard error.

    `again`: it is run again and again. Raises BrokenPipeError then, once nobody reads what it shows.
    """
    try:
        report = asyncio.run(command())
    except NotFound as error:
        sentences = [str(error), *(finding.text for finding in _odd_sources(args))]
        return fail(args, "; ".join(sentences), UNREACHABLE)
    except (UsageError, ConfigError) as error:
        return fail(args, str(error), USAGE)
    report.findings += _odd_sources(args) + _one_family(args)
    report.asked_from = where.told(_asked(args), args.source)
    if args.json:
        shown = json.dumps(report.as_json(), indent=2, ensure_ascii=True)
    else:
        shown = "\n".join(markdown(report) if args.markdown else text(report, Palette.of()))
    try:
        print(shown, flush=True)
    except BrokenPipeError:
        if again:
            raise
        forget_reader()  # `migrate gate … | head -1` is no GO for having been read no further
    return report.exit_code


def _asked(args: argparse.Namespace) -> set[Endpoint]:
    """Whom the command has asked so far."""
    measured_with: Tools | None = getattr(args, "measured_with", None)
    return measured_with.asker.asked if measured_with is not None else set()


def _one_family(args: argparse.Namespace) -> list[Finding]:
    """Whoever leaves out IPv6 or IPv4 knows nothing of the addresses that the others are answered from."""
    if not args.families or not _asked(args):
        return []
    asked, other = (4, 6) if 4 in args.families else (6, 4)
    text = f"servers that are found by name were asked over IPv{asked} alone (-{asked}): of IPv{other} nothing is known"
    return [Finding(Level.WARNING, "one-family", text, f"Ask from where IPv{other} works, before you rely on it.")]


def _odd_sources(args: argparse.Namespace) -> list[Finding]:
    return where.odd_sources(_asked(args), args.source)


def fail(args: argparse.Namespace, sentence: str, code: int) -> int:
    """Say why it cannot be begun, in the form that was asked for; the exit code."""
    if args.json:
        print(json.dumps({"ok": False, "exit_code": code, "error": sentence}, indent=2, ensure_ascii=True))
    else:
        print("\n".join(safe_lines(sentence)), file=sys.stderr)
    return code
