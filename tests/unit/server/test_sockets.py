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
    """192.0.2.1 is nobody's (RFC 5737)."""
    port = free_port()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BindError, match=r"cannot listen on 192\.0\.2\.1:\d+: .*this machine has no such address"):
        open_sockets((Endpoint(LOOPBACK, port), Endpoint("192.0.2.1", port)))
    assert len(os.listdir("/proc/self/fd")) == before
    check_free((Endpoint(LOOPBACK, port),))


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
