"""How a refresh run may end, and the classes of failure that decide what is tried next."""

from dataclasses import dataclass
from enum import Enum

from nameserver.errors import Reason
from nameserver.zone.soa import Soa


@dataclass(frozen=True, slots=True)
class Failed:
    """Nobody could tell whether we are current, or the newer version could not be had."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class UpToDate:
    """A primary holds the serial we hold.

    `expire_option`: its EDNS EXPIRE in seconds, None where it sent none (RFC 7314).
    `missed`: another primary announced a newer version, and taking it failed so.
    """

    serial: int
    expire_option: int | None = None
    missed: Failed | None = None


@dataclass(frozen=True, slots=True)
class Transferred:
    """A version was transferred, checked and committed. `expire_option` as in `UpToDate`."""

    serial: int
    soa: Soa
    expire_option: float | None = None


@dataclass(frozen=True, slots=True)
class LowerSerial:
    """Every primary that answered holds an older serial than we do, or one exactly half the circle away (RFC 1982)."""

    serial: int


Outcome = UpToDate | Transferred | Failed | LowerSerial


class FailureClass(Enum):
    """What kind of thing went wrong: this, not the exact reason, decides what happens next."""

    CONNECT = "no connection came about"
    STALL = "the exchange came to a standstill"
    STREAM = "the exchange broke off or made no sense"
    ANSWER = "the primary answered with an error"
    AUTH = "keys, MACs, certificates"
    SERIAL = "a serial that must not be taken"
    INCREMENTAL = "an incremental transfer that cannot be applied"
    CONTENT = "a zone that breaks rules"
    LIMIT = "a zone beyond a limit"
    LOCAL = "our own doing"


_CLASSES = {
    FailureClass.CONNECT: (
        Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE, Reason.TLS_HANDSHAKE,
    ),
    FailureClass.STALL: (Reason.IDLE_TIMEOUT, Reason.TOTAL_TIMEOUT, Reason.TOO_SLOW),
    FailureClass.STREAM: (Reason.CLOSED_EARLY, Reason.SHORT_MESSAGE, Reason.MALFORMED),
    FailureClass.ANSWER: (
        Reason.REFUSED, Reason.NOTAUTH_ZONE, Reason.NOT_AUTHORITATIVE, Reason.NXDOMAIN, Reason.SERVFAIL,
        Reason.FORMERR, Reason.NOTIMP,
    ),
    FailureClass.AUTH: (
        Reason.TSIG_BADKEY, Reason.TSIG_BADSIG, Reason.TSIG_BADTIME, Reason.TSIG_BADTRUNC, Reason.TSIG_BADALG,
        Reason.TSIG_MISSING, Reason.TSIG_GAP, Reason.TLS_PEER_IDENTITY,
    ),
    FailureClass.SERIAL: (Reason.SERIAL_SAME, Reason.SERIAL_BACKWARDS, Reason.SERIAL_UNDEFINED),
    FailureClass.INCREMENTAL: (Reason.IXFR_HISTORY_GAP, Reason.IXFR_MISMATCH, Reason.IXFR_TOO_BIG),
    FailureClass.CONTENT: (
        Reason.NO_SOA, Reason.NO_NS, Reason.SOA_IN_MIDDLE, Reason.OUT_OF_ZONE, Reason.WRONG_CLASS,
        Reason.CNAME_CONFLICT,
    ),
    FailureClass.LIMIT: (Reason.LIMIT_RECORDS, Reason.LIMIT_BYTES, Reason.LIMIT_RRSET, Reason.LIMIT_TYPES),
    FailureClass.LOCAL: (Reason.QUOTA, Reason.STORE_FAILED, Reason.SHUTTING_DOWN, Reason.SUPERSEDED),
}  # fmt: skip

CLASS_OF: dict[Reason, FailureClass] = {reason: kind for kind, reasons in _CLASSES.items() for reason in reasons}

# A zone that is not fit to be served is large work for nothing each time.
COSTLY = frozenset({FailureClass.CONTENT, FailureClass.LIMIT})
