"""The questions: every name that means something to a zone, and some beside, with every type, flag, size and transport.

Question `n` of a zone is the same whatever the number asked for, so that one can be asked again alone.
"""

import random
from collections.abc import Iterator
from struct import pack
from typing import NamedTuple

import dns.exception
import dns.name
from differential import shapes
from differential.draft import LABELS, ZoneDraft, ancestors
from differential.worlds import World
from dns.name import Name
from dns.rdatatype import RdataType

IN, CH, HS, NONE, ANY_CLASS = 1, 3, 4, 254, 255
AA, TC, RD, RA, Z, AD, CD = 0x0400, 0x0200, 0x0100, 0x0080, 0x0040, 0x0020, 0x0010
DO = 0x8000
UNKNOWN_TYPE = 65280
COMMON = (
    "A", "A", "A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "DNAME", "DS", "DS", "ANY", "RRSIG", "NSEC", "NSEC3",
    "NSEC3PARAM", "DNSKEY", "SRV", "PTR", "HTTPS", "SVCB", "NAPTR", "TYPE65280", "TYPE65535", "TYPE0", "CDS", "HINFO",
)  # fmt: skip
META = ("AXFR", "IXFR", "OPT", "TSIG", "TKEY", "MAILA", "MAILB", "TYPE128", "TYPE259")
SIZES = (0, 511, 512, 513, 600, 900, 1231, 1232, 1233, 1232, 1232, 1400, 4096, 65535)
PREFIXES = (b"nope", b"a", b"b", b"*", b"www", b"\x00", b"x.y", b"c")


class Edns(NamedTuple):
    """What the OPT record of a question says."""

    size: int
    flags: int = 0
    version: int = 0
    options: bytes = b""

    def wire(self) -> bytes:
        return pack("!xHHBBHH", 41, self.size, 0, self.version, self.flags, len(self.options)) + self.options


class Question(NamedTuple):
    """One question; `label` is `world/zone/number`, by which it is asked again."""

    label: str
    name: Name
    rdtype: int
    rdclass: int = IN
    opcode: int = 0
    flags: int = 0
    edns: Edns | None = None
    transport: str = "udp"
    authority: bytes = b""  # one record
    questions: int = 1  # how many times it stands in the question section

    def wire(self, id: int) -> bytes:
        """As it is sent."""
        counts = self.questions, 0, bool(self.authority), self.edns is not None
        header = pack("!HHHHHH", id, self.opcode << 11 | self.flags, *counts)
        return header + self.question + self.authority + (b"" if self.edns is None else self.edns.wire())

    @property
    def question(self) -> bytes:
        return (self.name.to_wire() + pack("!HH", self.rdtype, self.rdclass)) * self.questions

    @property
    def limit(self) -> int:
        """The most octets that the reply may have; servers may have lower limits."""
        if self.transport == "tcp":
            return 65535
        return 512 if self.edns is None else max(512, self.edns.size)

    @property
    def dnssec(self) -> bool:
        return self.edns is not None and bool(self.edns.flags & DO)


def questions(world: World, index: int, count: int) -> Iterator[Question]:
    """The first `count` questions to the world's zone `index`."""
    zone = world.zones[index]
    rng = random.Random(f"{world.seed}/{world.number}/{index}/questions")
    pool = Names(world, zone)
    for number in range(count):
        yield one(f"{world.number}/{index}/{number}", pool, rng)


def one(label: str, pool: "Names", rng: random.Random) -> Question:
    """One question drawn: mostly an ordinary one, one in twelve odd in one way."""
    name = pool.draw(rng)
    rdtype = draw_type(pool.zone, name, rng)
    flags = rng.choice((0, 0, RD, CD, AD, RD | AD, RD | CD))
    transport = "tcp" if rng.random() < 0.12 else "udp"
    edns = None if rng.random() < 0.3 else Edns(rng.choice(SIZES), rng.choice((0, DO)))
    question = Question(label, name, rdtype, IN, 0, flags, edns, transport)
    return odd(question, pool, rng) if rng.random() < 1 / 12 else question


def odd(question: Question, pool: "Names", rng: random.Random) -> Question:
    """The question with something in it that few clients send."""
    match rng.randrange(9):
        case 0:
            return question._replace(rdclass=rng.choice((CH, HS, NONE, ANY_CLASS, 0, 2, 65280)))
        case 1:
            return question._replace(opcode=rng.choice((1, 2, 3, 5, 6, 7, 15)), transport="udp")
        case 2:
            edns = Edns(rng.choice(SIZES), rng.choice((0, DO)), rng.choice((1, 2, 255)))
            return question._replace(edns=edns)
        case 3:
            option = pack("!HH", rng.choice((65001, 20292, 9, 12, 100)), 4) + b"abcd"
            return question._replace(edns=Edns(1232, rng.choice((0, DO)), 0, option * rng.choice((1, 2))))
        case 4:
            return question._replace(edns=Edns(1232, rng.choice((0x4000, 1, DO | 1, 0x7FFF))))
        case 5:
            return question._replace(flags=question.flags | rng.choice((AA, RA, Z, TC, 1, 3)))
        case 6:
            return question._replace(questions=rng.choice((0, 2)), transport="udp")
        case 7:
            name = rng.choice((pool.zone.origin, pool.zone.origin, rng.choice(pool.others), question.name))
            serial = rng.choice((0, 1, 2026010100, 2026010101, 4294967295))
            soa = name.to_wire() + pack("!HHIHxxIIIII", 6, 1, 0, 22, serial, 0, 0, 0, 0)
            return question._replace(name=name, rdtype=RdataType.IXFR, authority=soa, transport="udp")
        case _:
            return question._replace(rdtype=RdataType.make(rng.choice(META)), transport="udp")


def draw_type(zone: ZoneDraft, name: Name, rng: random.Random) -> int:
    """A type: one that the name has, or a common one."""
    here = sorted(zone.at(name))
    if here and rng.random() < 0.5:
        return max(rng.choice(here), 0) or int(RdataType.RRSIG)
    return int(RdataType.make(rng.choice(COMMON)))


class Names:
    """The names that are asked for about a zone, by kind; a kind is drawn first."""

    def __init__(self, world: World, zone: ZoneDraft) -> None:
        self.zone = zone
        owners = zone.owners()
        # Hashed names and the like are many and alike.
        self.owners = [name for name in owners if RdataType.NSEC3 not in zone.at(name)] or owners
        self.hashed = [name for name in owners if RdataType.NSEC3 in zone.at(name)]
        self.empty = zone.empty_nonterminals()
        self.wild = [name for name in owners if b"*" in name.labels]
        self.long = [name for name in owners if len(name.to_wire()) > 180]
        self.dnames = [name for name in owners if RdataType.DNAME in zone.at(name)]
        self.cuts = [name for name in owners if RdataType.NS in zone.at(name) and name != zone.origin]
        self.targets = [rdata.target for rrset in zone.rrsets() for rdata in rrset.rdatas if rrset.rdtype in (5, 39)]
        self.others = [other.origin for other in world.zones]

    def draw(self, rng: random.Random) -> Name:
        """One name, in the zone's case, in lower case, or in a case of its own."""
        name = self._draw(rng)
        if rng.random() < 0.25:
            name = Name([bytes(rng.choice((swap(octet), octet)) for octet in label) for label in name.labels])
        return name

    def _draw(self, rng: random.Random) -> Name:
        kind = rng.random()
        if kind < 0.33:
            return rng.choice(self.owners)
        if kind < 0.37 and self.empty:
            return rng.choice(self.empty)
        if kind < 0.54:
            return longer(rng, rng.choice(self.owners))
        if kind < 0.60 and self.wild:
            return covered(rng, rng.choice(self.wild), self.zone.origin)
        if kind < 0.66 and self.dnames:
            return longer(rng, rng.choice(self.dnames))
        if kind < 0.72 and self.cuts:
            return longer(rng, rng.choice(self.cuts))
        if kind < 0.76 and self.targets:
            return longer(rng, rng.choice(self.targets))
        if kind < 0.84:
            return beside(rng, rng.choice(self.owners), self.zone.origin)
        if kind < 0.90:
            return soup(rng, self.zone.origin)
        if kind < 0.92:
            return rng.choice(list(ancestors(self.zone.origin, dns.name.root)) or [dns.name.root])
        if kind < 0.94 and self.hashed:
            return rng.choice(self.hashed)
        if kind < 0.96:
            return longer(rng, rng.choice(self.others))
        if kind < 0.97 and self.long:
            return longer(rng, rng.choice(self.long))
        if kind < 0.98:
            return dns.name.from_text(rng.choice(shapes.OUTSIDE))
        return self.zone.origin


def swap(octet: int) -> int:
    """The other case of an ASCII letter."""
    return octet ^ 0x20 if 65 <= octet & 0xDF <= 90 else octet


def joined(labels: list[bytes], below: Name) -> Name:
    """Labels before a name; the name itself where there is no room."""
    try:
        return Name((*labels, *below.labels))
    except dns.exception.DNSException:
        return below


def longer(rng: random.Random, name: Name) -> Name:
    """A name below another: by a label or some, or by as many octets as there is room for."""
    kind = rng.random()
    if kind < 0.1:
        return name
    if kind < 0.75:
        return joined([rng.choice(PREFIXES)], name)
    if kind < 0.9:
        return joined([rng.choice(PREFIXES) for _ in range(rng.choice((2, 3, 5)))], name)
    room = rng.choice((255, 255, 254, 250, 200, rng.randrange(100, 255))) - len(name.to_wire())
    labels = []
    while room > 1:
        size = min(63, room - 1)
        labels.append(b"p" * size)
        room -= size + 1
    return joined(labels, name)


def covered(rng: random.Random, name: Name, origin: Name) -> Name:
    """A name with other labels in place of the asterisks."""
    labels = [
        rng.choice((b"nope", b"a", b"*", b"b")) if label == b"*" and position < len(name) - len(origin) else label
        for position, label in enumerate(name.labels)
    ]
    return joined([rng.choice(PREFIXES)] if rng.random() < 0.3 else [], Name(labels))


def beside(rng: random.Random, name: Name, origin: Name) -> Name:
    """A name with another label somewhere, at times one that sorts right before or after it."""
    labels = list(name.labels)
    changeable = len(name) - len(origin)
    if changeable < 1:
        return longer(rng, name)
    position = rng.randrange(changeable)
    old = labels[position]
    near = (
        old[:-1] + bytes((max(0, old[-1] - 1),)),
        old + b"\x00" if len(old) < 63 else old,
        b"*",
        rng.choice(LABELS).encode(),
    )
    labels[position] = rng.choice(near)
    try:
        return Name(labels)
    except dns.exception.DNSException:
        return name


def soup(rng: random.Random, origin: Name) -> Name:
    """Up to four labels of a tiny alphabet."""
    return joined(
        [rng.choice((b"a", b"b", b"*", b"c", b"s0", b"s1")) for _ in range(rng.choice((1, 1, 2, 3, 4)))], origin
    )
