"""Where we differ from the majority and mean to: each entry says in which fields, exactly when, and why.

`DIFFERENCES.md` is made of this table (`python -m differential.differences`), and a test keeps the two the same.

An entry is asked about one field at a time, and only where ours is not what the vote allows. So an `applies` need not
say that something differs, but must say what makes this difference the one it is about.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import dns.name
from differential.compare import Case, Difference, Vote
from differential.draft import BIND, NSD, ZoneDraft
from differential.optional import HOSTS, NOBODY, below, covered, hosts, last_link
from differential.seen import RRSIG, SECTIONS, Rec, name_at

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN = range(7)
CNAME, DNAME, NS, SOA, IXFR, ANY = 5, 39, 2, 6, 251, 255
OPT, NXNAME, TKEY, TSIG, MAILB, MAILA = 41, 128, 249, 250, 253, 254
CLASS_ANY = 255
A, AAAA = 1, 28
# NS MX AFSDB RT SRV KX SVCB HTTPS: most servers send the addresses of their hosts
WITH_HOSTS = (2, 15, 18, 21, 33, 36, 64, 65)
UDP_LIMIT = 1232  # octets, everybody's
ASTERISK = b"\x01*"
UPDATE = 5
KNOTS_CHAIN = 5

_ANSWER = frozenset(("rcode", "answer", "authority", "additional", "tc"))


def links(records: tuple[Rec, ...], *rdtypes: int) -> list[Rec]:
    return [record for record in records if record.rdtype in (rdtypes or (CNAME,))]


def target(record: Rec) -> bytes:
    return name_at(record.rdata, 0)[0]


def chain_into_another_zone(case: Case, vote: Vote) -> bool:
    """Our chain leads from zone to zone, and somebody's is the beginning of it.

    Where ours is cut short: NSD's leads so, or is cut short too and comes to the same RCODE. Ours has AA also where all
    come to RCODEs of their own, and so to no common say about that bit.
    """
    if vote.field == "aa" and (case.votes["rcode"].decided or not case.ours.aa):
        return False
    ours, theirs = case.ours, case.peers.get(NSD, case.ours)
    zones = case.served.zone_for
    followed = (*ours.answer, *theirs.answer) if ours.tc else ours.answer
    if vote.field == "rcode" and ours.tc and theirs is not ours and theirs.tc and links(followed, CNAME, DNAME):
        return theirs.rcode == ours.rcode
    leaves = any(
        zones(link.owner) != zones(target(link), case.question.rdtype) is not None
        for link in links(followed, CNAME, DNAME)
    )
    return leaves and any(set(answer) <= set(ours.answer) or ours.tc for answer in case.votes["answer"].allowed)


def minimal_responses(case: Case, vote: Vote) -> bool:
    """Ours has no name servers beside an answer, but where told to send them and they have room; and what goes with it.

    That is: addresses of the hosts it names, where "." is none, for SVCB and HTTPS also RRsets of that type, as far as
    there is room; for ANY nothing; and whatever else there may be, somebody has too.
    """
    ours = set(getattr(case.ours, vote.field))
    if vote.field == "optional_authority":
        if ours or case.served.world.minimal:
            return not (ours and case.served.world.minimal)
        return case.question.rdtype == ANY or not any(has_room(case, allowed) for allowed in vote.allowed)
    theirs = {(each.owner, covered(each)) for seen in case.peers.values() for each in seen.optional_additional}
    named_servers = (*case.ours.optional_authority, *case.ours.authority)
    servers = {host for record in named_servers if record.rdtype == NS for host in hosts(record)}
    more = [each for each in ours if (each.owner, covered(each)) not in theirs and each.owner not in servers]
    if more and not (
        case.question.rdtype in WITH_HOSTS and {covered(each) for each in more} <= {A, AAAA, case.question.rdtype}
    ):
        return False
    if case.question.rdtype == ANY:
        return True
    named = {host for record in case.ours.answer if record.rdtype in HOSTS for host in hosts(record)} - {NOBODY}
    more_told = [set(allowed) - ours for allowed in vote.allowed]
    return any(not named & {each.owner for each in told} or not has_room(case, told) for told in more_told)


def has_room(case: Case, records: Iterable[Rec]) -> bool:
    """Whether records could be added to our reply even with nothing in them compressed."""
    limit = case.question.limit if case.question.transport == "tcp" else min(case.question.limit, UDP_LIMIT)
    return case.ours.size + sum(10 + len(record.owner) + len(record.rdata) for record in records) <= limit


def truncated(case: Case, vote: Vote) -> bool:
    """Ours and the majority's are cut short, both; or, without a majority, ours and somebody's."""
    return case.ours.tc and True in case.votes["tc"].allowed


def more_room(case: Case, vote: Vote) -> bool:
    """Ours is whole; somebody else's is cut short, and what is sent of it is also in ours, whatever its TTL."""
    if case.ours.tc or case.ours.rcode == REFUSED or not any(seen.tc for seen in case.peers.values()):
        return False
    if vote.field == "tc":
        return True
    ours = {record._replace(ttl=0) for record in getattr(case.ours, vote.field)}
    return any({record._replace(ttl=0) for record in allowed} <= ours for allowed in vote.allowed)


def glue_that_has_no_room(case: Case, vote: Vote) -> bool:
    """A referral, NS complete: ours has more of the in-domain glue than anybody's, or not all of it and TC."""
    ours = case.ours
    if ours.answer or ours.aa or ours.rcode or ours.authority != case.majority("authority"):
        return False
    cut = ours.authority[0].owner
    glue = any(below(host, cut) for record in ours.authority if record.rdtype == NS for host in hosts(record))
    return glue and (ours.tc or all(set(seen.additional) <= set(ours.additional) for seen in case.peers.values()))


def glue_from_a_wildcard(case: Case, vote: Vote) -> bool:
    """A referral: what the majority has beyond ours was made from wildcards below the cut."""
    more = set(case.majority("additional")) - set(case.ours.additional)
    number = case.leads_to(case.ours)
    referred = any(record.rdtype == NS for record in case.ours.authority)
    if number is None or not referred or not set(case.ours.additional) <= set(case.majority("additional")):
        return False
    zone = case.served.world.zones[number]
    return not any(zone.at(dns.name.from_wire(record.owner, 0)[0]) for record in more)


def no_data_type(case: Case, vote: Vote) -> bool:
    """A type that no record in a zone has, refused as such."""
    expected = FORMERR if case.question.rdtype in (OPT, NXNAME, TSIG) else NOTIMP
    return case.question.rdtype in (OPT, NXNAME, TSIG, TKEY, MAILA, MAILB) and case.ours.rcode == expected


def empty_wildcard_proved(case: Case, vote: Vote) -> bool:
    """No data, by a wildcard that only has names below it: ours proves that too, or has no room for the proof."""
    zone, star = covering_wildcard(case)
    if zone is None or star is None or case.ours.rcode or not case.question.dnssec:
        return False
    empty = zone.exists(star) and not zone.at(star)
    return empty and (case.ours.tc or set(case.majority("authority")) <= set(case.ours.authority))


def covering_wildcard(case: Case) -> tuple[ZoneDraft | None, dns.name.Name | None]:
    """The zone that our chain ends in, and the name that a wildcard covering the chain's end would have there."""
    name = last_link(case.ours, case.qname)
    number = case.served.zone_for(name, case.question.rdtype)
    if number is None:
        return None, None
    zone = case.served.world.zones[number]
    encloser = dns.name.from_wire(name, 0)[0]
    while encloser != zone.origin and not zone.exists(encloser):
        encloser = encloser.parent()
    # No name fits below one of 254 octets or more.
    return zone, dns.name.Name((b"*", *encloser.labels)) if len(encloser.to_wire()) <= 253 else None


def encloser_proved(case: Case, vote: Vote) -> bool:
    """NSEC3, a name that begins with an asterisk, a wildcard without such data: ours, as BIND's, has all records."""
    zone, star = covering_wildcard(case)
    if zone is None or star is None or case.ours.rcode or not zone.signing.startswith("nsec3") or not zone.at(star):
        return False
    bind = case.peers.get(BIND)
    alike = bind is None or bind.tc or set(bind.authority) == set(case.ours.authority)
    more = case.ours.tc or set(case.majority("authority")) < set(case.ours.authority)
    return last_link(case.ours, case.qname).startswith(ASTERISK) and alike and more


def type_zero(case: Case, vote: Vote) -> bool:
    """Type 0, which Knot does not look up."""
    return case.question.rdtype == 0 and case.ours.rcode in (NOERROR, NXDOMAIN)


def unknown_opcode(case: Case, vote: Vote) -> bool:
    """The reply to an opcode that is not served repeats the question."""
    return (
        case.question.opcode not in (0, 4)
        and case.ours.rcode == NOTIMP
        and case.ours.question == case.question.question
    )


def update(case: Case, vote: Vote) -> bool:
    return case.question.opcode == UPDATE and case.ours.rcode == NOTIMP


def ixfr_over_udp(case: Case, vote: Vote) -> bool:
    """Our SOA alone, with AA."""
    types = [record.rdtype for record in case.ours.answer]
    return case.question.rdtype == IXFR and case.question.transport == "udp" and types == [SOA] and case.ours.aa


def ad_and_cd_clear(case: Case, vote: Vote) -> bool:
    return not case.ours.ad and not case.ours.cd


def class_any(case: Case, vote: Vote) -> bool:
    return case.question.rdclass == CLASS_ANY and case.ours.rcode == REFUSED


def sent_once(case: Case, vote: Vote) -> bool:
    """The same records, but some of the majority's twice."""
    theirs = case.majority("answer")
    return len(set(theirs)) < len(theirs) and set(theirs) == set(case.ours.answer)


def long_chain(case: Case, vote: Vote) -> bool:
    """Our chain is longer than Knot follows (or has no room), and somebody's is its beginning; or BIND fails on it."""
    ours = case.ours
    bind = case.peers.get(BIND)
    if bind and bind.rcode == SERVFAIL and bind.answer and set(bind.answer) == set(ours.answer):
        return True
    if len(links(ours.answer)) <= KNOTS_CHAIN and not (ours.tc and links(ours.answer)):
        return False
    # The end is somebody's, or nobody came as far: who would have is one that did not like the question's header.
    as_far = any(len(links(seen.answer)) >= len(links(ours.answer)) for seen in case.peers.values())
    if as_far and vote.field == "rcode" and ours.rcode not in (0, *(seen.rcode for seen in case.peers.values())):
        return False
    mine = set(links(ours.answer) if ours.tc else ours.answer)
    theirs = [set(links(seen.answer) if ours.tc else seen.answer) for seen in case.peers.values() if seen.answer]
    return any(each <= mine or mine <= each for each in theirs)


def wildcard_ns(case: Case, vote: Vote) -> bool:
    """Somebody refers to the servers of a wildcard."""
    return any(
        record.rdtype == NS and record.owner.startswith(ASTERISK)
        for seen in case.peers.values()
        for record in (*seen.authority, *seen.optional_authority)
    )


def wildcard_dname(case: Case, vote: Vote) -> bool:
    """Ours has the DNAME of a wildcard under its own name, as NSD or BIND has."""
    ours = case.ours.answer
    stars = {record for record in ours if record.rdtype == DNAME and record.owner.startswith(ASTERISK)}
    return bool(stars) and any(stars <= set(case.peers[peer].answer) for peer in (NSD, BIND) if peer in case.peers)


def dname_that_grows(case: Case, vote: Vote) -> bool:
    """YXDOMAIN, where we followed a chain of DNAMEs on to the name that got too long, and the majority did not."""
    ours = case.ours
    grown = len(links(ours.answer)) > 1 and any(record.rdtype == DNAME for record in ours.answer)
    return ours.rcode == YXDOMAIN and (grown or ours.tc)


def one_rrset_for_any(case: Case, vote: Vote) -> bool:
    """Asked for ANY: ours is one RRset with its signatures, which BIND has too, where it does not cut them off."""
    if case.question.rdtype != ANY:
        return False
    picked = {(each.owner, covered(each)) for each in case.ours.answer if each.rdtype not in (CNAME, DNAME)}
    bind = case.peers.get(BIND)
    return len(picked) == 1 and (bind is None or bind.tc or set(case.ours.answer) <= set(bind.answer))


def every_signature(case: Case, vote: Vote) -> bool:
    """Asked for RRSIG: ours are all the name has, or as many as have room, and then nothing more need have any."""
    told_more = any(set(seen.answer) <= set(case.ours.answer) for seen in case.peers.values())
    return case.question.rdtype == RRSIG and told_more and (vote.field != "authority" or case.ours.tc)


def opt_out_below_nothing(case: Case, vote: Vote) -> bool:
    """An opt-out zone: BIND's reply and ours are cut short; Knot's has no records and no AA, or NSD's has fewer."""
    zone = None if case.zone is None else case.served.world.zones[case.zone]
    bind = case.peers.get(BIND)
    return zone is not None and zone.signing == "nsec3-optout" and bind is not None and bind.tc and case.ours.tc


def any_below_dname(case: Case, vote: Vote) -> bool:
    """Asked for ANY below a DNAME: ours goes on at the target, and comes to what NSD comes to."""
    redirected = case.ours.tc or any(record.rdtype == DNAME for record in case.ours.answer)
    return case.question.rdtype == ANY and redirected and NSD in case.peers and case.ours.rcode == case.peers[NSD].rcode


def bind_but_for_the_ttl(case: Case, vote: Vote) -> bool:
    """Asked for a SOA that is not there, with three proofs: ours is BIND's, but for the TTL of the zone's own SOA."""
    if vote.decided or case.question.rdtype != SOA or BIND not in case.peers:
        return False

    def timeless(records: Iterable[Rec]) -> set[Rec]:
        return {each._replace(ttl=0) if covered(each) == SOA else each for each in records}

    return timeless(case.ours.authority) == timeless(case.peers[BIND].authority)


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "chains into other zones",
        _ANSWER | {"aa"},
        "A chain of aliases is followed into every zone served here, as NSD does it; Knot and BIND stop at the "
        "first zone's edge. The client is spared a question, and gets the RCODE of the name the chain ends at.",
        'RFC 1034 §4.3.2 step 3a: "go back to step 1"; RFC 6604 §2.1',
        chain_into_another_zone,
    ),
    Difference(
        "minimal responses",
        frozenset(("optional_authority", "optional_additional")),
        "The apex NS beside an answer and their addresses are left out by default, as Knot does it. What goes "
        "with an answer is sent, in an order of its own, as far as there is room.",
        'RFC 1034 §4.3.2 step 6 ("useful", not required); RFC 9471 §3 asks for glue in referrals only',
        minimal_responses,
    ),
    Difference(
        "what stands in a truncated reply",
        frozenset(SECTIONS),
        "Ours holds whole RRsets as far as there is room; the peers cut at records, or empty some sections or all.",
        "RFC 2181 §9: a reply with TC set is to be ignored and asked again over TCP",
        truncated,
    ),
    Difference(
        "ours has room for it",
        frozenset(("tc", *SECTIONS)),
        "A reply that has no room with all letters as the zone has them is tried again without looking at their "
        "case, and a CNAME may point into the DNAME that it is made from. So some are whole that others cut "
        "(Knot: without saying so).",
        "RFC 4343 §4.1, RFC 1035 §4.1.4",
        more_room,
    ),
    Difference(
        "glue that has no room sets TC",
        frozenset(("tc", "additional", "optional_additional")),
        "A referral has all of its in-domain glue, before any other, or is marked as truncated, as Knot does it. "
        "NSD 4.6 and BIND 9.18 are older than the rule.",
        "RFC 9471 §3.1: MUST set TC",
        glue_that_has_no_room,
    ),
    Difference(
        "a wildcard makes no glue",
        frozenset(("additional",)),
        "Below a cut the zone has no authority, so a wildcard that is hidden there makes nothing up, as BIND sees"
        " it. Knot and NSD make addresses from it.",
        "RFC 1034 §4.3.3: delegation cancels the wildcard defaults",
        glue_from_a_wildcard,
    ),
    Difference(
        "types that no zone holds",
        _ANSWER | {"aa"},
        "OPT, TSIG and NXNAME are parts of messages and denials: a question for one is malformed, as BIND sees "
        "it. TKEY, MAILA and MAILB ask for services that we do not do. Knot and NSD look them up like any type.",
        "RFC 6891 §6.1.1, RFC 8945 §4.2, RFC 9824 §3.5, RFC 2930 §2.1, RFC 1035 §3.2.3",
        no_data_type,
    ),
    Difference(
        "proof of an empty wildcard",
        frozenset(("authority", "tc")),
        "A wildcard that is an empty non-terminal covers a name: that it has no data is proved too, as NSD does "
        "it. Knot and BIND prove only that the name itself is not there.",
        "RFC 4035 §3.1.3.4",
        empty_wildcard_proved,
    ),
    Difference(
        "proof of the closest encloser",
        frozenset(("authority", "tc")),
        "A wildcard has no data for a name that itself begins with an asterisk: the closest encloser and that no closer"
        " name exists are proved too, as BIND does it. Knot takes such a name for the wildcard, NSD never proves them.",
        "RFC 5155 §7.2.5",
        encloser_proved,
    ),
    Difference(
        "type 0 is looked up",
        _ANSWER | {"aa"},
        "As NSD and BIND do it, and find nothing; Knot sends NOTIMP. Seen where one of the two has no vote.",
        "RFC 6895 §3.1 reserves it, and asks for no error",
        type_zero,
    ),
    Difference(
        "NOTIMP repeats the question",
        frozenset(("question", "opt")),
        "As Knot does it: whoever asked recognises the reply, and an OPT record gets one. NSD sends a header "
        "alone, BIND leaves the question out.",
        "RFC 1035 §7.3; RFC 6891 §6.1.1",
        unknown_opcode,
    ),
    Difference(
        "UPDATE is not implemented",
        frozenset(("rcode",)),
        "A secondary that forwards no updates does not know the opcode; Knot and BIND read on and find the zone "
        "section wrong.",
        "RFC 2136 §3: a server that does not support the opcode sends NOTIMP",
        update,
    ),
    Difference(
        "AA on the SOA that answers IXFR over UDP",
        frozenset(("aa",)),
        "As NSD does it: the SOA is ours to tell with authority. Knot and BIND leave AA out.",
        "RFC 1035 §4.1.1; RFC 5936 §2.2.1 for transfers",
        ixfr_over_udp,
    ),
    Difference(
        "AD and CD are clear",
        frozenset(("ad", "cd")),
        "AD and CD say something among validators, and we are none. BIND repeats both, NSD sometimes repeats CD "
        "in errors.",
        "RFC 4035 §3.1.6: SHOULD clear",
        ad_and_cd_clear,
    ),
    Difference(
        "class ANY is refused",
        _ANSWER | {"aa"},
        "We serve class IN and say so; Knot and NSD answer as if IN had been asked, BIND with FORMERR.",
        "RFC 1034 §4.3.2 knows no answer with authority to QCLASS=*; RFC 8482 §4 lets ANY be refused",
        class_any,
    ),
    Difference(
        "a record is sent once",
        frozenset(("answer",)),
        "A chain that comes back to itself has each record once; Knot and NSD repeat the one that closes the circle.",
        "RFC 2181 §5: an RRset has no duplicates",
        sent_once,
    ),
    Difference(
        "long chains",
        _ANSWER,
        "Knot follows five links, BIND twelve and then fails, NSD as many as there is room for, or one of a DNAME"
        " that leads to itself. We follow twelve and leave the rest to the client.",
        "RFC 1034 §5.2.2 leaves the limit to the server",
        long_chain,
    ),
    Difference(
        "NS of a wildcard",
        _ANSWER | {"aa"},
        "It is data like any other here: a delegation made up for whatever is asked could not be secured, nor "
        "found again. Knot refers to it, NSD answers now so, now NXDOMAIN, BIND does not load such a zone.",
        "RFC 4592 §4.2 leaves it undefined",
        wildcard_ns,
    ),
    Difference(
        "DNAME of a wildcard",
        _ANSWER,
        "Names below the very name `*` are redirected by a DNAME that stands there under its own name, as NSD and"
        " BIND have it; Knot renames it.",
        "RFC 4592 §4.4, RFC 6672 §3.3",
        wildcard_dname,
    ),
    Difference(
        "YXDOMAIN at the end of a chain",
        frozenset(("rcode", *SECTIONS)),
        "Where a DNAME is applied again and again, the name gets too long in the end and that is told; Knot and "
        "NSD stop before.",
        "RFC 6672 §2.2",
        dname_that_grows,
    ),
    Difference(
        "one RRset for ANY",
        _ANSWER,
        "Asked for ANY we send one RRset of the name with its signatures, rather data than what signing added. "
        "Knot and NSD send one, each its own choice; BIND sends all.",
        "RFC 8482 §4.1",
        one_rrset_for_any,
    ),
    Difference(
        "every signature for RRSIG",
        frozenset(("answer", "authority", "tc")),
        "Asked for RRSIG we send all signatures of the name, as NSD and BIND do; Knot sends one. Seen where one "
        "of the two has no vote.",
        "RFC 8482 §7 lets RRSIG be minimised, and does not ask for it",
        every_signature,
    ),
    Difference(
        "proofs below what opt-out leaves out",
        frozenset(("tc", "authority")),
        "A name below an empty non-terminal that has no NSEC3 record, as only insecure delegations are below it: "
        "BIND and we prove what can be proved, Knot sends an empty NXDOMAIN, NSD half a proof. Seen where the "
        "whole has no room.",
        "RFC 5155 §7.2.2",
        opt_out_below_nothing,
    ),
    Difference(
        "ANY below a DNAME",
        _ANSWER,
        "ANY is led on to the DNAME's target like any type, as Knot and NSD do it (Knot leaves out what has no "
        "room, and TC with it); BIND stops at the CNAME that it makes.",
        "RFC 6672 §3.2 step 3C knows no exception",
        any_below_dname,
    ),
    Difference(
        "the SOA in a denial of a SOA",
        frozenset(("authority",)),
        "Its TTL is that of any other denial, as with Knot and NSD; BIND sends 0. Seen where the three do not agree on "
        "the proof (names with an octet 0 in a label), and ours is BIND's.",
        "RFC 2308 §3; RFC 4034 §6.1 for the order of names",
        bind_but_for_the_ttl,
    ),
)

TEXT = Path(__file__).with_name("DIFFERENCES.md")


def document() -> Iterator[str]:
    """The table for people."""
    yield "# Where our answers differ from the majority of Knot, NSD and BIND, and mean to"
    yield ""
    yield "Made of the table in `differences.py` by `PYTHONPATH=tests python -m differential.differences`; do not edit."
    yield "`make differential` counts how often each entry applied, and explains by nothing else what differs."
    for entry in DIFFERENCES:
        yield ""
        yield f"## {entry.name}"
        yield ""
        yield entry.reason
        yield ""
        yield f"- fields: {', '.join(sorted(entry.fields))}"
        yield f"- source: {entry.source}"
        if entry.applies.__doc__:
            yield f"- applies when: {entry.applies.__doc__}"
    yield ""
    yield "## Not compared"
    yield ""
    yield "- Zones with data below a DNAME: Knot and we refuse to load them (RFC 6672 §2.4), NSD and BIND do not."
    yield "- EDNS options and the UDP size that a reply announces; EDNS version and flags are."
    yield "- Transfers over TCP: `tests/interop`."


if __name__ == "__main__":
    TEXT.write_text("\n".join(document()) + "\n")
