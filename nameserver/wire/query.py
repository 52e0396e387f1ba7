"""Messages that we send first: SOA checks, transfer requests, NOTIFY. Small, so nothing but the owner is compressed."""

from collections.abc import Sequence
from struct import Struct

from nameserver.wire import codes
from nameserver.wire.edns import pack_opt
from nameserver.wire.rrset import TAIL, Record, RRset

_HEADER = Struct("!HHHHHH")
_TYPE_CLASS = Struct("!HH")
_QNAME_POINTER = b"\xc0\x0c"
DEFAULT_UDP_SIZE = 1232


def build_query(
    id: int,
    qname: bytes,
    qtype: int,
    *,
    opcode: int = codes.QUERY,
    flags: int = 0,
    soa: Record | RRset | None = None,
    edns: bool | int = False,
    options: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """One request of class IN. Sign it, where it is to be signed, with `tsig.sign`.

    `soa` goes where the opcode has it: into the answer section of a NOTIFY (RFC 1996 §3.7), else into the authority
    section (IXFR, RFC 1995 §3). `edns` is the UDP size to announce; True announces 1232. `flags` are added to the
    header (codes.AA for a NOTIFY, RFC 1996 §4.5). Raises `ValueError` for options without EDNS, which would be lost.
    """
    if options and not edns:
        raise ValueError("EDNS options need edns to be set")
    opt = pack_opt(DEFAULT_UDP_SIZE if edns is True else edns, options=options) if edns else b""
    record = b"" if soa is None else _pack_soa(soa, qname)
    count = 1 if record else 0
    answers, authorities = (count, 0) if opcode == codes.NOTIFY else (0, count)
    header = _HEADER.pack(id, opcode << 11 | flags, 1, answers, authorities, 1 if opt else 0)
    return header + qname + _TYPE_CLASS.pack(qtype, codes.IN) + record + opt


def _pack_soa(soa: Record | RRset, qname: bytes) -> bytes:
    if isinstance(soa, RRset):
        soa = next(soa.records())
    owner = _QNAME_POINTER if soa.owner == qname and len(qname) > 1 else soa.owner
    return owner + TAIL.pack(soa.type, soa.rdclass, soa.ttl, len(soa.rdata)) + soa.rdata
