"""A connection to a primary, and what is known of the address that it goes to.

Every function ends in a value or in a TransferError with its reason, within the zone's `PullLimits`.
"""

import asyncio
import errno
import socket
import time
from dataclasses import dataclass

from nameserver.config.model import Endpoint, PullLimits, Remote
from nameserver.errors import Reason, TransferError
from nameserver.wire.framing import frame
from nameserver.wire.tsig import TsigKey

# What a primary sends is taken off the socket faster than it is parsed: Knot gives up on a client that does not read
# for half a second. Reading pauses at twice this many bytes.
STREAM_BUFFER = 16 * 1024 * 1024
OUR_OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(slots=True)
class Peer:
    """One address of one primary with the key that signs, one of the remote's; and what we found out about it."""

    remote: Remote
    endpoint: Endpoint
    key: TsigKey | None
    skew: float | None = None  # seconds its clock is ahead of ours, from the last TSIG seen
    edns: bool = True  # ask with EDNS; turned off by an answer that seems not to know it (RFC 6891 §7)


class Dialogue:
    """One TCP connection to a primary: framed messages under the zone's time limits."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: PullLimits) -> None:
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._interval_end = time.monotonic() + limits.min_rate_interval
        self._interval_bytes = 0

    @classmethod
    async def connect(cls, peer: Peer, limits: PullLimits) -> "Dialogue":
        """Open the connection; connect-refused, connect-timeout or unreachable."""
        local = (peer.remote.source, 0) if peer.remote.source else None
        try:
            async with asyncio.timeout(limits.connect_timeout):
                reader, writer = await asyncio.open_connection(
                    peer.endpoint.host, peer.endpoint.port, local_addr=local, limit=STREAM_BUFFER
                )
        except TimeoutError as error:
            text = f"no TCP connection to {peer.endpoint} within {limits.connect_timeout:g} s"
            raise TransferError(Reason.CONNECT_TIMEOUT, text) from error
        except OSError as error:
            raise network_failure(error, "TCP") from error
        raw = writer.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer, limits)

    async def send(self, message: bytes) -> None:
        """Send one message."""
        try:
            self._writer.write(frame(message))
            async with asyncio.timeout(self._limits.idle_timeout):
                await self._writer.drain()
        except TimeoutError as error:
            raise TransferError(Reason.IDLE_TIMEOUT, "the primary does not take our question") from error
        except OSError as error:
            raise network_failure(error, "TCP") from error

    async def receive(self) -> bytes:
        """The next message; closed-early, short-message, idle-timeout or too-slow."""
        try:
            async with asyncio.timeout(self._limits.idle_timeout):
                head = await self._reader.readexactly(2)
                message = await self._reader.readexactly(int.from_bytes(head, "big"))
        except TimeoutError as error:
            text = f"nothing whole arrived for {self._limits.idle_timeout:g} s"
            raise TransferError(Reason.IDLE_TIMEOUT, text) from error
        except asyncio.IncompleteReadError as error:
            if error.partial:
                text = "the primary closed the connection inside a message"
                raise TransferError(Reason.CLOSED_EARLY, text) from error
            raise TransferError(Reason.CLOSED_EARLY, "the primary closed the connection") from error
        except OSError as error:
            raise network_failure(error, "TCP") from error
        self._watch_rate(len(message))
        return message

    async def arrived(self) -> bytes | None:
        """The next message if it has arrived already; never waits."""
        try:
            async with asyncio.timeout(0):
                head = await self._reader.readexactly(2)
                return await self._reader.readexactly(int.from_bytes(head, "big"))
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            return None

    def _watch_rate(self, size: int) -> None:
        self._interval_bytes += size
        now = time.monotonic()
        if now < self._interval_end:
            return
        if self._interval_bytes < self._limits.min_rate_bytes:
            text = f"{self._interval_bytes} bytes in {self._limits.min_rate_interval:g} s"
            raise TransferError(Reason.TOO_SLOW, text)
        self._interval_end = now + self._limits.min_rate_interval
        self._interval_bytes = 0

    def close(self) -> None:
        """Close without waiting."""
        self._writer.close()


def network_failure(error: OSError, transport: str) -> TransferError:
    """An operating system's error as a reason."""
    text = f"{transport}: {error.strerror or error}"
    if error.errno == errno.ECONNREFUSED:
        return TransferError(Reason.CONNECT_REFUSED, text)
    if error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        return TransferError(Reason.CLOSED_EARLY, text)
    if error.errno == errno.ETIMEDOUT:
        return TransferError(Reason.CONNECT_TIMEOUT, text)
    if error.errno in OUR_OWN_LIMITS:
        return TransferError(Reason.QUOTA, text)
    return TransferError(Reason.UNREACHABLE, text)
