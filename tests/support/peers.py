"""Real primaries: BIND, Knot, NSD and PowerDNS as Debian packages them, each run in the foreground on 127.0.0.1.

A `Primary` owns one directory, one port and one process. `update()` writes a new zone text and makes the daemon load
it and send NOTIFY; `skew` runs the daemon under faketime, its clock that far off ours. Nothing is shared between two
of them and nothing outside the directory is touched.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from support import ask
from support.ask import LOOPBACK, Key, Record
from support.process import WITNESSES, Child, free_port, program, short_directory
from support.wait import wait_for

REQUIRED = "NAMESERVER_REQUIRE_PEERS"


@dataclass
class Target:
    """Whom the primary tells about a change: a port of 127.0.0.1, and the key that signs the NOTIFY."""

    port: int
    key: Key | None = None


@dataclass
class Primary:
    """What the four have in common. `zones` maps a name without its final dot to the zone's text."""

    zones: dict[str, str]
    keys: Sequence[Key] = ()  # all that the daemon knows
    transfer_key: Key | None = None  # the one a transfer needs; None: anyone from loopback
    notify: Sequence[Target] = ()
    port: int = field(default_factory=free_port)
    directory: Path = field(init=False)
    child: Child | None = field(init=False, default=None)

    name = "primary"
    programs: tuple[str, ...] = ()
    serves_ixfr = True

    def __post_init__(self) -> None:
        self.directory = short_directory(self.name)
        WITNESSES.append(self.explain)
        for part in ("zones", "db"):
            (self.directory / part).mkdir()
        self.keys = tuple(
            {key.name: key for key in (*self.keys, *([self.transfer_key] if self.transfer_key else []))}.values()
        )

    # one method each daemon has its own way for

    def configure(self) -> None:
        """Writes the configuration."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """What runs it in the foreground."""
        raise NotImplementedError

    def load(self, zone: str) -> None:
        """Makes the running daemon take the zone's new text and send NOTIFY."""
        raise NotImplementedError

    # what the tests call

    def start(self) -> "Primary":
        """Starts it and waits until its first zone answers."""
        for zone, text in self.zones.items():
            self.write(zone, text)
        self.configure()
        return self.restart()

    def restart(self) -> "Primary":
        """Starts it again with what is on disk."""
        self.child = Child(self.command(), self.directory / "log")
        last = list(self.zones)[-1:]
        wait_for(
            lambda: all(self.serial(zone) is not None for zone in last),
            30,
            f"{self.name} to answer",
            explain=self.explain,
        )
        return self

    def stop(self) -> None:
        """Ends it as its service manager would."""
        if self.child and self.child.alive:
            self.child.signal(18)  # a stopped process cannot end
            self.child.terminate()

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self.child:
            self.child.kill()

    def close(self) -> None:
        """Kills it and removes its directory."""
        self.kill()
        WITNESSES.remove(self.explain)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> "Primary":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, zone: str, text: str) -> None:
        """Publishes a new version; returns once the primary itself answers with its serial."""
        before = self.serial(zone)
        self.zones[zone] = text
        self.write(zone, text)
        self.load(zone)
        wait_for(lambda: self.serial(zone) != before, 15, f"{self.name} to load the new version", explain=self.explain)

    def serial(self, zone: str) -> int | None:
        return ask.serial(self.port, zone, timeout=0.3)

    def zone_records(self, zone: str, key: Key | None = None) -> set[Record]:
        return ask.zone_records(self.port, zone, key or self.transfer_key)

    def file_of(self, zone: str) -> Path:
        return self.directory / "zones" / f"{zone}.zone"

    def write(self, zone: str, text: str) -> None:
        path = self.file_of(zone)
        previous = path.stat().st_mtime if path.exists() else 0.0
        path.write_text(text)
        # Two versions within one tick of the clock must still look like two to a daemon that compares file times.
        if path.stat().st_mtime <= previous:
            os.utime(path, (previous + 1, previous + 1))

    def explain(self) -> str:
        """The end of its log, for a test that fails."""
        return (
            f"--- {self.name} on port {self.port}, its log ends with:\n{self.child.log[-4000:] if self.child else ''}"
        )

    def run(self, *command: str) -> str:
        """A control command of the daemon's; its output."""
        binary = program(command[0]) or command[0]
        done = subprocess.run([binary, *command[1:]], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}\n{self.explain()}")
        return done.stdout


class BindPrimary(Primary):
    """BIND: differences between zone files become its journal (`ixfr-from-differences`)."""

    name = "bind"
    programs = ("named",)

    def configure(self) -> None:
        access = f"key {self.transfer_key.name};" if self.transfer_key else "127.0.0.0/8;"
        targets = " ".join(f"{LOOPBACK} port {t.port}{f' key {t.key.name}' if t.key else ''};" for t in self.notify)
        keys = "\n".join(f'key "{k.name}" {{ algorithm {k.algorithm}; secret "{k.secret}"; }};' for k in self.keys)
        zones = "\n".join(f'zone "{z}" {{ type primary; file "{self.file_of(z)}"; }};' for z in self.zones)
        (self.directory / "named.conf").write_text(f"""{keys}
controls {{ }};
options {{
  directory "{self.directory}"; pid-file none; session-keyfile "{self.directory}/session.key";
  listen-on port {self.port} {{ {LOOPBACK}; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; empty-zones-enable no; check-integrity no;
  ixfr-from-differences yes; allow-transfer {{ {access} }};
  notify explicit; also-notify {{ {targets} }}; notify-delay 0; notify-rate 10000; startup-notify-rate 10000;
}};
{zones}
""")

    def command(self) -> list[str]:
        binary = program("named") or "named"
        # Where AppArmor holds named to its package's directories, a copy of the program is not held.
        if Path("/sys/kernel/security/apparmor/profiles").exists():
            copy = self.directory / "named"
            if not copy.exists():
                shutil.copy(binary, copy)
            binary = str(copy)
        return [binary, "-g", "-n", "1", "-c", str(self.directory / "named.conf")]

    def load(self, zone: str) -> None:
        if self.child:
            for pid in self.child.group():
                if Path(f"/proc/{pid}/comm").read_text().strip() == "named":
                    os.kill(pid, 1)


class KnotPrimary(Primary):
    """Knot: differences between zone files become its journal (`zonefile-load: difference`)."""

    name = "knot"
    programs = ("knotd", "knotc")

    def configure(self) -> None:
        keys = "".join(
            f'  - id: "{k.name}"\n    algorithm: {k.algorithm}\n    secret: "{k.secret}"\n' for k in self.keys
        )
        remotes = "".join(
            f"  - id: target{i}\n    address: {LOOPBACK}@{t.port}\n" + (f'    key: "{t.key.name}"\n' if t.key else "")
            for i, t in enumerate(self.notify)
        )
        access = f'    key: "{self.transfer_key.name}"' if self.transfer_key else "    address: 127.0.0.0/8"
        targets = ", ".join(f"target{i}" for i in range(len(self.notify)))
        (self.directory / "knot.conf").write_text(
            f"server:\n  rundir: {self.directory}\n  listen: {LOOPBACK}@{self.port}\n  background-workers: 1\n"
            f"  udp-workers: 1\n  tcp-workers: 2\n"
            f"database:\n  storage: {self.directory}/db\n  journal-db-max-size: 200M\n"
            "log:\n  - target: stderr\n    any: info\n"
            + (f"key:\n{keys}" if keys else "")
            + (f"remote:\n{remotes}" if remotes else "")
            + f"acl:\n  - id: transfer\n{access}\n    action: transfer\n"
            f'template:\n  - id: default\n    storage: {self.directory}/zones\n    file: "%s.zone"\n'
            "    zonefile-sync: -1\n    zonefile-load: difference\n    journal-content: changes\n"
            "    semantic-checks: off\n"
            + (f"    notify: [{targets}]\n" if targets else "")
            + "    acl: [transfer]\n"
            + "zone:\n"
            + "".join(f"  - domain: {zone}\n" for zone in self.zones)
        )

    def command(self) -> list[str]:
        return [program("knotd") or "knotd", "-c", str(self.directory / "knot.conf")]

    def load(self, zone: str) -> None:
        self.run("knotc", "-c", str(self.directory / "knot.conf"), "-b", "zone-reload", zone)


class NsdPrimary(Primary):
    """NSD: differences are made when a zone file is read again (`create-ixfr`)."""

    name = "nsd"
    programs = ("nsd", "nsd-control")

    def configure(self) -> None:
        keys = "".join(
            f'key:\n  name: "{k.name}"\n  algorithm: {k.algorithm}\n  secret: "{k.secret}"\n' for k in self.keys
        )
        access = f"  provide-xfr: 127.0.0.0/8 {self.transfer_key.name if self.transfer_key else 'NOKEY'}\n"
        targets = "".join(f"  notify: {LOOPBACK}@{t.port} {t.key.name if t.key else 'NOKEY'}\n" for t in self.notify)
        zones = "".join(
            f'zone:\n  name: "{zone}"\n  zonefile: "{self.file_of(zone)}"\n  create-ixfr: yes\n  store-ixfr: yes\n'
            f"  ixfr-number: 50\n{access}{targets}"
            for zone in self.zones
        )
        home = self.directory
        (home / "nsd.conf").write_text(
            f'server:\n  ip-address: {LOOPBACK}@{self.port}\n  username: ""\n  chroot: ""\n  database: ""\n'
            f'  zonesdir: "{home}"\n  pidfile: "{home}/nsd.pid"\n  xfrdfile: "{home}/xfrd"\n  xfrdir: "{home}"\n'
            f'  zonelistfile: "{home}/list"\n  server-count: 1\n  verbosity: 2\n'
            f'remote-control:\n  control-enable: yes\n  control-interface: "{home}/control"\n{keys}{zones}'
        )

    def command(self) -> list[str]:
        return [program("nsd") or "nsd", "-d", "-c", str(self.directory / "nsd.conf")]

    def load(self, zone: str) -> None:
        self.run("nsd-control", "-c", str(self.directory / "nsd.conf"), "reload", zone)


class PdnsPrimary(Primary):
    """PowerDNS with its SQLite backend. It has no history, so it answers IXFR with the whole zone."""

    name = "pdns"
    programs = ("pdns_server", "pdnsutil", "pdns_control")
    serves_ixfr = False

    def configure(self) -> None:
        database = self.directory / "pdns.db"
        targets = ",".join(f"{LOOPBACK}:{t.port}" for t in self.notify)
        (self.directory / "pdns.conf").write_text(
            f"launch=gsqlite3\ngsqlite3-database={database}\ngsqlite3-dnssec=yes\nprimary=yes\n"
            f"local-address={LOOPBACK}\nlocal-port={self.port}\nsocket-dir={self.directory}\n"
            f"allow-axfr-ips={'' if self.transfer_key else '127.0.0.0/8'}\nalso-notify={targets}\nonly-notify=\n"
            "prevent-self-notification=no\ncache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\n"
            "zone-cache-refresh-interval=0\nsecurity-poll-suffix=\nreceiver-threads=1\ndistributor-threads=1\nguardian=no\n"
            "daemon=no\nwrite-pid=no\nconsistent-backends=yes\nloglevel=5\n"
        )
        with sqlite3.connect(database) as connection:
            connection.executescript(PDNS_TABLES)
            connection.executemany(
                "INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, ?, ?)",
                [(key.name, key.algorithm, key.secret) for key in self.keys],
            )
        connection.close()
        for zone in self.zones:
            self._import(zone)
        self._grant(database)

    def _grant(self, database: Path) -> None:
        """Each zone: transfers for the key, kind MASTER, and the key that signs its NOTIFYs."""
        signer = next((target.key for target in self.notify if target.key), None)
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE domains SET type = 'MASTER'")
            for kind, key in (("TSIG-ALLOW-AXFR", self.transfer_key), ("AXFR-MASTER-TSIG", signer)):
                if key:
                    connection.execute(
                        "INSERT INTO domainmetadata (domain_id, kind, content) SELECT id, ?, ? FROM domains",
                        (kind, key.name),
                    )
        connection.close()

    def _import(self, zone: str) -> None:
        self.run("pdnsutil", f"--config-dir={self.directory}", "load-zone", zone, str(self.file_of(zone)))

    def command(self) -> list[str]:
        return [program("pdns_server") or "pdns_server", f"--config-dir={self.directory}"]

    def load(self, zone: str) -> None:
        self._import(zone)
        self.run("pdns_control", f"--socket-dir={self.directory}", f"--config-dir={self.directory}", "notify", zone)


# The columns PowerDNS's SQLite backend asks for; its own file with them is not on every machine that has the backend.
PDNS_TABLES = """
CREATE TABLE domains (id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, master TEXT, last_check INTEGER,
  type TEXT NOT NULL, notified_serial INTEGER, account TEXT, options TEXT, catalog TEXT);
CREATE UNIQUE INDEX domain_by_name ON domains(name);
CREATE TABLE records (id INTEGER PRIMARY KEY, domain_id INTEGER, name TEXT, type TEXT, content TEXT, ttl INTEGER,
  prio INTEGER, disabled BOOLEAN DEFAULT 0, ordername TEXT, auth BOOL DEFAULT 1);
CREATE INDEX record_by_name ON records(name, type);
CREATE INDEX record_by_domain ON records(domain_id, name, type);
CREATE INDEX record_by_order ON records(domain_id, ordername);
CREATE TABLE supermasters (ip TEXT, nameserver TEXT, account TEXT);
CREATE TABLE comments (id INTEGER PRIMARY KEY, domain_id INTEGER, name TEXT, type TEXT, modified_at INT, account TEXT,
  comment TEXT);
CREATE TABLE domainmetadata (id INTEGER PRIMARY KEY, domain_id INT, kind TEXT, content TEXT);
CREATE INDEX metadata_by_domain ON domainmetadata(domain_id);
CREATE TABLE cryptokeys (id INTEGER PRIMARY KEY, domain_id INT, flags INT, active BOOL, published BOOL DEFAULT 1,
  content TEXT);
CREATE INDEX key_by_domain ON cryptokeys(domain_id);
CREATE TABLE tsigkeys (id INTEGER PRIMARY KEY, name TEXT, algorithm TEXT, secret TEXT);
"""

PRIMARIES: Mapping[str, type[Primary]] = {
    peer.name: peer for peer in (BindPrimary, KnotPrimary, NsdPrimary, PdnsPrimary)
}


def requires(*programs: str) -> None:
    """Skips the test when one of these programs is not here, saying so; fails where the peers are required."""
    missing = [name for name in programs if program(name) is None]
    if missing:
        _lacking(", ".join(missing))


def _lacking(what: str) -> NoReturn:
    reason = f"not installed: {what} (`make test` installs them, as root on Debian)"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{reason}; {REQUIRED}=1 says that they must be here", pytrace=False)
    pytest.skip(reason)
