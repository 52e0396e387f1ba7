"""Zones for the tests of the store: contents made up from a serial, and short ways to commit and read them."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from nameserver.store.database import Store, StoredZone, ZoneTimers
from nameserver.store.history import NewSteps
from nameserver.store.reader import StoreReader

NAME = b"\x07example\x00"
APEX = b"\x07Example\x00"
TIMERS = ZoneTimers(last_success=1000.0, last_change=1000.5, expires_at=605800.0, refresh_at=4600.25)
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def key(label: str) -> bytes:
    """`key("www") == b"\\3www"`."""
    return bytes((len(label),)) + label.encode()


def nodes_of(serial: int, owners: int = 10) -> dict[bytes, bytes]:
    """The content of a made-up zone at a serial: each node says which one it belongs to."""
    nodes = {key(f"host{number:05}"): b"\x00node %d %d" % (number, serial) for number in range(owners - 1)}
    return {b"": b"\x00soa %d" % serial, **nodes}


def commit_full(
    store: Store,
    nodes: Mapping[bytes, bytes],
    serial: int = 1,
    *,
    name: bytes = NAME,
    timers: ZoneTimers = TIMERS,
    text: str = "example",
) -> StoredZone:
    """Commit a whole version with everything else made up."""
    return store.commit_full(
        name,
        text,
        nodes,
        apex_as_received=APEX if name == NAME else name,
        soa_rdata=b"soa rdata %d" % serial,
        serial=serial,
        records=len(nodes),
        source="192.0.2.1",
        timers=timers,
    )


def commit_changes(
    store: Store,
    changes: Mapping[bytes, bytes | None],
    serial: int = 2,
    *,
    name: bytes = NAME,
    records_delta: int = 0,
    timers: ZoneTimers = TIMERS,
    new_steps: NewSteps | None = None,
) -> StoredZone:
    """Commit changes to what is held."""
    return store.commit_changes(
        name,
        changes,
        base_generation=store.zones()[name].generation,
        serial=serial,
        soa_rdata=b"soa rdata %d" % serial,
        records_delta=records_delta,
        timers=timers,
        new_steps=new_steps,
    )


def content(path: Path, name: bytes = NAME) -> dict[bytes, bytes] | None:
    """All nodes of a zone as a reader of its own finds them; None where the store does not hold it."""
    with closing(StoreReader(path)) as reader:
        loaded = reader.load(name)
        if loaded is None:
            return None
        return {key: node for items in loaded.slices for key, node in items}
