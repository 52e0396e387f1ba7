"""What the commands of a planned move share: its state file, what measures it, its snapshot, its metrics."""

import argparse
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nameserver.cli.migrate import common
from nameserver.cli.migrate.progress import Progress
from nameserver.migrate.asking.servers import BadValue, Server, parse_server
from nameserver.migrate.checks import snapshot
from nameserver.migrate.moments import moment
from nameserver.migrate.move import gates, phases
from nameserver.migrate.move.gate import RESOLVERS_IN_STATE, combine, opening, tell_no_resolvers
from nameserver.migrate.move.phases import State, StateChanged, StateError
from nameserver.migrate.move.survey import Survey
from nameserver.migrate.report import Level, Report

METRICS_TIMEOUT = 10.0  # seconds
MOST_METRICS = 64 * 1024 * 1024  # octets of a page of metrics that are read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """ZONE, the state file, keys and the common options."""
    parser.add_argument("zone", metavar="ZONE", type=common.zone_name)
    parser.add_argument("--state", type=Path, metavar="FILE", help="the move's state (ZONE.migration.json)")
    common.add_arguments(parser)
    common.add_key_arguments(parser, "old", "new")


def add_metrics_argument(parser: argparse.ArgumentParser, what: str = "where the old side counts queries") -> None:
    """`--metrics URL …`."""
    forms = "of each server: our metrics, or BIND's http://HOST:PORT/json/v1/zones"
    parser.add_argument("--metrics", metavar="URL", nargs="+", type=_address, default=[], help=f"{what}, {forms}")


def _address(text: str) -> str:
    """An address of metrics, for argparse: the state holds several with spaces between."""
    if not text or any(letter.isspace() for letter in text):
        raise argparse.ArgumentTypeError(f"expected an address without spaces, got {text!r}")
    common.refuse_password(text)
    return text


def path_of(args: argparse.Namespace) -> Path:
    """Where the state is."""
    if args.state is not None:
        return Path(args.state)
    return Path(f"{args.zone.to_text(omit_final_dot=True).lower().replace('/', '%2F')}.migration.json")


def load(args: argparse.Namespace) -> State:
    """The state. Raises UsageError."""
    path = path_of(args)
    try:
        state, args.state_digest = phases.read_with_digest(path)
    except StateError as error:
        raise common.UsageError(str(error)) from error
    zone = args.zone.to_text(omit_final_dot=True).lower()
    if state.zone != zone:
        raise common.UsageError(f"{path} is the move of {state.zone}, not of {zone}")
    return state


def save(args: argparse.Namespace, state: State) -> None:
    """Write the state in place of the one that was loaded. Raises UsageError, also where that is there no more."""
    try:
        args.state_digest = phases.replace_file(path_of(args), state, getattr(args, "state_digest", ""))
    except StateError as error:
        raise common.UsageError(str(error)) from error


def keep(args: argparse.Namespace, state: State, report: Report) -> None:
    """The same, for a command that measures: where another has written meanwhile, the report stands and says so."""
    try:
        args.state_digest = phases.replace_file(path_of(args), state, args.state_digest)
    except StateChanged as error:
        report.add(Level.WARNING, "not-recorded", str(error))
    except StateError as error:
        raise common.UsageError(str(error)) from error


def baseline(args: argparse.Namespace, state: State) -> tuple[snapshot.Snapshot | None, str]:
    """(the snapshot, why there is none)."""
    try:
        return snapshot.read(path_of(args).parent / state.snapshot, state.zone), ""
    except snapshot.SnapshotError as error:
        return None, str(error)


async def survey(args: argparse.Namespace, state: State) -> Survey:
    """What measures this move. Raises UsageError."""
    found = common.tools(args)
    for name, key_name in (("old", state.old_key), ("new", state.new_key)):
        if getattr(args, f"{name}_key") is None and key_name and (args.config or getattr(args, f"{name}_key_file")):
            setattr(args, f"{name}_key", key_name)
    servers = ([_server(args, text) for text in texts] for texts in (state.old, state.new))
    old, new = await common.sides(args, found, *servers)
    resolvers = [
        endpoint for text in state.resolvers for endpoint in await common.endpoints(found, _server(args, text))
    ]
    return Survey(
        found.asker,
        found.tree,
        args.zone,
        old,
        new,
        target_ttl=state.target_ttl,
        floor=state.floor,
        ignore_dnssec=state.dnssec == "multi-signer",
        plan=state.dnssec,
        resolvers=tuple(resolvers),
        limits=common.pull_limits(args),
    )


def _server(args: argparse.Namespace, text: str) -> Server:
    try:
        return parse_server(text)
    except BadValue as bad:
        raise common.UsageError(f"{path_of(args)}: {bad}") from bad


def metrics_of(state: State) -> Callable[[], list[str]] | None:
    """What fetches the pages on which the old side counts its queries; None where there is none. Raises UsageError."""
    return pages_of(state.pages) if state.metrics else None


def pages_of(metrics: Sequence[str]) -> Callable[[], list[str]]:
    """What fetches the pages at these addresses, or raises ValueError. Raises UsageError for what is no address."""
    addresses = [text if "://" in text else f"http://{text}/metrics" for text in metrics]
    for address in addresses:
        if not address.startswith(("http://", "https://")):
            raise common.UsageError(f"{address}: expected an http or https address of metrics")
    return lambda: [_fetch(address) for address in addresses]


def _fetch(address: str) -> str:
    """The page at an address. Raises ValueError with the address and why there is none."""
    try:
        with urllib.request.urlopen(address, timeout=METRICS_TIMEOUT) as page:  # noqa: S310 - the scheme was checked
            return str(page.read(MOST_METRICS).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        why = f"answers {error.code} {error.reason}"
    except http.client.HTTPException as error:
        why = f"no answer of HTTP: {error or type(error).__name__}"
    except OSError as error:
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    raise ValueError(f"{address}: {why}")


def tell_old_keys(report: Report, reports: Mapping[str, Report]) -> None:
    """Add what needs which key of the old side, where it has any of its own."""
    of_keys = reports.get("old-keys")
    if of_keys is not None:
        report.tables += [table for table in of_keys.tables if table.rows]
        report.findings += [
            replace(finding, code=f"old-keys/{finding.code}")
            for finding in of_keys.findings
            if finding.level is Level.NOTE
        ]


async def measure(args: argparse.Namespace, state: State, command: str) -> Report:
    """Measure the gates of the next phase, and keep in the state what was seen. Raises UsageError."""
    wanted = phases.gates_before(state.following, state)
    old, problem = baseline(args, state)
    with Progress(command) as progress:
        measuring = await survey(args, state)
        measuring.watcher = progress
        reports = await gates.measure(measuring, state, wanted, time.time(), old, problem, metrics_of(state))
    report = combine(state.zone, reports, command)
    if command == "advance":  # who goes on has to know what the others have seen
        save(args, state)
    else:
        keep(args, state, report)
    report.facts |= {"phase": state.phase, "next": state.following}
    openings = {name: each.facts["safe_from"] for name, each in reports.items() if "safe_from" in each.facts}
    report.facts["opens"] = openings
    tell_old_keys(report, reports)
    if not state.resolvers and phases.OF_RESOLVERS.intersection(phases.GATES.get(state.following or "", ())):
        tell_no_resolvers(report, RESOLVERS_IN_STATE)
    if state.following is None:
        report.verdict = f"{state.zone} has been moved."
    elif report.exit_code == 0:
        report.verdict = f"In phase {state.phase}. The gate to {state.following} is open: nameserver migrate advance."
    else:
        opens = opening(reports.values())
        until = f" until {moment(opens)}, if nothing else changes" if opens is not None else ""
        report.verdict = f"In phase {state.phase}. The gate to {state.following} is closed{until}."
    return report
