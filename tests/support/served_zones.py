"""Zones as a worker holds them, from zone text.

dnspython reads the text, owner by owner, with names in the case they are written in; nothing of ours that is under
test takes part but the packing of nodes.
"""

from collections import defaultdict

import dns.name
import dns.zonefile

from nameserver.wire.rrset import RRset
from nameserver.zone.contents import Zone
from nameserver.zone.node import pack_node

HEAD = """
@ 3600 IN SOA ns1 hostmaster 2026010101 7200 900 1209600 300
@ 3600 IN NS ns1
ns1 3600 IN A 192.0.2.1
"""


def wire(text: str) -> bytes:
    """An absolute wire name from text, case kept; a missing final dot is added."""
    return dns.name.from_text(text).to_wire()


def key_of(text: str, origin: str) -> bytes:
    """The folded key of a name relative to a zone's apex: `key_of("www.example.", "example.") == b"\\3www"`."""
    name, apex = wire(text).lower(), wire(origin).lower()
    assert name.endswith(apex), f"{text} is not in {origin}"
    return name[: len(name) - len(apex)]


def rrsets_from_text(text: str, origin: str) -> list[RRset]:
    """Every RRset of a zone text in the order first seen; RRSIGs apart by the type covered."""
    found = dns.zonefile.read_rrsets(
        text, origin=dns.name.from_text(origin), relativize=False, rdclass=None, default_ttl=3600
    )
    return [
        RRset.of(rrset.name.to_wire(), rrset.rdtype, rrset.ttl, [rdata.to_wire() for rdata in rrset]) for rrset in found
    ]


def nodes_from_text(text: str, origin: str) -> tuple[bytes, dict[bytes, bytes]]:
    """(apex as received, nodes) of a zone text. The apex takes the case in which the SOA's owner is written."""
    return nodes_of(rrsets_from_text(text, origin), origin)


def nodes_of(rrsets: list[RRset], origin: str) -> tuple[bytes, dict[bytes, bytes]]:
    """The same of RRsets, in any order."""
    apex = next((rrset.owner for rrset in rrsets if rrset.type == 6), wire(origin))
    by_key: dict[bytes, list[RRset]] = defaultdict(list)
    for rrset in rrsets:
        by_key[rrset.owner.lower()[: len(rrset.owner) - len(apex)]].append(rrset)
    return apex, {
        key: pack_node(rrsets, None if rrsets[0].owner == key + apex else rrsets[0].owner)
        for key, rrsets in by_key.items()
    }


def zone_from_text(text: str, origin: str, generation: int = 1) -> Zone:
    """A served zone from zone text; `origin` is its name (`"example.com."`)."""
    apex, nodes = nodes_from_text(text, origin)
    return Zone.from_nodes(apex, nodes, generation)
