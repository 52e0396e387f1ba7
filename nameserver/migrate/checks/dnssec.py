"""`migrate dnssec`: whether validators will go on finding the zone good, and what each way of moving still lacks.

    DS at the parent ─▶ a key at each side that it fits ─▶ signs that side's DNSKEY set ─▶ whose keys sign the answers

A resolver may have the DS and the keys of one side in its cache and get an answer of the other: both sides have to be
good under everything that may still be cached. Two ways keep that (`dnssec_plan`): without DNSSEC for a while, or with
the keys of both sides at both (RFC 8901).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dns.dnssec
import dns.name
from dns.dnssectypes import Algorithm
from dns.rdatatype import DNSKEY, NS, SOA, RdataType

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.tree import Tree
from nameserver.migrate.asking.walk import NotFound
from nameserver.migrate.checks import delegation, dnssec_plan
from nameserver.migrate.checks.child_sync import judge_cds
from nameserver.migrate.checks.signed_sides import (
    Anchor,
    Measured,
    Side,
    Signature,
    Signed,
    anchors_of,
    describe,
    fits,
    keys_of,
    measure_side,
    signs,
    texts_of,
    valid,
)
from nameserver.migrate.report import Level, Report, Table

SOON = 3 * 86400  # seconds: signatures that end within them are warned of
SKEW = 300  # seconds that clocks may differ by


@dataclass(frozen=True, slots=True)
class Plan:
    """How the zone is moved: "", "unsign" or "multi-signer".

    `since`: when something was first so: "ds-gone" ("unsign"; `old_ds_ttl` is the TTL of the DS that was there),
    "keys-shared" and "ds-both" ("multi-signer"). Seconds since 1970.
    """

    way: str = ""
    since: Mapping[str, float] = field(default_factory=dict)
    old_ds_ttl: int = 0


NO_PLAN = Plan()


async def examine_sides(
    tree: Tree, zone: dns.name.Name, old: Sequence[Endpoint], new: Sequence[Endpoint], now: float, plan: Plan = NO_PLAN
) -> Report:
    """Every address of both sides, in pairs; the report of the first pair that is not good. Raises as `examine`."""
    reports = []
    for index in range(max(len(old), len(new))):
        sides = (("old", old), ("new", new))
        pair = [(name, each[index % len(each)]) for name, each in sides if each]
        reports.append(await examine(tree, zone, pair, now, plan))
    worst = next((report for report in reports if report.exit_code), reports[0])
    if all("holds" in report.facts for report in reports):  # what holds at one pair alone does not hold yet
        worst.facts["holds"] = {
            what: all(report.facts["holds"][what] for report in reports) for what in worst.facts["holds"]
        }
    return worst


async def examine(
    tree: Tree,
    zone: dns.name.Name,
    servers: Sequence[tuple[str, Endpoint]],
    now: float,
    plan: Plan = NO_PLAN,
) -> Report:
    """Measure and judge. `servers`: ("old" or "new", address). Raises NotFound where no server of the parent tells."""
    parent = await delegation.measure(tree, zone, only_parent=True)
    views = [view for view in parent.parents if not view.problem]
    if not views:
        raise NotFound(parent.silent)
    sides = await asyncio.gather(*(measure_side(tree.asker, zone, name, endpoint) for name, endpoint in servers))
    ds_ttl = max((view.ds_ttl for view in views), default=0)
    seen = Measured({str(view.endpoint): view.ds for view in views}, ds_ttl, list(sides))
    report = judge(zone, seen, now)
    if parent.silent:
        step = "Ask again: what it still says of the DS is not known."
        report.add(Level.FAULT, "parent-silent", parent.silent, step)
        report.verdict = "Not every server of the parent told of its DS."
    if plan.way == "unsign":
        old_ttl = max(plan.old_ds_ttl, ds_ttl)
        dnssec_plan.tell(report, dnssec_plan.unsign(zone, seen, plan.since.get("ds-gone"), old_ttl, now))
    elif plan.way == "multi-signer" and len(sides) == 2:
        dnssec_plan.tell(report, dnssec_plan.multi_signer(zone, seen, plan.since, now))
    return report


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
    judge_cds(report, zone, seen.sides, every, now)
    report.tables += [_keys_table(zone, seen, every)]
    report.facts = {
        "ds": sorted(every),
        "ds_ttl": seen.ds_ttl,
        "sides": {
            side.name: {
                "address": str(side.endpoint),
                "signed": side.signed,
                "keys": sorted(describe(key) for key in keys_of(side)),
                "cds": sorted(texts_of(side.cds)),
                "cdnskey": sorted(texts_of(side.cdnskey)),
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
    for name, rdtype, rrset in (("SOA", SOA, side.soa), ("NS set", NS, side.ns)):
        if rrset is not None:
            _judge_signature(report, f"{where}: the {name}", Signed(rrset, side.signatures[rdtype]), side, zone, now)
    _judge_absence(report, where, side, zone, now)
    _judge_times(report, where, side, now)
    _judge_algorithms(report, where, side, anchors)


def _judge_signature(report: Report, what: str, signed: Signed, side: Side, zone: dns.name.Name, now: float) -> None:
    why = valid(signed.rrset, signed.signatures, keys_of(side), zone, now)
    if why:
        step = "Sign the zone anew there; a zone that is only copied keeps its signatures until they end."
        text = f"{what}'s signature does not hold: {why}"
        report.add(Level.FAULT, _time_code(signed.signatures, now), text, step)


def _judge_absence(report: Report, where: str, side: Side, zone: dns.name.Name, now: float) -> None:
    """What is not there has to be proven (RFC 4035 §3.1.3): one type at the apex tells of the signer."""
    for rdtype, proofs in side.absent.items():
        if not proofs:
            text = f"{where}: that there is no {rdtype.name} at the apex is not proven, by NSEC or NSEC3"
            step = "Validators answer SERVFAIL for every name and type that is not there: sign the zone anew, whole."
            report.add(Level.FAULT, "denial-missing", text, step)
        for proof in proofs:
            what = f"{where}: the {proof.rrset.rdtype.name} that proves that there is no {rdtype.name}"
            _judge_signature(report, what, proof, side, zone, now)
        return


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
    if texts_of(one.cds) != texts_of(two.cds) or texts_of(one.cdnskey) != texts_of(two.cdnskey):
        text = "CDS or CDNSKEY differ between the sides: a parent that follows them would flip between two DS sets"
        report.add(Level.WARNING, "cds-differs", text, "Publish the same at both, or none (RFC 8901 §8).")


def _keys_table(zone: dns.name.Name, seen: Measured, every: frozenset[str]) -> Table:
    anchors = anchors_of(every)
    rows: dict[str, dict[str, str]] = {}
    for side in seen.sides:
        for key in keys_of(side):
            row = rows.setdefault(describe(key), {"ds": "DS" if any(fits(zone, key, ds) for ds in anchors) else ""})
            made = [str(RdataType(rdtype).name) for rdtype in (DNSKEY, SOA) if signs(side, key, rdtype)]
            row[side.name] = f"signs {', '.join(made)}" if made else "published"
    columns = ("KEY", "AT THE PARENT", *(side.name.upper() for side in seen.sides))
    lines = tuple(
        (text, row["ds"], *(row.get(side.name, "absent") for side in seen.sides)) for text, row in sorted(rows.items())
    )
    return Table("Keys", columns, lines)
