"""The state of everything at one moment, as frozen values: filled by the server, rendered by everyone else.

    server ──fills──▶ Snapshot ──▶ metrics.render_metrics   /metrics
                         │    └──▶ page.render_page         /
                         └─to_json─▶ control socket ─from_json─▶ cli status, why

All times are wall-clock Unix seconds (None: never, or not known). Texts in `last_detail` may come from a peer: escape
them when printing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

from nameserver.telemetry.events import NotifyReceivedEvent, TransferEvent
from nameserver.telemetry.tally import Tally

Json = dict[str, Any]

UNNAMED = "unnamed"  # the label of all servers below us that no remote of the configuration is

# The states of the refresh machine; "not-loaded" for a primary zone whose file could not be read, "paused" for one that
# is silent by command and would else be answered.
ZONE_STATES = (
    "serving",
    "never-transferred",
    "refreshing",
    "retrying",
    "serial-backwards",
    "expired",
    "not-loaded",
    "paused",
)


class PrimaryStatus(NamedTuple):
    """One primary of one zone. A tuple, as it is replaced after each exchange."""

    name: str  # of the remote
    address: str = ""  # the address tried last, with its port
    key: str | None = None  # name of the TSIG key in use
    key_fingerprint: str | None = None
    preferred_key: str | None = None  # the first of the remote's two keys, where that is not the one in use …
    preferred_key_reason: str | None = None  # … and the `Reason` why it is not
    tls: bool = False  # it is spoken to over TLS only
    certificate_expires: float | None = None  # of the certificate that it showed last
    serial: int | None = None  # last seen there
    last_attempt: float | None = None
    last_success: float | None = None
    last_reason: str | None = None  # a `Reason`, where the last attempt failed
    last_detail: str = ""
    skew: float | None = None  # its clock minus ours, seconds

    def to_json(self) -> Json:
        """Every field under its own name."""
        return self._asdict()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse; unknown fields are ignored, missing ones take their defaults."""
        return cls(**_known(data, cls._fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class DownstreamStatus:
    """One server below us, for one zone."""

    name: str  # of the remote; "NS HOST" for one that only the zone names; an address for one that is not told
    address: str = ""
    via: str = "also-notify"  # why it is here: "also-notify", "ns" (notify-ns), "transfer" (it fetched the zone)
    label: str = UNNAMED  # its name where that is of the configuration: of metrics
    key: str | None = None  # name of the TSIG key that signs what we send
    serial: int | None = None  # what it has, as far as is known
    has_it: bool = False  # that is our present serial, or newer
    answers: bool = False  # it said so when asked; else that is what it fetched
    seen_at: float | None = None  # when that was heard
    lag: float | None = None  # seconds that the last publication took to it
    behind_since: float | None = None  # the oldest publication that it is not known to have
    notified_serial: int | None = None  # the last NOTIFY that it confirmed, or that was given up …
    notified_at: float | None = None
    notify_tries: int = 0
    notify_reason: str | None = None  # … and the `Reason` why
    notify_detail: str = ""
    check_reason: str | None = None  # a `Reason`, where the last check brought no serial
    check_detail: str = ""
    next_check: float | None = None

    @property
    def is_told(self) -> bool:
        """Whether it is sent NOTIFY."""
        return self.via != "transfer"

    def to_json(self) -> Json:
        """Every field under its own name."""
        return {name: getattr(self, name) for name in _DOWNSTREAM_FIELDS}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse; unknown fields are ignored, missing ones take their defaults."""
        return cls(**_known(data, _DOWNSTREAM_FIELDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseStatus:
    """A zone that is silent by command."""

    answer: str  # what queries get: "refused" or "servfail"
    since: float
    until: float
    queries: int = 0  # that got it, since the later of `since` and the server's start
    control_queries: int = 0

    def to_json(self) -> Json:
        """Every field under its own name."""
        return {name: getattr(self, name) for name in _PAUSE_FIELDS}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse; unknown fields are ignored, missing ones take their defaults."""
        return cls(**_known(data, _PAUSE_FIELDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneStatus:
    """One zone."""

    name: str  # presentation form, no trailing dot
    type: str = "secondary"  # or "primary"
    state: str = "never-transferred"  # one of ZONE_STATES
    answering: bool = False  # queries get this zone's data (not SERVFAIL, nor what they get in a pause)
    serial: int | None = None
    primary_serial: int | None = None  # the newest seen at any primary
    records: int = 0
    size: int = 0  # bytes of packed nodes
    last_success: float | None = None  # a check or transfer that confirmed or brought the version
    last_change: float | None = None  # the version in hand was published
    next_refresh: float | None = None  # next check, whatever its cause
    expires: float | None = None
    last_reason: str | None = None  # a `Reason`, where the last run failed
    last_detail: str = ""
    failures: int = 0  # runs failed in a row
    primaries: tuple[PrimaryStatus, ...] = ()
    downstreams: tuple[DownstreamStatus, ...] = ()
    last_transfer: TransferEvent | None = None
    notifies: tuple[NotifyReceivedEvent, ...] = ()  # the last from each address, allowed or not
    queries: int = 0
    control_queries: int = 0  # SOA, AXFR, IXFR and NOTIFY: what peers send, not users
    axfr_sent: int = 0  # whole transfers to secondaries that ended well
    ixfr_sent: int = 0  # incremental ones
    bytes_sent: int = 0  # of all transfers to secondaries
    generation: int = 0
    workers_serving: int = 0  # live workers that answer this generation
    override: str = ""  # why its type is not what the configuration says; empty where it is
    unstored: bool = False  # answered from memory alone: what was stored of it is lost
    pause: PauseStatus | None = None  # also where the zone would not be answered without it

    def to_json(self) -> Json:
        """Every field under its own name."""
        data = {name: getattr(self, name) for name in _ZONE_FIELDS}
        data["primaries"] = [primary.to_json() for primary in self.primaries]
        data["downstreams"] = [downstream.to_json() for downstream in self.downstreams]
        data["last_transfer"] = None if self.last_transfer is None else self.last_transfer.to_json()
        data["notifies"] = [each.to_json() for each in self.notifies]
        data["pause"] = None if self.pause is None else self.pause.to_json()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse; unknown fields are ignored, missing ones take their defaults."""
        known = _known(data, _ZONE_FIELDS)
        known["primaries"] = tuple(PrimaryStatus.from_json(each) for each in data.get("primaries", ()))
        known["downstreams"] = tuple(DownstreamStatus.from_json(each) for each in data.get("downstreams", ()))
        transfer = data.get("last_transfer")
        known["last_transfer"] = None if transfer is None else TransferEvent.from_json(transfer)
        known["notifies"] = tuple(NotifyReceivedEvent.from_json(each) for each in data.get("notifies", ()))
        pause = data.get("pause")
        known["pause"] = None if pause is None else PauseStatus.from_json(pause)
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One answering process."""

    index: int
    pid: int | None = None
    alive: bool = False  # it said "ready" and its heart beats
    restarts: int = 0
    zones_behind: int = 0  # zones whose current generation it does not answer yet
    last_heartbeat: float | None = None

    def to_json(self) -> Json:
        """Every field under its own name."""
        return {name: getattr(self, name) for name in _WORKER_FIELDS}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse; unknown fields are ignored, missing ones take their defaults."""
        return cls(**_known(data, _WORKER_FIELDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """The server as a whole."""

    version: str
    pid: int
    now: float  # when this was taken
    started: float
    config_path: str
    listen: tuple[str, ...] = ()
    event_loop: str = "asyncio"  # or "uvloop"
    last_reload: float | None = None  # the start counts as the first load
    last_reload_ok: bool = True
    last_reload_success: float | None = None
    last_reload_message: str = ""
    workers: tuple[WorkerStatus, ...] = ()
    zones_by_state: dict[str, int] = field(default_factory=dict)  # by state; states without a zone may be missing
    transfers_in_progress: dict[str, int] = field(default_factory=dict)  # by direction: "in", "out"
    transfer_queue_length: dict[str, int] = field(default_factory=dict)  # by direction
    store_up: bool = True  # the state directory takes writes, as far as is known
    certificates: dict[str, float] = field(default_factory=dict)  # ours, "server" or "tls.NAME" → when it ends
    notices: tuple[str, ...] = ()  # what the operator should know: "the store was damaged and …"

    def to_json(self) -> Json:
        """Every field under its own name."""
        data = {name: getattr(self, name) for name in _SERVER_FIELDS}
        data["workers"] = [worker.to_json() for worker in self.workers]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse; unknown fields are ignored, missing ones take their defaults."""
        known = _known(data, _SERVER_FIELDS)
        known["workers"] = tuple(WorkerStatus.from_json(each) for each in data.get("workers", ()))
        for name in ("listen", "notices"):
            known[name] = tuple(data.get(name, ()))
        return cls(**known)


CounterRow = tuple[str, Mapping[str, str], float]  # metric name, labels, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that a scrape or the status page shows."""

    server: ServerStatus
    zones: Sequence[ZoneStatus] = ()
    counters: Sequence[CounterRow] = ()  # the query path's, summed over the workers
    tally: Tally = field(default_factory=Tally)
    per_zone_metrics: bool = True


def _known(data: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    return {name: data[name] for name in names if name in data}


# Looked up once: `dataclasses.asdict` copies deeply, which 10,000 zones would feel.
_DOWNSTREAM_FIELDS = tuple(each.name for each in fields(DownstreamStatus))
_PAUSE_FIELDS = tuple(each.name for each in fields(PauseStatus))
_ZONE_FIELDS = tuple(each.name for each in fields(ZoneStatus))
_WORKER_FIELDS = tuple(each.name for each in fields(WorkerStatus))
_SERVER_FIELDS = tuple(each.name for each in fields(ServerStatus))
