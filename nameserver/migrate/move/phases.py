"""The five phases of a move, as a state that is made for version control, and the gates between them.

    plan ──▶ lower-ttl ──▶ parallel ──▶ cutover ──▶ decommission ──▶ done
         snapshot      ttl · aged    path · parity   delegation ·    parent TTLs run out ·
                                     serials · ttl   resolvers       old side silent
                                     overlap · both
                                     at resolvers ·  old keys     old keys
                                     dnssec · old
                                     keys

The state says what was done and seen, and when; a gate is measured when it is asked, never taken from the state. An
override is recorded with its reason for good. Times are seconds since 1970.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dns.exception
import dns.name

from nameserver.errors import NameserverError
from nameserver.migrate.checks.snapshot import Snapshot
from nameserver.migrate.checks.typed_json import filled, read_json
from nameserver.store.whole_file import write_whole

FORMAT = 1
PHASES = ("plan", "lower-ttl", "parallel", "cutover", "decommission", "done")
GATES: dict[str, tuple[str, ...]] = {
    "lower-ttl": ("snapshot",),
    "parallel": ("ttl",),
    "cutover": (
        "path",
        "parity",
        "serials",
        "ttl",
        "ttl-propagated",
        "overlap",
        "overlap-propagated",
        "dnssec",
        "old-keys",
    ),
    "decommission": ("delegation", "resolvers", "old-keys"),
    "done": ("parent-ttl", "old-keys", "quiet"),
}
OF_RESOLVERS = frozenset({"ttl-propagated", "overlap-propagated", "resolvers"})  # none are named: then left out
_CACHED = ("largest_ttl", "soa_ttl", "soa_minimum", "ns_ttl", "parent_ns_ttl", "ds_ttl")
VERIFIED = (1, 2, 7)  # days after the cut-over at which it is verified again
KEEP = 72 * 3600  # seconds that the old side is kept at least after the cut-over


class StateError(NameserverError):
    """The state of a move cannot be read, written, or does not allow what was asked."""


class StateChanged(StateError):
    """Somebody has written the state since it was read: what was read is not what would be replaced."""


@dataclass(slots=True)
class State:
    """One move. `old`, `new`: servers as they were written. `entered`: when each phase began.

    `seen`: when something was first seen that time is counted from: "ttl-lowered", "ds-gone", "delegated",
    "keys-shared" and "ds-both" (of two signers), "old-left" (nobody is sent to the old side) and "no-ds".
    `old_keys`: the keys that the old side alone signs with, as text, each with the times of `checks.old_keys`.
    `cached`: the largest TTLs that any snapshot of this move has told of, and when the first of them was taken: one
    that is taken after the TTLs were lowered does not know what caches still hold.
    `log`: one entry for each step that was taken, with the digest of the report that allowed it.
    """

    zone: str
    old: list[str]
    new: list[str]
    snapshot: str  # directory, as seen from the state file
    old_ns: list[str] = field(default_factory=list)
    new_ns: list[str] = field(default_factory=list)
    dnssec: str = ""  # "", "unsign" or "multi-signer"
    target_ttl: int = 300
    floor: float = 48 * 3600.0
    keep: float = KEEP
    quiet: float = 24 * 3600.0
    resolvers: list[str] = field(default_factory=list)
    metrics: str = ""  # where the old side's queries are counted: addresses with spaces between; "" for nowhere
    old_key: str = ""
    new_key: str = ""
    phase: str = "plan"
    entered: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    cached: dict[str, float] = field(default_factory=dict)
    old_keys: dict[str, dict[str, float]] = field(default_factory=dict)
    # [when, queries that the old side has counted, start of each process that counts …]
    samples: list[list[float]] = field(default_factory=list)
    own_questions: float = 0.0  # of them, those that these commands asked,
    own_at: float = 0.0  # and when the last of these were asked
    log: list[dict[str, Any]] = field(default_factory=list)
    format: int = FORMAT

    @property
    def pages(self) -> list[str]:
        """Where the old side's queries are counted, each page once: one may stand there for several servers."""
        return list(dict.fromkeys(self.metrics.split()))

    @property
    def old_names_alone(self) -> frozenset[str]:
        """The servers that only the old side has; none where the names stay, and lead elsewhere."""
        return frozenset(self.old_ns) - frozenset(self.new_ns)

    @property
    def following(self) -> str | None:
        """The phase after this one."""
        at = PHASES.index(self.phase)
        return PHASES[at + 1] if at + 1 < len(PHASES) else None

    def enter(self, now: float, digest: str, override: str = "") -> None:
        """Go on to the next phase. Raises StateError after the last."""
        if self.following is None:
            raise StateError(f"{self.zone} has been moved: there is no phase after {self.phase}")
        self.phase = self.following
        self.entered[self.phase] = now
        entry: dict[str, Any] = {"at": now, "entered": self.phase, "digest": digest}
        self.log.append(entry | {"override": override} if override else entry)

    def go_back(self, now: float, reason: str) -> None:
        """Go back to where the old side alone is delegated to: what was waited for since has to be waited for anew."""
        self.log.append({"at": now, "rolled_back_from": self.phase, "reason": reason})
        self.phase = "parallel" if PHASES.index(self.phase) > PHASES.index("parallel") else "plan"
        # What was restored may be lowered or taken away again with nobody looking: those clocks begin anew as well.
        for name in (
            "delegated",
            "ds-gone",
            "keys-shared",
            "ds-both",
            "old-left",
            "no-ds",
            *(("ttl-lowered",) if self.phase == "plan" else ()),
        ):
            self.seen.pop(name, None)
        self.forget_counts()

    def forget_counts(self) -> None:
        """What was counted so far says nothing any more."""
        self.samples.clear()
        self.own_questions = 0.0

    def remember(self, baseline: Snapshot | None) -> Snapshot | None:
        """The snapshot with the largest TTLs that any snapshot of this move has had."""
        if baseline is None:
            return None
        for name in _CACHED:
            self.cached[name] = max(getattr(baseline, name), self.cached.get(name, 0))
        self.cached["taken"] = min(baseline.taken, self.cached.get("taken", baseline.taken))
        largest: dict[str, Any] = {name: int(self.cached[name]) for name in _CACHED}
        return replace(baseline, **largest)

    def longest(self, name: str, baseline: Snapshot | None) -> float:
        """A TTL that any snapshot of this move has told of, also where none is there any more; in seconds."""
        return max(self.cached.get(name, 0.0), getattr(baseline, name) if baseline is not None else 0.0)

    @property
    def latest(self) -> float:
        """The latest time that something was seen or done at."""
        times = [*self.entered.values(), *self.seen.values(), *(sample[0] for sample in self.samples)]
        return max(times, default=0.0)

    def note(self, what: str, holds: bool, now: float) -> None:
        """Something was measured: the first time in a row that it holds is kept.

        A clock that was set back does not let it begin before what came earlier.
        """
        if holds:
            self.seen.setdefault(what, max(now, self.latest))
        else:
            self.seen.pop(what, None)


def read(path: Path) -> State:
    """Raises StateError."""
    return read_with_digest(path)[0]


def read_with_digest(path: Path) -> tuple[State, str]:
    """The state, and what `replace_file` wants to know it by. Raises StateError."""
    try:
        octets = path.read_bytes()
        values = read_json(octets.decode("utf-8"))
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise StateError(f"{path} is not a migration of format {FORMAT}; it was made by another version")
        state = filled(State, values)
    except OSError as error:
        raise StateError(
            f"{path}: {error.strerror}; begin one: nameserver migrate plan ZONE --old … --new …"
        ) from error
    except (ValueError, TypeError) as error:
        raise StateError(f"{path} is not what `migrate plan` wrote: {error}") from error
    state.old_ns, state.new_ns = (_as_compared(path, names) for names in (state.old_ns, state.new_ns))
    if state.phase not in PHASES:
        raise StateError(f"{path} names a phase that there is not: {state.phase!r}")
    if not state.old or not state.new or any(len(sample) < 2 for sample in state.samples):
        raise StateError(f"{path} lacks a side, or holds a sample that is not a time with a count")
    return state, _digest(octets)


def _as_compared(path: Path, names: list[str]) -> list[str]:
    """Names that somebody may have written by hand: folded, without final dots. Raises StateError."""
    try:
        return [dns.name.from_text(name).canonicalize().to_text(omit_final_dot=True) for name in names]
    except (dns.exception.DNSException, ValueError) as error:
        raise StateError(f"{path} names a server that is no name: {error}") from error


def _digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


def write(path: Path, state: State) -> str:
    """Whatever is there; its digest. Raises StateError, with the file of before untouched."""
    octets = json.dumps(asdict(state), indent=1, sort_keys=True).encode() + b"\n"
    try:
        write_whole(path, [octets])
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from error
    return _digest(octets)


def replace_file(path: Path, state: State, before: str) -> str:
    """Write the state in place of the one with that digest ("": of none); its own digest.

    Raises StateChanged where another is there by now, StateError as `write`.
    """
    with _alone(path.resolve().parent):
        try:
            there = _digest(path.read_bytes())
        except FileNotFoundError:
            there = ""
        except OSError as error:
            raise StateError(f"{path}: {error.strerror}") from error
        if there != before:
            what = "was begun by another command" if not before else "was changed by another command since it was read"
            raise StateChanged(f"{path} {what}: nothing was recorded. Look at it, and run this again")
        return write(path, state)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other commands from writing there meanwhile. A file system without locks is written to all the same."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise StateError(f"{directory}: {error.strerror}") from error
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Wait:
    """A gate that only time opens. `since` None: what it is counted from has not been seen."""

    name: str
    since: float | None
    ttls: tuple[tuple[str, float], ...]  # name and seconds of each TTL that has to run out
    least: tuple[tuple[str, float], ...] = ()  # what is waited for beyond them

    @property
    def terms(self) -> tuple[tuple[str, float], ...]:
        """Everything that has to run out."""
        return (*self.ttls, *self.least)

    @property
    def longest(self) -> tuple[str, float]:
        """The term that decides."""
        return max(self.terms, key=lambda term: term[1])

    def opens(self) -> float | None:
        """When it opens."""
        return None if self.since is None else self.since + self.longest[1]


def parent_wait(state: State, baseline: Snapshot | None, parent_ns_ttl: int) -> Wait:
    """How long the old side may still be asked after the delegation was changed everywhere."""
    old_parent = max(parent_ns_ttl, state.longest("parent_ns_ttl", baseline))
    ttls = [("NS at the parent", old_parent), ("NS at the apex", state.longest("ns_ttl", baseline))]
    if signers := state.longest("ds_ttl", baseline):
        ttls.append(("DS at the parent", signers))
    return Wait(
        "parent-ttl",
        state.seen.get("delegated"),
        tuple((f"{name} ({ttl:.0f} s)", float(ttl)) for name, ttl in ttls),
        (("the least time to keep the old side", state.keep),),
    )


def calendar(state: State, start: float, baseline: Snapshot | None) -> list[tuple[float, str]]:
    """(when, what) of the whole move from the zone's own TTLs, were every gate to open as early as it can."""
    largest = baseline.largest_ttl if baseline else 86400
    parent = baseline.parent_ns_ttl if baseline else 2 * 86400
    waits = parent_wait(state, baseline, parent)
    lowered = start
    cutover = lowered + max(2.0 * largest, state.floor)
    delegated = cutover
    over = delegated + waits.longest[1]
    entries = [
        (start, f"Lower the TTLs of {state.zone} to {state.target_ttl} s"),
        (
            lowered + min(86400.0, max(2.0 * largest, state.floor) / 2),
            "Fill the new side, prove parity, add both sides' NS",
        ),
        (cutover, "Change the NS at the registrar: the old TTLs have run out"),
        *((cutover + days * 86400, "Verify again") for days in VERIFIED),
        (over, "Decommission the old side, if it is silent"),
    ]
    return sorted(entries, key=lambda entry: entry[0])


def icalendar(entries: list[tuple[float, str]], zone: str) -> str:
    """The calendar as RFC 5545 has it: an event of half an hour each."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//nameserver//migrate//EN"]
    for number, (when, what) in enumerate(entries, 1):
        stamp = datetime.fromtimestamp(when, UTC).strftime("%Y%m%dT%H%M%SZ")
        lines += ["BEGIN:VEVENT", f"UID:{zone}-{number}-{stamp}@nameserver", f"DTSTAMP:{stamp}", f"DTSTART:{stamp}"]
        text = what.replace("\\", "\\\\").replace(",", "\\,").replace(";", "\\;")
        lines += ["DURATION:PT30M", f"SUMMARY:{text}", "END:VEVENT"]
    return "".join(f"{_folded(line)}\r\n" for line in [*lines, "END:VCALENDAR"])


def _folded(line: str) -> str:
    """A line of at most 75 octets, the rest of it on lines that begin with a space (RFC 5545 §3.1); of ASCII."""
    pieces = [line[:75], *(line[at : at + 74] for at in range(75, len(line), 74))]
    return "\r\n ".join(pieces)


def gates_before(phase: str | None, state: State) -> tuple[str, ...]:
    """What has to hold before this move enters `phase`; nothing after the last (None)."""
    wanted = GATES[phase] if phase is not None else ()
    return tuple(name for name in wanted if state.resolvers or name not in OF_RESOLVERS)
