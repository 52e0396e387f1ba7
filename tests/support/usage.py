"""What the processes of a group use, from /proc."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.process import processes_of_group

TICKS = os.sysconf("SC_CLK_TCK")
EVERY = 0.5  # seconds between two looks at memory and descriptors
AUTOGROUP = Path("/proc/self/autogroup")


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """This thread, and every process it starts meanwhile, runs on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def favoured(niceness: int) -> Iterator[bool]:
    """This process goes before others of the machine, and so does what it starts (see `favour`); False: it may not."""
    before = session_niceness()
    try:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
        if before is not None:
            AUTOGROUP.write_text(str(niceness))
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        if before is not None:
            AUTOGROUP.write_text(before)


def session_niceness() -> str | None:
    """That of our session; None where the kernel groups no processes by session: no such file, or an empty one."""
    try:
        words = AUTOGROUP.read_text().split()
    except OSError:
        return None
    return words[-1] if words else None


def favour(session: int) -> None:
    """A session just begun by a child of ours goes before others as we do.

    Niceness is inherited, but where the kernel groups processes by session it counts within one session alone, and
    between sessions there is a niceness of theirs.
    """
    mine = session_niceness()
    if mine is not None:
        with contextlib.suppress(OSError):
            Path(f"/proc/{session}/autogroup").write_text(mine)


def cpu_seconds(group: int) -> float:
    """User and system time of all its processes, and of those of their children that have ended."""
    total = 0
    for pid in processes_of_group(group):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / TICKS


def memory(group: int) -> int:
    """Bytes it holds; pages that several of its processes share count once."""
    total = 0
    for pid in processes_of_group(group):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def descriptors(group: int) -> int:
    """Open files and sockets of all its processes."""
    total = 0
    for pid in processes_of_group(group):
        with contextlib.suppress(OSError):
            total += len(os.listdir(f"/proc/{pid}/fd"))
    return total


def tcp_buffers() -> int:
    """Bytes the kernel holds for TCP connections, of this machine's all: they belong to no process."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.split()[-1]) * os.sysconf("SC_PAGESIZE")
    return 0


@dataclass
class Usage:
    """Over some time: CPU seconds; bytes and descriptors before and at the most."""

    cpu: float = 0.0
    memory_before: int = 0
    memory_most: int = 0
    descriptors_before: int = 0
    descriptors_most: int = 0
    buffers_before: int = 0
    buffers_most: int = 0


class Watch:
    """Watches a group in a thread from `begin` to `end` (monotonic times); `usage` is complete after `join`."""

    def __init__(self, group: int, begin: float, end: float) -> None:
        self.usage = Usage()
        self._group, self._begin, self._end = group, begin, end
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> Usage:
        self._thread.join()
        return self.usage

    def _run(self) -> None:
        time.sleep(max(0.0, self._begin - time.monotonic()))
        usage, before = self.usage, cpu_seconds(self._group)
        self._look()
        usage.memory_before, usage.descriptors_before = usage.memory_most, usage.descriptors_most
        usage.buffers_before = usage.buffers_most
        while time.monotonic() < self._end:
            time.sleep(max(0.0, min(EVERY, self._end - time.monotonic())))
            self._look()
        usage.cpu = cpu_seconds(self._group) - before

    def _look(self) -> None:
        usage = self.usage
        usage.memory_most = max(usage.memory_most, memory(self._group))
        usage.descriptors_most = max(usage.descriptors_most, descriptors(self._group))
        usage.buffers_most = max(usage.buffers_most, tcp_buffers())
