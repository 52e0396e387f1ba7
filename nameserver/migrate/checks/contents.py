"""What stands in a zone, as far as moving it is concerned: taken once from the stream of its records."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdatatype import CNAME, DNSKEY, DS, NS, NSEC, NSEC3, NSEC3PARAM, RRSIG, A

from nameserver.migrate.asking.zone_stream import ZoneStream, split_record
from nameserver.wire import names
from nameserver.wire.rdata import type_text
from nameserver.zone.sorted_places import key_at

# Types that providers made up, with PowerDNS's names of its own: no transfer brings their meaning along.
PROVIDER_TYPES = {65400: "ADDR", 65401: "ALIAS", 65402: "LUA"}
PRIVATE_USE = range(65280, 65534)  # RFC 6895 §3.1; 65534 are BIND's notes to itself while it signs
ADDRESSES = (int(A), 28)
_BESIDE = frozenset({"CNAME", "RRSIG", "NSEC", "NSEC3"})  # what may stand beside an alias (RFC 1034 §3.6.2, RFC 4034)


@dataclass(slots=True)
class Contents:
    """Names are folded and absolute, as text. `ttls`: the largest TTL of each RRset, by (owner, type)."""

    counts: Counter[str] = field(default_factory=Counter)
    ttls: dict[tuple[str, str], int] = field(default_factory=dict)
    delegations: dict[str, list[str]] = field(default_factory=dict)  # owner → targets
    wildcards: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    odd_types: dict[str, list[str]] = field(default_factory=dict)  # type → owners
    addresses: dict[str, list[str]] = field(default_factory=dict)  # owner → addresses
    apex_ns: list[str] = field(default_factory=list)
    apex_ns_ttl: int = 0
    keys: list[dns.rdata.Rdata] = field(default_factory=list)
    delegation_signers: dict[str, int] = field(default_factory=dict)  # owner → DS records
    denial: str = ""  # "NSEC", "NSEC3" or ""
    signatures: list[tuple[int, int]] = field(default_factory=list)  # inception, expiration: seconds since 1970
    occluded: list[str] = field(default_factory=list)  # owners below a delegation that are no glue
    malformed: list[str] = field(default_factory=list)  # owner and type of rdata that is none of its type
    beside_alias: list[str] = field(default_factory=list)  # owners with a CNAME and what must not stand beside it
    uncovered: dict[str, list[str]] = field(default_factory=dict)  # wildcard → names in its place, which it leaves out


def take_stock(stream: ZoneStream) -> Contents:
    """Read a zone once."""
    found = Contents()
    found.counts["SOA"] = 1
    texts: dict[bytes, str] = {}
    for record in stream.records:
        place, rdtype, rdata, ttl = split_record(record)
        if place not in texts:
            texts = {place: names.to_text_absolute(key_at(place) + stream.zone)}
            if texts[place].startswith("*."):
                found.wildcards.append(texts[place])
        owner, kind = texts[place], type_text(rdtype)
        found.counts[kind] += 1
        found.ttls[owner, kind] = max(ttl, found.ttls.get((owner, kind), 0))
        try:
            _note(found, owner, place, rdtype, rdata, ttl)
        except dns.exception.DNSException:
            found.malformed.append(f"{owner} {kind}")
    _find_occluded(found, names.to_text_absolute(stream.zone))
    found.beside_alias = sorted({owner for owner, kind in found.ttls if kind not in _BESIDE and owner in found.aliases})
    _find_uncovered(found)
    return found


def _note(found: Contents, owner: str, place: bytes, rdtype: int, rdata: bytes, ttl: int) -> None:
    if rdtype in ADDRESSES:
        found.addresses.setdefault(owner, []).append(_rdata(rdtype, rdata).to_text())
    elif rdtype == NS:
        target = _rdata(rdtype, rdata).to_text()
        if place:
            found.delegations.setdefault(owner, []).append(target)
        else:
            found.apex_ns.append(target)
            found.apex_ns_ttl = ttl
    elif rdtype == CNAME:
        found.aliases[owner] = _rdata(rdtype, rdata).to_text()
    elif rdtype == DNSKEY:
        found.keys.append(_rdata(rdtype, rdata))
    elif rdtype == DS:
        found.delegation_signers[owner] = found.delegation_signers.get(owner, 0) + 1
    elif rdtype in (NSEC3, NSEC3PARAM, NSEC):
        found.denial = "NSEC" if rdtype == NSEC else "NSEC3"
    elif rdtype == RRSIG:
        found.signatures.append((int.from_bytes(rdata[12:16], "big"), int.from_bytes(rdata[8:12], "big")))
    elif rdtype in PRIVATE_USE:
        known = PROVIDER_TYPES.get(rdtype)
        text = f"{known} ({type_text(rdtype)})" if known else type_text(rdtype)
        found.odd_types.setdefault(text, []).append(owner)


def _rdata(rdtype: int, rdata: bytes) -> dns.rdata.Rdata:
    kind = dns.rdatatype.RdataType.make(rdtype)
    return dns.rdata.from_wire(dns.rdataclass.IN, kind, rdata, 0, len(rdata))


def _parents(owner: str) -> Iterator[str]:
    while "." in owner.rstrip("."):
        owner = owner.partition(".")[2]
        yield owner


def _find_occluded(found: Contents, apex: str) -> None:
    """Data below a delegation that is not the address of one of its servers: nobody is ever answered with it."""
    glue = {target for targets in found.delegations.values() for target in targets}
    for owner, kind in found.ttls:
        below = next((cut for cut in _parents(owner) if cut in found.delegations), None)
        if below is not None and not (owner in glue and kind in ("A", "AAAA")) and kind not in ("NSEC", "RRSIG"):
            found.occluded.append(f"{owner} {kind}")


def _find_uncovered(found: Contents) -> None:
    """Names where a wildcard would stand for any, were they not there: it covers neither them nor what is below."""
    places = {wildcard[2:]: wildcard for wildcard in found.wildcards}
    if not places:
        return
    beside: dict[str, set[str]] = {wildcard: set() for wildcard in found.wildcards}
    for owner in {owner for owner, _ in found.ttls}:
        name = owner
        for above in _parents(owner):
            if above in places and name != places[above]:
                beside[places[above]].add(name)
            name = above
    found.uncovered = {wildcard: sorted(names) for wildcard, names in beside.items()}
