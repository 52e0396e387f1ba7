"""The two ways to move a signed zone, as steps: which are done, which is next, and when that is safe.

unsign        DS away ─ its TTL ─▶ unsign old ─▶ move ─▶ sign new ─▶ DS of new
multi-signer  keys of both at both ─ DNSKEY TTL ─▶ DS of both ─ DS TTL ─▶ move ─ TTLs ─▶ old keys and DS away
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dns.dnssec
import dns.name
from dns.rdatatype import SOA
from dns.rdtypes.dnskeybase import Flag

from nameserver.config.values import format_duration
from nameserver.migrate.checks.signed_sides import Key, Measured, Side, anchors_of, fits, keys_of, texts_of, valid
from nameserver.migrate.moments import moment
from nameserver.migrate.report import Level, Report, Table

FLOOR = 48 * 3600  # seconds to wait at least for a DS that is gone
KEYS, DS = "keys-shared", "ds-both"  # what time is counted from, with two signers
BOTH_SIGNED = "both sides are signed"
BOTH_KEYS = "each side publishes the zone-signing keys of both"
BOTH_DS = "the parent has a DS for each side"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `lacks`: what is missing, "" when done; `opens`: seconds since 1970 from which on the next is safe."""

    name: str
    lacks: str = ""
    opens: float = 0.0


def unsign(zone: dns.name.Name, seen: Measured, ds_gone_since: float | None, old_ds_ttl: int, now: float) -> list[Step]:
    """The steps of doing without DNSSEC for a while. `old_ds_ttl`: of the DS that was there."""
    still = sorted(address for address, ds in seen.ds.items() if ds)
    gone = Step("no server of the parent has a DS", f"{', '.join(still)} still has it" if still else "")
    wait = max(old_ds_ttl, FLOOR)
    if still or ds_gone_since is None:
        run_out = Step(
            "the DS has run out of all caches", "it is not known since when it is gone" if not still else "not begun"
        )
    else:
        opens = ds_gone_since + wait
        lacks = f"not before {moment(opens)}, {format_duration(wait)} after it went" if now < opens else ""
        run_out = Step("the DS has run out of all caches", lacks, opens)
    signed = [side.name for side in seen.sides if side.signed]
    plain = Step("both sides are unsigned", f"signed: {', '.join(signed)}" if signed else "")
    return [gone, run_out, plain]


def _run_out(name: str, begun: bool, since: float | None, ttl: int, now: float) -> Step:
    """Waiting until what was there before has run out of all caches, from the moment that it was replaced."""
    if not begun:
        return Step(name, "not begun")
    if since is None:
        return Step(name, f"it is not known since when; it takes {format_duration(ttl)}")
    opens = since + ttl
    lacks = f"not before {moment(opens)}, {format_duration(ttl)} after they were replaced" if now < opens else ""
    return Step(name, lacks, opens)


def multi_signer(zone: dns.name.Name, seen: Measured, since: Mapping[str, float], now: float) -> list[Step]:
    """The steps of RFC 8901 (model 2: each side its own keys).

    `since`: "keys-shared" and "ds-both", when that was first so. What is cached of before lacks the other side's keys:
    who has it finds the answers of the other side bogus, so each has to run out before the next step.
    """
    old, new = seen.sides
    union = {key.to_text(): key for side in seen.sides for key in keys_of(side)}
    signed = Step(BOTH_SIGNED, ", ".join(f"{side.name} is not" for side in seen.sides if not side.signed))
    lacking = [
        f"{side.name} lacks {dns.dnssec.key_id(key)}"
        for side in (old, new)
        for text, key in sorted(union.items())
        if not key.flags & Flag.SEP and text not in {each.to_text() for each in keys_of(side)}
    ]
    shared = Step(BOTH_KEYS, "; ".join(lacking))
    key_ttl = max((int(side.keys.ttl) for side in seen.sides if side.keys is not None), default=0)
    begun = not signed.lacks and not shared.lacks
    keys_over = _run_out("the key sets of before have run out of all caches", begun, since.get(KEYS), key_ttl, now)
    everywhere = frozenset.intersection(*seen.ds.values()) if seen.ds else frozenset[str]()
    anchors = anchors_of(everywhere)
    uncovered = [
        f"none for a key of {side.name}"
        for side in (old, new)
        if not any(fits(zone, key, ds) for key in keys_of(side) for ds in anchors)
    ]
    covered = Step(BOTH_DS, "; ".join(uncovered))
    broken = [
        f"{side.name}: {why}" for side in (old, new) if (why := _under_union(zone, side, list(union.values()), now))
    ]
    validates = Step("each side's answers hold under the keys of both", "; ".join(broken))
    told = {
        "CDS": (texts_of(old.cds), texts_of(new.cds)),
        "CDNSKEY": (texts_of(old.cdnskey), texts_of(new.cdnskey)),
        "CSYNC": (old.csync, new.csync),
    }
    differ = [kind for kind, (one, two) in told.items() if one != two]
    follow = Step("CDS, CDNSKEY and CSYNC are the same at both", f"{', '.join(differ)} differ" if differ else "")
    ds_over = _run_out(
        "the DS set of before has run out of all caches", not covered.lacks, since.get(DS), seen.ds_ttl, now
    )
    return [signed, shared, keys_over, covered, ds_over, validates, follow]


def _under_union(zone: dns.name.Name, side: Side, keys: Sequence[Key], now: float) -> str:
    if side.soa is None:
        return side.problem or "no SOA"
    return valid(side.soa, side.signatures.get(SOA, []), [key for key in keys_of(side) if key in keys], zone, now)


def tell(report: Report, steps: Sequence[Step]) -> None:
    """Add the steps to a report: the first that lacks something is what to do now."""
    rows = []
    for number, step in enumerate(steps, 1):
        rows.append((str(number), step.name, "done" if not step.lacks else "missing", step.lacks))
    report.tables.append(Table("Plan", ("", "STEP", "STATE", "WHAT IS MISSING"), tuple(rows)))
    missing = [step for step in steps if step.lacks]
    report.facts["plan"] = [{"step": step.name, "done": not step.lacks, "lacks": step.lacks} for step in steps]
    if len(missing) == 1 and missing[0].opens:
        report.facts["safe_from"] = missing[0].opens
    done = {step.name: not step.lacks for step in steps}
    if BOTH_DS in done:
        report.facts["holds"] = {KEYS: done[BOTH_SIGNED] and done[BOTH_KEYS], DS: done[BOTH_DS]}
    if missing:
        report.add(Level.FAULT, "plan-step", f"next: {missing[0].name}: {missing[0].lacks}")
        report.verdict = f"{report.verdict} A step of the plan is missing: {missing[0].name}."
    else:
        report.add(Level.GOOD, "plan-ready", "every step of the plan is done: the cut-over is safe for validators")
