"""Reading messages the slow and plain way, on nothing of ours: the other opinion that results are held against.

Names are followed label by label, every record is taken apart; what does not add up to exactly one message raises
`Malformed`. It reads our own replies, and what went into a transfer once that was accepted, so bounds on work are not
needed: only that pointers lead backwards.
"""

from typing import NamedTuple

# Types whose rdata holds names that may be compressed: (octets before, names). The rest is taken as it stands.
NAMED = {
    2: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 1), 6: (0, 2), 7: (0, 1), 8: (0, 1), 9: (0, 1), 12: (0, 1), 14: (0, 2),
    15: (2, 1), 17: (0, 2), 18: (2, 1), 21: (2, 1), 24: (18, 1), 26: (2, 2), 30: (0, 1), 33: (6, 1), 36: (2, 1),
    39: (0, 1),
}  # fmt: skip
NAPTR = 35


class Malformed(Exception):
    """This is not a message."""


class Entry(NamedTuple):
    """One record, its names uncompressed and in the case sent."""

    owner: bytes
    type: int
    rdclass: int
    ttl: int
    rdata: bytes


class Message(NamedTuple):
    """A message in its parts; `last_offset` is where its last record starts."""

    id: int
    flags: int
    question: bytes
    answers: list[Entry]
    authorities: list[Entry]
    additionals: list[Entry]
    last_offset: int

    @property
    def rcode(self) -> int:
        """With its upper bits from the OPT record."""
        high = next((entry.ttl >> 24 for entry in self.additionals if entry.type == 41), 0)
        return high << 4 | self.flags & 15


def read_message(message: bytes, tolerant: bool = False) -> Message:
    """`tolerant`: do not mind what stands behind the last record, and do not read the additional section."""
    if len(message) < 12:
        raise Malformed("no header")
    id, flags, *counts = (message[at] << 8 | message[at + 1] for at in range(0, 12, 2))
    if counts[0] > 1:
        raise Malformed("several questions")
    offset = 12
    if counts[0]:
        _, offset = _name(message, 12)
        offset += 4
    question = message[12:offset]
    sections: list[list[Entry]] = []
    last = offset
    for count in counts[1 : 2 if tolerant else 4]:
        section: list[Entry] = []
        for _ in range(count):
            last = offset
            entry, offset = _entry(message, offset)
            section.append(entry)
        sections.append(section)
    if tolerant:
        sections += [[], []]
    elif offset != len(message):
        raise Malformed(f"{len(message)} octets, of which {offset} are used")
    return Message(id, flags, question, *sections, last)


def answer_records(message: bytes) -> tuple[int, list[bytes]]:
    """Where the answer section of a good message begins, and its records as they stand."""
    offset = 12
    if message[5]:
        _, offset = _name(message, 12)
        offset += 4
    start, records = offset, []
    for _ in range(message[6] << 8 | message[7]):
        _, after = _entry(message, offset)
        records.append(message[offset:after])
        offset = after
    return start, records


def _entry(message: bytes, offset: int) -> tuple[Entry, int]:
    owner, at = _name(message, offset)
    head = message[at : at + 10]
    if len(head) < 10:
        raise Malformed("a record is cut short")
    rdtype, rdclass, ttl = head[0] << 8 | head[1], head[2] << 8 | head[3], int.from_bytes(head[4:8], "big")
    start = at + 10
    end = start + (head[8] << 8 | head[9])
    if end > len(message):
        raise Malformed("rdata runs past the end")
    return Entry(owner, rdtype, rdclass, ttl, _rdata(message, start, end, rdtype) if rdclass == 1 else b""), end


def _rdata(message: bytes, start: int, end: int, rdtype: int) -> bytes:
    prefix, names = NAMED.get(rdtype, (0, 0))
    if rdtype == NAPTR:
        prefix, names = 4, 1
        for _ in range(3):
            prefix += 1 + message[start + prefix]
    parts, at = [message[start : start + prefix]], start + prefix
    for _ in range(names):
        name, at = _name(message, at)
        parts.append(name)
    if at > end:
        raise Malformed("a name runs past its rdata")
    return b"".join(parts) + message[at:end]


def _name(message: bytes, offset: int) -> tuple[bytes, int]:
    labels, after, bound = [], -1, offset
    while True:
        if offset >= len(message):
            raise Malformed("a name runs past the end")
        length = message[offset]
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | message[offset + 1] if offset + 1 < len(message) else offset
            after = offset + 2 if after < 0 else after
            if not 12 <= target < bound:
                raise Malformed("a pointer does not lead back")
            offset = bound = target
            continue
        if length >= 0x40:
            raise Malformed("an unknown kind of label")
        labels.append(message[offset : offset + length + 1])
        offset += length + 1
        if not length:
            break
    name = b"".join(labels)
    if len(name) > 255:
        raise Malformed("a name of more than 255 octets")
    return name, offset if after < 0 else after
