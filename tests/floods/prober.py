"""An ordinary client: asks one question at a slow, steady rate and measures how long each answer takes.

    python -m floods.prober PORT --name NAME --start MONOTONIC --seconds S --udp RATE --tcp RATE   prints a line of JSON

A process of its own, so that nothing it measures waits for another part of the load. Over UDP the time of arrival is
the kernel's, not that of our getting to look. Over TCP each try is a new connection with one question, and what counts
is all of it: connecting, asking, the whole reply. A question is put at a random point of its slot, lest it
keeps in step with whatever else ticks.
"""

import argparse
import contextlib
import json
import random
import socket
import struct
import sys
import threading
import time

import dns.flags
import dns.message
from support.ask import LOOPBACK

PATIENCE = 2.0  # seconds after which a question counts as not answered
SO_TIMESTAMPNS = 35
GOOD = 0x8400  # QR and AA; RCODE 0
MASK = 0x840F


def question(name: str, rdtype: str = "A") -> bytes:
    """With id 0."""
    message = dns.message.make_query(name, rdtype, use_edns=False)
    message.flags &= ~dns.flags.RD
    message.id = 0
    return message.to_wire()


class Probe:
    """The tries of one transport: seconds each, None where no good answer came."""

    def __init__(self, port: int, message: bytes) -> None:
        self.port = port
        self.body = message[2:]
        self.taken: list[float | None] = []

    def run(self, start: float, seconds: float, rate: float) -> None:
        dice = random.Random(rate)
        for slot in range(int(seconds * rate)):
            due = start + (slot + dice.random()) / rate
            time.sleep(max(0.0, due - time.monotonic()))
            self.taken.append(None)
            self.ask(slot)

    def ask(self, slot: int) -> None:
        raise NotImplementedError


class UdpProbe(Probe):
    """All from one socket."""

    def __init__(self, port: int, message: bytes) -> None:
        super().__init__(port, message)
        self._sent: list[int] = []  # nanoseconds of the system's clock, which is what the kernel stamps with
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind((LOOPBACK, 0))
        self._socket.connect((LOOPBACK, port))
        self._socket.settimeout(0.1)
        self._over = False
        self._reader = threading.Thread(target=self._read)

    def run(self, start: float, seconds: float, rate: float) -> None:
        self._reader.start()
        super().run(start, seconds, rate)
        deadline = time.monotonic() + PATIENCE
        while None in self.taken and time.monotonic() < deadline:
            time.sleep(0.02)
        self._over = True
        self._reader.join()
        self._socket.close()

    def ask(self, slot: int) -> None:
        self._sent.append(time.clock_gettime_ns(time.CLOCK_REALTIME))
        with contextlib.suppress(OSError):
            self._socket.send(struct.pack("!H", slot & 0xFFFF) + self.body)

    def _read(self) -> None:
        while not self._over:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(4096, 128)
            except OSError:  # nothing came; or nobody listens
                continue
            slot, flags = struct.unpack_from("!HH", data)
            if flags & MASK != GOOD or slot >= len(self._sent):
                continue
            for level, kind, stamp in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                    seconds, nanoseconds = struct.unpack("qq", stamp[:16])
                    taken = (seconds * 1_000_000_000 + nanoseconds - self._sent[slot]) / 1e9
                    self.taken[slot] = taken if taken <= PATIENCE else None


class TcpProbe(Probe):
    """A thread for each try: one that has to wait keeps no other back."""

    def __init__(self, port: int, message: bytes) -> None:
        super().__init__(port, message)
        self._threads: list[threading.Thread] = []

    def run(self, start: float, seconds: float, rate: float) -> None:
        super().run(start, seconds, rate)
        for thread in self._threads:
            thread.join()

    def ask(self, slot: int) -> None:
        thread = threading.Thread(target=self._try, args=(slot,))
        self._threads.append(thread)
        thread.start()

    def _try(self, slot: int) -> None:
        began = time.monotonic()
        with contextlib.suppress(OSError, EOFError):
            with socket.create_connection((LOOPBACK, self.port), PATIENCE) as connection:
                message = struct.pack("!HH", len(self.body) + 2, slot & 0xFFFF) + self.body
                connection.sendall(message)
                reply = self._receive(connection, began + PATIENCE)
            taken = time.monotonic() - began
            number, flags = struct.unpack_from("!HH", reply)
            if number == slot & 0xFFFF and flags & MASK == GOOD and taken <= PATIENCE:
                self.taken[slot] = taken

    @staticmethod
    def _receive(connection: socket.socket, deadline: float) -> bytes:
        data = b""
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            more = connection.recv(4096)
            if not more:
                raise EOFError
            data += more
        return data[2:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--name", required=True)
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--udp", type=float, default=0.0)
    parser.add_argument("--tcp", type=float, default=0.0)
    given = parser.parse_args()
    start, message = given.start or time.monotonic(), question(given.name)
    probes = {"udp": UdpProbe(given.port, message), "tcp": TcpProbe(given.port, message)}
    rates = {"udp": given.udp, "tcp": given.tcp}
    threads = [threading.Thread(target=probes[each].run, args=(start, given.seconds, rates[each])) for each in probes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump({name: probe.taken for name, probe in probes.items()}, sys.stdout)


if __name__ == "__main__":
    main()
