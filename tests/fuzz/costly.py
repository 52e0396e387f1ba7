"""Transfer messages made to be expensive: as large as a message can be, each of one kind of record that once took, or
could take, work that grows faster than its octets.

Too large to be kept as files, and easier to understand as code.
"""

import struct
from collections.abc import Iterable, Iterator

from support.transfer_messages import APEX, NS, QUERY_ID, soa

from nameserver.wire import codes

ROOM = 65000  # octets of records in a message
POINTER = b"\xc0\x0c"  # to the question's name, which is the apex
UNKNOWN = 65280


def record(owner: bytes, rdtype: int, rdata: bytes = b"") -> bytes:
    return owner + struct.pack("!HHIH", rdtype, codes.IN, 300, len(rdata)) + rdata


def pointer(offset: int) -> bytes:
    return struct.pack("!H", 0xC000 | offset)


def label(number: int) -> bytes:
    return b"\x04%04x" % number


SOA = record(POINTER, codes.SOA, soa(6).rdata)
HEAD = [SOA, record(POINTER, codes.NS, NS.rdata)]
FIRST = 12 + len(APEX) + 4 + sum(map(len, HEAD))  # where the records behind these begin
WINDOWS = b"\0" + b"".join(bytes((window, 1, 1)) for window in range(256))  # NSEC: a name, a type bitmap
LONG = b"\x01a" * 119 + POINTER  # with `APEX` 251 octets
FAR = b"\x08internal\x09eu-west-1\x07compute" + POINTER


def message(records: list[bytes], qtype: int = codes.AXFR) -> bytes:
    counts = struct.pack("!6H", QUERY_ID, codes.QR | codes.AA, 1, len(records), 0, 0)
    return counts + APEX + struct.pack("!HH", qtype, codes.IN) + b"".join(records)


def _fill(records: Iterable[bytes], room: int = ROOM) -> Iterator[bytes]:
    for each in records:
        room -= len(each)
        if room < 0:
            return
        yield each


def _into_long_names() -> Iterator[bytes]:
    """Long names, and then records whose owners point to each of their labels."""
    names = [b"\x01" + bytes((97 + number,)) + b"\x01b" * 118 + POINTER for number in range(26)]
    starts, offset = [], FIRST
    for name in names:
        yield record(name, UNKNOWN)
        starts.append(offset)
        offset += len(name) + 10
    yield from (record(pointer(start + 2 * depth), UNKNOWN) for depth in range(118) for start in starts)


def _chain() -> Iterator[bytes]:
    """Each record's rdata is a pointer to the one's before."""
    yield record(POINTER, codes.NS, POINTER)
    offset = FIRST + 12
    for _ in range(4000):
        yield record(POINTER, codes.NS, pointer(offset) if offset < 0x4000 else POINTER)
        offset += 14


def streams() -> dict[str, list[bytes]]:
    """Messages by what they hold much of; all but the last answer an AXFR."""
    numbers = range(10_000)
    deep = (record(b"\x02" + struct.pack("!H", number) + pointer(FIRST), UNKNOWN) for number in numbers)
    below_dname = (record(b"\x02" + struct.pack("!H", number) + pointer(FIRST + 15), UNKNOWN) for number in numbers)
    kinds = {
        "ordinary": (record(label(number) + POINTER, codes.A, bytes(4)) for number in numbers),
        "addresses far below": [
            record(FAR, codes.A, bytes(4)),
            *(record(b"\x05%05d" % number + pointer(FIRST), codes.A, bytes(4)) for number in numbers),
        ],
        "empty strings": [record(POINTER, codes.TXT, bytes(64000))],
        "rendezvous servers": [record(POINTER, 55, b"\0\1\0\0" + bytes(64000))],
        "address prefixes": [record(POINTER, 42, bytes(64000))],
        "service parameters": [
            record(POINTER, codes.SVCB, b"\0\1\0" + b"".join(struct.pack("!HH", key, 0) for key in range(15900)))
        ],
        "type windows": (
record(label(number) + POINTER, codes.NSEC, WINDOWS)
            for number in numbers
        ),
        "empty rdata": (record(label(number) + POINTER, UNKNOWN) for number in numbers),
        "duplicates": (record(POINTER, UNKNOWN) for _ in numbers),
        "alternating owners": (record(label(number % 2) + POINTER, UNKNOWN) for number in numbers),
        "owners outside": (record(b"\0", UNKNOWN) for _ in numbers),
        "types": (record(POINTER, 1000 + number) for number in numbers),
        "signatures": (record(POINTER, codes.RRSIG, struct.pack("!H", number) + bytes(17)) for number in numbers),
        "replacements": (record(POINTER, codes.NAPTR, bytes(8)) for _ in numbers),
        "long owners": [record(LONG, UNKNOWN), *_fill(deep, ROOM - 300)],
        "long owners beside a DNAME": [
            record(b"\x01z" + POINTER, codes.DNAME, b"\0"), record(LONG, UNKNOWN), *_fill(below_dname, ROOM - 300)
        ],
        "pointers into long names": _into_long_names(),
        "chained pointers": _chain(),
    }  # fmt: skip
    out = {name: [message([*HEAD, *_fill(records), SOA])] for name, records in kinds.items()}
    five, six, seven = (record(POINTER, codes.SOA, soa(serial).rdata) for serial in (5, 6, 7))
    types = [record(b"\x03new" + POINTER, 1000 + number) for number in range(4000)]
    added, deleted = [seven, five, six, *types], [six, *types, seven, seven]
    out["types added and deleted"] = [message(added, codes.IXFR), message(deleted, codes.IXFR)]
    return out
