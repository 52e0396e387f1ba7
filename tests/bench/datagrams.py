"""Questions over UDP, as many as one core can send: a load that waits for the server, and never the other way round.

    python -m bench.datagrams PORT FILE --seconds S [--in-flight N]              prints a line of JSON

Where a load is at its own limit first, every server is seen to cost as much as the load: it is woken for a datagram or
two each time. dnsperf is there at 170,000 questions a second, where three of the servers do more. Here the kernel takes
and gives datagrams by the dozen (sendmmsg(2), recvmmsg(2)), all that it is told lies ready, and nothing sleeps, so that
no server pays for waking us. The questions are messages after their lengths, as `queries.write_messages` writes them.
"""

import argparse
import ctypes
import json
import socket
import sys
import time
from array import array
from collections import Counter
from pathlib import Path

import dns.rcode
from support.ask import LOOPBACK

IN_FLIGHT = 192  # fewer than the sockets of any server hold with the room they have by default
AT_ONCE = 64  # sent with one call
ROOM = 256  # replies taken with one call
LARGEST = 4096  # octets of a reply
PATIENCE = 0.5  # seconds until what is in flight is lost
_MESSAGE_WORDS = 8  # of 64 bits, in a struct mmsghdr; one points to the iovec, the next says how many there are
_IOVEC, _IOVECS = 2, 3
_SO_RCVBUFFORCE, _BUFFER = 33, 8 * 1024 * 1024

_libc = ctypes.CDLL(None, use_errno=True)
_SEND = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_libc.sendmmsg.argtypes, _libc.recvmmsg.argtypes = _SEND, (*_SEND, ctypes.c_void_p)


class Messages:
    """What the kernel is told of messages in memory, each of which is at an address and of a size."""

    def __init__(self, places: list[tuple[int, int]]) -> None:
        self.count = len(places)
        self._iovecs = array("Q", [word for place in places for word in place])
        self._headers = array("Q", bytes(8 * _MESSAGE_WORDS * self.count))
        at = self._iovecs.buffer_info()[0]
        self._headers[_IOVEC::_MESSAGE_WORDS] = array("Q", range(at, at + 16 * self.count, 16))
        self._headers[_IOVECS::_MESSAGE_WORDS] = array("Q", [1]) * self.count
        self._at = self._headers.buffer_info()[0]

    def header(self, number: int) -> int:
        """Where the struct mmsghdr of one of them is."""
        return self._at + 8 * _MESSAGE_WORDS * number


class Datagrams:
    """One socket to one port, and what came of it."""

    def __init__(self, port: int, questions: bytes) -> None:
        self.sent = self.answered = self.lost = 0
        self.kinds: Counter[int] = Counter()  # of replies: by the octet that ends in the RCODE
        self._octets = bytearray(questions)
        self._questions = Messages(_number(self._octets))
        self._next = 0
        self._replies = bytearray(ROOM * LARGEST)
        at = _address(self._replies)
        self._room = Messages([(at + number * LARGEST, LARGEST) for number in range(ROOM)])
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.connect((LOOPBACK, port))

    @property
    def in_flight(self) -> int:
        return self.sent - self.answered - self.lost

    def ask(self) -> None:
        """Send the next questions."""
        count = min(AT_ONCE, self._questions.count - self._next)
        taken = _libc.sendmmsg(self._socket.fileno(), self._questions.header(self._next), count, socket.MSG_DONTWAIT)
        if taken > 0:
            self.sent += taken
            self._next = (self._next + taken) % self._questions.count

    def take(self) -> bool:
        """Take the replies that are there; whether there were any."""
        count = _libc.recvmmsg(self._socket.fileno(), self._room.header(0), ROOM, socket.MSG_DONTWAIT, None)
        if count <= 0:
            return False
        self.answered += count
        self.kinds.update(self._replies[3 : count * LARGEST : LARGEST])
        return True

    def run(self, seconds: float, in_flight: int) -> float:
        """Ask for so long, and take what comes after that; seconds that it took until then."""
        began = heard = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            if self.in_flight <= in_flight - AT_ONCE:
                self.ask()
            if self.take():
                heard = now
            elif now > heard + PATIENCE:
                self._give_up()
                heard = now
        took = time.monotonic() - began
        while self.in_flight and time.monotonic() < began + took + PATIENCE:
            self.take()
        self._give_up()
        return took

    def _give_up(self) -> None:
        """What is in flight will not come."""
        self.lost += self.in_flight

    def close(self) -> None:
        self._socket.close()


def _number(octets: bytearray) -> list[tuple[int, int]]:
    """Give messages ids, one after the other; where each of them is, and its size."""
    start, at, places = _address(octets), 0, []
    while at < len(octets):
        size = int.from_bytes(octets[at : at + 2], "big")
        octets[at + 2 : at + 4] = (len(places) & 0xFFFF).to_bytes(2, "big")
        places.append((start + at + 2, size))
        at += 2 + size
    return places


def _address(octets: bytearray) -> int:
    """Good for as long as the octets are kept, and as many."""
    return ctypes.addressof(ctypes.c_char.from_buffer(octets))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--in-flight", type=int, default=IN_FLIGHT)
    given = parser.parse_args()
    asker = Datagrams(given.port, given.file.read_bytes())
    took = asker.run(given.seconds, given.in_flight)
    asker.close()
    rcodes: Counter[str] = Counter()
    for kind, count in asker.kinds.items():
        rcodes[dns.rcode.to_text(dns.rcode.Rcode(kind & 15))] += count
    json.dump({"sent": asker.sent, "rcodes": rcodes, "seconds": took}, sys.stdout)


if __name__ == "__main__":
    main()
