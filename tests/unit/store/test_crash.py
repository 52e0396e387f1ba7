"""kill -9 of the writer at any moment: the version found afterwards is one that was committed, whole."""

import random
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from support import store_writer
from support.store_writer import NAME, version_of
from support.stored import NOW, content

from nameserver.store.database import Store

ROUNDS = 10


def run_and_kill(state: Path, commits: int, chance: random.Random) -> int:
    """Let a writer commit so many versions, kill it, and return the last serial it said it had committed."""
    writer = subprocess.Popen(
        [sys.executable, store_writer.__file__, str(state)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        lines = [writer.stdout.readline() for _ in range(commits)]
        for _ in range(chance.randrange(200_000)):
            pass  # some more time, of a length that no event marks: up to a few commits
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
        assert writer.wait() == -signal.SIGKILL, writer.stderr.read()
    return int(next(line for line in reversed(lines) if line.endswith("\n")))


def test_a_killed_writer_leaves_a_whole_version_not_older_than_it_said(tmp_path: Path) -> None:
    chance = random.Random(20260101)
    generation = 0
    for _ in range(ROUNDS):
        said = run_and_kill(tmp_path, chance.randrange(1, 8), chance)
        with closing(Store.open(tmp_path, NOW)) as store:
            zone = store.zones()[NAME]
            assert store.notices == []
            assert zone.serial >= said
            assert zone.generation > generation
            assert content(store.path, NAME) == version_of(zone.serial)
            assert zone.owners == store_writer.OWNERS
            generation = zone.generation
