"""Who is measured: our own daemon, Knot, NSD, BIND and PowerDNS, as secondaries, each with one answering worker.

Each runs as it comes, but for what everybody sets who has such loads: BIND asks and transfers at more than its careful
pace, NSD has no rate limit. Ours has its bytecode beside it, as `make setup` leaves it. All keep zones on disk. Where
zones change by the moment, NSD does not gather changes for a second before it serves them, and Knot does not write the
whole zone file after each.
"""

import compileall
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from support.ask import Key
from support.daemon import Nameserver
from support.process import Child, program, version_of
from support.secondaries import BindSecondary, KnotSecondary, NsdSecondary, PdnsSecondary, Secondary

import nameserver

OURS = "nameserver"
BIND_PACE = "serial-query-rate 1000; transfers-in 50; transfers-per-ns 50;"

Server = Nameserver | Secondary


@dataclass(frozen=True)
class Contestant:
    """One of the five."""

    name: str
    version_command: Sequence[str]
    peer: type[Secondary] | None = None  # None: ours
    settings: str = ""
    settings_if_quick: str = ""  # besides, for zones that change by the moment
    quick: bool = False

    @property
    def here(self) -> bool:
        return program(self.version_command[0]) is not None

    def version(self) -> str:
        """As it says itself."""
        return version_of(self.version_command)

    def for_quick_changes(self) -> "Contestant":
        """The same, set up for zones that change by the moment."""
        return replace(self, quick=True)

    def make(self, zones: Mapping[str, int], key: Key | None = None) -> Server:
        """The server, not started; `zones` by the port of their primary, which is one for ours."""
        if self.peer is not None:
            settings = self.settings + (self.settings_if_quick if self.quick else "")
            return self.peer(zones, key=key, settings=settings, hurried=False, keeps=not self.quick)
        ours = Nameserver(zones=list(zones), primary_port=next(iter(zones.values())), key=key, open_transfers=True)
        ours.template = {}
        return ours


CONTESTANTS = (
    Contestant(OURS, (sys.executable, "-m", "nameserver", "--version")),
    Contestant("Knot", ("knotd", "-V"), KnotSecondary),
    Contestant("NSD", ("nsd", "-v"), NsdSecondary, "  rrl-ratelimit: 0\n", "  xfrd-reload-timeout: 0\n"),
    Contestant("BIND", ("named", "-v"), BindSecondary, BIND_PACE),
    Contestant("PowerDNS", ("pdns_server", "--version"), PdnsSecondary),
)


def prepare() -> None:
    """Compiles our modules, which may have changed since they were installed."""
    compileall.compile_dir(Path(nameserver.__file__).parent, quiet=1)


def start(server: Server) -> None:
    """Starts it; nothing is waited for."""
    if isinstance(server, Nameserver):
        server.start(wait_ready=False)
    else:
        server.start()


def stop(server: Server) -> None:
    """Ends it as its service manager would, with all the time that it needs; what it took in is on disk."""
    if isinstance(server, NsdSecondary):
        server.write_zones()
    child_of(server).terminate(120.0)


def child_of(server: Server) -> Child:
    if server.child is None:
        raise RuntimeError(f"not running: {server.explain()}")
    return server.child


def without_primary(server: Server, port: int) -> None:
    """From its next start on its zones have a primary on a port where nobody listens."""
    if isinstance(server, Nameserver):
        server.primary_port = port
    else:
        server.zones = dict.fromkeys(server.zones, port)


def answering_processes(server: Server) -> list[int]:
    """Those that answer: our workers; with the others, where a process holds a zone, it is the largest."""
    if isinstance(server, Nameserver):
        return [worker["pid"] for worker in server.status()["server"]["workers"] if worker["pid"]]
    return [max(child_of(server).group(), key=resident)]


def resident(pid: int) -> int:
    """Bytes of a process that are in memory, whoever else shares them."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
