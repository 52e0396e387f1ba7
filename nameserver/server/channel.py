"""What the transfer process and a worker say to each other, over a socket pair.

A frame is: total length (4) · header length (4) · header (JSON) · body (bytes). The header names the message in "kind".

    transfer process → worker
      configure  settings, keys, zones added or changed, zones removed     (server.settings)
      load       zones whose current version is in the store
      zone       one small zone's whole version, inline (body: server.channel.pack_changes)
      change     one zone's replaced nodes, inline (body: server.channel.pack_changes)
      state      one zone's state without data: expired, live again
      pause      one zone: the RCODE that queries get for a while, 0: its data again
      confirmed  zones that a primary has confirmed: when they expire now
      listen     all that is known at its start was sent: load it, then answer
      stop       take no more connections, finish what is in flight
      end        exit: all workers have done so
    Any of these may say in `expires` when zones expire (machine clock; server.clocks): {name in hex: seconds}.
    worker → transfer process
      ready      listening
      served     zones with the generation that is answered from now on
      failed     a zone that could not be loaded: why, and what is at fault ("damaged": else it is tried again)
      notify     a NOTIFY that passed the access list
      beat       once a second: alive, and what was asked of each zone: (queries, control queries, while it was paused)
      transferred  transfers to secondaries that have just ended
      drained    told to stop, and no connection is left
"""

import asyncio
import json
import math
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Any, cast

_LENGTHS = Struct("!II")
_ENTRY = Struct("!BI")  # key length, node length (0: the node is gone)
MAX_FRAME = 64 * 1024 * 1024
GATHER = 0.01  # seconds between two writes

Header = dict[str, Any]
_encode = json.JSONEncoder(separators=(",", ":")).encode  # `json.dumps` would make one for each message


class Channel(asyncio.Protocol):
    """One end of the pair. Messages of one sender arrive in the order sent.

    A message is written at the end of the turn of the loop, or `GATHER` after the one before: thousands of zones that
    change at the same time bring thousands of small ones, each of which would wake the other side.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []
        self._written = -math.inf  # on the loop's clock
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        self._waiting = 0  # octets of these
        self._paused = False
        self._gone = False
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        """Take over a connected stream socket."""
        end.setblocking(False)
        _, channel = await asyncio.get_running_loop().create_connection(cls, sock=end)
        return channel

    def send(self, kind: str, body: bytes = b"", **header: object) -> None:
        """Queue one message; a peer that stopped reading is noticed by its missing heart-beat and replaced.

        To a peer that is gone nothing is sent: that it is gone is seen, and acted upon, where messages are received.
        """
        text = _encode({"kind": kind, **header}).encode()
        if not self._unsent:
            free = self._written + GATHER
            if self._loop.time() >= free:
                self._loop.call_soon(self._write)
            else:
                self._loop.call_at(free, self._write)
        self._unsent += (_LENGTHS.pack(4 + len(text) + len(body), len(text)), text, body)

    def _write(self) -> None:
        unsent, self._unsent = self._unsent, []
        self._written = self._loop.time()
        if unsent and self._transport is not None and not self._transport.is_closing():  # else uvloop would raise
            self._transport.write(b"".join(unsent))

    @property
    def backlog(self) -> int:
        """Bytes queued and not yet taken by the peer."""
        queued = sum(map(len, self._unsent))
        return queued if self._transport is None else queued + self._transport.get_write_buffer_size()

    async def receive(self) -> tuple[Header, bytes] | None:
        """The next message, or None once the peer is gone."""
        while not self._messages:
            if self._gone:
                return None
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        payload = self._messages.popleft()
        self._waiting -= len(payload)
        if self._paused and self._waiting < MAX_FRAME and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        header_end = 4 + int.from_bytes(payload[:4], "big")
        return json.loads(payload[4:header_end].decode()), payload[header_end:]

    def close(self) -> None:
        """Close this end; what was sent is written first."""
        self._write()
        if self._transport is not None:
            self._transport.close()

    # --- what the loop calls -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Some of what the peer says."""
        buffer = self._buffer
        buffer += data
        start, end = 0, len(buffer)
        while end - start >= 8:
            after = start + 4 + int.from_bytes(buffer[start : start + 4], "big")
            if after > end:
                break
            self._messages.append(bytes(buffer[start + 4 : after]))
            self._waiting += after - start - 4
            start = after
        del buffer[:start]
        if self._waiting > MAX_FRAME and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if start:
            self._wake()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The peer is gone, or this end was closed."""
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def pack_changes(changes: Mapping[bytes, bytes | None]) -> bytes:
    """Node replacements as a message body: key → packed node, or None where the owner is gone."""
    parts: list[bytes] = []
    for key, node in changes.items():
        packed = node or b""
        parts += (_ENTRY.pack(len(key), len(packed)), key, packed)
    return b"".join(parts)


def unpack_changes(body: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """What `pack_changes` packed (a packed node is never empty)."""
    offset = 0
    while offset < len(body):
        key_length, node_length = _ENTRY.unpack_from(body, offset)
        offset += _ENTRY.size
        key = body[offset : offset + key_length]
        offset += key_length
        yield key, body[offset : offset + node_length] or None
        offset += node_length
