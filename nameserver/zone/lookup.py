"""What a zone has to say about a name and type (RFC 1034 §4.3.2 step 3, RFC 4592 §3.3, RFC 6672 §3.2).

The questions, in the order asked; the first that applies decides:

    1  Is there a delegation at the name or above it, or a DNAME above it?  The topmost one wins, and everything
       below it is out of sight, whatever the zone holds there.
            delegation -> REFERRAL  (not for DS at the cut itself: that is the parent's to answer, RFC 4035 §3.1.4.1)
            DNAME      -> DNAME
    2  Does the name hold records?
            of the type asked  -> HIT          a CNAME -> CNAME          neither -> NODATA
       A type that stands beside a CNAME (RRSIG, NSEC) is never looked for at its target  -> HIT or NODATA
    3  Does the name exist without records, as an empty non-terminal?  -> NODATA
    4  Is there a `*` below its closest encloser?  That name is treated as the one asked for: HIT, CNAME or NODATA.
       Closer names block wildcards further up only because the closest encloser is found first.
    5  -> NXDOMAIN

Keys are walked upwards by their length octets; dicts are asked for exact keys only. A name one label below the apex,
which is most of the traffic, costs two look-ups.
"""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple, cast

from nameserver.wire import codes
from nameserver.wire.names import relative_key
from nameserver.wire.rrset import RRset
from nameserver.zone.checks import BESIDE_CNAME
from nameserver.zone.contents import Zone
from nameserver.zone.node import (
    HAS_CNAME,
    HAS_DNAME,
    HAS_NS,
    HASHED_KEY,
    find_rrset,
    is_hashed_name,
    owner_of,
    unpack_node,
)

ASTERISK = b"\x01*"
LONGEST_NAME = 255
_NSEC3 = codes.NSEC3.to_bytes(2, "big")
_NXT = 30
# Types that are never looked for at a CNAME's target. NXT is one no more: RFC 3755 §3 has retired it.
_OF_ALIASES = BESIDE_CNAME - {_NXT}
_OF_SIGNING = frozenset((codes.RRSIG, codes.NSEC, codes.NSEC3))


class Kind(Enum):
    """What a look-up came to."""

    HIT = "hit"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    REFERRAL = "referral"
    CNAME = "cname"  # go on at `target`
    DNAME = "dname"  # go on at `target`; None where the name would get too long (YXDOMAIN)


class Answer(NamedTuple):
    """A zone's answer, by section. `target` is an absolute wire name as spelled in the record that gave it.

    `source` is the key of the node that the records are from, or that a NODATA is about. `encloser`, the key of the
    closest encloser, is given where the name asked for does not exist: an answer that has it is made from a wildcard.
    `glue_required` is how many RRsets at the front of `additional` a referral leads nowhere without: its in-domain glue
    (RFC 9471 §3.1). What follows them, sibling glue, may be missing. `name_servers` are for the authority section too,
    with `server_addresses`, if all of them have room: an answer is whole without.
    """

    kind: Kind
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    target: bytes | None = None
    glue_required: int = 0
    source: bytes = b""
    encloser: bytes | None = None
    name_servers: tuple[RRset, ...] = ()
    server_addresses: tuple[RRset, ...] = ()


def lookup(zone: Zone, key: bytes, qtype: int, qname: bytes) -> Answer:
    """Answer for one name and type.

    `qname` is the absolute name as spelled by whoever asked, `key` the same folded and relative to the apex.
    Owners come out as the zone spells them; those made from a wildcard or a DNAME as `qname` spells them.
    Type ANY gets one RRset, the first (RFC 8482 §4.1); RRSIG gets all signatures of the owner.
    """
    redirection = _topmost_redirection(zone, key, qtype)
    if redirection is not None:
        above, node = redirection
        if above and node[0] & HAS_NS:
            return _referral(zone, above, node)
        return _dname(zone, above, node, qtype, qname)
    node_here = zone.nodes.get(key)
    if node_here is not None and (len(key) != HASHED_KEY or not is_hashed_name(key, node_here)):
        return _at_node(zone, node_here, qtype, owner_of(node_here, key, zone.apex_as_received), key)
    if key in zone.descendants:
        return Answer(Kind.NODATA, authority=(zone.negative_soa,), source=key)
    return _wildcard(zone, key, qtype, qname)


def _topmost_redirection(zone: Zone, key: bytes, qtype: int) -> tuple[bytes, bytes] | None:
    """The delegation or DNAME nearest to the apex that governs a name: (its key, its node)."""
    nodes = zone.nodes
    found = None
    node = nodes.get(key)
    if node is not None and node[0] & HAS_NS and key and qtype != codes.DS:
        found = key, node
    walked = key
    while walked:
        walked = walked[walked[0] + 1 :]
        node = nodes.get(walked)
        if node is not None and node[0] & (HAS_NS | HAS_DNAME) and (walked or node[0] & HAS_DNAME):
            found = walked, node
    return found


def _at_node(zone: Zone, node: bytes, qtype: int, owner: bytes, source: bytes, encloser: bytes | None = None) -> Answer:
    """Step 2: a name that holds records."""
    if qtype == codes.ANY:
        return Answer(Kind.HIT, (_any_rrset(node, owner),), source=source, encloser=encloser)
    if qtype == codes.RRSIG:
        signatures = tuple(rrset for rrset in unpack_node(node, owner) if _is_signature_of_data(rrset))
        if signatures:
            return Answer(Kind.HIT, signatures, source=source, encloser=encloser)
    elif qtype != codes.NSEC3:  # which belong to hashed names, whatever else the name has (RFC 5155 §7.2.8)
        rrset = find_rrset(node, qtype, owner)
        if rrset is not None:
            return Answer(Kind.HIT, (rrset,), (), (), None, 0, source, encloser)
    # A type that may stand beside a CNAME is data of this very name, there or not: it is not looked for at the CNAME's
    # target (RFC 2181 §10.1, RFC 4034 §3 and §4, RFC 4035 §2.5).
    if node[0] & HAS_CNAME and qtype not in _OF_ALIASES:
        cname = _flagged(node, codes.CNAME, owner)
        return Answer(Kind.CNAME, (cname,), (), (), next(cname.rdatas()), 0, source, encloser)
    return Answer(Kind.NODATA, (), (zone.negative_soa,), (), None, 0, source, encloser)


def _is_signature_of_data(rrset: RRset) -> bool:
    return rrset.type == codes.RRSIG and rrset.tails[10:12] != _NSEC3


def _any_rrset(node: bytes, owner: bytes) -> RRset:
    """The one RRset that answers ANY: data of the zone's author where there is any, before what signing added."""
    rrsets = list(unpack_node(node, owner))
    return next((rrset for rrset in rrsets if rrset.type not in _OF_SIGNING), rrsets[0])


def closest_encloser(zone: Zone, key: bytes) -> bytes:
    """The key of the longest name above one that does not exist (RFC 4592 §3.3.1): a wildcard below it covers that."""
    encloser = key[key[0] + 1 :]
    while encloser and not zone.exists(encloser):
        encloser = encloser[encloser[0] + 1 :]
    if (
        len(encloser) == HASHED_KEY
        and encloser not in zone.descendants
        and is_hashed_name(encloser, zone.nodes[encloser])
    ):
        encloser = b""
    return encloser


def _wildcard(zone: Zone, key: bytes, qtype: int, qname: bytes) -> Answer:
    """Steps 4 and 5: a name that does not exist."""
    encloser = closest_encloser(zone, key)
    source = ASTERISK + encloser
    node = zone.nodes.get(source)
    if node is not None:
        # A wildcard's NS or DNAME is data here like any other: RFC 4592 §4.2 and §4.4 leave their meaning undefined,
        # and a delegation made up for whatever was asked could not be secured nor be found again.
        return _at_node(zone, node, qtype, qname, source, encloser)
    # `*` may itself be an empty non-terminal (RFC 4592 §2.2.2): then every name it covers exists without data.
    kind = Kind.NODATA if source in zone.descendants else Kind.NXDOMAIN
    return Answer(kind, (), (zone.negative_soa,), (), None, 0, source, encloser)


def _dname(zone: Zone, above: bytes, node: bytes, qtype: int, qname: bytes) -> Answer:
    """Names below a DNAME: the record itself and the CNAME it makes for this name (RFC 6672 §3.1)."""
    owner = owner_of(node, above, zone.apex_as_received)
    dname = _flagged(node, codes.DNAME, owner)
    target = qname[: len(qname) - len(owner)] + next(dname.rdatas())
    if len(target) > LONGEST_NAME:
        return Answer(Kind.DNAME, (dname,), source=above)
    cname = RRset.of(qname, codes.CNAME, dname.ttl, (target,))
    # Asked for the CNAME, the one just made is the answer, as it is with a CNAME in the zone. ANY goes on (step 3C of
    # RFC 6672 §3.2 knows no exception): whoever asks for anything wants what there is, and that stands at the target.
    if qtype == codes.CNAME:
        return Answer(Kind.HIT, (dname, cname), source=above)
    return Answer(Kind.DNAME, (dname, cname), target=target, source=above)


def _referral(zone: Zone, cut: bytes, node: bytes) -> Answer:
    """The delegation at `cut` with those addresses of its servers that this zone holds."""
    delegation = _flagged(node, codes.NS, owner_of(node, cut, zone.apex_as_received))
    inside: list[RRset] = []
    beside: list[RRset] = []
    for server in delegation.rdatas():
        key = relative_key(server.lower(), zone.apex)
        if key is not None:
            (inside if _is_at_or_below(key, cut) else beside).extend(addresses(zone, key, server, glue=True))
    # In-domain glue goes first: it is what must not be left out when room is short.
    return Answer(Kind.REFERRAL, (), (delegation,), (*inside, *beside), glue_required=len(inside), source=cut)


def addresses(zone: Zone, key: bytes, host: bytes, *, glue: bool = False) -> Iterator[RRset]:
    """The address RRsets of a host, a wildcard's included; `host` is its name as spelled by whoever names it.

    What lies below a delegation is another zone's to tell: its addresses are given as `glue` only. An alias is no host
    (RFC 2181 §10.3).
    """
    redirection = _topmost_redirection(zone, key, codes.A)
    if redirection is None:
        for rdtype in (codes.A, codes.AAAA):
            yield from (rrset for rrset in lookup(zone, key, rdtype, host).answer if rrset.type == rdtype)
        return
    above, node_above = redirection
    node = zone.nodes.get(key)
    if glue and node is not None and above and node_above[0] & HAS_NS:
        owner = owner_of(node, key, zone.apex_as_received)
        found = (find_rrset(node, rdtype, owner) for rdtype in (codes.A, codes.AAAA))
        yield from (rrset for rrset in found if rrset is not None)


def _is_at_or_below(key: bytes, cut: bytes) -> bool:
    """Whether one relative key lies at or below another."""
    while len(key) > len(cut):
        key = key[key[0] + 1 :]
    return key == cut


def _flagged(node: bytes, rdtype: int, owner: bytes) -> RRset:
    """An RRset of which the node's flags say that it is there."""
    return cast(RRset, find_rrset(node, rdtype, owner))
