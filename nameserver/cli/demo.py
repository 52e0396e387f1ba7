"""`nameserver demo`: a primary and a secondary of ours with an example zone, on loopback, until Ctrl-C.

Both are ordinary daemons, run with the ordinary command from the files in conf/demo, which are copied into a directory
of their own with a key that exists only as long as it. Nothing outside that directory is written.
"""

import argparse
import base64
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from types import FrameType

from nameserver.control.client import call
from nameserver.control.protocol import ControlError, Json
from nameserver.errors import NameserverError

ZONE = "example.com"
KEY = "demo-transfer"
ROLES = ("primary", "secondary")
FILES = ("primary.toml", "secondary.toml", "example.com.zone")
PATIENCE = 60.0  # seconds for each of the two to be up
STOP_PATIENCE = 20.0
SECRET_BYTES = 32  # as long as the digest of hmac-sha256


class DemoFailed(NameserverError):
    """The demo cannot go on: a sentence saying why."""


class _Stopped(Exception):
    """Ctrl-C or a signal to end: the way out of wherever the demo is."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    default = Path(__file__).resolve().parents[2] / "conf" / "demo"
    parser.add_argument(
        "--conf", metavar="DIR", type=Path, default=default, help="where primary.toml, secondary.toml and the zone are"
    )


def main(args: argparse.Namespace) -> int:
    """0 after Ctrl-C or SIGTERM; 1 where one of the two daemons fails; 2 where the files are not there."""
    missing = [name for name in FILES if not (args.conf / name).is_file()]
    if missing:
        print(f"demo: no {', '.join(missing)} in {args.conf}; say where with --conf DIR", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    directory = Path(tempfile.mkdtemp(prefix="nameserver-demo-"))
    demo = Demo(args.conf, directory)
    status = 0
    try:
        demo.run()
    except _Stopped:
        print("\nstopping", flush=True)
    except DemoFailed as error:
        print(f"demo: {error}", file=sys.stderr)
        status = 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        status = demo.stop() or status
        shutil.rmtree(directory, ignore_errors=True)
    return status


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


class Demo:
    """The two daemons and their directory."""

    def __init__(self, conf: Path, directory: Path) -> None:
        self._conf = conf
        self._directory = directory
        self._ports: dict[int, int] = {}  # as in the files → as taken
        self._listen: dict[str, int] = {}  # by role
        self._http: dict[str, int] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> None:
        """Start both, say what happened, and watch over them. Ends by raising only."""
        started = time.monotonic()
        self._lay_out()
        for role in ROLES:
            self._start(role)
        self._tell(self._zone("secondary"), time.monotonic() - started)
        while True:
            for role, process in self._running.items():
                if process.poll() is not None:
                    raise DemoFailed(f"the {role} ended on its own; its log:\n{self._log(role)}")
            time.sleep(0.2)

    def stop(self) -> int:
        """End both in order, the secondary first; 1 where one had to be killed or did not end well."""
        status = 0
        for role in reversed(ROLES):
            process = self._running.get(role)
            if process is None:
                continue
            if process.poll() is None:
                process.terminate()
            try:
                code = process.wait(STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = -signal.SIGKILL
            if code != 0:
                print(f"demo: the {role} ended with {code}", file=sys.stderr)
                status = 1
        return status

    def _lay_out(self) -> None:
        for role in reversed(ROLES):
            server = tomllib.loads((self._conf / f"{role}.toml").read_text())["server"]
            self._listen[role] = _port_of(server["listen"][0])
            self._http[role] = _port_of(server["http"])
        self._ports = _free_ports((*self._listen.values(), *self._http.values()))
        for name in FILES:
            text = re.sub(r"(?<=127\.0\.0\.1:)\d+", self._port, (self._conf / name).read_text())
            (self._directory / name).write_text(text)
        secret = base64.b64encode(secrets.token_bytes(SECRET_BYTES))
        descriptor = os.open(self._directory / "transfer.secret", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret + b"\n")

    def _port(self, match: re.Match[str]) -> str:
        written = int(match[0])
        return str(self._ports.get(written, written))

    def _start(self, role: str) -> None:
        """Start one and wait until it answers with the zone."""
        command = [sys.executable, "-m", "nameserver", "run", "-c", str(self._directory / f"{role}.toml")]
        with (self._directory / f"{role}.log").open("wb") as log:
            # A group of its own: Ctrl-C at the terminal reaches us alone, and we end both in order.
            self._running[role] = subprocess.Popen(  # noqa: S603 - our own interpreter and our own files
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        deadline = time.monotonic() + PATIENCE
        while not self._zone(role).get("answering"):
            if self._running[role].poll() is not None:
                raise DemoFailed(f"the {role} did not start; its log:\n{self._log(role)}")
            if time.monotonic() > deadline:
                raise DemoFailed(f"the {role} has no zone after {PATIENCE:g} s; its log:\n{self._log(role)}")
            time.sleep(0.05)

    def _zone(self, role: str) -> Json:
        """The zone's status, as the control socket gives it; empty while nobody answers there."""
        try:
            zones = call(self._directory / f"{role}.sock", "status", zone=ZONE)["zones"]
        except (ControlError, KeyError):
            return {}
        return zones[0] if zones else {}

    def _log(self, role: str) -> str:
        return (self._directory / f"{role}.log").read_text(errors="replace")[-4000:]

    def _tell(self, zone: Json, seconds: float) -> None:
        """What happened and what to try, for someone who has never seen this."""
        secondary, primary = (self._ports[self._listen[role]] for role in ("secondary", "primary"))
        http = self._ports[self._http["secondary"]]
        transfer = zone.get("last_transfer") or {}
        transferred = f"{transfer.get('got', '?').upper()} of serial {zone.get('serial')}"
        size = (
            f"{zone.get('records')} records, {transfer.get('bytes', 0)} bytes in {transfer.get('seconds', 0.0):.3f} s"
        )
        command = Path(sys.argv[0])
        shown = command if command.name == "nameserver" else "nameserver"
        config = self._directory / "secondary.toml"
        print(
            f"""
A primary (127.0.0.1 port {primary}) serves {ZONE} from a zone file.
A secondary (127.0.0.1 port {secondary}) pulled it from there and answers: {seconds:.1f} s after the start.

  transfer   {transferred}, {size}
  key        {KEY} (hmac-sha256), made for this run; transfers without it are refused

Ask the secondary:
  dig @127.0.0.1 -p {secondary} www.{ZONE}
  dig @127.0.0.1 -p {secondary} anything.apps.{ZONE}      a wildcard
  dig @127.0.0.1 -p {secondary} host.dev.{ZONE}           a referral

See what it does:
  {shown} status -c {config}
  {shown} why {ZONE} -c {config}
  curl http://127.0.0.1:{http}/metrics                   also /health, /ready, and / for a browser
  tail -f {self._directory}/secondary.log

See a change arrive: edit {self._directory}/example.com.zone, raise the serial, then
  {shown} reload -c {self._directory}/primary.toml

Ctrl-C stops both and removes {self._directory}
""",
            flush=True,
        )


def _port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


def _free_ports(wanted: tuple[int, ...]) -> dict[int, int]:
    """Each wanted port with itself, or with the next one that is free for UDP and TCP."""
    chosen: dict[int, int] = {}
    for port in wanted:
        candidate = port
        while candidate in chosen.values() or not _is_free(candidate):
            candidate += 1
            if candidate > port + 1000:
                raise DemoFailed(f"no port from {port} to {candidate} of 127.0.0.1 is free")
        chosen[port] = candidate
    return chosen


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what just closed does not count
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
