"""Messages of transfers, from text: what a primary (good or bad) would send for the zone example.com."""

import struct

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from nameserver.transfer.inbound import InboundTransfer, TransferKind
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes
from nameserver.wire.rrset import Record
from nameserver.zone.builder import BuiltZone, ZoneBuilder
from nameserver.zone.zone_text import zone_file_lines

ORIGIN = dns.name.from_text("example.com.")
APEX = ORIGIN.to_wire()
QUERY_ID = 0x1234
NOW = 1_800_000_000


def rr(line: str) -> Record:
    """`"www 300 A 192.0.2.1"`, relative to example.com, class IN."""
    owner, ttl, rdtype, *rest = line.split(" ", 3)
    kind = dns.rdatatype.from_text(rdtype)
    rdata = dns.rdata.from_text(dns.rdataclass.IN, kind, rest[0] if rest else "", ORIGIN, False)
    return Record(dns.name.from_text(owner, ORIGIN).to_wire(), int(kind), codes.IN, int(ttl), rdata.to_wire())


def soa(serial: int, rname: str = "hostmaster") -> Record:
    """The apex's SOA at a serial."""
    return rr(f"@ 3600 SOA ns1 {rname} {serial} 3600 600 86400 300")


NS = rr("@ 3600 NS ns1")
WWW = rr("www 300 A 192.0.2.1")
MAIL = rr("mail 300 AAAA 2001:db8::25")


def pack(record: Record) -> bytes:
    """A record's uncompressed wire form."""
    owner, rdtype, rdclass, ttl, rdata = record
    return owner + struct.pack("!HHIH", rdtype, rdclass, ttl, len(rdata)) + rdata


def message(
    *records: Record,
    kind: TransferKind = TransferKind.AXFR,
    query_id: int = QUERY_ID,
    flags: int = codes.QR | codes.AA,
    question: bytes | None = None,
    count: int | None = None,
    tail: bytes = b"",
) -> bytes:
    """One message of a reply. `question` replaces the right one (b"" for none), `count` ANCOUNT, `tail` is appended."""
    if question is None:
        question = APEX + struct.pack("!HH", codes.AXFR if kind is TransferKind.AXFR else codes.IXFR, 1)
    counts = (1 if question else 0, len(records) if count is None else count, 0, 0)
    return struct.pack("!HHHHHH", query_id, flags, *counts) + question + b"".join(map(pack, records)) + tail


def inbound(
    kind: TransferKind = TransferKind.AXFR,
    ours: int | None = 5,
    limits: TransferLimits | None = None,
    verifier: object = None,
) -> InboundTransfer:
    """The machine that reads the reply to our request for example.com, of which we hold serial `ours`."""
    return InboundTransfer(APEX, kind, QUERY_ID, ours, limits or TransferLimits(), verifier)


def axfr(*records: Record, limits: TransferLimits | None = None) -> BuiltZone:
    """The zone from an AXFR in one message."""
    transfer = inbound(limits=limits)
    assert transfer.feed(message(*records), NOW)
    return transfer.result().built


def build(*records: Record) -> BuiltZone:
    """A zone from records, the first being the SOA."""
    builder = ZoneBuilder(APEX, TransferLimits())
    for record in records:
        builder.add(record)
    return builder.finish()


def lines(nodes: dict[bytes, bytes]) -> list[str]:
    """What a zone holds, for comparing: zone file lines without the SOA, sorted."""
    return sorted(line for line in zone_file_lines(nodes, APEX) if " SOA " not in line)
