"""One step of `migrate check`."""

from dataclasses import dataclass

from nameserver.errors import Reason

TLS = "TLS"  # the name of the step that is the handshake


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `reason` is None where it ended well; `detail` what was seen."""

    name: str
    reason: Reason | None
    detail: str
    serial: int | None = None
