"""dnsperf, and what a server's processes used while it ran."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contestants import Server, child_of
from support.ask import LOOPBACK
from support.process import program
from support.usage import cpu_seconds

LOST = 0.001  # share of the questions that may go unanswered
GRACE = 60.0  # seconds that dnsperf may take beyond its time


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
            f"{before}cpu_us": self.cpu / self.answered * 1e6 if self.answered else None,
            f"{before}qps": self.answered / self.seconds if self.seconds else None,
            f"{before}lost": 1 - self.answered / self.sent if self.sent else None,
            f"{before}answers": self.rcodes,
        }


def run(server: Server, file: Path, seconds: float, *options: str) -> Load:
    """Asks what is in the file, as fast as it is answered."""
    group = child_of(server).pid
    command = [program("dnsperf") or "dnsperf", "-s", LOOPBACK, "-p", str(server.port), "-d", str(file)]
    command += ["-l", f"{seconds:g}", "-W", *options]
    before = cpu_seconds(group)
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + GRACE, check=False)
    load = read(done.stdout)
    load.cpu = cpu_seconds(group) - before
    if done.returncode or not load.answered:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}\n{server.explain()}")
    return load


def warm(server: Server, file: Path, *options: str, seconds: float = 1.0) -> None:
    """The same without looking: caches fill."""
    run(server, file, seconds, *options)


def read(output: str) -> Load:
    """What dnsperf says at its end."""

    def figure(pattern: str) -> float:
        found = re.search(rf"{pattern}:\s+([\d.]+)", output)
        return float(found[1]) if found else 0.0

    line = re.search(r"Response codes:(.*)", output)
    rcodes = {name: int(count) for name, count in re.findall(r"([A-Z]+\w*) (\d+) \(", line[1] if line else "")}
    return Load(int(figure("Queries sent")), int(figure("Queries completed")), figure(r"Run time \(s\)"), rcodes)
