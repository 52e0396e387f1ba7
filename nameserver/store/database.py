"""The store's writer: the transfer process's one connection to the database, and all that changes it.

A commit writes a whole new version or the owners that changed, with the zone's row and the generation counter, in
one transaction. A crash at any point leaves the version before it. With WAL and synchronous=NORMAL a killed process
loses nothing, a power cut at most the last commits, never consistency; what is lost is a version the primaries hold.

    commit_full      base := the version, overlay := nothing
    commit_changes   overlay += the changed owners              cost: the change, not the zone
    compact          base := base with overlay, overlay := nothing, when the overlay has grown; same generation

Generations are drawn from one counter for the whole database, so that a zone that is removed and added again, or
dropped as damaged and fetched again, never comes back with a generation that a worker has seen already.

The rows that describe zones are kept in memory too, as this is the only writer: a commit need not read them first.
"""

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from nameserver.errors import StoreDamaged, StoreError
from nameserver.store import damage
from nameserver.store.chunks import ChunkIndex, Item, change_crc, check_change, check_chunk, chunk_crc, cut, pack_chunk
from nameserver.store.lock import StateLock
from nameserver.store.reader import StoreReader
from nameserver.store.schema import (
    APPLICATION_ID,
    BUSY_PATIENCE,
    DATABASE_ERRORS,
    FORMAT_VERSION,
    PUT_ZONE,
    TABLES,
    ZONE_COLUMNS,
    StoredZone,
    ZoneTimers,
    connect,
    explain,
    is_damage,
    is_mismatch,
    zone_of_row,
    zone_row,
)

__all__ = ["Store", "StoredZone", "ZoneTimers"]

PAGE_SIZE = 4096  # the smaller, the cheaper a small commit: it writes four pages to the journal
JOURNAL_LIMIT = 16 * 1024 * 1024  # bytes; a journal that grew beyond it is cut short once it is copied back
CACHED_CHUNKS = 64
COMPACT_ROWS = 2000  # an overlay of fewer owners is never worth rewriting the base for
COMPACT_SHARE = 8  # nor is one smaller than this fraction of the zone

_PUT_CHUNK = "INSERT INTO chunk (zone, first_key, crc, data) VALUES (?, ?, ?, ?)"
_PUT_OVERLAY = "INSERT OR REPLACE INTO overlay (zone, key, crc, node) VALUES (?, ?, ?, ?)"
_PUT_GENERATION = "UPDATE meta SET value = ? WHERE key = 'generation'"
_FIND_OVERLAY = "SELECT key, crc, node FROM overlay WHERE zone = ? AND key = ?"
_GET_CHUNK = "SELECT first_key, crc, data FROM chunk WHERE id = ?"
_FIND_CHUNK = "SELECT id FROM chunk WHERE zone = ? AND first_key <= ? ORDER BY first_key DESC LIMIT 1"


class Store:
    """A state directory, held by this process. One thread at a time may use it; every call blocks on the disk.

    `notices` are sentences for the operator about damage that was found and dealt with.
    """

    def __init__(self, state_dir: Path, lock: StateLock) -> None:
        """Use `open`."""
        self.path = damage.database_path(state_dir)
        self.notices: list[str] = []
        self._lock = lock
        self._database: sqlite3.Connection | None = None
        self._reader = StoreReader(self.path)
        self._zones: dict[bytes, StoredZone] = {}
        self._generation = 0
        self._chunks: OrderedDict[tuple[int, int, int], ChunkIndex] = OrderedDict()

    @classmethod
    def open(cls, state_dir: Path, now: float) -> Self:
        """Take a state directory, making it where it does not exist. `now` is the wall clock, in seconds.

        A damaged database is moved aside, a damaged zone dropped, each with a notice. Raises StoreLocked when another
        instance holds the directory; StoreError when it cannot be used, or was written by a newer release.
        """
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the state directory {state_dir} cannot be made: {error.strerror}") from error
        store = cls(state_dir, StateLock.acquire(state_dir))
        try:
            store._open(now)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Give the directory up; more than once does no harm."""
        self._reader.close()
        self._disconnect()
        self._lock.release()

    # reading

    def zones(self) -> dict[bytes, StoredZone]:
        """All zones by folded wire name."""
        return dict(self._zones)

    def node(self, name: bytes, key: bytes) -> bytes | None:
        """One packed node of a zone's current version; None where zone or owner is not held.

        Raises StoreDamaged where what was read fails its checks, StoreError where it cannot be read.
        """
        zone = self._zones.get(name)
        if zone is None:
            return None
        with self._explained(f"reading zone {zone.text}"):
            return self._find(zone, key)[0]

    def needs_compaction(self, name: bytes) -> bool:
        """Whether so much of a zone has changed since its base was written that `compact` is due."""
        zone = self._zones.get(name)
        return zone is not None and zone.overlay_rows > max(COMPACT_ROWS, zone.owners // COMPACT_SHARE)

    # writing

    def commit_full(
        self,
        name: bytes,
        text: str,
        nodes: Mapping[bytes, bytes],
        *,
        apex_as_received: bytes,
        soa_rdata: bytes,
        serial: int,
        records: int,
        source: str,
        timers: ZoneTimers,
        kind: str = "secondary",
    ) -> StoredZone:
        """Store a whole version, in place of whatever was held of the zone.

        `nodes` maps key to packed node, in any order. Raises StoreError, with the version before it intact, when it
        cannot be written; a later commit may succeed.
        """
        if b"" not in nodes:
            raise StoreError(f"zone {text} has no records at its apex: not stored")
        held = self._zones.get(name)
        generation = self._generation + 1
        zone = StoredZone(
            id=held.id if held else generation,
            name=name,
            text=text,
            kind=kind,
            apex_as_received=apex_as_received,
            serial=serial,
            generation=generation,
            base_generation=generation,
            soa_rdata=soa_rdata,
            records=records,
            owners=len(nodes),
            size=sum(map(len, nodes)) + sum(map(len, nodes.values())),
            overlay_rows=0,
            overlay_crc=0,
            source=source,
            **timers._asdict(),
        )
        keys = sorted(nodes)
        with self._transaction(f"saving zone {text}") as database:
            self._write_base(database, zone, zip(keys, map(nodes.__getitem__, keys), strict=True))
            self._write_zone(database, zone)
        self._committed(zone)
        self._shorten_journal()
        return zone

    def commit_changes(
        self,
        name: bytes,
        changes: Mapping[bytes, bytes | None],
        *,
        base_generation: int,
        serial: int,
        soa_rdata: bytes,
        records_delta: int,
        timers: ZoneTimers,
        source: str | None = None,
    ) -> StoredZone:
        """Store the version that differs from generation `base_generation` by replaced nodes (None: owner gone).

        `records_delta` is by how many records it has more; `source` is as before where None. Raises StoreError when
        the zone is not held at that generation, when the apex would go, or as `commit_full` does; the version before
        stays intact.
        """
        held = self._held(name)
        if held.generation != base_generation:
            raise StoreError(
                f"zone {held.text} is stored at generation {held.generation}, the change is to {base_generation}"
            )
        if changes.get(b"", b"") is None:
            raise StoreError(f"the change takes away the apex of zone {held.text}: not stored")
        with self._transaction(f"saving zone {held.text}") as database:
            owners, size, overlay_rows, overlay_crc = self._write_overlay(database, held, changes)
            zone = replace(
                held,
                serial=serial,
                generation=self._generation + 1,
                soa_rdata=soa_rdata,
                records=held.records + records_delta,
                owners=held.owners + owners,
                size=held.size + size,
                overlay_rows=held.overlay_rows + overlay_rows,
                overlay_crc=held.overlay_crc ^ overlay_crc,
                source=held.source if source is None else source,
                **timers._asdict(),
            )
            self._write_zone(database, zone)
        self._committed(zone)
        return zone

    def save_timers(self, timers: Mapping[bytes, ZoneTimers]) -> None:
        """Store the times of many zones in one transaction; names not held are left out. Raises StoreError."""
        rows = [replace(self._zones[name], **new._asdict()) for name, new in timers.items() if name in self._zones]
        with self._transaction("saving the zones' timers") as database:
            database.executemany(PUT_ZONE, map(zone_row, rows))
        self._zones.update((zone.name, zone) for zone in rows)

    def remove(self, name: bytes) -> None:
        """Forget a zone, if it is held. Raises StoreError."""
        zone = self._zones.get(name)
        if zone is not None:
            with self._transaction(f"removing zone {zone.text}") as database:
                _delete(database, zone.id)
            del self._zones[name]

    def compact(self, name: bytes) -> None:
        """Write a zone's base anew from base and overlay. Generation and content stay. Raises StoreError."""
        held = self._held(name)
        if not held.overlay_rows:
            return
        zone = replace(held, base_generation=held.generation, overlay_rows=0, overlay_crc=0)
        with self._transaction(f"compacting zone {held.text}") as database:
            # Read through another connection: its snapshot does not see the rows being deleted and written here.
            with closing(self._reader.stream(name)) as slices:
                self._write_base(database, zone, (item for items in slices for item in items))
            database.execute(PUT_ZONE, zone_row(zone))
        self._zones[name] = zone
        self._shorten_journal()

    # damage

    def quarantine(self, name: bytes, now: float) -> set[bytes]:
        """Drop a zone whose content is damaged, keeping a copy aside where that can be read; adds a notice.

        Returns the names of all zones dropped: where the damage reaches further than the zone, that is all of them,
        as by `start_afresh`. Raises StoreError when the disk is in the way.
        """
        zone = self._zones.get(name)
        if zone is None:
            return set()
        try:
            with self._explained("checking the store"):
                self._connected().execute("PRAGMA shrink_memory")  # what counts is on the disk, not what is cached
                damage.check_integrity(self._connected())
            kept = self._copy_aside(zone.id, zone.text, now)
            self.remove(name)
        except StoreDamaged as error:
            return self.start_afresh(str(error), now)
        self.notices.append(f"stored zone {zone.text} was damaged and is fetched again; {kept}")
        return {name}

    def start_afresh(self, what: str, now: float) -> set[bytes]:
        """Move the database aside while running and begin an empty one; adds a notice saying `what` was wrong.

        Returns the names of the zones that are no longer stored. Generations go on from where they were. Raises
        StoreError when the disk is in the way.
        """
        dropped = set(self._zones)
        self._reader.close()
        self._disconnect()
        self._zones.clear()
        self._chunks.clear()
        aside = damage.move_aside(self.path, now)
        self.notices.append(damage.describe(self.path, aside, what))
        self._connect_and_check()
        with self._transaction("starting a store") as database:
            database.execute(_PUT_GENERATION, (self._generation,))
        return dropped

    # inside

    def _open(self, now: float) -> None:
        """Connect, starting with an empty database where the one found is damaged; then take in the zones' rows."""
        try:
            damage.examine(self.path)
            self._connect_and_check()
            self._read_zones(now)
        except StoreDamaged as error:
            self.start_afresh(str(error), now)

    def _connect_and_check(self) -> None:
        try:
            if not self.path.exists():  # made here for its mode, which the journal's files inherit
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            raise StoreError(f"{self.path} cannot be opened: {error.strerror}; check owner and permissions") from error
        with self._explained("opening the store"):
            self._database = connect(self.path, read_only=False)
            damage.check_integrity(self._database)
            self._database.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            (mode,) = self._database.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise StoreError(f"the file system of {self.path} cannot hold the store: it must support shared memory")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(f"PRAGMA journal_size_limit = {JOURNAL_LIMIT}")
            (tables,) = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if tables:
                damage.check_tables(self._database)
        if not tables:
            self._make_tables()

    def _make_tables(self) -> None:
        with self._transaction("starting a store") as database:
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            for statement in TABLES:
                database.execute(statement)

    def _read_zones(self, now: float) -> None:
        """Take in the counter and all rows. Raises StoreDamaged where the tables are not as they should be."""
        damaged: list[tuple[int, str]] = []
        with self._explained("reading the store"):
            try:
                rows = self._connected().execute(f"SELECT {ZONE_COLUMNS} FROM zone").fetchall()  # noqa: S608
                counter = self._connected().execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
            except DATABASE_ERRORS as error:
                if is_damage(error) or is_mismatch(error):
                    raise StoreDamaged(f"{error}") from error
                raise
        if counter is None or not isinstance(counter[0], int):
            raise StoreDamaged("it has lost its generation counter")
        self._generation = counter[0]
        for row in rows:
            try:
                zone = zone_of_row(row)
            except StoreDamaged:
                damaged.append((row[0], row[2] if isinstance(row[2], str) else "?"))
                continue
            self._zones[zone.name] = zone
            self._generation = max(self._generation, zone.generation)
        for zone_id, text in damaged:
            kept = self._copy_aside(zone_id, text, now)
            with self._transaction("removing a damaged zone") as database:
                _delete(database, zone_id)
            self.notices.append(f"the stored row of zone {text} was damaged; it is fetched again; {kept}")

    def _held(self, name: bytes) -> StoredZone:
        zone = self._zones.get(name)
        if zone is None:
            raise StoreError("the zone is not in the store: it has to be transferred whole")
        return zone

    def _find(self, zone: StoredZone, key: bytes) -> tuple[bytes | None, int | None]:
        """The node under a key; and where it (or that the owner is gone) stands in the overlay, that row's checksum."""
        try:
            if zone.overlay_rows:
                row = self._connected().execute(_FIND_OVERLAY, (zone.id, key)).fetchone()
                if row is not None:
                    _, crc, node = check_change(zone.id, row)
                    return node, crc
            chunk = self._chunk(zone, key)
        except StoreDamaged as error:
            raise StoreDamaged(f"stored zone {zone.text} is damaged: {error}") from error
        return (None if chunk is None else chunk.find(key)), None

    def _chunk(self, zone: StoredZone, key: bytes) -> ChunkIndex | None:
        """The chunk a key belongs into, if any."""
        place = self._connected().execute(_FIND_CHUNK, (zone.id, key)).fetchone()
        if place is None:
            return None
        index = (zone.id, zone.base_generation, place[0])
        chunk = self._chunks.get(index)
        if chunk is not None:
            self._chunks.move_to_end(index)
            return chunk
        _, data = check_chunk(zone.id, zone.base_generation, self._connected().execute(_GET_CHUNK, place).fetchone())
        chunk = self._chunks[index] = ChunkIndex(data)
        if len(self._chunks) > CACHED_CHUNKS:
            self._chunks.popitem(last=False)
        return chunk

    def _write_base(self, database: sqlite3.Connection, zone: StoredZone, items: Iterable[Item]) -> None:
        """Replace all content of a zone."""
        database.execute("DELETE FROM overlay WHERE zone = ?", (zone.id,))
        database.execute("DELETE FROM chunk WHERE zone = ?", (zone.id,))
        for part in cut(items):
            first_key, chunk = part[0][0], pack_chunk(part)
            crc = chunk_crc(zone.id, zone.base_generation, first_key, chunk)
            database.execute(_PUT_CHUNK, (zone.id, first_key, crc, chunk))

    def _write_overlay(
        self, database: sqlite3.Connection, zone: StoredZone, changes: Mapping[bytes, bytes | None]
    ) -> tuple[int, int, int, int]:
        """Write changed owners; by how much owners, size and overlay rows grow, and what changes the overlay's crc."""
        owners = size = overlay_rows = overlay_crc = 0
        for key in sorted(changes):  # in key order, so that each chunk is looked into once
            node = changes[key]
            before, replaced = self._find(zone, key)
            if before is None and node is None:
                continue
            owners += (node is not None) - (before is not None)
            size += (0 if node is None else len(key) + len(node)) - (0 if before is None else len(key) + len(before))
            overlay_rows += replaced is None
            crc = change_crc(zone.id, key, node)
            overlay_crc ^= crc if replaced is None else crc ^ replaced
            database.execute(_PUT_OVERLAY, (zone.id, key, crc, node))
        return owners, size, overlay_rows, overlay_crc

    def _write_zone(self, database: sqlite3.Connection, zone: StoredZone) -> None:
        database.execute(PUT_ZONE, zone_row(zone))
        database.execute(_PUT_GENERATION, (zone.generation,))

    def _committed(self, zone: StoredZone) -> None:
        self._generation = zone.generation
        self._zones[zone.name] = zone

    def _shorten_journal(self) -> None:
        """After much was written: copy the journal back and give its space up, unless a reader still needs it."""
        journal = self.path.with_name(self.path.name + "-wal")
        with suppress(OSError, *DATABASE_ERRORS):  # the version is committed; SQLite tries again with a later one
            if journal.stat().st_size > JOURNAL_LIMIT:
                database = self._connected()
                database.execute("PRAGMA busy_timeout = 0")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                database.execute(f"PRAGMA busy_timeout = {int(BUSY_PATIENCE * 1000)}")

    def _copy_aside(self, zone_id: int, text: str, now: float) -> str:
        """Copy a zone's rows into a database of their own; what to tell the operator about it."""
        safe = "".join(each if each.isalnum() or each in "-_." else "_" for each in text)[:100]
        path = damage.unused(self.path.with_name(f"zone.damaged-{damage.stamp(now)}-{safe}"))
        try:
            database = self._connected()
            database.execute("ATTACH ? AS aside", (f"{path.absolute().as_uri()}?mode=rwc",))
            try:
                for table, column in (("zone", "id"), ("chunk", "zone"), ("overlay", "zone")):
                    database.execute(
                        f"CREATE TABLE aside.{table} AS SELECT * FROM main.{table} WHERE {column} = ?",  # noqa: S608
                        (zone_id,),
                    )
            finally:
                database.execute("DETACH aside")
            damage.prune(path.parent, "zone.damaged-")
        except (*DATABASE_ERRORS, OSError) as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return f"a copy could not be kept ({error})"
        return f"a copy is in {path.name}"

    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            raise StoreError(f"the store {self.path} is closed")
        return self._database

    def _disconnect(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with suppress(*DATABASE_ERRORS):
                database.close()

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except DATABASE_ERRORS as error:
            raise explain(error, doing, self.path) from error

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[sqlite3.Connection]:
        """All or nothing: commits at the end, rolls back on any error."""
        database = self._connected()
        try:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        except DATABASE_ERRORS as error:
            self._roll_back(database)
            raise explain(error, doing, self.path) from error
        except BaseException:
            self._roll_back(database)
            raise

    def _roll_back(self, database: sqlite3.Connection) -> None:
        """Undo a transaction that SQLite may have undone by itself already."""
        self._chunks.clear()  # rows written and taken back may share their ids with later ones
        if database.in_transaction:
            with suppress(*DATABASE_ERRORS):
                database.execute("ROLLBACK")


def _delete(database: sqlite3.Connection, zone_id: int) -> None:
    database.execute("DELETE FROM zone WHERE id = ?", (zone_id,))
    database.execute("DELETE FROM chunk WHERE zone = ?", (zone_id,))
    database.execute("DELETE FROM overlay WHERE zone = ?", (zone_id,))
