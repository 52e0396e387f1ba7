"""One step of `migrate check`."""

from dataclasses import dataclass

from nameserver.errors import Reason
from nameserver.telemetry.advice import Advice

TLS = "TLS"  # the name of the step that is the handshake


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `reason` is None where it ended well; `detail` what was seen.

    `words`: what it means and what to do, where that is not what the reason mostly means. `unknown`: it neither ended
    well nor failed, for nothing was seen. `unproven`: it ended well, with an answer too small to show what is asked
    about; `octets`: of that answer, where it came whole.
    """

    name: str
    reason: Reason | None
    detail: str
    serial: int | None = None
    expire: int | None = None  # seconds, of the SOA
    words: Advice | None = None
    unknown: bool = False
    unproven: bool = False
    octets: int = 0

    @property
    def result(self) -> str:
        """ "good", "not proven", "unknown" or the reason."""
        return "unknown" if self.unknown else "not proven" if self.unproven else str(self.reason or "good")
