"""A look into the packed nodes that many questions share: those for names below one parent, asked in one way.

    message without id    header │ label  parent  type class OPT
                          ───────┼──────  ──────────────────────
    the same for all      header │        parent  type class OPT     ──▶ Siblings: zone, keys, what is above, options
    its own                      │ label                             ──▶ one look at the node of label + parent

Random names below a zone's apex, all hosts of a flat zone, all names below a delegation: each such crowd is one
`Siblings`. What is found here holds as long as the zone does not change.
"""

from typing import NamedTuple

from nameserver.query.nsec3_denial import Negative
from nameserver.query.shapes import Shape
from nameserver.query.zoneset import ServedZone, ZoneSet, ZoneState
from nameserver.wire import codes
from nameserver.wire.names import read_name, relative_key
from nameserver.zone.contents import Zone
from nameserver.zone.denial import Nsec3Proofs
from nameserver.zone.lookup import ASTERISK
from nameserver.zone.node import HAS_DNAME, HAS_NS, HASHED_KEY, find_rrset

FIRST_LABEL_AT = 10  # in a message without its id
LONGEST_LABEL = 63
LONGEST_NAME = 255  # octets
_TLSA, _SSHFP, _CAA = 52, 44, 257
# Types whose answer is the RRset and nothing else: no names to compress, nothing to add.
_PLAIN = frozenset({codes.A, codes.AAAA, codes.TXT, _SSHFP, _TLSA, _CAA})


class Around(NamedTuple):
    """A reply without its question, and what it was made under."""

    epoch: int
    head: bytes  # flags and counts
    records: bytes  # what follows the question
    kind: int


class Negatives(NamedTuple):
    """A zone's negative answers as of an epoch, by number of the shape, RCODE, length of the name, and spelling."""

    epoch: int
    soa_labels: frozenset[bytes]
    answers: dict[int, Around]
    signed: dict[int, Negative]  # those to which proofs are added


class Siblings:
    """What is known of a parent, for questions of one shape.

    `key` is the parent's, `encloser` that of the closest name at or above it that exists. `parent_size` counts its
    octets, `apex_size` those of the zone's name. `rest` is what follows the name in a message, `longest` the offset of
    the parent where the label before it is as long as it may be; zero where some name below may be a zone of its own.
    Where a delegation is at or above the parent, `cut` is that, and nothing is looked up. `wildcard` is the node that
    answers for names which do not exist; `wildcard_exists` also without records of its own. `plain`: the records of the
    type asked for are the whole answer. `referrals` are the delegation's, by length of the name and spelling (see
    `query.shortcut`), `taken` the labels for which they are not good; `negatives` are the zone's. `proofs` is given
    where the client is to have signatures, and the proofs are ones that `query.nsec3_denial` can put together.
    """

    __slots__ = (
        "apex_size", "below_apex", "cut", "descendants", "encloser", "epoch", "key", "longest", "negatives", "nodes",
        "parent_size", "plain", "proofs", "referrals", "rest", "served", "shape", "signed", "taken",
        "wildcard", "wildcard_exists", "zone",
    )  # fmt: skip

    def __init__(
        self, zones: ZoneSet, served: ServedZone, zone: Zone, parent: bytes, rest: bytes, shape: Shape
    ) -> None:
        self.epoch = zones.epoch
        self.served, self.zone, self.rest, self.shape = served, zone, rest, shape
        self.nodes, self.descendants = zone.nodes, zone.descendants
        self.parent_size, self.apex_size = len(parent), len(served.name)
        self.key = parent[: -self.apex_size]
        self.below_apex = last_label(self.key)
        room = min(LONGEST_LABEL, LONGEST_NAME - 1 - len(parent))
        self.longest = 0 if parent in zones.parents else FIRST_LABEL_AT + 1 + room
        self.plain = shape.qtype in _PLAIN
        self.signed = shape.dnssec and zone.denial is not None
        active = zone.denial.active if self.signed and zone.denial is not None else None
        self.proofs = active if isinstance(active, Nsec3Proofs) and not active.is_costly else None
        self.cut: bytes | None = None
        self.encloser = b""
        self.wildcard: bytes | None = None
        self.wildcard_exists = False
        self.taken: frozenset[bytes] = frozenset()
        self.referrals: dict[int, Around] = {}
        self.negatives: Negatives | None = None

    def look_up(self) -> bool:
        """Walk from the parent to the apex; False where questions below it need more than is done here."""
        nodes, key = self.nodes, self.key
        encloser = None
        while True:
            node = nodes.get(key)
            if node is not None and node[0] & (HAS_NS | HAS_DNAME) and (key or node[0] & HAS_DNAME):
                if not key or not node[0] & HAS_NS:
                    return False  # a DNAME: what it makes has the label in it
                self.cut = key  # the topmost one wins
            if encloser is None and (node is not None or key in self.descendants):
                encloser = key
            if not key:
                break
            key = key[key[0] + 1 :]
        self.encloser = encloser or b""
        if len(self.encloser) == HASHED_KEY:
            return False  # perhaps an owner of NSEC3, which is no name of the zone
        if self.cut is not None:
            self.taken = self._labels_of_servers(nodes[self.cut])
        asterisk = ASTERISK + self.encloser
        self.wildcard = nodes.get(asterisk)
        self.wildcard_exists = self.wildcard is not None or asterisk in self.descendants
        return True

    def _labels_of_servers(self, node: bytes) -> frozenset[bytes]:
        """The labels right below the parent of the name servers that a delegation names there."""
        ns = find_rrset(node, codes.NS, b"")
        parent = self.key + self.served.name
        keys = (relative_key(each.lower(), parent) for each in ns.rdatas()) if ns is not None else ()
        return frozenset(last_label(key) for key in keys if key)


def siblings(zones: ZoneSet, parent: bytes, rest: bytes, shape: Shape) -> Siblings | None:
    """What is known of this folded name as a parent; None where questions below it need more than that.

    `rest` is what follows the name in a message.
    """
    by_name = zones.by_name
    offset, size = 0, len(parent)
    while (served := by_name.get(parent[offset:])) is None:
        if offset >= size:
            return None
        length = parent[offset]
        offset += length + 1
        if length > LONGEST_LABEL:
            return None
    zone = served.zone
    if zone is None or served.state is not ZoneState.SERVING or size > LONGEST_NAME:
        return None
    if zone.apex_as_received != served.name:
        return None
    made = Siblings(zones, served, zone, parent, rest, shape)
    return made if made.look_up() else None


def labels_in_soa(zone: Zone) -> frozenset[bytes]:
    """The labels next below the apex of the names in the zone's SOA."""
    rdata = next(zone.soa.rdatas()).lower()
    mname, offset = read_name(rdata, 0)
    rname, _ = read_name(rdata, offset)
    keys = (relative_key(name, zone.apex) for name in (mname, rname))
    return frozenset(last_label(key) for key in keys if key)


def last_label(key: bytes) -> bytes:
    """The label of a key that is next below the apex, its length before it; nothing of the apex's own."""
    while key and len(key) > key[0] + 1:
        key = key[key[0] + 1 :]
    return key
