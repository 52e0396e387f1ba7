"""What happened, as values: filled by the server; log lines (`log`), counts (`tally`) and history come of them.

Names in an event (zone, primary, key, target) come from the configuration. `detail`, `source` and `client` may carry
text from the network: whoever prints them escapes them (`nameserver.telemetry.log.escape`), and none becomes a label.
They are tuples, since one is made for each exchange: a frozen dataclass takes twice as long, and as long to replace.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Self

from nameserver.errors import Reason

Json = dict[str, Any]


class Outcome(StrEnum):
    """How something ended; with FAILED, REFUSED and IGNORED goes a `Reason`."""

    OK = "ok"
    UP_TO_DATE = "up-to-date"
    FAILED = "failed"
    REFUSED = "refused"
    IGNORED = "ignored"


class Kind(StrEnum):
    """What a transfer was asked as, or came as; NONE: nothing came."""

    AXFR = "axfr"
    IXFR = "ixfr"
    NONE = "none"


class Direction(StrEnum):
    """IN: from a primary to us. OUT: from us to a secondary."""

    IN = "in"
    OUT = "out"


class TransferEvent(NamedTuple):
    """One transfer, in or out, that ended. One log line, one count, and the zone's last transfer."""

    at: float  # wall clock (Unix seconds) at its end
    zone: str  # presentation form, no trailing dot
    direction: Direction = Direction.IN
    primary: str = ""  # name of the remote (IN)
    address: str = ""  # the peer's address and port
    key: str = ""  # name of the TSIG key; empty: unsigned
    transport: str = "tcp"  # or "tls"; "udp" for an IXFR that fitted
    asked: Kind = Kind.AXFR
    got: Kind = Kind.NONE
    serial_old: int | None = None
    serial_new: int | None = None
    messages: int = 0
    records: int = 0
    bytes: int = 0  # on the wire, without the length prefixes
    seconds: float = 0.0
    outcome: Outcome = Outcome.OK
    reason: Reason | None = None
    detail: str = ""

    def to_json(self) -> Json:
        """Every field under its own name."""
        return self._asdict()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse; unknown fields are ignored. Raises ValueError or KeyError on values outside the vocabulary."""
        return cls(**_known(data, cls._fields))


def _known(data: Mapping[str, Any], wanted: Iterable[str]) -> Json:
    found = {name: data[name] for name in wanted if name in data}
    for name, vocabulary in _VOCABULARIES.items():
        if found.get(name) is not None:
            found[name] = vocabulary(found[name])
    return found


_VOCABULARIES: dict[str, type[StrEnum]] = {
    "direction": Direction,
    "asked": Kind,
    "got": Kind,
    "outcome": Outcome,
    "reason": Reason,
}


class CheckEvent(NamedTuple):
    """One SOA query to one address of one primary that ended."""

    at: float
    zone: str
    primary: str
    address: str = ""
    key: str = ""
    transport: str = "udp"  # or "tcp", "tls"
    serial_held: int | None = None
    serial_seen: int | None = None
    seconds: float = 0.0
    outcome: Outcome = Outcome.OK  # OK: newer; UP_TO_DATE: equal; FAILED
    reason: Reason | None = None
    detail: str = ""

    def to_json(self) -> Json:
        """Every field under its own name."""
        return self._asdict()


class NotifyReceivedEvent(NamedTuple):
    """One NOTIFY that arrived. OK: it starts or joins a check; IGNORED: nothing newer; REFUSED: not allowed."""

    at: float
    zone: str  # of the wire where it is REFUSED
    source: str  # address
    key: str = ""
    serial: int | None = None  # the hint, where one was given
    outcome: Outcome = Outcome.OK
    reason: Reason | None = None

    def to_json(self) -> Json:
        """Every field under its own name."""
        return self._asdict()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse; unknown fields are ignored. Raises ValueError or KeyError on values outside the vocabulary."""
        return cls(**_known(data, cls._fields))


class NotifySentEvent(NamedTuple):
    """One NOTIFY of ours that was answered, or given up after the last try."""

    at: float
    zone: str
    target: str  # name of the remote
    address: str = ""
    key: str = ""
    serial: int | None = None
    tries: int = 1
    outcome: Outcome = Outcome.OK
    reason: Reason | None = None
    detail: str = ""

    def to_json(self) -> Json:
        """Every field under its own name."""
        return self._asdict()


Event = TransferEvent | CheckEvent | NotifyReceivedEvent | NotifySentEvent
