"""Changes made at a real primary by dynamic update, and when which server below it serves each of them."""

import random
import select
import socket
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dns.name
import dns.update
from support.ask import LOOPBACK

PATIENCE = 60.0  # seconds that the primary may take over one update, and any server over one version
ASKED_AGAIN = 0.005  # seconds after which a server that does not serve a version yet is asked again


class Changes:
    """Dynamic updates of one zone: names come, go, and get other records, and one record counts them."""

    def __init__(self, port: int, zone: str, seed: int) -> None:
        self._zone = zone
        self._random = random.Random(seed)
        self._there: list[str] = []
        self._made = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((LOOPBACK, port))
        self._socket.settimeout(PATIENCE)

    def make(self) -> None:
        """Makes the next one; returns once the primary serves it."""
        self._made += 1
        update = dns.update.UpdateMessage(self._zone)
        update.replace("changed", 300, "TXT", f'"{self._made}"')
        kind = self._random.randrange(4)
        if kind == 0 and self._there:
            update.delete(self._there.pop(self._random.randrange(len(self._there))))
        elif kind == 1 and self._there:
            update.replace(self._random.choice(self._there), 60, "AAAA", f"2001:db8::{self._made:x}")
        else:
            name = f"New-{self._made}.{self._random.choice(['a', 'B.c'])}"
            update.add(name, 300, "A", f"192.0.2.{self._made % 250 + 1}")
            update.add(name, 300, "MX", f"{self._made} mail")
            self._there.append(name)
        self._socket.send(update.to_wire())
        if self._socket.recv(512)[3] & 15:
            raise AssertionError("the primary refused an update")

    def __enter__(self) -> "Changes":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@dataclass
class Watched:
    """One server: what it serves, and how long each version took to it."""

    name: str
    connection: socket.socket
    serial: int = -1
    asked: float = 0.0
    delays: list[float] = field(default_factory=list)


class Watch:
    """Asks servers for a zone's SOA for as long as they lack something, and notes when they have it."""

    def __init__(self, zone: str, ports: Mapping[str, int]) -> None:
        name = dns.name.from_text(zone).to_wire()
        self._question = b"\0\0\0\0\0\x01\0\0\0\0\0\0" + name + b"\0\x06\0\x01"
        self.servers = [Watched(name, self._connect(port)) for name, port in ports.items()]
        self._by_socket = {server.connection: server for server in self.servers}
        self._published: list[tuple[int, float]] = []  # serial, when

    @staticmethod
    def _connect(port: int) -> socket.socket:
        connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        connection.connect((LOOPBACK, port))
        connection.setblocking(False)
        return connection

    def published(self, serial: int) -> None:
        """The primary serves this version now."""
        self._published.append((serial, time.monotonic()))

    def look(self, until: float) -> bool:
        """Ask until a moment, or until nobody lacks anything; whether that is so."""
        newest = self._published[-1][0]
        while behind := [server for server in self.servers if server.serial < newest]:
            now = time.monotonic()
            if now >= until:
                return False
            for server in behind:
                if now - server.asked >= ASKED_AGAIN:
                    server.asked = now
                    try:
                        server.connection.send(self._question)
                    except OSError:
                        continue
            ready, _, _ = select.select([server.connection for server in behind], [], [], ASKED_AGAIN / 2)
            for each in ready:
                self._hear(self._by_socket[each])
        return True

    def _hear(self, server: Watched) -> None:
        try:
            reply = server.connection.recv(4096)
        except OSError:
            return
        if reply[3] & 15 or not reply[7]:
            return
        before, now = server.serial, time.monotonic()
        server.serial = max(before, serial_in(reply, len(self._question)))
        server.delays += [now - at for serial, at in self._published if before < serial <= server.serial]

    def finish(self) -> None:
        """Everybody has everything, or an AssertionError says who has not."""
        if not self.look(time.monotonic() + PATIENCE):
            newest = self._published[-1][0]
            behind = [f"{each.name} has {each.serial}" for each in self.servers if each.serial < newest]
            raise AssertionError(f"serial {newest} was published, {', '.join(behind)}")

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.connection.close()


def serial_in(reply: bytes, offset: int) -> int:
    """The serial of the SOA that is the first record of an answer section, which begins at `offset`."""
    while reply[offset] and reply[offset] < 0xC0:
        offset += reply[offset] + 1
    offset += 2 if reply[offset] else 1
    end = offset + 10 + int.from_bytes(reply[offset + 8 : offset + 10], "big")
    return int.from_bytes(reply[end - 20 : end - 16], "big")


def percentiles(delays: Sequence[float]) -> tuple[float, float]:
    """(p50, p95), in milliseconds."""
    ordered = sorted(delays)
    return 1000 * statistics.median(ordered), 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
