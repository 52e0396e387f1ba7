"""Replies → bytes.

One output buffer, and one table of the names written so far, `name → pointer to it`. A name is looked up suffix by
suffix, longest first; what is new of it is written and entered. So compression costs at most 127 look-ups a name,
whatever was written before it.

Names match *byte for byte*: owners leave in the case the zone has, and a pointer never changes the case of a name. Only
a reply that has no room so is tried once more with names that match whatever the case of their letters: that may change
letters, which clients do not look at (RFC 4343 §4.1), but spares them a question over TCP.
Into the question's name points what matches it; but where that is not all in lower case, only an owner made from it
does. So what follows the question in a reply fits every spelling of a question that is not all in lower case.
Names in rdata are compressed for the types of RFC 1035 only (RFC 3597 §4). A DNAME's target is written in full, but the
CNAME made from it may end in a pointer to it.

What fits is decided by whole RRsets (RFC 2181 §9): an RRset that crosses the limit is taken back, table entries
included. In the answer and authority sections that sets TC and ends the message; in the additional section it is left
out, unless it is glue without which the referral is useless, which stands first (`Reply.glue_required`, RFC 9471 §3.1).
Name servers that go with an answer are left out too where they have no room: they are extra information.
Room for our OPT is set aside before anything else.
"""

from collections.abc import Iterable
from struct import Struct

from nameserver.wire import codes
from nameserver.wire.edns import DO, Edns, pack_opt
from nameserver.wire.rdata import COMPRESSIBLE
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request
from nameserver.wire.rrset import RRset

HEADER = Struct("!HHHHHH")  # id, flags, and the four counts
HEADER_SIZE = 12
# What a reply repeats of the request's flags (RFC 1035 §4.1.1). Not CD: that one is for those who validate, and an
# authoritative server ought to clear it (RFC 4035 §3.1.6).
ECHOED = codes.RD
MAX_POINTER = 0x4000  # a pointer has 14 bits
# Pointers that a reader of a name has to follow one after another, the first one apart: names that each add a label to
# the one before would make longer and longer chains, and clients give up at 16 (BIND, dnspython).
MAX_CHAIN = 8
QNAME_POINTER = b"\xc0\x0c"


def render(request: Request, reply: Reply, limit: int, max_udp_size: int) -> bytes:
    """The reply as one message of at most `limit` octets, from which those of a TSIG to be added are taken already.

    Only header, question and OPT are written whatever the limit: the caller has to look at the size. `max_udp_size` is
    what our OPT announces. An extended RCODE needs EDNS in the request.
    """
    rcode = reply.rcode
    edns = request.edns
    opt = b"" if edns is None else pack_opt(max_udp_size, rcode >> 4, 0, edns.flags & DO, reply.options)
    limit -= len(opt)
    written = _write(_Writer(request, limit, {}), reply)
    if not written[-1]:
        tighter = _write(_Writer(request, limit, _AnyCase()), reply)
        if tighter[-1] or sum(tighter[1:4]) > sum(written[1:4]):
            written = tighter
    out, answers, authorities, additionals, whole = written
    flags = codes.QR | request.opcode << 11 | request.flags & ECHOED | rcode & 15
    if reply.authoritative:
        flags |= codes.AA
    if not whole or reply.truncated:
        flags |= codes.TC
    if opt:
        out += opt
        additionals += 1
    questions = 1 if request.question else 0
    HEADER.pack_into(out, 0, request.id, flags, questions, answers, authorities, additionals)
    return bytes(out)


def _write(writer: "_Writer", reply: Reply) -> tuple[bytearray, int, int, int, bool]:
    """(the message without OPT, the records of its three sections, whether nothing is missing that must not be)."""
    answers, whole = writer.write_section(reply.answer)
    authorities = additionals = 0
    if whole and reply.authority:
        authorities, whole = writer.write_section(reply.authority)
    additional = reply.additional
    if whole and reply.name_servers and (servers := writer.write_together(reply.name_servers)):
        authorities += servers
        additional = [*additional, *reply.server_addresses]
    if whole and additional:
        additionals, whole = _write_additional(writer, additional, reply.glue_required)
    return writer.out, answers, authorities, additionals, whole


def render_error(
    id: int,
    flags: int,
    opcode: int,
    question: bytes,
    rcode: int,
    edns: Edns | None,
    max_udp_size: int = 1232,
) -> bytes:
    """A reply of header, question and OPT alone, for requests that `parse_request` did not accept.

    `flags` are the request's, `question` its question section or b"". The OPT is there when `edns` is (RFC 6891 §7).
    """
    opt = b"" if edns is None else pack_opt(max_udp_size, rcode >> 4, 0, edns.flags & DO)
    flags = codes.QR | opcode << 11 | flags & ECHOED | rcode & 15
    return HEADER.pack(id, flags, 1 if question else 0, 0, 0, 1 if opt else 0) + question + opt


def _write_additional(writer: "_Writer", rrsets: list[RRset], required: int) -> tuple[int, bool]:
    """The records written, and whether nothing is missing that must not be."""
    records = 0
    for index, rrset in enumerate(rrsets):
        if writer.write_rrset(rrset):
            records += rrset.rdata_count
        elif index < required:
            return records, False
    return records, True


class _AnyCase(dict[bytes, bytes]):
    """A table of names that does not look at the case of their letters."""

    def get(self, name: bytes, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        return super().get(name.lower(), default)

    def __setitem__(self, name: bytes, pointer: bytes) -> None:
        super().__setitem__(name.lower(), pointer)


class _Writer:
    """The buffer and its table of names. `out` starts with an empty header and the question."""

    __slots__ = ("_depths", "_known", "_limit", "_qname", "_spelled", "out")

    def __init__(self, request: Request, limit: int, known: dict[bytes, bytes]) -> None:
        self.out = bytearray(HEADER_SIZE)
        self.out += request.question
        self._limit = limit
        self._known = known
        self._depths: dict[bytes, int] = {}  # how many pointers whoever follows this one comes to, where there are any
        # A root qname is one octet, shorter than a pointer to it.
        self._qname = request.qname if len(request.qname) > 1 else b""
        # Looked up whatever its case, a name leads to the same place in every spelling.
        exact = not isinstance(known, _AnyCase)
        self._spelled = request.qname if exact and request.qname != request.qname_folded else None
        if self._spelled is not None:
            self._qname = b""
        elif self._qname:
            self._known[self._qname] = QNAME_POINTER

    def write_section(self, rrsets: Iterable[RRset]) -> tuple[int, bool]:
        """The records written, and whether these are all."""
        records = 0
        for rrset in rrsets:
            if not self.write_rrset(rrset):
                return records, False
            records += rrset.rdata_count
        return records, True

    def write_together(self, rrsets: Iterable[RRset]) -> int:
        """The records written: those of all these RRsets, or none."""
        mark = len(self.out)
        records, whole = self.write_section(rrsets)
        if not whole:
            self._take_back(mark)
            return 0
        return records

    def write_rrset(self, rrset: RRset) -> bool:
        """Write all of its records, or nothing and return False."""
        owner, rdtype, count, tails = rrset
        out = self.out
        mark = len(out)
        layout = COMPRESSIBLE.get(rdtype)
        if layout is None:
            # An owner takes at least one octet: so what cannot fit is mostly refused before it is written.
            if mark + count + len(tails) > self._limit:
                return False
            self._write_owner(owner)
            if count == 1:
                out += tails
                if rdtype == codes.DNAME:
                    self._learn(tails[10:], len(out) - len(tails) + 10)
            else:
                self._write_tails(owner, tails)
        elif not self._write_compressed(owner, tails, layout):
            self._take_back(mark)
            return False
        if len(out) > self._limit:
            self._take_back(mark)
            return False
        return True

    def _write_tails(self, owner: bytes, tails: bytes) -> None:
        """Several records of a type without compressible names; the first owner is written already."""
        out = self.out
        pointer = QNAME_POINTER if owner is self._spelled else self._known.get(owner, owner)
        end = len(tails)
        size = 10 + (tails[8] << 8 | tails[9])
        out += tails[:size]
        offset = size
        while offset < end:
            size = 10 + (tails[offset + 8] << 8 | tails[offset + 9])
            out += pointer
            out += tails[offset : offset + size]
            offset += size

    def _write_compressed(self, owner: bytes, tails: bytes, layout: tuple[int, int]) -> bool:
        """Records whose rdata is `prefix` octets, then `names` names, then whatever follows. False: too large."""
        prefix, names = layout
        out, write_name, limit = self.out, self._write_name, self._limit
        offset, end = 0, len(tails)
        while offset < end:
            self._write_owner(owner)
            rdata = offset + 10
            after = rdata + (tails[offset + 8] << 8 | tails[offset + 9])
            start = len(out) + 10
            position = rdata + prefix
            out += tails[offset:position]
            for _ in range(names):
                name_start = position
                while length := tails[position]:
                    position += length + 1
                position += 1
                write_name(tails[name_start:position])
            out += tails[position:after]
            size = len(out) - start
            out[start - 2] = size >> 8
            out[start - 1] = size & 0xFF
            if len(out) > limit:
                return False
            offset = after
        return True

    def _write_owner(self, owner: bytes) -> None:
        # The same object, not an equal one: only an owner made from the question changes with its spelling.
        if owner is self._spelled:
            self.out += QNAME_POINTER
        else:
            self._write_name(owner)

    def _write_name(self, name: bytes) -> None:
        known, out = self._known, self.out
        pointer = known.get(name)
        if pointer is not None:
            out += pointer
            return
        if self._qname:
            self._learn_question()
        here = len(out)
        offset = 0
        while length := name[offset]:
            suffix = name[offset:]
            pointer = known.get(suffix)
            if pointer is not None and (depth := self._depths.get(pointer, 0)) < MAX_CHAIN:
                out += name[:offset]
                out += pointer
                position = 0
                while position < offset and here + position < MAX_POINTER:
                    self._depths[(0xC000 | here + position).to_bytes(2, "big")] = depth + 1
                    position += name[position] + 1
                return
            if here + offset < MAX_POINTER:
                known[suffix] = (0xC000 | here + offset).to_bytes(2, "big")
            offset += length + 1
        out += name

    def _learn_question(self) -> None:
        """Enter the parents of the question's name: left until a name is not the question's own, which most are."""
        qname, self._qname = self._qname, b""
        self._learn(qname, HEADER_SIZE)

    def _learn(self, name: bytes, position: int) -> None:
        """Enter a name that stands in full at this position, with its parents, as far as they are new."""
        offset = 0
        while (length := name[offset]) and position + offset < MAX_POINTER:
            suffix = name[offset:]
            if self._known.get(suffix) is None:
                self._known[suffix] = (0xC000 | position + offset).to_bytes(2, "big")
            offset += length + 1

    def _take_back(self, mark: int) -> None:
        """Forget everything written since the buffer had `mark` octets."""
        del self.out[mark:]
        # Pointers are two octets, most significant first, so they compare as their targets do.
        first_gone = (0xC000 | mark).to_bytes(2, "big") if mark < MAX_POINTER else b"\xff\xff\xff"
        for name in [name for name, pointer in self._known.items() if pointer >= first_gone]:
            del self._known[name]
