"""Transfers to secondaries (RFC 5936): streamed from the store, a message at a time, between the queries.

A transfer reads a snapshot of the store, never the live zone, so publications do not disturb it however long it takes.
Each message is a slice of work of about a millisecond, after which the loop turns. A client that does not read, or not
fast enough, is waited for up to a limit (`server.pace`), and costs what is written ahead of it, some 200 KiB.

    allowed (query.transfers) ─▶ a place? ──▶ snapshot ──▶ message, message, … ──▶ place given back
                                   └ none within `wait`: REFUSED    └ the zone cannot be read: SERVFAIL, or cut off
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any

from nameserver.errors import NameserverError, Reason, TransferError
from nameserver.query.exchange import TransferRequest
from nameserver.server.answering.pace import OutLimits
from nameserver.server.answering.places import Places
from nameserver.store.reader import LoadedZone, StoreReader
from nameserver.store.schema import StoredZone
from nameserver.telemetry.events import Direction, Kind, Outcome, TransferEvent
from nameserver.transfer.outbound import axfr_messages
from nameserver.wire import codes, names
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import StreamSigner, signature_size
from nameserver.zone.node import HAS_CASE, owner_of
from nameserver.zone.soa import parse_soa, soa_rrset

if TYPE_CHECKING:
    from nameserver.server.answering.tcp import TcpConnection

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
        self._finished: list[TransferEvent] = []

    @property
    def in_progress(self) -> int:
        """Transfers that are being sent."""
        return self._places.held

    @property
    def waiting(self) -> int:
        """Transfers that wait for a place."""
        return self._places.waiting

    async def send(self, connection: "TcpConnection", request: TransferRequest) -> None:
        """Send the whole zone; what became of it is reported through `take_finished`."""
        began = time.monotonic()
        sent = _Sent()
        failure: TransferError | None = TransferError(Reason.CLOSED_EARLY, "the client closed the connection")
        try:
            failure = await self._send_in_place(connection, request, sent)
        finally:  # also when cancelled, which is how a client that goes away ends it
            self._finished.append(_event(connection, request, sent, time.monotonic() - began, failure))
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
        with closing(loaded):
            sent.serial, sent.records = loaded.meta.serial, loaded.meta.records
            soa, items = _zone_of(loaded)
            question = request.request
            flags = codes.QR | codes.AA | (question.flags & codes.RD)
            opt = self._opt(request, parse_soa(loaded.meta.soa_rdata).expire, _life(request, loaded.meta))
            for message in axfr_messages(
                soa, items, question.id, question.question, flags=flags, reserve=reserve, opt=opt
            ):
                signed = signer.sign(message, self._clock()) if signer else message
                await connection.send(signed, self._limits)
                sent.messages += 1
                sent.bytes += len(signed)
                await asyncio.sleep(0)

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


class _Sent:
    """How far a transfer has come."""

    def __init__(self) -> None:
        self.serial: int | None = None
        self.records = 0
        self.messages = 0
        self.bytes = 0


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


def _event(
    connection: "TcpConnection", request: TransferRequest, sent: _Sent, seconds: float, failure: TransferError | None
) -> TransferEvent:
    asked = Kind.IXFR if request.qtype == codes.IXFR else Kind.AXFR
    return TransferEvent(
        at=time.time(),
        zone=request.zone.text,
        direction=Direction.OUT,
        address=str(connection.address),
        key=names.to_text(request.key.name) if request.key else "",
        asked=asked,
        got=Kind.AXFR if sent.messages else Kind.NONE,
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
