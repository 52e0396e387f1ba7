"""A zone as a worker serves it: two dicts of bytes, changed in place, whole changes only.

    nodes         key -> packed node            every owner that holds records      (nameserver.zone.node)
                  of a large zone a dict in parts                                   (nameserver.zone.parted)
    descendants   key -> number of child names  every name that has names below it

    zone text                      nodes                descendants
    example.   SOA NS              b""                  b"" : 2          (www and b)
    www        A                   b"\3www"
    a.b        TXT                 b"\1a\1b"            b"\1b" : 1       (a)

A name *exists* (RFC 4592 §2.2.1, RFC 8020) when it is in either dict. `b` above is an empty non-terminal: it is in
`descendants` only. Counts, not sets of children, because all that is ever asked is whether there are any; and names
that have none are not listed, so that a flat zone of a million names costs one entry.

Both dicts hold nothing but bytes and integers, which keeps a zone of any size out of the garbage collector's sight.

A zone whose apex holds a signature is a signed one and has a third part, `denial`: what proves that something does not
exist (nameserver.zone.denial). It is built and changed along with the nodes.

A new version of a zone arrives in one of two ways: as a whole, through `ZoneLoader`, in slices small enough not to
hold up queries, and then swapped in by one assignment; or as replaced nodes, through `Zone.apply`, within one call,
so that no query sees half of it. `apply` checks everything that can be wrong before it touches anything.

A version that is no longer served goes in slices too, by `dismantled`: to free a million owners at once would hold up
queries as well.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableMapping

from nameserver.errors import Reason, ZoneError
from nameserver.wire.rrset import RRset
from nameserver.zone.denial import Denial
from nameserver.zone.emptied import emptied
from nameserver.zone.node import HAS_DNAME, HAS_NS, is_signed
from nameserver.zone.parted import WHOLE, PartedNodes
from nameserver.zone.soa import parse_soa, soa_rrset

APEX = b""

Nodes = MutableMapping[bytes, bytes]


class Zone:
    """The served version of one zone.

    `apex` is its name folded, `apex_as_received` the same in the primary's case; both absolute wire names.
    `generation` is the store's counter for this zone: it grows with every published version, serials need not.
    `soa` is the apex SOA as an RRset, `negative_soa` the same under the TTL of negative answers (RFC 2308 §5).
    `denial` is None for an unsigned zone.
    """

    __slots__ = (
        "apex",
        "apex_as_received",
        "denial",
        "descendants",
        "generation",
        "negative_soa",
        "nodes",
        "serial",
        "soa",
    )

    def __init__(
        self,
        apex: bytes,
        nodes: Nodes,
        descendants: dict[bytes, int],
        generation: int,
        denial: Denial | None = None,
    ) -> None:
        self.apex = apex.lower()
        self.apex_as_received = apex
        self.nodes = nodes
        self.descendants = descendants
        self.denial = denial
        self.generation = generation
        self._adopt_soa(nodes.get(APEX))
        if denial is not None:
            denial.settle(self.negative_soa)

    @classmethod
    def from_nodes(cls, apex: bytes, nodes: Mapping[bytes, bytes], generation: int) -> "Zone":
        """Make a zone of complete nodes; `apex` is the zone's name in the primary's case.

        Raises ZoneError (no-soa) when the apex does not hold exactly one well-formed SOA.
        """
        loader = ZoneLoader(apex, generation, len(nodes))
        loader.add(nodes.items())
        return loader.finish()

    def exists(self, key: bytes) -> bool:
        """Whether a name exists: it holds records, or something below it does (RFC 4592 §2.2)."""
        return key in self.nodes or key in self.descendants

    def apply(self, changes: Mapping[bytes, bytes | None], generation: int) -> bool:
        """Replace nodes; None takes one away. The apex may be replaced but not taken away.

        Whether answers may change at other owners that hold records, too: one of these is or was a delegation or has or
        had a DNAME, so that it is what lies below, or the zone became a signed one or ceased to be one.

        Raises ZoneError (no-soa), with nothing changed, when the apex would be left without exactly one SOA.
        """
        if APEX in changes:
            self._adopt_soa(changes[APEX])
        if self.denial is not None:
            for key, node in changes.items():
                self.denial.replace(key, self.nodes.get(key), node)
        nodes, descendants = self.nodes, self.descendants
        redirecting = 0
        for key, node in changes.items():
            redirecting |= (HAS_NS | HAS_DNAME if key else HAS_DNAME) & (_flags(nodes.get(key)) | _flags(node))
            if node is not None:
                if key not in nodes and key not in descendants:
                    link(key, nodes, descendants)
                nodes[key] = node
            elif nodes.pop(key, None) is not None and key not in descendants:
                unlink(key, nodes, descendants)
        self.generation = generation
        was_signed = self.denial is not None
        self._settle_denial()
        return redirecting != 0 or was_signed is not (self.denial is not None)

    def becomes_signed(self, changes: Mapping[bytes, bytes | None]) -> bool:
        """Whether `apply` would make the indexes of a signed zone anew: work in proportion to the zone."""
        apex_node = changes.get(APEX)
        return self.denial is None and apex_node is not None and is_signed(apex_node)

    def dismantled(self) -> Iterator[None]:
        """Empties the zone, a slice for each time that it is asked on. For one that nobody answers from any more."""
        nodes = self.nodes
        for each in nodes.parts if isinstance(nodes, PartedNodes) else [nodes]:
            yield from emptied(each)
        yield from emptied(self.descendants)
        if self.denial is not None:
            yield from self.denial.dismantled()

    def _settle_denial(self) -> None:
        """After a change: what proves now that something does not exist, if anything does."""
        if not is_signed(self.nodes[APEX]):
            self.denial = None
            return
        if self.denial is None:
            self.denial = index_denial(self.apex, self.nodes)
        self.denial.settle(self.negative_soa)

    def _adopt_soa(self, apex_node: bytes | None) -> None:
        """Take serial and SOA from an apex node; raises before it changes anything."""
        if apex_node is None:
            raise ZoneError(Reason.NO_SOA, "the zone has no records at its apex")
        rrset = soa_rrset(apex_node, self.apex_as_received)
        fields = parse_soa(next(rrset.rdatas()))
        self.serial: int = fields.serial
        self.soa: RRset = rrset
        self.negative_soa: RRset = rrset.with_ttl(min(rrset.ttl, fields.minimum))


def _flags(node: bytes | None) -> int:
    return node[0] if node is not None else 0


class ZoneLoader:
    """Builds a zone aside, slice by slice, while the version before it goes on serving.

    The apex should come with the first slice, as it does from the store: a signed zone's indexes are then built along
    with it, and otherwise all at once when the apex comes.
    """

    __slots__ = ("_apex", "_denial", "_descendants", "_generation", "_nodes")

    def __init__(self, apex: bytes, generation: int, owners: int = 0) -> None:
        """`apex` is the zone's name in the primary's case, `owners` about how many will come."""
        self._apex = apex
        self._generation = generation
        self._nodes: dict[bytes, bytes] | PartedNodes = {} if owners <= WHOLE else PartedNodes(owners)
        self._descendants: dict[bytes, int] = {}
        self._denial: Denial | None = None

    def add(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Take in (key, node) pairs, in any order; a key given twice counts with its last node."""
        nodes, descendants, denial = self._nodes, self._descendants, self._denial
        if denial is not None:
            for key, node in items:
                denial.replace(key, nodes.get(key), node)
                if key not in nodes and key not in descendants:
                    link(key, nodes, descendants)
                nodes[key] = node
            return
        # What `link` does for one name, for all of them in a few calls into C: count those that are new at their
        # parents; a parent that thereby comes to exist is new at its own.
        if isinstance(nodes, PartedNodes):
            new = [key for key in nodes.put(items) if key not in descendants]
        else:
            fresh = dict(items)
            new = [key for key in fresh if key not in nodes and key not in descendants]
            nodes.update(fresh)
        for parent, count in Counter([key[key[0] + 1 :] for key in new if key]).items():
            before = descendants.get(parent, 0)
            descendants[parent] = before + count
            if not before and parent not in nodes:
                link(parent, nodes, descendants)
        if APEX in nodes and is_signed(nodes[APEX]):
            self._denial = index_denial(self._apex.lower(), nodes)

    def finish(self) -> Zone:
        """The zone. Raises ZoneError (no-soa) when the apex does not hold exactly one well-formed SOA."""
        denial = self._denial
        if denial is not None and not is_signed(self._nodes[APEX]):
            denial = None  # its apex came twice
        return Zone(self._apex, self._nodes, self._descendants, self._generation, denial)


def index_denial(apex: bytes, nodes: Mapping[bytes, bytes]) -> Denial:
    """The indexes of a signed zone with these nodes, not settled yet; `apex` is its folded name."""
    denial = Denial(apex, nodes)
    for key, node in nodes.items():
        denial.replace(key, None, node)
    return denial


def link(key: bytes, nodes: Mapping[bytes, bytes], descendants: dict[bytes, int]) -> None:
    """Count a name that comes into existence at its parent, and every ancestor that thereby comes to exist."""
    while key:
        key = key[key[0] + 1 :]
        count = descendants.get(key, 0)
        descendants[key] = count + 1
        if count or key in nodes:
            return  # it existed already, so those above know of it


def unlink(key: bytes, nodes: Mapping[bytes, bytes], descendants: dict[bytes, int]) -> None:
    """Uncount a name that has ceased to exist, and every ancestor that existed only because of it.

    Not for the apex itself, which always holds records and therefore ends the walk at the latest.
    """
    while True:
        key = key[key[0] + 1 :]
        count = descendants[key] - 1
        if count:
            descendants[key] = count
            return
        del descendants[key]
        if key in nodes:
            return
