"""A connection for each question, so many at once: a load that dnsperf makes a hundred times a second at most.

    python -m bench.connections PORT FILE --seconds S [--at-once N]              prints a line of JSON

Connects, asks, reads one reply, closes. The questions are messages after their lengths, as `queries.write_messages`
writes them. Several source addresses, lest the ports of one run out in TIME_WAIT.
"""

import argparse
import contextlib
import json
import mmap
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

PATIENCE = 5.0  # seconds for a reply
SOURCES = 8
IP_BIND_ADDRESS_NO_PORT = 24
RCODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


def messages(path: Path) -> Iterator[bytes]:
    """Each with its length before it, as TCP has it; from the start again after the last."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while True:
            at = 0
            while at < len(data):
                end = at + 2 + int.from_bytes(data[at : at + 2], "big")
                yield data[at:end]
                at = end


class Asker:
    """Connections to one port, and what came of them."""

    def __init__(self, port: int, questions: Iterator[bytes]) -> None:
        self.port = port
        self.sent = 0
        self.rcodes: Counter[str] = Counter()
        self._questions = questions
        self._sources = cycle(f"127.0.0.{number}" for number in range(1, SOURCES + 1))

    def turn(self, at_once: int) -> None:
        """So many connections: all are asked before the first reply is waited for."""
        opened = []
        for _ in range(at_once):
            self.sent += 1
            with contextlib.suppress(OSError):
                opened.append(self._ask(next(self._questions)))
        for connection in opened:
            with connection, contextlib.suppress(OSError):
                reply = connection.recv(65537)
                if len(reply) > 5 and len(reply) == 2 + int.from_bytes(reply[:2], "big"):
                    rcode = reply[5] & 15
                    self.rcodes[RCODES.get(rcode, str(rcode))] += 1

    def _ask(self, question: bytes) -> socket.socket:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            connection.bind((next(self._sources), 0))
            connection.settimeout(PATIENCE)
            connection.connect(("127.0.0.1", self.port))
            connection.sendall(question)
        except OSError:
            connection.close()
            raise
        return connection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--at-once", type=int, default=10)
    given = parser.parse_args()
    asker = Asker(given.port, messages(given.file))
    began = time.monotonic()
    while time.monotonic() < began + given.seconds:
        asker.turn(given.at_once)
    json.dump({"sent": asker.sent, "rcodes": asker.rcodes, "seconds": time.monotonic() - began}, sys.stdout)


if __name__ == "__main__":
    main()
