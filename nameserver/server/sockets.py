"""The listening sockets: made once by the transfer process, one UDP and one TCP socket per address and worker.

They share each address by SO_REUSEPORT and outlive a worker: what arrives while a worker is respawned waits in the
socket's queue, and privileges to bind are needed only at the start.
"""

import errno
import logging
import socket
from dataclasses import dataclass

from nameserver.config.model import Endpoint
from nameserver.errors import NameserverError

TCP_BACKLOG = 512
UDP_RECEIVE_BUFFER = 4 * 1024 * 1024
IPV6_RECVPKTINFO = getattr(socket, "IPV6_RECVPKTINFO", 49)
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)

log = logging.getLogger("nameserver.sockets")


class BindError(NameserverError):
    """An address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """One worker's sockets."""

    udp: tuple[socket.socket, ...]
    tcp: tuple[socket.socket, ...]

    def filenos(self) -> list[int]:
        """Every file descriptor, for passing to the worker."""
        return [each.fileno() for each in (*self.udp, *self.tcp)]

    def close(self) -> None:
        """Stop listening."""
        for each in (*self.udp, *self.tcp):
            each.close()


def open_sockets(endpoints: tuple[Endpoint, ...]) -> ListeningSockets:
    """Bind one UDP and one TCP socket for every endpoint; BindError says which could not and what to do."""
    made: list[socket.socket] = []
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            for endpoint in endpoints:
                made.append(_open(endpoint, kind))  # noqa: PERF401 - those made before one that fails are closed
    except BindError:
        for each in made:
            each.close()
        raise
    return ListeningSockets(tuple(made[: len(endpoints)]), tuple(made[len(endpoints) :]))


def check_free(endpoints: tuple[Endpoint, ...]) -> None:
    """Raise BindError where another program listens already (SO_REUSEPORT alone would share the address silently)."""
    for endpoint in endpoints:
        _open(endpoint, socket.SOCK_STREAM, share=False).close()


def usable(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """The endpoints without an IPv6 wildcard on a machine that has no IPv6, where IPv4 is listened on too."""
    if _have_ipv6():
        return endpoints
    rest = tuple(each for each in endpoints if each.host != "::")
    if rest and rest != endpoints:
        log.warning("this machine has no IPv6: not listening on [::]")
        return rest
    return endpoints


def _have_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _open(endpoint: Endpoint, kind: int, share: bool = True) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_DGRAM:
            _prepare_udp(made, family)
        made.bind((endpoint.host, endpoint.port))
        if kind == socket.SOCK_STREAM:
            made.listen(TCP_BACKLOG)
    except OSError as error:
        made.close()
        raise BindError(f"cannot listen on {endpoint}: {error.strerror}{_advice(error)}") from error
    return made


def _prepare_udp(made: socket.socket, family: int) -> None:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_RECEIVE_BUFFER)
    # The reply must leave from the address that was asked, also when we listen on the wildcard address.
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def _advice(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return " (ports below 1024 need CAP_NET_BIND_SERVICE)"
    if error.errno == errno.EADDRINUSE:
        return " (another server has it)"
    if error.errno == errno.EADDRNOTAVAIL:
        return " (this machine has no such address)"
    return ""
