"""The bounded parser of what arrives on our port: the first code that touches a stranger's bytes.

What it will look at is decided by the header alone, before anything is read or allocated:

    opcode          question   answer      authority             additional
    QUERY           1          0           0 (IXFR: 0 or 1 SOA)  0 … 2: OPT and TSIG, TSIG last; others unread
                    0          0           0                     the same, with a COOKIE option
    NOTIFY          1          0 or 1 SOA  0                     the same
    anything else   0 or 1     0                0                     the same
                    whatever does not fit this row is not read: the answer is NOTIMP all the same

Everything beyond that is FORMERR without being read. So no packet, whatever its size, costs more than one question,
one SOA, at most 100 EDNS options and one TSIG record. The question's name must be uncompressed, as nothing precedes it.

This is stricter than some servers are, on purpose: no client that we know of sends such things, and what is not taken
in need not be understood. FORMERR answers records that have no business in the answer and authority sections, and
octets behind the end of the message. In the additional section one of another type may stand beside the OPT, whose
place there is free (RFC 6891 §6.1.1): it is passed over. Class ANY is read like any class and then REFUSED by the
pipeline: we serve IN (and, in a corner, CHAOS), and no record has the class ANY.

A reply has an OPT where the request had one, errors included (RFC 6891 §6.1.1, §7). So the OPT is looked for as far as
the rules above let us read: also behind an empty question section, and also where the opcode is not ours.
"""

from dataclasses import dataclass
from struct import Struct
from typing import NoReturn

from nameserver.errors import WireError
from nameserver.wire import codes
from nameserver.wire.edns import Edns, parse_opt
from nameserver.wire.names import read_name, read_plain_name, skip_name
from nameserver.wire.rrset import TAIL
from nameserver.wire.tsig import TsigRecord, read_tsig

HEADER = Struct("!HHHHHH")  # id, flags, and the four counts
HEADER_SIZE = 12

_TYPE_CLASS = Struct("!HH")


class Unanswerable(WireError):
    """Not a request at all: too short for a header, or itself a reply. It is dropped without an answer."""


class BadRequest(WireError):
    """A request that breaks a rule, with what is needed to answer it through `render_error`."""

    def __init__(self, message: str, rcode: int, id: int, flags: int, question: bytes, edns: Edns | None) -> None:
        super().__init__(message, rcode)
        self.id = id
        self.flags = flags  # the request's 16 bits
        self.opcode = flags >> 11 & 15
        self.question = question  # the question section to echo; b"" where it could not be read
        self.edns = edns  # None also where the OPT was not reached


@dataclass(slots=True)
class Request:
    """One parsed request. Names are absolute wire names."""

    id: int
    flags: int  # all 16 bits of the header's second word
    opcode: int
    qname: bytes  # as sent
    qname_folded: bytes
    qtype: int
    qclass: int
    question: bytes  # the question section's bytes, to be echoed; b"" if there is none that can be read
    edns: Edns | None = None
    tsig: TsigRecord | None = None  # read, not verified
    soa_serial: int | None = None  # NOTIFY: the hint in the answer section; IXFR: what the client holds


def parse_request(data: bytes) -> Request:
    """Read one message that a client sent us.

    Raises `Unanswerable` for what is dropped, `BadRequest` for what is answered with its `rcode` (RFC 1035 §4.1,
    RFC 1995 §3, RFC 1996 §3.7, RFC 6891 §6.1.1, RFC 8945 §5.2). Nothing else is raised, whatever the bytes.
    """
    size = len(data)
    if size < HEADER_SIZE:
        raise Unanswerable(f"{size} octets are too few for a header")
    id, flags, questions, answers, authorities, additionals = HEADER.unpack_from(data)
    if flags & codes.QR:
        raise Unanswerable("a reply arrived where requests are expected")
    opcode = flags >> 11 & 15
    if opcode != codes.QUERY and opcode != codes.NOTIFY:
        return _parse_other(data)
    if questions != 1:
        if questions == 0 and opcode == codes.QUERY:
            return _parse_cookie_query(data)
        edns = _parse_other(data).edns
        raise BadRequest(f"{questions} questions instead of one", codes.FORMERR, id, flags, b"", edns)
    offset = HEADER_SIZE
    # Looking at the front only keeps a packet full of one-octet labels cheap without a check per label.
    front = data if size <= 512 else data[:512]
    try:
        length = front[offset]
        while 0 < length < 64:
            offset += length + 1
            length = front[offset]
    except IndexError:
        _refuse("the question is too long or cut short", id, flags)
    if length or offset > 266 or size < offset + 5:  # a name of 255 octets has its final zero at 12 + 254
        _refuse("the question is compressed, too long or cut short", id, flags)
    offset += 5
    qname = data[12 : offset - 4]
    qtype = data[offset - 4] << 8 | data[offset - 3]
    qclass = data[offset - 2] << 8 | data[offset - 1]
    question = data[12:offset]
    request = Request(id, flags, opcode, qname, qname.lower(), qtype, qclass, question)
    if offset != size or answers or authorities or additionals:
        try:
            _parse_rest(data, offset, request, answers, authorities, additionals)
        except WireError as error:
            raise BadRequest(str(error), error.rcode, id, flags, question, request.edns) from None
    return request


def _parse_cookie_query(data: bytes) -> Request:
    """A query without a question: for nothing but a cookie (RFC 7873 §5.4), or in a version of EDNS we do not know."""
    id, flags, _, answers, authorities, additionals = HEADER.unpack_from(data)
    request = Request(id, flags, codes.QUERY, b"", b"", 0, 0, b"")
    try:
        _parse_rest(data, HEADER_SIZE, request, answers, authorities, additionals)
        edns = request.edns
        if edns is None or (edns.version == 0 and edns.option(codes.OPT_COOKIE) is None):
            raise WireError("a query without a question")
    except WireError as error:
        raise BadRequest(str(error), error.rcode, id, flags, b"", request.edns) from None
    return request


def _refuse(problem: str, id: int, flags: int) -> NoReturn:
    raise BadRequest(problem, codes.FORMERR, id, flags, b"", None)


def _parse_other(data: bytes) -> Request:
    """A request that cannot be served whatever it says: of it, as much as can be read. Raises nothing.

    What there is of question, OPT and TSIG shapes the NOTIMP or FORMERR that answers it.
    """
    id, flags, questions, answers, authorities, additionals = HEADER.unpack_from(data)
    request = Request(id, flags, flags >> 11 & 15, b"", b"", 0, 0, b"")
    offset = HEADER_SIZE
    if questions == 1:
        try:
            qname, offset = read_plain_name(data, HEADER_SIZE)
        except WireError:
            return request
        offset += 4
        if offset > len(data):
            return request
        request.qname, request.qname_folded = qname, qname.lower()
        request.qtype, request.qclass = _TYPE_CLASS.unpack_from(data, offset - 4)
        request.question = data[HEADER_SIZE:offset]
    if questions <= 1 and not answers and not authorities:
        try:
            _parse_rest(data, offset, request, 0, 0, additionals)
        except WireError:
            request.tsig = None  # a signature that does not end its message signs nothing
    return request


def _parse_rest(data: bytes, offset: int, request: Request, answers: int, authorities: int, additionals: int) -> None:
    """Everything behind the question. Raises `WireError`; what was read before that stays in `request`."""
    soas = answers + authorities
    if soas:
        allowed = authorities if request.opcode == codes.QUERY and request.qtype == codes.IXFR else 0
        if request.opcode == codes.NOTIFY:
            allowed = answers
        if soas > 1 or soas != allowed:
            raise WireError(f"{answers} answer and {authorities} authority records in a request")
        offset = _read_soa_hint(data, offset, request)
    if additionals > 2:
        raise WireError(f"{additionals} additional records in a request")
    for left in range(additionals, 0, -1):
        offset = _read_additional(data, offset, request, left == 1)
    if offset != len(data):
        raise WireError(f"{len(data) - offset} octets follow the end of the message")


def _read_additional(data: bytes, offset: int, request: Request, is_last: bool) -> int:
    """One record of the additional section: OPT, TSIG in the last place, or one of which nothing is wanted."""
    name_end = skip_name(data, offset)
    start = name_end + 10
    if start > len(data):
        raise WireError("a record is cut short")
    rdtype, rdclass, ttl, size = TAIL.unpack_from(data, name_end)
    end: int = start + size
    if end > len(data):
        raise WireError("a record runs past the end of the message")
    if rdtype == codes.OPT:
        if data[offset] or request.edns is not None:
            raise WireError("a second OPT record, or one whose owner is not the root")
        request.edns = parse_opt(rdclass, ttl, data[start:end])
    elif rdtype == codes.TSIG:
        if not is_last:
            raise WireError("a TSIG record is not the last record")
        request.tsig, end = read_tsig(data, offset)
        if request.tsig.error:
            raise WireError("a request's TSIG record reports an error")
    return end


def _read_soa_hint(data: bytes, offset: int, request: Request) -> int:
    """The SOA record of a NOTIFY's answer (RFC 1996 §3.7) or an IXFR's authority section (RFC 1995 §3)."""
    owner, offset = read_name(data, offset)
    start = offset + 10
    if start > len(data):
        raise WireError("a record is cut short")
    rdtype, rdclass, _, size = TAIL.unpack_from(data, offset)
    end: int = start + size
    if end > len(data):
        raise WireError("a record runs past the end of the message")
    if rdtype != codes.SOA or rdclass != request.qclass or owner.lower() != request.qname_folded:
        raise WireError("a request's record is not the SOA of the zone in its question")
    if skip_name(data, skip_name(data, start)) + 20 != end:
        raise WireError("an SOA record has the wrong size")
    request.soa_serial = int.from_bytes(data[end - 20 : end - 16], "big")
    return end
