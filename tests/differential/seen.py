"""A reply taken apart, in a form in which two replies that say the same are equal.

What is made equal, and nothing else: the order of records within a section, compression, and the case of letters in
owners and in names within data. The case that we ourselves send is held against the zone elsewhere (`own_rules`).
TTLs, counts and everything of the header stay as they are. An OPT record is taken out of the additional section: its
version and flags are compared, its size and its options are not.
"""

from struct import error as struct_error
from struct import unpack_from
from typing import NamedTuple

OPT, RRSIG = 41, 46
# Where names stand in data: octets before the first, and how many; -1 for a leading run of character-strings.
NAMES = {
    2: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 1), 6: (0, 2), 7: (0, 1), 8: (0, 1), 9: (0, 1), 12: (0, 1), 14: (0, 2),
    15: (2, 1), 17: (0, 2), 18: (2, 1), 21: (2, 1), 26: (2, 2), 33: (6, 1), 36: (2, 1), 39: (0, 1), 46: (18, 1),
    47: (0, 1), 64: (2, 1), 65: (2, 1),
}  # fmt: skip
NAPTR = 35
FLAGS = {"aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "z": 0x0040, "ad": 0x0020, "cd": 0x0010}
OPTIONAL = ("optional_authority", "optional_additional")
SECTIONS = ("answer", "authority", "additional", *OPTIONAL)
FIELDS = ("reply", "rcode", "opcode", *FLAGS, "question", *SECTIONS, "opt")


class Broken(Exception):
    """Not a message: what was wrong with it."""


class Rec(NamedTuple):
    """One record: owner and names in its data in lower case, nothing compressed."""

    owner: bytes
    rdtype: int
    rdclass: int
    ttl: int
    rdata: bytes

    @property
    def key(self) -> tuple[bytes, int, int]:
        """Which RRset it belongs to: owner, type, and for RRSIG the type covered."""
        return self.owner, self.rdtype, self.rdata[0] << 8 | self.rdata[1] if self.rdtype == RRSIG else 0


class Seen(NamedTuple):
    """A reply. `reply` is False where none came; then all the rest is empty."""

    reply: bool = False
    rcode: int = 0
    opcode: int = 0
    aa: bool = False
    tc: bool = False
    rd: bool = False
    ra: bool = False
    z: bool = False
    ad: bool = False
    cd: bool = False
    question: bytes = b""
    answer: tuple[Rec, ...] = ()
    authority: tuple[Rec, ...] = ()
    additional: tuple[Rec, ...] = ()
    opt: tuple[int, int] | None = None  # version, flags
    size: int = 0
    optional_authority: tuple[Rec, ...] = ()  # until `optional.split`, these are in their sections
    optional_additional: tuple[Rec, ...] = ()


SILENCE = Seen()


def see(wire: bytes | None) -> Seen:
    """Take a reply apart. Raises `Broken` where it cannot be read to its last octet."""
    if wire is None:
        return SILENCE
    try:
        return _see(wire)
    except (IndexError, ValueError, struct_error) as problem:
        raise Broken(str(problem)) from None


def _see(wire: bytes) -> Seen:
    if len(wire) < 12:
        raise Broken("no header")
    _, flags, questions, *counts = unpack_from("!HHHHHH", wire)
    offset = 12
    for _ in range(questions):
        _, offset = name_at(wire, offset)
        offset += 4
    question = wire[12:offset]
    if not flags & 0x8000:
        raise Broken("not a reply")
    sections = []
    for count in counts:
        found = []
        for _ in range(count):
            record, offset = _record_at(wire, offset)
            found.append(record)
        sections.append(found)
    if offset != len(wire):
        raise Broken("octets behind the last record" if offset < len(wire) else "cut short")
    answer, authority, additional = sections
    opts = [record for record in additional if record.rdtype == OPT]
    if len(opts) > 1:
        raise Broken("two OPT records")
    opt = (opts[0].ttl >> 16 & 0xFF, opts[0].ttl & 0xFFFF) if opts else None
    return Seen(
        True,
        flags & 15 | (opts[0].ttl >> 24 << 4 if opts else 0),
        flags >> 11 & 15,
        *(bool(flags & bit) for bit in FLAGS.values()),
        question,
        tuple(sorted(answer)),
        tuple(sorted(authority)),
        tuple(sorted(record for record in additional if record.rdtype != OPT)),
        opt,
        len(wire),
    )


def name_at(wire: bytes, offset: int) -> tuple[bytes, int]:
    """An uncompressed name, as it is spelled, and where it ends."""
    labels = []
    end = 0
    size = 1
    while length := wire[offset]:
        if length > 63:
            if length < 192:
                raise Broken("a label of an unknown kind")
            target = (length & 63) << 8 | wire[offset + 1]
            end = end or offset + 2
            if target >= offset:
                raise Broken("a pointer that does not point back")
            offset = target
            continue
        labels.append(wire[offset : offset + 1 + length])
        offset += 1 + length
        size += 1 + length
    if size > 255:
        raise Broken("a name of more than 255 octets")
    return b"".join(labels) + b"\x00", end or offset + 1


def _record_at(wire: bytes, offset: int) -> tuple[Rec, int]:
    owner, offset = name_at(wire, offset)
    rdtype, rdclass, ttl, size = unpack_from("!HHIH", wire, offset)
    offset += 10
    end = offset + size
    if end > len(wire):
        raise Broken("data runs past the end")
    return Rec(owner.lower(), rdtype, rdclass, ttl, plain_rdata(wire, rdtype, offset, end).lower_names()), end


class Rdata(NamedTuple):
    """Data in parts: octets as they are, and names uncompressed, as spelled."""

    parts: tuple[tuple[bool, bytes], ...]

    def lower_names(self) -> bytes:
        return b"".join(part.lower() if is_name else part for is_name, part in self.parts)

    def exact(self) -> bytes:
        return b"".join(part for _, part in self.parts)


def plain_rdata(wire: bytes, rdtype: int, offset: int, end: int) -> Rdata:
    """Data of a known type with its names expanded; of any other, and where it is too short, as it stands."""
    if rdtype == NAPTR and end - offset > 6:
        before, names = 4, 1
        for _ in range(3):
            before += 1 + wire[offset + before]
    else:
        before, names = NAMES.get(rdtype, (0, 0))
    if not names or end - offset <= before:
        return Rdata(((False, wire[offset:end]),))
    parts = [(False, wire[offset : offset + before])]
    offset += before
    for _ in range(names):
        name, offset = name_at(wire, offset)
        parts.append((True, name))
    if offset > end:
        raise Broken("a name runs past the end of its data")
    parts.append((False, wire[offset:end]))
    return Rdata(tuple(parts))


class Spelled(NamedTuple):
    """One record as sent: in the letters used, names in its data expanded. `section` is 0, 1 or 2."""

    section: int
    owner: bytes
    rdtype: int
    ttl: int
    rdata: bytes

    def folded(self) -> "Spelled":
        return self._replace(owner=self.owner.lower(), rdata=folded_data(self.rdtype, self.rdata))


def folded_data(rdtype: int, rdata: bytes) -> bytes:
    """All letters in lower case, but not the type that an RRSIG covers."""
    return rdata[:2] + rdata[2:].lower() if rdtype == RRSIG else rdata.lower()


def spelled(wire: bytes) -> list[Spelled]:
    """The records of a readable reply in the order sent, without its OPT."""
    _, _, questions, *counts = unpack_from("!HHHHHH", wire)
    offset = 12
    for _ in range(questions):
        offset = name_at(wire, offset)[1] + 4
    found = []
    for section, count in enumerate(counts):
        for _ in range(count):
            owner, offset = name_at(wire, offset)
            rdtype, _, ttl, size = unpack_from("!HHIH", wire, offset)
            offset += 10
            if rdtype != OPT:
                data = plain_rdata(wire, rdtype, offset, offset + size).exact()
                found.append(Spelled(section, owner, rdtype, ttl, data))
            offset += size
    return found
