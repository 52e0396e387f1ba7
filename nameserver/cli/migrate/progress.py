"""How far a long command has come, on a terminal; nothing where standard error is none."""

import sys
import time
from types import TracebackType

from nameserver.migrate.move.survey import Watcher

_EVERY = 0.1  # seconds between two drawings
_WIDTH = 30


class Progress(Watcher):
    """One line on standard error that is drawn over and over, and gone at the end.

    Each part has a name and a count; where a total is known, a bar. Of a measurement of many stages, the one that runs.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._total = 0
        self._stage = ""
        self._counts: dict[str, int] = {}
        self._drawn = 0.0
        self._on = sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on and self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def stage(self, name: str, number: int, total: int) -> None:
        """Another measurement begins: what was counted in the one before is gone."""
        self._stage = f"{number} of {total}, {name}  "
        self._counts.clear()
        self._total = 0
        self._draw(time.monotonic())

    def expect(self, total: int) -> None:
        """What comes from now on will count up to about `total`, as what it is compared with did."""
        self._total = total

    def __call__(self, part: str, count: int) -> None:
        """Part `part` has come to `count`."""
        self._counts.pop(part, None)  # the last one is what moves
        self._counts[part] = count
        now = time.monotonic()
        if now - self._drawn >= _EVERY:
            self._draw(now)

    def _draw(self, now: float) -> None:
        if not self._on:
            return
        self._drawn = now
        parts = "  ".join(f"{name} {number:,}" for name, number in sorted(self._counts.items()))
        print(f"\r\x1b[K{self._what}: {self._stage}{self._bar()}{parts}", end="", file=sys.stderr, flush=True)

    def _bar(self) -> str:
        if not self._total:
            return ""
        moving = next(reversed(self._counts.values()), 0)
        full = min(_WIDTH, _WIDTH * moving // self._total)
        return f"[{'#' * full}{'.' * (_WIDTH - full)}] "
