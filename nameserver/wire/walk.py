"""The tight reader of transfer messages: one pass over a record section, record by record.

A million records come through this loop, so it is written for speed: locals instead of attributes, a memory of the
names seen in the message (owners are mostly a pointer, or one label and a pointer), one slice per record for the
types that zones are made of. It yields *tails* (see `nameserver.wire.rrset`), the form in which nodes keep records;
what is not a fixed-size type goes through `nameserver.wire.rdata`.
"""

from collections.abc import Iterator
from struct import error as StructError  # noqa: N812 - an exception, named like one

from nameserver.errors import WireError
from nameserver.wire import codes
from nameserver.wire.rdata import DECOMPRESSED, VERBATIM, read_known_name, read_named, read_naptr, type_text
from nameserver.wire.rrset import TAIL, Record

# One record as it is walked over: (owner in the sender's case, type, class, tail).
Walked = tuple[bytes, int, int, bytes]

_FIXED = {codes.A: 4, codes.AAAA: 16}
_TOP_BIT = 0x80000000


def walk(message: bytes, offset: int, count: int) -> Iterator[Walked]:
    """Yield `count` records of the section that starts at `offset`, names uncompressed, rdata checked.

    A TTL with its top bit set is taken as zero (RFC 2181 §8). Raises `WireError` at the first record that is
    malformed, after yielding those before it.
    """
    known: dict[int, bytes] = {}
    look_up, unpack, fixed_size, size = known.get, TAIL.unpack_from, _FIXED.get, len(message)
    index = 0
    try:
        for index in range(count):  # noqa: B007 - names the record in errors
            first = message[offset]
            if first >= 0xC0 and (owner := look_up((first & 0x3F) << 8 | message[offset + 1])) is not None:
                start = offset + 2
            else:
                owner, start = read_known_name(message, offset, known)
            rdtype, rdclass, ttl, length = unpack(message, start)
            offset = start + 10 + length
            if offset > size:
                raise WireError("the rdata runs past the end of the message")
            if fixed_size(rdtype) == length:
                tail = message[start:offset]
            elif rdclass != codes.IN:
                tail = message[start:offset]  # layouts are those of class IN; whoever reads this refuses the class
            else:
                tail = _read_tail(message, start, offset, rdtype, known)
            if ttl >= _TOP_BIT:
                tail = tail[:4] + b"\0\0\0\0" + tail[8:]
            yield owner, rdtype, rdclass, tail
    except (IndexError, StructError):
        raise WireError(f"record {index + 1} of {count} runs past the end of the message") from None
    except WireError as error:
        raise WireError(f"record {index + 1} of {count}: {error}") from None


def _read_tail(message: bytes, start: int, end: int, rdtype: int, known: dict[int, bytes]) -> bytes:
    """The tail between `start` and `end` with its rdata checked and uncompressed. Raises `WireError`."""
    try:
        check = VERBATIM.get(rdtype)
        if check is not None:
            check(message, start + 10, end)
            return message[start:end]
        layout = DECOMPRESSED.get(rdtype)
        if layout is not None:
            rdata = read_named(message, start + 10, end, layout, known)
        elif rdtype == codes.NAPTR:
            rdata = read_naptr(message, start + 10, end, known)
        else:
            return message[start:end]
    except WireError as error:
        raise WireError(f"its {type_text(rdtype)} rdata is malformed: {error}") from None
    return message[start : start + 8] + len(rdata).to_bytes(2, "big") + rdata


def to_record(walked: Walked) -> Record:
    """The same record with its fields apart."""
    owner, rdtype, rdclass, tail = walked
    return Record(owner, rdtype, rdclass, int.from_bytes(tail[4:8], "big"), tail[10:])


def to_walked(record: Record) -> Walked:
    """The reverse of `to_record`."""
    owner, rdtype, rdclass, ttl, rdata = record
    return owner, rdtype, rdclass, TAIL.pack(rdtype, rdclass, ttl, len(rdata)) + rdata
