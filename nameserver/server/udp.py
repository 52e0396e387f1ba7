"""UDP: read what is waiting, answer it, go back to the loop.

The reply leaves from the address that was asked, also on a wildcard listener: the kernel tells the destination of each
request (IP_PKTINFO) and is told the source of each reply.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from nameserver.query.counters import TOO_LARGE, dropped_slot
from nameserver.query.exchange import Outcome
from nameserver.query.pipeline import Pipeline
from nameserver.server.sockets import IP_PKTINFO

BATCH = 64  # requests answered before other sockets and timers get their turn
MAX_REQUEST = 4096  # octets; no request that we serve is larger
_ANCILLARY = 64  # bytes: one packet-info message
_TOO_LARGE = dropped_slot(TOO_LARGE)

log = logging.getLogger("nameserver.udp")


@lru_cache(maxsize=4096)
def parse_address(text: str) -> IPv4Address | IPv6Address:
    """A peer's address as a value (a scope id is cut off)."""
    return ip_address(text.partition("%")[0])


class UdpListener:
    """One UDP socket of one worker."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        pipeline: Pipeline,
        now: Callable[[], int],
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._pipeline = pipeline
        self._now = now
        self._on_outcome = on_outcome
        host = sock.getsockname()[0]
        self._wildcard = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        loop.add_reader(sock.fileno(), self._readable)

    def close(self) -> None:
        """Answer what has already arrived, then stop."""
        self._loop.remove_reader(self._socket.fileno())
        self._readable()

    def _readable(self) -> None:
        receive = self._receive_from_any if self._wildcard else self._receive
        now = self._now()
        for _ in range(BATCH):
            try:
                data, ancillary, address = receive()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # an ICMP error of an earlier reply; the socket goes on
                log.debug("receive: %s", error)
                continue
            self._answer(data, ancillary, address, now)

    def _receive(self) -> tuple[bytes, list[tuple[int, int, bytes]], tuple[str, int]]:
        data, address = self._socket.recvfrom(MAX_REQUEST + 1)
        return data, [], address

    def _receive_from_any(self) -> tuple[bytes, list[tuple[int, int, bytes]], tuple[str, int]]:
        data, ancillary, _, address = self._socket.recvmsg(MAX_REQUEST + 1, _ANCILLARY)
        return data, ancillary, address

    def _answer(self, data: bytes, ancillary: list[tuple[int, int, bytes]], address: tuple[str, int], now: int) -> None:
        if len(data) > MAX_REQUEST:
            self._pipeline.counters[_TOO_LARGE] += 1
            return
        outcome = self._pipeline.handle(data, parse_address(address[0]), address[1], "udp", now)
        if outcome.reply is not None:
            try:
                if ancillary:
                    self._socket.sendmsg([outcome.reply], reply_source(ancillary), 0, address)
                else:
                    self._socket.sendto(outcome.reply, address)
            except OSError as error:  # full queue, firewall, unreachable: this reply is lost, the socket stays open
                log.debug("send: %s", error)
        if outcome.notify is not None or outcome.refused is not None:
            self._on_outcome(outcome)


def reply_source(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """The ancillary data that sends a reply from where its request arrived, the interface left to routing."""
    source: list[tuple[int, int, bytes]] = []
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            # struct in_pktinfo: interface index, local address, destination address
            source.append((level, kind, bytes(4) + data[8:12] + bytes(4)))
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            # struct in6_pktinfo: address, interface index; only a link-local address needs its interface
            link_local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
            source.append((level, kind, data if link_local else data[:16] + bytes(4)))
    return source
