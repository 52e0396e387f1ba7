"""Reading zones while the writer commits: what answering processes load from and transfers out are made of.

Each load or stream runs in a read transaction of a connection of its own. In WAL mode that is a stable snapshot: it
shows one committed version whole, whatever is committed meanwhile, and holds nobody up. It is also what keeps the
journal from being cut short, so it ends as soon as the last slice was taken or the generator closed.

    load(name) ──▶ connection from the pool ─ BEGIN ─ zone row ─ chunks ┐
                                                              └ overlay ┴▶ merge ─▶ slices ─▶ ROLLBACK ─▶ pool
"""

import math
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from nameserver.errors import StoreDamaged, StoreError, StoreFault
from nameserver.store import history
from nameserver.store.chunks import (
    SUM_MODULUS,
    Change,
    Item,
    check_change,
    check_chunk,
    merge,
    overlay_mark,
    unpack_chunk,
)
from nameserver.store.history import StoredStep
from nameserver.store.schema import DATABASE_ERRORS, ZONE_COLUMNS, StoredZone, connect, explain, zone_of_row
from nameserver.wire.names import to_text

IDLE_CONNECTIONS = 4  # kept open between reads
_CACHE = "PRAGMA cache_size = -256"  # KiB

SELECT_ZONE = f"SELECT {ZONE_COLUMNS} FROM zone WHERE name = ?"  # noqa: S608 - constants of ours
_SELECT_CHUNKS = "SELECT first_key, crc, data FROM chunk WHERE zone = ? ORDER BY first_key"
_SELECT_OVERLAY = "SELECT key, crc, node FROM overlay WHERE zone = ? ORDER BY key"


class Snapshot:
    """A connection inside a read transaction, and the reading of one zone through it."""

    __slots__ = ("_connection", "_cursors", "_on_close", "_path")

    def __init__(
        self, connection: sqlite3.Connection, path: Path, on_close: Callable[["Snapshot", sqlite3.Connection], None]
    ) -> None:
        """`connection` has begun its transaction; `on_close` gets it back, in whatever state it then is."""
        self._connection: sqlite3.Connection | None = connection
        self._cursors: list[sqlite3.Cursor] = []
        self._path = path
        self._on_close = on_close

    def zone(self, name: bytes) -> StoredZone | None:
        """A zone's row by its folded wire name. Raises as `StoreReader.load` does."""
        try:
            row = self._open().execute(SELECT_ZONE, (name,)).fetchone()
            return None if row is None else zone_of_row(row)
        except DATABASE_ERRORS as error:
            raise explain(error, f"reading zone {to_text(name)}", self._path) from error
        except StoreDamaged as error:
            raise StoreDamaged(f"stored zone {to_text(name)} is damaged: {error}") from error

    def slices(self, meta: StoredZone) -> Iterator[list[Item]]:
        """The zone's content; ends the transaction with the last slice."""
        try:
            yield from self.content(meta)
        finally:
            self.close()

    def content(self, meta: StoredZone) -> Iterator[list[Item]]:
        """The zone's content as `LoadedZone.slices` describes it; the transaction goes on."""
        owners = changed = found = 0

        def changes(rows: sqlite3.Cursor) -> Iterator[Change]:
            nonlocal changed, found
            last = None
            for row in rows:
                key, crc, node = check_change(meta.id, row)
                if last is not None and key <= last:
                    raise StoreDamaged("a changed owner is not where it belongs")
                last = key
                changed += 1
                found += overlay_mark(crc)
                yield key, node

        try:
            chunks = self._open().execute(_SELECT_CHUNKS, (meta.id,))
            self._cursors.append(chunks)
            overlay: Iterator[Change] = iter(())
            if meta.overlay_rows:
                rows = self._open().execute(_SELECT_OVERLAY, (meta.id,))
                self._cursors.append(rows)
                overlay = changes(rows)
            for items in merge(_checked_chunks(chunks, meta), overlay):
                owners += len(items)
                yield items
            if owners != meta.owners:
                raise StoreDamaged(f"it has {owners} owners where its row says {meta.owners}")
            if changed != meta.overlay_rows or found % SUM_MODULUS != meta.overlay_sum:
                raise StoreDamaged("its changes are not those that its row was written with")
            self._close_cursors()
        except DATABASE_ERRORS as error:
            raise explain(error, f"reading zone {meta.text}", self._path) from error
        except StoreDamaged as error:
            raise StoreDamaged(f"stored zone {meta.text} is damaged: {error}") from error

    def steps_since(self, meta: StoredZone, serial: int, at_most: float = math.inf) -> list[StoredStep]:
        """The steps, oldest first, from a serial to the zone's version; empty where the history does not reach there.

        Or where they take more than `at_most` octets.

        Raises StoreDamaged where the history is damaged (the zone may be whole), StoreError where it cannot be read.
        """
        with self._explained(meta):
            return history.steps_since(self._open(), meta.id, meta.generation, serial, meta.serial, at_most)

    def parts_of(self, meta: StoredZone, step: StoredStep) -> Iterator[bytes]:
        """The parts of one of these steps (nameserver.zone.history). Raises as `steps_since` does."""
        with self._explained(meta):
            yield from history.parts_of(self._open(), meta.id, step)

    @contextmanager
    def _explained(self, meta: StoredZone) -> Iterator[None]:
        try:
            yield
        except DATABASE_ERRORS as error:
            raise explain(error, f"reading the history of zone {meta.text}", self._path) from error
        except StoreDamaged as error:
            raise StoreDamaged(f"the stored history of zone {meta.text} is damaged: {error}") from error

    def close(self) -> None:
        """End the transaction and give the connection back; more than once does no harm."""
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        # A statement half stepped through keeps its read lock whatever becomes of the transaction.
        self._close_cursors()
        self._on_close(self, connection)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError("this reading of the store was closed already")
        return self._connection

    def _close_cursors(self) -> None:
        for cursor in self._cursors:
            cursor.close()
        self._cursors.clear()


def _checked_chunks(rows: sqlite3.Cursor, meta: StoredZone) -> Iterator[list[Item]]:
    last = None
    for row in rows:
        first_key, chunk = check_chunk(meta.id, meta.base_generation, row)
        items = unpack_chunk(chunk)
        if items[0][0] != first_key or (last is not None and first_key <= last):
            raise StoreDamaged("a chunk is not where it belongs")
        last = items[-1][0]
        yield items


class LoadedZone:
    """A zone's row and its content as of one moment.

    `slices` yields non-empty lists of (key, packed node), keys ascending over all slices, the apex first; it raises
    StoreDamaged where content fails its checks, StoreError where it cannot be read. `close` ends the transaction
    early; taking the last slice ends it too.
    """

    __slots__ = ("_snapshot", "meta", "slices")

    def __init__(self, meta: StoredZone, snapshot: Snapshot) -> None:
        self.meta = meta
        self.slices: Iterator[list[Item]] = snapshot.slices(meta)
        self._snapshot = snapshot

    def steps_since(self, serial: int, at_most: float = math.inf) -> list[StoredStep]:
        """As `Snapshot.steps_since`: of this version, before `slices` has ended."""
        return self._snapshot.steps_since(self.meta, serial, at_most)

    def parts_of(self, step: StoredStep) -> Iterator[bytes]:
        """As `Snapshot.parts_of`."""
        return self._snapshot.parts_of(self.meta, step)

    def close(self) -> None:
        """End the transaction; more than once does no harm."""
        self._snapshot.close()


class StoreReader:
    """Read access to the database at `path` (a file that `Store.open` has made), for one thread at a time.

    Nothing is opened before it is needed. Several loads and streams may be under way at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._used: set[Snapshot] = set()
        self._file: tuple[int, int] | None = None  # device and inode the idle connections have open

    def load(self, name: bytes) -> LoadedZone | None:
        """A zone by its folded wire name; None when the store does not hold it.

        Raises StoreDamaged, naming the zone, where its row fails its checks; StoreError when the store cannot be read.
        """
        snapshot = self._snapshot()
        try:
            meta = snapshot.zone(name)
        except StoreError:
            snapshot.close()
            raise
        if meta is None:
            snapshot.close()
            return None
        return LoadedZone(meta, snapshot)

    def load_many(
        self, names: Iterable[bytes], most: int
    ) -> Generator[tuple[StoredZone | None, list[Item] | None], None, None]:
        """Many small zones in one transaction: each one's row and its whole content, in the order asked for.

        A name is taken from `names` when it is its turn. There is no row where the store does not hold a zone, and no
        content where that is of more than `most` bytes. Raises as `load` does, which ends the iteration.
        """
        with closing(self._snapshot()) as snapshot:
            for name in names:
                meta = snapshot.zone(name)
                if meta is None or meta.size > most:
                    yield meta, None
                else:
                    yield meta, [item for items in snapshot.content(meta) for item in items]

    def stream(self, name: bytes) -> Generator[list[Item], None, None]:
        """A zone's content in slices, as `LoadedZone.slices`; for transfers out.

        The snapshot is taken when the first slice is asked for, and given up with the last one or when the generator
        is closed. Raises StoreError when the store does not hold the zone, and otherwise as `load` does.
        """
        loaded = self.load(name)
        if loaded is None:
            raise StoreError("the zone is not in the store")
        with closing(loaded):
            yield from loaded.slices

    def close(self) -> None:
        """Close all connections, also those in use: their loads and streams then raise StoreError."""
        self._file = None
        for snapshot in list(self._used):
            snapshot.close()
        self._drop_idle()

    def _snapshot(self) -> Snapshot:
        """Begin a read transaction."""
        try:
            status = self._path.stat()
        except OSError as error:
            fault = StoreFault.MISSING if isinstance(error, FileNotFoundError) else StoreFault.IO
            raise StoreError(f"the store {self._path} cannot be opened: {error.strerror}", fault) from error
        file = (status.st_dev, status.st_ino)
        if self._file != file:
            self._drop_idle()  # the database was moved aside and started afresh
            self._file = file
        connection: sqlite3.Connection | None = None
        try:
            connection = self._idle.pop() if self._idle else self._connect()
            connection.execute("BEGIN")
        except DATABASE_ERRORS as error:
            if connection is not None:
                connection.close()
            raise explain(error, "opening the store for reading", self._path) from error
        snapshot = Snapshot(connection, self._path, lambda snapshot, done: self._give_back(snapshot, done, file))
        self._used.add(snapshot)
        return snapshot

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self._path, read_only=True)
        connection.execute(_CACHE)  # each page is read once; by itself SQLite would keep 2 MB of them for good
        return connection

    def _give_back(self, snapshot: Snapshot, connection: sqlite3.Connection, file: tuple[int, int]) -> None:
        self._used.discard(snapshot)
        with suppress(*DATABASE_ERRORS):
            connection.execute("ROLLBACK")
            if len(self._idle) < IDLE_CONNECTIONS and file == self._file:
                self._idle.append(connection)
                return
        connection.close()

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()
