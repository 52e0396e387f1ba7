"""TCP as clients of our daemon see it: framing, limits, and the way it ends."""

import contextlib
import socket
from collections.abc import Iterator

import dns.message
import pytest
from support.pair import Own, connect, frames, question, read_frame
from support.zones import small_zone_text

ZONE = "tcp.example"
ASK = question(f"ns1.{ZONE}")


@pytest.fixture(scope="module")
def server() -> Iterator[Own]:
    """One daemon with one worker, so that its limits are the limits."""
    settings = {"tcp-idle-timeout": '"1s"', "tcp-max-clients": "6", "tcp-max-clients-per-address": "4"}
    with Own(settings=settings) as ours:
        (ours.directory / "zone").write_text(small_zone_text(ZONE, 1))
        ours.zone_table(ZONE, type='"primary"', file='"zone"')
        yield ours.start()
        ours.stop()


def answered(connection: socket.socket) -> bool:
    connection.sendall(frames(ASK))
    return bool(dns.message.from_wire(read_frame(connection)).answer)


def ended(connection: socket.socket) -> bool:
    """Whether the server ends it without a word."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_messages_come_in_any_segments(server: Own) -> None:
    with connect(server.port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frames(ASK):
            connection.sendall(bytes((byte,)))
        assert dns.message.from_wire(read_frame(connection)).answer
        connection.sendall(frames(ASK, ASK, ASK)[:-5])
        assert [bool(read_frame(connection)) for _ in range(2)] == [True, True]
        connection.sendall(frames(ASK)[-5:])
        assert dns.message.from_wire(read_frame(connection)).answer


def test_an_empty_message_and_silence_end_the_connection(server: Own) -> None:
    with connect(server.port) as empty, connect(server.port) as silent:
        empty.sendall(b"\0\0")
        assert ended(empty)
        assert answered(silent)
        assert ended(silent), "after the idle timeout"


def test_newcomers_are_served_at_the_expense_of_the_longest_idle_and_the_limits_hold(server: Own) -> None:
    """C54: six places in all, four for one address; whoever comes is answered, the longest idle goes."""

    def alive(connection: socket.socket) -> bool:
        try:
            return answered(connection)
        except (EOFError, ConnectionError):
            return False

    with contextlib.ExitStack() as stack:

        def come(source: str, number: int) -> list[socket.socket]:
            made = []
            for _ in range(number):
                made.append(stack.enter_context(connect(server.port, source=source)))
                assert answered(made[-1])
            return made

        flood, others = come("127.0.0.1", 10), come("127.0.0.5", 3)
        assert [alive(each) for each in others] == [True] * 3
        assert sum(alive(each) for each in flood) == 3
    metrics = server.metrics()
    name = "nameserver_tcp_connections_total"
    assert metrics[f'{name}{{event="displaced"}}'] == 7
    assert metrics[f'{name}{{event="refused"}}'] == 0
    assert "the longest idle make room" in server.log


def test_an_answer_too_large_for_udp_is_complete_over_tcp(server: Own) -> None:
    with connect(server.port) as connection:
        connection.sendall(frames(question(ZONE, "ANY", use_edns=0)))
        assert dns.message.from_wire(read_frame(connection)).answer
