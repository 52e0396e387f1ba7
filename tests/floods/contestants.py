"""Who is flooded: our own daemon, BIND, NSD and Knot, as secondaries of one primary, each with one answering worker.

All take NOTIFY from the primary's address, 127.0.0.1. Their limits on TCP clients are their own defaults, or the same
number for all.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from support.daemon import Nameserver
from support.process import program, version_of
from support.secondaries import BindSecondary, KnotSecondary, NsdSecondary, Secondary
from support.wait import wait_for

PATIENCE = 30.0  # seconds from a start until every zone is answered

Server = Nameserver | Secondary


@dataclass(frozen=True)
class Contestant:
    """One of the four."""

    name: str
    version_command: Sequence[str]
    default_limits: str  # on TCP clients, in words
    peer: type[Secondary] | None = None  # None: ours
    settings: str = ""  # always
    raises: str = ""  # with {}: the setting that lets more TCP clients in

    @property
    def here(self) -> bool:
        return program(self.version_command[0]) is not None

    def version(self) -> str:
        """As it says itself."""
        return version_of(self.version_command)

    def start(self, zones: Sequence[str], primary_port: int, clients: int | None = None) -> Server:
        """Starts it; returns once it answers every zone. `clients`: TCP clients at once; None: its own default."""
        server: Server
        if self.peer is None:
            limit = {"tcp-max-clients": clients} if clients else {}
            server = Nameserver(zones=zones, primary_port=primary_port, server=limit)
        else:
            settings = self.settings + (self.raises.format(clients) if clients else "")
            server = self.peer(dict.fromkeys(zones, primary_port), settings=settings, hurried=False)
        try:
            server.start()
            wait_for(lambda: all(server.serial(zone) for zone in zones), PATIENCE, self.name, explain=server.explain)
        except BaseException:
            server.close()
            raise
        return server


CONTESTANTS = (
    Contestant(
        "nameserver",
        (sys.executable, "-m", "nameserver", "--version"),
        "500 clients, 100 from an address, idle 10 s",
    ),
    Contestant(
        "BIND",
        ("named", "-v"),
        "150 clients, idle 30 s",
        BindSecondary,
        raises="tcp-clients {};",
    ),
    Contestant(
        "NSD",
        ("nsd", "-v"),
        "100 clients, idle 120 s",
        NsdSecondary,
        raises="  tcp-count: {}\n",
    ),
    Contestant(
        "Knot",
        ("knotd", "-V"),
        "half of its descriptors, idle 10 s",
        KnotSecondary,
        settings="  tcp-workers: 10\n",  # its default where there are fewer cores
        raises="  tcp-max-clients: {}\n",
    ),
)
