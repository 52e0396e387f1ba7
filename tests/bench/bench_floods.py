"""A storm of NOTIFYs and a flood of TCP connections: ours, BIND, NSD and Knot side by side, in one run.

    make floods                                                     (some four minutes; as root, for the peers)
    .venv/bin/python tests/bench/bench_floods.py [--only storm|flood] [--servers NAME,…] [--rounds N] [--json FILE] …

    core 0: the server, one worker          core 1: primary, sender or crowd, prober; one process each

One server after the other, several rounds, the median of each figure over the rounds. Latencies are those of an
ordinary client that asks for another zone, a few questions a second. Everything is on loopback, bounded in time, and
gone afterwards. Prints Markdown, claims nothing.
"""

# ruff: noqa: T201, E402 - a script: it prints; its parts are found from where it stands

import argparse
import json
import math
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from floods.contestants import CONTESTANTS, Contestant, Server
from floods.primary import CountingPrimary, notify
from support.ask import LOOPBACK
from support.tables import Column, Figures, finite, middle, milliseconds, number, ratio, share, summary, table
from support.usage import Usage, Watch, favour, favoured, on_cores

STORMED, ASKED, CHANGED = "storm.test", "asked.test", "changed.test"
ZONES = (STORMED, ASKED, CHANGED)
LEAD = 0.7  # seconds until all processes of a load are up and waiting for the moment to begin
UDP_RATE, TCP_RATE = 200, 10  # questions a second of the ordinary client
DESCRIPTORS = 16_384
NEWS_PATIENCE = 3.0  # seconds after the storm's end until such a change is given up
PATIENCE = 60.0  # seconds that a process of the load may take beyond its time
NEWS_AGAIN = 1.0  # seconds until NOTIFY for another zone's change is sent again, while that is not served
NICENESS = -15  # where we may: other work on the machine is not what is measured
RAISED = 6000  # TCP clients at once, in the flood's second part


def say(text: str) -> None:
    print(text, flush=True)


# --- the parts of a load ---------------------------------------------------------------------------------------------


class Part:
    """A process of the load, and what it says at its end; gone when the `with` is left."""

    def __init__(self, module: str, server: Server, start: float, seconds: float, **options: Any) -> None:
        arguments = [f"--start={start}", f"--seconds={seconds}", *(f"--{each}={options[each]}" for each in options)]
        self._patience = start - time.monotonic() + seconds + PATIENCE
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"floods.{module}", str(server.port), *arguments],
            cwd=TESTS,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        favour(self._process.pid)

    def result(self) -> dict[str, Any]:
        """What it measured."""
        output, _ = self._process.communicate(timeout=self._patience)
        if self._process.returncode:
            raise SystemExit(f"a part of the load failed: {self._process.args!r}")
        return dict(json.loads(output))

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()


def prober(server: Server, start: float, seconds: float) -> Part:
    return Part("prober", server, start, seconds, name=f"www.{ASKED}", udp=UDP_RATE, tcp=TCP_RATE)


def latencies(client: Part) -> dict[str, Any]:
    """Of each transport."""
    return {transport: summary(taken) for transport, taken in client.result().items()}


def idle(server: Server, seconds: float) -> dict[str, Any]:
    """How it answers when nothing else happens."""
    with prober(server, time.monotonic() + LEAD, seconds) as client:
        return latencies(client)


def change_elsewhere(server: Server, primary: CountingPrimary, end: float) -> float:
    """Seconds from a zone's change at the primary until it is served, NOTIFY being sent again while it is not."""
    serial = primary.publish(CHANGED)
    began, told = time.monotonic(), 0.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        while server.serial(CHANGED) != serial:
            now = time.monotonic()
            if now > end:
                return math.inf
            if now - told >= NEWS_AGAIN:
                sock.sendto(notify(CHANGED), (LOOPBACK, server.port))
                told = now
            time.sleep(0.01)
    return time.monotonic() - began


# --- the two scenarios -----------------------------------------------------------------------------------------------


def storm(server: Server, primary: CountingPrimary, given: argparse.Namespace) -> dict[str, Any]:
    """NOTIFYs for one zone; nothing of it has changed."""
    before, seconds = idle(server, given.idle_seconds), given.storm_seconds
    start = time.monotonic() + LEAD
    with (
        Part("notify_sender", server, start, seconds, zone=STORMED, rate=given.rate) as sender,
        prober(server, start, seconds) as client,
    ):
        watch = Watch(group_of(server), start, start + seconds)
        time.sleep(max(0.0, start + seconds / 3 - time.monotonic()))
        news = change_elsewhere(server, primary, start + seconds + NEWS_PATIENCE)
        during, sent, usage = latencies(client), sender.result(), watch.join()
    asked = primary.count(STORMED, start, start + seconds)
    return {
        "notify_per_second": sent["sent"] / seconds,
        "notify_answered": sent["answered"] / max(1, sent["sent"]),
        "soa_per_second": asked["soa"] / seconds,
        "transfers_per_second": asked["transfers"] / seconds,
        "change_elsewhere_seconds": news,
        "idle": before,
        "during": during,
        **using(usage, seconds),
    }


def flood(server: Server, _primary: CountingPrimary, given: argparse.Namespace) -> dict[str, Any]:
    """TCP clients that want no good."""
    before, seconds = idle(server, given.idle_seconds), given.flood_seconds
    start = time.monotonic() + LEAD
    kinds = {"idle": given.idle, "slow": given.slow, "mute": given.mute}
    with (
        Part("crowd", server, start, seconds, name=f"big.{ASKED}", **kinds) as crowd,
        prober(server, start, seconds) as client,
    ):
        watch = Watch(group_of(server), start, start + seconds)
        during, came, usage = latencies(client), crowd.result(), watch.join()
    return {"crowd": came, "idle": before, "during": during, **using(usage, seconds)}


def group_of(server: Server) -> int:
    if server.child is None:
        raise SystemExit(f"not running: {server.explain()}")
    return server.child.pid


def using(usage: Usage, seconds: float) -> dict[str, Any]:
    return {
        "cpu_seconds": usage.cpu,
        "cpu_share": usage.cpu / seconds,
        "memory_before_mb": usage.memory_before / 1e6,
        "memory_growth_mb": (usage.memory_most - usage.memory_before) / 1e6,
        "tcp_buffers_growth_mb": (usage.buffers_most - usage.buffers_before) / 1e6,
        "descriptors_before": usage.descriptors_before,
        "descriptors_most": usage.descriptors_most,
    }


Scenario = Callable[[Server, CountingPrimary, argparse.Namespace], dict[str, Any]]


def measure(
    scenario: Scenario, contestants: Sequence[Contestant], rounds: int, given: argparse.Namespace, **options: Any
) -> list[tuple[str, Figures]]:
    """Every contestant once per round, started for it and ended after it."""
    first, *others = sorted(os.sched_getaffinity(0))
    found: dict[str, list[Figures]] = {each.name: [] for each in contestants}
    with on_cores(set(others) or {first}), CountingPrimary(*ZONES) as primary:
        for number_of_round in range(rounds):
            for each in contestants:
                say(f"{scenario.__name__}, round {number_of_round + 1} of {rounds}: {each.name} {options or ''}")
                with on_cores({first}):
                    server = each.start(ZONES, primary.port, **options)
                favour(group_of(server))
                try:
                    found[each.name].append(scenario(server, primary, given))
                finally:
                    server.close()
    return [(name, middle(figures)) for name, figures in found.items()]


# --- what is printed -------------------------------------------------------------------------------------------------


def change(transport: str, which: str) -> Column:
    """A latency, idle → during, in milliseconds."""
    return (
        f"{transport.upper()} {which} ms",
        lambda f: f"{milliseconds(f['idle'][transport][which])} → {milliseconds(f['during'][transport][which])}",
    )


def times(transport: str) -> Column:
    return ("p99 ratio", lambda f: ratio(f["during"][transport]["p99"], f["idle"][transport]["p99"]))


def answered(transport: str) -> Column:
    return (f"{transport.upper()} answered", lambda f: share(f["during"][transport]["answered"]))


USING: list[Column] = [
    ("CPU", lambda f: f"{number(f['cpu_seconds'])} s, {share(f['cpu_share'])}"),
    ("memory MB", lambda f: f"{number(f['memory_before_mb'])} +{number(f['memory_growth_mb'])}"),
]
STORM: list[Column] = [
    ("NOTIFY/s sent", lambda f: number(f["notify_per_second"])),
    ("answered", lambda f: share(f["notify_answered"])),
    ("SOA/s", lambda f: number(f["soa_per_second"])),
    ("transfers/s", lambda f: number(f["transfers_per_second"])),
    change("udp", "p50"),
    change("udp", "p99"),
    times("udp"),
    answered("udp"),
    ("another zone's change s", lambda f: number(f["change_elsewhere_seconds"])),
    *USING,
]
FLOOD: list[Column] = [
    ("connections held", lambda f: f"{number(f['crowd']['most'])} of {number(f['crowd']['members'])}"),
    change("udp", "p50"),
    change("udp", "p99"),
    times("udp"),
    answered("udp"),
    ("new TCP clients served", lambda f: share(f["during"]["tcp"]["answered"])),
    change("tcp", "p50"),
    change("tcp", "p99"),
    *USING,
    ("TCP buffers MB", lambda f: f"+{number(f['tcp_buffers_growth_mb'])}"),
    ("descriptors", lambda f: f"{number(f['descriptors_before'])} → {number(f['descriptors_most'])}"),
]


def load() -> str:
    return " ".join(f"{each:.1f}" for each in os.getloadavg())


def main() -> int:
    given = arguments()
    wanted = given.servers.split(",") if given.servers else [each.name for each in CONTESTANTS]
    contestants = [each for each in CONTESTANTS if each.name in wanted and each.here]
    for each in CONTESTANTS:
        if each.name in wanted and not each.here:
            say(f"{each.name} is not here, so it is left out; `make test` installs it, as root on Debian")
    allow_descriptors()
    began, at_start = datetime.now(UTC), load()
    results: dict[str, list[tuple[str, Figures]]] = {}
    with favoured(given.niceness) as first:
        if given.only != "flood":
            results["storm"] = measure(storm, contestants, given.rounds, given)
        if given.only != "storm":
            results["flood, own limits"] = measure(flood, contestants, given.flood_rounds, given)
            results[f"flood, {RAISED} clients"] = measure(flood, contestants, given.flood_rounds, given, clients=RAISED)
    versions = {each.name: each.version() for each in contestants}
    about = {
        "date": f"{began:%Y-%m-%d %H:%M} UTC",
        "versions": versions,
        "machine": f"{os.cpu_count()} cores, Linux {platform.release()}, CPython {platform.python_version()}",
        "load_average": {"start": at_start, "end": load()},
        "niceness": given.niceness if first else 0,
        "seconds": (datetime.now(UTC) - began).total_seconds(),
        "arguments": vars(given),
        "limits": {each.name: each.default_limits for each in contestants},
    }
    report(about, results, given)
    if given.json:
        figures = {name: dict(rows) for name, rows in results.items()}
        Path(given.json).write_text(json.dumps(finite({**about, "figures": figures}), indent=1) + "\n")
    return 0


def report(about: dict[str, Any], results: dict[str, list[tuple[str, Figures]]], given: argparse.Namespace) -> None:
    """The tables and what they are of."""
    say("")
    say(f"{about['date']}; {', '.join(f'{name} {version}' for name, version in about['versions'].items())}")
    ends = about["load_average"]
    say(f"{about['machine']}; load average {ends['start']} at the start, {ends['end']} at the end")
    say(f"server and load run with niceness {about['niceness']}; the whole took {about['seconds']:.0f} s")
    say("latencies: idle → under load, of all tries; `lost`: that share had no answer within 2 s")
    say("memory: PSS of all processes; TCP buffers: the kernel's, of the whole machine and both ends, grown by")
    for name, rows in results.items():
        if name == "storm":
            say(
                f"\nNOTIFY storm: {given.rate:.0f}/s for {given.storm_seconds:g} s, one zone, allowed, no SOA in it; "
                f"median of {given.rounds} rounds\n"
            )
            say(table(rows, STORM))
        else:
            say(
                f"\n{name}: {given.idle} silent connections, {given.slow} with a byte a second, {given.mute} that send "
                f"questions and never read, opened again when lost; {given.flood_seconds:g} s; "
                f"median of {given.flood_rounds} rounds\n"
            )
            say(table(rows, FLOOD))
    if any(name != "storm" for name in results):
        say("\nown limits: " + "; ".join(f"{name} {limits}" for name, limits in about["limits"].items()))


def allow_descriptors() -> None:
    """For the crowd, and for servers that are to let it in; both inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= DESCRIPTORS:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(hard, DESCRIPTORS)))
    except (ValueError, PermissionError):
        raise SystemExit(f"{DESCRIPTORS} open files are needed, {hard} allowed: see `ulimit -Hn`") from None


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Of the command line, unless told otherwise."""
    parser = argparse.ArgumentParser(
        prog="make floods", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("storm", "flood"))
    parser.add_argument("--servers", default="", help="names, with commas between them; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="of the storm")
    parser.add_argument("--flood-rounds", type=int, default=1)
    parser.add_argument("--idle-seconds", type=float, default=1.5, help="measured before each")
    parser.add_argument("--storm-seconds", type=float, default=6.0)
    parser.add_argument("--flood-seconds", type=float, default=7.0)
    parser.add_argument("--rate", type=float, default=20_000.0, help="NOTIFYs a second")
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--slow", type=int, default=500)
    parser.add_argument("--mute", type=int, default=50)
    parser.add_argument("--niceness", type=int, default=NICENESS, help="of servers and load, against all else here")
    parser.add_argument("--json", help="also write everything to this file")
    return parser.parse_args(words)


if __name__ == "__main__":
    raise SystemExit(main())
