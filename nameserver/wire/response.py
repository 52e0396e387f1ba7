"""The bounded reader of a primary's reply to an SOA query (RFC 1035 §4.3.5, RFC 7314).

Off-path attackers can send these too, so a reply that does not belong to the query (id, question, QR, opcode) is a
`WireError`, upon which the caller goes on listening instead of giving up. At most 256 records are stepped over and at
most four SOA records read.
"""

from struct import Struct
from typing import NamedTuple

from nameserver.errors import WireError
from nameserver.wire import codes
from nameserver.wire.edns import Edns, parse_opt
from nameserver.wire.names import read_name, read_plain_name, skip_name
from nameserver.wire.rrset import TAIL

MAX_RECORDS = 256
MAX_SOAS = 4

_HEADER = Struct("!HHHHHH")
_TYPE_CLASS = Struct("!HH")


class SoaResponse(NamedTuple):
    """What a primary says about a zone."""

    rcode: int  # extended by the OPT where there is one
    authoritative: bool
    truncated: bool
    serial: int | None  # None: no SOA of the zone in the answer section
    soa_rdata: bytes | None  # uncompressed
    expire: int | None  # seconds until the primary's own copy expires (EDNS EXPIRE)
    has_edns: bool


class _Found:
    """What has been come across while walking."""

    __slots__ = ("edns", "soa", "soas_read")

    def __init__(self) -> None:
        self.edns: Edns | None = None
        self.soa: bytes | None = None
        self.soas_read = 0


def parse_soa_response(message: bytes, id: int, qname_folded: bytes) -> SoaResponse:
    """Read the reply to our SOA query with this `id` and (folded) name. A TSIG record in it is stepped over.

    Raises `WireError` when it is not the reply to that query, or malformed. No RCODE raises, nor does AA=0, TC=1 or a
    missing SOA: those are for the caller to judge.
    """
    if len(message) < 12:
        raise WireError("a reply is shorter than its header")
    got_id, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(message)
    if got_id != id or not flags & codes.QR or flags >> 11 & 15 != codes.QUERY:
        raise WireError("a message is not the reply to our query: id, QR or opcode differ")
    rcode = flags & 15
    offset = _check_question(message, questions, rcode, qname_folded)
    if answers + authorities + additionals > MAX_RECORDS:
        raise WireError(f"a reply to an SOA query holds more than {MAX_RECORDS} records")
    found = _Found()
    truncated = flags & codes.TC != 0
    try:
        for index in range(answers + authorities + additionals):
            offset = _read_record(message, offset, found, qname_folded if index < answers else None)
    except WireError:
        if not truncated:  # a truncated message may end anywhere (RFC 2181 §9), and is asked for again over TCP
            raise
    edns, soa = found.edns, found.soa
    expire = edns.option(codes.OPT_EXPIRE) if edns else None
    return SoaResponse(
        rcode=rcode | edns.extended_rcode << 4 if edns else rcode,
        authoritative=flags & codes.AA != 0,
        truncated=truncated,
        serial=int.from_bytes(soa[-20:-16], "big") if soa else None,
        soa_rdata=soa,
        expire=int.from_bytes(expire, "big") if expire and len(expire) == 4 else None,
        has_edns=edns is not None,
    )


def _check_question(message: bytes, questions: int, rcode: int, qname_folded: bytes) -> int:
    """The offset behind the question, which must be ours. Servers that could not read it leave it out."""
    if questions == 0 and rcode in (codes.FORMERR, codes.NOTIMP, codes.SERVFAIL, codes.REFUSED, codes.NOTAUTH):
        return 12
    if questions != 1:
        raise WireError(f"a reply holds {questions} questions")
    qname, offset = read_plain_name(message, 12)
    if offset + 4 > len(message):
        raise WireError("a reply is cut short in its question")
    if qname.lower() != qname_folded or _TYPE_CLASS.unpack_from(message, offset) != (codes.SOA, codes.IN):
        raise WireError("a message is not the reply to our query: the question differs")
    return offset + 4


def _read_record(message: bytes, offset: int, found: _Found, soa_owner: bytes | None) -> int:
    """Step over one record; take note of OPT, and where `soa_owner` is given of an SOA at that owner."""
    fixed = skip_name(message, offset)
    start = fixed + 10
    if start > len(message):
        raise WireError("a record is cut short")
    rdtype, rdclass, ttl, size = TAIL.unpack_from(message, fixed)
    end: int = start + size
    if end > len(message):
        raise WireError("a record runs past the end of the message")
    if rdtype == codes.SOA and rdclass == codes.IN and soa_owner is not None:
        found.soas_read += 1
        if found.soas_read > MAX_SOAS:
            raise WireError(f"a reply holds more than {MAX_SOAS} SOA records")
        if found.soa is None and read_name(message, offset)[0].lower() == soa_owner:
            found.soa = _read_soa(message, start, end)
    elif rdtype == codes.OPT and soa_owner is None and found.edns is None:
        found.edns = parse_opt(rdclass, ttl, message[start:end])
    return end


def _read_soa(message: bytes, start: int, end: int) -> bytes:
    mname, offset = read_name(message, start)
    rname, offset = read_name(message, offset)
    if offset + 20 != end:
        raise WireError("an SOA record has the wrong size")
    return mname + rname + message[offset:end]
