"""Whether a client takes a transfer as fast as it must, so that nobody holds a place and a snapshot for ever."""

from dataclasses import dataclass

from nameserver.errors import Reason, TransferError


@dataclass(frozen=True, slots=True)
class OutLimits:
    """Transfers out of one worker. Seconds and octets."""

    at_once: int = 10
    per_address: int = 2
    wait: float = 10.0  # for a place
    idle_timeout: float = 30.0  # in which a client takes nothing
    min_rate_bytes: int = 128 * 1024  # what a client that is waited for takes at least …
    min_rate_interval: float = 60.0  # … in each interval of this length
    total_timeout: float = 7200.0  # for a transfer: its snapshot keeps the store's journal from being cut short


class Pace:
    """One wait for a client that does not keep up: from when more was written than it took, until it has caught up.

    Times are seconds of any clock that does not go back; `unsent` is what is on its way to the client.
    """

    def __init__(self, limits: OutLimits, now: float, unsent: int) -> None:
        self._limits = limits
        self._least = unsent
        self._moved = now
        self._interval_began = now
        self._unsent_then = unsent

    def look(self, now: float, unsent: int) -> float:
        """Seconds until it has to be looked at again. Raises TransferError: idle-timeout or too-slow."""
        limits = self._limits
        if unsent < self._least:
            self._least, self._moved = unsent, now
        idle = self._moved + limits.idle_timeout - now
        if idle <= 0:
            raise TransferError(Reason.IDLE_TIMEOUT, f"the client took nothing for {limits.idle_timeout:g} s")
        rest = self._interval_began + limits.min_rate_interval - now
        if rest <= 0:
            taken = self._unsent_then - unsent
            if taken < limits.min_rate_bytes:
                text = f"the client took {taken} bytes in {limits.min_rate_interval:g} s"
                raise TransferError(Reason.TOO_SLOW, text)
            self._interval_began, self._unsent_then, rest = now, unsent, limits.min_rate_interval
        # The clock of the idle time starts when something was taken, so that has to be seen when it happens.
        return min(idle, rest, limits.idle_timeout / 10)
