"""What the transfer process and a worker say to each other, over a socket pair.

A frame is: total length (4) · header length (4) · header (JSON) · body (bytes). The header names the message in "kind".

    transfer process → worker
      configure  settings, keys, zones added or changed, zones removed     (server.settings)
      load       zones whose current version is in the store
      zone       one small zone's whole version, inline (body: server.channel.pack_changes)
      change     one zone's replaced nodes, inline (body: server.channel.pack_changes)
      state      one zone's state without data: expired, live again
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
      beat       once a second: alive, and what was asked of each zone
      drained    told to stop, and no connection is left
"""

import asyncio
import json
import socket
from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Any

_LENGTHS = Struct("!II")
_ENTRY = Struct("!BI")  # key length, node length (0: the node is gone)
MAX_FRAME = 64 * 1024 * 1024

Header = dict[str, Any]


class Channel:
    """One end of the pair. Messages of one sender arrive in the order sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        """Take over a connected stream socket."""
        end.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=end, limit=MAX_FRAME)
        return cls(reader, writer)

    def send(self, kind: str, body: bytes = b"", **header: object) -> None:
        """Queue one message; a peer that stopped reading is noticed by its missing heart-beat and replaced.

        To a peer that is gone nothing is sent: that it is gone is seen, and acted upon, where messages are received.
        """
        if self._writer.transport.is_closing():
            return  # uvloop would raise
        text = json.dumps({"kind": kind, **header}, separators=(",", ":")).encode()
        self._writer.write(_LENGTHS.pack(4 + len(text) + len(body), len(text)) + text + body)

    @property
    def backlog(self) -> int:
        """Bytes queued and not yet taken by the peer."""
        return self._writer.transport.get_write_buffer_size()

    async def receive(self) -> tuple[Header, bytes] | None:
        """The next message, or None once the peer is gone."""
        try:
            total, header_length = _LENGTHS.unpack(await self._reader.readexactly(8))
            payload = await self._reader.readexactly(total - 4)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return json.loads(payload[:header_length]), payload[header_length:]

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


def pack_changes(changes: Mapping[bytes, bytes | None]) -> bytes:
    """Node replacements as a message body: key → packed node, or None where the owner is gone."""
    parts: list[bytes] = []
    for key, node in changes.items():
        parts += (_ENTRY.pack(len(key), len(node or b"")), key, node or b"")
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
