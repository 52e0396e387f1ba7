"""Whether the old side is silent: by the queries that it counts, and, where its log is given, by who still asks.

looks:   count, start ── same count, same start ──▶ silent since the first of the two
                      ── the count went up ───────▶ asked
                      ── another start ───────────▶ restarted: what was asked in between is not known
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from nameserver.config.model import Endpoint
from nameserver.config.values import format_duration
from nameserver.migrate.asking.asking import Asker
from nameserver.migrate.checks.query_counts import STARTED, Look
from nameserver.migrate.moments import moment, remaining
from nameserver.migrate.move.phases import State
from nameserver.migrate.report import Level, Report

SETTLES = 2.0  # seconds from a question until it is counted
SAME_START = 1.0  # seconds: some exporters work the start out anew each time, from clocks that are adjusted


def note(state: State, looks: Sequence[Look], now: float) -> None:
    """Keep in the state what the pages said; `now` in seconds since 1970. What we asked ourselves is taken off."""
    starts = [look.started for look in looks if look.started is not None]
    known = starts if len(starts) == len(looks) else []
    if state.samples and not _same(state.samples[-1][2:], known):
        state.own_questions = 0  # they were counted by a process that is no more
    # A clock that was set back would make a silence that began then a long one, once it is right again.
    state.samples.append([max(now, state.latest), sum(look.count for look in looks) - state.own_questions, *known])


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
