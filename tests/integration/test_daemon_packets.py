"""Datagrams that no ordinary client sends: from nowhere, from services that answer anything, from ourselves."""

import socket
import time
from collections.abc import Iterator

import pytest
from support import raw
from support.pair import Own, ask_udp, question
from support.raw import LOOPBACK, Sender
from support.zones import small_zone_text

ZONE = "zone.example"
ASK = question(f"ns1.{ZONE}")

pytestmark = pytest.mark.skipif(bool(raw.why_not()), reason=raw.why_not() or "-")


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Own]:
    with Own(settings={"event-loop": f'"{request.param}"'}) as ours:
        ours.listen = [f"0.0.0.0:{ours.port}"]
        (ours.directory / "zone").write_text(small_zone_text(ZONE, 1))
        ours.zone_table(ZONE, type='"primary"', file='"zone"')
        yield ours.start()
        ours.stop()


def count(ours: Own, metric: str, label: str = "") -> float:
    return sum(value for name, value in ours.metrics().items() if name.startswith(metric) and label in name)


def settled(ours: Own, metric: str, label: str = "") -> float:
    """The count once it has stopped growing: counters follow what was answered by a moment."""
    before, now = -1.0, count(ours, metric, label)
    while now != before:
        time.sleep(0.3)
        before, now = now, count(ours, metric, label)
    return now


def answers(ours: Own) -> bool:
    return bool(ask_udp(LOOPBACK, ours.port, ASK)[0].answer)


def test_datagrams_from_port_0_are_dropped_and_the_socket_lives_on(server: Own) -> None:
    """C41: a reply to port 0 cannot be sent, and once closed the socket of a server like this."""
    before = count(server, "nameserver_dropped_total", "port-zero")
    with Sender() as sender:
        for _ in range(100):
            sender.send(raw.udp((LOOPBACK, 0), (LOOPBACK, server.port), ASK))
    assert answers(server)
    assert count(server, "nameserver_dropped_total", "port-zero") == before + 100


@pytest.mark.parametrize("source", ["255.255.255.255", "0.0.0.0", "224.0.0.1", "127.255.255.255", "203.0.113.1"])
def test_sources_that_cannot_be_answered_do_no_harm(server: Own, source: str) -> None:
    """C41, F84: some of these the kernel drops, some replies it refuses to send, some go nowhere."""
    with Sender() as sender:
        for _ in range(50):
            sender.send(raw.udp((source, 5353), (LOOPBACK, server.port), ASK))
    assert answers(server)


@pytest.mark.parametrize("code", [0, 1, 3, 4, 13])
def test_a_storm_of_icmp_about_our_replies_does_no_harm(server: Own, code: int) -> None:
    """C41: network, host and port unreachable, fragmentation needed, forbidden by a firewall."""
    with Sender() as sender, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((LOOPBACK, 0))
        reply = raw.udp((LOOPBACK, server.port), client.getsockname(), bytes(100))
        for turn in range(500):
            sender.send(raw.unreachable(code, reply))
            if turn % 50 == 0:
                assert answers(server)


def test_a_service_that_answers_anything_is_not_answered(server: Own) -> None:
    """C60: echo, chargen and their like."""
    replies = settled(server, "nameserver_responses_total")
    with Sender() as sender:
        for port in (7, 13, 17, 19, 37):
            for data in (ASK, b"\0" * 12, b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFG\r\n"):
                sender.send(raw.udp((LOOPBACK, port), (LOOPBACK, server.port), data))
    assert answers(server)
    server.wait(lambda: count(server, "nameserver_dropped_total", "reflector-port") >= 15, what="the counters")
    assert settled(server, "nameserver_responses_total") == replies + 1


def test_what_seems_to_come_from_ourselves_goes_round_once_and_no_further(server: Own) -> None:
    """C60: our reply arrives at our own socket, where replies are not answered."""
    replies, dropped = (
        settled(server, "nameserver_responses_total"),
        settled(server, "nameserver_dropped_total", '"response"'),
    )
    with Sender() as sender:
        for data in (ASK, ASK[:20], ASK[:2] + b"\x20" + ASK[3:]):  # answered, FORMERR, NOTIMP
            sender.send(raw.udp((LOOPBACK, server.port), (LOOPBACK, server.port), data))
    server.wait(lambda: count(server, "nameserver_dropped_total", '"response"') >= dropped + 3, what="our replies")
    assert answers(server)
    assert settled(server, "nameserver_responses_total") == replies + 4
    assert count(server, "nameserver_dropped_total", '"response"') == dropped + 3
