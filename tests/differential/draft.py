"""A zone under construction: records by owner and type, and the rules without which some server would not load it.

A `ZoneDraft` takes records one at a time and turns down those that no secondary would accept beside what is there
already (`add` is then False), so that the makers of shapes need not know of one another. Rules that only some
servers have can be broken where the draft says so; `not_loaded_by` then names those servers.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
from dns.name import Name
from dns.rdata import Rdata
from dns.rdatatype import RdataType

TTLS = (0, 1, 60, 300, 3600, 86400)
# A small vocabulary, so that what is made independently meets: owners, targets, and the names asked for.
LABELS = ("a", "b", "c", "d", "www", "mail", "ns1", "ns2", "x")
BESIDE_CNAME = {RdataType.NSEC, RdataType.RRSIG}

BIND, KNOT, NSD = "BIND", "Knot", "NSD"


@dataclass
class RRset:
    """All records of an owner and type."""

    owner: Name
    rdtype: int
    ttl: int
    rdatas: list[Rdata]


@dataclass
class ZoneDraft:
    """One zone. `friends` are names in other zones of the same servers, for records that point there."""

    origin: Name
    rng: random.Random
    friends: list[Name] = field(default_factory=list)
    signing: str = ""  # "", "nsec", "nsec3" or "nsec3-optout"
    may_delegate_wildcards: bool = False
    shapes: list[str] = field(default_factory=list)
    not_loaded_by: set[str] = field(default_factory=set)
    _nodes: dict[Name, dict[int, RRset]] = field(default_factory=dict)
    _above: dict[Name, int] = field(default_factory=dict)  # names that have names below them

    @property
    def text(self) -> str:
        """Its name without the final dot; "." for the root."""
        return self.origin.to_text(omit_final_dot=True)

    # what the makers of shapes use

    def name(self, text: str, below: Name | None = None) -> Name:
        """A name relative to the zone, or to `below`."""
        return dns.name.from_text(text, below or self.origin)

    def child(self, label: str | bytes, below: Name | None = None) -> Name:
        """One label further down; `bytes` are taken as they are."""
        octets = label if isinstance(label, bytes) else label.encode()
        return Name((octets, *(below or self.origin).labels))

    def label(self) -> str:
        return self.rng.choice(LABELS)

    def ttl(self) -> int:
        return self.rng.choice(TTLS)

    def address(self, owner: Name, six: bool | None = None) -> bool:
        """An address of one kind or the other."""
        if six is None:
            six = self.rng.random() < 0.3
        if six:
            return self.add(owner, "AAAA", f"2001:db8::{self.rng.randrange(1, 65536):x}")
        return self.add(owner, "A", f"192.0.2.{self.rng.randrange(1, 255)}")

    def add(self, owner: Name, rdtype: str, rdata: str | Name, ttl: int | None = None) -> bool:
        """Add one record; False where it may not stand there. Names in `rdata` are relative to the zone."""
        kind = RdataType.make(rdtype)
        text = rdata.to_text() if isinstance(rdata, Name) else rdata
        try:
            parsed = dns.rdata.from_text(dns.rdataclass.IN, kind, text, self.origin, relativize=False)
        except dns.exception.DNSException as problem:
            raise ValueError(f"{owner} {rdtype} {text}: {problem}") from problem
        return self.add_rdata(owner, parsed, ttl)

    def add_strings(self, owner: Name, strings: Iterable[bytes], ttl: int | None = None) -> bool:
        """Add a TXT record of strings of any octets."""
        return self.add_rdata(owner, dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, RdataType.TXT, list(strings)), ttl)

    def add_rdata(self, owner: Name, rdata: Rdata, ttl: int | None = None) -> bool:
        if not self._allowed(owner, rdata.rdtype):
            return False
        if owner not in self._nodes:
            self._nodes[owner] = {}
            for above in ancestors(owner, self.origin):
                self._above[above] = self._above.get(above, 0) + 1
        node = self._nodes[owner]
        rrset = node.get(rdata.rdtype)
        if rrset is None:
            spelled = next(iter(node.values())).owner if node else owner
            node[rdata.rdtype] = RRset(spelled, rdata.rdtype, self.ttl() if ttl is None else ttl, [rdata])
        elif rdata not in rrset.rdatas:
            rrset.rdatas.append(rdata)
        return True

    # what becomes of it

    def replace(self, rrsets: Iterable[RRset]) -> None:
        """Take other content, as signing has made it."""
        self._nodes, self._above = {}, {}
        for rrset in rrsets:
            key = rrset.rdtype if rrset.rdtype != RdataType.RRSIG else -int(rrset.rdatas[0].covers())
            self._nodes.setdefault(rrset.owner, {})[key] = rrset
        for owner in self._nodes:
            for above in ancestors(owner, self.origin):
                self._above[above] = self._above.get(above, 0) + 1

    def rrsets(self) -> Iterator[RRset]:
        """Everything in it."""
        for node in self._nodes.values():
            yield from node.values()

    def at(self, owner: Name) -> dict[int, RRset]:
        """The RRsets of a name by type; signatures by the negative of the type they cover."""
        return self._nodes.get(owner, {})

    def exists(self, owner: Name) -> bool:
        """As RFC 4592 §2.2.1 understands it: with records, or above names with records."""
        return owner in self._nodes or owner in self._above

    def owners(self) -> list[Name]:
        """Names with records, in the order they came, in the case of the first record."""
        return [next(iter(node.values())).owner for node in self._nodes.values()]

    def empty_nonterminals(self) -> list[Name]:
        return [name for name in self._above if name not in self._nodes]

    # rules

    def _allowed(self, owner: Name, rdtype: int) -> bool:
        if not owner.is_subdomain(self.origin):
            return False
        node = self.at(owner)
        if RdataType.CNAME in node and rdtype not in BESIDE_CNAME:
            return False
        if rdtype == RdataType.CNAME and (owner == self.origin or set(node) - BESIDE_CNAME):
            return False
        if owner != self.origin and {rdtype, *node} >= {RdataType.NS, RdataType.DNAME}:
            return False
        if rdtype == RdataType.DNAME and RdataType.DNAME in node:
            return False
        if rdtype == RdataType.NS and owner.is_wild() and not self.may_delegate_wildcards:
            return False
        if rdtype in (RdataType.DS, RdataType.SOA) and (owner == self.origin) != (rdtype == RdataType.SOA):
            return False
        return not self._would_occlude(owner, rdtype)

    def _would_occlude(self, owner: Name, rdtype: int) -> bool:
        if rdtype == RdataType.DNAME and owner in self._above:
            return True
        return any(RdataType.DNAME in self.at(above) for above in ancestors(owner, self.origin))


def ancestors(name: Name, origin: Name) -> Iterator[Name]:
    """The names above a name down to and including the origin, nearest first."""
    while name != origin:
        name = name.parent()
        yield name
