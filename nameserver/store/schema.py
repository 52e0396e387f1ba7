"""The database's tables, the row that describes a zone, connections, and what SQLite's errors mean here.

    meta      two rows: the format, which no later format may move, and the counter generations are drawn from
    zone      a row per zone: which version is held, where it came from, and its timers
    chunk     the base of each zone's version          (nameserver.store.chunks)
    overlay   what has changed since, a row per owner
    history   the steps that led to it, for IXFR       (nameserver.store.history)

Times are wall-clock seconds since the epoch, since they must mean something after a restart; everything that runs
counts on a monotonic clock instead and only translates when it stores and restores.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from nameserver.errors import StoreDamaged, StoreError, StoreFault
from nameserver.store import disk, history

DATABASE_NAME = "state.db"
APPLICATION_ID = 0x6E735242  # "nsRB", in the file's header: this is ours
FORMAT_VERSION = 2  # the header's user_version; a higher one is a newer release's, a lower one is brought up to it
PAGE_SIZE = 4096  # the smaller, the cheaper a small commit: it writes four pages to the journal
BUSY_PATIENCE = 5.0  # seconds to wait for another program's lock, as of an operator's sqlite3 shell

TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    f"INSERT INTO meta VALUES ('generation', 0), ('format', {FORMAT_VERSION})",  # noqa: S608 - a constant of ours
    """CREATE TABLE zone (
        id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, text TEXT NOT NULL, kind TEXT NOT NULL,
        apex_as_received BLOB NOT NULL, serial INTEGER NOT NULL, generation INTEGER NOT NULL,
        base_generation INTEGER NOT NULL, soa_rdata BLOB NOT NULL, records INTEGER NOT NULL, owners INTEGER NOT NULL,
        size INTEGER NOT NULL, overlay_rows INTEGER NOT NULL, overlay_sum INTEGER NOT NULL, source TEXT NOT NULL,
        last_success REAL NOT NULL, last_change REAL NOT NULL, expires_at REAL NOT NULL, refresh_at REAL NOT NULL,
        crc INTEGER NOT NULL)""",
    # Not WITHOUT ROWID: with the payload in a table of its own, the index stays a few pages however large the zone.
    """CREATE TABLE chunk (
        id INTEGER PRIMARY KEY, zone INTEGER NOT NULL, first_key BLOB NOT NULL, crc INTEGER NOT NULL,
        data BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX chunk_by_key ON chunk (zone, first_key)",
    """CREATE TABLE overlay (
        zone INTEGER NOT NULL, key BLOB NOT NULL, crc INTEGER NOT NULL, node BLOB,
        PRIMARY KEY (zone, key)) WITHOUT ROWID""",
    *history.TABLES,
)
# What a database of the format before lacks.
UPGRADES: dict[int, tuple[str, ...]] = {
    1: (*history.TABLES, "UPDATE meta SET value = 2 WHERE key = 'format'", "PRAGMA user_version = 2"),
}

# The second is what Python's module raises instead when a damaged schema gets quoted in SQLite's error message.
DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)

# What may lie behind these is a disk that is full, read-only or gone, as well as one that breaks.
DISK_ERRORS = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)

ZONE_COLUMNS = (
    "id, name, text, kind, apex_as_received, serial, generation, base_generation, soa_rdata, records, owners, size, "
    "overlay_rows, overlay_sum, source, last_success, last_change, expires_at, refresh_at, crc"
)

# By id and without touching the name, so that the index over names is written once in a zone's life.
PUT_ZONE = (
    f"INSERT INTO zone ({ZONE_COLUMNS}) VALUES ({', '.join('?' * 20)}) ON CONFLICT (id) DO UPDATE SET "  # noqa: S608
    + ", ".join(f"{column} = excluded.{column}" for column in ZONE_COLUMNS.split(", ")[2:])
)

PUT_GENERATION = "UPDATE meta SET value = ? WHERE key = 'generation'"

_NUMBERS = Struct("!qIqqqqqqIdddd")
_TYPES = (
    int,
    bytes,
    str,
    str,
    bytes,
    int,
    int,
    int,
    bytes,
    int,
    int,
    int,
    int,
    int,
    str,
    float,
    float,
    float,
    float,
    int,
)


class ZoneTimers(NamedTuple):
    """When what happened or happens to a zone, in wall-clock seconds since the epoch; `math.inf` is never."""

    last_success: float  # last check or transfer that confirmed the zone
    last_change: float  # last new version
    expires_at: float
    refresh_at: float


class StoredZone(NamedTuple):
    """What the store knows of a zone besides its records. Times are as in `ZoneTimers`."""

    id: int  # of this stay in the store: a zone removed and added again gets another
    name: bytes  # folded absolute wire name
    text: str  # as shown to people
    kind: str  # "secondary" or "primary"
    apex_as_received: bytes  # absolute wire name
    serial: int
    generation: int  # grows with every version committed, over all zones: never the same twice
    base_generation: int  # the generation the base was written at
    soa_rdata: bytes
    records: int
    owners: int
    size: int  # bytes of keys and packed nodes
    overlay_rows: int  # owners changed since the base was written
    overlay_sum: int  # over those rows: nameserver.store.chunks.overlay_mark
    source: str  # who it came from, for people
    last_success: float
    last_change: float
    expires_at: float
    refresh_at: float

    @property
    def timers(self) -> ZoneTimers:
        """The four times, as `Store.commit_full` and its like take them."""
        return ZoneTimers(self.last_success, self.last_change, self.expires_at, self.refresh_at)


def zone_row(zone: StoredZone) -> tuple[int | bytes | str | float, ...]:
    """The values of ZONE_COLUMNS."""
    return (*zone, zone_crc(zone))


def zone_of_row(row: Sequence[object]) -> StoredZone:
    """The other way round. Raises StoreDamaged where the row is not what `zone_row` made."""
    if tuple(map(type, row)) != _TYPES:
        raise StoreDamaged("its row holds values of the wrong type")
    *fields, crc = row
    zone = StoredZone(*fields)  # type: ignore[arg-type]  # the line above has seen to the types
    if not (0 <= zone.serial < 1 << 32 and 0 <= zone.overlay_sum < 1 << 32) or zone_crc(zone) != crc:
        raise StoreDamaged("its row does not match its checksum")
    return zone


def zone_crc(zone: StoredZone) -> int:
    """The checksum over all fields of a zone's row."""
    parts = [
        _NUMBERS.pack(
            zone.id,
            zone.serial,
            zone.generation,
            zone.base_generation,
            zone.records,
            zone.owners,
            zone.size,
            zone.overlay_rows,
            zone.overlay_sum,
            *zone.timers,
        ),
        f"{zone.text}\0{zone.kind}\0{zone.source}\0".encode(),
    ]
    for field in (zone.name, zone.apex_as_received, zone.soa_rdata):
        parts += (len(field).to_bytes(4, "big"), field)
    return crc32(b"".join(parts))


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open the database. Transactions are begun and ended by hand; raises sqlite3.Error.

    The connection may move between threads but is used by one at a time.
    """
    mode = "ro" if read_only else "rw"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        timeout=BUSY_PATIENCE,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )


def make_tables(database: sqlite3.Connection) -> None:
    """Make an empty store of an empty database, inside a transaction."""
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    for statement in TABLES:
        database.execute(statement)


def upgrade(database: sqlite3.Connection) -> int | None:
    """Bring a database of an earlier format up to ours, in one transaction; the format it had, None where it is ours.

    Raises sqlite3.Error.
    """
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found not in UPGRADES:
        return None
    database.execute("BEGIN IMMEDIATE")
    try:
        for version in range(found, FORMAT_VERSION):
            for statement in UPGRADES[version]:
                database.execute(statement)
        database.execute("COMMIT")
    except sqlite3.Error:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    return int(found)


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file's content is broken, not that the disk or its permissions are in the way."""
    if isinstance(error, UnicodeDecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the Python module itself: text that is not UTF-8
        return isinstance(error, sqlite3.OperationalError)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_mismatch(error: Exception) -> bool:
    """Whether a statement that is right for our tables did not fit: "no such table", "unsupported file format"."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def delete_zone(database: sqlite3.Connection, zone_id: int) -> None:
    """Remove a zone's row and all that belongs to it, inside a transaction."""
    database.execute("DELETE FROM zone WHERE id = ?", (zone_id,))
    database.execute("DELETE FROM chunk WHERE zone = ?", (zone_id,))
    database.execute("DELETE FROM overlay WHERE zone = ?", (zone_id,))
    history.drop(database, zone_id)


def explain(error: Exception, doing: str, path: Path) -> StoreError:
    """The error to raise for one of DATABASE_ERRORS: what failed (`doing`, as "saving zone x"), why, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if is_damage(error):
        return StoreDamaged(f"{doing} failed: {path} is damaged ({error})")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{doing} failed: another program holds {path} locked; end it", StoreFault.LOCKED)
    if code == sqlite3.SQLITE_FULL:
        trouble = disk.no_room(path.parent)
        return StoreError(f"{doing} failed: {trouble.text}", trouble.fault)
    if code in DISK_ERRORS:
        if (found := disk.look(path.parent)) is not None:
            return StoreError(f"{doing} failed: {found.text}", found.fault)
        if code == sqlite3.SQLITE_IOERR:
            kind = getattr(error, "sqlite_errorname", "unknown")
            text = f"the disk of {path.parent} reports an error ({error}, {kind}): a quota, or it is breaking"
            return StoreError(f"{doing} failed: {text}", StoreFault.IO)
        text = f"{path} cannot be opened or written ({error}); check owner and permissions"
        return StoreError(f"{doing} failed: {text}", StoreFault.READ_ONLY)
    return StoreError(f"{doing} failed: {error} ({path})")
