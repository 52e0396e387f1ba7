"""A network of its own for a daemon, whose addresses come and go as a test likes."""

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000


def why_not() -> str:
    """Why networks cannot be made here; empty where they can."""
    missing = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if missing:
        return f"{missing[0]} is not installed"
    if not Path("/proc/sys/net/ipv6").exists():
        return "this machine has no IPv6 to switch off"
    done = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no network of one's own: {done.stderr.strip()}"


def launcher(*addresses: str) -> list[str]:
    """What starts a program in a new network, whose loopback has these addresses besides the usual ones."""
    add = "".join(f"ip addr add {address} dev lo nodad && " for address in addresses)
    return ["unshare", "-n", "sh", "-c", f'ip link set lo up && {add}exec "$@"', "sh"]


class Network:
    """The network that a process lives in."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def run(self, command: str) -> None:
        """A shell command inside."""
        subprocess.run(["nsenter", "-t", str(self._pid), "-n", "sh", "-c", command], check=True)

    def call(self, function: Callable[[], T]) -> T:
        """What a function returns whose sockets are made inside. It runs in a thread, for a thread has its network."""
        results: list[T] = []
        errors: list[BaseException] = []

        def enter() -> None:
            try:
                descriptor = os.open(Path(f"/proc/{self._pid}/ns/net"), os.O_RDONLY)
                try:
                    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(descriptor)
                results.append(function())
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                errors.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]
