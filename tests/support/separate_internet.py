"""A network of its own with a root, a top-level domain, an old provider, a new one, and a resolver that finds its way.

Every server listens on port 53 of its own address, as on the internet, for that is where a resolver goes:

    127.0.5.1 root · 127.0.5.2 example. (NSD) · 127.0.5.3 old (BIND) · 127.0.6.4 new (Knot or pdns) · 127.0.5.9 unbound
"""

import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import dns.exception
import dns.message
import dns.query
import dns.rcode
from support import netns
from support.ask import Key
from support.internet import soa
from support.peers import PDNS_TABLES
from support.process import WITNESSES, Child, program, short_directory
from support.wait import wait_for

ROOT, TLD, OLD, NEW, RESOLVER = "127.0.5.1", "127.0.5.2", "127.0.5.3", "127.0.6.4", "127.0.5.9"
KEY = Key("transfer-key", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")
ZONE = "shop.example."
ADDRESSES = {"old": OLD, "new": NEW}


class Answer(NamedTuple):
    """What the resolver said at a moment (seconds, monotonic): texts, or what went wrong."""

    at: float
    texts: tuple[str, ...]
    problem: str


class SeparateInternet:
    """All of it. `parent_ttl`: of the delegation, in seconds. `new`: what runs at the new side, "knot" or "pdns"."""

    def __init__(self, zone_text: str, parent_ttl: int, new: str = "knot") -> None:
        self.parent_ttl = parent_ttl
        self.new = new
        self.directory = short_directory("net")
        self.children: dict[str, Child] = {}
        self.zone_text = zone_text
        self._tld_serial = 0
        self.hints = self.directory / "root.hints"
        self.hints.write_text(f". 3600000 NS a.root.\na.root. 3600000 A {ROOT}\n")

    # --- the network ---------------------------------------------------------------------------------------------

    def __enter__(self) -> "SeparateInternet":
        WITNESSES.append(self.explain)
        try:
            return self._start()
        except BaseException:
            self.__exit__()
            raise

    def _start(self) -> "SeparateInternet":
        addresses = [f"{address}/32" for address in (ROOT, TLD, OLD, NEW, RESOLVER)]
        holder = [*netns.launcher(*addresses), "sleep", "infinity"]
        self.children["network"] = Child(holder, self.directory / "network.log")
        self.network = netns.Network(self.children["network"].pid)
        wait_for(self._is_up, 10, "the network")
        self._start_nsd("root", ROOT, ".", self._root_text())
        self._start_nsd("tld", TLD, "example.", self.tld_text(("old",)))
        self._start_bind()
        {"knot": self._start_knot, "pdns": self._start_pdns}[self.new]()
        self._start_unbound()
        for address, name in ((ROOT, "."), (TLD, "example."), (OLD, ZONE), (NEW, ZONE)):
            wait_for(lambda a=address, n=name: self.serial(a, n) is not None, 30, f"{address}", explain=self.explain)
        wait_for(lambda: not self.resolve("www", "A").problem, 30, "unbound", explain=self.explain)
        return self

    def __exit__(self, *_: object) -> None:
        WITNESSES.remove(self.explain)
        for child in reversed(self.children.values()):
            child.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _is_up(self) -> bool:
        done = subprocess.run([*self._inside, "ip", "-4", "addr"], capture_output=True, text=True, check=False)
        return RESOLVER in done.stdout

    @property
    def _inside(self) -> list[str]:
        return ["nsenter", "-t", str(self.children["network"].pid), "-n"]

    def _run(self, name: str, *command: str) -> None:
        self.children[name] = Child([*self._inside, *command], self.directory / f"{name}.log")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The `nameserver` command, in the network."""
        command = [*self._inside, sys.executable, "-m", "nameserver", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def explain(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {name}: {child.log[-1500:]}" for name, child in self.children.items())

    # --- the servers ---------------------------------------------------------------------------------------------

    def _root_text(self) -> str:
        top = f"@ NS a.root.\na.root. A {ROOT}\nexample. NS ns.example.\nns.example. A {TLD}\n"
        return f"$TTL 3600\n{soa('.')}{top}"

    def tld_text(self, names: tuple[str, ...]) -> str:
        """The top-level domain with `shop` delegated to these servers."""
        self._tld_serial += 1
        servers = "".join(f"shop {self.parent_ttl} NS {name}.shop\n" for name in names)
        glue = "".join(f"{name}.shop {self.parent_ttl} A {ADDRESSES[name]}\n" for name in names)
        return f"$TTL {self.parent_ttl}\n{soa('example.', self._tld_serial)}@ NS ns\nns A {TLD}\n{servers}{glue}"

    def _start_nsd(self, name: str, address: str, zone: str, text: str) -> None:
        home = self.directory / name
        home.mkdir()
        (home / "zone").write_text(text)
        (home / "nsd.conf").write_text(
            f'server:\n  ip-address: {address}\n  username: ""\n  chroot: ""\n  database: ""\n  zonesdir: "{home}"\n'
            f'  pidfile: "{home}/pid"\n  xfrdfile: "{home}/xfrd"\n  xfrdir: "{home}"\n  zonelistfile: "{home}/list"\n'
            f'  server-count: 1\nremote-control:\n  control-enable: yes\n  control-interface: "{home}/control"\n'
            f'zone:\n  name: "{zone}"\n  zonefile: "{home}/zone"\n'
        )
        self._run(name, program("nsd") or "nsd", "-d", "-c", str(home / "nsd.conf"))

    def delegate_to(self, *names: str) -> None:
        """What a registrar does: other servers at the parent, without a pause in its service."""
        home = self.directory / "tld"
        text = self.tld_text(names)
        time.sleep(1.1)  # NSD looks at a file's time in whole seconds
        (home / "zone").write_text(text)
        control = [program("nsd-control") or "nsd-control", "-c", str(home / "nsd.conf"), "reload", "example."]
        subprocess.run(control, check=True, capture_output=True)
        serial = self._tld_serial
        wait_for(lambda: self.serial(TLD, "example.") == serial, 20, "the new delegation", explain=self.explain)

    def _start_bind(self) -> None:
        home = self.directory / "old"
        home.mkdir()
        (home / "zone").write_text(self.zone_text)
        (home / "named.conf").write_text(
            f'key "{KEY.name}" {{ algorithm {KEY.algorithm}; secret "{KEY.secret}"; }};\ncontrols {{ }};\n'
            f'options {{ directory "{home}"; pid-file none; session-keyfile "{home}/session.key"; recursion no;\n'
            f"  listen-on {{ {OLD}; }}; listen-on-v6 {{ none; }}; dnssec-validation no; empty-zones-enable no;\n"
            f"  ixfr-from-differences yes; notify-delay 0; notify explicit; also-notify {{ {NEW} key {KEY.name}; }};\n"
            f"  query-source address {OLD}; notify-source {OLD}; allow-transfer {{ key {KEY.name}; }}; }};\n"
            f'zone "{ZONE}" {{ type primary; file "{home}/zone"; }};\n'
        )
        self._run("old", program("named") or "named", "-g", "-n", "1", "-c", str(home / "named.conf"))

    def edit(self, text: str) -> None:
        """Another text of the zone at the old side; returns when the new side has it too."""
        self.zone_text = text
        (self.directory / "old/zone").write_text(text)
        child = self.children["old"]
        for pid in child.group():
            if Path(f"/proc/{pid}/comm").read_text().strip() == "named":
                subprocess.run(["kill", "-HUP", str(pid)], check=True)
        wanted = int(text.split(" SOA ")[1].split()[2])
        for address in (OLD, NEW):
            wait_for(lambda a=address: self.serial(a, ZONE) == wanted, 20, f"{address}", explain=self.explain)

    def _start_knot(self) -> None:
        home = self.directory / "new"
        home.mkdir()
        (home / "knot.conf").write_text(
            f"server:\n  rundir: {home}\n  listen: {NEW}\n  background-workers: 1\n  udp-workers: 1\n  tcp-workers: 2\n"
            f"database:\n  storage: {home}\nlog:\n  - target: stderr\n    any: info\n"
            f'key:\n  - id: "{KEY.name}"\n    algorithm: {KEY.algorithm}\n    secret: "{KEY.secret}"\n'
            f'remote:\n  - id: old\n    address: {OLD}\n    via: {NEW}\n    key: "{KEY.name}"\n'
            f'acl:\n  - id: notify\n    key: "{KEY.name}"\n    action: [notify, transfer]\n'
            f"zone:\n  - domain: {ZONE}\n    storage: {home}\n    master: old\n    acl: [notify]\n"
        )
        self._run("new", program("knotd") or "knotd", "-c", str(home / "knot.conf"))

    def _start_pdns(self) -> None:
        home = self.directory / "new"
        home.mkdir()
        (home / "pdns.conf").write_text(
            f"launch=gsqlite3\ngsqlite3-database={home}/db\nsecondary=yes\nxfr-cycle-interval=1\n"
            f"local-address={NEW}\nquery-local-address={NEW}\nsocket-dir={home}\nallow-axfr-ips=\nonly-notify=\n"
            "security-poll-suffix=\nreceiver-threads=1\nguardian=no\ndaemon=no\nwrite-pid=no\nloglevel=4\n"
        )
        with sqlite3.connect(home / "db") as connection:
            connection.executescript(PDNS_TABLES)
            row = (ZONE.rstrip("."), OLD)
            connection.execute("INSERT INTO domains (name, master, type) VALUES (?, ?, 'SLAVE')", row)
            key = (KEY.name, KEY.algorithm, KEY.secret)
            connection.execute("INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, ?, ?)", key)
            for kind in ("AXFR-MASTER-TSIG", "TSIG-ALLOW-AXFR"):
                text = "INSERT INTO domainmetadata (domain_id, kind, content) SELECT id, ?, ? FROM domains"
                connection.execute(text, (kind, KEY.name))
        connection.close()
        self._run("new", program("pdns_server") or "pdns_server", f"--config-dir={home}")

    def _start_unbound(self) -> None:
        home = self.directory / "resolver"
        home.mkdir()
        (home / "unbound.conf").write_text(
            f"server:\n  interface: {RESOLVER}\n  outgoing-interface: {RESOLVER}\n  access-control: 127.0.0.0/8 allow\n"
            f'  directory: "{home}"\n  chroot: ""\n  username: ""\n  pidfile: "{home}/pid"\n  use-syslog: no\n'
            f'  logfile: ""\n  do-daemonize: no\n  num-threads: 1\n  do-not-query-localhost: no\n'
            f'  module-config: "iterator"\n  root-hints: "{self.hints}"\n  qname-minimisation: no\n'
            f"  do-ip6: no\nremote-control:\n  control-enable: no\n"
        )
        self._run("resolver", program("unbound") or "unbound", "-d", "-c", str(home / "unbound.conf"))

    # --- questions -------------------------------------------------------------------------------------------------

    def serial(self, address: str, zone: str) -> int | None:
        """The serial that a server answers with."""
        try:
            query = dns.message.make_query(zone, "SOA")
            reply = self.network.call(lambda: dns.query.udp(query, address, timeout=1))
        except (OSError, dns.exception.DNSException):
            return None
        return int(reply.answer[0][0].serial) if reply.answer else None

    def resolve(self, host: str, rdtype: str) -> Answer:
        """What the resolver says about a name of the zone."""
        return self.network.call(lambda: ask_resolver(host, rdtype))


def ask_resolver(host: str, rdtype: str) -> Answer:
    """One question, from within the network."""
    now = time.monotonic()
    try:
        reply = dns.query.udp(dns.message.make_query(f"{host}.{ZONE}", rdtype), RESOLVER, timeout=2)
    except (OSError, dns.exception.DNSException) as error:
        return Answer(now, (), str(error) or type(error).__name__)
    if reply.rcode() != dns.rcode.NOERROR or not reply.answer:
        return Answer(now, (), dns.rcode.to_text(reply.rcode()))
    return Answer(now, tuple(sorted(record.to_text() for record in reply.answer[-1])), "")
