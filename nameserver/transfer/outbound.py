"""Packing a zone into the messages of an AXFR reply (RFC 5936 §2.2).

    ┌ message 1 ────────────────────────────┐ ┌ message 2 ─────────────────┐     ┌ last ──────────┐
    │ header · question · SOA · records …   │ │ header · records …         │ … … │ … records · SOA │
    └───────────────────────────────────────┘ └────────────────────────────┘     └────────────────┘

Owners are compressed in two ways that cost the same for every name: the same owner as before is a pointer, and an
owner that ends in the apex, byte for byte, ends in a pointer to it. Looking for longer shared suffixes would save a
few bytes in some zones and make others, full of deep names, slow. Rdata is sent as it is kept, uncompressed.
"""

from collections.abc import Iterable, Iterator
from struct import Struct

from nameserver.errors import Reason, TransferError
from nameserver.wire import codes
from nameserver.wire.names import to_text
from nameserver.wire.rdata import type_text
from nameserver.wire.rrset import RRset, split_tails
from nameserver.zone.node import unpack_node

TARGET = 16384  # bytes; further back than this no pointer can reach
LARGEST = 65535
_HEADER = Struct("!HHHHHH")
_POINTER_LIMIT = 0x4000


class _Packer:
    """The message being filled."""

    __slots__ = (
        "_apex", "_apex_pointer", "_count", "_flags", "_largest", "_limit", "_opt", "_owner", "_owner_pointer",
        "_parts", "_query_id", "_question", "_size", "_target",
    )  # fmt: skip

    def __init__(self, apex: bytes, query_id: int, question: bytes, flags: int, reserve: int, opt: bytes) -> None:
        self._apex = apex
        self._query_id = query_id
        self._flags = flags
        self._largest = LARGEST - reserve
        self._target = min(TARGET, self._largest)
        self._begin(question, opt)

    def _begin(self, question: bytes, opt: bytes) -> None:
        self._question = question
        self._opt = opt
        self._limit = self._target - len(opt)
        self._parts: list[bytes] = []
        self._count = 0
        self._size = 12 + len(question)
        self._owner = self._owner_pointer = b""
        apex = self._apex
        self._apex_pointer = b"\xc0\x0c" if len(apex) > 1 and question.startswith(apex) else b""

    def add(self, owner: bytes, tail: bytes) -> bytes | None:
        """Add a record; returns the message before it when that is full. Raises `TransferError` (limit-bytes)."""
        name = self._name(owner)
        if self._size + len(name) + len(tail) <= self._limit:
            self._append(owner, name, tail)
            return None
        done = self.finish() if self._count else None
        name = self._name(owner)
        if self._size + len(name) + len(tail) + len(self._opt) > self._largest:
            what = f"{to_text(owner)} {type_text(tail[0] << 8 | tail[1])} takes {len(name) + len(tail)} bytes"
            raise TransferError(Reason.LIMIT_BYTES, f"{what}, too many for one message")
        self._append(owner, name, tail)
        return done

    def _name(self, owner: bytes) -> bytes:
        if owner == self._owner and self._owner_pointer:
            return self._owner_pointer
        if self._apex_pointer and owner.endswith(self._apex):
            return owner[: len(owner) - len(self._apex)] + self._apex_pointer
        return owner

    def _append(self, owner: bytes, name: bytes, tail: bytes) -> None:
        offset = self._size
        if len(name) > 2 and offset < _POINTER_LIMIT:
            self._owner_pointer = (0xC000 | offset).to_bytes(2, "big")
            apex_at = offset + len(owner) - len(self._apex)
            if name is owner and len(self._apex) > 1 and apex_at < _POINTER_LIMIT and owner.endswith(self._apex):
                self._apex_pointer = (0xC000 | apex_at).to_bytes(2, "big")
        elif name is not self._owner_pointer:
            self._owner_pointer = name if len(name) == 2 else b""
        self._owner = owner
        self._parts.append(name)
        self._parts.append(tail)
        self._size = offset + len(name) + len(tail)
        self._count += 1

    def finish(self) -> bytes:
        """The message as it is; the next begins."""
        questions, additionals = 1 if self._question else 0, 1 if self._opt else 0
        header = _HEADER.pack(self._query_id, self._flags, questions, self._count, 0, additionals)
        message = header + self._question + b"".join(self._parts) + self._opt
        self._begin(b"", b"")
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
    included (its SOA is not repeated). question: the request's question section, echoed in the first message. flags:
    of each header; RD is for the caller to copy. reserve: bytes to leave free in each message for a TSIG record.
    opt: an OPT record for the first message, where the request had one (RFC 5936 §2.2.5).
    Raises `TransferError` (limit-bytes) when a record does not fit into a message of its own.
    """
    packer = _Packer(soa.owner, query_id, question, flags, reserve, opt)
    add = packer.add
    for owner, tail in _sequence(soa, items):
        done = add(owner, tail)
        if done is not None:
            yield done
    yield packer.finish()


def _sequence(soa: RRset, items: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Every record of the reply as (owner, tail): the SOA, the zone, the SOA."""
    yield soa.owner, soa.tails
    for owner, node in items:
        for rrset in unpack_node(node, owner):
            if rrset.type == codes.SOA:
                continue
            if rrset.rdata_count == 1:
                yield owner, rrset.tails
            else:
                for tail in split_tails(rrset.tails):
                    yield owner, tail
    yield soa.owner, soa.tails
