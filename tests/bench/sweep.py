"""Asks about many zones until all are answered, and tells of all their changes, over one socket.

Whoever watches must not be in the way: a pass over the zones ends where a few of them are not answered yet, so that a
server on its way is asked some hundred questions a second, not as many as it has time for.
"""

import contextlib
import math
import socket
import time
from collections.abc import Callable, Sequence

import floods.primary
from bench.failed import Failed
from bench.lab import serial_in
from bench.queries import wire_name
from support.ask import LOOPBACK

AT_ONCE = 100  # messages whose replies are waited for
MISSES = 10  # questions without the answer that is waited for, after which the rest need not be asked yet
PATIENCE = 0.5  # seconds for each of them
AGAIN = 10.0  # seconds after which what is still not answered is told of again
PAUSE = 0.02  # seconds between two passes


class Sweep:
    """Over one socket to one server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._socket.connect((LOOPBACK, port))
        self._socket.settimeout(PATIENCE / 10)
        self._number = 0

    def until(self, zones: Sequence[str], serial: int, patience: float, *, notify: bool = False) -> float:
        """Monotonic time when all are answered with that serial; `notify`: each is told of until it is acknowledged."""
        deadline = time.monotonic() + patience
        waiting, untold = list(zones), list(zones) if notify else []
        again = time.monotonic() + AGAIN
        while time.monotonic() < deadline:
            if notify and time.monotonic() > again:  # NSD forgets some, though it acknowledged them
                untold, again = list(waiting), time.monotonic() + AGAIN
            told = self._pass(untold, lambda zone: floods.primary.notify(zone, serial), _is_acknowledgement)
            untold = [zone for zone in untold if zone not in told]
            found = self._pass(waiting, _question, lambda reply: _serial(reply) == serial, MISSES)
            waiting = [zone for zone in waiting if zone not in found]
            if not waiting:
                return time.monotonic()
            time.sleep(PAUSE)
        raise Failed(f"{len(waiting)} of {len(zones)} zones are not answered after {patience:g} s")

    def _pass(
        self,
        zones: Sequence[str],
        message_of: Callable[[str], bytes],
        is_good: Callable[[bytes], bool],
        misses: float = math.inf,
    ) -> set[str]:
        """One message for each zone, until so many have no good reply; those with one.

        What comes too late for its message is dropped.
        """
        good: set[str] = set()
        sent = 0
        asked: dict[int, tuple[str, float]] = {}  # the oldest first
        unasked = iter(zones)
        more = True
        while asked or (more and sent - len(good) < misses):
            while more and len(asked) < AT_ONCE and sent - len(good) < misses:
                zone = next(unasked, None)
                if zone is None:
                    more = False
                    break
                sent += 1
                self._number = (self._number + 1) & 0xFFFF
                asked[self._number] = zone, time.monotonic()
                try:
                    self._socket.send(self._number.to_bytes(2, "big") + message_of(zone)[2:])
                except OSError:  # nobody listens yet
                    return good
            with contextlib.suppress(OSError):
                reply = self._socket.recv(4096)
                zone, _ = asked.pop(int.from_bytes(reply[:2], "big"), (None, 0.0))
                if zone is not None and is_good(reply):
                    good.add(zone)
            while asked and time.monotonic() - next(iter(asked.values()))[1] > PATIENCE:
                del asked[next(iter(asked))]
        return good

    def __enter__(self) -> "Sweep":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _question(zone: str) -> bytes:
    return b"\0\0\0\0\0\x01\0\0\0\0\0\0" + wire_name(zone) + b"\0\x06\0\x01"


def _is_acknowledgement(reply: bytes) -> bool:
    return reply[2] & 0xF8 == 0xA0 and not reply[3] & 15


def _serial(reply: bytes) -> int | None:
    """Of the SOA in a good answer."""
    if reply[2] & 0xFC != 0x84 or reply[3] & 15 or reply[6:8] == b"\0\0":
        return None
    return serial_in(reply, reply.index(0, 12) + 5)
