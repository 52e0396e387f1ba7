"""From a question to the records that answer it, over all zones we serve (RFC 1034 §4.3.2).

One zone answers one name at a time (`nameserver.zone.lookup`); here its answer becomes a reply, and CNAMEs and DNAMEs
are followed from zone to zone for as long as the next name is ours:

    question ──▶ zone ──▶ HIT, NODATA, NXDOMAIN, REFERRAL ──▶ reply
                  ▲ └───▶ CNAME, DNAME ── add to the answer; target ours, new, and not too far on? ── no ──▶ reply
                  └──────────────────────────────────────────────────────────────────── yes ┘

The chain's last name decides on RCODE and authority section (RFC 6604 §2.1, RFC 2308 §2), its first on AA: a reply
that begins with a CNAME of ours is authoritative even where it ends in a referral (RFC 1035 §4.1.1).
"""

from nameserver.query.exchange import refusal
from nameserver.query.zoneset import ServedZone, ZoneSet, ZoneState
from nameserver.wire import codes
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request
from nameserver.wire.rrset import RRset
from nameserver.zone.lookup import Answer, Kind, lookup

MAX_LINKS = 16  # CNAMEs and DNAMEs followed for one question


def answer_query(zones: ZoneSet, request: Request) -> Reply:
    """The reply to an ordinary question of class IN: never an error, whatever is asked."""
    qname, qtype = request.qname_folded, request.qtype
    served = zones.find_for(qname, qtype)
    if served is None:
        return refusal(codes.REFUSED, codes.EDE_NOT_AUTHORITATIVE)
    if qtype == codes.SOA:
        served.control_queries += 1
    else:
        served.queries += 1
    zone = served.zone
    if zone is None or served.state is not ZoneState.SERVING:
        return not_serving(served)
    answer = lookup(zone, qname[: len(qname) - len(zone.apex)], qtype, request.qname)
    if answer.kind is Kind.HIT:
        return Reply(authoritative=True, answer=list(answer.answer))
    records = list(answer.answer)
    if records:
        answer = _follow(zones, answer, qname, qtype, records)
    return Reply(
        rcode=_rcode(answer),
        authoritative=bool(records) or answer.kind is not Kind.REFERRAL,
        answer=records,
        authority=list(answer.authority),
        additional=list(answer.additional),
        glue_required=answer.glue_required,
    )


def not_serving(served: ServedZone) -> Reply:
    """SERVFAIL for a zone we are configured for but hold no valid version of (RFC 8914 §4.15, §4.25)."""
    if served.state is ZoneState.EXPIRED:
        return refusal(codes.SERVFAIL, codes.EDE_INVALID_DATA, "zone expired")
    return refusal(codes.SERVFAIL, codes.EDE_NOT_READY, "zone not loaded yet")


def _follow(zones: ZoneSet, step: Answer, name: bytes, qtype: int, records: list[RRset]) -> Answer:
    """Follow a chain of which `step` is the first link, adding to `records`; gives the last step.

    A chain may end on a link: when it leaves our zones, comes back to a name it had, or gets too long. The client
    then has every link found, and goes on from the last one by itself.
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
        if served is None or served.zone is None or served.state is not ZoneState.SERVING:
            break
        zone = served.zone
        step = lookup(zone, name[: len(name) - len(zone.apex)], qtype, step.target)
        # One DNAME may apply twice on the way; its record is sent once.
        records.extend(rrset for rrset in step.answer if rrset not in records)
    return step


def _rcode(last: Answer) -> int:
    if last.kind is Kind.NXDOMAIN:
        return codes.NXDOMAIN
    if last.kind is Kind.DNAME and last.target is None:
        return codes.YXDOMAIN  # the name a DNAME led to is too long (RFC 6672 §2.2)
    return codes.NOERROR
