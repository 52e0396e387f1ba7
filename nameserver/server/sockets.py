"""The listening sockets: made once by the transfer process, one UDP and one TCP socket per address and worker.

They share each address by SO_REUSEPORT and outlive a worker: what arrives while a worker is respawned waits in the
socket's queue, and privileges to bind are needed only at the start.

An address that no interface has (yet: the tunnel is not up, the other machine of the pair has it) is listened on all
the same: whatever else is configured is served meanwhile, and this as soon as the address comes. An address that goes
and comes back needs nothing at all.
"""

import errno
import logging
import socket
from dataclasses import dataclass

from nameserver.config.model import Endpoint
from nameserver.errors import NameserverError

TCP_BACKLOG = 512
TCP_RECEIVE_BUFFER = 32 * 1024  # for what a client has asked and we have not read; left alone, the kernel makes it 6 MB
TCP_UNSENT = 64 * 1024  # octets that the kernel takes before they can be sent; left alone, 4 MB
UDP_RECEIVE_BUFFER = 4 * 1024 * 1024
IPV6_RECVPKTINFO = getattr(socket, "IPV6_RECVPKTINFO", 49)
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
# Linux numbers that the socket module does not know in all its versions.
IP_FREEBIND, IPV6_FREEBIND = 15, 78
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_OMIT = 10, 23, 5
TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)

log = logging.getLogger("nameserver.sockets")


class BindError(NameserverError):
    """An address cannot be listened on."""


class AddressAbsent(BindError):
    """No interface has the address."""


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """One worker's sockets."""

    udp: tuple[socket.socket, ...]
    tcp: tuple[socket.socket, ...]
    tls: tuple[socket.socket, ...] = ()

    def filenos(self) -> list[int]:
        """Every file descriptor, for passing to the worker."""
        return [each.fileno() for each in (*self.udp, *self.tcp, *self.tls)]

    def close(self) -> None:
        """Stop listening."""
        for each in (*self.udp, *self.tcp, *self.tls):
            each.close()


def open_sockets(endpoints: tuple[Endpoint, ...], tls: tuple[Endpoint, ...] = ()) -> ListeningSockets:
    """Bind one UDP and one TCP socket for every endpoint, one TCP socket for every one of `tls`.

    Raises BindError, which says which could not and what to do.
    """
    made: list[socket.socket] = []
    try:
        for kind, wanted in (
            (socket.SOCK_DGRAM, endpoints),
            (socket.SOCK_STREAM, endpoints),
            (socket.SOCK_STREAM, tls),
        ):
            for endpoint in wanted:
                made.append(_open(endpoint, kind))  # noqa: PERF401 - those made before one that fails are closed
    except BindError:
        for each in made:
            each.close()
        raise
    many = len(endpoints)
    return ListeningSockets(tuple(made[:many]), tuple(made[many : 2 * many]), tuple(made[2 * many :]))


def check_free(endpoints: tuple[Endpoint, ...]) -> list[Endpoint]:
    """Raise BindError where another program listens already (SO_REUSEPORT alone would share the address silently).

    Returns those whose address no interface has.
    """
    absent = []
    for endpoint in endpoints:
        try:
            _open(endpoint, socket.SOCK_STREAM, share=False, absent=False).close()
        except AddressAbsent:
            absent.append(endpoint)
    return absent


def usable(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """The endpoints without an IPv6 wildcard on a machine that has no IPv6, where IPv4 is listened on too."""
    if _have_ipv6():
        return endpoints
    rest = tuple(each for each in endpoints if each.host != "::")
    if rest and rest != endpoints:
        log.warning("this machine has no IPv6: not listening on [::]")
        return rest
    return endpoints


def is_local(host: str) -> bool:
    """Whether an interface of this machine has the address."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _have_ipv6() -> bool:
    return is_local("::1")


def _open(endpoint: Endpoint, kind: int, *, share: bool = True, absent: bool = True) -> socket.socket:
    """A bound socket; `absent`: also where no interface has the address. Raises BindError, or AddressAbsent."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    try:
        made = socket.socket(family, kind)
    except OSError as error:  # this machine does not know the family
        raise BindError(f"cannot listen on {endpoint}: {error.strerror}") from error
    try:
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _prepare_tcp(made)
        if share:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_DGRAM:
            _prepare_udp(made, family)
        if absent:
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            else:
                made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        made.bind((endpoint.host, endpoint.port))
        if kind == socket.SOCK_STREAM:
            made.listen(TCP_BACKLOG)
    except OSError as error:
        made.close()
        kind_of = AddressAbsent if error.errno == errno.EADDRNOTAVAIL else BindError
        raise kind_of(f"cannot listen on {endpoint}: {error.strerror}{_advice(error)}") from error
    return made


def _prepare_tcp(made: socket.socket) -> None:
    """What connections inherit: a client that asks much and reads nothing is soon neither read nor answered further.

    What is on its way to a client that does read is not bounded by this, so a zone is still sent as fast as the way
    there allows.
    """
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TCP_RECEIVE_BUFFER)
    made.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, TCP_UNSENT)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a reply waits for no acknowledgement of another


def _prepare_udp(made: socket.socket, family: int) -> None:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_RECEIVE_BUFFER)
    # The reply must leave from the address that was asked, also when we listen on the wildcard address.
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    # Replies are small enough for any path; what ICMP says of a path, which anyone can forge, is not listened to.
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_OMIT)
    else:
        made.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_OMIT)


def _advice(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return " (ports below 1024 need CAP_NET_BIND_SERVICE)"
    if error.errno == errno.EADDRINUSE:
        return " (another server has it)"
    return ""
