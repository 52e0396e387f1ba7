"""The two shapes in which records travel through the project.

`Record` is one resource record as read from a message or a file. `RRset` is what answers are made of: its records
are kept as *tails*, the wire form of a record without its owner:

    type (2) · class (2) · ttl (4) · rdlength (2) · rdata (rdlength), all names in the rdata uncompressed

so that an answer with one record is the owner (mostly a two-byte pointer) followed by a slice of the zone's memory.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple, Self

TAIL = Struct("!HHIH")  # type, class, ttl, rdlength


class Record(NamedTuple):
    """One resource record. `owner` is an absolute wire name in the sender's case; nothing in it is compressed."""

    owner: bytes
    type: int
    rdclass: int
    ttl: int
    rdata: bytes


class RRset(NamedTuple):
    """All records of one owner and type. `tails` holds `rdata_count` tails one after another."""

    owner: bytes
    type: int
    rdata_count: int
    tails: bytes

    @classmethod
    def of(cls, owner: bytes, rdtype: int, ttl: int, rdatas: Iterable[bytes], rdclass: int = 1) -> Self:
        """Make one from separate rdatas."""
        rdatas = list(rdatas)
        tails = b"".join(TAIL.pack(rdtype, rdclass, ttl, len(rdata)) + rdata for rdata in rdatas)
        return cls(owner, rdtype, len(rdatas), tails)

    @property
    def ttl(self) -> int:
        """TTL in seconds (one for the whole RRset, RFC 2181 §5.2)."""
        return int.from_bytes(self.tails[4:8], "big")

    def rdatas(self) -> Iterator[bytes]:
        """Each record's rdata, in stored order."""
        tails, offset = self.tails, 0
        while offset < len(tails):
            size = int.from_bytes(tails[offset + 8 : offset + 10], "big")
            yield tails[offset + 10 : offset + 10 + size]
            offset += 10 + size

    def records(self) -> Iterator[Record]:
        """The same as separate records."""
        rdclass = int.from_bytes(self.tails[2:4], "big")
        for rdata in self.rdatas():
            yield Record(self.owner, self.type, rdclass, self.ttl, rdata)

    def with_ttl(self, ttl: int) -> Self:
        """The same records under another TTL."""
        if self.ttl == ttl:  # as is the SOA's of most zones in negative answers, for which each new version asks
            return self
        return self.of(self.owner, self.type, ttl, self.rdatas(), int.from_bytes(self.tails[2:4], "big"))


def split_tails(tails: bytes | bytearray) -> list[bytes]:
    """Tails one after another → a list of them."""
    offset, end = 0, len(tails)
    parts = []
    while offset < end:
        after = offset + 10 + (tails[offset + 8] << 8 | tails[offset + 9])
        parts.append(bytes(tails[offset:after]))
        offset = after
    return parts
