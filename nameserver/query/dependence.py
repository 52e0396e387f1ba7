"""What a reply depends on: how long, and for which messages, it may be given again (see `nameserver.query.shortcut`).

Worked out from the question and the finished reply, after the fact, so that answering itself has no second duty. Where
in doubt a reply depends on more than it does.
"""

from collections.abc import Iterator
from typing import NamedTuple

from nameserver.query.zoneset import Depends, ServedZone, ZoneSet
from nameserver.wire import codes
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request
from nameserver.wire.rrset import RRset
from nameserver.zone.additional import names_hosts

_REDIRECTIONS = (codes.CNAME, codes.DNAME)


class Dependence(NamedTuple):
    """`served` is the zone that answered, None where no zone did. `any_spelling`: fits the name in any letter case."""

    served: ServedZone | None
    depends: Depends
    any_spelling: bool


def dependence(zones: ZoneSet, request: Request, reply: Reply) -> Dependence:
    """What the reply to an ordinary question depends on."""
    served = zones.find_for(request.qname_folded, request.qtype)
    # The CNAME that a DNAME makes has the question's labels, as they were spelled, in its target.
    any_spelling = all(rrset.type != codes.DNAME for rrset in reply.answer)
    if served is None:
        return Dependence(None, Depends.ALL, any_spelling)
    if _is_of_its_node(served, request, reply):
        return Dependence(served, Depends.NODE, any_spelling)
    targets = (target for rrset in reply.answer for target in _targets(rrset))
    inside = all(_stays_inside(zones, served, target, request.qtype) for target in targets)
    return Dependence(served, Depends.ZONE if inside else Depends.ALL, any_spelling)


def _is_of_its_node(served: ServedZone, request: Request, reply: Reply) -> bool:
    """Whether the reply says no more than what the zone holds at the very name that was asked for."""
    if reply.rcode or not reply.answer or reply.authority or reply.additional or reply.name_servers:
        return False
    if names_hosts(request.qtype):
        return False  # no address goes with it, which ends as soon as a host has one
    name = request.qname_folded
    if served.zone is None or name[: len(name) - len(served.name)] not in served.zone.nodes:
        return False  # a wildcard's
    followed = request.qtype not in _REDIRECTIONS
    return all(rrset.owner.lower() == name and not (followed and rrset.type in _REDIRECTIONS) for rrset in reply.answer)


def _targets(rrset: RRset) -> Iterator[bytes]:
    return rrset.rdatas() if rrset.type in _REDIRECTIONS else iter(())


def _stays_inside(zones: ZoneSet, served: ServedZone, target: bytes, qtype: int) -> bool:
    """Whether no zone of ours but this one has a say at the end of a CNAME or DNAME."""
    found = zones.find_for(target.lower(), qtype)
    return found is None or found is served
