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
from nameserver.wire.render import HEADER, HEADER_SIZE, render
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request
from nameserver.wire.rrset import split_tails
from nameserver.zone.contents import Zone
from nameserver.zone.denial import HashBudget
from nameserver.zone.dnssec import add_dnssec
from nameserver.zone.lookup import lookup
from nameserver.zone.node import HAS_CASE, find_tails

LONGEST = 4096  # octets of a referral that is kept
LENGTHS_KEPT = 64  # of questions, for each
_UNLIMITED = 65535
_COUNTS = Struct("!HH")
_POINTER = 0xC000
_FEW = 7  # servers: too few for a chain of pointers as long as `nameserver.wire.render` allows


class Referral:
    """The records of a referral; `by_size` has them as they stand behind a question section of so many octets.

    `counts` are those of its authority and additional sections, as a header has them; `taken` labels next below the cut
    that a question must not have.
    """

    __slots__ = ("_pointers", "_records", "_records_count", "_size", "by_size", "counts", "counts_with_opt", "taken")

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
        self.by_size = {question_size: records}

    @property
    def octets(self) -> int:
        """How much it holds."""
        return sum(map(len, self.by_size.values()))

    def move(self, question_size: int) -> bytes:
        """The records, behind a question section of another size, which are held then."""
        if len(self.by_size) >= LENGTHS_KEPT:
            self.by_size.clear()
        moved = self.by_size[question_size] = self._moved(question_size - self._size)
        return moved

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
    question_size = len(qname) + 4
    ordinary = None if dnssec else _ordinary(zone, cut, qname)
    if ordinary is not None:
        records, authorities, additionals, taken = ordinary
        if below in taken or len(records) > LONGEST:
            return None
        return Referral(question_size, records, authorities, additionals, taken)
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
    if len(wire) > HEADER_SIZE + question_size + LONGEST:
        return None
    _, _, _, _, authorities, additionals = HEADER.unpack_from(wire)
    return Referral(question_size, wire[HEADER_SIZE + question_size :], authorities, additionals, taken)


def _ordinary(zone: Zone, cut: bytes, qname: bytes) -> tuple[bytes, int, int, frozenset[bytes]] | None:
    """(records, how many of the authority and additional sections, labels taken) of the delegations that most are.

    Those to few servers, each below the cut or outside the zone, all spelled in lower case, which need no DNSSEC. It is
    what `lookup` and `render` would make of them in three times the time, and tests hold it to that.
    """
    nodes, apex = zone.nodes, zone.apex
    name = cut + apex
    found = find_tails(nodes[cut], codes.NS)
    if found is None or found[0] > _FEW or nodes[cut][0] & HAS_CASE:
        return None
    known: dict[bytes, bytes] = {}
    if qname == qname.lower():
        _know(known, name, HEADER_SIZE + len(qname) - len(name))
    here = HEADER_SIZE + len(qname) + 4
    parts: list[bytes] = []
    glue: list[bytes] = []
    taken: list[bytes] = []
    additionals = 0
    for tail in split_tails(found[1]):
        server = tail[10:]
        owner = _compressed(name, known, here)
        target = _compressed(server, known, here + len(owner) + 10)
        parts += owner, tail[:8], len(target).to_bytes(2, "big"), target
        here += len(owner) + 10 + len(target)
        if server != server.lower():
            return None
        key = server[: -len(apex)]
        if not server.endswith(apex) or relative_key(server, apex) is None:
            continue  # elsewhere: it has no glue
        if relative_key(key, cut) in (None, b""):
            return None
        taken.append(last_label(key[: -len(cut)]))
        node = nodes.get(key)
        if node is None:
            continue
        if node[0] & HAS_CASE:
            return None
        for rdtype in (codes.A, codes.AAAA):
            addresses = find_tails(node, rdtype)
            if addresses is not None:
                pointer = known[server]
                additionals += addresses[0]
                glue += pointer, addresses[1] if addresses[0] == 1 else pointer.join(split_tails(addresses[1]))
    return b"".join((*parts, *glue)), found[0], additionals, frozenset(taken)


def _compressed(name: bytes, known: dict[bytes, bytes], here: int) -> bytes:
    """A name to be written at an offset, with a pointer to what of it is known; what is new is known then."""
    offset = 0
    while length := name[offset]:
        suffix = name[offset:]
        pointer = known.get(suffix)
        if pointer is not None:
            return name[:offset] + pointer
        known[suffix] = (_POINTER | here + offset).to_bytes(2, "big")
        offset += length + 1
    return name


def _know(known: dict[bytes, bytes], name: bytes, here: int) -> None:
    """A name stands at an offset."""
    _compressed(name, known, here)


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
