"""Measuring the gates of a phase: each becomes a report, and what was first seen goes into the state."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from nameserver.migrate.asking.walk import NotFound
from nameserver.migrate.checks import old_keys, query_counts
from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.moments import moment, remaining
from nameserver.migrate.move import key_clocks, key_look, silence
from nameserver.migrate.move.phases import PHASES, State, Wait, parent_wait
from nameserver.migrate.move.survey import Survey
from nameserver.migrate.report import Level, Report

MOST_ASKED = 5  # RRsets that resolvers are asked for beside the SOA
_NOT_ASKED = frozenset({"NS", "SOA", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM"})
_OF_PARENT = frozenset({"parent-silent", "straggler", "no-new-ns"})


def snapshot_gate(zone: str, baseline: Snapshot | None, problem: str) -> Report:
    """Whether there is a way back."""
    report = Report("snapshot", zone)
    if baseline is None:
        report.add(
            Level.FAULT, "no-snapshot", problem, f"Take one: nameserver migrate snapshot {zone} @SERVER -o DIRECTORY"
        )
        report.verdict = "There is no way back yet."
    elif not baseline.complete:
        text = "the snapshot was made of questions: it holds the names of a list and no more"
        report.add(Level.FAULT, "incomplete", text, "Have the old side allow us a transfer, and take it again.")
        report.verdict = "The way back is incomplete."
    else:
        if not baseline.parent_ns:
            text = "what the parent says is not in it: a way back would not know the DS"
            report.add(Level.WARNING, "no-parent", text, "Take it again without --no-parent, where the parent answers.")
        report.verdict = f"Serial {baseline.serial}, {baseline.records} records, digest {baseline.digest[:16]}."
    return report


def wait_gate(zone: str, wait: Wait, now: float, unseen: str) -> Report:
    """A gate that time opens."""
    report = Report(wait.name, zone)
    opens = wait.opens()
    report.facts = {"terms": dict(wait.terms)}
    if opens is None:
        report.add(Level.FAULT, "not-begun", unseen)
        report.verdict = "The clock has not begun."
        return report
    report.facts["safe_from"] = opens
    if now < opens:
        text = f"open from {moment(opens)} on ({wait.longest[0]})"
        report.add(Level.FAULT, "too-early", text, "Wait.", passing=f", in {remaining(opens - now)}")
        report.verdict = f"Opens at {moment(opens)}."
    else:
        report.verdict = f"Open since {moment(opens)}."
    return report


async def measure(
    survey: Survey,
    state: State,
    wanted: tuple[str, ...],
    now: float,
    baseline: Snapshot | None,
    baseline_problem: str,
    fetch_pages: Callable[[], list[str]] | None,
) -> dict[str, Report]:
    """Measure these gates, in order. What is first seen to hold is noted in `state`."""
    reports: dict[str, Report] = {}
    baseline = state.remember(baseline)
    for number, name in enumerate(wanted, 1):
        survey.watcher.stage(name, number, len(wanted))
        if name == "snapshot":
            reports[name] = snapshot_gate(state.zone, baseline, baseline_problem)
        elif name == "ttl-propagated":
            reports[name] = await survey.lowered_at_resolvers(longest_lived(state.zone, baseline))
        elif name == "ttl":
            reports[name] = await _ttl(survey, state, baseline, baseline_problem, now)
        elif name == "dnssec":
            reports[name] = await _dnssec(survey, state, baseline, now)
        elif name == "old-keys":
            reports[name] = await old_keys_gate(survey, state, baseline, now, final=_ends(state))
        elif name == "delegation":
            reports[name] = await delegation_gate(survey, state, now)
        elif name == "parent-ttl":
            delegation = await delegation_gate(survey, state, now)
            wait = parent_wait(state, baseline, delegation.facts.get("parent_ns_ttl", 0))
            reports[name] = wait_gate(state.zone, wait, now, "the parent does not name the new servers everywhere")
            blind = delegation.unreachable  # then whatever is told says why
            now_wrong = [finding for finding in delegation.findings if blind or finding.code in _OF_PARENT]
            if now_wrong:
                reports[name].findings += now_wrong
                reports[name].verdict = delegation.verdict
        elif name == "quiet":
            silence.note_own(state, survey.asker, (source.endpoint for source in survey.old), now)
            if fetch_pages is not None:
                await asyncio.sleep(silence.settling(state, now))
            reports[name] = _quiet(state, now, fetch_pages)
        else:
            reports[name] = await _plain(survey, state, name)
    return reports


async def _plain(survey: Survey, state: State, name: str) -> Report:
    if name == "resolvers":
        return await survey.resolved(state.new_ns)
    if name == "overlap-propagated":
        return await survey.same_at_resolvers("NS")
    if name == "overlap":
        if not state.new_ns:
            return _nowhere("overlap", state)
        return await survey.overlap(frozenset(state.new_ns))
    return await {"path": survey.path, "parity": survey.parity, "serials": survey.serials}[name]()


def longest_lived(zone: str, baseline: Snapshot | None) -> list[tuple[str, str]]:
    """(owner, type) of the SOA, and of the RRsets that caches have kept longest, by the snapshot."""
    ttls = baseline.ttls if baseline is not None else {}
    asked = [tuple(text.rsplit(" ", 1)) for text in sorted(ttls, key=lambda text: (-ttls[text], text))]
    # The NS set is left out: resolvers that hold on to the parent's never have the zone's own TTL.
    kept = [(owner, kind) for owner, kind in asked if kind not in _NOT_ASKED and not owner.startswith("*.")]
    return [(f"{zone.rstrip('.')}.", "SOA"), *kept[:MOST_ASKED]]


async def _dnssec(survey: Survey, state: State, baseline: Snapshot | None, now: float) -> Report:
    report = await survey.dnssec(state.seen.get("ds-gone"), int(state.longest("ds_ttl", baseline)), now)
    if (seen := report.facts.get("ds_ttl", 0)) > state.longest("ds_ttl", baseline):
        state.cached["ds_ttl"] = seen  # the snapshot may have been taken without the parent, or before it had one
    ttl = int(state.longest("ds_ttl", baseline))
    known = not report.unreachable and "parent-silent" not in report.faults
    if known and "holds" in report.facts and "server-silent" not in report.faults:
        for what, holds in report.facts["holds"].items():
            state.note(what, holds, now)
        survey.since = state.seen
        return await survey.dnssec(None, ttl, now)
    if state.dnssec != "unsign" or not (known or report.facts.get("ds")):
        return report
    state.note("ds-gone", not report.facts["ds"], now)
    return await survey.dnssec(state.seen.get("ds-gone"), ttl, now)


def _ends(state: State) -> bool:
    return PHASES.index(state.phase) >= PHASES.index("decommission")


async def old_keys_gate(survey: Survey, state: State, baseline: Snapshot | None, now: float, *, final: bool) -> Report:
    """Whether each key of the old side is there while it is needed. `final`: none may be needed any more."""
    ever_signed = bool(state.old_keys or (baseline is not None and baseline.ds))
    try:
        lasting = longest_lived(state.zone, baseline)
        look = await key_look.look(survey, state, lasting, ever_signed=ever_signed)
    except NotFound as error:
        return survey.unfound("old-keys", error)
    key_clocks.note(state, survey.zone, look, now)
    known = key_clocks.known(state, look, baseline)
    return old_keys.judge(survey.zone, look, known, now, final=final)


async def _ttl(survey: Survey, state: State, baseline: Snapshot | None, problem: str, now: float) -> Report:
    low = await survey.ttl(None, None, now)
    if low.unreachable:  # nothing is known to have changed: the clock runs on, and the gate is closed
        return low
    if "above" in low.facts:
        state.cached["answers_ttl"] = float(max([each["ttl"] for each in low.facts["above"]] or [state.target_ttl]))
    if low.exit_code == 0:  # where it was transferred from; another server of that side may still have the old TTLs
        others = await survey.serials("old")
        low.findings += [finding for finding in others.findings if finding.level is Level.FAULT]
        if low.faults:
            low.verdict = "The TTLs are low, but not every server of the old side is known to serve them."
            if "lags" in low.faults:
                state.note("ttl-lowered", False, now)
            return low
    state.note("ttl-lowered", low.exit_code == 0, now)
    lowered = state.seen.get("ttl-lowered")
    if lowered is None:
        return low
    if baseline is None:
        text = f"without a snapshot it is not known how long the old TTLs are cached: {problem}"
        low.add(Level.FAULT, "no-snapshot", text, "Restore its files from version control.")
        low.verdict = "The TTLs are low; what they were before is not known."
        return low
    if state.cached["taken"] > lowered:
        text = "the snapshot was taken after the TTLs were lowered: what they were before is not known"
        low.add(Level.FAULT, "snapshot-late", text, "Wait for twice the TTLs of before, and go on with --override.")
        low.verdict = "The TTLs are low; what they were before is not known."
        return low
    return await survey.ttl(replace(baseline, taken=state.cached["taken"]), lowered, now)


async def delegation_gate(survey: Survey, state: State, now: float) -> Report:
    """Whether the parent names the new servers, and the zone's servers agree.

    The clock counts what the parent says alone: a server of the zone that fails for a while does not reset it.
    """
    if not state.new_ns:
        return _nowhere("delegation", state)
    report = await survey.delegation(frozenset(state.new_ns))
    if "straggler" in report.faults:
        state.note("delegated", False, now)
    elif not report.unreachable and "parent-silent" not in report.faults:
        state.note("delegated", True, now)
    return report


def _nowhere(command: str, state: State) -> Report:
    report = Report(command, state.zone)
    step = "Write them into new_ns in the state file."
    report.add(Level.FAULT, "no-new-ns", "the names to delegate to are not known", step)
    report.verdict = "Nobody can tell: the new servers have no names yet."
    return report


def _quiet(state: State, now: float, fetch_pages: Callable[[], list[str]] | None) -> Report:
    if fetch_pages is None:
        return silence.judge(state, now, "it is not known where the old side counts its queries")
    try:
        looks = query_counts.read_pages(state.pages, fetch_pages(), state.zone)
    except ValueError as error:
        return silence.judge(state, now, str(error))
    silence.note(state, looks, now)
    report = silence.judge(state, now, "")
    if all(look.ours for look in looks):
        report.facts["can_be_paused"] = True
    if (counted := len(state.metrics.split())) < len(state.old):
        text = f"the old side has {len(state.old)} servers, and queries of {counted} are counted"
        step = "Give --metrics with the page of each; where one page counts for several servers, once for each of them."
        report.add(Level.FAULT, "not-all-counted", text, step)
        report.verdict = "Nobody can tell of all of it."
    return report
