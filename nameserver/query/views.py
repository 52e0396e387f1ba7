"""What questions of one kind see of one zone: all that can be known before the name is looked at.

    message without id    header │ labels below the apex │ apex  type class OPT
                          ───────┼───────────────────────┼──────────────────────
    the same for all      header │                       │ apex  type class OPT     ──▶ View: zone, options, room
    its own                      │ key                   │                          ──▶ a look at the nodes

A view is found by the octets that all its questions share, and holds as long as the zone does not change.
"""

from struct import Struct
from typing import NamedTuple

from nameserver.query.nsec3_denial import Negative
from nameserver.query.referrals import Referral
from nameserver.query.shapes import Shape
from nameserver.query.zoneset import ServedZone, ZoneSet
from nameserver.wire import codes
from nameserver.wire.names import last_label, read_name, relative_key
from nameserver.zone.contents import Zone
from nameserver.zone.denial import Keys, Nsec3Proofs
from nameserver.zone.lookup import ASTERISK
from nameserver.zone.node import HAS_DNAME

HEADER = 10  # octets of a message without its id before the question
LONGEST_LABEL = 63
LONGEST_NAME = 255  # octets
_TLSA, _SSHFP, _CAA = 52, 44, 257
# Types whose answer is the RRset and nothing else: no names to compress, nothing to add.
ALONE = frozenset({codes.A, codes.AAAA, codes.TXT, _SSHFP, _TLSA, _CAA})
_COUNTS = Struct("!HHHHH")  # a header without its id
_BEGINNING = Struct("!HHH")  # the same up to the counts of the last two sections
_NO_LABEL = b"\0"


class Around(NamedTuple):
    """A reply without its question."""

    head: bytes  # flags and counts
    records: bytes  # what follows the question
    kind: int


class Remembered:
    """What holds for all questions of a zone as it is now, from the version of `epoch` on.

    `taken` are the labels next below the apex for which negative answers are not good: the names in the SOA have them.
    `referrals` are those of the zone's delegations by key: plain, for questions not all in lower case, and both with
    what DO asks for.
    """

    __slots__ = ("epoch", "referrals", "taken")

    def __init__(self, epoch: int, zone: Zone) -> None:
        self.epoch = epoch
        self.taken = _labels_in_soa(zone)
        self.referrals: tuple[dict[bytes, Referral], ...] = ({}, {}, {}, {})


class View:
    """One zone, for questions of one shape.

    `longest` is where the apex stands in the longest message about a name one label below it; zero where there may be
    a zone of its own below this one (`nested`). `bare`: no wildcard is right below the apex. `question` is where the
    question is in a message. `head` begins an answer of one record, `referral_head` a referral. `plain`: the records of
    the type asked for are the whole answer; `single` is then, once an answer was made so, how nodes begin that hold
    that type first, each RRset in one record, and `code` the type itself.
    `negatives` and `denials` are by length of the message, RCODE and spelling; `begun` are the proofs that many denials
    begin with, by that and the names that prove. `proofs` is given where the client is to have signatures, and the
    proofs are ones that `query.nsec3_denial` can put together; `costly`: they are computed within a budget only. The
    numbers of kinds are zero until they are needed.
    """

    __slots__ = (
        "apex_size", "bare", "begun", "code", "costly", "denials", "descendants", "epoch", "head", "hit_kind", "limit",
        "longest", "negatives", "nested", "nodes", "opt", "plain", "proofs", "qtype", "question", "referral_head",
        "referral_kind", "referrals", "rest", "served", "shape", "signed", "single", "taken", "wildcard_kind", "zone",
    )  # fmt: skip

    def __init__(
        self, zones: ZoneSet, served: ServedZone, zone: Zone, rest: bytes, shape: Shape, plain: bool, kept: Remembered
    ) -> None:
        """`rest` is what follows the name in a message, `plain`: positive answers are given without name servers."""
        self.epoch = zones.epoch
        self.served, self.zone, self.shape, self.qtype = served, zone, shape, shape.qtype
        self.nodes, self.descendants, self.taken = zone.nodes, zone.descendants, kept.taken
        self.apex_size = len(served.name)
        self.bare = ASTERISK not in zone.nodes and ASTERISK not in zone.descendants
        self.nested = served.name in zones.above
        room = min(LONGEST_LABEL, LONGEST_NAME - 1 - self.apex_size)
        self.longest = 0 if self.nested else HEADER + 1 + room
        self.rest = rest
        self.question = slice(HEADER, 4 - len(rest) or None)
        self.opt, self.limit = shape.opt, shape.limit
        self.head = self.counts(1, 0, 0)
        self.referral_head = _BEGINNING.pack(shape.flags & ~codes.AA, 1, 0)
        self.single = b""
        self.code: bytes | None = None
        self.plain = plain and shape.qtype in ALONE
        self.signed = shape.dnssec and zone.denial is not None
        active = zone.denial.active if self.signed and zone.denial is not None else None
        self.costly = isinstance(active, Nsec3Proofs) and active.is_costly
        self.proofs = active if isinstance(active, Nsec3Proofs) and not active.is_costly else None
        self.negatives: dict[int, Around] = {}
        self.denials: dict[int, Negative] = {}
        self.begun: dict[tuple[int, Keys], tuple[int, bytes]] = {}
        self.referrals = kept.referrals[2:] if self.signed else kept.referrals[:2]
        self.hit_kind = self.wildcard_kind = self.referral_kind = 0

    def counts(self, answers: int, authorities: int, additionals: int) -> bytes:
        """A header without its id, of an authoritative reply."""
        return _COUNTS.pack(self.shape.flags, 1, answers, authorities, additionals + (1 if self.opt else 0))


def can_be_seen(served: ServedZone) -> Zone | None:
    """The zone, where it is answered by more than an error, and no spelling or DNAME of its apex is in every answer."""
    zone = served.answered
    if zone is None or zone.apex_as_received != served.name:
        return None
    return None if zone.nodes[b""][0] & HAS_DNAME else zone


def _labels_in_soa(zone: Zone) -> frozenset[bytes]:
    """The labels next below the apex of the names in the zone's SOA; and none at all, which is no label."""
    rdata = next(zone.soa.rdatas()).lower()
    mname, offset = read_name(rdata, 0)
    rname, _ = read_name(rdata, offset)
    keys = (relative_key(name, zone.apex) for name in (mname, rname))
    return frozenset([*(last_label(key) for key in keys if key), _NO_LABEL])
