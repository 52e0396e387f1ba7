"""What DNSSEC hangs on, as it stands at the parent and at each side of a move."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
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
from dns.rdatatype import CDNSKEY, CDS, CSYNC, DNSKEY, NS, NSEC, NSEC3, NSEC3PARAM, RRSIG, SOA, RdataType
from dns.rdtypes.dnskeybase import Flag

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker, Question, Reply

MOST_TRIES = 16  # of a key at a signature; many keys of one tag are an attack (CVE-2023-50387)
Key = dns.rdtypes.ANY.DNSKEY.DNSKEY
Signature = dns.rdtypes.ANY.RRSIG.RRSIG
Anchor = dns.rdtypes.ANY.DS.DS


@dataclass(frozen=True, slots=True)
class Signed:
    """An RRset with the signatures that came along."""

    rrset: dns.rrset.RRset
    signatures: list[Signature]


@dataclass(slots=True)
class Side:
    """What one server has for the zone."""

    name: str  # "old" or "new"
    endpoint: Endpoint
    keys: dns.rrset.RRset | None = None
    signatures: dict[RdataType, list[Signature]] = field(default_factory=dict)  # by the type that they are over
    soa: dns.rrset.RRset | None = None
    ns: dns.rrset.RRset | None = None
    cds: dns.rrset.RRset | None = None
    cdnskey: dns.rrset.RRset | None = None
    csync: str = ""
    nsec3: str = ""  # NSEC3PARAM; "" for NSEC, or unsigned
    absent: dict[RdataType, list[Signed]] = field(default_factory=dict)  # proofs, by the type that the apex has not
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
    types = (DNSKEY, SOA, NS, CDS, CDNSKEY, CSYNC, NSEC3PARAM)
    outcomes = await asyncio.gather(*(asker.ask(Question(zone, rdtype, do=True), endpoint) for rdtype in types))
    for rdtype, outcome in zip(types, outcomes, strict=True):
        if not isinstance(outcome, Reply):
            side.problem = f"{outcome.reason}: {outcome.detail}"
            return side
        if outcome.rcode != "NOERROR" or not outcome.authoritative:
            side.problem = f"answered {outcome.rcode}{'' if outcome.authoritative else ' without authority'}"
            return side
        found = outcome.answer(zone, rdtype)
        if rdtype == SOA and found is None:  # then there is no signature to look at either
            side.problem = "answered without the zone's SOA"
            return side
        side.signatures[rdtype] = _signatures(outcome.message.answer, rdtype)
        if found is None:
            proofs = [rrset for rrset in outcome.message.authority if rrset.rdtype in (NSEC, NSEC3)]
            side.absent[rdtype] = [
                Signed(rrset, _signatures(outcome.message.authority, rrset.rdtype, rrset.name)) for rrset in proofs
            ]
        if rdtype == DNSKEY:
            side.keys = found
        elif rdtype == SOA:
            side.soa = found
        elif rdtype == NS:
            side.ns = found
        elif rdtype == CDS:
            side.cds = found
        elif rdtype == CDNSKEY:
            side.cdnskey = found
        elif found is not None:
            text = min(record.to_text() for record in found)
            if rdtype == CSYNC:
                side.csync = text
            else:
                side.nsec3 = text
    return side


def _signatures(
    section: Sequence[dns.rrset.RRset], rdtype: RdataType, owner: dns.name.Name | None = None
) -> list[Signature]:
    """Those over the type, of that owner where one is given."""
    found = (rrset for rrset in section if rrset.rdtype == RRSIG and rrset.covers == rdtype)
    return [each for rrset in found if owner in (None, rrset.name) for each in rrset if isinstance(each, Signature)]


def texts_of(rrset: dns.rrset.RRset | None) -> frozenset[str]:
    """Its records as text; empty where there are none."""
    return frozenset(record.to_text() for record in rrset or ())


def names_in(rrset: dns.rrset.RRset | None) -> frozenset[str]:
    """The servers that an NS RRset names, folded, without final dots."""
    return frozenset(record.target.canonicalize().to_text(omit_final_dot=True) for record in rrset or ())


def keys_of(side: Side) -> list[Key]:
    """The side's keys."""
    return [record for record in side.keys or () if isinstance(record, Key)]


def signs(side: Side, key: Key, rdtype: RdataType) -> bool:
    """Whether that side's RRset of that type at the apex has a signature by the key."""
    made_it = (dns.dnssec.key_id(key), key.algorithm)
    return any((each.key_tag, each.algorithm) == made_it for each in side.signatures.get(rdtype, []))


def describe(key: Key) -> str:
    """Role, tag and algorithm: "KSK 12345 ECDSAP256SHA256"."""
    role = "KSK" if key.flags & Flag.SEP else "ZSK"
    return f"{role} {dns.dnssec.key_id(key)} {dns.dnssec.algorithm_to_text(key.algorithm)}"


def anchors_of(texts: Iterable[str]) -> list[Anchor]:
    """DS records from their text, or from that of CDS records; one that no DS record can be is left out."""
    found: list[Anchor] = []
    for text in sorted(texts):
        with suppress(dns.exception.DNSException, ValueError):
            record = dns.rdata.from_text("IN", "DS", text)
            found += [record] if isinstance(record, Anchor) else []
    return found


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
    why, tries = "no key there has made its signature", 0
    for signature in signatures:
        made_it = (signature.key_tag, signature.algorithm)
        for key in [key for key in ring if (dns.dnssec.key_id(key), key.algorithm) == made_it]:
            if tries == MOST_TRIES:
                return f"none of the first {MOST_TRIES} signatures holds: no validator tries more"
            tries += 1
            try:
                dns.dnssec.validate_rrsig(rrset, signature, {zone: dns.rdataset.from_rdata(0, key)}, now=now)
            except (dns.exception.DNSException, ValueError) as error:
                why = str(error) or type(error).__name__
            else:
                return ""
    return why
