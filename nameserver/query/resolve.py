"""From a question to the records that answer it, over all zones we serve (RFC 1034 §4.3.2).

One zone answers one name at a time (`nameserver.zone.lookup`); here its answer becomes a reply, and CNAMEs and DNAMEs
are followed from zone to zone for as long as the next name is ours:

    question ──▶ zone ──▶ HIT, NODATA, NXDOMAIN, REFERRAL ──▶ reply
                  ▲ └───▶ CNAME, DNAME ── add to the answer; target ours, new, and not too far on? ── no ──▶ reply
                  └──────────────────────────────────────────────────────────────────── yes ┘

Clients that set DO get the signatures and proofs that a signed zone has for each step (`nameserver.zone.dnssec`): of
the links of a chain those that show a wildcard was rightly used, of its end all that a question for it alone would get.

The chain's last name decides on RCODE and authority section (RFC 6604 §2.1, RFC 2308 §2), its first on AA: a reply
that begins with a CNAME of ours is authoritative even where it ends in a referral (RFC 1035 §4.1.1).
"""

from collections.abc import Sequence

from nameserver.query.exchange import Exchange, refusal
from nameserver.query.rate_limit import Told
from nameserver.query.zoneset import ServedZone, ZoneSet, ZoneState
from nameserver.wire import codes
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request
from nameserver.wire.rrset import RRset
from nameserver.zone.additional import additional, names_hosts, with_name_servers
from nameserver.zone.contents import Zone
from nameserver.zone.dnssec import add_dnssec
from nameserver.zone.lookup import Answer, Kind, lookup

# CNAMEs and DNAMEs followed for one question, as BIND has it; the client goes on from where we stop.
MAX_LINKS = 11
# Asked for by those who validate what these very name servers said: NSD and BIND do not name them again.
_FOR_VALIDATORS = (codes.DS, codes.DNSKEY)


def answer_query(
    zones: ZoneSet, request: Request, now: int, *, minimal: bool = True, asker: Exchange | None = None
) -> Reply:
    """The reply to an ordinary question of class IN: never an error, whatever is asked. `now` is in whole seconds.

    Unless it is to be `minimal`, the zone's name servers go with what it answers (RFC 1034 §6.2.1 has them so). `asker`
    tells who asks, where that is known: see `depends_on_asker`.
    """
    zones.hash_budget.begin(now)
    qname, qtype = request.qname_folded, request.qtype
    served = zones.find_for(qname, qtype)
    if served is None:
        return refusal(codes.REFUSED, codes.EDE_NOT_AUTHORITATIVE)
    if qtype == codes.SOA:
        served.control_queries += 1
    else:
        served.queries += 1
    if served.paused and not (depends_on_asker(served, request) and _may_transfer(served, asker)):
        # Not Prohibited, which is about who asks, nor Blocked, a resolver's blocklist (RFC 8914 §4.1, §4.16, §4.19).
        return refusal(served.paused, codes.EDE_OTHER, "zone paused by the operator")
    zone = served.zone
    if zone is None or served.state is not ZoneState.SERVING:
        return not_serving(served)
    key = qname[: len(qname) - len(zone.apex)]
    edns = request.edns
    dnssec = edns is not None and edns.dnssec_ok
    answer = _look_up(zones, zone, key, qtype, request.qname, dnssec, minimal)
    if answer.kind is Kind.HIT:
        return Reply(
            authoritative=True,
            answer=list(answer.answer),
            authority=list(answer.authority),
            additional=list(answer.additional),
            name_servers=answer.name_servers,
            server_addresses=answer.server_addresses,
        )
    records = list(answer.answer)
    authority = list(answer.authority)
    if records:
        answer = _follow(zones, answer, qname, qtype, dnssec, minimal, records, authority)
    return Reply(
        rcode=_rcode(answer),
        authoritative=bool(records) or answer.kind is not Kind.REFERRAL,
        answer=records,
        authority=authority,
        additional=list(answer.additional),
        glue_required=answer.glue_required,
        name_servers=answer.name_servers,
        server_addresses=answer.server_addresses,
    )


def _look_up(zones: ZoneSet, zone: Zone, key: bytes, qtype: int, qname: bytes, dnssec: bool, minimal: bool) -> Answer:
    """One zone's answer, with all that goes with it."""
    answer = lookup(zone, key, qtype, qname)
    if answer.kind is Kind.HIT:
        if names_hosts(qtype):
            answer = answer._replace(additional=tuple(additional(zone, answer.answer[0])))
        if not minimal and qtype not in _FOR_VALIDATORS:
            answer = with_name_servers(zone, answer)
    return add_dnssec(zone, key, answer, zones.hash_budget) if dnssec else answer


def depends_on_asker(served: ServedZone, request: Request) -> bool:
    """Whether a question is answered to some who ask it and not to others.

    So is that for the SOA of a paused zone: whoever may transfer it goes on seeing whether there is a new version, as
    the zone below would expire otherwise, and all for a trial of what resolvers do.
    """
    return served.paused != 0 and request.qtype == codes.SOA and request.qname_folded == served.name


def _may_transfer(served: ServedZone, asker: Exchange | None) -> bool:
    return asker is not None and served.allow_transfer.allows(asker.address, asker.key_name, asker.client)


def not_serving(served: ServedZone) -> Reply:
    """SERVFAIL for a zone we are configured for but hold no valid version of (RFC 8914 §4.15, §4.25)."""
    if served.state is ZoneState.EXPIRED:
        return refusal(codes.SERVFAIL, codes.EDE_INVALID_DATA, "zone expired")
    return refusal(codes.SERVFAIL, codes.EDE_NOT_READY, "zone not loaded yet")


def _follow(
    zones: ZoneSet,
    step: Answer,
    name: bytes,
    qtype: int,
    dnssec: bool,
    minimal: bool,
    records: list[RRset],
    authority: list[RRset],
) -> Answer:
    """Follow a chain of which `step` is the first link, adding to `records` and `authority`; gives the last step.

    A chain may end on a link: when it leaves our zones, comes back to a name it had, gets too long, or comes to what
    cannot be told in the same message. The client then has every link found, and goes on from the last one by itself.
    """
    seen = {name}
    for _ in range(MAX_LINKS):
        if step.target is None:
            break
        name = step.target.lower()
        if name in seen:
            break
        seen.add(name)
        served = zones.find_for(name, qtype)
        zone = None if served is None else served.answered
        if zone is None:
            break
        key = name[: len(name) - len(zone.apex)]
        following = _look_up(zones, zone, key, qtype, step.target, dnssec, minimal)
        if _contradict(authority, following.authority):
            break
        step = following
        # One DNAME may apply twice on the way, and one record prove two things; it is sent once.
        records.extend(rrset for rrset in step.answer if rrset not in records)
        authority.extend(rrset for rrset in step.authority if rrset not in authority)
    return step


def _contradict(told: Sequence[RRset], more: Sequence[RRset]) -> bool:
    """Whether proofs of two zones would become one RRset that neither has signed.

    Parent and child both have an NSEC record at the cut between them, and a chain from one to the other may need both.
    """
    return bool(told) and any(
        one.type == codes.NSEC == other.type and one.owner.lower() == other.owner.lower() and one.tails != other.tails
        for one in told
        for other in more
    )


def _rcode(last: Answer) -> int:
    if last.kind is Kind.NXDOMAIN:
        return codes.NXDOMAIN
    if last.kind is Kind.DNAME and last.target is None:
        return codes.YXDOMAIN  # the name a DNAME led to is too long (RFC 6672 §2.2)
    return codes.NOERROR


def what_is_told(zones: ZoneSet, request: Request, reply: Reply) -> tuple[Told, bytes]:
    """What a reply says, as far as response rate limits go, and the name that it is counted under."""
    served = zones.find_for(request.qname_folded, request.qtype) if request.question else None
    if served is None or served.zone is None or reply.rcode not in (codes.NOERROR, codes.NXDOMAIN):
        return Told.ERROR, b""
    if reply.rcode == codes.NXDOMAIN:
        return Told.NXDOMAIN, served.name
    if not reply.answer:
        return Told.NODATA if reply.authoritative else Told.REFERRAL, served.name
    name = request.qname_folded
    made_up = name[: len(name) - len(served.name)] not in served.zone.nodes  # by a wildcard or a DNAME
    return Told.POSITIVE, served.name if made_up else name
