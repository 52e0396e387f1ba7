"""TLS between a connection's stream and its protocol; connections without TLS know nothing of it.

    Stream ─ octets ─▶ TlsLayer ─ what was in them ─▶ TcpConnection
       ▲                  │ ▲
       └── encrypted ─────┘ └── answers, transfers

To its protocol the layer is the transport, with the promises of a `Stream`. What makes TLS dear is the handshake, 0.3
ms of computing with a P-256 key, for whoever connects. So handshakes stand in line (`Handshakes`): one step
in a turn of the loop, and after it as much time for everything else as it took. However many clients begin one, queries
have half of the worker's time. A client that does not end its handshake within `patience` seconds is closed; until it
has ended it holds a place among the clients as every connection does, and is the first to make room.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from nameserver.query.acl import TlsClient
from nameserver.query.counters import (
    HANDSHAKE_CERTIFICATE,
    HANDSHAKE_CLOSED,
    HANDSHAKE_NO_ALPN,
    HANDSHAKE_NOT_TLS,
    HANDSHAKE_OK,
    HANDSHAKE_OTHER,
    HANDSHAKE_TIMEOUT,
    HANDSHAKE_VERSION,
)
from nameserver.server.tls import ALPN, client_of


class Above(Protocol):
    """What a layer stands below: a protocol of asyncio's that also hears who speaks."""

    def connection_made(self, transport: asyncio.BaseTransport, /) -> None:
        """TCP is there."""

    def secured(self, client: TlsClient, /) -> None:
        """TLS is there."""

    def data_received(self, data: bytes, /) -> None:
        """What the client says."""

    def eof_received(self) -> bool | None:
        """It says no more."""

    def connection_lost(self, exc: Exception | None, /) -> None:
        """It is gone."""

    def pause_writing(self) -> None:
        """It does not read."""

    def resume_writing(self) -> None:
        """It reads again."""


READ_SIZE = 16 * 1024  # octets of a TLS record at most
_OUTCOMES = {
    "UNSUPPORTED_PROTOCOL": HANDSHAKE_VERSION,
    "NO_SHARED_CIPHER": HANDSHAKE_VERSION,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": HANDSHAKE_CERTIFICATE,
    "WRONG_VERSION_NUMBER": HANDSHAKE_NOT_TLS,
    "HTTP_REQUEST": HANDSHAKE_NOT_TLS,
    "RECORD_LAYER_FAILURE": HANDSHAKE_NOT_TLS,
}


class Handshakes:
    """All handshakes of a process, a step at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float, count: Callable[[str], None]) -> None:
        """`patience`: seconds for a handshake; `count` is told how each ended."""
        self.loop = loop
        self.patience = patience
        self.count = count
        self.context: ssl.SSLContext | None = None  # for those that begin; a reload puts another in its place
        self._waiting: deque[TlsLayer] = deque()
        self._scheduled = False

    def want(self, layer: "TlsLayer") -> None:
        """Something came that may let this handshake go on."""
        self._waiting.append(layer)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        began = self.loop.time()
        try:
            while self._waiting and not self._waiting.popleft().step():
                pass
        finally:
            self._scheduled = bool(self._waiting)
            if self._scheduled:
                self.loop.call_later(self.loop.time() - began, self._turn)


class TlsLayer(asyncio.Transport):
    """TLS of one connection; to the stream below a protocol, to the protocol above a transport."""

    def __init__(self, handshakes: Handshakes, above: Above) -> None:
        super().__init__()
        self._handshakes = handshakes
        self._above = above
        self._below: asyncio.Transport | None = None
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._done = False  # the handshake
        self._timer: asyncio.TimerHandle | None = None

    # --- to the stream: a protocol -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is there; TLS begins with what the client sends."""
        self._below = cast(asyncio.Transport, transport)
        self._timer = self._handshakes.loop.call_later(self._handshakes.patience, self._late)
        self._above.connection_made(self)

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone, for us or for the client."""
        if not self._done:
            self._end(HANDSHAKE_CLOSED)
        try:
            self._above.connection_lost(error)
        finally:
            self._below = self._tls = None
            del self._above  # the two hold each other: as it is they go at once, and no collector has to find them

    def data_received(self, data: bytes) -> None:
        """Some octets: of the handshake, which stands in line for its turn, or of what is said."""
        self._incoming.write(data)
        if self._done:
            self._hear()
        elif self._below is not None:
            self._below.pause_reading()
            self._handshakes.want(self)

    def eof_received(self) -> bool:
        """The client sends no more."""
        if not self._done:
            return False
        self._incoming.write_eof()
        return bool(self._above.eof_received())

    def pause_writing(self) -> None:
        """The client does not read."""
        self._above.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._above.resume_writing()

    # --- the handshake -----------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Go on with the handshake as far as what came allows; False where there was nothing to do."""
        below, context = self._below, self._handshakes.context
        if below is None or below.is_closing() or self._done:
            return False
        if context is None:
            self.abort()
            return False
        try:
            if self._tls is None:
                self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            below.resume_reading()
        except ssl.SSLError as error:
            self._fail(_outcome(error))
        else:
            try:
                self._greet(self._tls)
            except BaseException:  # as where a stream's protocol breaks
                self.abort()
                raise
        return True

    def _greet(self, secured: ssl.SSLObject) -> None:
        """The handshake is done: who is there, and what was said already."""
        if secured.selected_alpn_protocol() != ALPN:
            self._fail(HANDSHAKE_NO_ALPN)
            return
        self._end(HANDSHAKE_OK)
        self._send()
        if self._below is not None:
            self._below.resume_reading()
        self._above.secured(client_of(secured))
        self._hear()

    def _fail(self, outcome: str) -> None:
        self._end(outcome)
        self._send()  # the alert that says why
        if self._below is not None:
            self._below.close()

    def _late(self) -> None:
        if not self._done:
            self._end(HANDSHAKE_TIMEOUT)
            self.abort()

    def _end(self, outcome: str) -> None:
        self._done = True
        self._handshakes.count(outcome)
        if self._timer is not None:
            self._timer.cancel()

    # --- what is said ------------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Give on what can be decrypted. All of it: what is left in OpenSSL's hands no epoll tells of."""
        tls = self._tls
        if tls is None:
            return
        pieces: list[bytes] = []
        ended = False
        try:
            while piece := tls.read(READ_SIZE):
                pieces.append(piece)
            ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError:  # octets that no client of TLS sends
            self.abort()
            return
        if self._outgoing.pending:
            self._send()  # an answer to a change of keys
        if pieces:
            self._above.data_received(b"".join(pieces))
        if ended and not self.is_closing() and not self._above.eof_received():
            self.close()

    def _send(self) -> None:
        if self._below is not None and self._outgoing.pending:
            self._below.write(self._outgoing.read())

    # --- to the protocol above: a transport --------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._tls is None or self.is_closing():
            return
        try:
            self._tls.write(data)
        except ssl.SSLError:  # it has broken the protocol before
            self.abort()
        self._send()

    def close(self) -> None:
        """Say that nothing follows, and close once everything is written."""
        if self._below is None or self._below.is_closing():
            return
        if self._tls is not None and self._done:
            with contextlib.suppress(ssl.SSLError):  # the client need not say so too
                self._tls.unwrap()
            self._send()
        self._below.close()

    def abort(self) -> None:
        """Close at once."""
        if self._below is not None:
            self._below.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or will be once everything is written."""
        return self._below is None or self._below.is_closing()

    def pause_reading(self) -> None:
        """Read no more, for now."""
        if self._below is not None:
            self._below.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._below is not None and self._done:
            self._below.resume_reading()

    def is_reading(self) -> bool:
        """Whether what arrives is read."""
        return self._below is not None and self._below.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """How many octets wait until the protocol is told to pause."""
        if self._below is not None:
            self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Octets that wait for the kernel."""
        return self._below.get_write_buffer_size() if self._below is not None else 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        """What the stream knows."""
        return self._below.get_extra_info(name, default) if self._below is not None else default


def _outcome(error: ssl.SSLError) -> str:
    """How a handshake that failed is counted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return HANDSHAKE_CERTIFICATE
    reason = error.reason or ""
    if "ALERT" in reason:  # the client did not like us
        return HANDSHAKE_VERSION if "PROTOCOL_VERSION" in reason else HANDSHAKE_OTHER
    return _OUTCOMES.get(reason, HANDSHAKE_OTHER)
