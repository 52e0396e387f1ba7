"""Whether the old side is silent: by the queries that it counts, and, where its log is given, by who still asks.

    looks:   count, start ── same count, same start ──▶ silent since the first of the two
                          ── the count went up ───────▶ asked
                          ── another start ───────────▶ restarted: what was asked in between is not known

Two forms of a page of counts are read: metrics as ours has them, and the statistics of BIND as JSON
(`http://ADDRESS:PORT/json/v1/zones`, with `zone-statistics full`). SOA queries and transfers are not counted.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from nameserver.config.model import Endpoint
from nameserver.config.values import format_duration
from nameserver.migrate.asking import AS_PEERS_ASK, Asker
from nameserver.migrate.moments import moment, remaining
from nameserver.migrate.phases import State
from nameserver.migrate.report import Level, Report

QUERIES = "nameserver_zone_queries_total"  # of kind "normal": neither SOA nor transfers nor NOTIFY
STARTED = "process_start_time_seconds"
OUR_START = "nameserver_start_timestamp_seconds"  # where the system does not tell when a process began
SETTLES = 2.0  # seconds from a question until it is counted
SAME_START = 1.0  # seconds: some exporters work the start out anew each time, from clocks that are adjusted


@dataclass(frozen=True, slots=True)
class Look:
    """What a page says: queries of users for the zone, and when who counts began (seconds since 1970), if it says."""

    count: float
    started: float | None = None


def read_pages(addresses: Sequence[str], pages: Sequence[str], zone: str) -> list[Look]:
    """What each page says. Raises ValueError, with the address of the page that does not tell."""
    looks = []
    for address, page in zip(addresses, pages, strict=True):
        try:
            looks.append(read_page(page, zone))
        except ValueError as error:
            raise ValueError(f"{address}: {error}") from error
    return looks


def read_page(text: str, zone: str) -> Look:
    """Raises ValueError where a page tells of no queries for the zone."""
    return _bind(text, zone) if text.lstrip().startswith("{") else _metrics(text, zone)


def _metrics(text: str, zone: str) -> Look:
    counts: list[float] = []
    starts: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == QUERIES and sample.labels.get("zone") == zone and sample.labels.get("kind") == "normal":
                counts.append(sample.value)
            elif sample.name in (STARTED, OUR_START):
                starts[sample.name] = sample.value
    if not counts:
        raise ValueError(f"the page has no {QUERIES} of {zone} (is per-zone-metrics off there?)")
    return Look(sum(counts), starts.get(STARTED, starts.get(OUR_START)))


def _bind(text: str, zone: str) -> Look:
    try:
        page = json.loads(text)
        views = page["views"].values()
        found = [each for view in views for each in view.get("zones", ()) if each["name"].lower() == zone]
        counts = [_asked(each) for each in found if each["class"] == "IN"]
        started = datetime.fromisoformat(page["boot-time"]).timestamp()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"the page is not the statistics of a BIND: {error}") from error
    if not counts:
        raise ValueError(f"BIND's statistics have no zone {zone}")
    if all(count is None for count in counts):
        # A zone that was never asked for has no counters either: nothing tells the one from the other.
        text = "is there `zone-statistics full;`? If so, ask it once for the SOA"
        raise ValueError(f"BIND has no counters of {zone}: {text}")
    return Look(float(sum(count or 0 for count in counts)), started)


def _asked(zone: dict[str, Any]) -> int | None:
    """Queries of users by a zone's entry; None where it has no counters."""
    if "qtypes" not in zone:
        return None
    return sum(int(count) for kind, count in zone["qtypes"].items() if kind not in AS_PEERS_ASK)


def note(state: State, looks: Sequence[Look], now: float) -> None:
    """Keep in the state what the pages said; `now` in seconds since 1970. What we asked ourselves is taken off."""
    starts = [look.started for look in looks if look.started is not None]
    known = starts if len(starts) == len(looks) else []
    if state.samples and not _same(state.samples[-1][2:], known):
        state.own_questions = 0  # they were counted by a process that is no more
    state.samples.append([now, sum(look.count for look in looks) - state.own_questions, *known])


def note_own(state: State, asker: Asker, servers: Iterable[Endpoint], now: float) -> None:
    """Remember what was asked of the old side's `servers` until now: it counts that as it counts users."""
    asked = sum(asker.asked_as_users.pop(server, 0) for server in servers)
    if asked:
        state.own_questions += asked
        state.own_at = now


def settling(state: State, now: float) -> float:
    """Seconds until what we asked ourselves is on the page: servers bring their counts up to date once a second."""
    return max(0.0, min(SETTLES, state.own_at + SETTLES - now))


def _same(before: Sequence[float], after: Sequence[float]) -> bool:
    if not before or len(before) != len(after):
        return False
    return all(abs(one - other) <= SAME_START for one, other in zip(before, after, strict=True))


def silent_since(samples: Sequence[Sequence[float]]) -> float | None:
    """Since when the old side has counted no queries; None where it has, or where nobody can tell.

    A sample is [when, count, start of each process that counts …]. A restart is never silence: what was asked between
    the look before it and the start is not known. From a start on that nothing was counted since, there is silence.
    """
    since = None
    for (when, before, *was), (later, count, *starts) in pairwise(samples):
        if _same(was, starts):
            since = None if count != before else when if since is None else since
        elif starts and count == 0:
            since = min(max(*starts, when), later)
        else:
            since = None
    return since


def judge(state: State, now: float, problem: str) -> Report:
    """Whether nobody asks the old side any more, by the samples in the state. `problem`: why there is no new one."""
    report = Report("quiet", state.zone)
    if problem:
        step = "Give --metrics URL: where the old side counts the zone's queries."
        report.add(Level.FAULT, "no-metrics", problem, step)
        report.verdict = "Nobody can tell."
        return report
    last = state.samples[-1]
    if len(last) == 2:
        text = "the page does not tell when its process began: after a restart it may begin at the same count"
        step = f"Read a page that has {STARTED}, or look at the query log and go on with --override."
        report.add(Level.FAULT, "no-start-time", text, step)
        report.verdict = "Nobody can tell."
        return report
    since = silent_since(state.samples)
    if since is None:
        _why_not(report, state.samples)
        report.verdict = "Not silent."
        return report
    report.facts = {"silent_since": since}
    if now - since < state.quiet:
        text = f"silent since {moment(since)}, {format_duration(state.quiet)} are wanted"
        report.facts["safe_from"] = since + state.quiet
        left = f": {remaining(since + state.quiet - now)} to go"
        report.add(Level.FAULT, "too-early", text, "Wait.", passing=left)
    report.verdict = f"Silent since {moment(since)}."
    return report


def _why_not(report: Report, samples: Sequence[Sequence[float]]) -> None:
    if len(samples) == 1:
        report.add(Level.FAULT, "not-yet", "one look tells nothing: ask again later", "Look again in an hour.")
        return
    (_, before, *was), (_, count, *starts) = samples[-2:]
    if not _same(was, starts) or count < before:
        text = "who counts was restarted since the last look: what was asked in between is not known"
        report.add(Level.FAULT, "restarted", text, "Look again in an hour: silence counts from this look on.")
    else:
        text = f"the old side is still asked: {count - before:g} queries since the last look"
        report.add(Level.FAULT, "still-asked", text, "See who asks: decommission --query-log FILE. Look again later.")
