"""A delegation's referral, rendered once and moved to where a question has it.

    question   labels below │ cut  apex  type class         authority and additional, of the reply
                            ▲                                NS …, DS or its denial, glue
                            └─────────────────────────────── pointers: to the cut's own labels, to names in the records

A referral says the same whatever is asked below the cut, but for its pointers: what they point to stands further to
the back in a longer question, all of it by the same number of octets. So they are looked for once, and raised by that
number for a question of another length. Two things are left to the pipeline: a question with a label next below the
cut that name servers have there too, which could point to it; and messages without room for all of the referral.
"""

from collections.abc import Iterator
from struct import Struct

from nameserver.wire import codes
from nameserver.wire.names import last_label, relative_key
from nameserver.wire.rdata import COMPRESSIBLE
from nameserver.wire.render import HEADER, HEADER_SIZE, MAX_POINTER, render
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request
from nameserver.zone.contents import Zone
from nameserver.zone.denial import HashBudget
from nameserver.zone.dnssec import add_dnssec
from nameserver.zone.lookup import lookup

LONGEST = 4096  # octets of a referral that is kept
_LONGEST_QUESTION = 259
_UNLIMITED = 65535
_COUNTS = Struct("!HH")
_LENGTHS_KEPT = 64


class Referral:
    """The records of a referral.

    `counts` are those of its authority and additional sections, as a header has them; `taken` labels next below the cut
    that a question must not have.
    """

    __slots__ = ("_by_size", "_pointers", "_records", "_records_count", "_size", "counts", "counts_with_opt", "taken")

    def __init__(
        self, question_size: int, records: bytes, authorities: int, additionals: int, taken: frozenset[bytes]
    ) -> None:
        self.counts, self.counts_with_opt = (
            _COUNTS.pack(authorities, additionals),
            _COUNTS.pack(authorities, additionals + 1),
        )
        self.taken, self._records_count = taken, authorities + additionals
        self._size, self._records = question_size, records
        self._pointers: list[int] | None = None
        self._by_size = {question_size: records}

    @property
    def octets(self) -> int:
        """How long it is."""
        return len(self._records)

    def records(self, question_size: int) -> bytes:
        """The records, behind a question section of that many octets."""
        found = self._by_size.get(question_size)
        if found is None:
            if len(self._by_size) >= _LENGTHS_KEPT:
                self._by_size.clear()
            found = self._by_size[question_size] = self._moved(question_size - self._size)
        return found

    def _moved(self, by: int) -> bytes:
        if self._pointers is None:
            self._pointers = list(_pointers(self._records, self._records_count))
        moved = bytearray(self._records)
        for place in self._pointers:
            pointer = (moved[place] << 8 | moved[place + 1]) + by
            moved[place], moved[place + 1] = pointer >> 8, pointer & 0xFF
        return bytes(moved)


def refer(zone: Zone, cut: bytes, below: bytes, qname: bytes, *, dnssec: bool, budget: HashBudget) -> Referral | None:
    """The referral at a cut (its key) for a question with this name, in its spelling; None for a huge one.

    `below` is the name's label next below the cut, folded. None where the answer might point to it.
    """
    answer = lookup(zone, cut, codes.A, cut + zone.apex)
    name = cut + zone.apex
    keys = (relative_key(server.lower(), name) for server in answer.authority[0].rdatas())
    taken = frozenset(last_label(key) for key in keys if key)
    if below in taken:
        return None
    if dnssec:
        answer = add_dnssec(zone, cut, answer, budget)
    question = qname + b"\0\1\0\1"
    request = Request(0, 0, codes.QUERY, qname, qname.lower(), codes.A, codes.IN, question)
    authority, additional = list(answer.authority), list(answer.additional)
    reply = Reply(authority=authority, additional=additional, glue_required=answer.glue_required)
    wire = render(request, reply, _UNLIMITED, 0)
    if len(wire) > min(HEADER_SIZE + len(question) + LONGEST, MAX_POINTER - _LONGEST_QUESTION):
        return None
    _, _, _, _, authorities, additionals = HEADER.unpack_from(wire)
    return Referral(len(question), wire[HEADER_SIZE + len(question) :], authorities, additionals, taken)


def _pointers(records: bytes, count: int) -> Iterator[int]:
    """Where pointers stand in rendered records."""
    offset = 0
    for _ in range(count):
        offset, pointer = _skip_name(records, offset)
        if pointer is not None:
            yield pointer
        layout = COMPRESSIBLE.get(records[offset] << 8 | records[offset + 1])
        rdata = offset + 10
        offset = rdata + (records[offset + 8] << 8 | records[offset + 9])
        if layout is not None:
            prefix, names = layout
            at = rdata + prefix
            for _ in range(names):
                at, pointer = _skip_name(records, at)
                if pointer is not None:
                    yield pointer


def _skip_name(records: bytes, offset: int) -> tuple[int, int | None]:
    """What follows a name, and where the pointer is that it ends in."""
    while length := records[offset]:
        if length >= 0xC0:
            return offset + 2, offset
        offset += length + 1
    return offset + 1, None
