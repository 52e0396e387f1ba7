"""Every error the project raises, and the closed vocabulary of failure reasons.

This is the lowest layer: it imports nothing of ours. An error says whose fault it is and carries what the
layer above needs to act on it: a `WireError` the RCODE to answer with, a `TransferError` the `Reason` that ends
up in the log line, the metric label and the operator's `why`.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a check, a transfer or a NOTIFY ended as it did. A closed set: log field = metric label = verdict."""

    # transport
    CONNECT_REFUSED = "connect-refused"
    CONNECT_TIMEOUT = "connect-timeout"
    UNREACHABLE = "unreachable"
    TLS_HANDSHAKE = "tls-handshake"
    TLS_PEER_IDENTITY = "tls-peer-identity"
    IDLE_TIMEOUT = "idle-timeout"
    TOTAL_TIMEOUT = "total-timeout"
    TOO_SLOW = "too-slow"
    CLOSED_EARLY = "closed-early"
    SHORT_MESSAGE = "short-message"
    MALFORMED = "malformed"
    # the primary's RCODE
    REFUSED = "refused"
    NOTAUTH_ZONE = "notauth-zone"
    NOT_AUTHORITATIVE = "not-authoritative"
    NXDOMAIN = "nxdomain"
    SERVFAIL = "servfail"
    FORMERR = "formerr"
    NOTIMP = "notimp"
    # TSIG (RFC 8945)
    TSIG_BADKEY = "tsig-badkey"
    TSIG_BADSIG = "tsig-badsig"
    TSIG_BADTIME = "tsig-badtime"
    TSIG_BADTRUNC = "tsig-badtrunc"
    TSIG_BADALG = "tsig-badalg"
    TSIG_MISSING = "tsig-missing"
    TSIG_GAP = "tsig-gap"
    # serials (RFC 1982)
    SERIAL_SAME = "serial-same"
    SERIAL_BACKWARDS = "serial-backwards"
    SERIAL_UNDEFINED = "serial-undefined"
    # incremental transfers
    IXFR_HISTORY_GAP = "ixfr-history-gap"
    IXFR_MISMATCH = "ixfr-mismatch"
    IXFR_TOO_BIG = "ixfr-too-big"
    # safety limits
    LIMIT_RECORDS = "limit-records"
    LIMIT_BYTES = "limit-bytes"
    LIMIT_RRSET = "limit-rrset"
    LIMIT_TYPES = "limit-types"
    # content
    NO_SOA = "no-soa"
    NO_NS = "no-ns"
    SOA_IN_MIDDLE = "soa-in-middle"
    OUT_OF_ZONE = "out-of-zone"
    WRONG_CLASS = "wrong-class"
    CNAME_CONFLICT = "cname-conflict"
    # local
    QUOTA = "quota"
    STORE_FAILED = "store-failed"
    SHUTTING_DOWN = "shutting-down"
    SUPERSEDED = "superseded"


class NameserverError(Exception):
    """Root of everything the project raises on purpose."""


class WireError(NameserverError):
    """A message breaks a rule. `rcode` is what its sender is answered with, where it is answered at all."""

    def __init__(self, message: str, rcode: int = 1) -> None:
        super().__init__(message)
        self.rcode = rcode


class TransferError(NameserverError):
    """A check or transfer failed, for exactly one `reason`; `detail` is a sentence for the operator."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class ZoneError(NameserverError):
    """Zone content breaks a rule: what, and at which owner (presentation form)."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class ZoneFileError(NameserverError):
    """A zone file could not be read; `problems` are lines of the form 'FILE:LINE: what is wrong'."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ConfigError(NameserverError):
    """The configuration has problems: all of them, each with its file, line and path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreFault(StrEnum):
    """What is wrong with the state directory. A closed set: a metric's label."""

    FULL = "full"
    READ_ONLY = "read-only"
    MISSING = "missing"
    IO = "io-error"
    LOCKED = "locked"
    DAMAGED = "damaged"
    OTHER = "other"


class StoreError(NameserverError):
    """The state directory cannot be used, for the reason that `fault` tells."""

    def __init__(self, message: str, fault: StoreFault = StoreFault.OTHER) -> None:
        super().__init__(message)
        self.fault = fault


class StoreLocked(StoreError):
    """Another instance holds the state directory."""

    def __init__(self, message: str) -> None:
        super().__init__(message, StoreFault.LOCKED)


class StoreDamaged(StoreError):
    """Stored data fails its checks."""

    def __init__(self, message: str) -> None:
        super().__init__(message, StoreFault.DAMAGED)
