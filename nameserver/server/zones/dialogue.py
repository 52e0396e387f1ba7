"""A connection to a primary, and what is known of the address that it goes to.

Every function ends in a value or in a TransferError with its reason, within the zone's `PullLimits`.
"""

import asyncio
import errno
import socket
import ssl
import time
from collections import deque
from dataclasses import dataclass
from typing import cast

from nameserver.config.model import Endpoint, PullLimits, Remote, TlsPeer
from nameserver.errors import Reason, TransferError, WireError
from nameserver.server.tls import check_primary, client_context, tls_failure
from nameserver.wire.framing import Deframer, frame
from nameserver.wire.tsig import TsigKey

# What a primary sends is taken off the socket faster than it is parsed: Knot gives up on a client that does not read
# for half a second. Reading pauses at twice this many bytes.
STREAM_BUFFER = 16 * 1024 * 1024
SHUTDOWN_PATIENCE = 1.0  # seconds for the other side to say that it has closed TLS too
OUR_OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(slots=True)
class Peer:
    """One address of one primary with the key that signs, one of the remote's; and what we found out about it."""

    remote: Remote
    endpoint: Endpoint
    key: TsigKey | None
    skew: float | None = None  # seconds its clock is ahead of ours, from the last TSIG seen
    certificate_expires: float | None = None  # Unix seconds, of the certificate that it showed last
    edns: bool = True  # ask with EDNS; turned off by an answer that seems not to know it (RFC 6891 §7)


class Dialogue(asyncio.Protocol):
    """One TCP connection to a primary: framed messages, for one exchange after the other.

    Each begins with `begin`, is held to the time limits of its zone, and ends with `rest` or `close`.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._closed = False
        self._deframer = Deframer()
        self._messages: deque[bytes] = deque()
        self._waiting = 0  # octets of these
        self._paused = False
        self._end: TransferError | None = None  # why no more will come
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._exchanging = False
        self._limits = PullLimits()
        self._until = 0.0
        self._interval_end = 0.0
        self._interval_bytes = 0
        self._first_patience = 0.0
        self.heard = False  # something came in this exchange

    @classmethod
    async def connect(cls, peer: Peer, limits: PullLimits) -> "Dialogue":
        """Open the connection, over TLS where the remote says so.

        Raises TransferError: connect-refused, connect-timeout, unreachable; tls-handshake, tls-peer-identity.
        """
        if peer.remote.tls is not None:
            return await _secured(peer, peer.remote.tls, limits.connect_timeout)
        local = (peer.remote.source, 0) if peer.remote.source else None
        host, port = peer.endpoint.host, peer.endpoint.port
        dialogue = cls()
        try:
            async with asyncio.timeout(limits.connect_timeout):
                await asyncio.get_running_loop().create_connection(lambda: dialogue, host, port, local_addr=local)
        except TimeoutError as error:
            text = f"no TCP connection to {peer.endpoint} within {limits.connect_timeout:g} s"
            raise TransferError(Reason.CONNECT_TIMEOUT, text) from error
        except OSError as error:
            raise network_failure(error, "TCP") from error
        except BaseException:
            dialogue.close()  # cancelled: the loop may be about to hand it its transport
            raise
        return dialogue

    # --- an exchange -------------------------------------------------------------------------------------------------

    def begin(self, limits: PullLimits, until: float, *, used: bool = False) -> None:
        """An exchange begins, which is to be over at `until` (monotonic).

        `used`: it is not the first one. The primary may take one on each connection, or be gone since: its first word
        is waited for no longer than a new connection would be.
        """
        self._exchanging, self.heard = True, False
        self._limits, self._until = limits, until
        self._first_patience = min(limits.idle_timeout, limits.connect_timeout) if used else limits.idle_timeout
        self._interval_end = time.monotonic() + limits.min_rate_interval
        self._interval_bytes = 0

    def send(self, message: bytes) -> None:
        """Send one message, which is small. A primary that does not take it is one that does not answer."""
        if self._end is not None:
            raise self._end
        if self._transport is not None:
            self._transport.write(frame(message))

    async def receive(self) -> bytes:
        """The next message; closed-early, short-message, idle-timeout, total-timeout or too-slow."""
        while not self._messages:
            await self._wait()
        message = self._messages.popleft()
        self._waiting -= len(message)
        if self._paused and self._waiting < STREAM_BUFFER and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._watch_time(len(message))
        return message

    def arrived(self) -> bytes | None:
        """The next message if it has arrived already."""
        return self._messages.popleft() if self._messages else None

    def rest(self) -> bool:
        """The exchange is over, the connection may serve another one; False (and closed) where it cannot."""
        self._exchanging = False
        if self._messages or self._deframer.pending:
            self.close()
        return not self.ended

    @property
    def ended(self) -> bool:
        """Nothing more can be asked over it."""
        return self._closed or self._end is not None

    def close(self) -> None:
        """Close without waiting."""
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    async def _wait(self) -> None:
        """Until something whole has arrived, or the end has come."""
        if self._end is not None:
            raise self._end
        self._waiter = asyncio.get_running_loop().create_future()
        self._wait_for(self._limits.idle_timeout if self.heard else self._first_patience)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if self._timer is not None:
                self._timer.cancel()

    def _wait_for(self, patience: float, waited: float = 0.0) -> None:
        left = self._until - time.monotonic()
        wait = max(0.0, min(patience - waited, left))
        self._timer = asyncio.get_running_loop().call_later(wait, self._late, patience)

    def _late(self, patience: float) -> None:
        if self._waiter is None or self._waiter.done():
            return
        if time.monotonic() >= self._until:
            self._waiter.set_exception(self._too_late())
        elif self.heard and patience < self._limits.idle_timeout:  # it has begun to answer since
            self._wait_for(self._limits.idle_timeout, patience)
        else:
            text = f"nothing whole arrived for {patience:g} s"
            self._waiter.set_exception(TransferError(Reason.IDLE_TIMEOUT, text))

    def _too_late(self) -> TransferError:
        return TransferError(Reason.TOTAL_TIMEOUT, f"not done after {self._limits.total_timeout:g} s")

    def _watch_time(self, size: int) -> None:
        self._interval_bytes += size
        now = time.monotonic()
        if now >= self._until:
            raise self._too_late()
        if now < self._interval_end:
            return
        if self._interval_bytes < self._limits.min_rate_bytes:
            text = f"{self._interval_bytes} bytes in {self._limits.min_rate_interval:g} s"
            raise TransferError(Reason.TOO_SLOW, text)
        self._interval_end = now + self._limits.min_rate_interval
        self._interval_bytes = 0

    # --- what the loop calls -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)
        if self._closed:
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Some of what the primary says."""
        if not self._exchanging:  # nobody has asked: what it says belongs to nothing
            self.close()
            return
        self.heard = True
        try:
            messages = self._deframer.feed(data)
            self._messages += messages
        except WireError:  # a length of zero; also where one follows good messages, which come first
            messages = []
        except MemoryError:
            self._finish(out_of_memory())
            self.close()
            return
        self._waiting += sum(map(len, messages))
        if self._deframer.broken:
            self._finish(TransferError(Reason.SHORT_MESSAGE, "a message of 0 bytes has no whole header"))
            self.close()
        elif self._waiting > 2 * STREAM_BUFFER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if messages:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever; by the loop, where there is no memory to read into."""
        if isinstance(exc, MemoryError):
            self._finish(out_of_memory())
            return
        if isinstance(exc, OSError):
            self._finish(network_failure(exc, "TCP"))
            return
        where = " inside a message" if self._deframer.pending else ""
        self._finish(TransferError(Reason.CLOSED_EARLY, f"the primary closed the connection{where}"))

    def _finish(self, error: TransferError) -> None:
        if self._end is None:
            self._end = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def _secured(peer: Peer, tls: TlsPeer, patience: float) -> Dialogue:
    """A connection on which the remote has shown who it is; `patience` seconds for TCP, and as many for TLS."""
    context = client_context(tls)
    sock = await _connected(peer, patience)
    dialogue = Dialogue()
    try:
        async with asyncio.timeout(patience):
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: dialogue,
                sock=sock,
                ssl=context,
                server_hostname=tls.server_name,
                ssl_handshake_timeout=patience + 1.0,  # the loops' own, which says less when it is up
                ssl_shutdown_timeout=SHUTDOWN_PATIENCE,
            )
        peer.certificate_expires = check_primary(transport.get_extra_info("ssl_object"), tls)
    except TimeoutError as error:
        text = f"{peer.endpoint} does not answer our TLS handshake within {patience:g} s; is there TLS on that port?"
        raise TransferError(Reason.TLS_HANDSHAKE, text) from error
    except ssl.SSLError as error:
        raise tls_failure(error) from error
    except OSError as error:
        text = "it closed the connection in the TLS handshake; does it speak TLS 1.3?"
        raise TransferError(Reason.TLS_HANDSHAKE, text) from error
    except BaseException:
        dialogue.close()  # it is not the one expected; or cancelled: the loop may be about to hand it its transport
        raise
    return dialogue


async def _connected(peer: Peer, patience: float) -> socket.socket:
    """A TCP connection as a socket."""
    host, source = peer.endpoint.host, peer.remote.source
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            sock.bind((source, 0))
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().sock_connect(sock, (host, peer.endpoint.port))
    except BaseException as error:
        sock.close()
        if isinstance(error, TimeoutError):
            text = f"no TCP connection to {peer.endpoint} within {patience:g} s"
            raise TransferError(Reason.CONNECT_TIMEOUT, text) from error
        if isinstance(error, OSError):
            raise network_failure(error, "TCP") from error
        raise
    return sock


def out_of_memory() -> TransferError:
    """What our own machine lacks is not the primary's doing."""
    return TransferError(Reason.QUOTA, "memory ran out; what had come of it was dropped")


def network_failure(error: OSError, transport: str) -> TransferError:
    """An operating system's error as a reason, or one of OpenSSL's."""
    if isinstance(error, ssl.SSLError):
        return tls_failure(error)
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
