"""Finding servers from the root down, as a resolver does, but keeping what each server on the way said.

    root ─ who has `zone`? ─▶ referral to com ─▶ referral to example.com: that one's servers are the *parent's*, and
                                                 what each of them says about `zone` is the delegation

Nothing is cached beyond one run and no resolver is trusted: the parent's servers are asked one by one (they may
differ from one another, which is what a migration has to know).
"""

import asyncio
from dataclasses import dataclass, field

import dns.name
import dns.rdatatype
import dns.rrset

from nameserver.config.model import Endpoint
from nameserver.config.values import DNS_PORT
from nameserver.errors import NameserverError
from nameserver.migrate.asking import Asker, Question, Reply

MAX_STEPS = 32  # referrals and aliases on the way to one name
AT_ONCE = 4  # addresses of one server, or of the root, that are asked together
MOST_TRIED = 12  # addresses, after which a zone is given up
MAX_DEPTH = 6  # names of servers that have to be found before another can

# The root servers' addresses, IPv4 and IPv6 (IANA's root hints; they change once in years).
ROOTS: dict[str, tuple[str, str]] = {
    "a": ("198.41.0.4", "2001:503:ba3e::2:30"),
    "b": ("170.247.170.2", "2801:1b8:10::b"),
    "c": ("192.33.4.12", "2001:500:2::c"),
    "d": ("199.7.91.13", "2001:500:2d::d"),
    "e": ("192.203.230.10", "2001:500:a8::e"),
    "f": ("192.5.5.241", "2001:500:2f::f"),
    "g": ("192.112.36.4", "2001:500:12::d0d"),
    "h": ("198.97.190.53", "2001:500:1::53"),
    "i": ("192.36.148.17", "2001:7fe::53"),
    "j": ("192.58.128.30", "2001:503:c27::2:30"),
    "k": ("193.0.14.129", "2001:7fd::1"),
    "l": ("199.7.83.42", "2001:500:9f::42"),
    "m": ("202.12.27.33", "2001:dc3::35"),
}


class NotFound(NameserverError):
    """Nobody on the way from the root answered, or the name is not there."""


@dataclass(frozen=True, slots=True)
class Nameserver:
    """One server of a zone: its name, and the addresses that were found for it."""

    name: dns.name.Name
    addresses: tuple[Endpoint, ...] = ()

    def __str__(self) -> str:
        return self.name.to_text(omit_final_dot=True)


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone cut on the way down and the servers that the level above names for it."""

    name: dns.name.Name
    servers: tuple[Nameserver, ...]


@dataclass(slots=True)
class Tree:
    """The tree as seen from `roots`. `port`: where servers that are found by name listen, 53 but for tests.

    `families`: 4, 6, which kinds of address are asked and returned. `resolver`: is asked for names, zone cuts and
    addresses in place of walking down, where that way is closed; the parent's servers are asked all the same.
    """

    asker: Asker
    roots: tuple[Endpoint, ...] = ()
    port: int = DNS_PORT
    families: frozenset[int] = frozenset({4, 6})
    resolver: Endpoint | None = None
    _zones: dict[dns.name.Name, Zone] = field(default_factory=dict, repr=False)
    _addresses: dict[dns.name.Name, tuple[Endpoint, ...]] = field(default_factory=dict, repr=False)

    async def parent(self, zone: dns.name.Name) -> Zone:
        """The zone that delegates `zone`, with its servers and their addresses. Raises NotFound."""
        if zone == dns.name.root:
            raise NotFound("the root has no parent")
        above = await (self._authority(zone.parent(), 0) if self.resolver is None else self._cut_above(zone.parent()))
        return Zone(above.name, tuple([await self._with_addresses(server, 0) for server in above.servers]))

    async def addresses(self, name: dns.name.Name) -> tuple[Endpoint, ...]:
        """Where the server of that name is reached, IPv4 first; empty where it has no address. Raises NotFound."""
        return await self._find_addresses(name, 0)

    async def _with_addresses(self, server: Nameserver, depth: int) -> Nameserver:
        if server.addresses:
            return server
        try:
            return Nameserver(server.name, await self._find_addresses(server.name, depth + 1))
        except NotFound:
            return server

    async def _cut_above(self, name: dns.name.Name) -> Zone:
        """The lowest zone cut at or above `name`, by the resolver's word. Raises NotFound."""
        while True:
            reply = await self._ask_resolver(name, dns.rdatatype.NS)
            if (found := reply.answer(name, dns.rdatatype.NS)) is not None:
                return Zone(name, tuple(Nameserver(record.target) for record in found))
            if name == dns.name.root:
                raise NotFound(f"the resolver {self.resolver} knows no servers of the root")
            name = name.parent()

    async def _ask_resolver(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Reply:
        if self.resolver is None:
            raise AssertionError("asked only where there is one")
        outcome = await self.asker.ask(Question(name, rdtype, rd=True), self.resolver)
        if isinstance(outcome, Reply) and outcome.rcode in ("NOERROR", "NXDOMAIN"):
            return outcome
        told = outcome.rcode if isinstance(outcome, Reply) else outcome.detail
        raise NotFound(f"the resolver {self.resolver} did not answer {name} {dns.rdatatype.to_text(rdtype)}: {told}")

    def _root(self) -> Zone:
        endpoints = self.roots or tuple(Endpoint(address, DNS_PORT) for both in ROOTS.values() for address in both)
        kept = tuple(endpoint for endpoint in endpoints if self._wanted(endpoint.host))
        return Zone(dns.name.root, (Nameserver(dns.name.root, kept),))

    def _wanted(self, host: str) -> bool:
        return (6 if ":" in host else 4) in self.families

    async def _authority(self, name: dns.name.Name, depth: int) -> Zone:
        """The closest zone at or above `name`: found by going down from the lowest one that is known."""
        known = name
        while known not in self._zones and known != dns.name.root:
            known = known.parent()
        zone = self._zones.get(known) or self._root()
        for labels in range(len(zone.name.labels) + 1, len(name.labels) + 1):
            target = name.split(labels)[1]
            reply = await self._ask_zone(zone, Question(target, dns.rdatatype.NS), depth)
            cut = _referral(reply, zone.name, target)
            if cut is None:
                cut = reply.answer(target, dns.rdatatype.NS) if reply.authoritative else None
            if cut is not None:
                servers = tuple(self._named(record.target, reply) for record in cut)
                zone = self._zones[cut.name] = Zone(cut.name, servers)
        return zone

    def _named(self, target: dns.name.Name, reply: Reply) -> Nameserver:
        """A server with the glue that came along."""
        found = []
        for rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            for rrset in reply.message.additional:
                if rrset.name == target and rrset.rdtype == rdtype:
                    found += [Endpoint(record.address, self.port) for record in rrset if self._wanted(record.address)]
        return Nameserver(target, tuple(found))

    async def _ask_zone(self, zone: Zone, question: Question, depth: int) -> Reply:
        """The first usable reply of a zone's servers, a few of them asked at a time. Raises NotFound."""
        tried: list[str] = []
        for server in zone.servers:
            named = await self._with_addresses(server, depth)
            for start in range(0, min(len(named.addresses), MOST_TRIED), AT_ONCE):
                few = named.addresses[start : start + AT_ONCE]
                for outcome in await asyncio.gather(*(self.asker.ask(question, endpoint) for endpoint in few)):
                    if isinstance(outcome, Reply) and outcome.rcode in ("NOERROR", "NXDOMAIN"):
                        return outcome
                    told = outcome.rcode if isinstance(outcome, Reply) else outcome.detail
                    tried.append(f"{outcome.endpoint}: {told}")
            if len(tried) >= MOST_TRIED:
                break
        asked = f"{question.name} {dns.rdatatype.to_text(question.type)}"
        raise NotFound(f"no server of {zone.name} answered {asked}: {'; '.join(tried[:4]) or 'none has an address'}")

    async def _find_addresses(self, name: dns.name.Name, depth: int) -> tuple[Endpoint, ...]:
        if name in self._addresses:
            return self._addresses[name]
        if depth > MAX_DEPTH:
            raise NotFound(f"{name}: servers that are found by way of one another, {MAX_DEPTH} deep")
        wanted = [
            rdtype for rdtype, family in ((dns.rdatatype.A, 4), (dns.rdatatype.AAAA, 6)) if family in self.families
        ]
        sets = await asyncio.gather(*(self._lookup(name, rdtype, depth) for rdtype in wanted))
        found = tuple(Endpoint(record.address, self.port) for rrset in sets if rrset for record in rrset)
        self._addresses[name] = found
        return found

    async def _lookup(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, depth: int) -> dns.rrset.RRset | None:
        """One RRset by way of the tree, through aliases; None where it is not there. Raises NotFound."""
        for _ in range(MAX_STEPS):
            if self.resolver is not None:
                reply = await self._ask_resolver(name, rdtype)
            else:
                reply = await self._ask_zone(await self._authority(name, depth), Question(name, rdtype), depth)
            if (found := reply.answer(name, rdtype)) is not None:
                return found
            alias = reply.answer(name, dns.rdatatype.CNAME)
            if alias is None:
                return None
            name = alias[0].target
        raise NotFound(f"{name}: more than {MAX_STEPS} aliases")


def _referral(reply: Reply, above: dns.name.Name, target: dns.name.Name) -> dns.rrset.RRset | None:
    """The NS RRset of a delegation that lies below `above` and at or above `target`, where the reply is one."""
    if reply.authoritative and reply.message.answer:
        return None
    for rrset in reply.message.authority:
        below = rrset.name != above and rrset.name.is_subdomain(above)
        if rrset.rdtype == dns.rdatatype.NS and below and target.is_subdomain(rrset.name):
            return rrset
    return None
