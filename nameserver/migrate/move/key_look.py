"""Asking what the keys of the old side are needed for: DS and NS at the parent, keys and signatures at both sides."""

import asyncio
from collections.abc import Collection, Iterable, Sequence

import dns.name
import dns.rdatatype
import dns.rrset

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Question, Reply
from nameserver.migrate.asking.walk import NotFound
from nameserver.migrate.checks import delegation
from nameserver.migrate.checks.delegation import ParentView
from nameserver.migrate.checks.old_keys import Look, Ttls
from nameserver.migrate.checks.signed_sides import Side, measure_side, names_in
from nameserver.migrate.move.phases import State
from nameserver.migrate.move.survey import Survey


async def look(survey: Survey, state: State, lasting: Sequence[tuple[str, str]] = (), *, ever_signed: bool) -> Look:
    """What is there now. Raises NotFound where no server of the parent answers.

    `lasting`: (owner, type) of what had the largest TTLs before the move: somebody may have raised them again.
    `ever_signed`: a DS or a key was there before. Where none is and was, no side is asked: servers count questions.
    """
    parent = await delegation.measure(survey.tree, survey.zone, only_parent=True)
    views = [view for view in parent.parents if not view.problem]
    if not views:
        raise NotFound(parent.silent)
    told = not parent.silent
    asked = ever_signed or not told or any(view.ds for view in views)
    old, new = [
        await asyncio.gather(
            *(measure_side(survey.asker, survey.zone, source.name, source.endpoint) for source in side)
        )
        for side in ((survey.old, survey.new) if asked else ((), ()))
    ]
    alone = state.old_names_alone
    if alone:
        sends = [f"{view.server} ({view.endpoint})" for view in views if view.ns & alone]
        sends += [f"the new side ({side.endpoint})" for side in new if names_in(side.ns) & alone]
        to_new = any(view.ns & frozenset(state.new_ns) for view in views)
    else:
        sends, to_new = await _by_addresses(survey, views, new)
    sets = [side.ns for side in (*old, *new) if side.ns is not None]
    return Look(
        {str(view.endpoint): view.ds for view in views},
        told,
        sends,
        to_new,
        old,
        new,
        any(names_in(side.ns) & alone for side in old),
        Ttls(
            max(view.ds_ttl for view in views),
            _largest(side.keys for side in old),
            max(_largest(side.soa for side in old), await _ttl_at(survey, [side.endpoint for side in old], lasting)),
            max([_largest(sets), *(view.ns_ttl for view in views)]),
        ),
    )


async def _by_addresses(survey: Survey, views: Sequence[ParentView], new: Sequence[Side]) -> tuple[list[str], bool]:
    """(who sends resolvers to the old side, whether anybody sends them to the new one), where names tell nothing."""
    at_old, at_new = ({source.endpoint.host for source in side} for side in (survey.old, survey.new))
    at_old -= at_new
    if survey.old and not at_old:
        return ["both sides have the same names and addresses: nobody can tell"], True
    found: list[tuple[str, Collection[str]]] = [
        (f"{view.server} ({view.endpoint}), by the glue of {name}", {address})
        for view in views
        for name, address in view.glue
    ]
    sends = []
    for name in sorted(frozenset().union(*(view.ns for view in views), *(names_in(side.ns) for side in new))):
        try:
            endpoints = await survey.tree.addresses(dns.name.from_text(name))
        except NotFound as error:
            sends.append(f"the address of {name} is not known: {error}")
        else:
            found.append((f"the address of {name}", {endpoint.host for endpoint in endpoints}))
    sends += [who for who, hosts in found if at_old & set(hosts)]
    return sends, any(at_new & set(hosts) for _, hosts in found)


async def _ttl_at(survey: Survey, servers: Sequence[Endpoint], wanted: Sequence[tuple[str, str]]) -> int:
    """The largest TTL that one of these RRsets has at any of the servers; 0 where none is there."""
    questions = [Question(dns.name.from_text(owner), dns.rdatatype.from_text(kind)) for owner, kind in wanted]
    outcomes = await asyncio.gather(*(survey.asker.ask(each, server) for each in questions for server in servers))
    return _largest(rrset for each in outcomes if isinstance(each, Reply) for rrset in each.message.answer)


def _largest(rrsets: Iterable[dns.rrset.RRset | None]) -> int:
    return max((int(rrset.ttl) for rrset in rrsets if rrset is not None), default=0)
