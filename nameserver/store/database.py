"""The store's writer: the transfer process's one connection to the database, and all that changes it.

A commit writes a whole new version or the owners that changed, with the zone's row and the generation counter, in
one transaction. A crash at any point leaves the version before it. With WAL and synchronous=NORMAL a killed process
loses nothing, a power cut at most the last commits, never consistency; what is lost is a version the primaries hold.

    commit_full      base := the version, overlay := nothing
    commit_changes   overlay += the changed owners              cost: the change, not the zone
    compact          base := base with overlay, overlay := nothing, when the overlay has grown; same generation

Either commit adds the steps that led to its version to the zone's history, or ends the history there
(nameserver.store.history).

Generations are drawn from one counter for the whole database, so that a zone that is removed and added again, or
dropped as damaged and fetched again, never comes back with a generation that a worker has seen already.

The rows that describe zones are kept in memory too, as this is the only writer: a commit need not read them first.

Before anything is written, `_ready` has seen to the database:

    not open        (a disk in the way when it was replaced)     opened again
    gone            (removed, or another file in its place)      written anew from what is still held open
    in doubt        (a write or a flush failed)                  all of it read anew and checked: after a flush that
                                                                 failed, a later one that succeeds proves nothing
    found damaged   (in any of these)                            replaced, with what can be saved of it

What that costs us is told by `take_dropped`: zones that are stored no more although nobody asked for it.
"""

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

from nameserver.errors import StoreDamaged, StoreError, StoreFault
from nameserver.store import damage, disk, history, salvage
from nameserver.store.chunks import (
    SUM_MODULUS,
    ChunkIndex,
    Item,
    change_crc,
    check_change,
    check_chunk,
    chunk_crc,
    chunks_of,
    cut,
    overlay_mark,
    pack_chunk,
)
from nameserver.store.history import NewSteps
from nameserver.store.lock import StateLock
from nameserver.store.reader import StoreReader
from nameserver.store.rows import Rows
from nameserver.store.schema import (
    DATABASE_ERRORS,
    PUT_GENERATION,
    PUT_ZONE,
    ZONE_COLUMNS,
    StoredZone,
    ZoneTimers,
    connect,
    delete_zone,
    explain,
    is_damage,
    is_mismatch,
    zone_of_row,
    zone_row,
)
from nameserver.store.state_file import StateFile
from nameserver.zone.sorted_nodes import SortedNodes

__all__ = ["Store", "StoredZone", "ZoneTimers"]

R = TypeVar("R")

CACHED_CHUNKS = 64
LARGE = 1024 * 1024  # bytes of a version that room is made for before it is written
COMPACT_ROWS = 2000  # an overlay of fewer owners is never worth rewriting the base for
COMPACT_SHARE = 8  # nor is one smaller than this fraction of the zone

_PUT_CHUNK = "INSERT INTO chunk (zone, first_key, crc, data) VALUES (?, ?, ?, ?)"
_PUT_OVERLAY = "INSERT OR REPLACE INTO overlay (zone, key, crc, node) VALUES (?, ?, ?, ?)"
_FIND_OVERLAY = "SELECT key, crc, node FROM overlay WHERE zone = ? AND key = ?"
_GET_CHUNK = "SELECT first_key, crc, data FROM chunk WHERE id = ?"
_FIND_CHUNK = "SELECT id FROM chunk WHERE zone = ? AND first_key <= ? ORDER BY first_key DESC LIMIT 1"


class Store:
    """A state directory, held by this process. One thread at a time may use it; every call blocks on the disk.

    `notices` are sentences for the operator about damage that was found and dealt with.
    """

    def __init__(self, state_dir: Path, lock: StateLock) -> None:
        """Use `open`."""
        self.notices: list[str] = []
        self._file = StateFile(state_dir, lock)
        self.path = self._file.path
        self._reader = StoreReader(self.path)
        self._zones = Rows()
        self._generation = 0
        self._closed = False
        self._doubt = False
        self._dropped: set[bytes] = set()
        self._trouble: StoreError | None = None
        self._chunks: OrderedDict[tuple[int, int, int], ChunkIndex] = OrderedDict()
        self._histories: dict[int, history.Totals] = {}  # of zones that changed since the start

    @classmethod
    def open(cls, state_dir: Path, now: float) -> Self:
        """Take a state directory, making it where it does not exist. `now` is the wall clock, in seconds.

        A damaged database is replaced, with every zone that can be saved of it; a damaged zone is dropped; each with a
        notice. Raises StoreLocked when another instance holds the directory; StoreError when it cannot be used, or was
        written by a newer release.
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
        """Give the directory up; more than once does no harm. What was removed under us is written anew first."""
        if not self._closed and self._file.connection is not None and self._file.displaced():
            with suppress(StoreError):
                self._return_to_place()
        self._closed = True
        self._reader.close()
        self._file.close()

    # reading

    def zones(self) -> dict[bytes, StoredZone]:
        """All zones by folded wire name."""
        return dict(self._zones)

    def zone(self, name: bytes) -> StoredZone | None:
        """One of them, or None."""
        return self._zones.get(name)

    def node(self, name: bytes, key: bytes) -> bytes | None:
        """One packed node of a zone's current version; None where zone or owner is not held.

        Raises StoreDamaged where what was read fails its checks, StoreError where it cannot be read.
        """
        zone = self._zones.get(name)
        if zone is None:
            return None
        with self._explained(f"reading zone {zone.text}"):
            return self._find(zone, key)[0]

    def slices(self, name: bytes) -> Generator[list[Item], None, None]:
        """A zone's current version as `StoreReader.stream` yields it, which also says what it raises."""
        return self._reader.stream(name)

    def take_dropped(self) -> set[bytes]:
        """The zones that were dropped since the last call, by folded wire name; some may have been stored again."""
        dropped, self._dropped = self._dropped, set()
        return dropped

    def take_trouble(self) -> StoreError | None:
        """What went wrong since the last call without having been raised: the write that was asked for is done."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def needs_compaction(self, name: bytes) -> bool:
        """Whether so much of a zone has changed since its base was written that `compact` is due."""
        zone = self._zones.get(name)
        return zone is not None and zone.overlay_rows > max(COMPACT_ROWS, zone.owners // COMPACT_SHARE)

    # writing

    def probe(self, needed: int = 0) -> None:
        """Find out whether the store can be written and has room for `needed` bytes more. Raises StoreError."""
        self._ready()
        with self._transaction("writing to the store") as database:
            # Another value: SQLite does not write what does not change. Generations need not be without gaps.
            database.execute(PUT_GENERATION, (self._generation + 1,))
        self._generation += 1
        try:
            room = disk.free(self.path.parent)
        except OSError as error:
            raise damage.explain_os(error, "writing to the store failed", self.path.parent) from error
        if room < needed:
            raise StoreError(f"writing to the store failed: {disk.no_room(self.path.parent).text}", StoreFault.FULL)
        self._file.keep_reserve()

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
        new_steps: NewSteps | None = None,
        tend: bool = True,
    ) -> StoredZone:
        """Store a whole version, in place of whatever was held of the zone.

        `nodes` maps key to packed node, in any order; `new_steps` lead to it from the version held, without any the
        zone's history ends. Without `tend` the caller sees to `tend_journal` later, as may any other write. Raises
        StoreError, with the version before it intact, when it cannot be written; a later commit may succeed.
        """
        content = SortedNodes.of(nodes)
        if b"" not in content:
            raise StoreError(f"zone {text} has no records at its apex: not stored")
        self._ready()  # which may tell us that the zone is held no more
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
            owners=len(content),
            size=content.size,
            overlay_rows=0,
            overlay_sum=0,
            source=source,
            **timers._asdict(),
        )
        self._make_room(text, zone.size)
        with self._transaction(f"saving zone {text}", tend=tend) as database:
            if held is None:  # a row that was found damaged on a disk too full to remove it has kept its name
                database.execute("DELETE FROM zone WHERE name = ?", (name,))
            self._write_base(database, zone, chunks_of(content))
            self._write_history(database, zone, new_steps if held else None)
            self._write_zone(database, zone)
        self._committed(zone)
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
        new_steps: NewSteps | None = None,
    ) -> StoredZone:
        """Store the version that differs from generation `base_generation` by replaced nodes (None: owner gone).

        `records_delta` is by how many records it has more; `source` is as before where None; `new_steps` are the same
        difference for the zone's history, which ends without any. Raises StoreError when
        the zone is not held at that generation, when the apex would go, or as `commit_full` does; the version before
        stays intact.
        """
        self._ready()
        held = self._held(name)
        if held.generation != base_generation:
            raise StoreError(
                f"zone {held.text} is stored at generation {held.generation}, the change is to {base_generation}"
            )
        if changes.get(b"", b"") is None:
            raise StoreError(f"the change takes away the apex of zone {held.text}: not stored")
        with self._transaction(f"saving zone {held.text}") as database:
            owners, size, overlay_rows, overlay_sum = self._write_overlay(database, held, changes)
            zone = held._replace(
                serial=serial,
                generation=self._generation + 1,
                soa_rdata=soa_rdata,
                records=held.records + records_delta,
                owners=held.owners + owners,
                size=held.size + size,
                overlay_rows=held.overlay_rows + overlay_rows,
                overlay_sum=(held.overlay_sum + overlay_sum) % SUM_MODULUS,
                source=held.source if source is None else source,
                **timers._asdict(),
            )
            self._write_history(database, zone, new_steps)
            self._write_zone(database, zone)
        self._committed(zone)
        return zone

    def drop_history(self, name: bytes) -> None:
        """Forget how a zone came to its version, as where that is found damaged. Raises StoreError."""
        self._ready()
        zone = self._zones.get(name)
        if zone is not None:
            with self._transaction(f"dropping the history of zone {zone.text}") as database:
                self._histories[zone.id] = history.drop(database, zone.id)

    def together(self, writes: Sequence[Callable[[], R]]) -> list[R]:
        """Do several writes, each a call of one of these methods, in one transaction; what they returned, in order.

        For thousands of small zones, of which each costs less than a transaction. Raises what one of them raises, and
        then none was written.
        """
        self._ready()
        generation = self._generation
        try:
            with self._zones.all_or_none(), self._transaction("saving several zones", several=True) as database:
                results = [write() for write in writes]
                database.execute(PUT_GENERATION, (self._generation,))
                return results
        except BaseException:
            self._generation = generation
            raise

    def tend_journal(self) -> None:
        """Copy the journal back into the database where it has grown long. What goes wrong is for `take_trouble`."""
        self._trouble = self._file.tend_journal() or self._trouble
        self._doubt |= self._trouble is not None and self._trouble.fault is not StoreFault.FULL

    def save_timers(self, timers: Mapping[bytes, ZoneTimers]) -> None:
        """Store the times of many zones in one transaction; names not held are left out. Raises StoreError."""
        self._ready()
        rows = [self._zones[name]._replace(**new._asdict()) for name, new in timers.items() if name in self._zones]
        with self._transaction("saving the zones' timers") as database:
            database.executemany(PUT_ZONE, map(zone_row, rows))
            for zone in rows:  # a good time, too, to let go of what has become too old
                held = self._histories.get(zone.id) or history.totals(database, zone.id)
                self._histories[zone.id] = history.prune(database, zone.id, zone.last_success, held)
        self._zones.update((zone.name, zone) for zone in rows)

    def change_kind(self, name: bytes, kind: str, timers: ZoneTimers) -> StoredZone:
        """A zone goes on as another kind, with other times: its version and history stay. Raises StoreError."""
        self._ready()
        zone = self._held(name)._replace(kind=kind, **timers._asdict())
        with self._transaction(f"saving zone {zone.text}") as database:
            database.execute(PUT_ZONE, zone_row(zone))
        self._zones[name] = zone
        return zone

    def remove(self, name: bytes) -> None:
        """Forget a zone, if it is held. Raises StoreError."""
        self._ready()
        zone = self._zones.get(name)
        if zone is not None:
            with self._transaction(f"removing zone {zone.text}") as database:
                delete_zone(database, zone.id)
            del self._zones[name]
            self._histories.pop(zone.id, None)

    def compact(self, name: bytes) -> None:
        """Write a zone's base anew from base and overlay. Generation and content stay. Raises StoreError."""
        self._ready()
        held = self._held(name)
        if not held.overlay_rows:
            return
        zone = held._replace(base_generation=held.generation, overlay_rows=0, overlay_sum=0)
        with self._transaction(f"compacting zone {held.text}") as database:
            # Read through another connection: its snapshot does not see the rows being deleted and written here.
            with closing(self._reader.stream(name)) as slices:
                parts = cut(item for items in slices for item in items)
                self._write_base(database, zone, ((part[0][0], pack_chunk(part)) for part in parts))
            database.execute(PUT_ZONE, zone_row(zone))
        self._zones[name] = zone

    # damage

    def quarantine(self, name: bytes, now: float) -> None:
        """Drop a zone whose content is damaged, keeping a copy aside where that can be read; adds a notice.

        Where the damage reaches further than the zone, the database is replaced: `take_dropped` tells what that cost.
        Raises StoreError when the disk is in the way.
        """
        self._ready()
        zone = self._zones.get(name)
        if zone is None:
            return
        try:
            with self._explained("checking the store"):
                self._connected().execute("PRAGMA shrink_memory")  # what counts is on the disk, not what is cached
                damage.check_integrity(self._connected())
            kept = damage.copy_aside(self._connected(), self.path, zone.id, zone.text, now)
            self.remove(name)
        except StoreDamaged as error:
            others = {each: row for each, row in self._zones.items() if each != name}
            self._start_over(str(error), now, others)
            return
        self._dropped.add(name)
        self.notices.append(f"stored zone {zone.text} was damaged and is fetched again; {kept}")

    def _start_over(self, what: str, now: float, wanted: Mapping[bytes, StoredZone] | None) -> None:
        """Put a new database in the place of the present one, with what can be saved of it; adds a notice.

        `what` was wrong. `wanted`: of these zones those that are whole; None: every zone that is found whole.
        Generations go on from where they were. Raises StoreError when the disk is in the way; nothing has changed then.
        """
        before = self._zones
        source, theirs = self._file.connection, None
        if source is None:
            with suppress(*DATABASE_ERRORS):
                source = theirs = connect(self.path, read_only=True)
        try:
            salvaged = self._rebuild(source, wanted)
        finally:
            if theirs is not None:
                theirs.close()
        aside = self._replace_file(salvaged, now)
        kept = before if wanted is None else wanted
        lost = [*salvaged.lost, *(row.text for name, row in before.items() if name not in kept)]
        self.notices.append(damage.describe(self.path, aside, what, len(salvaged.zones), lost))

    def _rebuild(
        self, source: sqlite3.Connection | None, wanted: Mapping[bytes, StoredZone] | None
    ) -> salvage.Salvaged:
        target = self._file.make_place()
        try:
            with self._explained("making a new store"):
                return salvage.rebuild(source, self.path, target, self._generation, wanted)
        except OSError as error:
            raise damage.explain_os(error, "making a new store failed", self.path.parent) from error

    def _replace_file(self, salvaged: salvage.Salvaged, now: float) -> Path | None:
        """The new database is complete: put it in its place, and go on from what it holds."""
        aside = self._file.replace(now)
        # From here on it is the one that counts, also where it cannot be opened yet.
        self._dropped |= self._zones.keys() - salvaged.zones.keys()
        self._zones = Rows(salvaged.zones)
        self._generation = max([self._generation, *(zone.generation for zone in self._zones.values())])
        self._chunks.clear()
        self._histories.clear()
        self._doubt = False
        self._reader.close()
        self._file.reopen()
        return aside

    # inside

    def _open(self, now: float) -> None:
        """Connect, replacing a damaged database; then take in the zones' rows."""
        try:
            self._file.examine()
            self._file.connect()
            self._read_zones(now)
        except StoreDamaged as error:
            self._zones.clear()
            self._start_over(str(error), now, None)
        self._file.keep_reserve()

    def _ready(self) -> None:
        """See to the database before it is written; the head of this file has the cases. Raises StoreError."""
        if self._zones.grouped:
            return
        if self._closed:
            raise StoreError(f"the store {self.path} is closed")
        try:
            if self._file.connection is None:
                self._file.connect()
                self._doubt = True
            elif self._file.displaced():
                self._return_to_place()
            if self._doubt:
                self._dispel_doubt()
        except StoreDamaged as error:
            self._start_over(str(error), time.time(), self._zones)

    def _return_to_place(self) -> None:
        """The database, its journal or its directory was removed or replaced under us: write it anew where it was.

        Raises StoreError when the disk, or another instance, is in the way.
        """
        source = self._connected()
        salvaged = self._rebuild(source, self._zones)
        aside = self._replace_file(salvaged, time.time())
        found = f" What was found there is now {aside.name}." if aside else ""
        kept = f"{len(salvaged.zones):,} of {len(salvaged.zones) + len(salvaged.lost):,} zones"
        self.notices.append(
            f"{self.path} was removed or replaced while it was in use: written anew with {kept} from what was still "
            f"open.{found}"
        )

    def _dispel_doubt(self) -> None:
        """After a write or a flush that failed: trust nothing that was not read again and found whole.

        Raises StoreDamaged; StoreError when the disk still does not do what it is asked to.
        """
        doing = "checking the store after an error"
        fresh = self._file.open_another()  # with no page remembered from before
        try:
            with self._explained(doing):
                fresh.execute("BEGIN IMMEDIATE")
                fresh.execute(PUT_GENERATION, (self._generation + 1,))
                fresh.execute("COMMIT")
                fresh.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                rows = {row[1]: row for row in fresh.execute(f"SELECT {ZONE_COLUMNS} FROM zone")}  # noqa: S608
                for name, zone in self._zones.items():
                    if rows.get(name) != zone_row(zone) or not salvage.is_whole(fresh, zone, self.path):
                        raise StoreDamaged(f"zone {zone.text} is not as it was stored")
                    if not history.whole_rows(fresh, zone.id, zone.generation, zone.serial):
                        history.drop(fresh, zone.id)
        except StoreError:
            fresh.close()
            raise
        self._file.adopt(fresh)
        self._generation += 1
        self._chunks.clear()
        self._histories.clear()
        self._doubt = False

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
            kept = damage.copy_aside(self._connected(), self.path, zone_id, text, now)
            try:
                with self._transaction("removing a damaged zone") as database:
                    delete_zone(database, zone_id)
            except StoreDamaged:
                raise
            except StoreError as error:  # it is not served, and goes when the zone is stored again
                kept = f"{kept}; {error}"
            self.notices.append(f"the stored row of zone {text} was damaged; it is fetched again; {kept}")

    def _make_room(self, text: str, size: int) -> None:
        """Before much is written. Raises StoreError where it will not fit: no need to fill the disk to find out.

        Copying the journal back first means that what a write that fails has left in it can be given back.
        """
        if size < LARGE:
            return
        with suppress(OSError):
            if disk.free(self.path.parent) < size:
                text = f"saving zone {text} failed: {disk.no_room(self.path.parent).text}"
                raise StoreError(f"{text} ({size:,} bytes are needed)", StoreFault.FULL)
        self._file.empty_journal()

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

    def _write_base(
        self, database: sqlite3.Connection, zone: StoredZone, chunks: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """Replace all content of a zone. `chunks` are its chunks in key order, each with its first key."""
        if zone.id != zone.generation:  # not its first version
            database.execute("DELETE FROM overlay WHERE zone = ?", (zone.id,))
        database.execute("DELETE FROM chunk WHERE zone = ?", (zone.id,))
        for first_key, chunk in chunks:
            crc = chunk_crc(zone.id, zone.base_generation, first_key, chunk)
            database.execute(_PUT_CHUNK, (zone.id, first_key, crc, chunk))

    def _write_overlay(
        self, database: sqlite3.Connection, zone: StoredZone, changes: Mapping[bytes, bytes | None]
    ) -> tuple[int, int, int, int]:
        """Write changed owners; by how much owners, size, overlay rows and the sum over these grow."""
        owners = size = overlay_rows = overlay_sum = 0
        for key in sorted(changes):  # in key order, so that each chunk is looked into once
            node = changes[key]
            before, replaced = self._find(zone, key)
            if before is None and node is None:
                continue
            owners += (node is not None) - (before is not None)
            size += (0 if node is None else len(key) + len(node)) - (0 if before is None else len(key) + len(before))
            overlay_rows += replaced is None
            crc = change_crc(zone.id, key, node)
            overlay_sum += overlay_mark(crc) - (0 if replaced is None else overlay_mark(replaced))
            database.execute(_PUT_OVERLAY, (zone.id, key, crc, node))
        return owners, size, overlay_rows, overlay_sum

    def _write_history(self, database: sqlite3.Connection, zone: StoredZone, new: NewSteps | None) -> None:
        """Add the steps that lead to a version, or end the history there."""
        if new is None:
            first = zone.id == zone.generation  # it has none
            self._histories[zone.id] = history.NONE if first else history.drop(database, zone.id)
            return
        held = self._histories.get(zone.id) or history.totals(database, zone.id)
        room = new.limits.room(zone.size)
        self._histories[zone.id] = history.append(database, zone.id, zone.generation, room, new, held)

    def _write_zone(self, database: sqlite3.Connection, zone: StoredZone) -> None:
        database.execute(PUT_ZONE, zone_row(zone))
        if not self._zones.grouped:  # else it is written once for all of them
            database.execute(PUT_GENERATION, (zone.generation,))

    def _committed(self, zone: StoredZone) -> None:
        self._generation = zone.generation
        self._zones[zone.name] = zone

    def _connected(self) -> sqlite3.Connection:
        database = self._file.connection
        if database is None:
            raise StoreError(f"the store {self.path} is {'closed' if self._closed else 'not open at the moment'}")
        return database

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except DATABASE_ERRORS as error:
            raise explain(error, doing, self.path) from error

    @contextmanager
    def _transaction(self, doing: str, *, tend: bool = True, several: bool = False) -> Iterator[sqlite3.Connection]:
        """All or nothing: commits at the end, rolls back on any error."""
        database = self._connected()
        if self._zones.grouped and not several:
            yield database  # the transaction of them all sees to the rest
            return
        try:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        except DATABASE_ERRORS as error:
            self._roll_back(database)
            raise self._failed(error, doing) from error
        except BaseException:
            self._roll_back(database)
            raise
        if tend:
            self.tend_journal()

    def _failed(self, error: Exception, doing: str) -> StoreError:
        """What a failed write was, and what follows from it for the next one."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            self._file.empty_journal()
        # Whatever SQLite could not write or flush: what it wrote before may not be what the disk has.
        self._doubt |= code == sqlite3.SQLITE_IOERR
        return explain(error, doing, self.path)

    def _roll_back(self, database: sqlite3.Connection) -> None:
        """Undo a transaction that SQLite may have undone by itself already."""
        self._chunks.clear()  # rows written and taken back may share their ids with later ones
        self._histories.clear()
        if database.in_transaction:
            with suppress(*DATABASE_ERRORS):
                database.execute("ROLLBACK")
