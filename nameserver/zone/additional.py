"""What goes with an answer unasked: the addresses of the hosts it names.

RFC 1035 §3.3 wants it, RFC 1183 §1 and §3.3, RFC 2230 §3.1, RFC 2782 and RFC 9460 §4.1 for the types that came later.

    asked            named                        added, if this zone has it
    NS               a host                       its A and AAAA, also where they are glue here
    MD, MF, MB, MX   a host                       its A and AAAA
    AFSDB, KX, RT    a host                       its A and AAAA
    SRV              a host                       its A and AAAA
    SVCB, HTTPS      a host                       its A and AAAA
                     another name (AliasMode)     its RRset of the same type, and its A and AAAA

All of it may be missing: it is left out where there is no room, without a word.
"""

from collections.abc import Iterator

from nameserver.wire import codes
from nameserver.wire.names import label_offsets, read_name, relative_key
from nameserver.wire.rrset import RRset
from nameserver.zone.contents import Zone
from nameserver.zone.lookup import Answer, addresses, lookup
from nameserver.zone.node import find_rrset, owner_of

MOST_HOSTS = 64  # per answer
MOST_LABELS = 1024  # of the names of these: each label of each is looked for, and names can have 127

_AFSDB, _RT, _KX = 18, 21, 36
# Octets of the rdata before the name of a host.
_BEFORE_HOST = {
    codes.NS: 0, codes.MD: 0, codes.MF: 0, codes.MB: 0, codes.MX: 2, _AFSDB: 2, _RT: 2, codes.SRV: 6, _KX: 2,
    codes.SVCB: 2, codes.HTTPS: 2,
}  # fmt: skip
_SERVICE_BINDINGS = (codes.SVCB, codes.HTTPS)
_ALIAS_MODE = b"\0\0"  # SvcPriority 0


def names_hosts(rdtype: int) -> bool:
    """Whether records of a type name hosts whose addresses go with them."""
    return rdtype in _BEFORE_HOST


def additional(zone: Zone, rrset: RRset) -> list[RRset]:
    """What goes with one RRset of an answer, each RRset once, without signatures."""
    found: dict[tuple[bytes, int], RRset] = {}
    for name, rdata in _hosts(rrset):
        key = relative_key(name.lower(), zone.apex)
        if key is None:
            continue
        if rrset.type in _SERVICE_BINDINGS and rdata[:2] == _ALIAS_MODE:
            for each in lookup(zone, key, rrset.type, name).answer:
                if each.type == rrset.type:
                    found[each.owner.lower(), each.type] = each
        for each in addresses(zone, key, name, glue=rrset.type == codes.NS):
            found[each.owner.lower(), each.type] = each
    return list(found.values())


def with_name_servers(zone: Zone, answer: Answer) -> Answer:
    """A positive answer with the zone's NS RRset and the addresses that go with that."""
    node = zone.nodes[b""]
    servers = find_rrset(node, codes.NS, owner_of(node, b"", zone.apex_as_received))
    if servers is None or servers in answer.answer:
        return answer
    more = [rrset for rrset in additional(zone, servers) if rrset not in answer.additional]
    return answer._replace(name_servers=(servers,), server_addresses=tuple(more))


def _hosts(rrset: RRset) -> Iterator[tuple[bytes, bytes]]:
    """The hosts that an RRset names, as (name, rdata of the record); not the root, which stands for none."""
    before = _BEFORE_HOST[rrset.type]
    labels = 0
    for number, rdata in enumerate(rrset.rdatas()):
        if number == MOST_HOSTS or labels > MOST_LABELS:
            return
        name, _ = read_name(rdata, before)
        labels += len(label_offsets(name))
        if len(name) > 1:
            yield name, rdata
