"""A load from a process of its own, and what a server's processes used meanwhile."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contestants import Server, child_of
from bench.failed import Failed
from bench.lab import Lab
from support.ask import LOOPBACK
from support.process import program
from support.usage import cpu_seconds

LOST = 0.001  # share of the questions that may go unanswered
GRACE = 60.0  # seconds that a load may take beyond its time
BUFFER = 4096  # KB, of dnsperf's sockets
TESTS = Path(__file__).resolve().parents[1]


@dataclass
class Load:
    """What came of a load."""

    sent: int = 0
    answered: int = 0
    seconds: float = 0.0
    rcodes: dict[str, int] = field(default_factory=dict)
    cpu: float = 0.0

    def figures(self, name: str = "") -> dict[str, Any]:
        """CPU microseconds for an answer, answers a second, RCODEs by number; names begin with `name`."""
        before = f"{name}_" if name else ""
        return {
            f"{before}cpu_us": self.cpu / self.answered * 1e6,
            f"{before}qps": self.answered / self.seconds,
            f"{before}lost": 1 - self.answered / self.sent,
            f"{before}answers": self.rcodes,
        }


def datagrams(server: Server, file: Path, seconds: float) -> Load:
    """Asks what is in the file of messages over UDP, as fast as it is answered."""
    return _own("datagrams", server, file, seconds)


def streams(server: Server, file: Path, seconds: float) -> Load:
    """Asks what is in the file of questions over ten TCP connections, as fast as it is answered: dnsperf."""
    command = [program("dnsperf") or "dnsperf", "-s", LOOPBACK, "-p", str(server.port), "-d", str(file)]
    command += ["-m", "tcp", "-c", "10", "-q", "100", "-b", str(BUFFER), "-l", f"{seconds:g}", "-W"]
    output, cpu = _watched(server, command, seconds)
    load = read(output)
    load.cpu = cpu
    return _some(load, output, server)


def warm(load: Callable[[Server, Path, float], Load], lab: Lab, server: Server, file: Path) -> None:
    """Such a load for a short time, without looking: caches fill."""
    load(server, file, min(1.0, lab.sizes.seconds))


def read(output: str) -> Load:
    """What dnsperf says at its end."""

    def figure(pattern: str) -> float:
        found = re.search(rf"{pattern}:\s+([\d.]+)", output)
        return float(found[1]) if found else 0.0

    line = re.search(r"Response codes:(.*)", output)
    rcodes = {name: int(count) for name, count in re.findall(r"([A-Z]+\w*) (\d+) \(", line[1] if line else "")}
    return Load(int(figure("Queries sent")), int(figure("Queries completed")), figure(r"Run time \(s\)"), rcodes)


def connections(server: Server, file: Path, seconds: float) -> Load:
    """Asks what is in the file of messages over TCP, each on a connection of its own."""
    return _own("connections", server, file, seconds)


def _own(load: str, server: Server, file: Path, seconds: float) -> Load:
    """One of the bench's own loads."""
    command = [sys.executable, "-m", f"bench.{load}", str(server.port), str(file), "--seconds", str(seconds)]
    output, cpu = _watched(server, command, seconds)
    said = json.loads(output)
    return _some(Load(said["sent"], sum(said["rcodes"].values()), said["seconds"], said["rcodes"], cpu), output, server)


def _watched(server: Server, command: list[str], seconds: float) -> tuple[str, float]:
    """What a command prints, and the CPU seconds of the server meanwhile."""
    group = child_of(server).pid
    before = cpu_seconds(group)
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=seconds + GRACE, check=False)
    used = cpu_seconds(group) - before
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stdout}{done.stderr}\n{server.explain()}")
    return done.stdout, used


def _some(load: Load, output: str, server: Server) -> Load:
    if not load.answered:
        raise Failed(f"nothing was answered: {output}\n{server.explain()}")
    return load
