"""How long a TCP client may take for what, on a loop whose clock the test moves."""

from collections.abc import Iterator

import pytest
from support.manual_loop import ManualLoop, NoTransport
from support.pair import frames
from support.pipelines import counted, pipeline_of, question, served
from support.served_zones import HEAD

from nameserver.query.counters import TCP_IDLE, TCP_SLOW
from nameserver.server.answering.counting import CountedShortcuts
from nameserver.server.answering.tcp import SLOWEST_DELIVERY, TcpConnection, TcpLimits, TcpServer
from nameserver.server.faults import Faults

ASK = frames(question("ns1.example.com."))
IDLE, MESSAGE = 10.0, 5.0


class Client:
    """One connection, seen from the network."""

    def __init__(self, loop: ManualLoop) -> None:
        pipeline = pipeline_of(served(HEAD, "example.com."))
        self.loop = loop
        self.server = TcpServer(
            loop,  # type: ignore[arg-type]
            pipeline,
            CountedShortcuts(loop, pipeline, id),
            lambda: 1_800_000_000,
            lambda _: None,
            None,  # type: ignore[arg-type]
            Faults.counted_in(pipeline.counters),
            TcpLimits(IDLE, MESSAGE),
        )
        connection = self.server.admit("192.0.2.1", 5353)
        assert isinstance(connection, TcpConnection)
        self.connection = connection
        self.transport = NoTransport()
        connection.connection_made(self.transport)  # type: ignore[arg-type]

    def sends(self, data: bytes) -> None:
        assert self.transport.reading
        self.connection.data_received(data)
        self.loop.advance()

    @property
    def cut_off(self) -> list[str]:
        """Why, if it is."""
        events = [
            name for name in (TCP_IDLE, TCP_SLOW)
            if f"nameserver_tcp_connections_total{{event={name}}}" in counted(self.server.pipeline)
        ]  # fmt: skip
        assert bool(events) == (self.transport.closed == "aborted")
        return events


@pytest.fixture
def client() -> Iterator[Client]:
    each = Client(ManualLoop())
    yield each
    each.connection.connection_lost(None)
    each.loop.advance(1000.0)
    assert len(each.server.clients) == 0


def test_who_says_nothing_is_cut_off_after_the_idle_time(client: Client) -> None:
    client.loop.advance(IDLE - 0.1)
    assert client.cut_off == []
    client.loop.advance(0.2)
    assert client.cut_off == [TCP_IDLE]


def test_each_message_starts_the_idle_time_anew(client: Client) -> None:
    for _ in range(10):
        client.loop.advance(IDLE - 0.1)
        client.sends(ASK)
    assert client.cut_off == []
    client.loop.advance(IDLE + 0.1)
    assert client.cut_off == [TCP_IDLE]


@pytest.mark.parametrize("before", [0.0, 3.0, 9.0])
def test_a_message_that_trickles_in_has_its_time_and_no_more(client: Client, before: float) -> None:
    """F71, slowloris: an octet a second keeps no connection."""
    client.sends(ASK)
    client.loop.advance(before)
    for octet in ASK:
        if client.transport.closed:
            break
        client.sends(bytes((octet,)))
        client.loop.advance(1.0)
    assert client.cut_off == ([TCP_SLOW] if before < IDLE - MESSAGE else [TCP_IDLE])
    assert client.loop.time() <= 1000.0 + before + MESSAGE + 1.0


def test_a_message_that_is_whole_in_time_is_answered(client: Client) -> None:
    client.sends(ASK[:3])
    client.loop.advance(MESSAGE - 0.1)
    client.sends(ASK[3:])
    client.loop.advance(MESSAGE)
    assert client.cut_off == []
    assert client.transport.written


def test_the_time_for_a_message_begins_with_that_message(client: Client) -> None:
    """Each time the end of one and the beginning of the next in one piece."""
    client.sends(ASK[:5])
    for _ in range(20):
        client.loop.advance(MESSAGE - 1.0)
        client.sends(ASK[5:] + ASK[:5])
    assert client.cut_off == []
    client.loop.advance(MESSAGE + 0.1)
    assert client.cut_off == [TCP_SLOW]


def test_the_time_during_which_we_do_not_read_does_not_count_against_a_message(client: Client) -> None:
    """A client that takes its answers slowly finds the rest of its message stopped by us."""
    client.connection.pause_writing()
    client.transport.unsent = 1_000_000
    client.connection.data_received(ASK * 3 + ASK[:5])
    for _ in range(10):
        client.loop.advance(MESSAGE - 1.0)
        client.transport.unsent -= 1000
    assert client.cut_off == []
    client.connection.resume_writing()
    client.loop.advance(MESSAGE - 0.1)
    client.sends(ASK[5:])
    assert client.transport.written.count(ASK[2:4]) == 4
    assert client.cut_off == []


def test_answers_may_be_taken_slowly_but_not_for_ever_and_not_not_at_all(client: Client) -> None:
    client.transport.unsent = 1_000_000
    client.sends(ASK)
    elapsed = 0.0
    while not client.transport.closed:
        client.loop.advance(1.0)
        elapsed += 1.0
        client.transport.unsent -= 10
    assert SLOWEST_DELIVERY <= elapsed <= SLOWEST_DELIVERY + 2 * IDLE
    other = Client(ManualLoop())
    other.transport.unsent = 1_000_000
    other.sends(ASK)
    other.loop.advance(2 * IDLE + 0.1)
    assert other.cut_off == [TCP_IDLE]
