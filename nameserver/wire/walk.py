"""The reader of transfer messages: one pass over a record section, record by record.

It yields *tails* (see `nameserver.wire.rrset`), the form in which nodes keep records; rdata goes through
`nameserver.wire.rdata`. The many records of a whole zone mostly do not come through here one by one: the zone builder
takes those with ordinary owners straight from the message (`nameserver.zone.builder.ZoneBuilder.extend`).
"""

from struct import error as StructError  # noqa: N812 - an exception, named like one
from typing import Self

from nameserver.errors import WireError
from nameserver.wire import codes
from nameserver.wire.rdata import DECOMPRESSED, VERBATIM, read_known_name, read_named, read_naptr, type_text
from nameserver.wire.rrset import TAIL, Record

# One record as it is walked over: (owner in the sender's case, type, class, tail).
Walked = tuple[bytes, int, int, bytes]

_TOP_BIT = 0x80000000


class Section:
    """An iterator over the records of one section: names uncompressed, rdata checked.

    `offset` and `left` say where the next record starts and how many there are yet; whoever reads records by other
    means moves them on. `known` holds the names read so far by their place in the message; `keys` is for the zone
    builder. A TTL with its top bit set is taken as zero (RFC 2181 §8). Raises `WireError` at a malformed record.
    """

    __slots__ = ("_count", "keys", "known", "left", "message", "offset")

    def __init__(self, message: bytes, offset: int, count: int) -> None:
        self.message = message
        self.offset = offset
        self.left = self._count = count
        self.known: dict[int, bytes] = {}
        self.keys: dict[int, bytes] = {}

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Walked:
        if not self.left:
            raise StopIteration
        message = self.message
        try:
            owner, start = read_known_name(message, self.offset, self.known)
            rdtype, rdclass, ttl, length = TAIL.unpack_from(message, start)
            end = start + 10 + length
            if end > len(message):
                raise WireError("the rdata runs past the end of the message")
            # Layouts are those of class IN; whoever reads this refuses any other.
            tail = message[start:end] if rdclass != codes.IN else read_tail(message, start, end, rdtype, self.known)
        except (IndexError, StructError):
            raise WireError(f"{self._position()} runs past the end of the message") from None
        except WireError as error:
            raise WireError(f"{self._position()}: {error}") from None
        if ttl & _TOP_BIT:
            tail = tail[:4] + b"\0\0\0\0" + tail[8:]
        self.offset = end
        self.left -= 1
        return owner, rdtype, rdclass, tail

    def _position(self) -> str:
        return f"record {self._count - self.left + 1} of {self._count}"


def read_tail(message: bytes, start: int, end: int, rdtype: int, known: dict[int, bytes]) -> bytes:
    """The tail of class IN between `start` and `end`, its rdata checked and its names uncompressed. Raises `WireError`.

    `known` is the memory of `nameserver.wire.rdata.read_known_name`.
    """
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
