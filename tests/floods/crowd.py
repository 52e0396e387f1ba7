"""A crowd of TCP clients that want no good, from many addresses of 127.0.0.0/8: a process of its own.

    python -m floods.crowd PORT --name NAME --start MONOTONIC --seconds S [--idle N --slow N --mute N]   a line of JSON

    idle   connects and says nothing
    slow   sends its question one byte a second
    mute   sends questions as long as the server takes them, and never reads an answer

Which kind opens first is drawn by lot. A connection that fails or that the server ends is opened again a second later,
so the crowd is there for as long as it lasts; not more than `rate` are opened in a second.
"""

import argparse
import errno
import heapq
import json
import random
import select
import socket
import struct
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from floods.prober import question

KINDS = ("idle", "slow", "mute")
ADDRESSES = 250  # 127.1.1.1 and up: with 5,550 connections, 23 from each at most
BETWEEN_BYTES = 1.0
AGAIN = 1.0  # seconds until a lost connection is opened again
PIPELINED = 500  # questions in one go
IP_BIND_ADDRESS_NO_PORT = 24
MUTE_RECEIVES, MUTE_SENDS = 4096, 65536  # what a mute client's own kernel holds for it, so that the server's must
TURN = 0.005


@dataclass(eq=False, slots=True)
class Member:
    """One client, in one connection after the other."""

    kind: str
    address: str
    sock: socket.socket | None = None
    connected: bool = False
    said: int = 0  # bytes of this connection

    @property
    def open(self) -> bool:
        return self.sock is not None and self.connected


@dataclass(slots=True)
class Crowd:
    """All of them, in one loop."""

    port: int
    message: bytes  # framed
    members: list[Member]
    rate: float
    counts: Counter[str] = field(default_factory=Counter)
    most: int = 0
    _poll: select.epoll = field(default_factory=select.epoll)
    _by_descriptor: dict[int, Member] = field(default_factory=dict)
    _to_open: deque[Member] = field(default_factory=deque)
    _later: list[tuple[float, int, Member, socket.socket | None]] = field(default_factory=list)
    _connected: int = 0
    _numbered: int = 0

    def run(self, start: float, seconds: float) -> None:
        """Until it is over; then every connection is given up."""
        self._to_open.extend(self.members)
        time.sleep(max(0.0, start - time.monotonic()))
        opened = 0
        while (now := time.monotonic()) < start + seconds:
            due = int((now - start) * self.rate) - opened
            opened += due  # what could have been opened and was not wanted then is not made up for later
            for _ in range(min(due, len(self._to_open))):
                self._open(self._to_open.popleft())
            while self._later and self._later[0][0] <= now:
                _, _, member, sock = heapq.heappop(self._later)
                if member.sock is sock:
                    self._due(member)
            for descriptor, events in self._poll.poll(TURN, 1024):
                self._happened(self._by_descriptor[descriptor], events)
        for kind in KINDS:
            self.counts[f"{kind} at the end"] = sum(each.open for each in self.members if each.kind == kind)
        for each in self.members:
            if each.sock is not None:
                each.sock.close()

    def _open(self, member: Member) -> None:
        self.counts["tries"] += 1
        member.sock = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        if member.kind == "mute":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MUTE_RECEIVES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MUTE_SENDS)
        sock.bind((member.address, 0))
        self._by_descriptor[sock.fileno()] = member
        if sock.connect_ex(("127.0.0.1", self.port)) not in (0, errno.EINPROGRESS):
            self._lost(member, "refused")
            return
        self._poll.register(sock.fileno(), select.EPOLLOUT | select.EPOLLRDHUP)

    def _happened(self, member: Member, events: int) -> None:
        if events & (select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP):
            self._lost(member, "ended" if member.connected else "refused")
        elif not member.connected:
            self._made(member)
        else:
            self._pipeline(member)

    def _made(self, member: Member) -> None:
        member.connected = True
        self._connected += 1
        self.most = max(self.most, self._connected)
        self.counts["connected"] += 1
        if member.kind == "mute":
            self._pipeline(member)
            return
        self._poll.modify(member.sock.fileno(), select.EPOLLRDHUP)  # type: ignore[union-attr]
        if member.kind == "slow":
            self._due(member)

    def _due(self, member: Member) -> None:
        """A slow one's next byte, or time to open again."""
        if member.sock is None:
            self._to_open.append(member)
        elif self._send(member, self.message[member.said : member.said + 1]):
            self._in(BETWEEN_BYTES, member)

    def _pipeline(self, member: Member) -> None:
        """From where the last sending was cut, so that the stream stays one of whole messages."""
        stream = self.message * (PIPELINED + 1)
        while member.sock is not None:
            data = stream[member.said % len(self.message) :]
            if self._send(member, data) < len(data):
                return

    def _send(self, member: Member, data: bytes) -> int:
        """Bytes the kernel took."""
        if member.sock is None:
            return 0
        try:
            sent = member.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._lost(member, "ended")
            return 0
        member.said += sent
        self.counts[f"{member.kind} bytes"] += sent
        return sent

    def _lost(self, member: Member, how: str) -> None:
        self.counts[how] += 1
        if member.sock is not None:
            self._by_descriptor.pop(member.sock.fileno(), None)
            member.sock.close()
        self._connected -= member.connected
        member.sock, member.connected, member.said = None, False, 0
        self._in(AGAIN, member)

    def _in(self, seconds: float, member: Member) -> None:
        """Its turn comes then, unless its connection is another one by that time."""
        self._numbered += 1
        heapq.heappush(self._later, (time.monotonic() + seconds, self._numbered, member, member.sock))


def members(**numbers: int) -> list[Member]:
    """So many of each kind, spread over the addresses, in an order that is the same in each run."""
    kinds = [kind for kind in KINDS for _ in range(numbers[kind])]
    random.Random(1).shuffle(kinds)
    return [Member(kind, f"127.1.1.{1 + number % ADDRESSES}") for number, kind in enumerate(kinds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--name", required=True, help="what mute and slow ones ask for")
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rate", type=float, default=2500.0)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0)
    given = parser.parse_args()
    asked = question(given.name, "TXT")
    crowd = Crowd(
        given.port,
        struct.pack("!H", len(asked)) + asked,
        members(**{kind: getattr(given, kind) for kind in KINDS}),
        given.rate,
    )
    crowd.run(given.start or time.monotonic(), given.seconds)
    json.dump({"members": len(crowd.members), "most": crowd.most, **crowd.counts}, sys.stdout)


if __name__ == "__main__":
    main()
