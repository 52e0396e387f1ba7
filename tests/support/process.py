"""Daemons as child processes: free ports, start, log, end by their own process ids, none left behind."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ANYWHERE = "0.0.0.0"  # a port that is free on loopback alone cannot be bound for all addresses

FIRST_PORT = 10_240

# What can say something about a failure: everything started and not yet closed. tests/conftest.py asks them all.
WITNESSES: list[Callable[[], str]] = []


def free_port() -> int:
    """A port that is free for UDP and TCP now, on every IPv4 address. Two askers rarely get the same.

    Below those that the kernel gives to whoever asks for any port: on a busy machine somebody would soon have it.
    """
    for _ in range(100):
        port = FIRST_PORT + secrets.randbelow(_first_of_any() - FIRST_PORT)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        ):
            try:
                stream.bind((ANYWHERE, port))
                datagrams.bind((ANYWHERE, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free for both UDP and TCP")


def _first_of_any() -> int:
    """The first port that the kernel chooses by itself."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 0
    return first if first > FIRST_PORT + 5000 else 32768


def short_directory(prefix: str) -> Path:
    """A fresh private directory with a short path: Unix sockets are put in it, whose paths end at 107 bytes."""
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir="/tmp"))


class Child:
    """A program in the foreground, in a process group of its own, its output in a file."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.command = [str(part) for part in command]
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def group(self) -> list[int]:
        """Process ids of everything still alive in its group, itself included."""
        return processes_of_group(self.pid)

    def signal(self, number: int) -> None:
        """To the process itself, not to its children."""
        if self.alive:
            os.kill(self.pid, number)

    def terminate(self, timeout: float = 15.0) -> int:
        """SIGTERM, then its exit status; SIGKILL to the whole group when it does not end in time."""
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.command[0]} did not end within {timeout:g} s of SIGTERM\n{self.log[-3000:]}"
            ) from None

    def kill(self) -> None:
        """SIGKILL to everything in its group, until nothing is left: one may have been starting another."""
        while self.alive or self.group():
            for pid in {*self.group(), *([self.pid] if self.alive else [])}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.poll()
            time.sleep(0.005)
        self.process.wait(10)


def processes_of_group(group: int) -> list[int]:
    """Process ids of a process group that are not zombies, from /proc."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.append(int(entry))
    return found


def resident(pids: Sequence[int]) -> int:
    """Bytes of memory, over all these processes."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def skewed_clock(directory: Path, seconds: int) -> dict[str, str]:
    """The environment in which every Python program's wall clock is `seconds` ahead of ours; timers are left alone.

    libfaketime would do it for any program, but it turns timed waits of threads into waits for ever.
    """
    (directory / "sitecustomize.py").write_text(
        f"import time\n\n_true = time.time\ntime.time = lambda: _true() + {seconds}\n"
    )
    return {"PYTHONPATH": str(directory)}


def version_of(command: Sequence[str]) -> str:
    """What a program says its version is."""
    found = subprocess.run(
        [program(command[0]) or "", *command[1:]], capture_output=True, text=True, timeout=30, check=False
    )
    version = re.search(r"\d+\.\d+[.\w]*", found.stdout + found.stderr)
    return version[0] if version else "?"


def program(name: str) -> str | None:
    """Where a daemon or tool is, /usr/sbin included, which is not on every user's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin")
