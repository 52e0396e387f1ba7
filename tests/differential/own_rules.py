"""What our own replies must fulfil, whatever the peers say.

- Every record stands in one of the zones, TTL and letters included, or is made there: from a wildcard, from a DNAME, or
  as the SOA of a negative answer. Over UDP, a question with capitals may have letters changed to make room.
- RRsets are whole, no record is sent twice, a chain of aliases is in order.
- The reply is no larger than the client and our own limit allow, repeats the question, has an OPT where one was sent.
- Asked again, after many other questions, the same octets come.

A fault is a sentence; what stands behind its colon is the case at hand.
"""

from collections import defaultdict
from collections.abc import Iterator

from differential.compare import Case, Served
from differential.seen import RRSIG, Spelled, folded_data, name_at, spelled

OUR_UDP_LIMIT = 1232
CNAME, SOA, DNAME, CHAOS = 5, 6, 39, 3


class Contents:
    """All records of a world's zones, by folded owner and type (RRSIG: and type covered)."""

    def __init__(self, served: Served) -> None:
        self.rrsets: dict[tuple[bytes, int, int], list[tuple[bytes, int, frozenset[bytes]]]] = defaultdict(list)
        self.minimum: dict[bytes, int] = {}
        self.folded = self
        for zone in served.world.zones:
            for rrset in zone.rrsets():
                by_covered: dict[int, set[bytes]] = defaultdict(set)
                for rdata in rrset.rdatas:
                    octets = rdata.to_wire()
                    by_covered[covered(rrset.rdtype, octets)].add(octets)
                owner = rrset.owner.to_wire()
                for which, datas in by_covered.items():
                    self.rrsets[owner.lower(), rrset.rdtype, which].append((owner, rrset.ttl, frozenset(datas)))
                if rrset.rdtype == SOA:
                    self.minimum[owner.lower()] = min(rrset.ttl, rrset.rdatas[0].minimum)

    @classmethod
    def of(cls, served: Served) -> "Contents":
        """Of a world; with another in `folded`, in which all letters are in lower case."""
        contents, contents.folded = cls(served), cls(served)
        for key, rrsets in contents.folded.rrsets.items():
            contents.folded.rrsets[key] = [
                (owner.lower(), ttl, frozenset(folded_data(key[1], data) for data in datas))
                for owner, ttl, datas in rrsets
            ]
        return contents


def covered(rdtype: int, rdata: bytes) -> int:
    return rdata[0] << 8 | rdata[1] if rdtype == RRSIG else 0


def faults(case: Case, wire: bytes, contents: Contents) -> list[str]:
    """The rules that a reply of ours breaks, as sentences."""
    question, ours = case.question, case.ours
    found = []
    if question.rdclass == CHAOS:
        return found
    if len(wire) > (65535 if question.transport == "tcp" else min(question.limit, OUR_UDP_LIMIT)):
        found.append(f"the reply is too large: {len(wire)} octets")
    if ours.question and ours.question != question.question:
        found.append("the question is not the one asked")
    # Behind two questions nobody reads on.
    if (ours.opt is None) != (question.edns is None) and question.questions < 2:
        found.append("an OPT record where none was sent, or none where one was")
    records = spelled(wire)
    if len(set(records)) < len(records):
        found.append("a record is there twice")
    if question.transport == "udp" and question.name.to_wire() != case.qname:
        records = [record.folded() for record in records]
        contents = contents.folded
    rrsets: dict[tuple[int, bytes, int, int], list[Spelled]] = defaultdict(list)
    for record in records:
        rrsets[record.section, record.owner, record.rdtype, covered(record.rdtype, record.rdata)].append(record)
    for rrset in rrsets.values():
        found.extend(wrong_data(case, rrset, records, contents))
    found.extend(wrong_order(case, [record for record in records if record.section == 0]))
    return found


def repeated(wire: bytes, again: bytes | None) -> list[str]:
    """What is wrong with the reply to the same message sent again; its id may be another."""
    return [] if again is not None and again[2:] == wire[2:] else ["asked again, it is answered otherwise"]


def wrong_data(case: Case, rrset: list[Spelled], records: list[Spelled], contents: Contents) -> Iterator[str]:
    """What is wrong with one RRset: its data, its TTL, its letters."""
    first = rrset[0]
    which = covered(first.rdtype, first.rdata)
    sent = frozenset(record.rdata for record in rrset)
    what = f"{first.owner!r} type {first.rdtype}"
    if first.rdtype == CNAME and made_by_dname(first, records):
        return
    if first.section == 1 and (first.rdtype == SOA or which == SOA):
        minimum = contents.minimum.get(first.owner.lower())
        if first.ttl != minimum:
            yield f"the SOA has not the TTL of a negative answer: {first.ttl}"
        candidates = contents.rrsets.get((first.owner.lower(), first.rdtype, which), [])
        if not any(datas == sent for _, _, datas in candidates):
            yield f"an SOA is not what the zone holds: {what}"
        return
    for owner, ttl, datas in sources(first.owner, first.rdtype, which, contents):
        if ttl == first.ttl and datas == sent and (owner is None or owner == first.owner):
            return
    yield f"an RRset is in no zone, or not whole, or in other letters: {what}"


def sources(
    owner: bytes, rdtype: int, which: int, contents: Contents
) -> Iterator[tuple[bytes | None, int, frozenset[bytes]]]:
    """RRsets that may appear under an owner: its own, with the spelling it must have, and those of wildcards above."""
    folded = owner.lower()
    yield from contents.rrsets.get((folded, rdtype, which), [])
    while len(folded) > 1:
        folded = folded[folded[0] + 1 :]
        for _, ttl, datas in contents.rrsets.get((b"\x01*" + folded, rdtype, which), []):
            yield None, ttl, datas


def made_by_dname(cname: Spelled, records: list[Spelled]) -> bool:
    """Whether a DNAME in the same section makes this CNAME (RFC 6672 §2.2, §3.1)."""
    for dname in records:
        if dname.rdtype == DNAME and dname.section == cname.section and dname.ttl == cname.ttl:
            prefix = cname.owner[: len(cname.owner) - len(dname.owner)]
            if prefix and cname.owner.lower().endswith(dname.owner.lower()) and cname.rdata == prefix + dname.rdata:
                return True
    return False


def wrong_order(case: Case, answer: list[Spelled]) -> Iterator[str]:
    """Aliases stand in the order in which they are followed, from the name asked."""
    name = case.qname
    for record in answer:
        if record.rdtype in (DNAME, RRSIG):
            continue
        if record.owner.lower() != name:
            yield f"the answer is not in the order of its chain: {record.owner!r} type {record.rdtype}"
            return
        if record.rdtype == CNAME and case.question.rdtype != CNAME:
            name = name_at(record.rdata, 0)[0].lower()
