"""A zone that is silent by command for a while (`nameserver pause`): what is answered, until when, by which clock.

A pause that runs goes by the machine clock, which is never set: whatever becomes of the wall clock, it lasts as long as
was ordered. What is kept through a restart is wall-clock, and read with a clock that may be wrong: where it is behind
the beginning, no time has passed, and where it is far ahead, the pause is over. So a restart may make a pause longer
than ordered by no more than once its length, never endless.
"""

from dataclasses import dataclass
from typing import NamedTuple

from nameserver.wire import codes

# What is answered: the RCODE by its name in commands. REFUSED is what a server says that has the zone no more.
ANSWERS = {"refused": codes.REFUSED, "servfail": codes.SERVFAIL}
DEFAULT_LENGTH = 3600.0  # seconds
SHORTEST, LONGEST = 1.0, 7 * 86400.0  # it is a trial: whoever wants a zone gone for longer removes it


class KeptPause(NamedTuple):
    """What is kept of a pause through a restart; wall-clock seconds."""

    answer: str
    since: float
    until: float


@dataclass(slots=True)
class Pause:
    """One zone's pause; times are the machine clock's. Counted is what was asked meanwhile, as of the zone itself."""

    answer: str  # one of ANSWERS
    began: float
    ends: float
    queries: int = 0
    control_queries: int = 0

    @property
    def rcode(self) -> int:
        """What queries get."""
        return ANSWERS[self.answer]

    def count(self, queries: int, control_queries: int) -> None:
        """So many questions more got that answer."""
        self.queries += queries
        self.control_queries += control_queries

    def keep(self, now: float, wall: float) -> KeptPause:
        """As it is to be written down; `now` and `wall` are the same moment by the two clocks."""
        return KeptPause(self.answer, wall + self.began - now, wall + self.ends - now)


def restored(kept: KeptPause, now: float, wall: float) -> Pause | None:
    """A pause as it goes on after a restart; None where it has ended meanwhile. `now` and `wall` as in `Pause.keep`."""
    passed = max(0.0, wall - kept.since)
    left = min(kept.until - kept.since, LONGEST + passed) - passed
    return Pause(kept.answer, now - passed, now + left) if left > 0 else None
