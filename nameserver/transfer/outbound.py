"""Packing a zone into the messages of an AXFR reply (RFC 5936 §2.2).

    ┌ message 1 ──────────────────────────┐ ┌ message 2 ──────────────────┐     ┌ last ───────────────────┐
    │ header · question · SOA · owner · … │ │ header · question · owner … │ … … │ header · question … SOA │
    └──────────────────▲──────────────────┘ └─────────────────────────────┘     └─────────────────────────┘
                       └ an owner that ends in the apex ends in a pointer to this, always at the same place

The question is repeated in every message (§2.2.1 allows it), so that an owner of one record, as most are, is its key, a
constant and a slice of its node, wherever it comes to stand: a million of them take half a second. Owners of several
records are pointed at by the second and later ones. Looking for longer shared suffixes would save a few bytes in some
zones and make others, full of deep names, slow. Rdata is sent as it is kept, uncompressed.
"""

from collections.abc import Callable, Iterable, Iterator
from struct import Struct

from nameserver.errors import Reason, TransferError
from nameserver.wire import codes
from nameserver.wire.names import to_text
from nameserver.wire.rdata import type_text
from nameserver.wire.rrset import RRset
from nameserver.zone.node import only_tail, tails_of

TARGET = 32 * 1024  # bytes of a message that is full: some half a millisecond's work, between the queries
LARGEST = 65535
_ORDINARY = 256  # octets of a node that every new message has room for
_HEADER = Struct("!HHHHHH")
_AT_QUESTION = b"\xc0\x0c"
_POINTER_LIMIT = 0x4000
_SOA = codes.SOA.to_bytes(2, "big")


class MessageWriter:
    """The message being filled, record by record where the short way of `axfr_messages` does not do."""

    __slots__ = ("_flags", "_largest", "_opt", "_query_id", "_reserve", "_target", "count", "parts", "question", "size")

    def __init__(self, query_id: int, question: bytes, flags: int, reserve: int, opt: bytes) -> None:
        self._query_id = query_id
        self._flags = flags
        self.question = question
        self._reserve = reserve
        self._begin(opt)

    def _begin(self, opt: bytes = b"") -> None:
        self._opt = opt
        self._largest = LARGEST - self._reserve - len(opt)
        self._target = min(TARGET - len(opt), self._largest)
        self.parts: list[bytes] = []
        self.count = 0
        self.size = 12 + len(self.question)

    def name_under(self, apex: bytes) -> Callable[[bytes], bytes]:
        """What writes an owner: with a pointer to the question for its end, where that is the zone's name.

        A pointer leads to a name of the same case only (§3.4), and to the root there is nothing to gain from one.
        """
        shared = len(apex) if len(apex) > 1 and self.question.startswith(apex) else 0
        if not shared:
            return lambda owner: owner
        return lambda owner: owner[:-shared] + _AT_QUESTION if owner.endswith(apex) else owner

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more fit before the message is full."""
        return self.size + size <= self._target

    def add(self, name: bytes, tails: Iterable[bytes]) -> Iterator[bytes]:
        """Add records of one owner, whose name is written as `name`; yields messages that are full.

        Raises `TransferError` (limit-bytes).
        """
        pointer = b""
        for tail in tails:
            if self.count and not self.has_room(len(pointer or name) + len(tail)):
                yield self.finish()
            written = pointer if self.count and pointer else name
            size = len(written) + len(tail)
            if self.size + size > self._largest:
                yield self._alone(name, tail)
                continue
            if written is name and len(name) > 2:
                pointer = self.pointer_here()
            self.parts.append(written)
            self.parts.append(tail)
            self.size += size
            self.count += 1

    def pointer_here(self) -> bytes:
        """A pointer to what is written next; empty where none can reach it."""
        return (0xC000 | self.size).to_bytes(2, "big") if self.size < _POINTER_LIMIT else b""

    def _alone(self, name: bytes, tail: bytes) -> bytes:
        """A message for a record that has no room beside a question."""
        owner = name[:-2] + self.question[:-4] if name.endswith(_AT_QUESTION) else name
        if 12 + len(owner) + len(tail) > self._largest:
            what = f"{to_text(owner)} {type_text(tail[0] << 8 | tail[1])} takes {len(owner) + len(tail)} bytes"
            raise TransferError(Reason.LIMIT_BYTES, f"{what}, too many for one message")
        return _HEADER.pack(self._query_id, self._flags, 0, 1, 0, 0) + owner + tail

    def finish(self) -> bytes:
        """The message as it is; the next begins."""
        questions, additionals = 1 if self.question else 0, 1 if self._opt else 0
        header = _HEADER.pack(self._query_id, self._flags, questions, self.count, 0, additionals)
        message = b"".join((header, self.question, *self.parts, self._opt))
        self._begin()
        return message


def axfr_messages(
    soa: RRset,
    items: Iterable[tuple[bytes, bytes]],
    query_id: int,
    question: bytes,
    *,
    flags: int = codes.QR | codes.AA,
    reserve: int = 0,
    opt: bytes = b"",
) -> Iterator[bytes]:
    """Yield the messages of a whole zone, without TCP lengths.

    soa: the apex's SOA, its owner in the zone's case. items: (owner as received, node) of every owner, the apex
    included (its SOA is not repeated). question: the request's question section, echoed in each message. flags: of each
    header; RD is for the caller to copy. reserve: bytes to leave free in each message for a TSIG record.
    opt: an OPT record for the first message, where the request had one (RFC 5936 §2.2.5).
    Raises `TransferError` (limit-bytes) when a record does not fit into a message of its own.
    """
    apex = soa.owner
    writer = MessageWriter(query_id, question, flags, reserve, opt)
    # A pointer leads to a name of the same case only (§3.4), and to the root there is nothing to gain from one.
    shared = len(apex) if len(apex) > 1 and question.startswith(apex) else 0
    apex_name = _AT_QUESTION if shared else apex
    yield from writer.add(apex_name, [soa.tails])
    for owner, node in items:
        name = owner[:-shared] + _AT_QUESTION if shared and owner.endswith(apex) else owner
        # One record of an ordinary size, in a message that is begun for it if need be.
        tail = only_tail(node) if len(node) <= _ORDINARY else None
        if tail is not None and owner != apex:
            if not writer.has_room(len(name) + len(tail)):
                yield writer.finish()
            wire = name + tail
            writer.count += 1
        else:
            tails = tails_of(node)
            if owner == apex:
                tails = [tail for tail in tails if tail[:2] != _SOA]
            pointer = writer.pointer_here()
            if not tails or not pointer or not writer.has_room(len(name) + len(node)):
                yield from writer.add(name, tails)
                continue
            wire = name + pointer.join(tails)
            writer.count += len(tails)
        writer.parts.append(wire)
        writer.size += len(wire)
    yield from writer.add(apex_name, [soa.tails])
    yield writer.finish()
