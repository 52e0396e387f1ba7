"""Who is to be told of a zone's change by what the zone itself says: RFC 1996 §2.1, the notify set.

That is every server named in the zone's NS records, but for the one in the SOA's MNAME. Where a server is, is taken
from the zones that we hold, its own among them (glue): nothing is looked up, so nothing that a zone says makes us ask
a stranger, and an answer that somebody forged sends no NOTIFY astray.
"""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from nameserver.wire import codes
from nameserver.wire.names import fold, label_offsets
from nameserver.zone.node import find_rrset
from nameserver.zone.soa import parse_soa

MOST_SERVERS = 32  # of a zone that are told; what a zone holds is for its primary to say, what it costs us is not

Address = IPv4Address | IPv6Address
NodeAt = Callable[[bytes, bytes], bytes | None]  # zone, key below it → the packed node, if that zone is held


def servers_named(apex_node: bytes, apex: bytes, soa_rdata: bytes) -> list[bytes]:
    """The folded names in the NS records but for the MNAME, in the records' order."""
    rrset = find_rrset(apex_node, codes.NS, apex)
    primary = fold(parse_soa(soa_rdata).mname)
    named = dict.fromkeys(map(fold, rrset.rdatas() if rrset else ()))
    return [name for name in named if name != primary][:MOST_SERVERS]


def addresses_of(host: bytes, node_at: NodeAt) -> list[Address]:
    """Where a host (folded name) is, by the zones that are held: IPv4 first. Empty where none of them says.

    The deepest of them that has an address is believed: a zone knows its own hosts better than its parent's glue.
    """
    for offset in (*label_offsets(host), len(host) - 1):
        node = node_at(host[offset:], host[:offset])
        if node is not None and (found := [each for each in _addresses(node, host) if _is_somebody(each)]):
            return found
    return []


def _addresses(node: bytes, host: bytes) -> Iterator[Address]:
    for rdtype in (codes.A, codes.AAAA):
        rrset = find_rrset(node, rdtype, host)
        if rrset is not None:
            yield from map(ip_address, rrset.rdatas())


def _is_somebody(address: Address) -> bool:
    """Not a group, not everybody, not nobody; and no address that needs to be told an interface."""
    odd = address.is_reserved if isinstance(address, IPv4Address) else address.ipv4_mapped is not None
    return not (odd or address.is_multicast or address.is_unspecified or address.is_link_local)
