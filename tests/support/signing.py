"""Signed zones for the tests: the chains of NSEC or NSEC3 as a signer makes them, under signatures that nobody checks.

We serve what others sign, so what matters is that every record is where it belongs: which RRsets get a signature, how
the chains go, what their bitmaps say. Names, their order and their hashes are dnspython's; nothing of ours takes part
but the packing of nodes. The signatures are made up from what they cover, so that no two are alike.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import dns.dnssec
import dns.name
import dns.rdatatype
from support.served_zones import nodes_of, rrsets_from_text, wire

from nameserver.wire.rrset import RRset
from nameserver.zone.contents import Zone

NS, SOA, DNAME, DS, RRSIG, NSEC, NSEC3, NSEC3PARAM = 2, 6, 39, 43, 46, 47, 50, 51
KEY = f"@ 3600 IN DNSKEY 257 3 13 {'A' * 86}=="
HASH_ALGORITHM = 1


class Nsec(NamedTuple):
    """Denial by NSEC. `ttl` is that of the negative answers."""

    ttl: int = 300


class Nsec3(NamedTuple):
    """Denial by NSEC3; `salt` in hex digits."""

    iterations: int = 0
    salt: str = ""
    opt_out: bool = False
    ttl: int = 300

    @property
    def parameters(self) -> bytes:
        """NSEC3PARAM rdata; with other flags, how NSEC3 rdata begins."""
        salt = bytes.fromhex(self.salt)
        return struct.pack("!BBHB", HASH_ALGORITHM, 0, self.iterations, len(salt)) + salt

    def hash(self, name: dns.name.Name) -> str:
        """The hash of a name in base 32, lower case."""
        return dns.dnssec.nsec3_hash(name, self.salt or None, self.iterations, HASH_ALGORITHM).lower()


Types = dict[dns.name.Name, dict[int, RRset]]


def sign(text: str, origin: str, *methods: Nsec | Nsec3) -> list[RRset]:
    """Every RRset of a zone text, with what signing adds: a DNSKEY, the chains of these methods, signatures."""
    apex = dns.name.from_text(origin)
    zone: Types = {}
    for rrset in rrsets_from_text(f"{text}\n{KEY}\n", origin):
        zone.setdefault(dns.name.from_wire(rrset.owner, 0)[0], {})[rrset.type] = rrset
    for method in methods:
        if isinstance(method, Nsec3):
            params = zone[apex].get(NSEC3PARAM)
            rdatas = [*(params.rdatas() if params else ()), method.parameters]
            zone[apex][NSEC3PARAM] = RRset.of(wire(origin), NSEC3PARAM, 0, rdatas)
    inside = {name: rrsets for name, rrsets in zone.items() if not _is_occluded(name, apex, zone)}
    denying: list[RRset] = []
    for method in methods:
        denying += _nsec(inside, apex, method) if isinstance(method, Nsec) else _nsec3(inside, apex, method)
    signed = [rrset for name, rrsets in inside.items() for rrset in _authoritative(name, apex, rrsets)]
    everything = [rrset for rrsets in zone.values() for rrset in rrsets.values()] + denying
    return everything + [signature(rrset, wire(origin)) for rrset in signed + denying]


def signed_nodes(text: str, origin: str, *methods: Nsec | Nsec3) -> tuple[bytes, dict[bytes, bytes]]:
    """(apex as received, nodes) of a signed zone."""
    return nodes_of(sign(text, origin, *methods), origin)


def signed_zone(text: str, origin: str, *methods: Nsec | Nsec3, generation: int = 1) -> Zone:
    """A served zone that is signed."""
    apex, nodes = signed_nodes(text, origin, *methods)
    return Zone.from_nodes(apex, nodes, generation)


def signature(rrset: RRset, signer: bytes) -> RRset:
    """An RRSIG that looks as if it signed the RRset."""
    labels = len(dns.name.from_wire(rrset.owner, 0)[0]) - 1 - rrset.owner.startswith(b"\x01*")
    fields = struct.pack("!HBBIIIH", rrset.type, 13, labels, rrset.ttl, 2_200_000_000, 1_600_000_000, 4711)
    made_up = hashlib.sha512(rrset.owner.lower() + rrset.tails).digest()
    return RRset.of(rrset.owner, RRSIG, rrset.ttl, [fields + signer.lower() + made_up])


def _is_occluded(name: dns.name.Name, apex: dns.name.Name, zone: Mapping[dns.name.Name, Mapping[int, RRset]]) -> bool:
    while name != apex:
        name = name.parent()
        types = zone.get(name, {})
        if DNAME in types or (NS in types and name != apex):
            return True
    return False


def _authoritative(name: dns.name.Name, apex: dns.name.Name, rrsets: Mapping[int, RRset]) -> Iterable[RRset]:
    is_cut = NS in rrsets and name != apex
    return [rrset for rdtype, rrset in rrsets.items() if not is_cut or rdtype == DS]


def _nsec(inside: Types, apex: dns.name.Name, method: Nsec) -> list[RRset]:
    names = sorted(inside)
    made = []
    for name, following in zip(names, names[1:] + names[:1], strict=True):
        rrsets = inside[name]
        types = {NS, DS} & set(rrsets) if NS in rrsets and name != apex else set(rrsets)
        rdata = following.to_wire() + _bitmap(types | {RRSIG, NSEC})
        made.append(RRset.of(next(iter(rrsets.values())).owner, NSEC, method.ttl, [rdata]))
    return made


def _nsec3(inside: Types, apex: dns.name.Name, method: Nsec3) -> list[RRset]:
    names = set()
    for name, rrsets in inside.items():
        if method.opt_out and name != apex and NS in rrsets and DS not in rrsets:
            if not _is_below_wildcards_parent(name, apex, inside):
                continue
            name = name.parent()
        while name not in names:
            names.add(name)
            if name != apex:
                name = name.parent()
    hashes = sorted((method.hash(name), name) for name in names)
    made = []
    for index, (label, name) in enumerate(hashes):
        following = _base32_decode(hashes[(index + 1) % len(hashes)][0])
        types = set(inside.get(name, {}))
        if NS in types and name != apex:
            types &= {NS, DS}
        if types != {NS} and types:
            types.add(RRSIG)
        head = method.parameters[:1] + bytes([method.opt_out]) + method.parameters[2:]
        rdata = head + bytes([len(following)]) + following + _bitmap(types)
        owner = (dns.name.Name([label.encode()]) + apex).to_wire()
        made.append(RRset.of(owner, NSEC3, method.ttl, [rdata]))
    return made


def _is_below_wildcards_parent(name: dns.name.Name, apex: dns.name.Name, inside: Types) -> bool:
    """Whether a wildcard would cover names that empty non-terminals above this one keep from it.

    Then these have to be in the chain: left out, nothing could prove that the wildcard does not answer (see errata 3441
    of RFC 5155, which allows leaving them out, and does not see this).
    """
    while name != apex:
        name = name.parent()
        if name == apex:
            break
        wildcard = dns.name.Name(["*"]) + name.parent()
        if any(each.is_subdomain(wildcard) for each in inside):
            return True
    return False


def _base32_decode(text: str) -> bytes:
    number = 0
    for digit in text:
        number = number << 5 | "0123456789abcdefghijklmnopqrstuv".index(digit)
    return number.to_bytes(20, "big")


def _bitmap(types: Iterable[int]) -> bytes:
    windows: dict[int, bytearray] = {}
    for rdtype in sorted(types):
        window = windows.setdefault(rdtype >> 8, bytearray())
        low = rdtype & 0xFF
        window.extend(bytes(low // 8 + 1 - len(window)))
        window[low // 8] |= 0x80 >> low % 8
    return b"".join(bytes([number, len(bits)]) + bits for number, bits in windows.items())
