"""All servers of a zone: those that the parent names, those that the zone itself names, with every address."""

import asyncio
from dataclasses import dataclass

import dns.name
import dns.rdatatype

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Question, Reply
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.asking.walk import (
    CODE_ENDLESS,
    CODE_LEFT_OUT,
    MOST_SERVERS,
    STEP_ENDLESS,
    STEP_LEFT_OUT,
    Endless,
    NotFound,
)

CODE_NO_ADDRESS = "no-address"
STEP_NO_ADDRESS = "Name only servers that have an address, or restore its record."


@dataclass(frozen=True, slots=True)
class Target:
    """One address of one server. `named_by`: "parent", "zone", "parent and zone" or "given"."""

    label: str
    endpoint: Endpoint
    named_by: str


@dataclass(frozen=True, slots=True)
class Unfound:
    """Servers that are not asked: the code of the finding, a sentence, what to do about it."""

    code: str
    text: str
    next_step: str


async def find_targets(tree: Tree, zone: dns.name.Name) -> tuple[list[Target], list[Unfound]]:
    """Every address of every server of `zone`, by name, and what could not be found.

    The parent's servers are asked for the delegation, then the servers of the delegation for the zone's own NS.
    Raises NotFound where the parent cannot be reached or does not delegate the zone.
    """
    parent = await tree.parent(zone)
    delegated: set[dns.name.Name] = set()
    question = Question(zone, dns.rdatatype.NS)
    ways = [endpoint for server in parent.servers for endpoint in server.addresses]
    for outcome in await asyncio.gather(*(tree.asker.ask(question, endpoint) for endpoint in ways)):
        if isinstance(outcome, Reply):
            found = outcome.authority(zone, dns.rdatatype.NS) or outcome.answer(zone, dns.rdatatype.NS)
            delegated |= {record.target for record in found or ()}
    if not delegated:
        raise NotFound(f"no server of {parent.name} delegates {zone}")
    problems: list[Unfound] = []
    delegated = _some(tree, zone, delegated)
    addresses = await _addresses(tree, delegated, problems)
    named: set[dns.name.Name] = set()
    ways = [endpoint for name in delegated for endpoint in addresses[name]]
    for outcome in await asyncio.gather(*(tree.asker.ask(question, endpoint) for endpoint in ways)):
        if isinstance(outcome, Reply) and (found := outcome.answer(zone, dns.rdatatype.NS)):
            named |= {record.target for record in found}
    named = _some(tree, zone, named)
    addresses |= await _addresses(tree, named - delegated, problems)
    problems += [Unfound(CODE_LEFT_OUT, text, STEP_LEFT_OUT) for text in tree.bounds.left_out]
    targets = []
    for name in sorted(delegated | named):
        by = " and ".join(who for who, names in (("parent", delegated), ("zone", named)) if name in names)
        targets += [Target(name.to_text(omit_final_dot=True), endpoint, by) for endpoint in addresses[name]]
    return targets, problems


def _some(tree: Tree, zone: dns.name.Name, servers: set[dns.name.Name]) -> set[dns.name.Name]:
    tree.bounds.leave_out(zone.to_text(omit_final_dot=True), "servers", len(servers), MOST_SERVERS)
    return set(sorted(servers)[:MOST_SERVERS])


async def _addresses(
    tree: Tree, names: set[dns.name.Name], problems: list[Unfound]
) -> dict[dns.name.Name, tuple[Endpoint, ...]]:
    found: dict[dns.name.Name, tuple[Endpoint, ...]] = {}
    for name in sorted(names):
        try:
            found[name] = await tree.addresses(name)
        except Endless as error:
            found[name] = ()
            problems.append(Unfound(CODE_ENDLESS, str(error), STEP_ENDLESS))
        except NotFound as error:
            found[name] = ()
            problems.append(Unfound(CODE_NO_ADDRESS, str(error), STEP_NO_ADDRESS))
        else:
            if not found[name]:
                problems.append(Unfound(CODE_NO_ADDRESS, f"{name} has no address", STEP_NO_ADDRESS))
    return found
