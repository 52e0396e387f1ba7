"""The I/O of one step with one primary: an SOA check over UDP or TCP, or a transfer.

Every function ends in a value or in a TransferError with its reason. Time limits are the zone's `PullLimits`; nothing
a primary does (silence, trickle, endless stream, forged datagrams) holds a step longer than they say.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from nameserver.config.model import PullLimits, ZoneConfig
from nameserver.errors import Reason, TransferError, WireError
from nameserver.server.clock import wall_clock
from nameserver.server.zones.dialogue import Dialogue, network_failure
from nameserver.server.zones.dialogue import Peer as Peer
from nameserver.transfer.inbound import InboundTransfer, TransferKind
from nameserver.wire import codes
from nameserver.wire.query import build_query
from nameserver.wire.response import SoaResponse, parse_soa_response
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import StreamVerifier, sign

EDNS_SIZE = 1232
SUSPICIOUS_GRACE = 0.5  # seconds to wait for a better answer after one that failed its checks
Answer = TypeVar("Answer")
NO_EDNS_RCODES = frozenset({codes.FORMERR, codes.NOTIMP, codes.BADVERS})
NO_EDNS_REASONS = frozenset({Reason.FORMERR, Reason.NOTIMP})


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
