"""The zone of the soak: what it holds at each serial, and what a reply says about the serial it was made from.

    serial ─▶ records_at ─▶ Version.lookup ─▶ the only right answer to a question at this serial
    reply  ─▶ the serials it may come from (each record that changes tells its own) ─▶ the first that fits ─▶ Verdict

Content follows from the serial alone, so the history of the zone needs no keeping. From one serial to the next most
names change, some come and go, and every RRset of several records carries the serial in each of them: an answer that
mixes two versions, in one RRset, between two sections or between a name and the SOA, fits neither.
The lookup is written anew here, for this zone only, from RFC 1034 and RFC 4592; nothing of ours judges itself.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

ZONE = "soak.example."
TTL = 300
HOSTS = 40
PERIODS = (1, 2, 3, 5)  # host N changes with every PERIODS[N % 4]th serial
ANY_SERIAL = 2**32  # higher than any that is used
STATIC_ZONES = tuple(f"static-{number}.example." for number in range(20))

_NUMBERED = re.compile(r"\bv(\d+)\b")

Row = tuple[str, str, str]  # owner, type, rdata, as dnspython prints them


class Question(NamedTuple):
    """What is asked; absolute name in lower case."""

    name: str
    rdtype: str


class Verdict(NamedTuple):
    """The serials a right answer may have been made from."""

    lowest: int
    highest: int


class WrongAnswerError(Exception):
    """No version of the zone has this answer."""


class ZoneLostError(Exception):
    """The answer of a server that does not have the zone: REFUSED, SERVFAIL and the like."""


def soa_rdata(zone: str, serial: int) -> str:
    return f"ns1.{zone} hostmaster.{zone} {serial} 3600 600 86400 300"


def address(serial: int, last: int) -> str:
    return f"10.{serial >> 8 & 255}.{serial & 255}.{last}"


def records_at(serial: int) -> Iterator[Row]:
    """Every record of the changing zone at a serial (below 65,536: addresses have room for no more)."""
    yield (ZONE, "SOA", soa_rdata(ZONE, serial))
    yield (ZONE, "NS", f"ns1.{ZONE}")
    yield (f"ns1.{ZONE}", "A", "127.0.0.1")
    yield (f"serial.{ZONE}", "TXT", f'"v{serial}"')
    yield from ((f"set.{ZONE}", "TXT", f'"v{serial} {number}"') for number in range(4))
    yield from ((f"addresses.{ZONE}", "A", address(serial, number)) for number in range(1, 9))
    # Too large for UDP: there it must come back truncated, over TCP whole.
    yield from ((f"large.{ZONE}", "TXT", f'"v{serial} {number:03d} {"x" * 90}"') for number in range(25))
    yield from ((f"*.wild.{ZONE}", "TXT", f'"v{serial} {number}"') for number in range(2))
    # Names that exist at one serial only, and what points at them.
    yield (f"target-v{serial}.{ZONE}", "A", address(serial, 200))
    yield (f"target-v{serial}.{ZONE}", "AAAA", f"2001:db8::{serial:x}")
    yield (f"mail.{ZONE}", "MX", f"10 target-v{serial}.{ZONE}")
    yield (f"service.{ZONE}", "SRV", f"0 0 5060 target-v{serial}.{ZONE}")
    yield (f"alias.{ZONE}", "CNAME", f"target-v{serial}.{ZONE}")
    # An empty non-terminal that moves, a delegation that stays, and one that comes and goes.
    yield (f"leaf.branch-{serial % 3}.{ZONE}", "TXT", f'"v{serial}"')
    yield (f"sub.{ZONE}", "NS", f"ns.sub.{ZONE}")
    yield (f"ns.sub.{ZONE}", "A", address(serial, 201))
    if serial % 2:
        yield (f"lent.{ZONE}", "NS", f"ns.lent.{ZONE}")
        yield (f"ns.lent.{ZONE}", "A", address(serial, 202))
    for host in range(HOSTS):
        if host % 3 or (serial + host) % 2:
            changed = serial - serial % PERIODS[host % len(PERIODS)]
            yield (f"host-{host}.{ZONE}", "A", address(changed, host))


def text_at(serial: int) -> str:
    """The zone file."""
    return "".join(f"{owner} {TTL} IN {rdtype} {rdata}\n" for owner, rdtype, rdata in records_at(serial))


def static_records(zone: str) -> Iterator[Row]:
    """A zone that never changes."""
    yield (zone, "SOA", soa_rdata(zone, 1))
    yield (zone, "NS", f"ns1.{zone}")
    yield (f"ns1.{zone}", "A", "127.0.0.1")
    yield (f"www.{zone}", "A", "192.0.2.80")
    yield (f"www.{zone}", "TXT", f'"of {zone}"')


def static_text(zone: str) -> str:
    """Its zone file."""
    return "".join(f"{owner} {TTL} IN {rdtype} {rdata}\n" for owner, rdtype, rdata in static_records(zone))


class Right(NamedTuple):
    """What a right reply must have."""

    rcode: str
    authoritative: bool
    answer: frozenset[Row]
    authority: frozenset[Row]  # these at least
    additional: frozenset[Row]  # these at least


class Version:
    """One version of one zone, to look things up in."""

    def __init__(self, zone: str, rows: Iterable[Row]) -> None:
        self.zone = zone
        self.rows = frozenset(rows)
        self._rrsets: dict[tuple[str, str], set[Row]] = {}
        self._names: set[str] = set()
        for row in self.rows:
            self._rrsets.setdefault(row[:2], set()).add(row)
            name = row[0]
            while name not in self._names:  # empty non-terminals exist too (RFC 4592 §2.2.2)
                self._names.add(name)
                if name == zone:
                    break
                name = name.partition(".")[2]

    def lookup(self, question: Question) -> Right:
        """RFC 1034 §4.3.2 for this zone's content: one CNAME, wildcards without CNAME, no DNAME."""
        name, rdtype = question
        for owner in self._upwards(name):
            if owner != self.zone and (owner, "NS") in self._rrsets:
                return self._referral(owner)
        soa = frozenset(self._rrsets[self.zone, "SOA"])
        none: frozenset[Row] = frozenset()
        if name not in self._names:
            encloser = next(owner for owner in reversed(self._upwards(name)) if owner in self._names)
            wild = self._rrsets.get((f"*.{encloser}", rdtype), set())
            if wild:
                return Right("NOERROR", True, frozenset((name, *row[1:]) for row in wild), none, none)
            missing = "NOERROR" if f"*.{encloser}" in self._names else "NXDOMAIN"
            return Right(missing, True, none, soa, none)
        links = self._rrsets.get((name, "CNAME"), set())
        if links and rdtype != "CNAME":
            (link,) = links
            rest = self.lookup(Question(link[2], rdtype))
            return Right(rest.rcode, True, rest.answer | links, rest.authority, rest.additional)
        found = self._rrsets.get((name, rdtype), set())
        return Right("NOERROR", True, frozenset(found), none if found else soa, none)

    def _upwards(self, name: str) -> list[str]:
        """The name and those above it, from the apex down."""
        found = [name]
        while name != self.zone:
            name = name.partition(".")[2]
            found.append(name)
        return found[::-1]

    def _referral(self, cut: str) -> Right:
        servers = frozenset(self._rrsets[cut, "NS"])
        glue: set[Row] = set()
        for server in servers:
            glue |= self._rrsets.get((server[2], "A"), set())
        return Right("NOERROR", False, frozenset(), servers, frozenset(glue))


@lru_cache(maxsize=256)
def version(serial: int) -> Version:
    """The changing zone at a serial."""
    return Version(ZONE, records_at(serial))


_STATIC = {zone: Version(zone, static_records(zone)) for zone in STATIC_ZONES}


def judge(data: bytes, question: Question, tcp: bool) -> Verdict:
    """Which serials a reply may come from.

    Raises WrongAnswerError where no version has this answer, ZoneLostError where the server says it has no such zone.
    """
    try:
        reply = dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError) as error:
        raise WrongAnswerError(f"not a message: {error!r}") from error
    asked = [(each.name.to_text().lower(), dns.rdatatype.to_text(each.rdtype)) for each in reply.question]
    if not reply.flags & dns.flags.QR or asked != [question]:
        raise WrongAnswerError(f"a reply to {asked}")
    rcode = dns.rcode.to_text(reply.rcode())
    if rcode not in ("NOERROR", "NXDOMAIN"):
        raise ZoneLostError(f"{rcode} {[option.to_text() for option in reply.options]}")
    if rcode == "NXDOMAIN" and question.name in (ZONE, *STATIC_ZONES):
        raise ZoneLostError("NXDOMAIN for an apex")
    if reply.flags & dns.flags.TC:
        if tcp or question.name != f"large.{ZONE}" or reply.answer:
            raise WrongAnswerError("truncated without need, or in the middle")
        return Verdict(0, ANY_SERIAL)
    sections = _rows(reply.answer), _rows(reply.authority), _rows(reply.additional)
    zone = next((each for each in STATIC_ZONES if question.name.endswith(each)), ZONE)
    if zone != ZONE:
        _check(_STATIC[zone], question, reply, rcode, sections)
        return Verdict(0, ANY_SERIAL)
    return _judge_changing(question, reply, rcode, sections)


def _judge_changing(
    question: Question, reply: dns.message.Message, rcode: str, sections: tuple[list[Row], list[Row], list[Row]]
) -> Verdict:
    told = set(_serials_told(row for section in sections for row in section))
    if not told:
        # Only what never changes tells nothing; the version is any, but the answer must be right.
        _check(version(1), question, reply, rcode, sections)
        return Verdict(0, ANY_SERIAL)
    right: list[int] = []
    complaint: WrongAnswerError | None = None
    for serial in sorted({each + later for each in told for later in range(max(PERIODS))}):
        try:
            _check(version(serial), question, reply, rcode, sections)
            right.append(serial)
        except WrongAnswerError as error:
            complaint = complaint or error
    if not right:
        raise WrongAnswerError(f"records tell serials {sorted(told)}; of none is it the answer: {complaint}")
    return Verdict(right[0], right[-1])


def _check(
    of: Version,
    question: Question,
    reply: dns.message.Message,
    rcode: str,
    sections: tuple[list[Row], list[Row], list[Row]],
) -> None:
    right = of.lookup(question)
    answer, authority, additional = sections
    if rcode != right.rcode:
        raise WrongAnswerError(f"{rcode} instead of {right.rcode}")
    if bool(reply.flags & dns.flags.AA) is not right.authoritative:
        raise WrongAnswerError(f"AA {'clear' if right.authoritative else 'set'}")
    if set(answer) != right.answer or len(answer) != len(right.answer):
        raise WrongAnswerError(f"answer {sorted(answer)} instead of {sorted(right.answer)}")
    for title, rows, needed in (
        ("authority", authority, right.authority),
        ("additional", additional, right.additional),
    ):
        if not needed <= set(rows):
            raise WrongAnswerError(f"{title} lacks {sorted(needed - set(rows))}")
        if not set(rows) <= of.rows or len(set(rows)) != len(rows):
            raise WrongAnswerError(f"{title} has {sorted(set(rows) - of.rows)} that this version has not, or doubles")


def _rows(section: Iterable[dns.rrset.RRset]) -> list[Row]:
    rows: list[Row] = []
    for rrset in section:
        if rrset.ttl != TTL:
            raise WrongAnswerError(f"{rrset.name} has TTL {rrset.ttl}")
        owner, rdtype = rrset.name.to_text(), dns.rdatatype.to_text(rrset.rdtype)
        rows.extend((owner, rdtype, rdata.to_text()) for rdata in rrset)
    return rows


def _serials_told(rows: Iterable[Row]) -> Iterator[int]:
    for owner, rdtype, rdata in rows:
        if rdtype == "SOA":
            yield int(rdata.split()[2])
        elif rdtype == "A" and rdata.startswith("10."):
            _, high, low, _ = rdata.split(".")
            yield int(high) << 8 | int(low)
        for number in _NUMBERED.findall(f"{owner} {rdata}"):
            yield int(number)


def whole_zone(serial: int) -> set[tuple[str, int, str, str]]:
    """Every record with its TTL, to hold a transfer against."""
    return {(owner, TTL, rdtype, rdata) for owner, rdtype, rdata in records_at(serial)}


def questions() -> list[Question]:
    """What is asked, apart from names that exist at one serial only; those asked more often stand here repeatedly."""
    fixed = [
        *[(ZONE, "SOA")] * 6,
        *[(f"serial.{ZONE}", "TXT")] * 4,
        *[(f"set.{ZONE}", "TXT")] * 4,
        *[(f"addresses.{ZONE}", "A")] * 4,
        *[(f"mail.{ZONE}", "MX"), (f"service.{ZONE}", "SRV")] * 3,
        *[(f"alias.{ZONE}", "A"), (f"alias.{ZONE}", "AAAA"), (f"alias.{ZONE}", "CNAME")] * 2,
        *[(f"alias.{ZONE}", "MX"), (f"serial.{ZONE}", "A"), (ZONE, "NS"), (ZONE, "MX"), (f"ns1.{ZONE}", "A")],
        *[(f"large.{ZONE}", "TXT")] * 2,
        *[(f"any-{number}.wild.{ZONE}", "TXT") for number in range(3)],
        *[(f"any.wild.{ZONE}", "A"), (f"wild.{ZONE}", "A")],
        *[(f"branch-{number}.{ZONE}", "TXT") for number in range(3)],
        *[(f"leaf.branch-{number}.{ZONE}", "TXT") for number in range(3)],
        *[(f"www.sub.{ZONE}", "A"), (f"sub.{ZONE}", "NS"), (f"www.lent.{ZONE}", "A"), (f"lent.{ZONE}", "NS")],
        *[(f"missing-{number}.{ZONE}", "A") for number in range(3)],
        *[(f"host-{host}.{ZONE}", rdtype) for host in range(HOSTS) for rdtype in ("A", "A", "AAAA")],
    ]
    for zone in STATIC_ZONES:
        fixed += [(zone, "SOA"), (f"www.{zone}", "A"), (f"www.{zone}", "TXT"), (f"missing.{zone}", "A")]
    return [Question(*each) for each in fixed]
