"""Questions to a running nameserver over real sockets, through dnspython: queries, AXFR and IXFR as raw records."""

import socket
import struct
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig

LOOPBACK = "127.0.0.1"


class Key(NamedTuple):
    """A TSIG key; `secret` is base64."""

    name: str
    secret: str
    algorithm: str = "hmac-sha256"

    @property
    def dnspython(self) -> dns.tsig.Key:
        return dns.tsig.Key(dns.name.from_text(self.name), self.secret, dns.name.from_text(self.algorithm))


class Record(NamedTuple):
    """One record in canonical presentation form; owner in the case it came in."""

    owner: str
    ttl: int
    rdtype: str
    rdata: str


class TransferRefused(Exception):
    """The peer answered with an RCODE, or a TSIG error, instead of a transfer."""

    def __init__(self, rcode: str, tsig_error: str) -> None:
        super().__init__(f"rcode {rcode}, TSIG error {tsig_error}")
        self.rcode = rcode
        self.tsig_error = tsig_error


def query(
    port: int,
    name: str,
    rdtype: str = "A",
    *,
    key: Key | None = None,
    tcp: bool = False,
    edns: bool = True,
    timeout: float = 3.0,
    tries: int = 3,
) -> dns.message.Message:
    """One question to 127.0.0.1 at `port`, asked again over UDP when nothing comes back."""
    message = dns.message.make_query(name, rdtype, use_edns=0 if edns else -1)
    message.flags &= ~dns.flags.RD
    if key:
        message.use_tsig(key.dnspython)
    if tcp:
        return dns.query.tcp(message, LOOPBACK, timeout=timeout, port=port)
    for remaining in reversed(range(tries)):
        try:
            return dns.query.udp(message, LOOPBACK, timeout=timeout, port=port)
        except dns.exception.Timeout:
            if not remaining:
                raise
    raise AssertionError("unreachable")


def serial(port: int, zone: str, key: Key | None = None, timeout: float = 2.0) -> int | None:
    """The serial that 127.0.0.1 at `port` answers authoritatively with; None when it does not."""
    try:
        reply = query(port, zone, "SOA", key=key, timeout=timeout, tries=2)
    except (dns.exception.DNSException, OSError):
        return None
    if reply.rcode() != dns.rcode.NOERROR or not reply.flags & dns.flags.AA or not reply.answer:
        return None
    return int(reply.answer[0][0].serial)


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError("the peer closed the connection before the transfer was complete")
        data += more
    return data


def _records_of(message: dns.message.Message) -> list[Record]:
    return [
        Record(rrset.name.to_text(), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), rdata.to_text())
        for rrset in message.answer
        for rdata in rrset
    ]


def _refusal(message: dns.message.Message, error: Exception | None = None) -> TransferRefused:
    tsig_error = dns.rcode.to_text(message.tsig[0].error, tsig=True) if message.tsig else "none"
    return TransferRefused(dns.rcode.to_text(message.rcode()), tsig_error)


def transfer(
    port: int, zone: str, key: Key | None = None, since: int | None = None, timeout: float = 20.0
) -> list[Record]:
    """The records of an AXFR (or, with `since`, an IXFR) in the order sent, both bracketing SOAs included."""
    message = dns.message.make_query(zone, "AXFR" if since is None else "IXFR")
    message.flags &= ~dns.flags.RD
    if since is not None:
        message.authority.append(dns.rrset.from_text(dns.name.from_text(zone), 0, "IN", "SOA", f". . {since} 0 0 0 0"))
    if key:
        message.use_tsig(key.dnspython)
    wire = message.to_wire()
    records: list[Record] = []
    context = None
    with socket.create_connection((LOOPBACK, port), timeout=timeout) as connection:
        connection.sendall(struct.pack("!H", len(wire)) + wire)
        while not _complete(records, since):
            (size,) = struct.unpack("!H", _read_exactly(connection, 2))
            data = _read_exactly(connection, size)
            try:
                reply = dns.message.from_wire(
                    data,
                    keyring=message.keyring,
                    request_mac=message.mac if message.keyring else b"",
                    xfr=True,
                    tsig_ctx=context,
                    multi=True,
                    one_rr_per_rrset=True,
                )
            except dns.tsig.PeerError:
                raise _refusal(dns.message.from_wire(data, keyring=False)) from None
            if reply.rcode() != dns.rcode.NOERROR:
                raise _refusal(reply)
            context = reply.tsig_ctx
            records.extend(_records_of(reply))
    return records


def _complete(records: list[Record], since: int | None) -> bool:
    """Whether the closing SOA has come: the second with the first one's data (the third, inside a list of changes)."""
    if not records:
        return False
    if since is not None and len(records) == 1:
        return int(records[0].rdata.split()[2]) == since
    if len(records) < 2 or records[-1] != records[0]:
        return False
    incremental = records[1].rdtype == "SOA" and records[1] != records[0]
    return not incremental or sum(record == records[0] for record in records) == 3


def zone_records(port: int, zone: str, key: Key | None = None) -> set[Record]:
    """Everything in the zone, as a set: two servers with equal sets hold the same zone."""
    return set(transfer(port, zone, key))


def edes(reply: dns.message.Message) -> list[int]:
    """The extended error codes (RFC 8914) of a reply."""
    return [int(option.code) for option in reply.options if hasattr(option, "code")]
