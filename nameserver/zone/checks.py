"""What a zone's content must fulfil before it is served: per node, at the apex, and below DNAMEs.

A full transfer checks every node while it is packed; an incremental one checks the nodes it touched and the apex. All
functions raise `NodeError`, a `ZoneError` that knows the owner, and change nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from nameserver.errors import Reason, ZoneError
from nameserver.wire import codes, names
from nameserver.wire.rdata import type_text
from nameserver.zone import node as node_layout

_KEY, _SIG, _NXT = 25, 24, 30
# What may stand beside a CNAME: DNSSEC's own types (RFC 2181 §10.1, RFC 4034 §3 and §4).
BESIDE_CNAME = frozenset((codes.CNAME, codes.RRSIG, codes.NSEC, _KEY, _SIG, _NXT))
# What may stand below a DNAME: hashed denial, whose owners lie directly below an apex (RFC 6672 §2.4, RFC 5155 §3).
BELOW_DNAME = frozenset((codes.NSEC3, codes.RRSIG))


class NodeError(ZoneError):
    """A rule is broken at one owner, whose zone-relative key is `key`."""

    def __init__(self, reason: Reason, detail: str, key: bytes) -> None:
        super().__init__(reason, detail)
        self.key = key


class ContentLimits(Protocol):
    """How much a zone may hold. `nameserver.transfer.limits.TransferLimits` is one."""

    @property
    def max_bytes(self) -> int:
        """Bytes of all keys and nodes."""

    @property
    def max_records(self) -> int:
        """Records in the zone."""

    @property
    def max_rrset_records(self) -> int:
        """Records of one owner and type."""

    @property
    def max_types_per_name(self) -> int:
        """RRsets of one owner."""


@dataclass(frozen=True, slots=True)
class FormatLimits:
    """Only what the formats themselves impose: for zone files, which our own operator wrote."""

    max_bytes: int = 1 << 40
    max_records: int = 1 << 32
    max_rrset_records: int = 65535  # a node counts them in two bytes
    max_types_per_name: int = 65535


_SINGLE = {
    codes.CNAME: (Reason.CNAME_CONFLICT, "RFC 2181 §10.1"),
    codes.DNAME: (Reason.CNAME_CONFLICT, "RFC 6672 §2.4"),
    codes.SOA: (Reason.SOA_IN_MIDDLE, "RFC 1035 §5.2"),
}


def owner_text(key: bytes, apex: bytes) -> str:
    """Presentation form of the owner with a zone-relative key."""
    return names.to_text(key + apex)


def check_node(key: bytes, node: bytes, apex: bytes, limits: ContentLimits) -> None:
    """One owner: a CNAME alone, CNAME, DNAME and SOA single, SOA at the apex only, within the limits.

    `apex` is the zone's absolute wire name. Raises `NodeError` (cname-conflict, soa-in-middle, limit-types,
    limit-rrset).
    """
    types: set[int] = set()
    rrsets = 0
    for rrset in node_layout.unpack_node(node, b""):
        rdtype, count = rrset.type, rrset.rdata_count
        rrsets += 1
        types.add(rdtype)
        if count > limits.max_rrset_records:
            what = f"{owner_text(key, apex)} {type_text(rdtype)} has {count} records"
            raise NodeError(Reason.LIMIT_RRSET, f"{what}, more than the limit of {limits.max_rrset_records}", key)
        if rdtype in _SINGLE and count > 1:
            reason, source = _SINGLE[rdtype]
            what = f"{owner_text(key, apex)} has {count} {type_text(rdtype)} records"
            raise NodeError(reason, f"{what}, only one is allowed ({source})", key)
    if rrsets > limits.max_types_per_name:
        what = f"{owner_text(key, apex)} has {rrsets} RRsets"
        raise NodeError(Reason.LIMIT_TYPES, f"{what}, more than the limit of {limits.max_types_per_name}", key)
    if codes.SOA in types and key:
        raise NodeError(Reason.SOA_IN_MIDDLE, f"{owner_text(key, apex)} has an SOA record but is not the apex", key)
    if codes.CNAME in types and (others := types - BESIDE_CNAME):
        what = f"{owner_text(key, apex)} has a CNAME beside {', '.join(map(type_text, sorted(others)))}"
        raise NodeError(Reason.CNAME_CONFLICT, f"{what} (RFC 2181 §10.1)", key)


def check_apex(node: bytes | None, apex: bytes) -> bytes:
    """The apex holds exactly one SOA and at least one NS (RFC 1034 §4.2.1): returns the SOA's rdata.

    Raises `NodeError` (no-soa, no-ns, soa-in-middle).
    """
    soa = node_layout.find_rrset(node, codes.SOA, b"") if node else None
    if node is None or soa is None:
        raise NodeError(Reason.NO_SOA, f"{names.to_text(apex)} has no SOA record", b"")
    if soa.rdata_count > 1:
        what = f"{names.to_text(apex)} has {soa.rdata_count} SOA records"
        raise NodeError(Reason.SOA_IN_MIDDLE, f"{what}, only one is allowed (RFC 1035 §5.2)", b"")
    if not node[0] & node_layout.HAS_NS:
        raise NodeError(Reason.NO_NS, f"{names.to_text(apex)} has no NS record at its apex", b"")
    return soa.tails[10:]


def ancestors(key: bytes) -> Iterator[bytes]:
    """The keys above `key`, nearest first, the apex (b"") last; none for the apex itself."""
    while key:
        key = key[key[0] + 1 :]
        yield key


def _may_be_below_dname(node: bytes) -> bool:
    return all(rrset.type in BELOW_DNAME for rrset in node_layout.unpack_node(node, b""))


def _below_dname(key: bytes, dname_key: bytes, apex: bytes) -> NodeError:
    what = f"{owner_text(key, apex)} lies below the DNAME at {owner_text(dname_key, apex)}"
    return NodeError(Reason.CNAME_CONFLICT, f"{what}, where no other data is allowed (RFC 6672 §2.4)", key)


def check_below_dnames(nodes: Mapping[bytes, bytes], dname_keys: set[bytes], apex: bytes) -> None:
    """A whole zone: nothing lies below an owner in `dname_keys`. Raises `NodeError` (cname-conflict)."""
    if not dname_keys:
        return
    known: dict[bytes, bytes | None] = {}
    for key, node in nodes.items():
        dname = _dname_above(key, dname_keys.__contains__, known)
        if dname is not None and not _may_be_below_dname(node):
            raise _below_dname(key, dname, apex)


def _dname_above(key: bytes, is_dname: Callable[[bytes], bool], known: dict[bytes, bytes | None]) -> bytes | None:
    """The key of the nearest DNAME above a key. `known` keeps the answers: by parents, as owners have few of them."""
    if not key:
        return None
    parent = key[key[0] + 1 :]
    if parent in known:
        return known[parent]
    found = None
    if is_dname(parent):
        found = parent
    else:
        for ancestor in ancestors(parent):
            if ancestor in known:
                found = known[ancestor]
                break
            if is_dname(ancestor):
                found = ancestor
                break
    known[parent] = found
    return found


def check_touched_below_dnames(
    touched: Mapping[bytes, bytes | None], read_node: Callable[[bytes], bytes | None], apex: bytes
) -> None:
    """Changed nodes: none of them lies below a DNAME. `read_node` gives the zone's nodes as they will be.

    Names that exist already when a DNAME is added above them are not looked for: that would take a search of the
    whole zone. Such names stay in the zone and hidden by the DNAME. Raises `NodeError` (cname-conflict).
    """
    asked: dict[bytes, bool] = {}
    known: dict[bytes, bytes | None] = {}

    def is_dname(key: bytes) -> bool:
        answer = asked.get(key)
        if answer is None:
            node = read_node(key)
            answer = asked[key] = node is not None and bool(node[0] & node_layout.HAS_DNAME)
        return answer

    for key, node in touched.items():
        if node is not None:
            dname = _dname_above(key, is_dname, known)
            if dname is not None and not _may_be_below_dname(node):
                raise _below_dname(key, dname, apex)
