"""Who answers for the zones that are delegated below a zone: a move must lose none, nor be blamed for one.

    delegation in the zone ─ its servers ─▶ glue, or by way of the tree ─▶ SOA? ─▶ answers · lame · silent · no address

Asked before the move and after it, at the old side's delegations and at the new side's, it shows what the move changed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dns.name
from dns.rdatatype import SOA

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker, Question, Reply
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.asking.walk import CODE_ENDLESS, MOST_ADDRESSES, MOST_SERVERS, STEP_ENDLESS, Endless, NotFound
from nameserver.migrate.report import Level, Report, Table

MOST = 100  # delegations that are asked, unless it is said otherwise
PATIENCE = 60.0  # seconds for finding servers whose addresses are not in the zone
LOOKUPS_AT_ONCE = 8
SHOWN = 20  # delegations in the table, where all is well
LAME, SILENT = "lame", "silent"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one address of one server says of one delegated zone. `kind`: "", "lame" or "silent"."""

    owner: str
    server: str
    endpoint: Endpoint
    serial: int | None
    kind: str = ""
    problem: str = ""


@dataclass(slots=True)
class Measured:
    """All answers. `homeless`: by (owner, server), why it has no address. `left`: delegations that were not asked."""

    answers: list[Answer] = field(default_factory=list)
    homeless: dict[tuple[str, str], str] = field(default_factory=dict)
    endless: list[str] = field(default_factory=list)
    asked: int = 0
    left: int = 0


async def measure(
    tree: Tree, delegations: Mapping[str, Sequence[str]], addresses: Mapping[str, Sequence[str]], most: int = MOST
) -> Measured:
    """Ask every server of the first `most` delegations. Both mappings by owner, absolute names as text.

    `addresses`: all that the zone has, glue among it; a server that is not in it is looked for from the root down.
    """
    owners = sorted(delegations)[:most]
    seen = Measured(asked=len(owners), left=len(delegations) - len(owners))
    pairs = [(owner, server) for owner in owners for server in sorted(set(delegations[owner]))[:MOST_SERVERS]]
    servers = {server for _, server in pairs}
    found: dict[str, tuple[Endpoint, ...] | NotFound] = {
        server: tuple(Endpoint(each, tree.port) for each in addresses[server] if tree.wanted(each))[:MOST_ADDRESSES]
        for server in servers & addresses.keys()
    }
    found |= await _look_for(tree, sorted(servers - addresses.keys()))
    asks = []
    for owner, server in pairs:
        known = found[server]
        if isinstance(known, Endless):
            seen.endless.append(f"a server of {owner}: {known}")
        elif isinstance(known, NotFound):
            seen.homeless[owner, server] = str(known)
        elif not known:
            seen.homeless[owner, server] = "it has no address"
        else:
            asks += [_ask(tree.asker, owner, server, endpoint) for endpoint in known]
    seen.answers = list(await asyncio.gather(*asks))
    return seen


async def _look_for(tree: Tree, wanted: Sequence[str]) -> dict[str, tuple[Endpoint, ...] | NotFound]:
    """The addresses of servers whose names are not in the zone, as far as there is time."""
    places = asyncio.Semaphore(LOOKUPS_AT_ONCE)
    until = tree.bounds.clock() + PATIENCE

    async def look_for(server: str) -> tuple[Endpoint, ...] | NotFound:
        async with places:
            if tree.bounds.clock() >= until:
                return NotFound(f"not looked for: {PATIENCE:g} s have gone into the servers before it")
            try:
                return await tree.addresses(dns.name.from_text(server))
            except NotFound as error:
                return error

    results = await asyncio.gather(*map(look_for, wanted))
    return dict(zip(wanted, results, strict=True))


async def _ask(asker: Asker, owner: str, server: str, endpoint: Endpoint) -> Answer:
    name = dns.name.from_text(owner)
    outcome = await asker.ask(Question(name, SOA), endpoint)
    if not isinstance(outcome, Reply):
        return Answer(owner, server, endpoint, None, SILENT, f"{outcome.reason}: {outcome.detail}")
    if outcome.rcode != "NOERROR":
        return Answer(owner, server, endpoint, None, LAME, f"answers {outcome.rcode}")
    soa = outcome.answer(name, SOA)
    if not outcome.authoritative:
        return Answer(owner, server, endpoint, None, LAME, "answers without authority")
    if soa is None:
        return Answer(owner, server, endpoint, None, LAME, "has no SOA of it")
    return Answer(owner, server, endpoint, soa[0].serial)


def judge(report: Report, seen: Measured) -> None:
    """Add what was seen to a report. All are warnings: it is others' zones that they are about."""
    for each in seen.answers:
        if each.kind:
            where = f"{each.owner} is delegated to {each.server} ({each.endpoint})"
            text = f"{where}, which {each.problem}" if each.kind == LAME else f"{where}: {each.problem}"
            step = "Tell who runs it, or take it out of the delegation; know it before the move, which is not at fault."
            report.add(Level.WARNING, f"child-{each.kind}", text, step)
    for (owner, server), why in sorted(seen.homeless.items()):
        text = f"{owner} is delegated to {server}: {why}"
        report.add(Level.WARNING, "child-no-address", text, "Give it an address, or take it out of the delegation.")
    for text in seen.endless:
        report.add(Level.WARNING, CODE_ENDLESS, text, STEP_ENDLESS)
    good = {each.owner for each in seen.answers if not each.kind}
    bad = {each.owner for each in seen.answers if each.kind} | {owner for owner, _ in seen.homeless}
    for owner in sorted(bad - good):
        report.add(Level.WARNING, "child-dead", f"no server of {owner} answers for it: nothing below it is found")
    if seen.left:
        text = f"{seen.left} more delegations were not asked"
        report.add(Level.NOTE, "children-left", text, "--children COUNT asks more of them.")
    if seen.asked and not bad:
        report.add(Level.GOOD, "children", f"every server of {_zones(seen.asked)} below answers for it")
    report.tables += _table(seen, bad)
    report.facts["children"] = {
        "asked": seen.asked,
        "dead": sorted(bad - good),
        "problems": {
            **{f"{each.owner} {each.server} {each.endpoint}": each.problem for each in seen.answers if each.kind},
            **{f"{owner} {server}": why for (owner, server), why in seen.homeless.items()},
        },
    }


def _zones(number: int) -> str:
    return f"the {number} zones" if number > 1 else "the zone"


def _table(seen: Measured, bad: set[str]) -> list[Table]:
    all_shown = seen.asked <= SHOWN
    rows: list[tuple[str, ...]] = []
    tones: dict[int, Level] = {}
    for each in seen.answers:
        if each.kind:
            tones[len(rows)] = Level.WARNING
        if each.kind or all_shown:
            told = each.problem if each.kind else f"serial {each.serial}"
            rows.append((each.owner, each.server, str(each.endpoint), told))
    for (owner, server), why in sorted(seen.homeless.items()):
        tones[len(rows)] = Level.WARNING
        rows.append((owner, server, "", why))
    title = "Servers of delegations" if all_shown else f"Servers of delegations that do not answer ({len(bad)} zones)"
    return [Table(title, ("OWNER", "SERVER", "ADDRESS", "ANSWER"), tuple(rows), tones)] if rows else []
