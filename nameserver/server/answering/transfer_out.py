"""Transfers to secondaries (RFC 5936, RFC 1995): streamed from the store, a message at a time, between the queries.

A transfer reads a snapshot of the store, never the live zone, so publications do not disturb it however long it takes.
Each message is a slice of work of about a millisecond, after which the loop turns. A client that does not read, or not
fast enough, is waited for up to a limit (`server.pace`), and costs what is written ahead of it, some 200 KiB.

    allowed (query.transfers) ─▶ a place? ──▶ snapshot ──▶ message, message, … ──▶ place given back
                                   └ none within `wait`: REFUSED    └ the zone cannot be read: SERVFAIL, or cut off

IXFR takes the same places and pace. What it is answered with `nameserver.transfer.outbound_ixfr` decides, from the
history in the same snapshot. A history that is found damaged is told of and not used: the whole zone goes out instead.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from nameserver.errors import NameserverError, Reason, StoreDamaged, StoreError, TransferError, ZoneError
from nameserver.query.exchange import TransferRequest
from nameserver.query.pipeline import Address, SizeOf
from nameserver.server.answering.pace import OutLimits
from nameserver.server.answering.places import Places
from nameserver.store.reader import LoadedZone, StoreReader
from nameserver.store.schema import StoredZone
from nameserver.telemetry.events import Direction, Kind, Outcome, TransferEvent
from nameserver.transfer.outbound import axfr_messages
from nameserver.transfer.outbound_ixfr import (
    Step,
    are_few,
    condensing,
    is_larger_than_zone,
    ixfr_messages,
    ixfr_rrsets,
    largest_chain,
)
from nameserver.wire import codes, names
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import StreamSigner, signature_size
from nameserver.zone.history import finished
from nameserver.zone.node import HAS_CASE, owner_of
from nameserver.zone.soa import parse_soa, soa_rrset

if TYPE_CHECKING:
    from nameserver.server.answering.tcp import TcpConnection

COMPRESSED_AT_MOST = 4  # times the room of a datagram: no answer gets that much smaller by condensing and pointers

log = logging.getLogger("nameserver.transfers")

Refuse = Callable[["TcpConnection", TransferRequest, int, str], bytes]  # RCODE and text → a reply, signed where due
Opt = Callable[[TransferRequest, int, float | None], bytes]  # as `Pipeline.transfer_opt`


class TransferOut:
    """The transfers of one worker. The access list was asked before: whoever gets here is allowed.

    So nobody who may not transfer takes a place, or a turn in the queue, from those who may. `clock` gives
    whole seconds since 1970, for signatures.
    """

    def __init__(
        self, reader: StoreReader, limits: OutLimits, refuse: Refuse, opt: Opt, clock: Callable[[], int]
    ) -> None:
        self._reader = reader
        self._limits = limits
        self._refuse = refuse
        self._opt = opt
        self._clock = clock
        self._places = Places(limits.at_once, limits.per_address)
        self._condensing = asyncio.Lock()  # one at a time: it takes some twenty times the octets of the steps
        self._finished: list[TransferEvent] = []
        self.on_finished: Callable[[], None] = lambda: None  # something can be had of `take_finished`
        self._damaged: dict[bytes, int] = {}  # zone → generation at which its history was found damaged

    @property
    def in_progress(self) -> int:
        """Transfers that are being sent."""
        return self._places.held

    @property
    def waiting(self) -> int:
        """Transfers that wait for a place."""
        return self._places.waiting

    async def send(self, connection: "TcpConnection", request: TransferRequest) -> None:
        """Send the zone, or what has changed; what became of it is reported through `take_finished`."""
        began = time.monotonic()
        sent = _Sent()
        failure: TransferError | None = TransferError(Reason.CLOSED_EARLY, "the client closed the connection")
        try:
            failure = await self._send_in_place(connection, request, sent)
        finally:  # also when cancelled, which is how a client that goes away ends it
            seconds, transport = time.monotonic() - began, "tcp" if connection.client is None else "tls"
            self._ended(_event(connection.address, transport, request, sent, seconds, failure))
        if failure is None:
            return
        if sent.messages:
            connection.abort()  # in the middle of a zone there is no other way to say so
            return
        rcode = codes.REFUSED if failure.reason is Reason.QUOTA else codes.SERVFAIL
        text = failure.detail if failure.reason is Reason.QUOTA else "the zone cannot be sent"
        connection.reply(self._refuse(connection, request, rcode, text))

    async def _send_in_place(
        self, connection: "TcpConnection", request: TransferRequest, sent: "_Sent"
    ) -> TransferError | None:
        """Wait for a place, send; why it failed, or None."""
        if not await self._places.take(connection.group, self._limits.wait):
            return TransferError(Reason.QUOTA, "too many transfers at once")
        try:
            await self._stream(connection, request, sent)
        except ConnectionError as error:
            return TransferError(Reason.CLOSED_EARLY, str(error))
        except TransferError as error:
            return error
        except NameserverError as error:
            return TransferError(Reason.SERVFAIL, str(error))
        finally:
            self._places.give_back(connection.group)
        return None

    async def _stream(self, connection: "TcpConnection", request: TransferRequest, sent: "_Sent") -> None:
        loaded = self._reader.load(request.zone.name)
        if loaded is None:
            raise TransferError(Reason.SERVFAIL, "the store does not hold the zone")
        signer = StreamSigner(request.key, request.request_mac) if request.key else None
        reserve = signature_size(request.key) if request.key else 0
        until = time.monotonic() + self._limits.total_timeout
        with closing(loaded):
            opt = self._opt(request, parse_soa(loaded.meta.soa_rdata).expire, _life(request, loaded.meta))
            for message in await self._messages(loaded, request, sent, reserve, opt):
                signed = signer.sign(message, self._clock()) if signer else message
                if time.monotonic() > until:
                    raise TransferError(Reason.TOTAL_TIMEOUT, f"not done after {self._limits.total_timeout:g} s")
                await connection.send(signed, self._limits)
                sent.messages += 1
                sent.bytes += len(signed)
                await asyncio.sleep(0)

    async def _messages(
        self, loaded: LoadedZone, request: TransferRequest, sent: "_Sent", reserve: int, opt: bytes
    ) -> Iterator[bytes]:
        """The messages to send, made one by one as they are taken."""
        sent.serial, sent.records, sent.kind = loaded.meta.serial, loaded.meta.records, Kind.AXFR
        question = request.request
        flags = codes.QR | codes.AA | (question.flags & codes.RD)
        changed = await self._changed(loaded, request)
        if changed is None:
            soa, items = _zone_of(loaded)
            return axfr_messages(soa, items, question.id, question.question, flags=flags, reserve=reserve, opt=opt)
        sent.records, sent.kind = 2 + changed.records, Kind.IXFR
        served = request.zone.zone
        is_served = served is not None and served.generation == loaded.meta.generation
        soa = served.soa if served is not None and is_served else _zone_of(loaded)[0]
        parts = self._watched(loaded, changed.parts)
        return ixfr_messages(soa, parts, question.id, question.question, flags=flags, reserve=reserve, opt=opt)

    async def _changed(self, loaded: LoadedZone, request: TransferRequest) -> "_Changed | None":
        """What has changed since the client's version; None: the whole zone is the answer."""
        if request.qtype != codes.IXFR or request.serial is None:
            return None
        try:
            making = _making(loaded, request.serial, largest_chain(loaded.meta.size))
            async with self._condensing:
                while True:
                    try:
                        next(making)
                    except StopIteration as end:
                        changed: _Changed | None = end.value
                        return changed
                    await asyncio.sleep(0)
        except (StoreDamaged, ZoneError) as error:
            self._found_damaged(loaded, error)
            return None

    def _watched(self, loaded: LoadedZone, parts: Iterator[bytes]) -> Iterator[bytes]:
        """The same parts. Where one is found damaged while it is sent, the client gets the whole zone the next time."""
        try:
            yield from parts
        except StoreDamaged as error:
            self._found_damaged(loaded, error)
            raise

    def _found_damaged(self, loaded: LoadedZone, error: NameserverError) -> None:
        log.error("zone %s: %s; whole zones are sent until the next change", loaded.meta.text, error)
        self._damaged[loaded.meta.name] = loaded.meta.generation

    def over_udp(self, request: TransferRequest, address: Address, room: int, size_of: SizeOf) -> list[RRset] | None:
        """The answer section of an IXFR over UDP (`query.pipeline.Differences`); small enough to be made at once."""
        began, served = time.monotonic(), request.zone.zone
        if served is None or request.serial is None:
            return None
        try:
            loaded = self._reader.load(request.zone.name)
            if loaded is None:
                return None
            with closing(loaded):
                if loaded.meta.generation != served.generation:
                    return None
                changed = finished(_making(loaded, request.serial, COMPRESSED_AT_MOST * room))
                answer = [] if changed is None else ixfr_rrsets(served.soa, changed.parts)
        except (StoreError, ZoneError):
            return None  # over TCP this is looked at, and told of
        size = size_of(answer) if answer else None
        if size is None:
            return None
        sent = _Sent(served.serial, Kind.IXFR, len(answer), 1, size)
        self._ended(_event(address, "udp", request, sent, time.monotonic() - began, None))
        return answer

    def take_damaged(self) -> dict[str, int]:
        """Zones, in hex, whose history was found damaged since the last call, and at which generation."""
        damaged, self._damaged = self._damaged, {}
        return {name.hex(): generation for name, generation in damaged.items()}

    def _ended(self, event: TransferEvent) -> None:
        self._finished.append(event)
        self.on_finished()

    def take_finished(self) -> list[dict[str, Any]]:
        """What has ended since the last call, for the transfer process to log and count."""
        finished, self._finished = self._finished, []
        return [event.to_json() for event in finished]


def _life(request: TransferRequest, sent: StoredZone) -> float | None:
    """For how long the version sent is good, in seconds, where it is newer than the one that is served; else None.

    It was committed a moment ago, and what is known of the served one's life is not yet about this one.
    """
    served = request.zone.zone
    if served is not None and served.generation == sent.generation:
        return None
    return sent.expires_at - time.time()


@dataclass(slots=True)
class _Sent:
    """How far a transfer has come."""

    serial: int | None = None
    kind: Kind = Kind.NONE
    records: int = 0
    messages: int = 0
    bytes: int = 0


def _zone_of(loaded: LoadedZone) -> tuple[RRset, Iterator[tuple[bytes, bytes]]]:
    """The SOA, and (owner as received, node) of every owner."""
    apex = loaded.meta.apex_as_received
    first = next(loaded.slices)
    _, apex_node = first[0]
    owners = (
        (owner_of(node, key, apex) if node[0] & HAS_CASE else key + apex, node)
        for items in chain((first,), loaded.slices)
        for key, node in items
    )
    return soa_rrset(apex_node, owner_of(apex_node, b"", apex)), owners


@dataclass(frozen=True, slots=True)
class _Changed:
    """Steps to send: their parts, and how many records they hold."""

    parts: Iterator[bytes]
    records: int


def _making(loaded: LoadedZone, serial: int, at_most: int) -> Generator[None, None, _Changed | None]:
    """Choose the steps to send to a client with this serial, in slices of work; None: the whole zone is the answer.

    `at_most`: octets of steps beyond which it is not worth looking. Raises StoreError, ZoneError.
    """
    steps = loaded.steps_since(serial, at_most)
    if not steps:
        return None
    parts: Iterable[bytes] = (part for step in steps for part in loaded.parts_of(step))
    changed: Sequence[Step] = steps
    if are_few(steps):
        held = []
        for part in parts:
            held.append(part)
            yield
        parts, changed = yield from condensing(held, steps, loaded.meta.apex_as_received)
    if is_larger_than_zone(changed, loaded.meta.size):
        return None
    return _Changed(iter(parts), sum(step.records for step in changed))


def _event(
    address: Address,
    transport: str,
    request: TransferRequest,
    sent: _Sent,
    seconds: float,
    failure: TransferError | None,
) -> TransferEvent:
    asked = Kind.IXFR if request.qtype == codes.IXFR else Kind.AXFR
    return TransferEvent(
        at=time.time(),
        zone=request.zone.text,
        direction=Direction.OUT,
        address=str(address),
        key=names.to_text(request.key.name) if request.key else "",
        transport=transport,
        asked=asked,
        got=sent.kind if sent.messages else Kind.NONE,
        serial_old=request.serial,
        serial_new=sent.serial,
        messages=sent.messages,
        records=sent.records,
        bytes=sent.bytes,
        seconds=seconds,
        outcome=_outcome(failure),
        reason=failure.reason if failure else None,
        detail=failure.detail if failure else "",
    )


def _outcome(failure: TransferError | None) -> Outcome:
    if failure is None:
        return Outcome.OK
    return Outcome.REFUSED if failure.reason is Reason.QUOTA else Outcome.FAILED
