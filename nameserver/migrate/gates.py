"""Measuring the gates of a phase: each becomes a report, and what was first seen goes into the state."""

from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from nameserver.config.values import format_duration
from nameserver.migrate.phases import State, Wait, parent_wait, quiet_since
from nameserver.migrate.report import Level, Report
from nameserver.migrate.snapshot import Snapshot
from nameserver.migrate.survey import Survey

QUERIES = "nameserver_zone_queries_total"  # of kind "normal": neither SOA nor transfers nor NOTIFY


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
    when = datetime.fromtimestamp(opens, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if now < opens:
        left = format_duration(round(opens - now))
        report.add(Level.FAULT, "too-early", f"open from {when} on, in {left}: {wait.longest[0]}", "Wait.")
        report.verdict = f"Opens in {left}."
    else:
        report.verdict = f"Open since {when}."
    return report


def count_queries(text: str, zone: str) -> float:
    """Queries of users for a zone, from a page of metrics. Raises ValueError where it tells of none."""
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == QUERIES and sample.labels.get("zone") == zone and sample.labels.get("kind") == "normal"
    ]
    if not found:
        raise ValueError(f"the page has no {QUERIES} of {zone}")
    return sum(found)


def quiet_gate(state: State, now: float, problem: str) -> Report:
    """Whether nobody asks the old side any more, by the samples in the state."""
    report = Report("quiet", state.zone)
    since = quiet_since(state.samples)
    if problem:
        report.add(
            Level.FAULT, "no-metrics", problem, "Give --metrics URL: where the old side counts the zone's queries."
        )
        report.verdict = "Nobody can tell."
        return report
    if since is None:
        many = len(state.samples) > 1
        text = "the old side is still asked" if many else "one look tells nothing: ask again later"
        report.add(Level.FAULT, "still-asked" if many else "not-yet", text, "Look again in an hour.")
        report.verdict = "Not silent."
        return report
    silent = now - since
    report.facts = {"silent_since": since}
    if silent < state.quiet:
        text = f"silent for {format_duration(round(silent))}, {format_duration(state.quiet)} are wanted"
        report.facts["safe_from"] = since + state.quiet
        report.add(Level.FAULT, "too-early", text, "Wait.")
    report.verdict = f"Silent for {format_duration(round(silent))}."
    return report


async def measure(
    survey: Survey,
    state: State,
    wanted: tuple[str, ...],
    now: float,
    baseline: Snapshot | None,
    baseline_problem: str,
    fetch_metrics: Callable[[], str] | None,
) -> dict[str, Report]:
    """Measure these gates, in order. What is first seen to hold is noted in `state`."""
    reports: dict[str, Report] = {}
    for name in wanted:
        if name == "snapshot":
            reports[name] = snapshot_gate(state.zone, baseline, baseline_problem)
        elif name == "ttl":
            low = await survey.ttl(None, None, now)
            state.note("ttl-lowered", low.exit_code == 0, now)
            lowered = state.seen.get("ttl-lowered")
            reports[name] = low if lowered is None else await survey.ttl(baseline, lowered, now)
        elif name == "dnssec":
            reports[name] = await _dnssec(survey, state, baseline, now)
        elif name == "delegation":
            reports[name] = await survey.delegation(frozenset(state.new_ns))
            state.note("delegated", reports[name].exit_code == 0, now)
        elif name == "parent-ttl":
            delegation = await survey.delegation(frozenset(state.new_ns))
            state.note("delegated", delegation.exit_code == 0, now)
            wait = parent_wait(state, baseline, delegation.facts.get("parent_ns_ttl", 0))
            reports[name] = wait_gate(state.zone, wait, now, "the parent does not name the new servers everywhere")
        elif name == "quiet":
            reports[name] = _quiet(state, now, fetch_metrics)
        else:
            reports[name] = await _plain(survey, state, name)
    return reports


async def _plain(survey: Survey, state: State, name: str) -> Report:
    if name == "resolvers":
        return await survey.resolved(state.new_ns)
    if name == "overlap":
        return await survey.overlap(frozenset(state.new_ns))
    return await {"path": survey.path, "parity": survey.parity, "serials": survey.serials}[name]()


async def _dnssec(survey: Survey, state: State, baseline: Snapshot | None, now: float) -> Report:
    ttl = baseline.ds_ttl if baseline else 0
    report = await survey.dnssec(state.seen.get("ds-gone"), ttl, now)
    if state.dnssec == "unsign":
        state.note("ds-gone", not report.facts.get("ds"), now)
        return await survey.dnssec(state.seen.get("ds-gone"), ttl, now)
    return report


def _quiet(state: State, now: float, fetch_metrics: Callable[[], str] | None) -> Report:
    if fetch_metrics is None:
        return quiet_gate(state, now, "it is not known where the old side counts its queries")
    try:
        count = count_queries(fetch_metrics(), state.zone)
    except (OSError, ValueError) as error:
        return quiet_gate(state, now, f"{state.metrics}: {error}")
    state.samples.append([now, count])
    return quiet_gate(state, now, "")
