"""`migrate rollback`: what to restore at the registrar and at the sides, word for word, by the phase of the move.

What is not known is said to be unknown: a delegation without its DS is a zone that nobody validates, one with a wrong
DS a zone that nobody who validates can reach.
"""

from nameserver.migrate.checks.serials import Sight, newest
from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.move.phases import PHASES, State
from nameserver.migrate.report import Level, Report
from nameserver.zone.serial import Order, compare


def is_late(state: State, baseline: Snapshot) -> bool:
    """Whether a snapshot was taken after the cut-over began: it knows the new names, not those to go back to."""
    return baseline.taken > state.entered.get("cutover", baseline.taken)


def names(state: State, baseline: Snapshot | None) -> list[str]:
    """The nameservers to delegate to again, without final dots."""
    known = baseline is not None and not is_late(state, baseline)
    found = (baseline.parent_ns or baseline.ns) if baseline is not None and known else state.old_ns
    return [name.rstrip(".") for name in found]


def signers(state: State, baseline: Snapshot | None) -> tuple[list[str] | None, str]:
    """(the DS records to restore, ""), or (None, why they are not known)."""
    if state.dnssec == "unsign":
        return [], ""
    if baseline is None:
        return None, "there is no snapshot"
    if is_late(state, baseline):
        return None, "the snapshot was taken after the cut-over began"
    if not baseline.parent_ns:  # a parent that was asked has told of a delegation at least
        return None, "the snapshot was taken without asking the parent"
    return baseline.ds, ""


def lines(state: State, baseline: Snapshot | None) -> list[str]:
    """What to restore, in this phase: at the registrar first, then at the sides."""
    zone = state.zone
    found = []
    if state.phase in ("plan", "lower-ttl"):
        found.append(f"Nothing points at the new side. Raise the TTLs of {zone} again at your leisure.")
    if state.phase == "parallel":
        found.append(
            f"At both sides: remove the new side's servers from the NS set of {zone}. The parent was not changed."
        )
    if state.phase == "done":
        found.append(f"The old side is gone: import {state.snapshot}/{zone}.zone there before you point anybody at it.")
    if PHASES.index(state.phase) >= PHASES.index("cutover"):
        found += _at_the_registrar(state, baseline)
    if baseline is not None:
        found.append(
            f"The zone as it was: {state.snapshot}, serial {baseline.serial}, SHA-384 {baseline.digest[:16]}…."
        )
    return found


def _at_the_registrar(state: State, baseline: Snapshot | None) -> list[str]:
    zone = state.zone
    found = [f"At the registrar of {zone}, set these nameservers and no others:"]
    found += [f"  {name}" for name in names(state, baseline)]
    if len(found) > 1 and (baseline is None or is_late(state, baseline)):
        found.append(
            "  (As the zone itself named them when the move was planned; no snapshot tells what the parent had.)"
        )
    if len(found) == 1:
        found = [
            f"The nameservers of {zone} before the move are not known: ask the provider of before for their names."
        ]
    ds, why = signers(state, baseline)
    if ds is None:
        found += [
            f"The DS records of before are not known: {why}.",
            "  Was the zone not signed at the old side: then no DS record.",
            "  Was it: the DS of its key-signing key, which that provider tells (or its CDS, or dnssec-dsfromkey).",
            "  A DS that fits no key there makes every validator refuse the zone: in doubt set none.",
        ]
    elif state.dnssec == "unsign":
        found.append("and no DS record: the old side was unsigned. Sign it again before it has one.")
    elif ds:
        found.append("and these DS records and no others:")
        found += [f"  {zone}. DS {text}" for text in ds]
    else:
        found.append("and no DS record: there was none.")
    ttl = baseline.parent_ns_ttl if baseline is not None else 0
    long = f"up to {ttl} s" if ttl else "as long as the parent's TTL says, which is not known (often two days)"
    found.append(f"Resolvers that have the new servers go on asking them for {long}: keep the new side serving.")
    return found


def judge_old_side(report: Report, old: list[Sight], new: list[Sight]) -> None:
    """Add whether the old side is still fit to be gone back to: whether it answers, and with the newest version."""
    top = newest(sorted({sight.serial for sight in new if sight.serial is not None}))
    for address in dict.fromkeys(sight.target.endpoint for sight in old):
        seen = [sight for sight in old if sight.target.endpoint == address]
        serial = next((sight.serial for sight in seen if sight.serial is not None), None)
        if serial is None:
            text = f"{address} does not answer for the zone: {seen[0].detail}"
            report.add(Level.WARNING, "old-silent", text, "Send nobody there before it does.")
        elif top is not None and compare(serial, top) not in (Order.NEWER, Order.EQUAL):
            text = f"{address} has serial {serial}, the new side {top}: what was changed since is not there"
            report.add(Level.WARNING, "old-behind", text, "Bring the changes over before you send anybody there.")
