"""The I/O of one step with one primary: an SOA check over UDP or TCP, or a transfer.

Every function ends in a value or in a TransferError with its reason. Time limits are the zone's `PullLimits`; nothing
a primary does (silence, trickle, endless stream, forged datagrams) holds a step longer than they say.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from secrets import token_bytes
from struct import unpack
from typing import Generic, TypeVar

from nameserver.config.model import PullLimits, ZoneConfig
from nameserver.errors import Reason, TransferError, WireError
from nameserver.refresh.outcome import CLASS_OF, FailureClass
from nameserver.server.clock import wall_clock
from nameserver.server.zones.dialogue import Dialogue, network_failure, out_of_memory
from nameserver.server.zones.dialogue import Peer as Peer
from nameserver.server.zones.kept_connections import KeptConnections
from nameserver.transfer.inbound import InboundTransfer, TransferKind
from nameserver.wire import codes
from nameserver.wire.query import build_query
from nameserver.wire.response import SoaResponse, parse_soa_response
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import StreamVerifier, sign

EDNS_SIZE = 1232
SUSPICIOUS_GRACE = 0.5  # seconds to wait for a better answer after one that failed its checks
DATAGRAMS_AT_ONCE = 64  # read in one turn of the loop, by one question
Answer = TypeVar("Answer")
NO_EDNS_RCODES = frozenset({codes.FORMERR, codes.NOTIMP, codes.BADVERS})
NO_EDNS_REASONS = frozenset({Reason.FORMERR, Reason.NOTIMP})


@dataclass(slots=True)
class _Question:
    """A query on its way: what to send, and what verifies the answer."""

    message: bytes
    id: int
    verifier: StreamVerifier | None


def _unpredictable_ids() -> Iterator[int]:
    while True:
        yield from unpack("!256H", token_bytes(512))


_IDS = _unpredictable_ids()


def _question(peer: Peer, zone: ZoneConfig, qtype: int, soa: RRset | None = None) -> _Question:
    ident = next(_IDS)
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
    return await ask_once(peer, question.message, lambda answer: _checked_soa(answer, question, peer, zone), patience)


async def ask_once(peer: Peer, message: bytes, read: Callable[[bytes], Answer], patience: float) -> Answer:
    """Send one datagram from a fresh random port; what `read` makes of the first answer that passes its checks.

    `read` raises WireError for what is not an answer to this message, TransferError for one that fails its checks. To a
    remote with TLS no datagram is sent, whoever calls: the message goes over a TLS connection of its own.
    """
    if peer.remote.tls is not None:
        return await _ask_over_tls(peer, message, read, patience)
    try:
        with _connected_udp(peer) as sock:
            sock.send(message)
            return await _Asking(sock, read, patience).answer()
    except OSError as error:
        raise network_failure(error, "UDP") from error


async def _ask_over_tls(peer: Peer, message: bytes, read: Callable[[bytes], Answer], patience: float) -> Answer:
    """What comes there is from the remote, so the first answer counts."""
    limits = PullLimits(connect_timeout=patience, idle_timeout=patience)
    dialogue = await Dialogue.connect(peer, limits)
    try:
        dialogue.begin(limits, time.monotonic() + patience)
        dialogue.send(message)
        return read(await dialogue.receive())
    except WireError as error:
        raise TransferError(Reason.MALFORMED, str(error)) from error
    finally:
        dialogue.close()


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


class _Asking(Generic[Answer]):
    """Waits for the first datagram that passes every check; forged or stray ones before it change nothing."""

    def __init__(self, sock: socket.socket, read: Callable[[bytes], Answer], patience: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket, self._read = sock, read
        self._patience = patience
        self._done: asyncio.Future[Answer] = self._loop.create_future()
        self._suspicion: TransferError | None = None

    async def answer(self) -> Answer:
        """What was made of it. Raises the first failure, or connect-timeout."""
        number = self._socket.fileno()
        self._until = self._loop.time() + self._patience
        self._timer = self._loop.call_at(self._until, self._give_up)
        self._loop.add_reader(number, self._readable)
        try:
            return await self._done
        finally:
            self._loop.remove_reader(number)
            self._timer.cancel()

    def _readable(self) -> None:
        for _ in range(DATAGRAMS_AT_ONCE):
            if self._done.done():
                return
            try:
                self._judge(self._socket.recv(65535))
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._suspect(self._suspicion or network_failure(error, "UDP"))
                return
            except MemoryError:
                self._suspect(out_of_memory())
                return

    def _judge(self, datagram: bytes) -> None:
        try:
            self._done.set_result(self._read(datagram))
        except WireError:  # not an answer to this question
            return
        except TransferError as error:
            self._suspect(error)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._done.set_exception(error)

    def _suspect(self, error: TransferError) -> None:
        """One that fails its checks, or word from the network that nobody listens: a better one may still come."""
        self._suspicion = error
        soon = self._loop.time() + SUSPICIOUS_GRACE
        if soon < self._until:
            self._until = soon
            self._timer.cancel()
            self._timer = self._loop.call_at(soon, self._give_up)

    def _give_up(self) -> None:
        if not self._done.done():
            text = f"no answer over UDP within {self._patience:g} s"
            self._done.set_exception(self._suspicion or TransferError(Reason.CONNECT_TIMEOUT, text))


def _checked_soa(message: bytes, question: _Question, peer: Peer, zone: ZoneConfig) -> SoaResponse:
    answer = parse_soa_response(message, question.id, zone.name)  # is it ours at all? before any MAC is computed
    if question.verifier is None:
        return answer
    try:
        verified = question.verifier.check(message, wall_clock())
        question.verifier.finish()
    finally:
        peer.skew = question.verifier.skew if question.verifier.skew is not None else peer.skew
    return parse_soa_response(verified, question.id, zone.name)


# --- TCP -------------------------------------------------------------------------------------------------------------


async def soa_over_tcp(
    peer: Peer, zone: ZoneConfig, limits: PullLimits, kept: KeptConnections | None = None
) -> SoaResponse:
    """Ask for the SOA over a kept connection or a fresh one; without `kept`, over one that is closed afterwards."""
    until = time.monotonic() + limits.total_timeout

    async def ask(dialogue: Dialogue) -> SoaResponse:
        question = _question(peer, zone, codes.SOA)
        dialogue.send(question.message)
        try:
            return _checked_soa(await dialogue.receive(), question, peer, zone)
        except WireError as error:
            raise TransferError(Reason.MALFORMED, str(error)) from error

    if peer.edns:
        try:
            response = await _exchange(peer, limits, until, kept, ask)
            if response.rcode not in NO_EDNS_RCODES:
                return response
        except TransferError as error:
            if error.reason not in NO_EDNS_REASONS:
                raise
        peer.edns = False
    return await _exchange(peer, limits, until, kept, ask)


async def transfer(
    peer: Peer,
    zone: ZoneConfig,
    kind: TransferKind,
    held_soa: RRset | None,
    make_inbound: Callable[[int, StreamVerifier | None], InboundTransfer],
    heard: Callable[[], None] = lambda: None,
    kept: KeptConnections | None = None,
) -> InboundTransfer:
    """Run one AXFR or IXFR to its end; the machine that `make_inbound` made then holds the result and the statistics.

    The caller sees the machine in both cases: it keeps the one it made last when this raises. With EDNS the primary is
    asked for how long its own copy is good (RFC 7314); servers of old answer that with FORMERR or NOTIMP, and are asked
    again without. `heard` is called for each message that came. `kept` as with `soa_over_tcp`.
    """
    until = time.monotonic() + zone.pull.total_timeout

    async def run(dialogue: Dialogue) -> InboundTransfer:
        question = _question(peer, zone, codes.IXFR if kind is TransferKind.IXFR else codes.AXFR, held_soa)
        inbound = make_inbound(question.id, question.verifier)
        dialogue.send(question.message)
        try:
            await _feed(inbound, dialogue, heard)
        finally:
            if question.verifier is not None and question.verifier.skew is not None:
                peer.skew = question.verifier.skew
        return inbound

    if peer.edns:
        try:
            return await _exchange(peer, zone.pull, until, kept, run)
        except TransferError as error:
            if error.reason not in NO_EDNS_REASONS:
                raise
        peer.edns = False
    return await _exchange(peer, zone.pull, until, kept, run)


async def _feed(inbound: InboundTransfer, dialogue: Dialogue, heard: Callable[[], None]) -> None:
    """Take messages until the transfer is complete."""
    done = False
    while not done:
        message = await dialogue.receive()
        heard()
        done = inbound.feed(message, wall_clock())
        if not done:
            await asyncio.sleep(0)  # a stream that never pauses must not hold the loop
    if (more := dialogue.arrived()) is not None:
        inbound.feed(more, wall_clock())  # nothing may follow the closing SOA: this raises


async def _exchange(
    peer: Peer,
    limits: PullLimits,
    until: float,
    kept: KeptConnections | None,
    talk: Callable[[Dialogue], Awaitable[Answer]],
) -> Answer:
    """`talk` over a kept connection; over a fresh one where there is none, or where that one may be what failed."""
    if kept is not None and (dialogue := kept.take(peer)) is not None:
        try:
            dialogue.begin(limits, until, used=True)
            answer = await _talk(peer, dialogue, kept, talk)
        except TransferError as error:
            if not kept.is_to_blame(peer, dialogue, error):
                raise
        else:
            kept.served_again(peer)
            return answer
    dialogue = await Dialogue.connect(peer, limits)
    dialogue.begin(limits, until)
    return await _talk(peer, dialogue, kept, talk)


async def _talk(
    peer: Peer, dialogue: Dialogue, kept: KeptConnections | None, talk: Callable[[Dialogue], Awaitable[Answer]]
) -> Answer:
    """`talk` over this connection, which is kept where the answer came to its end."""
    whole = False
    try:
        answer = await talk(dialogue)
        whole = True
    except TransferError as error:
        whole = CLASS_OF[error.reason] is FailureClass.ANSWER  # it had one message
        raise
    finally:
        if whole and kept is not None:
            kept.keep(peer, dialogue)
        else:
            dialogue.close()
    return answer
