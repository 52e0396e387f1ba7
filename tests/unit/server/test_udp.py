"""UDP over real sockets: answered from the address asked, whatever else arrives."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import dns.message
import pytest
from support.own_server import LOOPBACK_ONLY, until
from support.pipelines import counted, pipeline_of, question, served
from support.process import free_port
from support.served_zones import HEAD

from nameserver.config.model import Endpoint
from nameserver.query.exchange import Outcome
from nameserver.server import sockets
from nameserver.server.sockets import IP_PKTINFO, open_sockets
from nameserver.server.udp import BATCH, MAX_REQUEST, UdpListener, parse_address, reply_source
from nameserver.wire import codes
from nameserver.wire.names import from_text
from nameserver.wire.query import build_query

HAS_IPV6 = sockets._have_ipv6()


class Listening:
    """A listener in the running loop."""

    def __init__(self, host: str) -> None:
        self.port = free_port()
        self.sockets = open_sockets((Endpoint(host, self.port),))
        self.pipeline = pipeline_of(served(HEAD, "example.com.", allow_notify=LOOPBACK_ONLY))
        self.outcomes: list[Outcome] = []
        self.listener = UdpListener(
            asyncio.get_running_loop(), self.sockets.udp[0], self.pipeline, lambda: 1_800_000_000, self.outcomes.append
        )


@contextmanager
def listening(host: str) -> Iterator[Listening]:
    made = Listening(host)
    yield made
    made.listener.close()
    made.sockets.close()


@contextmanager
def client(family: int = socket.AF_INET) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        made.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        yield made


async def answer(sock: socket.socket, server: tuple[str, int], data: bytes) -> tuple[bytes, str]:
    """What comes back, and from where."""
    sock.sendto(data, server)
    got: list[tuple[bytes, tuple[str, int]]] = []

    def arrived() -> bool:
        try:
            got.append(sock.recvfrom(65535))
        except BlockingIOError:
            return False
        return True

    await until(arrived)
    return got[0][0], got[0][1][0]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_the_reply_comes_from_the_address_asked(host: str) -> None:
    addresses = ["127.0.0.1"] if host == "127.0.0.1" else ["127.0.0.1", "127.0.0.2", "127.3.2.1"]
    with listening(host) as ours, client() as sock:
        for address in addresses:
            data, source = await answer(sock, (address, ours.port), question("ns1.example.com."))
            assert source == address
            assert dns.message.from_wire(data).answer[0][0].to_text() == "192.0.2.1"


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
async def test_ipv6_is_answered_likewise(host: str) -> None:
    with listening(host) as ours, client(socket.AF_INET6) as sock:
        data, source = await answer(sock, ("::1", ours.port), question("ns1.example.com."))
        assert source == "::1"
        assert dns.message.from_wire(data).answer
        assert any("family=ipv6" in name for name in counted(ours.pipeline))


async def test_a_datagram_larger_than_any_request_is_dropped_and_counted() -> None:
    with listening("127.0.0.1") as ours, client() as sock:
        sock.sendto(question("example.com.") + bytes(MAX_REQUEST), ("127.0.0.1", ours.port))
        await answer(sock, ("127.0.0.1", ours.port), question("example.com."))
        assert any(count for name, count in counted(ours.pipeline).items() if "dropped" in name)


async def test_one_turn_answers_a_batch_and_the_rest_comes_in_the_next_ones() -> None:
    with listening("127.0.0.1") as ours, client() as sock:
        for _ in range(3 * BATCH):
            sock.sendto(question("ns1.example.com."), ("127.0.0.1", ours.port))
        answered: list[int] = []

        def taken() -> bool:
            answered.append(sum(count for name, count in counted(ours.pipeline).items() if "responses" in name))
            return answered[-1] == 3 * BATCH

        await until(taken)
        assert not any(BATCH < count < 2 * BATCH for count in answered)


async def test_what_arrived_before_the_listener_closes_is_still_answered() -> None:
    with client() as sock:
        with listening("127.0.0.1") as ours:
            sock.sendto(question("ns1.example.com."), ("127.0.0.1", ours.port))
        assert dns.message.from_wire(sock.recv(65535)).answer


async def test_a_notify_is_acknowledged_and_passed_on() -> None:
    notify = build_query(9, from_text("example.com"), codes.SOA, opcode=codes.NOTIFY, flags=codes.AA)
    with listening("127.0.0.1") as ours, client() as sock:
        data, _ = await answer(sock, ("127.0.0.1", ours.port), notify)
        assert dns.message.from_wire(data).rcode() == 0
        assert [outcome.notify.source for outcome in ours.outcomes if outcome.notify] == ["127.0.0.1"]


async def test_replies_that_cannot_be_delivered_leave_the_socket_in_service() -> None:
    """A client that is gone when its reply comes makes the kernel report ICMP errors to us."""
    with listening("127.0.0.1") as ours:
        for _ in range(20):
            with client() as gone:
                gone.sendto(question("ns1.example.com."), ("127.0.0.1", ours.port))
        with client() as sock:
            data, _ = await answer(sock, ("127.0.0.1", ours.port), question("ns1.example.com."))
            assert dns.message.from_wire(data).answer


def test_the_interface_is_left_to_routing_but_for_link_local_addresses() -> None:
    """A reply to an address that lives on another interface than the one it is reached through must find its way."""
    asked = socket.inet_aton("192.0.2.1")
    ipv4 = (socket.IPPROTO_IP, IP_PKTINFO, b"\x07\0\0\0" + socket.inet_aton("127.0.0.1") + asked)
    assert reply_source([ipv4]) == [(socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + asked + bytes(4))]
    for text, index in (("2001:db8::1", bytes(4)), ("fe80::1", b"\x07\0\0\0"), ("febf::1", b"\x07\0\0\0")):
        address = socket.inet_pton(socket.AF_INET6, text)
        told = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, address + b"\x07\0\0\0")
        assert reply_source([told]) == [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, address + index)]
    assert reply_source([(socket.SOL_SOCKET, socket.SO_BROADCAST, b"")]) == []


def test_a_scope_id_is_no_part_of_an_address() -> None:
    assert str(parse_address("fe80::1%eth0")) == "fe80::1"
