"""When to check one zone against its primaries, and until when to answer from it: the refresh machine.

It knows nothing of bytes, sockets or tasks. Events go in, each with the time; actions come out. The caller carries
the actions out in their order, calls `tick` once `next_deadline` has come, and answers every `Check` with one
`check_finished`. Times are seconds of one clock that never runs backwards; of its zero nothing is assumed.

    never-transferred ──transferred──▶ serving ◀─────── current, transferred ──────┐
      │   └ failed: stays               │  ▲                                       │
      │                           begin │  │ current, transferred                  │
      │                                 ▼  │                                       │
      │                              refreshing                                    │
      │               failed, missed │        │ older                              │
      │                              ▼        ▼                                    │
      │                       retrying ─older─▶ serial-backwards                   │
      │                         │ ▲  ◀─failed, missed─┘  │                         │
      │                         └─┼──────────────────────┴─────────────────────────┤
      │ restored too late         │ missed                                         │
      ▼                           │                                                │
    expired ──────────────────────┴────────────────────────────────────────────────┘
      ▲   └ failed, older: stays             (an expired zone takes any serial)
      └── expiry: from every state that serves

    begin        a check begins                       missed  one primary holds our serial, another a newer one
    current      a primary holds our serial                   that could not be had: alive, but try again soon
    transferred  a version was committed              older   the primaries hold an older serial

Whether a check is under way is a fact of its own: only a healthy zone shows it ("refreshing"). A zone in trouble
keeps the name of its trouble while it is looked into, so an alarm on a state does not flicker with every retry.
There is never more than one check under way; what asks for one meanwhile is remembered and makes one more after it.

NOTIFY must neither be slow for an honest primary nor be a way to keep us, and the primary, busy:

    after a quiet time             a check at once
    the last one brought nothing   at most two checks a second: whoever sends them, they cost little
    the last one brought a version after a rest as long as it took: each of these was paid for with a version
                                   and half a second later looked at again unasked, and again while that brings
                                   something: BIND, for one, holds NOTIFYs of a zone back for five seconds after one

`NEXT_STATE` decides the state; `_wait` decides the timer from the state; actions follow from what changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TypeGuard

from nameserver.errors import Reason
from nameserver.refresh import timers
from nameserver.refresh.outcome import CLASS_OF, COSTLY, Failed, LowerSerial, Outcome, Transferred, UpToDate
from nameserver.refresh.timers import TimerLimits, Timers
from nameserver.zone.serial import Order, compare, newer
from nameserver.zone.soa import Soa

NOTIFY_SPACING = 0.5  # seconds from a check started by NOTIFY that brought nothing to the next: at most two a second
SHORTEST_REST = 0.02  # seconds from one that brought a version to the next, at least
LOOKS = 2  # that bring nothing, at a zone that was seen to change faster than NOTIFY tells, until it is left to NOTIFY
MAX_NOTIFY_SOURCES = 16  # remembered by name; further ones still cause the check
MAX_FIRST_LOAD_WAIT = timers.HOUR  # between attempts to get a zone we never had


class State(StrEnum):
    """A zone's state, as operators see it."""

    NEVER_TRANSFERRED = "never-transferred"
    SERVING = "serving"
    REFRESHING = "refreshing"
    RETRYING = "retrying"
    SERIAL_BACKWARDS = "serial-backwards"
    EXPIRED = "expired"


class Event(Enum):
    """What moves a zone from state to state."""

    BEGIN = "a check begins"
    CURRENT = "a primary holds our serial"
    MISSED = "a primary holds our serial, but another a newer one that could not be had"
    TRANSFERRED = "a version was committed"
    OLDER = "the primaries hold an older serial"
    FAILED = "no primary could tell, or give"
    EXPIRY = "the expire timer ran out"


def _table() -> dict[State, dict[Event, State]]:
    """The transitions, one row per state. A None is an event that cannot come in that state."""
    never, serving, refreshing = State.NEVER_TRANSFERRED, State.SERVING, State.REFRESHING
    retrying, backwards, expired = State.RETRYING, State.SERIAL_BACKWARDS, State.EXPIRED
    rows: dict[State, tuple[State | None, ...]] = {
        #            BEGIN       CURRENT  MISSED    TRANSFERRED OLDER      FAILED    EXPIRY
        never:      (never,      None,    None,     serving,    None,      never,    expired),
        serving:    (refreshing, None,    None,     None,       None,      None,     expired),
        refreshing: (None,       serving, retrying, serving,    backwards, retrying, expired),
        retrying:   (retrying,   serving, retrying, serving,    backwards, retrying, expired),
        backwards:  (backwards,  serving, retrying, serving,    backwards, retrying, expired),
        expired:    (expired,    serving, retrying, serving,    expired,   expired,  expired),
    }  # fmt: skip
    return {
        state: {event: after for event, after in zip(Event, row, strict=True) if after is not None}
        for state, row in rows.items()
    }


NEXT_STATE = _table()


class Trigger(StrEnum):
    """Why a check is made."""

    BOOTSTRAP = "bootstrap"
    REFRESH = "refresh"
    RETRY = "retry"
    NOTIFY = "notify"
    FOLLOW = "follow"  # the primary just changed the zone, and may do so again without a word
    MANUAL = "manual"
    RETRANSFER = "retransfer"


@dataclass(frozen=True, slots=True)
class Check:
    """Do one refresh run over the primaries, and report it by `check_finished`.

    `force`: take a full transfer whatever its serial. `first`: addresses that sent NOTIFY, to be asked before the
    others; `hints`: which newer serials some of them named. `accept_lower`: no live version is held, so an older serial
    is better than none.
    """

    reason: Trigger
    force: bool = False
    first: tuple[str, ...] = ()
    hints: tuple[tuple[str, int], ...] = ()  # source, serial
    accept_lower: bool = False


@dataclass(frozen=True, slots=True)
class StateChanged:
    """For the log and the metrics."""

    old: State
    new: State


@dataclass(frozen=True, slots=True)
class Expire:
    """Stop answering from the zone: SERVFAIL, no transfers out, no NOTIFY out."""


@dataclass(frozen=True, slots=True)
class Revive:
    """Answer again, from the version that is held."""


Action = Check | StateChanged | Expire | Revive


@dataclass(frozen=True, slots=True)
class MachineSnapshot:
    """The machine for status displays. Times are on the machine's clock."""

    state: State
    checking: bool
    serial: int | None
    primary_serial: int | None  # as last seen
    last_success: float | None
    last_change: float | None
    next_refresh: float | None  # None while a check is under way
    expires_at: float | None
    last_reason: Reason | None  # of the last check; None: it was good
    last_detail: str
    failures: int  # in a row


@dataclass(slots=True)
class _Held:
    """The version we hold, live or expired."""

    serial: int
    soa: Soa
    timers: Timers
    expires_at: float


class RefreshMachine:
    """One zone's refresh state. Feed it `restore` or `start` once, then events; see the top of the file."""

    def __init__(
        self,
        zone: str,
        limits: TimerLimits,
        random: Callable[[], float],
        now: float,
        turn: Callable[[float], float] = lambda now: now,
    ) -> None:
        """`zone` is for messages only; `random` gives numbers from 0 up to 1.

        `turn` is asked, with the time, for when a check that a timer starts may begin: `Pace.turn`.
        """
        self.zone = zone
        self.state = State.NEVER_TRANSFERRED
        self._limits = limits
        self._random = random
        self._take_turn = turn
        self._turn: float | None = None  # taken for the check that is due, if it needs one
        self._held: _Held | None = None
        self._check: Check | None = None  # the one under way
        self._began = now  # it, or the last one
        self._due: float | None = None  # the next one; None while one is under way
        self._ordered: Trigger | None = None  # by an operator, not begun yet
        self._back = False  # a primary answers again since the check under way began
        self._notified: dict[str, int | None] = {}  # NOTIFY not acted on yet: source → serial hint
        self._unsettled: tuple[str, ...] = ()  # asked first by the last check, which failed
        self._notify_from = now  # no check is started by NOTIFY before
        self._looks = 0  # of those unasked, how many more may bring nothing
        self._look_at: float | None = None  # the next of them
        self._failures = 0
        self._content_failures = 0  # in a row
        self._failure: Failed | None = None
        self._primary_serial: int | None = None
        self._last_success: float | None = None
        self._last_change: float | None = None
        self._actions: list[Action] = []

    # events

    def start(self, now: float) -> list[Action]:
        """Begin with nothing held."""
        self._sooner(now)
        return self._act(now)

    def restore(
        self,
        serial: int,
        soa: Soa,
        expires_in: float,
        now: float,
        *,
        last_success: float | None = None,
        last_change: float | None = None,
    ) -> list[Action]:
        """Begin with a stored version that has `expires_in` seconds to live, and check it at once.

        Zero or less: it expired while we were down; like a zone we never had, it is not made to wait for a turn. Raises
        ValueError when the machine holds a version already.
        """
        if self._held is not None or self._check is not None:
            raise ValueError(f"zone {self.zone} is already started")
        effective = timers.effective(soa, self._limits)
        # a stored life longer than the timers allow comes from other limits or from a clock that was set
        self._held = _Held(serial, soa, effective, now + min(expires_in, effective.expire))
        self._last_success, self._last_change = last_success, last_change
        self._move(Event.TRANSFERRED if expires_in > 0 else Event.EXPIRY)
        if self.state is State.EXPIRED:
            self._turn = now
        self._sooner(now)
        return self._act(now)

    def notify(self, source: str, serial: int | None, now: float) -> list[Action]:
        """An allowed NOTIFY came from `source`, with the serial its answer section hints at, if any (RFC 1996 §3.7).

        The hint only ever saves a check, it never causes a transfer by itself: a primary that announces more than it
        holds costs one check.
        """
        self._expire_when_due(now)
        if self._is_news(serial):
            self._remember(source, serial)
            self._sooner(max(now, self._notify_from))
        return self._act(now)

    def refresh(self, now: float) -> list[Action]:
        """An operator asks for a check."""
        return self._order(self._ordered or Trigger.MANUAL, now)

    def retransfer(self, now: float) -> list[Action]:
        """An operator asks for a full transfer, whatever its serial."""
        return self._order(Trigger.RETRANSFER, now)

    def primary_back(self, now: float) -> list[Action]:
        """A primary that was silent answers again, and the last check, or the one under way, did not get through to it.

        Makes for one more check at once, where that check failed. The same where the store was in its way, and is not.
        """
        self._expire_when_due(now)
        self._back = self._check is not None
        if self._failure is not None:
            self._sooner(now)
        return self._act(now)

    def check_finished(self, outcome: Outcome, now: float) -> list[Action]:
        """The run that a `Check` asked for has ended.

        Raises ValueError when none is under way, or when the outcome compares with a version that is not held.
        """
        check = self._check
        if check is None:
            raise ValueError(f"zone {self.zone}: no check is under way")
        if isinstance(outcome, UpToDate | LowerSerial):
            self._required()
        self._expire_when_due(now)
        self._check = None
        before = self.serial
        self._move(self._take_in(outcome, now))
        self._expire_when_due(now)  # a transfer may come with an EXPIRE option of zero
        self._due = now + self._wait(now)
        brought = isinstance(outcome, Transferred) and outcome.serial != before
        self._space(check, brought, now)
        looking = self._look_again(check, brought, now)
        self._unsettled = check.first[:MAX_NOTIFY_SOURCES] if self._failure or looking else ()
        if self.state is State.EXPIRED and isinstance(outcome, LowerSerial) and not check.accept_lower:
            self._due = now  # it expired during the check: now the older serial is welcome
        self._notified = {source: hint for source, hint in self._notified.items() if self._is_news(hint)}
        if self._notified:
            self._sooner(max(now, self._notify_from))
        if self._ordered is not None or (self._back and self._failure is not None):
            self._sooner(now)
        self._back = False
        return self._act(now)

    def tick(self, now: float) -> list[Action]:
        """Time has passed. Calling early, late or twice does no harm."""
        self._expire_when_due(now)
        return self._act(now)

    def reconfigure(self, limits: TimerLimits, now: float) -> list[Action]:
        """Other limits apply. Running timers are shortened where the new limits ask for it, never lengthened."""
        self._expire_when_due(now)
        self._limits = limits
        if self._held is not None:
            self._held.timers = timers.effective(self._held.soa, limits)
            self._held.expires_at = min(self._held.expires_at, now + self._held.timers.expire)
        if self._due is not None:
            self._sooner(now + self._wait(now))
        return self._act(now)

    # what the caller reads

    @property
    def serial(self) -> int | None:
        """The serial we hold, live or expired."""
        return self._held.serial if self._held else None

    @property
    def expires_at(self) -> float | None:
        """When what we hold expires, or has; None while nothing is held."""
        return self._held.expires_at if self._held else None

    def next_deadline(self) -> float | None:
        """When to call `tick`; None while nothing is due."""
        expiry = self._held.expires_at if self._held and self.state is not State.EXPIRED else None
        return min((when for when in (self._due, expiry) if when is not None), default=None)

    def snapshot(self) -> MachineSnapshot:
        """The present state of affairs."""
        return MachineSnapshot(
            state=self.state,
            checking=self._check is not None,
            serial=self.serial,
            primary_serial=self._primary_serial,
            last_success=self._last_success,
            last_change=self._last_change,
            next_refresh=self._due,
            expires_at=self.expires_at,
            last_reason=self._failure.reason if self._failure else None,
            last_detail=self._failure.detail if self._failure else "",
            failures=self._failures,
        )

    # deciding

    def _take_in(self, outcome: Outcome, now: float) -> Event:
        """Note what the outcome tells, and say which event it is."""
        match outcome:
            case Transferred(serial, soa, expire_option):
                effective = timers.effective(soa, self._limits)
                life = timers.life_after_transfer(soa, effective, expire_option)
                self._held = _Held(serial, soa, effective, now + life)
                self._primary_serial = serial
                self._last_success = self._last_change = now
                return self._count(None, Event.TRANSFERRED)
            case UpToDate(serial, expire_option, missed):
                self._primary_serial = serial
                self._last_success = now
                held = self._required()
                left = held.expires_at - now
                held.expires_at = now + timers.life_after_check(held.soa, held.timers, expire_option, left)
                event = Event.CURRENT if missed is None else Event.MISSED
                # a primary that is about to lose the zone itself (an EXPIRE option of zero) revives nothing
                return self._count(missed, event if held.expires_at > now else Event.EXPIRY)
            case LowerSerial(serial):
                self._primary_serial = serial
                ours = self._required().serial
                undefined = compare(serial, ours) is Order.UNDEFINED
                reason = Reason.SERIAL_UNDEFINED if undefined else Reason.SERIAL_BACKWARDS
                return self._count(Failed(reason, f"the primary holds {serial}, we hold {ours}"), Event.OLDER)
            case _:
                return self._count(outcome, Event.FAILED)

    def _count(self, failure: Failed | None, event: Event) -> Event:
        """Keep the failures in a row; passes `event` on."""
        self._failure = failure
        self._failures = self._failures + 1 if failure else 0
        content = failure is not None and CLASS_OF[failure.reason] in COSTLY
        self._content_failures = self._content_failures + 1 if content else 0
        return event

    def _wait(self, now: float) -> float:
        """How long to wait for the next check, in this state."""
        limits, held = self._limits, self._held
        if held is None:
            cap = min(limits.max_retry, MAX_FIRST_LOAD_WAIT)  # there is no SOA to go by
            wait = timers.backoff(limits.min_retry, self._failures, cap)
        elif self.state is State.SERVING:
            life = held.expires_at - now
            # an EXPIRE option may leave less life than the refresh timer is long: ask again while there is some
            wait = held.timers.refresh if life > held.timers.refresh else max(limits.min_retry, life / 2)
        elif self.state is State.EXPIRED:
            wait = held.timers.retry  # queries are failing: no back-off
        else:
            # a zone that breaks rules is large work for nothing each time; a silent primary costs little
            wait = timers.backoff(held.timers.retry, self._content_failures, held.timers.expire / 4)
        return timers.early(wait, limits, self._random)

    def _is_news(self, hint: int | None) -> bool:
        """Whether a NOTIFY with this hint calls for a check."""
        if hint is None or self._held is None or self.state is State.EXPIRED:
            return True
        # RFC 1996 §3.7 has any difference checked. Knowingly not for an older serial: it would be refused anyway, and
        # the refresh timer finds a primary that went backwards.
        return compare(hint, self._held.serial) in (Order.NEWER, Order.UNDEFINED)

    def _is_newer(self, hint: int | None) -> TypeGuard[int]:
        """Whether a hint names a version after the live one."""
        if hint is None or self._held is None or self.state is State.EXPIRED:
            return False
        return compare(hint, self._held.serial) is Order.NEWER

    def _space(self, check: Check, brought: bool, now: float) -> None:
        """After a check that NOTIFY caused and that brought a version, the next may begin sooner than usual."""
        if brought and check.reason in (Trigger.NOTIFY, Trigger.FOLLOW):
            rest = max(self._began + SHORTEST_REST, now + (now - self._began))
            self._notify_from = min(rest, self._began + NOTIFY_SPACING)

    def _look_again(self, check: Check, brought: bool, now: float) -> bool:
        """Whether to look again unasked, and when: while the primary changes faster than it tells, it is worth it."""
        wait = NOTIFY_SPACING
        if brought and check.reason is Trigger.FOLLOW:
            self._looks, wait = LOOKS, SHORTEST_REST
        elif brought and check.reason is Trigger.NOTIFY:
            self._looks = 1
        elif self._looks and self._failure is None:
            self._looks -= 1
        else:
            self._looks = 0
        if not self._looks:
            return False
        self._look_at = max(self._began + wait, now + (now - self._began))
        self._sooner(self._look_at)
        return True

    def _next_trigger(self, now: float) -> Trigger:
        """Why the check that is due is made; where there are several reasons, the one that asks for most."""
        if self._ordered is not None:
            return self._ordered
        if self._notified and now >= self._notify_from:
            return Trigger.NOTIFY
        if self._look_at is not None and now >= self._look_at:
            return Trigger.FOLLOW
        if self._held is None:
            return Trigger.BOOTSTRAP
        return Trigger.REFRESH if self.state is State.SERVING else Trigger.RETRY

    # acting

    def _act(self, now: float) -> list[Action]:
        """Begin a check if one is due and it is its turn; hand out what the event has brought about."""
        if self._due is not None and now >= self._due:
            trigger = self._next_trigger(now)
            turn = self._turn_for(trigger, now)
            if now < turn:
                self._due = turn
                if self._notified:
                    self._sooner(self._notify_from)  # that one needs no turn
            else:
                self._begin(trigger, now)
        actions, self._actions = self._actions, []
        return actions

    def _turn_for(self, trigger: Trigger, now: float) -> float:
        """When the check that is due may begin. Only what a timer starts waits for its turn."""
        if trigger not in (Trigger.REFRESH, Trigger.RETRY, Trigger.FOLLOW):
            return now
        if self._turn is None:
            self._turn = self._take_turn(now)
            if self._held is not None and self.state is not State.EXPIRED:
                # Whatever the number of zones before this one: waiting in line must not cost it its life.
                self._turn = min(self._turn, now + (self._held.expires_at - now) / 2)
        return self._turn

    def _begin(self, trigger: Trigger, now: float) -> None:
        if trigger is Trigger.NOTIFY:
            self._notify_from = now + NOTIFY_SPACING
        self._due = self._look_at = self._turn = None
        self._began = now
        self._move(Event.BEGIN)
        self._check = Check(
            reason=trigger,
            force=trigger is Trigger.RETRANSFER,
            # the primary that told us of a version we failed to get is asked first again: others may not have it yet
            first=tuple(dict.fromkeys(filter(None, (*self._notified, *self._unsettled)))),
            hints=tuple((source, hint) for source, hint in self._notified.items() if source and self._is_newer(hint)),
            accept_lower=self._held is None or self.state is State.EXPIRED,
        )
        self._ordered = None
        self._notified = {}
        self._actions.append(self._check)

    def _move(self, event: Event) -> None:
        """Go to the next state, and act on having got there."""
        old, new = self.state, NEXT_STATE[self.state][event]
        if old is new:
            return
        self.state = new
        self._actions.append(StateChanged(old, new))
        if new is State.EXPIRED:
            self._actions.append(Expire())
        elif old is State.EXPIRED:
            self._actions.append(Revive())

    def _expire_when_due(self, now: float) -> None:
        """Expire the zone if its time has come, also while a check is under way."""
        if self._held is None or now < self._held.expires_at or self.state is State.EXPIRED:
            return
        self._move(Event.EXPIRY)
        self._sooner(now + self._wait(now))  # a back-off that was bearable while serving is not any more

    def _order(self, trigger: Trigger, now: float) -> list[Action]:
        """An operator's order: at once, or right after the check that is under way."""
        self._expire_when_due(now)
        self._ordered = trigger
        self._sooner(now)
        return self._act(now)

    def _remember(self, source: str, hint: int | None) -> None:
        """Keep a NOTIFY, one per source: the newest hint, or none if one came without."""
        if source not in self._notified and len(self._notified) >= MAX_NOTIFY_SOURCES:
            source, hint = "", None  # somebody else as well
        before = self._notified.get(source, hint)
        if before is None or hint is None:
            self._notified[source] = None
        else:
            self._notified[source] = hint if newer(hint, before) else before

    def _required(self) -> _Held:
        """The version that an outcome compares with."""
        if self._held is None:
            raise ValueError(f"zone {self.zone}: no version is held that an outcome could compare with")
        return self._held

    def _sooner(self, when: float) -> None:
        """Make the next check due at `when`, unless it is due earlier. Nothing is due while one is under way."""
        if self._check is None:
            self._due = when if self._due is None else min(self._due, when)
