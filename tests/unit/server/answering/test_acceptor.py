"""Taking connections, also when what they need has run out: on both loops, over real connections."""

import asyncio
import errno
import logging
import os
import socket
from collections import Counter
from pathlib import Path

import pytest
from support.own_server import LOOPBACK, OwnServer, own_server, until
from support.pair import frames
from support.pipelines import question
from support.zones import small_zone_text

from nameserver.server.answering import acceptor as acceptor_module
from nameserver.server.answering.acceptor import BATCH, Acceptor
from nameserver.server.answering.tcp import TcpLimits

ZONE = "example.com"
ASK = frames(question(f"ns1.{ZONE}"))


class Failing:
    """A listening socket on which `accept` fails for as long as there are errors left; it counts the calls."""

    def __init__(self, sock: socket.socket, *errors: int) -> None:
        self._socket = sock
        self.errors = list(errors)
        self.calls = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def accept(self):
        self.calls += 1
        if self.errors:
            number = self.errors.pop()
            raise OSError(number, os.strerror(number))
        return self._socket.accept()


async def answered(port: int) -> bool:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(ASK)
    try:
        return len(await reader.readexactly(2)) == 2
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def replaced(server: OwnServer, *errors: int) -> Failing:
    """From here on accepting fails so often."""
    failing = Failing(server.acceptor._socket, *errors)
    server.acceptor.close()
    server._closers.remove(server.acceptor)
    server.acceptor = Acceptor(asyncio.get_running_loop(), failing, server.tcp)  # type: ignore[arg-type]
    server._closers.insert(0, server.acceptor)
    return failing


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
async def test_when_descriptors_run_out_the_longest_idle_go_and_the_newcomer_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """F70: tried again after a pause, not at once, and said once."""
    async with own_server(tmp_path) as server:
        server.serve(ZONE, small_zone_text(ZONE, 1))
        idle = [await asyncio.open_connection(LOOPBACK, server.port) for _ in range(3 * acceptor_module.ROOM)]
        await until(lambda: len(server.tcp.clients) == len(idle))
        failing = replaced(server, number, number)
        with caplog.at_level(logging.WARNING):
            assert await answered(server.port)
        assert len(server.tcp.clients) <= len(idle) - 2 * acceptor_module.ROOM + 1
        assert failing.calls < 10, "no busy loop"
        assert caplog.text.count("taking a connection") == 1
        assert os.strerror(number) in caplog.text
        for _, writer in idle:
            writer.transport.abort()


async def test_another_error_of_accept_costs_nobody_his_place(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve(ZONE, small_zone_text(ZONE, 1))
        idle = await asyncio.open_connection(LOOPBACK, server.port)
        await until(lambda: len(server.tcp.clients) == 1)
        replaced(server, errno.EPERM, errno.ECONNABORTED)
        assert await answered(server.port)
        assert idle[1].get_extra_info("sockname")[1] in {each.port for each in server.tcp.clients}
        idle[1].transport.abort()


def connected_at_once(port: int, number: int) -> list[socket.socket]:
    """Clients that are in the queue before the loop turns again."""
    made = []
    for _ in range(number):
        sock = socket.socket()
        sock.connect((LOOPBACK, port))
        sock.setblocking(False)
        made.append(sock)
    return made


async def test_who_had_connected_before_the_end_is_still_taken(tmp_path: Path) -> None:
    async with own_server(tmp_path) as server:
        server.serve(ZONE, small_zone_text(ZONE, 1))
        waiting = connected_at_once(server.port, 2 * BATCH)
        server.acceptor.close()
        for sock in waiting:
            sock.send(ASK)
            assert len(await asyncio.get_running_loop().sock_recv(sock, 2)) == 2
            sock.close()


async def test_the_queue_is_taken_in_turns_with_others(tmp_path: Path) -> None:
    """However many connect at once, a turn of the loop takes BATCH of them."""
    async with own_server(tmp_path, limits=TcpLimits(max_clients=1000, max_clients_per_address=1000)) as server:
        loop, turns = asyncio.get_running_loop(), [0]
        failing = replaced(server)
        taken: list[int] = []
        done = asyncio.Event()
        accept = failing.accept

        def turn() -> None:
            turns[0] += 1
            if not done.is_set():
                loop.call_soon(turn)

        def noted():
            taken.append(turns[0])
            return accept()

        failing.accept = noted  # type: ignore[method-assign]
        turn()
        waiting = connected_at_once(server.port, 4 * BATCH)
        await until(lambda: len(server.tcp.clients) == len(waiting))
        assert max(Counter(taken).values()) == BATCH
        done.set()
        for sock in waiting:
            sock.close()
