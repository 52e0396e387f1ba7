"""`migrate delegation`: what every server of the parent says about the zone, and whether the zone agrees.

    parent's servers, one by one ─ zone NS? ─▶ NS set · TTL · glue      ┐
                                 ─ zone DS? ─▶ DS set · TTL             ├─▶ stragglers · mismatches · lame servers
    each server that is named    ─ zone NS? ─▶ NS set as the zone has it ┘

The parent's TTLs decide how long resolvers go on asking the servers of before; the owner of the zone does not.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import dns.name
from dns.rdatatype import AAAA, CSYNC, DS, NS, RRSIG, SOA, A

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply
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
from nameserver.migrate.checks.child_sync import Csync, csync_of, judge_csync
from nameserver.migrate.report import Level, Report, Table

_PREFIX = {4: 24, 6: 48}
SHOWN = 13  # names of one set


@dataclass(frozen=True, slots=True)
class ParentView:
    """What one server of the parent said. Empty sets with a `problem` where it did not. Names as text, no final dot."""

    server: str
    endpoint: Endpoint
    ns: frozenset[str] = frozenset()
    ns_ttl: int = 0
    glue: tuple[tuple[str, str], ...] = ()  # (name, address), sorted
    ds: frozenset[str] = frozenset()
    ds_ttl: int = 0
    child_too: bool = False  # it answers for the zone itself, so what it says is not the delegation
    aa: bool = False  # of a referral it is not set
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ChildView:
    """What one server says that ought to have the zone."""

    server: str
    endpoint: Endpoint
    ns: frozenset[str] = frozenset()
    ns_ttl: int = 0
    addresses: tuple[tuple[str, str], ...] = ()  # of servers with names in the zone, as the zone has them
    without: frozenset[str] = frozenset()  # of those, who has none there, neither A nor AAAA
    csync: Csync | None = None
    aa: bool = False
    problem: str = ""


@dataclass(slots=True)
class Measured:
    """Everything that was seen. Sentences: `unfound` about servers of the parent whose address nobody could tell,
    `homeless` about servers without an address, `endless` about those that the way to was given up, `left_out` about
    what was too much to be looked at.
    """

    parent: str
    parents: list[ParentView] = field(default_factory=list)
    children: list[ChildView] = field(default_factory=list)
    unfound: list[str] = field(default_factory=list)
    homeless: list[str] = field(default_factory=list)
    endless: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def silent(self) -> str:
        """Which servers of the parent did not say what was asked, as a sentence; "" where all did."""
        told = [f"{view.server} ({view.endpoint}): {view.problem}" for view in self.parents if view.problem]
        nobody = "" if self.parents else "the parent has no server with an address"
        return "; ".join([*told, *self.unfound]) or nobody


async def measure(
    tree: Tree,
    zone: dns.name.Name,
    given: Sequence[tuple[str, Endpoint]] = (),
    *,
    parents: Sequence[tuple[str, Endpoint]] = (),
    only_parent: bool = False,
) -> Measured:
    """Ask every server of the parent, then every server that it names, and those `given` as (label, address).

    `parents`: in place of the parent's servers that the tree leads to. Raises NotFound where it leads to none.
    """
    if parents:
        seen, ways = Measured("the parent"), list(parents)
    else:
        parent = await tree.parent(zone)
        seen = Measured(parent.name.to_text(omit_final_dot=True) or ".")
        ways = [(str(server), endpoint) for server in parent.servers for endpoint in server.addresses]
        seen.unfound = [
            f"{server}, whose address is not found: {server.problem}" for server in parent.servers if server.problem
        ]
    seen.parents = list(await asyncio.gather(*(_ask_parent(tree.asker, zone, *way) for way in ways)))
    if only_parent:
        return seen
    named = sorted({name for view in seen.parents for name in view.ns})
    tree.bounds.leave_out(_text(zone), "servers at its parent", len(named), MOST_SERVERS)
    children: dict[Endpoint, str] = {endpoint: label for label, endpoint in given}
    for name in named[:MOST_SERVERS]:
        try:
            found = await tree.addresses(dns.name.from_text(name))
        except Endless as error:
            seen.endless.append(str(error))
            continue
        except NotFound as error:
            seen.homeless.append(f"{name}: {error}")
            continue
        if not found:
            seen.homeless.append(f"{name} has no address")
        children |= {endpoint: name for endpoint in found if endpoint not in children}
    seen.children = list(
        await asyncio.gather(*(_ask_child(tree.asker, zone, label, where) for where, label in children.items()))
    )
    seen.left_out = list(tree.bounds.left_out)
    return seen


async def _ask_parent(asker: Asker, zone: dns.name.Name, server: str, endpoint: Endpoint) -> ParentView:
    outcome, signers = await asyncio.gather(
        asker.ask(Question(zone, NS), endpoint), asker.ask(Question(zone, DS), endpoint)
    )
    if not isinstance(outcome, Reply) or outcome.rcode != "NOERROR":
        return ParentView(server, endpoint, problem=_problem(outcome))
    answered = outcome.answer(zone, NS)
    found = outcome.authority(zone, NS) or answered
    if found is None:
        return ParentView(server, endpoint, problem="no delegation")
    if not isinstance(signers, Reply) or signers.rcode != "NOERROR":
        return ParentView(server, endpoint, problem=f"asked for DS: {_problem(signers)}")
    ds = signers.answer(zone, DS)
    if ds is None and not signers.authoritative:  # only who is the parent can say that there is none (RFC 4035 §3.1.4)
        return ParentView(server, endpoint, problem="asked for DS: answered without authority")
    return ParentView(
        server,
        endpoint,
        _names(record.target for record in found),
        found.ttl,
        _glue(outcome, zone),
        frozenset(record.to_text() for record in ds) if ds else frozenset(),
        ds.ttl if ds else 0,
        child_too=answered is not None and outcome.authoritative,
        aa=outcome.authoritative,
    )


async def _ask_child(asker: Asker, zone: dns.name.Name, server: str, endpoint: Endpoint) -> ChildView:
    outcome = await asker.ask(Question(zone, NS), endpoint)
    if not isinstance(outcome, Reply):
        return ChildView(server, endpoint, problem=_problem(outcome))
    found = outcome.answer(zone, NS)
    if found is None or not outcome.authoritative:
        problem = "lame: it does not answer for the zone" if outcome.rcode == "NOERROR" else f"lame: {outcome.rcode}"
        return ChildView(server, endpoint, aa=outcome.authoritative, problem=problem)
    inside = [record.target for record in found if record.target.is_subdomain(zone)][:MOST_SERVERS]
    asked = [(name, rdtype) for name in inside for rdtype in (A, AAAA)]
    outcomes = await asyncio.gather(*(asker.ask(Question(name, rdtype), endpoint) for name, rdtype in asked))
    addresses = []
    without = set(map(_text, inside))
    for (name, rdtype), each in zip(asked, outcomes, strict=True):
        if not isinstance(each, Reply):
            return ChildView(server, endpoint, problem=f"asked for {_text(name)}: {_problem(each)}")
        found_there = each.answer(name, rdtype)
        addresses += [(_text(name), str(record.address)) for record in found_there or ()]
        if found_there or not each.authoritative:  # a name below a delegation is another zone's to tell
            without.discard(_text(name))
    targets = _names(record.target for record in found)
    csync = await _ask_csync(asker, zone, endpoint)
    return ChildView(
        server, endpoint, targets, found.ttl, tuple(sorted(addresses)), frozenset(without), csync, outcome.authoritative
    )


async def _ask_csync(asker: Asker, zone: dns.name.Name, endpoint: Endpoint) -> Csync | None:
    outcome, soa = await asyncio.gather(
        asker.ask(Question(zone, CSYNC, do=True), endpoint), asker.ask(Question(zone, SOA), endpoint)
    )
    found = outcome.answer(zone, CSYNC) if isinstance(outcome, Reply) else None
    if found is None or not isinstance(outcome, Reply):
        return None
    signed = any(rrset.rdtype == RRSIG and rrset.covers == CSYNC for rrset in outcome.message.answer)
    at = soa.answer(zone, SOA) if isinstance(soa, Reply) else None
    return csync_of(found[0], signed, at[0].serial if at else None)


def _text(name: dns.name.Name) -> str:
    return name.canonicalize().to_text(omit_final_dot=True)


def _names(found: Iterable[dns.name.Name]) -> frozenset[str]:
    return frozenset(map(_text, found))


def _glue(reply: Reply, zone: dns.name.Name) -> tuple[tuple[str, str], ...]:
    sets = [rrset for rrset in reply.message.additional if rrset.rdtype in (A, AAAA) and rrset.name.is_subdomain(zone)]
    return tuple(sorted((_text(rrset.name), str(record.address)) for rrset in sets for record in rrset))


def _problem(outcome: Outcome) -> str:
    return f"answered {outcome.rcode}" if isinstance(outcome, Reply) else f"{outcome.reason}: {outcome.detail}"


def judge(
    zone: dns.name.Name, seen: Measured, expected: frozenset[str] | None = None, *, overlap: bool = False
) -> Report:
    """Compare all views. `expected`: the names that ought to be there, folded, without final dots.

    `overlap`: the zone's own NS set may hold more than the parent's, as it does before a cut-over.
    """
    report = Report("delegation", _text(zone))
    told = [view.ns for view in seen.parents if view.ns and not view.child_too]
    wanted = expected if expected is not None else _most_common(told or (view.ns for view in seen.parents if view.ns))
    _judge_parents(report, seen, wanted, expected is not None)
    _judge_children(report, zone, seen, wanted, overlap=overlap, expected=expected is not None)
    _judge_glue(report, zone, seen, wanted)
    _judge_spread(report, seen)
    good = [view for view in seen.children if not view.problem]
    delegated = [view.ns for view in seen.parents if not view.problem and not view.child_too]
    for text in seen.homeless:
        report.add(Level.FAULT, "no-address", text, "Give it an address, or take it out of the delegation.")
    for text in seen.endless:
        report.add(Level.FAULT, CODE_ENDLESS, text, STEP_ENDLESS)
    for text in seen.left_out:
        report.add(Level.FAULT, CODE_LEFT_OUT, text, STEP_LEFT_OUT)
    report.tables += [_parent_table(seen, wanted), _child_table(seen, wanted)]
    report.facts = {
        "parent": seen.parent,
        "expected": sorted(wanted),
        "parents": {
            str(view.endpoint): {
                "ns": sorted(view.ns), "ns_ttl": view.ns_ttl, "ds": sorted(view.ds), "ds_ttl": view.ds_ttl,
                "glue": [list(each) for each in view.glue], "aa": view.aa, "problem": view.problem or None,
            }
            for view in seen.parents
        },
        "children": {
            f"{view.server} {view.endpoint}": {
                "ns": sorted(view.ns), "ns_ttl": view.ns_ttl, "aa": view.aa, "problem": view.problem or None,
            }
            for view in seen.children
        },
        "parent_ns_ttl": max((view.ns_ttl for view in seen.parents), default=0),
        "parent_ds_ttl": max((view.ds_ttl for view in seen.parents), default=0),
    }  # fmt: skip
    servers = [(f"{view.server} ({view.endpoint})", view.csync) for view in good]
    judge_csync(report, servers, delegated, _most_common(view.ns for view in good))
    report.unreachable = all(view.problem for view in seen.parents)
    ttl = report.facts["parent_ns_ttl"]
    if report.exit_code == 0:
        report.verdict = f"Delegated to {_set(wanted)[1:-1]} everywhere; a change takes up to {ttl} s to be seen."
    else:
        report.verdict = "The delegation is not the same everywhere."
    return report


def _most_common(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    counted: dict[frozenset[str], int] = {}
    for each in sets:
        counted[each] = counted.get(each, 0) + 1
    return max(counted, key=lambda each: (counted[each], sorted(each)), default=frozenset())


def _judge_parents(report: Report, seen: Measured, wanted: frozenset[str], expected: bool) -> None:
    for text in seen.unfound:
        report.add(Level.FAULT, "parent-silent", text, "Ask again: what it says of the zone is not known.")
    for view in seen.parents:
        where = f"{view.server} ({view.endpoint}) of {seen.parent}"
        if view.problem:
            report.add(
                Level.FAULT,
                "parent-silent",
                f"{where}: {view.problem}",
                "Ask again; if it stays so, tell the registry.",
            )
        elif view.child_too:
            text = f"{where} serves the zone itself: what it says is the zone's own NS set, not the delegation"
            step = "Resolvers that ask it get what stands there, and never come to another side: take the zone off it."
            report.add(Level.WARNING if expected else Level.NOTE, "parent-is-child", text, step if expected else "")
        if not view.problem and view.ns != wanted and (expected or not view.child_too):
            step = "Wait for the registry to publish it everywhere; it is not done before." if not expected else (
                "Change the NS set at the registrar; if that is done, wait until every server of the parent has it."
            )  # fmt: skip
            report.add(Level.FAULT, "straggler", f"{where} has {_set(view.ns)} instead of {_set(wanted)}", step)
    if len({view.ds for view in seen.parents if not view.problem}) > 1:
        report.add(
            Level.FAULT, "ds-differs", f"the servers of {seen.parent} have different DS sets", "Wait, and ask again."
        )


def _judge_children(
    report: Report, zone: dns.name.Name, seen: Measured, wanted: frozenset[str], *, overlap: bool, expected: bool
) -> None:
    theirs = "wanted are" if expected else "the parent's are"
    for view in seen.children:
        where = f"{view.server} ({view.endpoint})"
        if view.problem:
            code = "lame" if view.problem.startswith("lame") else "server-silent"
            step = "Load the zone there, or take the server out of the delegation."
            report.add(Level.FAULT, code, f"{where}: {view.problem}", step)
        elif view.ns != wanted and not (overlap and view.ns > wanted):
            text = f"{where} has {_set(view.ns)} as the zone's own NS, {theirs} {_set(wanted)}"
            step = f"Make the NS at {_text(zone)} and at its parent the same: resolvers use either."
            report.add(Level.FAULT, "ns-mismatch", text, step)


def _judge_glue(report: Report, zone: dns.name.Name, seen: Measured, wanted: frozenset[str]) -> None:
    inside = {name for name in wanted if dns.name.from_text(name).is_subdomain(zone)}
    truth: dict[str, set[str]] = {}
    for child in seen.children:
        for name, address in child.addresses:
            truth.setdefault(name, set()).add(address)
        for name in sorted(child.without):
            text = f"{child.server} ({child.endpoint}) names {name} as a server of the zone, and has no address for it"
            step = "Add its A or AAAA to the zone: whoever forgets the glue does not find it any more."
            report.add(Level.FAULT, "address-missing", text, step)
    for view in seen.parents:
        if view.problem or view.child_too:
            continue
        glue: dict[str, set[str]] = {}
        for name, address in view.glue:
            glue.setdefault(name, set()).add(address)
        for name in sorted(inside & view.ns):
            where = f"{view.server} ({view.endpoint})"
            if name not in glue:
                text = f"{where} gives no address for {name}, whose name is inside the zone"
                report.add(Level.FAULT, "glue-missing", text, "Register the host with its address at the registrar.")
            elif name in truth and glue[name] != truth[name]:
                ours, theirs = " ".join(sorted(glue[name])), " ".join(sorted(truth[name]))
                text = f"{where} gives {ours} for {name}, the zone itself {theirs}"
                report.add(Level.FAULT, "glue-differs", text, "Change the host's address at the registrar.")


def _judge_spread(report: Report, seen: Measured) -> None:
    """One network, one fate (RFC 2182 §3.1)."""
    hosts = [ip_address(view.endpoint.host) for view in seen.children if not view.problem]
    networks = {ip_network((host, _PREFIX[host.version]), strict=False) for host in hosts}
    if len(hosts) == 1:
        report.add(Level.WARNING, "one-server", "one address answers for the zone", "RFC 2182 asks for two, far apart.")
    elif len(networks) == 1 and hosts:
        text = f"all servers stand in one network, {networks.pop()}"
        report.add(Level.WARNING, "one-network", text, "RFC 2182 §3.1 asks for servers far apart.")


def _aa(authoritative: bool) -> str:
    return "AA" if authoritative else "-"


def _few(names: frozenset[str]) -> str:
    return " ".join(sorted(names)[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _set(names: frozenset[str]) -> str:
    if not names:
        return "nothing"
    return "{" + _few(names).replace(" ", ", ", min(len(names), SHOWN) - 1) + "}"


def _parent_table(seen: Measured, wanted: frozenset[str]) -> Table:
    rows: list[tuple[str, ...]] = []
    tones: dict[int, Level] = {}
    for view in seen.parents:
        if view.problem or (view.ns != wanted and not view.child_too):
            tones[len(rows)] = Level.FAULT
        signed = f"{len(view.ds)} DS, {view.ds_ttl} s" if view.ds else "no DS"
        said = view.problem or _few(view.ns)
        rows.append((view.server, str(view.endpoint), said, _aa(view.aa), str(view.ns_ttl or ""), signed))
    return Table(
        f"At the parent, {seen.parent}", ("SERVER", "ADDRESS", "NS", "AA", "TTL", "DNSSEC"), tuple(rows), tones
    )


def _child_table(seen: Measured, wanted: frozenset[str]) -> Table:
    rows: list[tuple[str, ...]] = []
    tones: dict[int, Level] = {}
    for view in seen.children:
        if view.problem or view.ns != wanted:
            tones[len(rows)] = Level.FAULT
        said = view.problem or _few(view.ns)
        rows.append((view.server, str(view.endpoint), said, _aa(view.aa), str(view.ns_ttl or "")))
    return Table("At the zone's servers", ("SERVER", "ADDRESS", "NS", "AA", "TTL"), tuple(rows), tones)
