"""Two of our own daemons, as processes: one of `type = "primary"` feeds the other; configured as a test likes."""

import json
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dns.message
from support.ask import LOOPBACK, Key
from support.daemon import Nameserver, new_key
from support.zones import small_zone_text

from nameserver.control.client import call

DEFAULTS = {
    "min-refresh-time": '"1s"',
    "min-retry-time": '"1s"',
    "min-expire-time": '"1s"',
    "connect-timeout": '"2s"',
    "udp-timeout": '"500ms"',
    "jitter": "0",
}


class Own(Nameserver):
    """A daemon whose `[server]` settings, template and tables are TOML as given."""

    def __init__(
        self,
        *,
        listen: Sequence[str] = (),
        workers: int = 1,
        settings: dict[str, str] | None = None,
        template: dict[str, str] | None = None,
    ) -> None:
        super().__init__(workers=workers)
        self.listen = list(listen) or [f"{LOOPBACK}:{self.port}"]
        self.settings = {"log-level": '"debug"', **(settings or {})}
        self.defaults = {**DEFAULTS, **(template or {})}
        self.keys: list[Key] = [self.watch_key]
        self.tables: dict[str, dict[str, str]] = {}

    def _text(self) -> str:
        addresses = ", ".join(f'"{each}"' for each in self.listen)
        http = f"{LOOPBACK}:{self.http_port}"
        tables = {
            "server": {
                "listen": f"[{addresses}]",
                "workers": str(self.workers),
                "state-dir": '"state"',
                "control": '"control.sock"',
                "http": f'"{http}"',
                **self.settings,
            },
            **{f'key."{k.name}"': {"algorithm": f'"{k.algorithm}"', "secret": f'"{k.secret}"'} for k in self.keys},
            "template.default": self.defaults,
            **self.tables,
        }
        return "\n".join(
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in rows.items())
            for name, rows in tables.items()
        )

    def remote(self, name: str, port: int, key: Key | None = None) -> None:
        """A `[remote.NAME]` on loopback."""
        rows = {"address": f'["{LOOPBACK}:{port}"]'}
        self.tables[f"remote.{name}"] = {**rows, "key": f'"{key.name}"'} if key else rows

    def zone_table(self, zone: str, **rows: str) -> dict[str, str]:
        """A `[zone.NAME]` table, underscores for dashes; it may be changed until the next reload."""
        table = {key.replace("_", "-"): value for key, value in rows.items()}
        watch = f'[{{ address = "127.0.0.0/8", key = "{self.watch_key.name}" }}]'
        self.tables[f'zone."{zone}"'] = {"allow-transfer": watch, **table}
        self.zones = [name.split('"')[1] for name in self.tables if name.startswith("zone.")]
        return self.tables[f'zone."{zone}"']

    def drop_zone(self, zone: str) -> None:
        del self.tables[f'zone."{zone}"']
        self.zones.remove(zone)

    def order(self, verb: str, **arguments: object) -> dict:
        """An order over the control socket, without the cost of a command."""
        return call(self.control, verb, **arguments)

    def reread(self) -> dict:
        """Write the configuration and have it read."""
        self.configure()
        return self.order("reload")

    def page(self, path: str) -> tuple[int, str]:
        """An HTTP page: status and body; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except urllib.error.URLError as error:
            return 0, str(error)

    def log_lines(self) -> list[dict]:
        """The log as JSON, line by line."""
        return [json.loads(line) for line in self.log.splitlines()]

    def workers_pids(self) -> list[int]:
        """The answering processes."""
        workers = self.status().get("server", {}).get("workers", [])
        return [worker["pid"] for worker in workers if worker["pid"]]

    def ends_by_itself(self, timeout: float = 15.0) -> int:
        """Its exit status, once it ends."""
        assert self.child is not None
        return self.child.process.wait(timeout)


class Feeder(Own):
    """The primary: zones from files, transfers to those who have `key`, NOTIFY to `tell`."""

    def __init__(self, key: Key | None = None, tell: int = 0, **more) -> None:
        super().__init__(**more)
        self.key = key
        if key:
            self.keys.append(key)
        if tell:
            self.remote("edge", tell, key)

    def feed(self, zone: str, text: str) -> None:
        """Write a zone's file; the daemon reads it at its start or at the next reload."""
        (self.directory / f"{zone}.zone").write_text(text)
        allowed = [f'{{ address = "127.0.0.0/8", key = "{key.name}" }}' for key in self.keys]
        rows = {"type": '"primary"', "file": f'"{zone}.zone"', "allow_transfer": f"[{', '.join(allowed)}]"}
        if "remote.edge" in self.tables:
            rows["also_notify"] = '["edge"]'
        self.zone_table(zone, **rows)

    def update(self, zone: str, text: str) -> None:
        """A new version, served and told on."""
        self.feed(zone, text)
        self.reread()


@contextmanager
def pair(
    zones: Sequence[str],
    *,
    text=small_zone_text,
    serial: int = 1,
    notify: bool = True,
    secondary: dict | None = None,
    timers: str = "3600 600 86400 300",
) -> Iterator[tuple[Feeder, Own]]:
    """A primary and a secondary, both started, every zone served by both."""
    key = new_key("transfer-key")
    ours = Own(**(secondary or {}))
    with ours, Feeder(key, ours.port if notify else 0) as feeder:
        ours.keys.append(key)
        ours.remote("primary", feeder.port, key)
        for zone in zones:
            feeder.feed(zone, text(zone, serial, timers=timers))
            ours.zone_table(zone, primaries='["primary"]')
        feeder.start()
        ours.start()
        yield feeder, ours


def frames(*messages: bytes) -> bytes:
    """Messages as they go over TCP."""
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


def read_frame(connection: socket.socket) -> bytes:
    """One message from a TCP connection; EOFError where it ends instead."""

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                raise EOFError("the server closed the connection")
            data += more
        return data

    return exactly(struct.unpack("!H", exactly(2))[0])


def question(name: str, rdtype: str = "A", **more) -> bytes:
    """A query in wire form."""
    return dns.message.make_query(name, rdtype, **more).to_wire()


def ask_udp(address: str, port: int, wire: bytes, timeout: float = 3.0) -> tuple[dns.message.Message, str]:
    """One question by an unconnected socket: the reply, and the address that it came from."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        client.sendto(wire, (address, port))
        data, source = client.recvfrom(65535)
        return dns.message.from_wire(data), source[0]


def connect(port: int, address: str = LOOPBACK, source: str = "", timeout: float = 5.0) -> socket.socket:
    """A TCP connection."""
    return socket.create_connection((address, port), timeout, (source, 0) if source else None)


def database(ours: Own) -> Path:
    """Where a daemon keeps its zones."""
    return ours.directory / "state" / "state.db"
