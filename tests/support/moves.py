"""A move of shop.example in any phase, its snapshot, and what stands where its servers are asked."""

from dataclasses import replace
from typing import Any

from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.move.phases import State
from nameserver.migrate.move.survey import Watcher
from nameserver.migrate.report import Level, Report


def snapshot(**changed: Any) -> Snapshot:
    made = Snapshot(
        "shop.example", 1, "ab" * 32, "192.0.2.1", 0.0, True, 9, {}, 300, 300, 7 * 86400, {},
        ["old.shop.example."], 3600, ["old.shop.example"], 86400, [], 0,
    )  # fmt: skip
    return replace(made, **changed)


def move(phase: str, **changed: Any) -> State:
    return replace(State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "zones", phase=phase), **changed)


def report(*faults: str, unreachable: bool = False, **facts: Any) -> Report:
    made = Report("", "shop.example", facts=facts, unreachable=unreachable)
    for code in faults:
        made.add(Level.FAULT, code, code)
    return made


class Seen:
    """Stands where servers are asked: what each look finds, in turn."""

    watcher = Watcher()

    def __init__(self, *looks: Report, lagging: tuple[str, ...] = ()) -> None:
        self.looks = list(looks)
        self.lagging = lagging
        self.baselines: list[Snapshot | None] = []

    async def look(self, *given: Any, **_: Any) -> Report:
        if given and isinstance(given[0], Snapshot | None):
            self.baselines.append(given[0])
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    ttl = delegation = dnssec = overlap = look

    async def serials(self, side: str) -> Report:
        return report(*self.lagging) if side == "old" else report()
