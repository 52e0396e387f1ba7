"""A refresh machine with its clock in hand: what the shell does around it, without sockets or sleeping."""

from collections.abc import Callable

from nameserver.errors import Reason
from nameserver.refresh.machine import Action, Check, Expire, RefreshMachine, Revive, State
from nameserver.refresh.outcome import Failed, Outcome, Transferred
from nameserver.refresh.timers import TimerLimits
from nameserver.zone.soa import Soa

DAY = 86400
FAILED = Failed(Reason.CONNECT_REFUSED, "a: nobody listens")
BROKEN = Failed(Reason.NO_NS, "a: no NS at the apex")


def checks(actions: list[Action]) -> list[Check]:
    """The checks among these actions."""
    return [action for action in actions if isinstance(action, Check)]


def serving_changes(actions: list[Action]) -> list[type[Action]]:
    """Expire and Revive, in order."""
    return [type(action) for action in actions if isinstance(action, Expire | Revive)]


def soa(serial: int = 5, refresh: int = 3600, retry: int = 600, expire: int = 7 * DAY) -> Soa:
    """A SOA whose names do not matter."""
    return Soa(b"\x02ns\x00", b"\x05admin\x00", serial, refresh, retry, expire, 300)


def transferred(serial: int, option: int | None = None, **times: int) -> Transferred:
    """The outcome of a run that took this serial."""
    return Transferred(serial, soa(serial, **times), option)


class DrivenZone:
    """One zone's machine; `now` moves with `advance`. Records every action, and when each check began."""

    def __init__(
        self, limits: TimerLimits | None = None, *, random: float = 0.0, now: float = -5000.0,
        turn: Callable[[float], float] = lambda now: now,
    ) -> None:  # fmt: skip
        self.now = now
        self.machine = RefreshMachine("example.com", limits or TimerLimits(), lambda: random, now, turn)
        self.actions: list[Action] = []
        self.began: list[tuple[float, Check]] = []

    @classmethod
    def serving(
        cls, serial: int = 5, *, limits: TimerLimits | None = None, random: float = 0.0, option: int | None = None,
        **times: int,
    ) -> "DrivenZone":  # fmt: skip
        """A zone that was just loaded for the first time."""
        zone = cls(limits, random=random)
        zone.start()
        zone.finish(transferred(serial, option, **times))
        zone.forget()
        return zone

    @classmethod
    def expired(cls, serial: int = 5, **times: int) -> "DrivenZone":
        """A zone that expired because its primaries were silent; no check is under way."""
        zone = cls.serving(serial, **times)
        zone.let_fail_until(State.EXPIRED)
        zone.forget()
        return zone

    def start(self) -> list[Action]:
        return self._took(self.machine.start(self.now))

    def restore(self, serial: int, expires_in: float, **times: int) -> list[Action]:
        return self._took(self.machine.restore(serial, soa(serial, **times), expires_in, self.now))

    def notify(self, source: str = "192.0.2.1", serial: int | None = None) -> list[Action]:
        return self._took(self.machine.notify(source, serial, self.now))

    def refresh(self) -> list[Action]:
        return self._took(self.machine.refresh(self.now))

    def retransfer(self) -> list[Action]:
        return self._took(self.machine.retransfer(self.now))

    def primary_back(self) -> list[Action]:
        return self._took(self.machine.primary_back(self.now))

    def finish(self, outcome: Outcome) -> list[Action]:
        return self._took(self.machine.check_finished(outcome, self.now))

    def tick(self) -> list[Action]:
        return self._took(self.machine.tick(self.now))

    def reconfigure(self, limits: TimerLimits) -> list[Action]:
        return self._took(self.machine.reconfigure(limits, self.now))

    def advance(self, seconds: float) -> list[Action]:
        """Let time pass as an event loop does: a tick at each deadline on the way, and none without one."""
        until = self.now + seconds
        actions: list[Action] = []
        while (deadline := self.machine.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            actions += self.tick()
        self.now = until
        return actions

    def to_next_check(self) -> Check:
        """Let time pass until a check begins."""
        before = len(self.began)
        while len(self.began) == before:
            deadline = self.machine.next_deadline()
            if deadline is None:
                raise RuntimeError("the machine waits for nothing")
            self.now = max(self.now, deadline)
            self.tick()
        return self.began[-1][1]

    def let_fail_until(self, state: State, failure: Outcome | None = None) -> None:
        """Let every check fail at once until the zone is in `state` with no check under way."""
        while self.state is not state:
            if self.checking:
                self.finish(failure or FAILED)
            else:
                self.to_deadline()
        if self.checking:
            self.finish(failure or FAILED)

    def to_deadline(self) -> list[Action]:
        """Let time pass until the next deadline."""
        deadline = self.machine.next_deadline()
        if deadline is None:
            raise RuntimeError("the machine waits for nothing")
        self.now = max(self.now, deadline)
        return self.tick()

    def forget(self) -> None:
        """Start the record anew."""
        self.actions.clear()
        self.began.clear()

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def checking(self) -> bool:
        return self.machine.snapshot().checking

    @property
    def wait(self) -> float:
        """Seconds until the next check."""
        due = self.machine.snapshot().next_refresh
        if due is None:
            raise RuntimeError("no check is planned")
        return due - self.now

    @property
    def life(self) -> float:
        """Seconds until the zone expires."""
        expires_at = self.machine.snapshot().expires_at
        if expires_at is None:
            raise RuntimeError("nothing is held")
        return expires_at - self.now

    def _took(self, actions: list[Action]) -> list[Action]:
        self.actions += actions
        self.began += [(self.now, action) for action in actions if isinstance(action, Check)]
        return actions
