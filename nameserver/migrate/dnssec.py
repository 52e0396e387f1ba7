"""`migrate dnssec`: whether validators will go on finding the zone good, and what each way of moving still lacks.

    DS at the parent ─▶ a key at each side that it fits ─▶ signs that side's DNSKEY set ─▶ whose keys sign the answers

A resolver may have the DS and the keys of one side in its cache and get an answer of the other: both sides have to be
good under everything that may still be cached. Two ways keep that (`dnssec_plan`): without DNSSEC for a while, or with
the keys of both sides at both (RFC 8901).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import dns.dnssec
import dns.exception
import dns.name
import dns.rdata
import dns.rdataset
import dns.rdtypes.ANY.DNSKEY
import dns.rdtypes.ANY.DS
import dns.rdtypes.ANY.RRSIG
import dns.rrset
from dns.dnssectypes import Algorithm
from dns.rdatatype import CDNSKEY, CDS, DNSKEY, NSEC3PARAM, RRSIG, SOA, RdataType
from dns.rdtypes.dnskeybase import Flag

from nameserver.config.model import Endpoint
from nameserver.migrate.asking import Asker, Question, Reply
from nameserver.migrate.report import Level, Report, Table

Key = dns.rdtypes.ANY.DNSKEY.DNSKEY
Signature = dns.rdtypes.ANY.RRSIG.RRSIG
Anchor = dns.rdtypes.ANY.DS.DS

SOON = 3 * 86400  # seconds: signatures that end within them are warned of
SKEW = 300  # seconds that clocks may differ by


@dataclass(slots=True)
class Side:
    """What one server has for the zone."""

    name: str  # "old" or "new"
    endpoint: Endpoint
    keys: dns.rrset.RRset | None = None
    signatures: dict[RdataType, list[Signature]] = field(default_factory=dict)  # over DNSKEY and SOA
    soa: dns.rrset.RRset | None = None
    cds: frozenset[str] = frozenset()
    cdnskey: frozenset[str] = frozenset()
    nsec3: str = ""  # NSEC3PARAM; "" for NSEC, or unsigned
    problem: str = ""

    @property
    def signed(self) -> bool:
        """Whether it has keys."""
        return self.keys is not None


@dataclass(slots=True)
class Measured:
    """DS as text at every server of the parent, with its largest TTL; and the sides."""

    ds: dict[str, frozenset[str]]  # address of a server of the parent → its DS set
    ds_ttl: int
    sides: list[Side]


async def measure_side(asker: Asker, zone: dns.name.Name, name: str, endpoint: Endpoint) -> Side:
    """Ask one server for everything that DNSSEC hangs on."""
    side = Side(name, endpoint)
    types = (DNSKEY, SOA, CDS, CDNSKEY, NSEC3PARAM)
    outcomes = await asyncio.gather(*(asker.ask(Question(zone, rdtype, do=True), endpoint) for rdtype in types))
    for rdtype, outcome in zip(types, outcomes, strict=True):
        if not isinstance(outcome, Reply):
            side.problem = f"{outcome.reason}: {outcome.detail}"
            return side
        if outcome.rcode != "NOERROR" or not outcome.authoritative:
            side.problem = f"answered {outcome.rcode}{'' if outcome.authoritative else ' without authority'}"
            return side
        found = outcome.answer(zone, rdtype)
        signatures = next(
            (rrset for rrset in outcome.message.answer if rrset.rdtype == RRSIG and rrset.covers == rdtype), None
        )
        side.signatures[rdtype] = [each for each in signatures or () if isinstance(each, Signature)]
        if rdtype == DNSKEY:
            side.keys = found
        elif rdtype == SOA:
            side.soa = found
        elif found is not None:
            texts = frozenset(record.to_text() for record in found)
            if rdtype == CDS:
                side.cds = texts
            elif rdtype == CDNSKEY:
                side.cdnskey = texts
            else:
                side.nsec3 = sorted(texts)[0]
    return side


def keys_of(side: Side) -> list[Key]:
    """The side's keys."""
    return [record for record in side.keys or () if isinstance(record, Key)]


def anchors_of(texts: Iterable[str]) -> list[Anchor]:
    """DS records from their text."""
    found = [dns.rdata.from_text("IN", "DS", text) for text in sorted(texts)]
    return [record for record in found if isinstance(record, Anchor)]


def fits(zone: dns.name.Name, key: Key, ds: Anchor) -> bool:
    """Whether a DS record is made of this key (RFC 4034 §5.1.4). A digest that we cannot make fits nothing."""
    try:
        made = dns.dnssec.make_ds(zone, key, ds.digest_type, policy=dns.dnssec.allow_all_policy)
    except (dns.exception.DNSException, ValueError, AttributeError):
        return False
    return bool(made == ds)


def valid(
    rrset: dns.rrset.RRset, signatures: Sequence[Signature], keys: Iterable[Key], zone: dns.name.Name, now: float
) -> str:
    """Why no signature by one of these keys holds for the RRset; "" where one does."""
    ring = list(keys)
    if not signatures or not ring:
        return "there is no key" if signatures else "there is no signature"
    known = dns.rdataset.from_rdata_list(0, ring)
    why = ""
    for signature in signatures:
        try:
            dns.dnssec.validate_rrsig(rrset, signature, {zone: known}, now=now)
        except (dns.exception.DNSException, ValueError) as error:
            why = str(error) or type(error).__name__
        else:
            return ""
    return why


def judge(zone: dns.name.Name, seen: Measured, now: float) -> Report:
    """What validators make of it now, at every side. `now`: seconds since 1970."""
    report = Report("dnssec", zone.to_text(omit_final_dot=True))
    sets = set(seen.ds.values())
    every = frozenset().union(*sets)
    if len(sets) > 1:
        text = "the servers of the parent have different DS sets"
        report.add(Level.FAULT, "ds-differs", text, "A change is under way there: wait, and ask again.")
    for side in seen.sides:
        _judge_side(report, zone, side, every, now)
    _judge_sides_together(report, seen.sides)
    report.tables += [_keys_table(zone, seen, every)]
    report.facts = {
        "ds": sorted(every),
        "ds_ttl": seen.ds_ttl,
        "sides": {
            side.name: {
                "address": str(side.endpoint),
                "signed": side.signed,
                "keys": sorted(_describe(key) for key in keys_of(side)),
                "denial": ("nsec3" if side.nsec3 else "nsec") if side.signed else None,
                "problem": side.problem or None,
            }
            for side in seen.sides
        },
    }
    report.unreachable = bool(seen.sides) and all(side.problem for side in seen.sides)
    if report.exit_code:
        report.verdict = "Validators will not find the zone good at every side."
    else:
        report.verdict = (
            "The chain of trust holds at every side." if every else "There is no DS: validators ask for nothing."
        )
    return report


def _judge_side(report: Report, zone: dns.name.Name, side: Side, every: frozenset[str], now: float) -> None:
    where = f"the {side.name} side ({side.endpoint})"
    if side.problem:
        report.add(Level.FAULT, "server-silent", f"{where}: {side.problem}")
        return
    if not side.signed:
        if every:
            text = f"{where} is not signed, but the parent has a DS: validators answer SERVFAIL"
            report.add(Level.FAULT, "ds-without-key", text, "Sign there, or have the DS removed and wait for its TTL.")
        return
    anchors = anchors_of(every)
    entry = [key for key in keys_of(side) if any(fits(zone, key, ds) for ds in anchors)]
    if every and not entry:
        text = f"{where}: no key there fits the DS at the parent"
        report.add(
            Level.FAULT,
            "ds-mismatch",
            text,
            "Publish that side's key-signing key as a DS before anybody is sent there.",
        )
    if side.keys is not None and (entry or not every):
        why = valid(side.keys, side.signatures.get(DNSKEY, []), entry or keys_of(side), zone, now)
        if why:
            text = f"{where}: its DNSKEY set is not signed by a key that the DS leads to: {why}"
            report.add(Level.FAULT, "dnskey-unsigned", text, "Sign the DNSKEY set with that key.")
    if side.soa is not None:
        why = valid(side.soa, side.signatures.get(SOA, []), keys_of(side), zone, now)
        if why:
            code = _time_code(side.signatures.get(SOA, []), now)
            step = "Sign the zone anew there; a zone that is only copied keeps its signatures until they end."
            report.add(Level.FAULT, code, f"{where}: the SOA's signature does not hold: {why}", step)
    _judge_times(report, where, side, now)
    _judge_algorithms(report, where, side, anchors)


def _time_code(signatures: Sequence[Signature], now: float) -> str:
    if signatures and all(signature.expiration < now for signature in signatures):
        return "rrsig-expired"
    if signatures and all(signature.inception > now + SKEW for signature in signatures):
        return "rrsig-future"
    return "rrsig-invalid"


def _judge_times(report: Report, where: str, side: Side, now: float) -> None:
    ends = [signature.expiration for each in side.signatures.values() for signature in each]
    if ends and now <= min(ends) < now + SOON:
        hours = int((min(ends) - now) // 3600)
        text = f"{where}: its signatures begin to end in {hours} hours"
        report.add(Level.WARNING, "rrsig-expiring", text, "See that the signer is at work there.")


def _judge_algorithms(report: Report, where: str, side: Side, anchors: Sequence[Anchor]) -> None:
    """Every algorithm of the DS set has to sign the keys, every one of the keys the zone (RFC 6840 §5.11)."""
    by_keys = {int(signature.algorithm) for signature in side.signatures.get(DNSKEY, [])}
    by_zone = {int(signature.algorithm) for signature in side.signatures.get(SOA, [])}
    for algorithm in sorted({int(ds.algorithm) for ds in anchors} - by_keys):
        name = dns.dnssec.algorithm_to_text(Algorithm.make(algorithm))
        text = f"{where}: the DS set has {name}, but no signature over the keys is of it"
        report.add(Level.WARNING, "algorithm-uncovered", text, "Strict validators refuse that (RFC 6840 §5.11).")
    for algorithm in sorted({int(key.algorithm) for key in keys_of(side)} - by_zone):
        name = dns.dnssec.algorithm_to_text(Algorithm.make(algorithm))
        text = f"{where}: it has a key of {name} that signs nothing"
        report.add(Level.WARNING, "algorithm-uncovered", text, "Strict validators refuse that (RFC 6840 §5.11).")


def _judge_sides_together(report: Report, sides: Sequence[Side]) -> None:
    if len(sides) != 2 or any(side.problem for side in sides):
        return
    one, two = sides
    if one.signed != two.signed:
        signed = one if one.signed else two
        text = f"only the {signed.name} side is signed"
        report.add(Level.WARNING, "one-side-signed", text, "With a DS at the parent both have to be: see --plan.")
    if one.signed and two.signed and bool(one.nsec3) != bool(two.nsec3):
        kinds = {side.name: "NSEC3" if side.nsec3 else "NSEC" for side in sides}
        text = f"denial differs: old {kinds['old']}, new {kinds['new']}"
        report.add(
            Level.NOTE, "denial-differs", text, "Good with validators; what is cached of one does not serve the other."
        )
    if one.cds != two.cds or one.cdnskey != two.cdnskey:
        text = "CDS or CDNSKEY differ between the sides: a parent that follows them would flip between two DS sets"
        report.add(Level.WARNING, "cds-differs", text, "Publish the same at both, or none (RFC 8901 §4).")


def _describe(key: Key) -> str:
    role = "KSK" if key.flags & Flag.SEP else "ZSK"
    return f"{role} {dns.dnssec.key_id(key)} {dns.dnssec.algorithm_to_text(key.algorithm)}"


def _keys_table(zone: dns.name.Name, seen: Measured, every: frozenset[str]) -> Table:
    anchors = anchors_of(every)
    rows: dict[str, dict[str, str]] = {}
    for side in seen.sides:
        for key in keys_of(side):
            row = rows.setdefault(_describe(key), {"ds": "DS" if any(fits(zone, key, ds) for ds in anchors) else ""})
            tag = dns.dnssec.key_id(key)
            signs = [
                str(RdataType(rdtype).name)
                for rdtype in (DNSKEY, SOA)
                if any(each.key_tag == tag for each in side.signatures.get(rdtype, []))
            ]
            row[side.name] = f"signs {', '.join(signs)}" if signs else "published"
    columns = ("KEY", "AT THE PARENT", *(side.name.upper() for side in seen.sides))
    lines = tuple(
        (text, row["ds"], *(row.get(side.name, "absent") for side in seen.sides)) for text, row in sorted(rows.items())
    )
    return Table("Keys", columns, lines)
