"""Real secondaries: BIND, Knot, NSD and PowerDNS as Debian packages them, each in the foreground on 127.0.0.1.

Each is told to ask its primary again every second or two, to take NOTIFY from it, and to let anyone on loopback see
its zones. What they serve they are asked for by AXFR, so that a zone without an NS, or with nothing in it, can be
looked at too.
"""

import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
from support import ask
from support.ask import LOOPBACK, Key, Record
from support.peers import PDNS_TABLES
from support.process import WITNESSES, Child, free_port, program, short_directory
from support.wait import wait_for


@dataclass
class Secondary:
    """What the three have in common. `zones` maps a zone's name to the port of its primary."""

    zones: Mapping[str, int]
    key: Key | None = None  # signs everything between it and the primary
    settings: str = ""  # more lines of its configuration's section about the server
    hurried: bool = True  # asks again every second or two, whatever the zone says
    keeps: bool = False  # what it took in is on disk for its next start
    port: int = field(default_factory=free_port)
    directory: Path = field(init=False)
    child: Child | None = field(init=False, default=None)

    name = "secondary"
    programs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.directory = short_directory(self.name)
        for part in ("zones", "db"):
            (self.directory / part).mkdir()
        WITNESSES.append(self.explain)

    def configure(self) -> None:
        """Writes the configuration."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """What runs it in the foreground."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts it; nothing is waited for."""
        self.configure()
        self.child = Child(self.command(), self.directory / "log")

    @property
    def alive(self) -> bool:
        return self.child is not None and self.child.alive

    def serial(self, zone: str) -> int | None:
        return ask.serial(self.port, zone, timeout=0.5)

    def records(self, zone: str) -> set[Record] | None:
        """What it serves; None where it serves nothing that can be read."""
        try:
            return ask.zone_records(self.port, zone)
        except (ask.TransferRefused, dns.exception.DNSException, EOFError, OSError, ValueError):
            return None

    def key_lines(self) -> str:
        """The key as Knot and NSD write it, but for the first line and the indents of its section."""
        if self.key is None:
            return ""
        return f'algorithm: {self.key.algorithm}\n    secret: "{self.key.secret}"\n'

    def explain(self) -> str:
        """The end of its log, for a test that fails."""
        return (
            f"--- {self.name} on port {self.port}, its log ends with:\n{self.child.log[-2000:] if self.child else ''}"
        )

    def close(self) -> None:
        """Kills it and removes its directory."""
        if self.child:
            self.child.kill()
        WITNESSES.remove(self.explain)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> "Secondary":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class KnotSecondary(Secondary):
    """Knot, its journal for what came incrementally, no zone files."""

    name = "Knot"
    programs = ("knotd",)

    def configure(self) -> None:
        key = f'    key: "{self.key.name}"\n' if self.key else ""
        ports = sorted(set(self.zones.values()))
        (self.directory / "knot.conf").write_text(
            f"server:\n  rundir: {self.directory}\n  listen: {LOOPBACK}@{self.port}\n  background-workers: 4\n"
            f"  udp-workers: 1\n{self.settings or '  tcp-workers: 2'}\n"
            f"database:\n  storage: {self.directory}/db\n  journal-db-max-size: 200M\n"
            "log:\n  - target: stderr\n    any: info\n"
            + (f'key:\n  - id: "{self.key.name}"\n    {self.key_lines()}' if self.key else "")
            + "remote:\n"
            + "".join(f"  - id: primary{port}\n    address: {LOOPBACK}@{port}\n{key}" for port in ports)
            + f"acl:\n  - id: told\n    address: 127.0.0.0/8\n{key}    action: notify\n"
            "  - id: seen\n    address: 127.0.0.0/8\n    action: transfer\n"
            + (f"  - id: signed\n    address: 127.0.0.0/8\n{key}    action: transfer\n" if key else "")
            + f'template:\n  - id: default\n    storage: {self.directory}/zones\n    file: "%s.zone"\n'
            f"    zonefile-sync: {0 if self.keeps else -1}\n    refresh-min-interval: 2\n    retry-min-interval: 1\n"
            f"    acl: [told, seen{', signed' if key else ''}]\n"
            "zone:\n" + "".join(f"  - domain: {zone}\n    master: primary{port}\n" for zone, port in self.zones.items())
        )

    def command(self) -> list[str]:
        return [program("knotd") or "knotd", "-c", str(self.directory / "knot.conf")]


class NsdSecondary(Secondary):
    """NSD, as it comes but for its refresh times."""

    name = "NSD"
    programs = ("nsd",)

    def configure(self) -> None:
        home, name = self.directory, self.key.name if self.key else "NOKEY"
        key = f'key:\n    name: "{self.key.name}"\n    {self.key_lines()}' if self.key else ""
        zones = "".join(
            f'zone:\n  name: "{zone}"\n  request-xfr: {LOOPBACK}@{port} {name}\n  allow-notify: 127.0.0.0/8 {name}\n'
            "  provide-xfr: 127.0.0.0/8 NOKEY\n  min-refresh-time: 1\n  min-retry-time: 1\n"
            + (f"  provide-xfr: 127.0.0.0/8 {name}\n" if self.key else "")
            + (f'  zonefile: "zones/{zone}"\n' if self.keeps else "")
            for zone, port in self.zones.items()
        )
        (home / "nsd.conf").write_text(
            f'server:\n  ip-address: {LOOPBACK}@{self.port}\n  username: ""\n  chroot: ""\n  database: ""\n'
            f'  zonesdir: "{home}"\n  pidfile: "{home}/nsd.pid"\n  xfrdfile: "{home}/xfrd"\n  xfrdir: "{home}"\n'
            f'  zonelistfile: "{home}/list"\n  server-count: 1\n  verbosity: 1\n{self.settings}'
            f"remote-control:\n  control-enable: {'yes' if self.keeps else 'no'}\n"
            f'  control-interface: "{home}/control"\n{key}{zones}'
        )

    def command(self) -> list[str]:
        return [program("nsd") or "nsd", "-d", "-c", str(self.directory / "nsd.conf")]

    def write_zones(self) -> None:
        """Zone files now, where they are kept; else they are written once an hour. Returns once all are there."""
        control = program("nsd-control") or "nsd-control"
        subprocess.run(
            [control, "-c", str(self.directory / "nsd.conf"), "write"], capture_output=True, timeout=120, check=True
        )
        files = [self.directory / "zones" / zone for zone in self.zones]
        wait_for(lambda: all(file.exists() for file in files), 120, "the zone files", explain=self.explain)


class BindSecondary(Secondary):
    """BIND, its limits on refresh times and on parallel transfers out of the way."""

    name = "BIND"
    programs = ("named",)

    def configure(self) -> None:
        signed = f" key {self.key.name}" if self.key else ""
        key = (
            f'key "{self.key.name}" {{ algorithm {self.key.algorithm}; secret "{self.key.secret}"; }};'
            if self.key
            else ""
        )
        zones = "\n".join(
            f'zone "{zone}" {{ type secondary; primaries {{ {LOOPBACK} port {port}{signed}; }}; '
            f'file "zones/{zone}"; }};'
            for zone, port in self.zones.items()
        )
        hurry = (
            "min-refresh-time 1; max-refresh-time 2; min-retry-time 1; max-retry-time 2;\n"
            "  serial-query-rate 1000; transfers-in 50; transfers-per-ns 50;"
        )
        (self.directory / "named.conf").write_text(f"""{key}
controls {{ }};
options {{
  directory "{self.directory}"; pid-file none; session-keyfile "{self.directory}/session.key";
  listen-on port {self.port} {{ {LOOPBACK}; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; empty-zones-enable no; notify no; allow-transfer {{ 127.0.0.0/8; }};
  {hurry if self.hurried else ""}
  {self.settings}
}};
{zones}
""")

    def command(self) -> list[str]:
        binary = program("named") or "named"
        # Where AppArmor holds named to its package's directories, a copy of the program is not held.
        if Path("/sys/kernel/security/apparmor/profiles").exists():
            shutil.copy(binary, self.directory / "named")
            binary = str(self.directory / "named")
        return [binary, "-g", "-n", "1", "-c", str(self.directory / "named.conf")]


class PdnsSecondary(Secondary):
    """PowerDNS with its SQLite backend, one thread that answers, everything else as it comes."""

    name = "PowerDNS"
    programs = ("pdns_server",)

    def configure(self) -> None:
        database = self.directory / "pdns.db"
        (self.directory / "pdns.conf").write_text(
            f"launch=gsqlite3\ngsqlite3-database={database}\ngsqlite3-dnssec=yes\nsecondary=yes\n"
            f"local-address={LOOPBACK}\nlocal-port={self.port}\nsocket-dir={self.directory}\n"
            "allow-axfr-ips=127.0.0.0/8\nonly-notify=\nsecurity-poll-suffix=\nreceiver-threads=1\n"
            f"guardian=no\ndaemon=no\nwrite-pid=no\nloglevel=4\n{self.settings}"
        )
        if database.exists():
            return
        with sqlite3.connect(database) as connection:
            connection.executescript(PDNS_TABLES)
            connection.executemany(
                "INSERT INTO domains (name, master, type) VALUES (?, ?, 'SLAVE')",
                [(zone, f"{LOOPBACK}:{port}") for zone, port in self.zones.items()],
            )
            if self.key:
                connection.execute("INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, ?, ?)", self._key_row())
                for kind in ("AXFR-MASTER-TSIG", "TSIG-ALLOW-AXFR"):
                    connection.execute(
                        "INSERT INTO domainmetadata (domain_id, kind, content) SELECT id, ?, ? FROM domains",
                        (kind, self.key.name),
                    )
        connection.close()

    def _key_row(self) -> tuple[str, str, str]:
        assert self.key is not None
        return self.key.name, self.key.algorithm, self.key.secret

    def command(self) -> list[str]:
        return [program("pdns_server") or "pdns_server", f"--config-dir={self.directory}"]


SECONDARIES = (KnotSecondary, NsdSecondary, BindSecondary)
