"""Texts in the order of their keys, in bounded memory: sorted in runs, which are put aside in files and merged.

(key, text) ──▶ so many ──▶ sorted ──▶ file ┐
                so many ──▶ sorted ──▶ file ┴──▶ merged ──▶ texts
"""

import heapq
import marshal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, TypeVar

_BLOCK = 200  # texts that are read back from a file at once
K = TypeVar("K", bytes, tuple[str | int, ...])  # what `marshal` keeps as it is, and what sorts


def in_order(texts: Iterable[tuple[K, str]], at_once: int, spill: Path | None) -> Iterator[str]:
    """Each text, by its key. `at_once`: how many are kept in memory; `spill`: the directory for files, None: the
    system's for temporary ones. Raises OSError where there is no room.
    """
    with ExitStack() as stack:
        files: list[IO[bytes]] = []
        run: list[tuple[K, str]] = []
        for each in texts:
            if len(run) >= at_once:
                run.sort()
                files.append(stack.enter_context(tempfile.TemporaryFile(dir=spill)))
                put_aside(files[-1], run)
                run = []
            run.append(each)
        run.sort()
        runs: list[Iterator[Any]] = [*map(read_back, files), iter(run)]
        for _, text in heapq.merge(*runs):
            yield text


def put_aside(file: IO[bytes], texts: list[tuple[K, str]]) -> None:
    """Write a sorted run, to be read back. Raises OSError."""
    for start in range(0, len(texts), _BLOCK):
        marshal.dump(texts[start : start + _BLOCK], file)
    marshal.dump([], file)
    file.seek(0)


def read_back(file: IO[bytes]) -> Iterator[Any]:
    """What `put_aside` wrote, some at a time."""
    while block := marshal.load(file):  # noqa: S302 - a file without a name, written by ourselves
        yield from block
