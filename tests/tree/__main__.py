"""A tree on one machine: a real primary, some of ours below it, more of ours below those, and changes in a row.

    BIND ── changed by dynamic update ──▶ tier 1: ours, ours ──▶ tier 2: 8 of ours      NOTIFY and IXFR, all signed

    make tree [CHANGES=1000] [SECONDS=100] [SEED=…]      exit status 1: somebody did not get everything, or has at the
                                                         end another zone than the primary, or was sent a zone whole

Printed for each tier: how long a change took from the moment in which the primary had it until it was served.
"""

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.updatable import UpdatableBind
from support.ask import Key
from support.daemon import new_key
from support.pair import Own
from support.peers import Primary, Target
from support.propagation import Changes, Watch, percentiles
from support.wait import wait_for
from support.zones import zone_text

ZONE = "tree.example"
HOSTS = 1000


@dataclass
class Tree:
    """Who stands in it. `tiers` from the top down, without the primary."""

    primary: Primary
    tiers: list[list[Own]]

    def servers(self) -> dict[str, Own]:
        """All of ours by "TIER.NUMBER"."""
        return {f"{tier}.{number}": own for tier, row in enumerate(self.tiers, 1) for number, own in enumerate(row, 1)}


@dataclass
class Report:
    """What came of a run. Milliseconds by tier."""

    changes: int = 0
    seconds: float = 0.0
    p50: dict[str, float] = field(default_factory=dict)
    p95: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    transfers: dict[str, dict[str, int]] = field(default_factory=dict)  # in, by what they were asked as and came as
    faults: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        rows = [f"{self.changes} changes in {self.seconds:.1f} s"]
        for tier in self.p50:
            times = f"p50 {self.p50[tier]:.1f} ms, p95 {self.p95[tier]:.1f} ms, most {self.most[tier]:.1f} ms"
            came = ", ".join(f"{count} {kind}" for kind, count in sorted(self.transfers[tier].items()))
            rows.append(f"tier {tier}: {times}; {came}")
        return [*rows, *(f"FAULT {fault}" for fault in self.faults), *([] if self.faults else ["all are equal"])]


def grow(stack: ExitStack, widths: Sequence[int]) -> Tree:
    """Start a primary and tiers of these widths, each server below one of the tier above it, in turn."""
    key = new_key("tree-key")
    patient = {"min-refresh-time": '"1h"'}
    tiers = [[stack.enter_context(Own(template=patient)) for _ in range(width)] for width in widths]
    primary = stack.enter_context(
        UpdatableBind(
            {ZONE: zone_text(ZONE, 1, hosts=HOSTS)},
            transfer_key=key,
            notify=[Target(own.port, key) for own in tiers[0]],
        )
    )
    primary.start()
    for depth, row in enumerate(tiers):
        below = tiers[depth + 1] if depth + 1 < len(tiers) else []
        for number, own in enumerate(row):
            above = primary.port if depth == 0 else tiers[depth - 1][number % len(tiers[depth - 1])].port
            _plant(own, key, above, [each.port for each in below[number :: len(row)]])
            own.start(wait_ready=False)
        for own in row:
            wait_for(lambda own=own: own.serial(ZONE) == 1, 60, "the tree to serve its zone", explain=own.explain)
    return Tree(primary, tiers)


def _plant(own: Own, key: Key, above: int, below: Sequence[int]) -> None:
    own.keys.append(key)
    own.settings["log-level"] = '"info"'
    own.remote("above", above, key)
    for number, port in enumerate(below):
        own.remote(f"below-{number}", port, key)
    names = ", ".join(f'"below-{number}"' for number in range(len(below)))
    rows = [f'{{ address = "127.0.0.0/8", key = "{each}" }}' for each in (key.name, own.watch_key.name)]
    own.zone_table(ZONE, primaries='["above"]', also_notify=f"[{names}]", allow_transfer=f"[{', '.join(rows)}]")


def run(tree: Tree, changes: int, seconds: float, seed: int) -> Report:
    """Make so many changes in so many seconds, and see who gets them when."""
    report = Report(changes)
    servers = tree.servers()
    ports = {name: own.port for name, own in servers.items()}
    with Changes(tree.primary.port, ZONE, seed) as make, Watch(ZONE, ports) as watch:
        began = time.monotonic()
        for number in range(changes):
            make.make()
            watch.published(2 + number)
            due = began + seconds * (number + 1) / changes
            watch.look(due)
            time.sleep(max(0.0, due - time.monotonic()))
        report.seconds = time.monotonic() - began
        try:
            watch.finish()
        except AssertionError as problem:
            report.faults.append(str(problem))
    for tier in map(str, range(1, len(tree.tiers) + 1)):
        delays = [delay for server in watch.servers if server.name.startswith(f"{tier}.") for delay in server.delays]
        report.p50[tier], report.p95[tier] = percentiles(delays)
        report.most[tier] = 1000 * max(delays)
        kinds: Counter[str] = Counter()
        for own in tree.tiers[int(tier) - 1]:
            for asked, got in re.findall(r"transfer in .*asked=(\w+) got=(\w+) .*outcome=ok", own.log):
                kinds[got if asked == got else f"{got} for {asked}"] += 1
        report.transfers[tier] = dict(kinds)
        if kinds["axfr for ixfr"] or kinds["axfr"] != len(tree.tiers[int(tier) - 1]):
            report.faults.append(f"tier {tier} was sent the zone whole more often than once each")
    wanted = tree.primary.zone_records(ZONE)
    for name, own in servers.items():
        if own.axfr(ZONE) != wanted:
            report.faults.append(f"{name} has another zone than the primary")
    return report


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make tree")
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--tiers", default="2,8", help="how many of ours stand in each, from the top")
    parser.add_argument("--seed", type=lambda text: int(text) if text else random.SystemRandom().randrange(2**32))
    parser.add_argument("--json", type=Path, help="write the report there too")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"SEED={seed}\n")
    with ExitStack() as stack:
        report = run(grow(stack, [int(width) for width in given.tiers.split(",")]), given.changes, given.seconds, seed)
    sys.stdout.write("\n".join(report.lines()) + "\n")
    if given.json:
        given.json.write_text(json.dumps(asdict(report), indent=2) + "\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
