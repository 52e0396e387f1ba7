"""Replies → bytes.

One output buffer, and one table of the names written so far, `name → pointer to it`. A name is looked up suffix by
suffix, longest first; what is new of it is written and entered. So compression costs at most 127 look-ups a name,
whatever was written before it.

Names match *byte for byte*: owners leave in the case the zone has, and a pointer never changes the case of a name.
Names in rdata are compressed for the types of RFC 1035 only (RFC 3597 §4).

What fits is decided by whole RRsets (RFC 2181 §9): an RRset that crosses the limit is taken back, table entries
included. In the answer and authority sections that sets TC and ends the message; in the additional section it is left
out, unless it is glue without which the referral is useless, which stands first (`Reply.glue_required`, RFC 9471 §3.1).
Room for our OPT is set aside before anything else.
"""

from struct import Struct

from nameserver.wire import codes
from nameserver.wire.edns import DO, Edns, pack_opt
from nameserver.wire.rdata import COMPRESSIBLE
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request
from nameserver.wire.rrset import RRset

HEADER = Struct("!HHHHHH")  # id, flags, and the four counts
HEADER_SIZE = 12
ECHOED = codes.RD | codes.CD  # what a reply repeats of the request's flags (RFC 1035 §4.1.1, RFC 4035 §3.2.2)
MAX_POINTER = 0x4000  # a pointer has 14 bits
QNAME_POINTER = b"\xc0\x0c"


def render(request: Request, reply: Reply, limit: int, max_udp_size: int) -> bytes:
    """The reply as one message of at most `limit` octets, from which those of a TSIG to be added are taken already.

    Only header, question and OPT are written whatever the limit: the caller has to look at the size. `max_udp_size` is
    what our OPT announces. An extended RCODE needs EDNS in the request.
    """
    rcode = reply.rcode
    edns = request.edns
    opt = b"" if edns is None else pack_opt(max_udp_size, rcode >> 4, 0, edns.flags & DO, reply.options)
    writer = _Writer(request, limit - len(opt))
    flags = codes.QR | request.opcode << 11 | request.flags & ECHOED | rcode & 15
    if reply.authoritative:
        flags |= codes.AA
    answers, whole = writer.write_section(reply.answer)
    authorities = additionals = 0
    if whole and reply.authority:
        authorities, whole = writer.write_section(reply.authority)
    if whole and reply.additional:
        additionals, whole = _write_additional(writer, reply)
    if not whole:
        flags |= codes.TC
    out = writer.out
    if opt:
        out += opt
        additionals += 1
    questions = 1 if request.question else 0
    HEADER.pack_into(out, 0, request.id, flags, questions, answers, authorities, additionals)
    return bytes(out)


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


def _write_additional(writer: "_Writer", reply: Reply) -> tuple[int, bool]:
    """The records written, and whether nothing is missing that must not be."""
    records = 0
    for index, rrset in enumerate(reply.additional):
        if writer.write_rrset(rrset):
            records += rrset.rdata_count
        elif index < reply.glue_required:
            return records, False
    return records, True


class _Writer:
    """The buffer and its table of names. `out` starts with an empty header and the question."""

    __slots__ = ("_known", "_limit", "_qname", "out")

    def __init__(self, request: Request, limit: int) -> None:
        self.out = bytearray(HEADER_SIZE)
        self.out += request.question
        self._limit = limit
        self._known: dict[bytes, bytes] = {}
        # A root qname is one octet, shorter than a pointer to it.
        self._qname = request.qname if len(request.qname) > 1 else b""
        if self._qname:
            self._known[self._qname] = QNAME_POINTER

    def write_section(self, rrsets: list[RRset]) -> tuple[int, bool]:
        """The records written, and whether these are all."""
        records = 0
        for rrset in rrsets:
            if not self.write_rrset(rrset):
                return records, False
            records += rrset.rdata_count
        return records, True

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
            self._write_name(owner)
            if count == 1:
                out += tails
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
        pointer = self._known.get(owner, owner)
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
            write_name(owner)
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
            if pointer is not None:
                out += name[:offset]
                out += pointer
                return
            if here + offset < MAX_POINTER:
                known[suffix] = (0xC000 | here + offset).to_bytes(2, "big")
            offset += length + 1
        out += name

    def _learn_question(self) -> None:
        """Enter the parents of the question's name: left until a name is not the question's own, which most are."""
        qname, self._qname = self._qname, b""
        offset = qname[0] + 1
        while offset < len(qname) - 1:
            self._known[qname[offset:]] = (0xC000 | HEADER_SIZE + offset).to_bytes(2, "big")
            offset += qname[offset] + 1

    def _take_back(self, mark: int) -> None:
        """Forget everything written since the buffer had `mark` octets."""
        del self.out[mark:]
        # Pointers are two octets, most significant first, so they compare as their targets do.
        first_gone = (0xC000 | mark).to_bytes(2, "big") if mark < MAX_POINTER else b"\xff\xff\xff"
        self._known = {name: pointer for name, pointer in self._known.items() if pointer < first_gone}
