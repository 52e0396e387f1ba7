"""Asking: many questions at a time to several servers, over UDP and TCP, their replies as the octets that came.

Over UDP a window of questions is under way to each server, and what is not answered in time is asked again, twice.
Over TCP a few connections to each server carry one question after another; one that the server closes is opened again,
and a question that ended two connections without an answer counts as unanswered.
"""

import asyncio
from collections.abc import Mapping, Sequence
from struct import pack

from differential.questions import Question
from support.ask import LOOPBACK

WINDOW = 48
TRIES = 3
PATIENCE = 0.7  # seconds for a reply over UDP, before a question is asked again
LONG_PATIENCE = 10.0  # the same where the machine may have been busy with something else
CONNECTIONS = 4
TCP_PATIENCE = 5.0

Replies = list[bytes | None]


def ask_all(ports: Mapping[str, int], asked: Sequence[Question], patience: float = PATIENCE) -> dict[str, Replies]:
    """Each server's reply to each question, in order; None where there was none."""
    return asyncio.run(_ask_all(ports, asked, patience))


async def _ask_all(ports: Mapping[str, int], asked: Sequence[Question], patience: float) -> dict[str, Replies]:
    results: dict[str, Replies] = {name: [None] * len(asked) for name in ports}
    datagrams = [number for number, question in enumerate(asked) if question.transport == "udp"]
    streams = [number for number, question in enumerate(asked) if question.transport == "tcp"]
    await asyncio.gather(
        *(_over_udp(ports[name], asked, datagrams, results[name], patience) for name in ports),
        *(_over_tcp(ports[name], asked, streams, results[name]) for name in ports),
    )
    return results


class _Flight(asyncio.DatagramProtocol):
    """The questions to one server over UDP. A question's id is its number, modulo the size of ids."""

    def __init__(self, asked: Sequence[Question], numbers: Sequence[int], results: Replies, patience: float) -> None:
        self._asked = asked
        self._patience = patience
        self._left = list(reversed(numbers))
        self._results = results
        self._waiting: dict[int, tuple[int, int, float]] = {}  # id -> number, tries left, when it was asked
        self._loop = asyncio.get_running_loop()
        self.over = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        for _ in range(WINDOW):
            self._next()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        found = self._waiting.pop(int.from_bytes(data[:2], "big"), None) if len(data) > 1 else None
        if found is not None:
            self._results[found[0]] = data
            self._next()

    def _next(self) -> None:
        if self._left:
            self._send(self._left.pop(), TRIES - 1)
        elif not self._waiting and not self.over.done():
            self.over.set_result(None)

    def _send(self, number: int, tries: int) -> None:
        id = number & 0xFFFF
        self._waiting[id] = number, tries, self._loop.time()
        self._transport.sendto(self._asked[number].wire(id))  # type: ignore[attr-defined]

    def look(self) -> None:
        """Ask again what was not answered in time."""
        now = self._loop.time()
        for id, (number, tries, since) in list(self._waiting.items()):
            if now - since < self._patience:
                continue
            if tries:
                self._send(number, tries - 1)
            else:
                del self._waiting[id]
                self._next()


async def _over_udp(
    port: int, asked: Sequence[Question], numbers: Sequence[int], results: Replies, patience: float
) -> None:
    if not numbers:
        return
    loop = asyncio.get_running_loop()
    transport, flight = await loop.create_datagram_endpoint(
        lambda: _Flight(asked, numbers, results, patience), remote_addr=(LOOPBACK, port)
    )
    try:
        while not flight.over.done():
            await asyncio.wait([flight.over], timeout=0.1)
            flight.look()
    finally:
        transport.close()


async def _over_tcp(port: int, asked: Sequence[Question], numbers: Sequence[int], results: Replies) -> None:
    left = list(numbers)
    await asyncio.gather(*(_connection(port, asked, left, results) for _ in range(CONNECTIONS)))


async def _connection(port: int, asked: Sequence[Question], left: list[int], results: Replies) -> None:
    """Ask one question after another until none is left."""
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while left:
        number = left.pop()
        for _ in range(2):
            if streams is None:
                streams = await asyncio.open_connection(LOOPBACK, port)
            try:
                results[number] = await asyncio.wait_for(
                    _one(streams, asked[number].wire(number & 0xFFFF)), TCP_PATIENCE
                )
                break
            except (EOFError, OSError, TimeoutError):
                streams[1].close()
                streams = None
    if streams is not None:
        streams[1].close()


async def _one(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], query: bytes) -> bytes:
    reader, writer = streams
    writer.write(pack("!H", len(query)) + query)
    size = int.from_bytes(await reader.readexactly(2), "big")
    return await reader.readexactly(size)
