"""Saving what is whole out of a database that is damaged, or whose file was taken away, into a new one.

Every row has a checksum that covers its place and its version, so a zone that passes all of them, and has as many
owners as its own row says, is exactly a version that was committed. Such zones are copied, the others are left to be
fetched again: one flipped bit costs one zone, not ten thousand.

    names, as far as the table or its index can be read ─▶ each zone: row, chunks, overlay whole? ─▶ its rows copied
                                                                                 history whole? ─┴▶ those too

The new database is made beside the old one and is complete on the disk before anything is done to that; whatever stops
it on the way has changed nothing.
"""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from nameserver.errors import StoreDamaged, StoreError
from nameserver.store import history
from nameserver.store.reader import SELECT_ZONE, Snapshot
from nameserver.store.schema import (
    DATABASE_ERRORS,
    PAGE_SIZE,
    PUT_GENERATION,
    PUT_ZONE,
    ZONE_COLUMNS,
    StoredZone,
    connect,
    make_tables,
    zone_of_row,
    zone_row,
)
from nameserver.wire.names import to_text

BATCH = 100  # rows copied at once

_ROWS = f"SELECT {ZONE_COLUMNS} FROM zone NOT INDEXED"  # noqa: S608 - constants of ours
_NAMES = "SELECT name FROM zone"  # by the index over names, which lies in other pages than the rows
_CONTENT = (
    ("chunk", "zone, first_key, crc, data"),
    ("overlay", "zone, key, crc, node"),
)


@dataclass(slots=True)
class Salvaged:
    """What was saved, and the names (for people) of zones that were there and could not be."""

    zones: dict[bytes, StoredZone] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def is_whole(database: sqlite3.Connection, zone: StoredZone, path: Path) -> bool:
    """Whether a zone's content, as the row given describes it, passes every check.

    Raises StoreError where it cannot be read for another reason than damage.
    """
    with closing(Snapshot(database, path, lambda _snapshot, _connection: None)) as snapshot:
        try:
            for _ in snapshot.content(zone):
                pass
        except StoreDamaged:
            return False
    return True


def rebuild(
    source: sqlite3.Connection | None,
    path: Path,
    target: Path,
    generation: int,
    wanted: Mapping[bytes, StoredZone] | None,
) -> Salvaged:
    """Make a new database at `target` with every whole zone of `source`, which is open on `path`; None: with no zone.

    Generations go on behind `generation` and those of the zones. Of `wanted`, where it is given, only these zones in
    exactly these versions are saved. Raises sqlite3.Error and OSError when `target` cannot be written.
    """
    for leftover in (target, target.with_name(f"{target.name}-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    with closing(connect(target, read_only=False)) as fresh:
        fresh.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        fresh.execute("PRAGMA journal_mode = MEMORY")  # nobody needs half of it
        fresh.execute("PRAGMA synchronous = FULL")
        fresh.execute("BEGIN IMMEDIATE")
        make_tables(fresh)
        salvaged = Salvaged() if source is None else _save_all(source, path, fresh, wanted)
        newest = max((zone.generation for zone in salvaged.zones.values()), default=0)
        fresh.execute(PUT_GENERATION, (max(generation, newest),))
        fresh.execute("COMMIT")
    return salvaged


def _save_all(
    source: sqlite3.Connection, path: Path, target: sqlite3.Connection, wanted: Mapping[bytes, StoredZone] | None
) -> Salvaged:
    salvaged = Salvaged()
    found = _rows(source)
    for name in sorted(found if wanted is None else wanted):
        zone = found.get(name)
        if wanted is not None and zone != wanted[name]:
            zone = None
        try:
            saved = zone is not None and is_whole(source, zone, path) and _copy(source, target, zone)
        except StoreError:
            saved = False
        if zone is not None and saved:
            salvaged.zones[name] = zone
        else:
            salvaged.lost.append(_shown(name, zone))
    return salvaged


def _rows(source: sqlite3.Connection) -> dict[bytes, StoredZone | None]:
    """Every zone that can still be seen, by name; None where its row cannot be read or is not what it was."""
    found: dict[bytes, StoredZone | None] = {}
    with suppress(*DATABASE_ERRORS):
        for row in source.execute(_ROWS):
            _take(found, row)
    with suppress(*DATABASE_ERRORS):
        for (name,) in source.execute(_NAMES):
            if isinstance(name, bytes) and name not in found:
                found[name] = None
    for name in [name for name, zone in found.items() if zone is None]:  # a scan ends at the first page it cannot read
        with suppress(*DATABASE_ERRORS):
            if (row := source.execute(SELECT_ZONE, (name,)).fetchone()) is not None:
                _take(found, row)
    return found


def _take(found: dict[bytes, StoredZone | None], row: tuple[object, ...]) -> None:
    try:
        zone = zone_of_row(row)
        found[zone.name] = zone
    except StoreDamaged:
        if isinstance(row[1], bytes):
            found.setdefault(row[1], None)


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, zone: StoredZone) -> bool:
    """Copy a zone's rows; False, with nothing copied, where they cannot be read. Raises sqlite3.Error of `target`."""
    for table, columns in _CONTENT:
        try:
            rows = source.execute(f"SELECT {columns} FROM {table} WHERE zone = ?", (zone.id,))  # noqa: S608 - constants
            batch = rows.fetchmany(BATCH)
        except DATABASE_ERRORS:
            return _take_back(target, zone)
        while batch:
            target.executemany(f"INSERT INTO {table} ({columns}) VALUES (?, ?, ?, ?)", batch)  # noqa: S608
            try:
                batch = rows.fetchmany(BATCH)
            except DATABASE_ERRORS:
                return _take_back(target, zone)
    target.execute(PUT_ZONE, zone_row(zone))
    with suppress(*DATABASE_ERRORS):  # a zone is worth no less without its history
        history.put_rows(target, history.whole_rows(source, zone.id, zone.generation, zone.serial))
    return True


def _take_back(target: sqlite3.Connection, zone: StoredZone) -> bool:
    for table, _ in _CONTENT:
        target.execute(f"DELETE FROM {table} WHERE zone = ?", (zone.id,))  # noqa: S608 - constants of ours
    return False


def _shown(name: bytes, zone: StoredZone | None) -> str:
    """A zone's name for people; it may come from a damaged page."""
    if zone is not None:
        return zone.text
    try:
        return to_text(name)
    except IndexError:
        return name.hex()
