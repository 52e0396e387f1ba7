"""Telling the service manager how we are: the sd_notify(3) protocol, which is one datagram of `NAME=value` lines.

Without NOTIFY_SOCKET in the environment every call does nothing. A service manager that does not take a message is no
reason to stop serving, so failures to send are not raised.
"""

import os
import socket
import time
from collections.abc import Mapping


class ServiceManager:
    """The other end of NOTIFY_SOCKET, if there is one."""

    def __init__(self, address: str | None, watchdog_interval: float | None = None) -> None:
        self._address = address
        self.watchdog_interval = watchdog_interval if address else None  # seconds between two `watchdog` calls

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, pid: int | None = None) -> "ServiceManager":
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Only paths and abstract names ("@…") are taken."""
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")) or len(address) < 2:
            return cls(None)
        interval = None
        period = environment.get("WATCHDOG_USEC", "")
        meant_for = environment.get("WATCHDOG_PID", "")
        if period.isascii() and period.isdigit() and meant_for in ("", str(os.getpid() if pid is None else pid)):
            interval = int(period) / 1_000_000 / 2  # half the period, as sd_watchdog_enabled(3) advises
        return cls(address, interval or None)

    @property
    def present(self) -> bool:
        """Whether anybody listens."""
        return self._address is not None

    def ready(self, status: str = "") -> None:
        """Start-up, or the reload announced before, is finished."""
        self._send({"READY": "1", "STATUS": status})

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000  # required with Type=notify-reload
        self._send({"RELOADING": "1", "MONOTONIC_USEC": str(microseconds)})

    def stopping(self, status: str = "") -> None:
        """Shutdown begins."""
        self._send({"STOPPING": "1", "STATUS": status})

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send({"STATUS": text})

    def watchdog(self) -> None:
        """We are alive; due every `watchdog_interval` seconds."""
        self._send({"WATCHDOG": "1"})

    def extend_timeout(self, seconds: float) -> None:
        """Start-up or shutdown takes longer: ask for this much more from now."""
        self._send({"EXTEND_TIMEOUT_USEC": str(int(seconds * 1_000_000))})

    def _send(self, fields: Mapping[str, str]) -> None:
        if self._address is None:
            return
        lines = (f"{name}={' '.join(value.split())}" for name, value in fields.items() if value)
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError:
            return
