"""UDP over real sockets: answered from the address asked, whatever else arrives."""

import asyncio
import ctypes
import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dns.edns
import dns.message
import pytest
from support.own_server import LOOPBACK_ONLY, until
from support.pipelines import counted, pipeline_of, question, served
from support.process import free_port
from support.served_zones import HEAD

from nameserver.config.model import Endpoint
from nameserver.query import pipeline as pipeline_module
from nameserver.query.exchange import Outcome, QuerySettings
from nameserver.server import sockets
from nameserver.server.answering import batch
from nameserver.server.answering.batch import SLOTS, locate
from nameserver.server.answering.counting import CountedShortcuts
from nameserver.server.answering.udp import (
    MAX_REQUEST,
    BatchListener,
    PlainListener,
    UdpListener,
    parse_address,
    reply_source,
)
from nameserver.server.faults import Faults
from nameserver.server.sockets import IP_PKTINFO, open_sockets
from nameserver.wire import codes
from nameserver.wire.names import from_text
from nameserver.wire.query import build_query

HAS_IPV6 = sockets._have_ipv6()


class Listening:
    """A listener in the running loop."""

    kind: type[UdpListener] = BatchListener

    def __init__(self, host: str) -> None:
        self.port = free_port()
        self.sockets = open_sockets((Endpoint(host, self.port),))
        self.pipeline = pipeline_of(served(HEAD, "example.com.", allow_notify=LOOPBACK_ONLY))
        self.outcomes: list[Outcome] = []
        self.faults = Faults.counted_in(self.pipeline.counters)
        self.shortcuts = CountedShortcuts(asyncio.get_running_loop(), self.pipeline, locate)
        self.listener = self.kind(
            asyncio.get_running_loop(),
            self.sockets.udp[0],
            self.shortcuts,
            lambda: 1_800_000_000,
            self.outcomes.append,
            self.faults,
        )
        self.listener.open()

    def counts(self) -> dict[str, int]:
        """The counters that are not zero."""
        self.shortcuts.count()
        return counted(self.pipeline)


@pytest.fixture(autouse=True, params=[BatchListener, PlainListener])
def kind(request: pytest.FixtureRequest) -> Iterator[type[UdpListener]]:
    """Every claim here holds for both ways to read and write datagrams."""
    Listening.kind = request.param
    yield request.param


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
        assert any("family=ipv6" in name for name in ours.counts())


async def test_a_datagram_larger_than_any_request_is_dropped_and_counted() -> None:
    with listening("127.0.0.1") as ours, client() as sock:
        sock.sendto(question("example.com.") + bytes(MAX_REQUEST), ("127.0.0.1", ours.port))
        await answer(sock, ("127.0.0.1", ours.port), question("example.com."))
        assert any(count for name, count in ours.counts().items() if "dropped" in name)


async def test_one_turn_answers_a_batch_and_the_rest_comes_in_the_next_ones() -> None:
    with listening("127.0.0.1") as ours, client() as sock:
        for _ in range(3 * SLOTS):
            sock.sendto(question("ns1.example.com."), ("127.0.0.1", ours.port))
        answered: list[int] = []

        def taken() -> bool:
            answered.append(sum(count for name, count in ours.counts().items() if "responses" in name))
            return answered[-1] == 3 * SLOTS

        await until(taken)
        assert not any(SLOTS < count < 2 * SLOTS for count in answered)


async def test_each_of_many_clients_gets_its_own_answer_whatever_comes_between() -> None:
    """One batch holds questions that are kept, new ones, and what is not answered at all."""
    with listening("127.0.0.1") as ours:
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
        try:
            for turn in range(3):
                for number, sock in enumerate(clients):
                    name = ("ns1.example.com.", "nowhere.example.com.", f"x{number}.example.com.")[number % 3]
                    data = number.to_bytes(2, "big") + question(name)[2:]
                    silent = b"short", bytes(2) + b"\x80" + data[3:]
                    sock.sendto(silent[turn % 2] if number % 5 == 4 else data, ("127.0.0.1", ours.port))
            for number, sock in enumerate(clients):
                sock.setblocking(False)
                got: list[bytes] = []
                wanted = 0 if number % 5 == 4 else 3

                def arrived(sock: socket.socket = sock, got: list[bytes] = got, wanted: int = wanted) -> bool:
                    with suppress(BlockingIOError):
                        got.append(sock.recv(65535))
                    return len(got) >= wanted

                await until(arrived)
                for data in got:
                    assert int.from_bytes(data[:2], "big") == number
                    assert dns.message.from_wire(data).rcode() == (0 if number % 3 == 0 else 3)
        finally:
            for sock in clients:
                sock.close()


async def test_a_popular_question_is_answered_from_what_is_kept_and_each_cookie_all_the_same() -> None:
    """What is kept for a message is never given to one with a cookie, which looks the same each time it is sent."""
    with listening("127.0.0.1") as ours, client() as sock:
        ours.pipeline.settings = QuerySettings(cookie_secrets=(bytes(16),))
        cookie = [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"client--")]
        server, shortcut = ("127.0.0.1", ours.port), ours.shortcuts.of("udp", 4)
        for name in ("ns1.example.com.", "nowhere.example.com."):
            plain, odd = question(name), question(name, edns=1232, options=cookie)
            for _ in range(4):
                data, _ = await answer(sock, server, plain)
                assert not dns.message.from_wire(data).options
                data, _ = await answer(sock, server, odd)
                (option,) = dns.message.from_wire(data).options
                assert len(option.to_wire()) == 24
            assert plain[2:] in shortcut.entries or ours.kind is PlainListener
        assert len(shortcut.entries) == (0 if ours.kind is PlainListener else 2)


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


async def test_each_notify_of_a_storm_is_acknowledged_under_its_id_counted_and_passed_on() -> None:
    """Also where all but the first go without the pipeline."""
    with listening("127.0.0.1") as ours, client() as sock:
        for number in range(1, 51):
            notify = build_query(number, from_text("example.com"), codes.SOA, opcode=codes.NOTIFY, flags=codes.AA)
            data, _ = await answer(sock, ("127.0.0.1", ours.port), notify)
            reply = dns.message.from_wire(data)
            assert (reply.id, reply.rcode(), reply.opcode()) == (number, 0, codes.NOTIFY)
        assert [outcome.notify.source for outcome in ours.outcomes if outcome.notify] == ["127.0.0.1"] * 50
        counts = ours.counts()
        assert sum(count for name, count in counts.items() if "opcode=NOTIFY" in name) == 50
        assert next(iter(ours.pipeline.zones)).control_queries == 50


async def test_replies_that_cannot_be_delivered_leave_the_socket_in_service() -> None:
    """A client that is gone when its reply comes makes the kernel report ICMP errors to us."""
    with listening("127.0.0.1") as ours:
        for _ in range(20):
            with client() as gone:
                gone.sendto(question("ns1.example.com."), ("127.0.0.1", ours.port))
        with client() as sock:
            data, _ = await answer(sock, ("127.0.0.1", ours.port), question("ns1.example.com."))
            assert dns.message.from_wire(data).answer


class FailingSocket:
    """A socket that receives, and cannot send."""

    def __init__(self, sock: socket.socket, error: int) -> None:
        self._socket = sock
        self._error = error

    def __getattr__(self, name: str):
        return getattr(self._socket, name)

    def sendto(self, *_: object) -> None:
        raise OSError(self._error, os.strerror(self._error))

    sendmsg = sendto


def failing_call(error: int, times: int = 1 << 30, then: Callable[..., int] | None = None) -> Callable[..., int]:
    """In place of a system call of `server.batch`: it fails so many times."""
    left = [times]

    def call(*arguments: object) -> int:
        if left[0]:
            left[0] -= 1
            ctypes.set_errno(error)
            return -1
        assert then is not None
        return then(*arguments)

    return call


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("name", ["EPERM", "ENOBUFS", "ENETUNREACH", "EINVAL", "EAGAIN"])
async def test_replies_that_cannot_be_sent_are_counted_by_error_and_the_socket_stays_open(
    host: str, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F84: a firewall, a full queue, no route."""
    with listening(host) as ours, client() as sock:
        real, real_call = ours.listener._socket, batch._sendmmsg
        ours.listener._socket = FailingSocket(real, getattr(errno, name))
        monkeypatch.setattr(batch, "_sendmmsg", failing_call(getattr(errno, name)))
        for _ in range(30):
            sock.sendto(question("ns1.example.com."), ("127.0.0.1", ours.port))
        counter = f"nameserver_send_errors_total{{error={name}}}"
        await until(lambda: ours.counts().get(counter) == 30)
        ours.listener._socket = real
        monkeypatch.setattr(batch, "_sendmmsg", real_call)
        data, _ = await answer(sock, ("127.0.0.1", ours.port), question("ns1.example.com."))
        assert dns.message.from_wire(data).answer
    ours_said = [record for record in caplog.records if record.name.startswith("nameserver")]
    assert [record.levelname for record in ours_said] == ["WARNING"]
    assert "sending a reply" in ours_said[0].getMessage()


async def test_a_receive_that_fails_is_tried_again_in_the_next_turn(
    kind: type[UdpListener], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf(FailingSocket):
        failures = 3

        def recvfrom(self, size: int):
            if self.failures:
                self.failures -= 1
                raise OSError(errno.ENOMEM, "Cannot allocate memory")
            return self._socket.recvfrom(size)

    with listening("127.0.0.1") as ours, client() as sock:
        real = ours.listener._socket
        ours.listener._socket = deaf = Deaf(real, errno.EPERM)
        deaf.sendto = real.sendto  # type: ignore[method-assign]
        if kind is BatchListener:
            deaf.failures = 0
            monkeypatch.setattr(batch, "_recvmmsg", failing_call(errno.ENOMEM, 3, batch._recvmmsg))
        data, _ = await answer(sock, ("127.0.0.1", ours.port), question("ns1.example.com."))
        assert (bool(dns.message.from_wire(data).answer), deaf.failures) == (True, 0)


async def test_a_fault_in_answering_is_servfail_to_the_one_who_asked_and_the_others_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F75."""
    real = pipeline_module.answer_query

    def broken(zones, request, now, **more):
        if request.qname_folded.startswith(b"\x03bad"):
            raise RuntimeError("broken on purpose")
        return real(zones, request, now, **more)

    monkeypatch.setattr(pipeline_module, "answer_query", broken)
    with listening("127.0.0.1") as ours, client() as sock:
        for name, rcode in (("bad.example.com.", 2), ("ns1.example.com.", 0)):
            data, _ = await answer(sock, ("127.0.0.1", ours.port), question(name))
            assert dns.message.from_wire(data).rcode() == rcode


async def test_the_largest_datagram_there_can_be_is_dropped_before_it_is_parsed() -> None:
    """F80: 65,507 octets, although it begins like a request."""
    with listening("127.0.0.1") as ours, client() as sock:
        sock.sendto(question("ns1.example.com.").ljust(65507, b"x"), ("127.0.0.1", ours.port))
        await answer(sock, ("127.0.0.1", ours.port), question("ns1.example.com."))
        counts = ours.counts()
        assert counts["nameserver_dropped_total{reason=too-large}"] == 1
        assert sum(count for name, count in counts.items() if "queries" in name) == 1


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
