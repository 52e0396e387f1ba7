"""Example statuses: one server, zones in every condition that the reports must show."""

from nameserver.errors import Reason
from nameserver.telemetry.events import Kind, TransferEvent
from nameserver.telemetry.status import (
    DownstreamStatus,
    PauseStatus,
    PrimaryStatus,
    ServerStatus,
    Snapshot,
    WorkerStatus,
    ZoneStatus,
)

NOW = 1_795_225_000.0  # 2026-11-21 01:36:40 UTC

# What a primary or a resolver could try to put into our outputs.
HOSTILE = '\x1b[31m"><script>alert(1)</script>\n\u202efake line\x00'


def primary(**changes: object) -> PrimaryStatus:
    """A primary that answers."""
    fields: dict[str, object] = {
        "name": "primary-a",
        "address": "192.0.2.1:53",
        "key": "transfer-key",
        "key_fingerprint": "0a1b2c3d",
        "serial": 2026112101,
        "last_attempt": NOW - 12,
        "last_success": NOW - 12,
        "skew": 0.4,
    }
    return PrimaryStatus(**{**fields, **changes})


def downstream(**changes: object) -> DownstreamStatus:
    """A server below us that has the version."""
    fields: dict[str, object] = {
        "name": "edge-1",
        "address": "192.0.2.53:53",
        "label": "edge-1",
        "key": "transfer-key",
        "serial": 2026112101,
        "has_it": True,
        "answers": True,
        "seen_at": NOW - 3598,
        "lag": 0.25,
        "notified_serial": 2026112101,
        "notified_at": NOW - 3599,
        "notify_tries": 1,
    }
    return DownstreamStatus(**{**fields, **changes})


def transfer(**changes: object) -> TransferEvent:
    """An incremental transfer that went well."""
    fields: dict[str, object] = {
        "at": NOW - 60,
        "zone": "example.com",
        "primary": "primary-a",
        "address": "192.0.2.1:53",
        "key": "transfer-key",
        "asked": Kind.IXFR,
        "got": Kind.IXFR,
        "serial_old": 2026112100,
        "serial_new": 2026112101,
        "messages": 1,
        "records": 5,
        "bytes": 412,
        "seconds": 0.0213,
    }
    return TransferEvent(**{**fields, **changes})


def zone(**changes: object) -> ZoneStatus:
    """A zone that is as it should be."""
    fields: dict[str, object] = {
        "name": "example.com",
        "state": "serving",
        "answering": True,
        "serial": 2026112101,
        "primary_serial": 2026112101,
        "records": 42,
        "size": 2048,
        "last_success": NOW - 12,
        "last_change": NOW - 3600,
        "next_refresh": NOW + 250,
        "expires": NOW + 604_800,
        "primaries": (primary(),),
        "last_transfer": transfer(),
        "queries": 1234,
        "control_queries": 7,
        "generation": 3,
        "workers_serving": 2,
    }
    return ZoneStatus(**{**fields, **changes})


def failing(reason: Reason = Reason.TSIG_BADSIG, **changes: object) -> ZoneStatus:
    """A zone whose last check failed; its version is still answered."""
    failed = primary(last_success=NOW - 7200, last_reason=reason, last_detail="primary says so")
    fields: dict[str, object] = {
        "name": "failing.example",
        "state": "retrying",
        "last_success": NOW - 7200,
        "last_reason": reason,
        "last_detail": "primary says so",
        "failures": 3,
        "primaries": (failed,),
    }
    return zone(**{**fields, **changes})


def paused(**changes: object) -> ZoneStatus:
    """A zone that is silent by command."""
    pause = PauseStatus(answer="refused", since=NOW - 600, until=NOW + 3000, queries=12, control_queries=3)
    fields: dict[str, object] = {"name": "paused.example", "state": "paused", "answering": False, "pause": pause}
    return zone(**{**fields, **changes})


def server(**changes: object) -> ServerStatus:
    """A server in good health with two workers."""
    workers = tuple(WorkerStatus(index=i, pid=100 + i, alive=True, last_heartbeat=NOW - 0.2) for i in (0, 1))
    fields: dict[str, object] = {
        "version": "0.1.0",
        "pid": 99,
        "now": NOW,
        "started": NOW - 86_400,
        "config_path": "/etc/nameserver/nameserver.toml",
        "listen": ("192.0.2.53:53", "[2001:db8::53]:53"),
        "last_reload": NOW - 86_400,
        "last_reload_success": NOW - 86_400,
        "workers": workers,
        "zones_by_state": {"serving": 1},
        "transfers_in_progress": {"in": 0, "out": 0},
        "transfer_queue_length": {"in": 0},
    }
    return ServerStatus(**{**fields, **changes})


def snapshot(*zones: ZoneStatus, **changes: object) -> Snapshot:
    """Everything for a scrape or a page."""
    return Snapshot(**{"server": server(), "zones": zones, **changes})
