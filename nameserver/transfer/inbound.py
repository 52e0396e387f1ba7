"""Interpreting the messages of a transfer from a primary: AXFR (RFC 5936), IXFR (RFC 1995). No I/O, no clock.

A transfer is a sequence of records cut into messages at arbitrary places; everything is decided record by record:

                         asked AXFR: a record
    FIRST_SOA ──SOA──┬──────────────────────────────────▶ FULL ──the first SOA again──▶ DONE   FullTransfer
       │             │                                     ▲ │
       │             │ asked IXFR                          │ └─ records go straight into the zone builder
       │             ▼                                     │
       │          SECOND ──any type but SOA────────────────┤   (AXFR-style answer to IXFR)
       │             │   └─the first SOA again─────────────┘   (an empty zone: refused for want of an NS)
       │             │
       │             └──SOA, our serial──▶ DELETING ──SOA──▶ ADDING ──SOA, the first one's serial──▶ DONE
       │                                       ▲                │                         IncrementalTransfer
       │                                       └──SOA, the serial just reached──┘  (next step of the chain)
       │
       └─ asked IXFR, the message holds nothing else: our serial → DONE UpToDate; newer → wait for more

SECOND is left only by a record: a primary may send its first SOA in a message of its own. If the connection ends
there, or anywhere before DONE, the transfer was cut short, which only the caller can see (closed-early).

A record after the closing SOA is an error, whether in the same message or in one more that is fed: peers that stop
listening at a repeated SOA have published half of a zone. With TSIG, nothing is a result before the verifier has seen
the signature over the last message.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from struct import Struct
from typing import Protocol

from nameserver.errors import Reason, TransferError, WireError, ZoneError
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes
from nameserver.wire.edns import Edns, parse_opt
from nameserver.wire.failures import rcode_failure
from nameserver.wire.names import read_name, skip_name, to_text
from nameserver.wire.rdata import fold_rdata, type_text
from nameserver.wire.rrset import TAIL, Record
from nameserver.wire.walk import Section, Walked, to_record
from nameserver.zone.builder import BuiltZone, ZoneBuilder, wrong_class
from nameserver.zone.changes import Changeset
from nameserver.zone.serial import Order, compare

_HEADER = Struct("!HHHHHH")
_QUESTION = Struct("!HH")


class TransferKind(Enum):
    """What was asked for."""

    AXFR = "axfr"
    IXFR = "ixfr"


class Got(StrEnum):
    """What came: field of log lines and metrics."""

    NOTHING = "nothing"
    AXFR = "axfr"
    IXFR = "ixfr"
    AXFR_STYLE = "axfr-style"  # a full zone in answer to IXFR
    UP_TO_DATE = "up-to-date"


class State(Enum):
    """Where in the sequence of records a transfer is; see the head of this file."""

    FIRST_SOA = "first-soa"
    SECOND = "second"
    FULL = "full"
    DELETING = "deleting"
    ADDING = "adding"
    DONE = "done"
    FAILED = "failed"


class Verifier(Protocol):
    """Checks the signatures of the messages of one reply: `nameserver.wire.tsig.StreamVerifier`."""

    def check(self, message: bytes, now: int) -> bytes:
        """The message without its TSIG record. Raises `TransferError`."""

    def finish(self) -> None:
        """Raises `TransferError` unless the last message was signed."""


@dataclass(slots=True)
class TransferStats:
    """What one transfer was made of, for logs and metrics. `bytes` counts messages without their TCP lengths.

    `expire_option` is EDNS EXPIRE (RFC 7314 §2) as the first message gives it: seconds that the sender's own copy
    remains valid; None without.
    """

    messages: int = 0
    records: int = 0
    bytes: int = 0
    got: Got = Got.NOTHING
    expire_option: int | None = None
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Note something that was tolerated, once."""
        if text not in self.warnings:
            self.warnings.append(text)


@dataclass(frozen=True, slots=True)
class FullTransfer:
    """A whole zone, checked. Whether its serial is welcome is for the caller to say."""

    built: BuiltZone


@dataclass(frozen=True, slots=True)
class IncrementalTransfer:
    """A gapless chain of changesets from our serial to `serial`, not yet applied (`zone.changes.apply_changes`)."""

    changesets: list[Changeset]
    serial: int


@dataclass(frozen=True, slots=True)
class UpToDate:
    """The primary has nothing newer than what we hold."""

    serial: int


Result = FullTransfer | IncrementalTransfer | UpToDate


def _serial(soa: Walked) -> int:
    return int.from_bytes(soa[3][-20:-16], "big")


def _read_opt(message: bytes, offset: int) -> Edns | None:
    """The OPT record of the additional section, None without; `offset` is where the answers end."""
    _, _, _, _, authorities, additionals = _HEADER.unpack_from(message)
    if additionals == 0:
        return None
    for index in range(authorities + additionals):
        offset = skip_name(message, offset)
        if offset + 10 > len(message):
            raise WireError("a record runs past the end of the message")
        rdtype, rdclass, ttl, length = TAIL.unpack_from(message, offset)
        rdata = message[offset + 10 : offset + 10 + length]
        if len(rdata) != length:
            raise WireError("a record runs past the end of the message")
        if rdtype == codes.OPT and index >= authorities:
            return parse_opt(rdclass, ttl, rdata)
        offset += 10 + length
    return None


def _without_records(opt: Edns | None) -> TransferError:
    """What a first message without records means: its RCODE may be one of those that take an OPT record."""
    if opt is not None and opt.extended_rcode:
        return rcode_failure(opt.extended_rcode << 4)
    return TransferError(Reason.NO_SOA, "the answer holds no records")


class InboundTransfer:
    """One transfer, fed message by message.

    zone: folded wire name. kind: what was asked. query_id: the request's. our_serial: the serial the IXFR request
    named (required for IXFR). verifier: for a signed request. make_builder: makes an empty builder for the zone.
    max_difference: most bytes that differences may take (twice the zone is a good bound), None: the zone's limit.
    """

    def __init__(
        self,
        zone: bytes,
        kind: TransferKind,
        query_id: int,
        our_serial: int | None,
        limits: TransferLimits,
        verifier: Verifier | None = None,
        make_builder: Callable[[bytes, TransferLimits], ZoneBuilder] = ZoneBuilder,
        *,
        max_difference: int | None = None,
    ) -> None:
        if kind is TransferKind.IXFR and our_serial is None:
            raise ValueError("an IXFR needs the serial that we hold")
        self.zone = zone
        self.kind = kind
        self.stats = TransferStats()
        self.state = State.FIRST_SOA
        self._question = zone + _QUESTION.pack(codes.AXFR if kind is TransferKind.AXFR else codes.IXFR, codes.IN)
        self._query_id = query_id
        self._our_serial = our_serial
        self._limits = limits
        self._verifier = verifier
        self._max_difference = limits.max_bytes if max_difference is None else max_difference
        self._builder = make_builder(zone, limits)
        self._first_soa = b""  # rdata, folded
        self._offered = 0  # its serial
        self._changesets: list[Changeset] = []
        self._result: Result | None = None

    @property
    def serial(self) -> int | None:
        """Serial of the first SOA: what the primary offers. None before it has come."""
        return self._offered if self._first_soa else None

    def feed(self, message: bytes, now: int) -> bool:
        """Take the next message of the reply (without TCP length); True when the transfer is complete.

        `now` is the wall clock in seconds, for TSIG. Raises `TransferError` for everything that is wrong; the transfer
        is then over.
        """
        if self.state is State.FAILED:
            raise RuntimeError("this transfer has failed before")
        try:
            return self._feed(message, now)
        except TransferError:
            self.state = State.FAILED
            raise
        except WireError as error:
            self.state = State.FAILED
            raise TransferError(Reason.MALFORMED, f"message {self.stats.messages}: {error}") from error
        except ZoneError as error:
            self.state = State.FAILED
            raise TransferError(error.reason, error.detail) from error

    def result(self) -> Result:
        """What came. Raises `RuntimeError` before `feed` has returned True."""
        if self._result is None:
            raise RuntimeError("the transfer is not complete")
        return self._result

    # --- messages -----------------------------------------------------------------------------------------------------

    def _feed(self, message: bytes, now: int) -> bool:
        self.stats.messages += 1
        self.stats.bytes += len(message)
        if self.state is State.DONE:
            raise TransferError(Reason.SOA_IN_MIDDLE, "another message follows the one with the closing SOA")
        if len(message) < 12:
            raise TransferError(Reason.SHORT_MESSAGE, f"a message of {len(message)} bytes has no whole header")
        # Before the signature: an answer to something else says nothing about our key.
        if message[0] << 8 | message[1] != self._query_id:
            raise TransferError(Reason.MALFORMED, f"message {self.stats.messages} has another id than our request")
        if self._verifier is not None:
            message = self._verifier.check(message, now)
        offset, count = self._read_header(message)
        self.stats.records += count
        self._check_size()
        if count == 0 and self.state is State.FIRST_SOA:
            raise _without_records(_read_opt(message, offset))
        answers = Section(message, offset, count)
        if offset > 12 and message.startswith(self.zone, 12):
            answers.known[12] = self.zone  # of the question: what the pointers of most owners lead to
        done = self._interpret(answers, alone=count == 1)
        if self.stats.messages == 1 and (opt := _read_opt(message, answers.offset)) is not None:
            expire = opt.option(codes.OPT_EXPIRE)
            self.stats.expire_option = int.from_bytes(expire, "big") if expire and len(expire) == 4 else None
        if done:
            self._finish()
        return done

    def _read_header(self, message: bytes) -> tuple[int, int]:
        """Check header and question: (offset of the answer section, records in it)."""
        _, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
        if not flags & codes.QR:
            raise TransferError(Reason.MALFORMED, "the primary sent a query (QR=0) where a response belongs")
        if (flags >> 11) & 15 != codes.QUERY:
            raise TransferError(Reason.MALFORMED, f"the response has opcode {(flags >> 11) & 15}")
        rcode = flags & 15
        if rcode != codes.NOERROR:
            raise rcode_failure(rcode)
        if flags & codes.TC:
            self.stats.warn("the primary set TC on a transfer over TCP")
        if not flags & codes.AA:
            self.stats.warn("the primary did not set AA")
        offset = 12
        if questions > 1:
            raise TransferError(Reason.MALFORMED, f"the response has {questions} questions")
        if questions:
            offset = self._check_question(message)
        return offset, answers

    def _check_question(self, message: bytes) -> int:
        if message.startswith(self._question, 12):  # as it was sent
            return 12 + len(self._question)
        name, offset = read_name(message, 12)
        if offset + 4 > len(message):
            raise WireError("the question runs past the end of the message")
        rdtype, rdclass = _QUESTION.unpack_from(message, offset)
        if name.lower() + _QUESTION.pack(rdtype, rdclass) != self._question:
            asked = f"{to_text(name)} {type_text(rdtype)} class {rdclass}"
            raise TransferError(Reason.MALFORMED, f"the response is to another question: {asked}")
        return offset + 4

    def _check_size(self) -> None:
        if self.state in (State.DELETING, State.ADDING):
            # Changes are held as they come, as objects, so they may not outgrow the zone; a full transfer is cheaper.
            if self.stats.bytes > self._max_difference or self.stats.records > self._limits.max_records:
                raise TransferError(Reason.IXFR_TOO_BIG, f"the differences take more than {self._max_difference} bytes")
        elif self.stats.bytes > self._limits.max_bytes:
            limit = self._limits.max_bytes
            raise TransferError(Reason.LIMIT_BYTES, f"more bytes than the limit of {limit} for one transfer")

    # --- records ------------------------------------------------------------------------------------------------------

    def _interpret(self, records: Section, alone: bool) -> bool:
        """Drive the states over one message's records: whether all is there. `alone`: it holds one record only."""
        while True:
            record = self._builder.extend(records) if self.state is State.FULL else next(records, None)
            if record is None:
                return self.state is State.DONE
            if record[2] != codes.IN:
                raise wrong_class(record)
            if record[1] == codes.SOA and record[0].lower() != self.zone:
                raise self._foreign_soa(record)
            self._take(record, alone)

    def _take(self, record: Walked, alone: bool) -> None:
        is_soa = record[1] == codes.SOA
        if self.state is State.FIRST_SOA:
            self._take_first(record, alone)
        elif self.state is State.SECOND:
            self._take_second(record)
        elif self.state is State.FULL:
            self._close_full(record)
        elif self.state is State.DONE:
            raise TransferError(Reason.SOA_IN_MIDDLE, f"records follow the closing SOA, first {to_text(record[0])}")
        elif not is_soa:
            step = self._changesets[-1]
            (step.deleted if self.state is State.DELETING else step.added).append(to_record(record))
        elif self.state is State.DELETING:
            self._begin_adding(record)
        else:
            self._end_step(record)

    def _take_first(self, record: Walked, alone: bool) -> None:
        if record[1] != codes.SOA:
            what = f"{to_text(record[0])} {type_text(record[1])}"
            raise TransferError(Reason.NO_SOA, f"the first record is {what}, not the zone's SOA")
        self._first_soa = fold_rdata(codes.SOA, record[3][10:])
        self._offered = serial = _serial(record)
        self._builder.add_walked(record)
        held = self._our_serial
        if held is None or self.kind is TransferKind.AXFR:
            self._begin_full(Got.AXFR)
            return
        order = compare(serial, held)
        if order is Order.EQUAL and alone:
            self.stats.got = Got.UP_TO_DATE
            self.state = State.DONE
        elif order is Order.OLDER:
            raise TransferError(Reason.SERIAL_BACKWARDS, f"the primary has serial {serial}, older than our {held}")
        elif order is Order.UNDEFINED:
            what = f"the primary's serial {serial} and our {held} are exactly half the circle apart"
            raise TransferError(Reason.SERIAL_UNDEFINED, f"{what} (RFC 1982 §3.2)")
        else:
            self.state = State.SECOND

    def _take_second(self, record: Walked) -> None:
        if record[1] != codes.SOA:
            self._begin_full(Got.AXFR_STYLE)
            self._builder.add_walked(record)
        elif self._is_first(record):
            self._begin_full(Got.AXFR_STYLE)
            self._close_full(record)
        elif _serial(record) == self._our_serial:
            self.stats.got = Got.IXFR
            self._begin_step(record)
        else:
            what = f"the differences start at serial {_serial(record)}"
            raise TransferError(Reason.IXFR_HISTORY_GAP, f"{what}, we hold {self._our_serial}")

    def _begin_full(self, got: Got) -> None:
        self.stats.got = got
        self.state = State.FULL

    def _close_full(self, record: Walked) -> None:
        """An SOA within a full zone: it must be the first one again (RFC 5936 §2.2), and then it is the last record."""
        if not self._is_first(record):
            same = _serial(record) == self._offered
            how = "the same serial but other contents" if same else f"serial {_serial(record)}, not {self._offered}"
            raise TransferError(Reason.SOA_IN_MIDDLE, f"a second SOA in the zone has {how}")
        self.state = State.DONE

    def _begin_step(self, record: Walked) -> None:
        self._changesets.append(Changeset(_serial(record), -1, [to_record(record)], []))
        self.state = State.DELETING

    def _begin_adding(self, record: Walked) -> None:
        step = self._changesets[-1]
        added: list[Record] = [to_record(record)]
        self._changesets[-1] = Changeset(step.old_serial, _serial(record), step.deleted, added)
        self.state = State.ADDING

    def _end_step(self, record: Walked) -> None:
        """An SOA after added records: the chain ends at the first SOA's serial, else it goes on where it is."""
        reached, serial = self._changesets[-1].new_serial, _serial(record)
        if serial != reached:
            what = f"the differences reach serial {reached} and go on from {serial}"
            raise TransferError(Reason.IXFR_HISTORY_GAP, f"{what}; the primary's version is {self._offered}")
        if serial != self._offered:
            self._begin_step(record)
        elif self._is_first(record):
            self.state = State.DONE
        else:
            raise TransferError(Reason.SOA_IN_MIDDLE, f"the closing SOA has serial {serial} but other contents")

    def _is_first(self, record: Walked) -> bool:
        """Whether an SOA is the transfer's first one again (names compared without regard to case, TTL not at all)."""
        return fold_rdata(codes.SOA, record[3][10:]) == self._first_soa

    def _foreign_soa(self, record: Walked) -> TransferError:
        reason = Reason.NO_SOA if self.state is State.FIRST_SOA else Reason.SOA_IN_MIDDLE
        return TransferError(reason, f"an SOA record belongs to {to_text(record[0])}, not to {to_text(self.zone)}")

    def _finish(self) -> None:
        """All records are there: ask for the last signature, check the whole, keep the result."""
        if self._verifier is not None:
            self._verifier.finish()
        if self.stats.got is Got.UP_TO_DATE:
            self._result = UpToDate(self._offered)
        elif self.stats.got is Got.IXFR:
            self._result = IncrementalTransfer(self._changesets, self._offered)
        else:
            built = self._builder.finish()
            self.stats.warnings.extend(built.warnings)
            self._result = FullTransfer(built)
