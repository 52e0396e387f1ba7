"""Which questions show which NSEC3: nobody can ask for one by its own name (RFC 5155 §7.2.8).

    a name and a type that it has not  ──▶ no data: the NSEC3 of the name (§7.2.3)
    a delegation without DS, its DS    ──▶ no data: that of the delegation (§7.2.4)
    a name below an alias              ──▶ no such name: that of the closest encloser, which is the alias (§7.2.1)

Of a delegation with a DS, and of what is below any, no question shows it.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from dns.rdatatype import AFSDB, HINFO, LOC, RP, X25

from nameserver.migrate.asking.zone_stream import ZoneStream, split_record
from nameserver.wire import codes
from nameserver.zone.denial import hashed_key
from nameserver.zone.sorted_places import canonical_place, key_at

MOST_ITERATIONS = 150  # of hashing: with more, the names of a large zone take too long
_SELDOM = (*map(int, (HINFO, RP, AFSDB, X25, LOC)), 0xFF00)  # one of them is at no name
_BELOW = b"no-such-name"

Wanted = tuple[bytes, int]  # place of an owner, type


@dataclass(frozen=True, slots=True)
class HashedProof:
    """`question`: what shows the NSEC3 at `place`, which is that of the name at `base`."""

    base: bytes
    question: Wanted
    place: bytes


def hashed_proofs_of(stream: ZoneStream, cuts: Container[bytes], found: Mapping[Wanted, None]) -> list[HashedProof]:
    """One for each NSEC3 that a question shows, where the zone has one chain of them.

    `cuts`: places of all delegations; `found`: every RRset that is no NSEC3 and no signature.
    """
    chains, hashed = set(), set()
    for record in stream.records:
        place, rdtype, rdata, _ = split_record(record)
        if rdtype == codes.NSEC3:
            chains.add((rdata[0], rdata[2:4], rdata[5 : 5 + rdata[4]]))
            hashed.add(place)
    if len(chains) != 1:
        return []
    [(algorithm, octets, salt)] = chains
    iterations = int.from_bytes(octets, "big")
    if algorithm != 1 or iterations > MOST_ITERATIONS:
        return []
    proofs: dict[bytes, HashedProof] = {}
    every = _with_those_above(place for place, _ in found)
    for name in every:
        at = canonical_place(hashed_key(key_at(name) + stream.zone, iterations, salt))
        question = _question(name, cuts, found, every) if at in hashed else None
        if question is not None:
            proofs[at] = HashedProof(name, question, at)
    return list(proofs.values())


def _with_those_above(places: Iterable[bytes]) -> dict[bytes, None]:
    """Each name once, and those above it that have nothing but names below them."""
    seen: dict[bytes, None] = {}
    for place in places:
        labels = place.split(b"\0") if place else []
        while (name := b"\0".join(labels)) not in seen:
            seen[name] = None
            if not labels:
                break
            labels.pop()
    return seen


def _question(name: bytes, cuts: Container[bytes], found: Container[Wanted], every: Container[bytes]) -> Wanted | None:
    parts = name.split(b"\0")
    if name and any(b"\0".join(parts[:end]) in cuts for end in range(1, len(parts))):
        return None
    if name in cuts:
        return None if (name, codes.DS) in found else (name, codes.DS)
    if (name, codes.CNAME) in found:
        star, child = (b"%s\0%s" % (name, label) for label in (b"*", _BELOW))
        return None if star in every or child in every else (child, codes.A)
    return next(((name, rdtype) for rdtype in _SELDOM if (name, rdtype) not in found), None)
