"""The summary of a run."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soak.board import Board, Slot


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known of a run when it is over."""

    seconds: float
    seed: int
    board: Board
    figures: Mapping[str, Any]  # the querier's
    log: str  # ours
    kills: Counter[str]
    starts: int
    to_ready: Sequence[float]  # seconds each
    left_behind: int
    unprovoked: int
    transfers_checked: int
    transfers_unanswered: int
    faults: Sequence[str]  # of transfers out, beginning with WRONG, LOST or BACKWARDS
    lost: Sequence[str]  # by status

    def _faults(self, slot: Slot) -> int:
        return self.board[slot] + sum(fault.startswith(slot.name) for fault in self.faults)

    @property
    def wrong(self) -> int:
        return self._faults(Slot.WRONG)

    @property
    def zones_lost(self) -> int:
        return self._faults(Slot.LOST) + len(self.lost)

    @property
    def backwards(self) -> int:
        return self._faults(Slot.BACKWARDS)

    @property
    def good(self) -> bool:
        """Nothing is wrong with what was answered, nothing of a killed server stayed, and nothing ended by itself."""
        faults = self.wrong, self.zones_lost, self.backwards, self.left_behind, self.unprovoked
        return not any(faults) and bool(self.figures)

    @property
    def changes(self) -> int:
        return self.board[Slot.PUBLISHED] - 1

    def lines(self) -> list[str]:
        return [
            f"soak of {self.seconds:.0f} s, SEED={self.seed}",
            *self._work(),
            *self._questions(),
            f"whole zones    {self.transfers_checked} transfers out checked, {self.transfers_unanswered} not answered",
            f"wrong answers  {self.wrong}",
            f"zones lost     {self.zones_lost}",
            f"serials back   {self.backwards}",
            f"left behind    {self.left_behind} processes; main processes that ended without being killed "
            f"{self.unprovoked}",
            *(f"  {text}" for text in [*self.faults[:20], *self.lost[:20]]),
        ]

    def _work(self) -> list[str]:
        taken = Counter(re.findall(r"transfer in .* got=(\w+) .*outcome=ok", self.log))
        kills = ", ".join(f"{victim} {number}" for victim, number in sorted(self.kills.items()))
        ready = sorted(self.to_ready) or [0.0]
        return [
            f"changes        {self.changes} ({self.changes / self.seconds:.1f}/s), "
            f"taken by {taken['ixfr']} IXFR and {taken['axfr']} AXFR",
            f"kill -9        {self.kills.total()}: {kills}",
            f"main process   started again {self.starts} times; until all workers served all zones: "
            f"median {ready[len(ready) // 2]:.2f} s, longest {ready[-1]:.2f} s",
        ]

    def _questions(self) -> list[str]:
        board, figures = self.board, self.figures
        kinds: Mapping[str, int] = figures.get("kinds", {})
        tcp = sum(number for kind, number in kinds.items() if kind.startswith("tcp"))
        silent, longest = figures.get("all", {}), figures.get("one", {}).get("longest", 0)
        missed = board[Slot.UNANSWERED]
        return [
            f"questions      {board[Slot.SENT]} ({board[Slot.SENT] / self.seconds:.0f}/s); "
            f"{board[Slot.ANSWERED]} answered, every answer checked, {tcp} of them over TCP",
            f"latency        median {figures.get('median', 0) * 1e3:.2f} ms, 99 % {figures.get('p99', 0) * 1e3:.0f} ms "
            "(a dead worker's questions wait for its successor)",
            f"unanswered     {missed} ({missed / max(1, board[Slot.SENT]):.2%}); "
            f"TCP connections refused {figures.get('tcp_refused', 0)}, cut {figures.get('tcp_cut', 0)}",
            f"silence        nobody answered {silent.get('spells', 0)} times, "
            f"longest {silent.get('longest', 0):.2f} s, together {silent.get('seconds', 0):.1f} s; "
            f"one worker's clients: longest {longest:.2f} s",
        ]
