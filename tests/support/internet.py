"""A small internet on loopback: a root, what it delegates, and servers that answer differently at each address.

Every address of 127.0.0.0/8 is a server of its own, a real NSD with its own zones. All listen on one port, which is
what `--port` of the migration commands is for.

    with Internet({"127.0.5.1": {".": ROOT}, "127.0.5.10": {"example.": TEXT}}) as net:
        run("migrate", "serials", "example", "--root-hints", net.hints, "--port", str(net.port))
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query
from support.ask import Key
from support.peers import requires
from support.process import WITNESSES, Child, free_port, program, short_directory
from support.wait import wait_for


def soa(zone: str, serial: int = 1, ttl: int = 300, minimum: int = 300) -> str:
    """The first line of a zone, which is written with its final dot."""
    name = "" if zone == "." else zone
    return f"@ {ttl} IN SOA ns1.{name} hostmaster.{name} {serial} 3600 900 1209600 {minimum}\n"


class Server:
    """One NSD at one address. `transfer`: "any", "none" or the name of the key that a transfer needs."""

    def __init__(self, address: str, port: int, zones: Mapping[str, str], keys: Sequence[Key], transfer: str) -> None:
        self.address, self.port, self.keys, self.transfer = address, port, keys, transfer
        self.zones = dict(zones)
        self.directory = short_directory("nsd")
        self.child: Child | None = None

    def start(self) -> None:
        """Begin; `ready` tells when it answers."""
        home = self.directory
        access = {"none": "", "any": "  provide-xfr: 127.0.0.0/8 NOKEY\n"}.get(
            self.transfer, f"  provide-xfr: 127.0.0.0/8 {self.transfer}\n"
        )
        zones = ""
        for number, (name, text) in enumerate(self.zones.items()):
            (home / f"{number}.zone").write_text(text)
            zones += f'zone:\n  name: "{name}"\n  zonefile: "{home}/{number}.zone"\n{access}'
        keys = "".join(
            f'key:\n  name: "{key.name}"\n  algorithm: {key.algorithm}\n  secret: "{key.secret}"\n' for key in self.keys
        )
        (home / "nsd.conf").write_text(
            f'server:\n  ip-address: {self.address}@{self.port}\n  username: ""\n  chroot: ""\n  database: ""\n'
            f'  zonesdir: "{home}"\n  pidfile: "{home}/nsd.pid"\n  xfrdfile: "{home}/xfrd"\n  xfrdir: "{home}"\n'
            f'  zonelistfile: "{home}/list"\n  server-count: 1\n  verbosity: 2\n'
            f"remote-control:\n  control-enable: no\n{keys}{zones}"
        )
        self.child = Child([program("nsd") or "nsd", "-d", "-c", str(home / "nsd.conf")], home / "log")

    def ready(self) -> bool:
        """Whether every zone is answered; fails at once where the process has ended."""
        assert self.child is not None and self.child.alive, self.explain()
        return all(self._answers(zone) for zone in self.zones)

    def _answers(self, zone: str) -> bool:
        try:
            reply = dns.query.udp(dns.message.make_query(zone, "SOA"), self.address, port=self.port, timeout=0.3)
        except (OSError, dns.exception.DNSException):
            return False
        return bool(reply.answer)

    def stop(self) -> None:
        """End the process; the zones stay for the next start."""
        if self.child is not None:
            self.child.kill()

    def change(self, zone: str, text: str) -> None:
        """Another text for one zone; returns when the server answers again."""
        self.zones[zone] = text
        self.stop()
        self.start()
        wait_for(self.ready, 30, f"NSD at {self.address}", explain=self.explain)

    def explain(self) -> str:
        """The end of its log."""
        return f"--- NSD at {self.address}: {self.child.log[-4000:] if self.child else 'not started'}"


class Internet:
    """Servers by address, each with its zones: name with a final dot → text of the zone. The first one is the root.

    `transfer`: by address, whom transfers are allowed; nobody where nothing is said.
    """

    def __init__(
        self,
        servers: Mapping[str, Mapping[str, str]],
        keys: Sequence[Key] = (),
        transfer: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.servers = {
            address: Server(address, self.port, zones, keys, (transfer or {}).get(address, "none"))
            for address, zones in servers.items()
        }
        self.hints: Path = next(iter(self.servers.values())).directory / "root.hints"
        self.hints.write_text(f". 3600000 NS a.root.\na.root. 3600000 A {next(iter(servers))}\n")

    @property
    def arguments(self) -> list[str]:
        """The options that make a migration command walk this tree."""
        return ["--root-hints", str(self.hints), "--port", str(self.port)]

    def __enter__(self) -> "Internet":
        requires("nsd")
        WITNESSES.append(self.explain)
        try:
            for server in self.servers.values():
                server.start()
            for server in self.servers.values():
                wait_for(server.ready, 30, f"NSD at {server.address}", explain=server.explain)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        WITNESSES.remove(self.explain)
        for server in self.servers.values():
            server.stop()
            shutil.rmtree(server.directory, ignore_errors=True)

    def explain(self) -> str:
        """The ends of their logs."""
        return "\n".join(server.explain() for server in self.servers.values())
