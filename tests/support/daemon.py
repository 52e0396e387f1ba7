"""Our own daemon as operators run it: `nameserver run -c FILE`, seen through its sockets, its log and its commands."""

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dns.message
from support import ask
from support.ask import LOOPBACK, Key, Record
from support.process import WITNESSES, Child, free_port, short_directory, skewed_clock
from support.wait import wait_for

from nameserver.control.client import call
from nameserver.control.protocol import ControlError
from nameserver.telemetry import outlet


def new_key(name: str, algorithm: str = "hmac-sha256") -> Key:
    """A key nobody else has."""
    return Key(name, base64.b64encode(secrets.token_bytes(32)).decode(), algorithm)


# Fast enough for a test, and still the daemon's own timers.
QUICK = {"min-refresh-time": "1s", "min-retry-time": "1s", "min-expire-time": "1s", "connect-timeout": "2s"}


class Nameserver:
    """One daemon with its configuration, its state and its log in a directory of its own.

    Change the attributes and call `configure()` (and `reload()`) to change its configuration. Transfers out are allowed
    to `watch_key` alone, which no primary knows, so that looking at what is served never depends on the primary's key;
    to anybody on loopback with `open_transfers`.
    """

    def __init__(
        self,
        *,
        zones: Sequence[str] = (),
        primary_port: int = 0,
        key: Key | None = None,
        workers: int = 1,
        template: Mapping[str, str] | None = None,
        server: Mapping[str, str | int] | None = None,
        extra: str = "",
        skew: int = 0,
        open_transfers: bool = False,
    ) -> None:
        self.zones = list(zones)
        self.primary_port = primary_port
        self.key = key
        self.second_key: Key | None = None  # of the primary, behind `key`
        self.workers = workers
        self.template = {**QUICK, **(template or {})}
        self.server = dict(server or {})
        self.extra = extra
        self.skew = skew
        self.open_transfers = open_transfers
        self.watch_key = new_key("watch-key")
        self.port = free_port()
        self.http_port = free_port()
        self.directory = short_directory("ns")
        self.launcher: list[str] = []  # what starts it, where it is not started as it is
        self.environment: dict[str, str] = {}  # what it has besides ours
        self.child: Child | None = None
        WITNESSES.append(self.explain)

    # files

    @property
    def config(self) -> Path:
        return self.directory / "nameserver.toml"

    @property
    def control(self) -> Path:
        return self.directory / "control.sock"

    def configure(self) -> None:
        """Writes the configuration, readable by its owner alone since secrets stand in it."""
        descriptor = os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self._text())

    def _text(self) -> str:
        lines = [
            "[server]",
            f'listen = ["{LOOPBACK}:{self.port}"]',
            f"workers = {self.workers}",
            'state-dir = "state"',
            'control = "control.sock"',
            f'http = "{LOOPBACK}:{self.http_port}"',
            *(f"{name} = {json.dumps(value)}" for name, value in self.server.items()),
        ]
        for key in {key.name: key for key in (self.watch_key, self.key, self.second_key) if key}.values():
            lines += [f'[key."{key.name}"]', f'algorithm = "{key.algorithm}"', f'secret = "{key.secret}"']
        if self.primary_port:
            lines += ["[remote.primary]", f'address = ["{LOOPBACK}:{self.primary_port}"]']
            keys = ", ".join(f'"{key.name}"' for key in (self.key, self.second_key) if key)
            lines += [f"key = [{keys}]" if self.second_key else f"key = {keys}"] if keys else []
        lines += ["[template.default]"]
        lines += ['primaries = ["primary"]'] if self.primary_port else []
        key = "" if self.open_transfers else f', key = "{self.watch_key.name}"'
        lines += [f'allow-transfer = [{{ address = "127.0.0.0/8"{key} }}]']
        lines += [f'{name} = "{value}"' for name, value in self.template.items()]
        lines += [f'[zone."{zone}"]' for zone in self.zones]
        return "\n".join(lines) + "\n" + self.extra

    # life

    def start(self, *, wait_ready: bool = True) -> "Nameserver":
        """Starts it with a configuration written now; waits until each of its workers answers each of its zones."""
        self.configure()
        command = [*self.launcher, sys.executable, "-m", "nameserver", "run", "-c", str(self.config)]
        skewed = skewed_clock(self.directory, self.skew) if self.skew else {}
        self.child = Child(command, self.directory / "log", {**self.environment, **skewed})
        if wait_ready:
            self.wait(self._all_serving, 30, "every zone to be served")
        return self

    def _all_serving(self) -> bool:
        status = self.status()
        served = {zone["name"] for zone in status.get("zones", []) if zone["workers_serving"] >= self.workers}
        return bool(status) and served >= set(self.zones)

    def stop(self) -> None:
        """SIGTERM, and it must end by itself with exit status 0, no process of it left."""
        if self.child is None:
            return
        status = self.child.terminate()
        left = self.child.group()
        if status or left:
            raise AssertionError(f"ended with {status}, processes left: {left}\n{self.explain()}")

    def kill_all(self) -> None:
        """SIGKILL to every process of it."""
        if self.child is not None:
            self.child.kill()

    def close(self) -> None:
        """Kills it and removes its directory."""
        self.kill_all()
        WITNESSES.remove(self.explain)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> "Nameserver":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pids(self) -> list[int]:
        """All its processes."""
        return self.child.group() if self.child else []

    def reload(self) -> None:
        """Writes the configuration again and has it read, by the command."""
        self.configure()
        self.command("reload")

    def signal(self, number: signal.Signals) -> None:
        """To its first process alone."""
        if self.child is not None:
            self.child.signal(number)

    # looking at it

    @property
    def log(self) -> str:
        """What it has logged, to the last line: lines may be gathered for a moment before they are written."""
        time.sleep(2 * outlet.GATHER)
        return self.child.log if self.child else ""

    def explain(self) -> str:
        """The end of its log, for a test that fails."""
        return f"--- nameserver on port {self.port}, its log ends with:\n{self.log[-6000:]}\n"

    def wait(self, predicate: Any, timeout: float = 15.0, what: str = "") -> Any:
        """As `wait_for`, with our log in the failure; fails at once when the daemon is gone."""

        def holds() -> Any:
            result = predicate()
            if not result and self.child is not None and not self.child.alive:
                raise AssertionError(f"the daemon ended while waiting for {what}\n{self.explain()}")
            return result

        return wait_for(holds, timeout, what, explain=self.explain)

    def query(self, name: str, rdtype: str = "A", **options: Any) -> dns.message.Message:
        return ask.query(self.port, name, rdtype, **options)

    def serial(self, zone: str) -> int | None:
        return ask.serial(self.port, zone, timeout=0.5)

    def axfr(self, zone: str) -> set[Record]:
        """Everything it serves of the zone."""
        return ask.zone_records(self.port, zone, self.watch_key)

    def status(self, zone: str | None = None) -> dict[str, Any]:
        """What the control socket says; empty while nobody listens there."""
        try:
            return call(self.control, "status", **({"zone": zone} if zone else {}))
        except ControlError:
            return {}

    def zone(self, zone: str) -> dict[str, Any]:
        """One zone's status; empty while there is none."""
        zones = self.status(zone).get("zones") or [{}]
        return dict(zones[0])

    def command(self, *arguments: str, expect: int | None = 0) -> str:
        """A command of ours, `-c FILE` added; its output."""
        verb, *rest = arguments
        done = subprocess.run(
            [sys.executable, "-m", "nameserver", verb, *rest, "-c", str(self.config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if expect is not None and done.returncode != expect:
            said = f"{done.stdout}{done.stderr}"
            raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}:\n{said}\n{self.explain()}")
        return done.stdout

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name with its labels, as it stands there."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}
