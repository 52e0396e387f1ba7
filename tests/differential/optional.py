"""Which records of a reply may be there or not, without the answer being another.

    authority   of a reply with an answer: the NS RRset of the apex of the zone that answered
    additional  whatever is told about the hosts that the records sent so far name (RFC 1034 §4.3.2 step 6), but for
                a referral's in-domain glue (RFC 9471 §3.1): that is part of the answer

They are taken out of their sections and compared as fields of their own, `optional_authority` and
`optional_additional`. Everything else that stands in a section must be there, and nothing else may.
"""

from collections.abc import Iterable

from differential.seen import Rec, Seen, name_at, plain_rdata

NS, CNAME, SOA, RRSIG, SRV = 2, 5, 6, 46, 33
HOSTS = frozenset(
    (2, 15, 18, 21, 33, 35, 36, 64, 65)
)  # types whose data name a host: NS MX AFSDB RT SRV NAPTR KX SVCB HTTPS
NOBODY = b"\x00"  # "." elsewhere (RFC 2782, RFC 7505): some send the addresses of the root all the same
ADDED = frozenset((1, 28, 5, 33, 64, 65))  # what is told about a host: A AAAA CNAME SRV SVCB HTTPS


def split(seen: Seen, apexes: frozenset[bytes]) -> Seen:
    """The reply with its optional records in fields of their own. `apexes` are the folded names of the zones served."""
    authority, additional = seen.authority, seen.additional
    optional_authority: tuple[Rec, ...] = ()
    if seen.answer and authority and not any(covered(record) == SOA for record in authority):
        optional_authority = tuple(record for record in authority if covered(record) == NS and record.owner in apexes)
        authority = tuple(record for record in authority if record not in optional_authority)
    optional_additional: tuple[Rec, ...] = ()
    if additional:
        named = closure(seen)
        cuts = [record.owner for record in authority if record.rdtype == NS]
        optional_additional = tuple(
            record
            for record in additional
            if covered(record) in ADDED and record.owner in named and not any(below(record.owner, cut) for cut in cuts)
        )
        additional = tuple(record for record in additional if record not in optional_additional)
    return seen._replace(
        authority=authority,
        additional=additional,
        optional_authority=optional_authority,
        optional_additional=optional_additional,
    )


def closure(seen: Seen) -> set[bytes]:
    """The hosts named by answer and authority, by what is told about those hosts, and so on."""
    named: set[bytes] = set()
    found: Iterable[Rec] = (*seen.answer, *seen.authority)
    while more := {name for record in found for name in hosts(record)} - named:
        named |= more
        found = [record for record in seen.additional if record.owner in more]
    return named


def hosts(record: Rec) -> list[bytes]:
    """The hosts that a record names."""
    if record.rdtype not in HOSTS and record.rdtype != CNAME:
        return []
    parts = plain_rdata(record.rdata, record.rdtype, 0, len(record.rdata)).parts
    found = [octets for is_name, octets in parts if is_name]
    # "." stands for the owner itself in SVCB and HTTPS (RFC 9460 §2.5.2).
    return [record.owner if name == NOBODY and record.rdtype in (64, 65) else name for name in found]


def covered(record: Rec) -> int:
    """The record's type; for RRSIG the type it covers."""
    return record.key[2] or record.rdtype


def below(name: bytes, above: bytes) -> bool:
    """Whether a name is at or below another."""
    while len(name) > len(above):
        name = name[name[0] + 1 :]
    return name == above


def last_link(seen: Seen, qname: bytes) -> bytes:
    """Where a chain of CNAMEs in the answer leads to; `qname` itself where there is none."""
    links = {record.owner: name_at(record.rdata, 0)[0] for record in seen.answer if record.rdtype == CNAME}
    passed = set()
    while qname in links and qname not in passed:
        passed.add(qname)
        qname = links[qname]
    return qname
