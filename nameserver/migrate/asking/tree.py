"""Finding servers from the root down, as a resolver does, but keeping what each server on the way said.

    root ─ who has `zone`? ─▶ referral to com ─▶ referral to example.com: that one's servers are the *parent's*, and
                                                 what each of them says about `zone` is the delegation

Nothing is cached beyond one run and no resolver is trusted: the parent's servers are asked one by one (they may
differ from one another, which is what a migration has to know).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import dns.name
import dns.rdatatype
import dns.rrset

from nameserver.config.model import Endpoint
from nameserver.config.values import DNS_PORT
from nameserver.migrate.asking.asking import Asker, Question, Reply
from nameserver.migrate.asking.root_hints import ROOTS
from nameserver.migrate.asking.walk import (
    LONGEST_IN_TRIES,
    MOST_ADDRESSES,
    MOST_SERVERS,
    Bounds,
    Endless,
    NotFound,
    Walk,
)

MAX_STEPS = 32  # aliases on the way to one name
AT_ONCE = 4  # addresses of one server, or of the root, that are asked together
MOST_TRIED = 12  # addresses, after which a zone is given up
MOST_LOOKED_UP = 6  # servers of a zone that came without an address and are looked for, until one answers


@dataclass(frozen=True, slots=True)
class Nameserver:
    """One server of a zone: its name, and the addresses that were found for it. `problem`: why nobody could tell."""

    name: dns.name.Name
    addresses: tuple[Endpoint, ...] = ()
    problem: str = ""

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
    Each call of a public method is a walk with an end of its own; `bounds` tells what was left out.
    """

    asker: Asker
    roots: tuple[Endpoint, ...] = ()
    port: int = DNS_PORT
    families: frozenset[int] = frozenset({4, 6})
    resolver: Endpoint | None = None
    bounds: Bounds = field(default_factory=Bounds)
    _zones: dict[dns.name.Name, Zone] = field(default_factory=dict, repr=False)
    _addresses: dict[dns.name.Name, tuple[Endpoint, ...]] = field(default_factory=dict, repr=False)
    _silent: set[Endpoint] = field(default_factory=set, repr=False)  # are asked after the others

    def __post_init__(self) -> None:
        self.bounds.patience = max(self.bounds.patience, LONGEST_IN_TRIES * self.asker.timeout)

    async def parent(self, zone: dns.name.Name) -> Zone:
        """The zone that delegates `zone`, with its servers and their addresses. Raises NotFound, Endless among it."""
        if zone == dns.name.root:
            raise NotFound("the root has no parent")
        walk = self.bounds.begin(zone)
        try:
            name = zone.parent()
            above = await (self._authority(name, walk) if self.resolver is None else self._cut_above(name, walk))
            return Zone(above.name, tuple([await self._with_addresses(server, walk) for server in above.servers]))
        except Endless as error:
            self.bounds.note(error, zone)
            raise

    async def addresses(self, name: dns.name.Name) -> tuple[Endpoint, ...]:
        """Where the server of that name is reached, IPv4 first; empty where it has no address.

        Raises NotFound, Endless among it.
        """
        if name in self._addresses:
            return self._addresses[name]
        walk = self.bounds.begin(name).into(name)
        try:
            return await self._find_addresses(name, walk)
        except Endless as error:
            self.bounds.note(error, name)
            raise

    async def _with_addresses(self, server: Nameserver, walk: Walk) -> Nameserver:
        if server.addresses:
            return server
        try:
            return Nameserver(server.name, await self._find_addresses(server.name, walk.into(server.name)))
        except Endless:
            raise
        except NotFound as error:
            return Nameserver(server.name, problem=str(error))

    async def _cut_above(self, name: dns.name.Name, walk: Walk) -> Zone:
        """The lowest zone cut at or above `name`, by the resolver's word. Raises NotFound."""
        while True:
            reply = await self._ask_resolver(name, dns.rdatatype.NS, walk)
            if (found := reply.answer(name, dns.rdatatype.NS)) is not None:
                return self._zone(name, [Nameserver(record.target) for record in found])
            if name == dns.name.root:
                raise NotFound(f"the resolver {self.resolver} knows no servers of the root")
            name = name.parent()

    async def _ask_resolver(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, walk: Walk) -> Reply:
        if self.resolver is None:
            raise AssertionError("asked only where there is one")
        walk.budget.take(1)
        outcome = await self.asker.ask(Question(name, rdtype, rd=True), self.resolver)
        if isinstance(outcome, Reply) and outcome.rcode in ("NOERROR", "NXDOMAIN"):
            return outcome
        told = outcome.rcode if isinstance(outcome, Reply) else outcome.detail
        raise NotFound(f"the resolver {self.resolver} did not answer {name} {dns.rdatatype.to_text(rdtype)}: {told}")

    def _root(self) -> Zone:
        endpoints = self.roots or tuple(Endpoint(address, DNS_PORT) for both in ROOTS.values() for address in both)
        kept = tuple(endpoint for endpoint in endpoints if self.wanted(endpoint.host))
        return Zone(dns.name.root, (Nameserver(dns.name.root, kept),))

    def wanted(self, host: str) -> bool:
        """Whether an address is of a family that is asked."""
        return (6 if ":" in host else 4) in self.families

    async def _authority(self, name: dns.name.Name, walk: Walk) -> Zone:
        """The closest zone at or above `name`: found by going down from the lowest one that is known."""
        known = name
        while known not in self._zones and known != dns.name.root:
            known = known.parent()
        zone = self._zones.get(known) or self._root()
        for labels in range(len(zone.name.labels) + 1, len(name.labels) + 1):
            target = name.split(labels)[1]
            reply = await self._ask_zone(zone, Question(target, dns.rdatatype.NS), walk)
            cut = _referral(reply, zone.name, target)
            if cut is None:
                cut = reply.answer(target, dns.rdatatype.NS) if reply.authoritative else None
            if cut is not None:
                zone = self._zones[cut.name] = self._zone(cut.name, self._named(cut, reply))
        return zone

    def _zone(self, name: dns.name.Name, servers: list[Nameserver]) -> Zone:
        self.bounds.leave_out(name.to_text(omit_final_dot=True), "servers", len(servers), MOST_SERVERS)
        return Zone(name, tuple(servers[:MOST_SERVERS]))

    def _named(self, cut: dns.rrset.RRset, reply: Reply) -> list[Nameserver]:
        """The servers of a zone with the glue that came along, IPv4 first."""
        glue: dict[dns.name.Name, list[Endpoint]] = {}
        for rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            for rrset in reply.message.additional:
                if rrset.rdtype == rdtype:
                    found = [Endpoint(record.address, self.port) for record in rrset if self.wanted(record.address)]
                    glue.setdefault(rrset.name, []).extend(found)
        return [Nameserver(each.target, self._bounded(each.target, glue.get(each.target, []))) for each in cut]

    def _bounded(self, name: dns.name.Name, found: list[Endpoint]) -> tuple[Endpoint, ...]:
        self.bounds.leave_out(name.to_text(omit_final_dot=True), "addresses", len(found), MOST_ADDRESSES)
        return tuple(found[:MOST_ADDRESSES])

    async def _ask_zone(self, zone: Zone, question: Question, walk: Walk) -> Reply:
        """The first usable reply of a zone's servers, a few of them asked at a time. Raises NotFound.

        Those whose addresses are known come first, and of these those that have not been silent.
        """
        tried: list[str] = []
        known = [endpoint for server in zone.servers for endpoint in server.addresses]
        known.sort(key=self._silent.__contains__)
        if (reply := await self._ask_some(known, zone.name, question, walk, tried)) is not None:
            return reply
        for server in [server for server in zone.servers if not server.addresses][:MOST_LOOKED_UP]:
            if len(tried) >= MOST_TRIED:
                break
            named = await self._with_addresses(server, walk)
            if (reply := await self._ask_some(named.addresses, zone.name, question, walk, tried)) is not None:
                return reply
        asked = f"{question.name} {dns.rdatatype.to_text(question.type)}"
        raise NotFound(f"no server of {zone.name} answered {asked}: {'; '.join(tried[:4]) or 'none has an address'}")

    async def _ask_some(
        self, endpoints: Sequence[Endpoint], zone: dns.name.Name, question: Question, walk: Walk, tried: list[str]
    ) -> Reply | None:
        for start in range(0, min(len(endpoints), MOST_TRIED - len(tried)), AT_ONCE):
            few = endpoints[start : start + AT_ONCE]
            walk.budget.take(len(few))
            outcomes = await asyncio.gather(*(self.asker.ask(question, endpoint) for endpoint in few))
            self._silent |= {each.endpoint for each in outcomes if not isinstance(each, Reply)}
            for outcome in outcomes:
                good = isinstance(outcome, Reply) and outcome.rcode in ("NOERROR", "NXDOMAIN")
                if isinstance(outcome, Reply) and good and _tells(outcome, zone, question.name):
                    return outcome
                told = "lame" if good else outcome.rcode if isinstance(outcome, Reply) else outcome.detail
                tried.append(f"{outcome.endpoint}: {told}")
        return None

    async def _find_addresses(self, name: dns.name.Name, walk: Walk) -> tuple[Endpoint, ...]:
        if name in self._addresses:
            return self._addresses[name]
        wanted = [
            rdtype for rdtype, family in ((dns.rdatatype.A, 4), (dns.rdatatype.AAAA, 6)) if family in self.families
        ]
        sets = await asyncio.gather(*(self._lookup(name, rdtype, walk) for rdtype in wanted))
        found = [Endpoint(record.address, self.port) for rrset in sets if rrset for record in rrset]
        self._addresses[name] = self._bounded(name, found)
        return self._addresses[name]

    async def _lookup(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, walk: Walk) -> dns.rrset.RRset | None:
        """One RRset by way of the tree, through aliases; None where it is not there. Raises NotFound."""
        for _ in range(MAX_STEPS):
            if self.resolver is not None:
                reply = await self._ask_resolver(name, rdtype, walk)
            else:
                reply = await self._ask_zone(await self._authority(name, walk), Question(name, rdtype), walk)
            if (found := reply.answer(name, rdtype)) is not None:
                return found
            alias = reply.answer(name, dns.rdatatype.CNAME)
            if alias is None:
                return None
            name = alias[0].target
        raise NotFound(f"{name}: more than {MAX_STEPS} aliases")


def _tells(reply: Reply, zone: dns.name.Name, target: dns.name.Name) -> bool:
    """Whether a reply says anything: that of a lame server, which leads nowhere or back up, does not."""
    return reply.authoritative or bool(reply.message.answer) or _referral(reply, zone, target) is not None


def _referral(reply: Reply, above: dns.name.Name, target: dns.name.Name) -> dns.rrset.RRset | None:
    """The NS RRset of a delegation that lies below `above` and at or above `target`, where the reply is one."""
    if reply.authoritative and reply.message.answer:
        return None
    for rrset in reply.message.authority:
        below = rrset.name != above and rrset.name.is_subdomain(above)
        if rrset.rdtype == dns.rdatatype.NS and below and target.is_subdomain(rrset.name):
            return rrset
    return None
