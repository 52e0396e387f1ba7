"""Connections on an epoll of their own keep asyncio's promises, whatever the other side does."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from support.own_server import until

from nameserver.server.answering.streams import READ_SIZE, Streams


class Noting(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self, *, stays: bool = False, breaks: bool = False) -> None:
        self.stays, self.breaks = stays, breaks
        self.received = bytearray()
        self.told: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.breaks:
            raise ValueError("a protocol that breaks")

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.stays

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        assert error is None
        self.told.append("lost")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours and the other side's."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as theirs:
        ours, _ = server.accept()
        theirs.setblocking(False)
        with ours:
            yield ours, theirs


async def test_what_came_before_and_what_comes_after_is_read_whole(ends) -> None:
    ours, theirs = ends
    theirs.sendall(b"before")
    protocol = Noting()
    Streams(asyncio.get_running_loop()).add(ours, protocol)
    await until(lambda: protocol.received == b"before")
    theirs.sendall(b"x" * 3 * READ_SIZE)
    await until(lambda: len(protocol.received) == 6 + 3 * READ_SIZE)
    theirs.close()
    await until(lambda: protocol.told == ["eof", "lost"])
    assert ours.fileno() == -1


async def test_who_does_not_read_pauses_the_writer_and_gets_everything_in_the_end(ends) -> None:
    ours, theirs = ends
    protocol = Noting()
    Streams(asyncio.get_running_loop()).add(ours, protocol)
    sent = bytes(range(256)) * 64 * 1024
    protocol.transport.write(sent)
    assert protocol.told == ["pause"]
    assert protocol.transport.get_write_buffer_size() > 0
    protocol.transport.close()
    assert protocol.transport.is_closing()
    got = bytearray()

    def all_is_read() -> bool:
        with suppress(BlockingIOError):
            while piece := theirs.recv(1 << 20):
                got.extend(piece)
            return True
        return False

    await until(all_is_read, 30)
    assert got == sent
    await until(lambda: protocol.told == ["pause", "resume", "lost"])


async def test_while_nothing_is_to_be_read_nothing_is_and_the_loop_rests(ends) -> None:
    ours, theirs = ends
    loop, protocol = asyncio.get_running_loop(), Noting()
    Streams(loop).add(ours, protocol)
    protocol.transport.pause_reading()
    assert not protocol.transport.is_reading()
    theirs.sendall(b"later")
    with pytest.raises(TimeoutError):
        await until(lambda: bool(protocol.received), 0.1)
    protocol.transport.resume_reading()
    await until(lambda: protocol.received == b"later")


async def test_a_half_closed_connection_can_still_be_written_to(ends) -> None:
    ours, theirs = ends
    protocol = Noting(stays=True)
    Streams(asyncio.get_running_loop()).add(ours, protocol)
    theirs.shutdown(socket.SHUT_WR)
    await until(lambda: protocol.told == ["eof"])
    protocol.transport.write(b"answer")
    assert await asyncio.get_running_loop().sock_recv(theirs, 10) == b"answer"
    protocol.transport.close()
    await until(lambda: protocol.told == ["eof", "lost"])


@pytest.mark.parametrize("paused", [False, True])
async def test_a_connection_that_is_reset_is_lost_also_while_nothing_is_read(ends, paused: bool) -> None:
    ours, theirs = ends
    protocol = Noting()
    Streams(asyncio.get_running_loop()).add(ours, protocol)
    if paused:
        protocol.transport.pause_reading()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()
    await until(lambda: "lost" in protocol.told)


async def test_a_protocol_that_breaks_loses_its_connection_and_nobody_elses(ends) -> None:
    ours, theirs = ends
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    streams, protocol, other = Streams(loop), Noting(breaks=True), Noting()
    mine, others = socket.socketpair()
    with mine, others:
        streams.add(mine, other)
        streams.add(ours, protocol)
        theirs.sendall(b"x")
        await until(lambda: protocol.told == ["lost"])
        others.sendall(b"y")
        await until(lambda: other.received == b"y")
        other.transport.abort()
        await until(lambda: other.told == ["lost"])
