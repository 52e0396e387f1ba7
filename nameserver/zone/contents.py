"""A zone as a worker serves it: two dicts of bytes, changed in place, whole changes only.

    nodes         key -> packed node            every owner that holds records      (nameserver.zone.node)
    descendants   key -> number of child names  every name that has names below it

    zone text                      nodes                descendants
    example.   SOA NS              b""                  b"" : 2          (www and b)
    www        A                   b"\3www"
    a.b        TXT                 b"\1a\1b"            b"\1b" : 1       (a)

A name *exists* (RFC 4592 §2.2.1, RFC 8020) when it is in either dict. `b` above is an empty non-terminal: it is in
`descendants` only. Counts, not sets of children, because all that is ever asked is whether there are any; and names
that have none are not listed, so that a flat zone of a million names costs one entry.

Both dicts hold nothing but bytes and integers, which keeps a zone of any size out of the garbage collector's sight.

A new version of a zone arrives in one of two ways: as a whole, through `ZoneLoader`, in slices small enough not to
hold up queries, and then swapped in by one assignment; or as replaced nodes, through `Zone.apply`, within one call,
so that no query sees half of it. `apply` checks everything that can be wrong before it touches anything.
"""

from collections.abc import Iterable, Mapping

from nameserver.errors import Reason, ZoneError
from nameserver.wire.rrset import RRset
from nameserver.zone.soa import parse_soa, soa_rrset

APEX = b""


class Zone:
    """The served version of one zone.

    `apex` is its name folded, `apex_as_received` the same in the primary's case; both absolute wire names.
    `generation` is the store's counter for this zone: it grows with every published version, serials need not.
    `soa` is the apex SOA as an RRset, `negative_soa` the same under the TTL of negative answers (RFC 2308 §5).
    """

    __slots__ = (
        "apex",
        "apex_as_received",
        "descendants",
        "generation",
        "negative_soa",
        "nodes",
        "serial",
        "soa",
    )

    def __init__(self, apex: bytes, nodes: dict[bytes, bytes], descendants: dict[bytes, int], generation: int) -> None:
        self.apex = apex.lower()
        self.apex_as_received = apex
        self.nodes = nodes
        self.descendants = descendants
        self.generation = generation
        self._adopt_soa(nodes.get(APEX))

    @classmethod
    def from_nodes(cls, apex: bytes, nodes: Mapping[bytes, bytes], generation: int) -> "Zone":
        """Make a zone of complete nodes; `apex` is the zone's name in the primary's case.

        Raises ZoneError (no-soa) when the apex does not hold exactly one well-formed SOA.
        """
        loader = ZoneLoader(apex, generation)
        loader.add(nodes.items())
        return loader.finish()

    def exists(self, key: bytes) -> bool:
        """Whether a name exists: it holds records, or something below it does (RFC 4592 §2.2)."""
        return key in self.nodes or key in self.descendants

    def apply(self, changes: Mapping[bytes, bytes | None], generation: int) -> None:
        """Replace nodes; None takes one away. The apex may be replaced but not taken away.

        Raises ZoneError (no-soa), with nothing changed, when the apex would be left without exactly one SOA.
        """
        if APEX in changes:
            self._adopt_soa(changes[APEX])
        nodes, descendants = self.nodes, self.descendants
        for key, node in changes.items():
            if node is not None:
                if key not in nodes and key not in descendants:
                    link(key, nodes, descendants)
                nodes[key] = node
            elif nodes.pop(key, None) is not None and key not in descendants:
                unlink(key, nodes, descendants)
        self.generation = generation

    def _adopt_soa(self, apex_node: bytes | None) -> None:
        """Take serial and SOA from an apex node; raises before it changes anything."""
        if apex_node is None:
            raise ZoneError(Reason.NO_SOA, "the zone has no records at its apex")
        rrset = soa_rrset(apex_node, self.apex_as_received)
        fields = parse_soa(next(rrset.rdatas()))
        self.serial: int = fields.serial
        self.soa: RRset = rrset
        self.negative_soa: RRset = rrset.with_ttl(min(rrset.ttl, fields.minimum))


class ZoneLoader:
    """Builds a zone aside, slice by slice, while the version before it goes on serving."""

    __slots__ = ("_apex", "_descendants", "_generation", "_nodes")

    def __init__(self, apex: bytes, generation: int) -> None:
        """`apex` is the zone's name in the primary's case."""
        self._apex = apex
        self._generation = generation
        self._nodes: dict[bytes, bytes] = {}
        self._descendants: dict[bytes, int] = {}

    def add(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Take in (key, node) pairs, in any order; a key given twice counts with its last node."""
        nodes, descendants = self._nodes, self._descendants
        for key, node in items:
            if key not in nodes and key not in descendants:
                link(key, nodes, descendants)
            nodes[key] = node

    def finish(self) -> Zone:
        """The zone. Raises ZoneError (no-soa) when the apex does not hold exactly one well-formed SOA."""
        return Zone(self._apex, self._nodes, self._descendants, self._generation)


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
