"""The listening sockets: every address for UDP and TCP, shared among workers, refusals in words that help."""

import logging
import os
import socket

import pytest
from support.process import free_port

from nameserver.config.model import Endpoint
from nameserver.server import sockets
from nameserver.server.sockets import BindError, check_free, open_sockets, usable

LOOPBACK = "127.0.0.1"
HAS_IPV6 = sockets._have_ipv6()


def test_each_worker_gets_udp_and_tcp_sockets_of_its_own_on_the_same_addresses() -> None:
    endpoints = (Endpoint(LOOPBACK, free_port()), Endpoint("127.0.0.2", free_port()))
    first, second = open_sockets(endpoints), open_sockets(endpoints)
    for each in (first, second):
        assert [udp.getsockname() for udp in each.udp] == list(endpoints)
        assert [tcp.getsockname() for tcp in each.tcp] == list(endpoints)
        assert all(not one.getblocking() for one in (*each.udp, *each.tcp))
    assert len({*first.filenos(), *second.filenos()}) == 8
    first.close()
    second.close()


def test_the_kernel_holds_little_for_a_tcp_client_that_asks_much_and_reads_nothing() -> None:
    """What it takes in either direction, for a client that lets its own side hold next to nothing."""
    endpoint = Endpoint(LOOPBACK, free_port())
    opened = open_sockets((endpoint,))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.connect(endpoint)
        client.setblocking(False)
        opened.tcp[0].setblocking(True)
        server, _ = opened.tcp[0].accept()
        server.setblocking(False)
        for sender in (client, server):
            taken = 0
            with pytest.raises(BlockingIOError):
                while taken < 1_000_000:
                    taken += sender.send(bytes(1000))
            assert 10_000 < taken < 200_000
        server.close()
    opened.close()


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_an_ipv6_wildcard_leaves_the_same_port_to_ipv4() -> None:
    port = free_port()
    opened = open_sockets((Endpoint("::", port), Endpoint("0.0.0.0", port)))
    assert opened.tcp[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    opened.close()


def test_an_address_with_another_server_on_it_is_not_free_although_it_could_be_shared() -> None:
    endpoint = Endpoint(LOOPBACK, free_port())
    check_free((endpoint,))
    opened = open_sockets((endpoint,))
    with pytest.raises(BindError, match=rf"^cannot listen on 127.0.0.1:{endpoint.port}: .*another server has it"):
        check_free((endpoint,))
    opened.close()
    check_free((endpoint,))


def test_where_one_address_cannot_be_had_none_is_kept() -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", port))
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(BindError, match=r"cannot listen on 127\.0\.0\.2:\d+: .*another server has it"):
            open_sockets((Endpoint(LOOPBACK, port), Endpoint("127.0.0.2", port)))
        assert len(os.listdir("/proc/self/fd")) == before
    check_free((Endpoint(LOOPBACK, port),))


def test_an_address_that_no_interface_has_is_listened_on_and_reported() -> None:
    """F83. 192.0.2.1 is nobody's (RFC 5737)."""
    port = free_port()
    here, nowhere = Endpoint(LOOPBACK, port), Endpoint("192.0.2.1", port)
    assert check_free((here, nowhere)) == [nowhere]
    opened = open_sockets((here, nowhere))
    assert [each.getsockname() for each in opened.udp] == [each.getsockname() for each in opened.tcp] == [here, nowhere]
    opened.close()


def test_replies_over_udp_pay_no_heed_to_what_icmp_says_of_the_path() -> None:
    """S05: an ICMP message that anyone can forge makes no reply smaller, fragmented or impossible."""
    opened = open_sockets((Endpoint(LOOPBACK, free_port()),))
    (udp,) = opened.udp
    assert udp.getsockopt(socket.IPPROTO_IP, sockets.IP_MTU_DISCOVER) == sockets.PMTUDISC_OMIT
    opened.close()


def test_a_family_that_the_machine_does_not_know_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", unknown)
    with pytest.raises(BindError, match=r"cannot listen on \[2001:db8::1\]:53: Address family not supported"):
        open_sockets((Endpoint("2001:db8::1", 53),))


def test_a_privileged_port_is_refused_with_the_capability_that_is_missing() -> None:
    assert "CAP_NET_BIND_SERVICE" in sockets._advice(PermissionError(13, "Permission denied"))
    assert sockets._advice(OSError(5, "Input/output error")) == ""


def test_a_machine_without_ipv6_listens_on_ipv4_alone_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    both = (Endpoint("0.0.0.0", 53), Endpoint("::", 53))
    monkeypatch.setattr(sockets, "_have_ipv6", lambda: True)
    assert usable(both) == both
    monkeypatch.setattr(sockets, "_have_ipv6", lambda: False)
    with caplog.at_level(logging.WARNING):
        assert usable(both) == both[:1]
    assert "no IPv6" in caplog.text
    assert usable(both[1:]) == both[1:], "asked for alone, it has to fail rather than serve nobody"
    explicit = (Endpoint("2001:db8::1", 53), both[0])
    assert usable(explicit) == explicit
