"""TCP as clients of our daemon see it: framing, limits, and the way it ends."""

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


def test_clients_have_limits_by_address_and_in_all_and_places_are_given_back(server: Own) -> None:
    opened: list[socket.socket] = []

    def places(source: str) -> int:
        """How many connections from an address are served."""
        served = 0
        for _ in range(5):
            connection = connect(server.port, source=source)
            opened.append(connection)
            try:
                served += answered(connection)
            except (EOFError, ConnectionError):
                continue
        return served

    assert (places("127.0.0.1"), places("127.0.0.5")) == (4, 2)
    for connection in opened:
        connection.close()
    server.wait(lambda: places("127.0.0.9") == 4, what="the places to be free again")
    for connection in opened:
        connection.close()


def test_an_answer_too_large_for_udp_is_complete_over_tcp(server: Own) -> None:
    with connect(server.port) as connection:
        connection.sendall(frames(question(ZONE, "ANY", use_edns=0)))
        assert dns.message.from_wire(read_frame(connection)).answer
