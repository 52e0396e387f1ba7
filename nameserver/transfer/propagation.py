"""How far a zone's versions have come: which serial each server below us has, and how long that took.

What is known of a server comes from two sides:

    took       a transfer to it has ended, or it asked for the differences from a serial on (RFC 1995): it holds that
    answered   it was asked for its SOA, and answers with that serial

The second is what counts for those who ask it, and what a transfer does not prove: the server may refuse what came, or
hold it back in a cache. So who was told is asked, soon after it took something, else with growing waits, until it
answers the new serial:

    publish ─▶ told ──(¼ s)──▶ check ─ older ─▶ ½ s, 1 s, … 60 s ─▶ check … ten minutes, then the next publication
                 took ──(10 ms)──▶ check ─ older ─▶ 20 ms, 40 ms …
                                     └ the new serial: how long it took since `publish`

The time that counts is the end of the transfer, unless the server was seen to answer the old version after it. So it is
exact also where checks come late. Where a server does not answer when asked, or is not to be asked, what it took is all
there is to go by. An SOA question that it asks *us* says that it looked, not what it has, and counts for nothing.

One `Propagation` per zone. Times are seconds of any clock that never steps.
"""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from nameserver.errors import Reason, TransferError
from nameserver.zone.serial import newer

UNTOLD_WAIT = 1.0  # seconds from a publication to the first check of a server that has not confirmed the NOTIFY
TOLD_WAIT = 0.25  # … from its confirmation
TAKEN_WAIT = 0.01  # … from the end of a transfer to it
SILENT_WAIT = 1.0  # … at least, after a check without an answer
LONGEST_WAIT = 60.0
LONGEST_WATCH = 600.0  # after which a server that stays behind is left alone until something happens
MOST_WAITING = 64  # publications that a server lacks of which is known when they were
DEAF = 2  # checks without an answer in a row, after which what a server took is all there is to go by

Target = TypeVar("Target", bound=Hashable)


class Heard(NamedTuple):
    """What follows from something that was heard of a server: how long publications took to it, and whether to tell it.

    `lags` in seconds, one for each publication that it is now known to have. `tell`: it is behind, and nobody remembers
    whether it was told, since that was before a restart.
    """

    lags: tuple[float, ...] = ()
    tell: bool = False


class Seen(NamedTuple):
    """One server, for displays."""

    serial: int | None  # what it has, as far as is known
    answers: bool  # it said so itself when asked; else it is what it took
    at: float | None  # when that was heard
    lag: float | None  # how long the last publication took to it
    behind_since: float | None  # the oldest publication that it is not known to have
    failure: TransferError | None  # why the last check got no answer
    next_check: float | None


@dataclass(slots=True)
class _Below:
    """One server below us."""

    answered: int | None = None
    answered_at: float = -math.inf
    taken: int | None = None
    taken_at: float = -math.inf
    older_at: float = -math.inf  # when it was asked and answered something older than was published
    failure: TransferError | None = None
    failures: int = 0  # in a row
    missing: list[tuple[int, float]] = field(default_factory=list)  # publications it is not known to have: serial, when
    lag: float | None = None
    due: float | None = None  # the next check
    wait: float = TOLD_WAIT  # … and from it to the one after
    until: float = 0.0  # no more checks then
    untold: bool = False  # nobody knows whether it was told of the present version

    def known(self, *, checked: bool) -> int | None:
        """The serial that it has, as far as is known."""
        if checked and self.failures < DEAF:
            return self.answered
        return _newest(self.taken, self.answered)

    def watch(self, now: float, delay: float, wait: float = TOLD_WAIT) -> None:
        """Have it checked after `delay` seconds, or sooner where it is due sooner, and then with growing waits."""
        self.due = now + delay if self.due is None else min(self.due, now + delay)
        self.wait = wait
        self.until = now + LONGEST_WATCH

    def again(self, now: float, least: float = 0.0) -> None:
        """It was checked, and has not got there."""
        self.wait = min(max(self.wait * 2, least), LONGEST_WAIT)
        self.due = now + self.wait if now < self.until else None


def _newest(*serials: int | None) -> int | None:
    newest: int | None = None
    for serial in serials:
        if serial is not None and (newest is None or newer(serial, newest)):
            newest = serial
    return newest


def reaches(serial: int | None, wanted: int) -> bool:
    """Whether a serial is `wanted` or newer (RFC 1982); where their order is undefined, it is not."""
    return serial is not None and (serial == wanted or newer(serial, wanted))


class Propagation(Generic[Target]):
    """One zone's servers below us. A target is anything hashable that the caller can ask."""

    __slots__ = ("_below", "_checks", "_serial")

    def __init__(self) -> None:
        self._serial: int | None = None
        self._checks = True
        self._below: dict[Target, _Below] = {}

    @property
    def targets(self) -> tuple[Target, ...]:
        """All servers, in the order given."""
        return tuple(self._below)

    @property
    def serial(self) -> int | None:
        """What was published last."""
        return self._serial

    def publish(self, serial: int, targets: Iterable[Target], now: float, *, checks: bool) -> dict[Target, Heard]:
        """A version is answered here, and these servers are being told. `checks`: they may be asked.

        Returns what follows for those that were known to have it before: they fetched it from a worker that was first.
        """
        again = serial == self._serial
        self._set(serial, targets, checks=checks)
        heard: dict[Target, Heard] = {}
        for target, below in self._below.items():
            known = below.known(checked=checks)
            # Of a serial above this one nothing will come any more: the zone began anew.
            below.missing = [each for each in below.missing if reaches(serial, each[0])][:MOST_WAITING]
            if not again and (known == serial or not reaches(known, serial)):
                below.missing[MOST_WAITING - 1 :] = [(serial, now)]  # in the last one's place where there are many
            below.untold = False
            below.due = None
            if checks and known != serial:
                below.watch(now, TAKEN_WAIT if below.taken == serial else UNTOLD_WAIT)
            if known == serial:
                heard[target] = self._settle(below, now)
        return heard

    def resume(self, serial: int, targets: Iterable[Target], now: float, *, checks: bool) -> list[Target]:
        """This version was served before we started, or others are below us now; the targets to tell at once.

        What is known of those that were there before stays. The others are asked first, and told if they are behind.
        """
        before = set(self._below)
        self._set(serial, targets, checks=checks)
        fresh = [target for target in self._below if target not in before]
        if not checks:
            return fresh
        for target in fresh:
            below = self._below[target]
            below.untold = True
            below.watch(now, 0.0)
        return []

    def _set(self, serial: int, targets: Iterable[Target], *, checks: bool) -> None:
        self._serial, self._checks = serial, checks
        self._below = {target: self._below.get(target) or _Below() for target in targets}
        if not checks:
            for below in self._below.values():
                below.due = None

    def told(self, target: Target, now: float) -> None:
        """The target has confirmed the NOTIFY: it will come for the version now, if it has not."""
        below = self._below.get(target)
        if below is not None and below.due is not None:
            below.watch(now, TOLD_WAIT)

    def took(self, target: Target, serial: int, when: float, now: float) -> Heard:
        """The target has fetched this serial, or said that it has it, at `when`."""
        below = self._below.get(target)
        if below is None or when < below.taken_at:
            return Heard()
        below.taken, below.taken_at = serial, when
        heard = self._settle(below, when)
        if self._checks and self._serial is not None and not reaches(below.answered, self._serial):
            below.watch(now, TAKEN_WAIT, TAKEN_WAIT)
        return heard

    def look(self, target: Target, now: float) -> None:
        """The target may have fetched something: who did cannot be told from others at its address."""
        below = self._below.get(target)
        if (
            below is not None
            and self._checks
            and self._serial is not None
            and not reaches(below.answered, self._serial)
        ):
            below.watch(now, TAKEN_WAIT, TAKEN_WAIT)

    def answered(self, target: Target, serial: int, asked: float, now: float) -> Heard:
        """The target was asked at `asked`, and answers with this serial."""
        below = self._below.get(target)
        if below is None:
            return Heard()
        below.answered, below.answered_at = serial, now
        below.failure, below.failures = None, 0
        heard = self._settle(below, now)
        if self._serial is None or reaches(serial, self._serial):
            below.due = None
            below.untold = False
            return heard
        below.older_at = max(below.older_at, asked)
        below.again(now)
        tell, below.untold = below.untold, False
        return heard._replace(tell=tell)

    def failed(self, target: Target, failure: TransferError, now: float) -> Heard:
        """The target was asked, and gave no answer that tells its serial."""
        below = self._below.get(target)
        if below is None:
            return Heard()
        below.failure = failure
        below.failures += 1 if failure.reason is Reason.CONNECT_TIMEOUT else DEAF  # what it says will not change soon
        below.again(now, SILENT_WAIT)
        tell, below.untold = below.untold, False
        return self._settle(below, now)._replace(tell=tell)

    def _settle(self, below: _Below, now: float) -> Heard:
        """Which publications it is known to have by now, and since when."""
        known = below.known(checked=self._checks)
        lags: list[float] = []
        missing: list[tuple[int, float]] = []
        for serial, since in below.missing:
            if not reaches(known, serial):
                missing.append((serial, since))
                continue
            by_transfer = reaches(below.taken, serial) and below.taken_at > below.older_at
            lags.append(max(0.0, (min(below.taken_at, now) if by_transfer else now) - since))
        below.missing = missing
        if lags:
            below.lag = lags[-1]
        return Heard(tuple(lags))

    def hurry(self, serial: int, now: float) -> None:
        """Somebody waits for this serial: ask those that lack it again soon, also those that were left alone."""
        for below in self._below.values():
            if self._checks and not reaches(below.known(checked=True), serial):
                below.watch(now, 0.0 if below.due is None else TOLD_WAIT)

    def due(self, now: float) -> list[Target]:
        """The targets to be asked now; each is due again only when `answered` or `failed` was told of it."""
        targets = [target for target, below in self._below.items() if below.due is not None and below.due <= now]
        for target in targets:
            self._below[target].due = None
        return targets

    def next_deadline(self) -> float | None:
        """When to call `due`; None while nobody is to be asked."""
        return min((below.due for below in self._below.values() if below.due is not None), default=None)

    def seen(self, target: Target) -> Seen:
        """What is known of a target. Raises KeyError for one that is none."""
        below = self._below[target]
        known = below.known(checked=self._checks)
        answers = known is not None and known == below.answered
        at = below.answered_at if answers else below.taken_at
        return Seen(
            serial=known,
            answers=answers,
            at=None if known is None else at,
            lag=below.lag,
            behind_since=below.missing[0][1] if below.missing else None,
            failure=below.failure,
            next_check=below.due,
        )
