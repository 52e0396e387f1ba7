"""What scenarios share in one run: the cores, the scratch directory, primaries kept between rounds, sizes and times."""

import random
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from bench import contestants
from bench.contestants import Contestant, Server
from bench.failed import Failed
from support.ask import LOOPBACK, Key
from support.daemon import new_key
from support.peers import Primary
from support.process import short_directory
from support.usage import cpu_seconds, favour, on_cores

T = TypeVar("T")

FLAT = 0.03  # CPU seconds below which a server has nothing left to do
EVERY = 0.002  # seconds between two looks at whether something is answered


@dataclass(frozen=True)
class Sizes:
    """How much there is of everything."""

    records: int = 100_000  # of the zone that is asked
    many_records: int = 1_000_000  # of the zone that is transferred
    zones: int = 10_000
    queries: int = 400_000  # of a file of them
    seconds: float = 3.0  # of load
    changes: int = 1000  # in quick succession
    spaced_changes: int = 50  # one by one


@dataclass
class Lab:
    """One run. Its own thread, and what is started from it, is on the load's cores."""

    server_cores: set[int]
    load_cores: set[int]
    sizes: Sizes = field(default_factory=Sizes)
    directory: Path = field(default_factory=lambda: short_directory("bench"))
    key: Key = field(default_factory=lambda: new_key("transfer-key"))
    rest: float = 1.0  # seconds in which a server that has nothing left to do uses next to no CPU
    patience: float = 120.0  # seconds until a server is given up
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    _number: int = 0
    _primaries: dict[str, Primary] = field(default_factory=dict)
    _things: dict[str, object] = field(default_factory=dict)
    _files: dict[str, Path] = field(default_factory=dict)

    def primary(self, name: str, make: Callable[[], Primary]) -> Primary:
        """A running primary, made at the first call and kept for the whole run."""
        if name not in self._primaries:
            primary = self._primaries[name] = make()
            primary.start()
            favour(primary.child.pid if primary.child else 0)
        return self._primaries[name]

    def file(self, name: str, write: Callable[[Path], None]) -> Path:
        """A file, written at the first call and kept for the whole run."""
        if name not in self._files:
            path = self.directory / name
            write(path)
            self._files[name] = path
        return self._files[name]

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Anything else, made at the first call and kept for the whole run."""
        if name not in self._things:
            self._things[name] = make()
        return cast(T, self._things[name])

    @contextmanager
    def server(self, contestant: Contestant, zones: dict[str, int], key: Key | None = None) -> Iterator[Server]:
        """A server, not started; whatever runs of it is gone afterwards."""
        server = contestant.make(zones, key)
        try:
            yield server
        finally:
            server.close()

    def start(self, server: Server) -> None:
        """On its cores; nothing is waited for."""
        with on_cores(self.server_cores):
            contestants.start(server)
        favour(self.group(server))

    @contextmanager
    def ready(self, contestant: Contestant, zones: dict[str, int], key: Key | None = None) -> Iterator[Server]:
        """A server that answers all its zones and has nothing left to do."""
        with self.server(contestant, zones, key) as server:
            self.start(server)
            for zone in zones:
                self.answered(server, zone)
            self.settle(server)
            yield server

    def answered(self, server: Server, zone: str, serial: int | None = None, every: float = EVERY) -> float:
        """Monotonic time when it first answered for a zone, with that serial if there is one."""
        return until_answered(server.port, zone, serial, self.patience, lambda: self._gone(server), every)

    def cpu(self, server: Server) -> float:
        """Seconds that all its processes have used."""
        return cpu_seconds(self.group(server))

    def next_number(self) -> int:
        """One that was not there before."""
        self._number += 1
        return self._number

    def settle(self, server: Server) -> None:
        """Returns once its processes have come to rest."""
        group = self.group(server)
        deadline = time.monotonic() + self.patience
        before = cpu_seconds(group)
        while time.monotonic() < deadline:
            time.sleep(self.rest)
            now = cpu_seconds(group)
            if now - before < FLAT:
                return
            before = now
        raise Failed(f"it does not come to rest\n{server.explain()}")

    @staticmethod
    def group(server: Server) -> int:
        """The process group of a running server."""
        return contestants.child_of(server).pid

    @staticmethod
    def _gone(server: Server) -> None:
        if not contestants.child_of(server).alive:
            raise Failed(f"it ended\n{server.explain()}")

    def close(self) -> None:
        """Ends the primaries and removes everything."""
        for primary in self._primaries.values():
            primary.close()
        self._primaries.clear()
        shutil.rmtree(self.directory, ignore_errors=True)


def until_answered(
    port: int,
    zone: str,
    serial: int | None,
    patience: float,
    check: Callable[[], None] = lambda: None,
    every: float = EVERY,
) -> float:
    """Asks for a zone's SOA until it comes with authority and that serial (None: any); monotonic time of the answer."""
    wire = b"".join(bytes([len(label)]) + label for label in zone.encode().split(b".")) + b"\0\0\x06\0\x01"
    request = b"\0\0\0\0\0\x01\0\0\0\0\0\0" + wire
    deadline = time.monotonic() + patience
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((LOOPBACK, port))
        sock.settimeout(0.2)
        while time.monotonic() < deadline:
            try:
                sock.send(request)
                reply = sock.recv(4096)
            except OSError:  # nobody listens yet, or it is busy
                check()
                time.sleep(every)
                continue
            now = time.monotonic()
            good = reply[2] & 0x84 == 0x84 and not reply[3] & 15 and reply[6:8] != b"\0\0"
            if good and (serial is None or serial_in(reply, len(request)) == serial):
                return now
            time.sleep(every)
    raise Failed(f"{zone} was not answered within {patience:g} s")


def serial_in(reply: bytes, start: int) -> int:
    """The serial of the SOA that is the first record of an answer; its section starts at `start`."""
    at = start
    while reply[at]:  # the owner
        if reply[at] >= 0xC0:
            at += 1
            break
        at += 1 + reply[at]
    rdata = at + 11
    end = rdata + int.from_bytes(reply[rdata - 2 : rdata], "big")
    return int.from_bytes(reply[end - 20 : end - 16], "big")
