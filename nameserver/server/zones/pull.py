"""The I/O of one step with one primary: an SOA check over UDP or TCP, or a transfer.

Every function ends in a value or in a TransferError with its reason. Time limits are the zone's `PullLimits`; nothing
a primary does (silence, trickle, endless stream, forged datagrams) holds a step longer than they say.
"""

import asyncio
import errno
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from nameserver.config.model import Endpoint, PullLimits, Remote, ZoneConfig
from nameserver.errors import Reason, TransferError, WireError
from nameserver.server.clock import wall_clock
from nameserver.transfer.inbound import InboundTransfer, TransferKind
from nameserver.wire import codes
from nameserver.wire.framing import frame
from nameserver.wire.query import build_query
from nameserver.wire.response import SoaResponse, parse_soa_response
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import StreamVerifier, TsigKey, sign

EDNS_SIZE = 1232
SUSPICIOUS_GRACE = 0.5  # seconds to wait for a better answer after one that failed its checks
# What a primary sends is taken off the socket faster than it is parsed: Knot gives up on a client that does not read
# for half a second. Reading pauses at twice this many bytes.
STREAM_BUFFER = 16 * 1024 * 1024
Answer = TypeVar("Answer")
NO_EDNS_RCODES = frozenset({codes.FORMERR, codes.NOTIMP, codes.BADVERS})
NO_EDNS_REASONS = frozenset({Reason.FORMERR, Reason.NOTIMP})
OUR_OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(slots=True)
class Peer:
    """One address of one primary with the key that signs, one of the remote's; and what we found out about it."""

    remote: Remote
    endpoint: Endpoint
    key: TsigKey | None
    skew: float | None = None  # seconds its clock is ahead of ours, from the last TSIG seen
    edns: bool = True  # ask with EDNS; turned off by an answer that seems not to know it (RFC 6891 §7)


@dataclass(slots=True)
class _Question:
    """A query on its way: what to send, and what verifies the answer."""

    message: bytes
    id: int
    verifier: StreamVerifier | None


def _question(peer: Peer, zone: ZoneConfig, qtype: int, soa: RRset | None = None) -> _Question:
    ident = secrets.randbelow(65536)
    message = build_query(
        ident,
        zone.name,
        qtype,
        soa=soa,
        edns=EDNS_SIZE if peer.edns else False,
        options=((codes.OPT_EXPIRE, b""),) if peer.edns else (),
    )
    if peer.key is None:
        return _Question(message, ident, None)
    signed, mac = sign(message, peer.key, wall_clock())
    return _Question(signed, ident, StreamVerifier(peer.key, mac))


# --- SOA over UDP ----------------------------------------------------------------------------------------------------


class _Datagrams(asyncio.DatagramProtocol):
    """Collects what arrives on one connected socket."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | OSError] = asyncio.Queue(maxsize=64)
        self._transport: asyncio.BaseTransport | None = None
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self._closed:
            transport.close()

    def close(self) -> None:
        """Close the socket, also where nobody has its transport yet."""
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, _addr: tuple[str | object, int]) -> None:
        if not self.queue.full():
            self.queue.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        if not self.queue.full() and isinstance(exc, OSError):
            self.queue.put_nowait(exc)


async def soa_over_udp(peer: Peer, zone: ZoneConfig, limits: PullLimits) -> SoaResponse:
    """Ask for the SOA; each try from a fresh random port. A truncated answer is returned as such."""
    tries = 0
    while tries < limits.udp_tries:
        try:
            response = await _one_udp_try(peer, zone, limits.udp_timeout)
        except TransferError as error:
            if error.reason is Reason.CONNECT_TIMEOUT:
                tries += 1
                continue
            if error.reason not in NO_EDNS_REASONS or not peer.edns:
                raise
        else:
            if response.rcode not in NO_EDNS_RCODES or not peer.edns:
                return response
        peer.edns = False
    raise TransferError(Reason.CONNECT_TIMEOUT, f"no answer over UDP in {limits.udp_tries} tries")


async def _one_udp_try(peer: Peer, zone: ZoneConfig, patience: float) -> SoaResponse:
    question = _question(peer, zone, codes.SOA)
    return await ask_over_udp(
        peer, question.message, lambda answer: _checked_soa(answer, question, peer, zone), patience
    )


async def ask_over_udp(peer: Peer, message: bytes, read: Callable[[bytes], Answer], patience: float) -> Answer:
    """Send one datagram from a fresh random port; what `read` makes of the first answer that passes its checks.

    `read` raises WireError for what is not an answer to this message, TransferError for one that fails its checks.
    """
    loop = asyncio.get_running_loop()
    datagrams = _Datagrams()
    try:
        transport, _ = await loop.create_datagram_endpoint(lambda: datagrams, sock=_connected_udp(peer))
        transport.sendto(message)
        return await _matching_answer(datagrams.queue, read, patience)
    except OSError as error:
        raise network_failure(error, "UDP") from error
    finally:  # also when cancelled before the transport was ours: uvloop would leave it open
        datagrams.close()


def _connected_udp(peer: Peer) -> socket.socket:
    """A socket for one exchange. Given an address, uvloop would have a thread look that up, numeric or not."""
    host, source = peer.endpoint.host, peer.remote.source
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if source:
            sock.bind((source, 0))
        sock.connect((host, peer.endpoint.port))
    except OSError:
        sock.close()
        raise
    return sock


async def _matching_answer(
    queue: "asyncio.Queue[bytes | OSError]", read: Callable[[bytes], Answer], patience: float
) -> Answer:
    """The first datagram that passes every check; forged or stray ones before it change nothing."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    suspicion: TransferError | None = None
    while (left := until - loop.time()) > 0:
        try:
            async with asyncio.timeout(left):
                got = await queue.get()
        except TimeoutError:
            break
        if isinstance(got, OSError):
            suspicion = suspicion or network_failure(got, "UDP")
        else:
            try:
                return read(got)
            except WireError:
                continue  # not an answer to this question
            except TransferError as error:
                suspicion = error
        until = min(until, loop.time() + SUSPICIOUS_GRACE)
    raise suspicion or TransferError(Reason.CONNECT_TIMEOUT, f"no answer over UDP within {patience:g} s")


def _checked_soa(message: bytes, question: _Question, peer: Peer, zone: ZoneConfig) -> SoaResponse:
    parse_soa_response(message, question.id, zone.name)  # is it ours at all? before any MAC is computed
    if question.verifier is None:
        return parse_soa_response(message, question.id, zone.name)
    try:
        verified = question.verifier.check(message, wall_clock())
        question.verifier.finish()
    finally:
        peer.skew = question.verifier.skew if question.verifier.skew is not None else peer.skew
    return parse_soa_response(verified, question.id, zone.name)


# --- TCP -------------------------------------------------------------------------------------------------------------


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


async def soa_over_tcp(peer: Peer, zone: ZoneConfig, limits: PullLimits) -> SoaResponse:
    """Ask for the SOA on a connection of its own."""
    if peer.edns:
        try:
            response = await _one_tcp_try(peer, zone, limits)
            if response.rcode not in NO_EDNS_RCODES:
                return response
        except TransferError as error:
            if error.reason not in NO_EDNS_REASONS:
                raise
        peer.edns = False
    return await _one_tcp_try(peer, zone, limits)


async def _one_tcp_try(peer: Peer, zone: ZoneConfig, limits: PullLimits) -> SoaResponse:
    dialogue = await Dialogue.connect(peer, limits)
    try:
        question = _question(peer, zone, codes.SOA)
        await dialogue.send(question.message)
        return _checked_soa(await dialogue.receive(), question, peer, zone)
    except WireError as error:
        raise TransferError(Reason.MALFORMED, str(error)) from error
    finally:
        dialogue.close()


async def transfer(
    peer: Peer,
    zone: ZoneConfig,
    kind: TransferKind,
    held_soa: RRset | None,
    make_inbound: Callable[[int, StreamVerifier | None], InboundTransfer],
    heard: Callable[[], None] = lambda: None,
) -> InboundTransfer:
    """Run one AXFR or IXFR to its end; the machine that `make_inbound` made then holds the result and the statistics.

    The caller sees the machine in both cases: it keeps the one it made when this raises. With EDNS the primary is asked
    for how long its own copy is good (RFC 7314); servers of old answer that with FORMERR or NOTIMP, and are asked again
    without. `heard` is called for each message that came.
    """
    if peer.edns:
        try:
            return await _one_transfer(peer, zone, kind, held_soa, make_inbound, heard)
        except TransferError as error:
            if error.reason not in NO_EDNS_REASONS:
                raise
        peer.edns = False
    return await _one_transfer(peer, zone, kind, held_soa, make_inbound, heard)


async def _one_transfer(
    peer: Peer,
    zone: ZoneConfig,
    kind: TransferKind,
    held_soa: RRset | None,
    make_inbound: Callable[[int, StreamVerifier | None], InboundTransfer],
    heard: Callable[[], None],
) -> InboundTransfer:
    limits = zone.pull
    try:
        async with asyncio.timeout(limits.total_timeout):
            dialogue = await Dialogue.connect(peer, limits)
            try:
                qtype = codes.IXFR if kind is TransferKind.IXFR else codes.AXFR
                question = _question(peer, zone, qtype, held_soa)
                inbound = make_inbound(question.id, question.verifier)
                await dialogue.send(question.message)
                try:
                    done = False
                    while not done:
                        message = await dialogue.receive()
                        heard()
                        done = inbound.feed(message, wall_clock())
                        await asyncio.sleep(0)  # a stream that never pauses must not hold the loop
                    if (more := await dialogue.arrived()) is not None:
                        inbound.feed(more, wall_clock())  # nothing may follow the closing SOA: this raises
                finally:
                    if question.verifier is not None and question.verifier.skew is not None:
                        peer.skew = question.verifier.skew
            finally:
                dialogue.close()
    except TimeoutError as error:
        raise TransferError(Reason.TOTAL_TIMEOUT, f"not done after {limits.total_timeout:g} s") from error
    return inbound


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
