"""The one who kills, and the service manager who starts again."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from typing import NamedTuple

from soak.board import Board, Slot
from soak.floor import Floor
from support.daemon import Nameserver
from support.process import Child

SHORTEST, LONGEST = 3.0, 10.0  # seconds between two kills
VICTIMS = {"one worker": 45, "the transfer process": 25, "all workers": 10, "everything": 20}
HASTE = 0.2  # share of the restarts during which it is killed again, within …
HASTE_WITHIN = 1.0  # … so many seconds
LEFT_BEHIND = 10.0  # seconds after which a dead main process's workers must be gone


class Predecessor(NamedTuple):
    """A main process that is dead, and what its successor must not fall behind."""

    child: Child
    died: float
    floor: int


class Keeper:
    """Called every few hundredths of a second."""

    def __init__(self, ours: Nameserver, board: Board, floor: Floor, dice: random.Random) -> None:
        self._ours = ours
        self._board = board
        self._floor = floor
        self._dice = dice
        self._predecessors: list[Predecessor] = []
        self._next = time.monotonic() + self._pause()
        self.kills: Counter[str] = Counter()
        self.starts = 0
        self.left_behind = 0
        self.unprovoked = 0  # ends of a main process that nobody had killed
        self._killed: Child | None = None
        self.died_at: float | None = None  # of the main process before this one, until this one is ready
        self.to_ready: list[float] = []

    def _pause(self) -> float:
        return self._dice.uniform(SHORTEST, LONGEST)

    def step(self, *, killing: bool = True) -> None:
        if killing and time.monotonic() >= self._next:
            self._kill()
            self._next = time.monotonic() + self._pause()
        if self._ours.child is not None and not self._ours.child.alive:
            self._start_again(self._ours.child)
            if killing and self._dice.random() < HASTE:
                self._next = time.monotonic() + self._dice.uniform(0, HASTE_WITHIN)
        self._look_after_predecessors()

    def _kill(self) -> None:
        child = self._ours.child
        if child is None:
            return
        workers = [pid for pid in child.group() if pid != child.pid]
        victim = self._dice.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        chosen = {
            "one worker": self._dice.sample(workers, min(1, len(workers))),
            "all workers": workers,
            "the transfer process": [child.pid],
            "everything": self._dice.sample([child.pid, *workers], 1 + len(workers)),
        }[victim]
        if child.pid in chosen:
            self._killed = child
            self._board[Slot.SETTLED] = 0
        for pid in chosen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kills[victim] += bool(chosen)
        if child.pid in chosen:
            child.process.wait(10)

    def _start_again(self, child: Child) -> None:
        now = time.monotonic()
        self._predecessors.append(Predecessor(child, now, self._floor.next_start()))
        self.unprovoked += child is not self._killed
        self.died_at = self.died_at or now
        self._ours.start(wait_ready=False)
        self.starts += 1

    def _look_after_predecessors(self) -> None:
        for each in list(self._predecessors):
            if each.child.group():
                if time.monotonic() - each.died < LEFT_BEHIND:
                    continue
                self.left_behind += 1
                each.child.kill()
            self._floor.rise(each.floor)
            self._predecessors.remove(each)
        if not self._predecessors:
            self._board[Slot.SETTLED] = 1

    def settled(self) -> bool:
        """Starts what is dead, kills no more; whether all is served again."""
        self.step(killing=False)
        return self.died_at is None

    def ready(self) -> None:
        """Every zone is served by each worker."""
        if self.died_at is not None:
            self.to_ready.append(time.monotonic() - self.died_at)
            self.died_at = None

    def end(self) -> None:
        """Nothing of ours stays."""
        for each in self._predecessors:
            each.child.kill()
