"""A client of AXFR that reads, counts, and does nothing else: what it measures is the server."""

import socket
import struct
import time

import dns.flags
import dns.message
from bench.failed import Failed
from support.ask import LOOPBACK, Key

PIECE = 1 << 20
PATIENCE = 120.0  # seconds without anything
HEADER = 12


def drain(port: int, zone: str, key: Key | None, records: int) -> float:
    """Seconds that a transfer of so many records takes. The signatures are not checked; that they are there is."""
    message = dns.message.make_query(zone, "AXFR")
    message.flags &= ~dns.flags.RD
    if key:
        message.use_tsig(key.dnspython)
    wire = message.to_wire()
    began = time.monotonic()
    with socket.create_connection((LOOPBACK, port), PATIENCE) as connection:
        connection.sendall(struct.pack("!H", len(wire)) + wire)
        got, signed, data = 0, 0, bytearray()
        while got < records + 1:  # the SOA comes twice
            more = connection.recv(PIECE)
            if not more:
                raise Failed(f"the transfer ended after {got} of {records + 1} records")
            data += more
            at = 0
            while len(data) - at >= 2 + HEADER:
                end = at + 2 + int.from_bytes(data[at : at + 2], "big")
                if end > len(data):
                    break
                if data[at + 5] & 15:
                    raise Failed(f"the transfer of {zone} was refused: RCODE {data[at + 5] & 15}")
                got += int.from_bytes(data[at + 8 : at + 10], "big")
                signed += int.from_bytes(data[at + 12 : at + 14], "big")
                at = end
            del data[:at]
        taken = time.monotonic() - began
    if got != records + 1 or (key and not signed):
        raise Failed(f"the transfer had {got} records instead of {records + 1}, {signed} signatures")
    return taken
