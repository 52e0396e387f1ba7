"""The database of a state directory as a file: opened and checked, watched while it is open, replaced where need be.

Beside `state.db`, its journal and its index there are

    lock              held while we run                                     (nameserver.store.lock)
    reserve           a little space, given up where a start finds the disk full: SQLite needs some even for reading
    state.db.new      a new database in the making; takes the place of the old one when it is complete, by a rename
    state.db.damaged-TIME, zone.damaged-TIME-NAME                           what was moved aside

A file that is removed or replaced while it is open stays readable through what is open, and takes writes that nobody
will ever see again: so before every write we look whether the file is still the one at its place.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from nameserver.errors import StoreError, StoreFault
from nameserver.store import damage
from nameserver.store.lock import StateLock
from nameserver.store.schema import BUSY_PATIENCE, DATABASE_ERRORS, PAGE_SIZE, connect, explain, make_tables, upgrade

CHECKPOINT_AT = 4 * 1024 * 1024  # bytes that the journal grows by until it is copied back into the database
RESERVE = 256 * 1024  # bytes: the index takes 32 KiB, the journal a few pages for each change of timers
_RESERVE_NAME = "reserve"
_ABANDONED: list[sqlite3.Connection] = []  # never closed: see `StateFile.close`

Identity = tuple[tuple[int, int] | None, ...]
R = TypeVar("R")


class StateFile:
    """The open database. Every method blocks on the disk; `connect` first."""

    def __init__(self, directory: Path, lock: StateLock) -> None:
        """`lock` is the directory's; it is given up by `close`."""
        self.path = damage.database_path(directory)
        self._new = self.path.with_name(f"{self.path.name}.new")
        self._reserve = directory / _RESERVE_NAME
        self._lock = lock
        self._database: sqlite3.Connection | None = None
        self._identity: Identity = ()
        self._tended = 0  # the journal's size when it was last copied back

    # opening and closing

    def examine(self) -> None:
        """Look at what is there before it is opened. Raises StoreDamaged where it has to be replaced, StoreError."""
        try:
            if self._new.exists():
                self._finish_replacing()
        except OSError as error:
            raise StoreError(f"{self._new} cannot be put in its place: {error.strerror}") from error
        self._with_reserve(lambda: damage.examine(self.path))

    def connect(self) -> None:
        """Open the database, making it where there is none. Raises StoreDamaged, StoreError."""
        self._database = self._with_reserve(self.open_another)
        self._identity = self._present()
        self._tended = 0

    def _with_reserve(self, opening: Callable[[], R]) -> R:
        """Do it; where the disk is full, again without the reserve."""
        try:
            return opening()
        except StoreError as error:
            if error.fault is not StoreFault.FULL or not self._reserve.exists():
                raise
        self._reserve.unlink(missing_ok=True)
        return opening()

    def open_another(self) -> sqlite3.Connection:
        """A writing connection that has checked the database for itself. Raises StoreDamaged, StoreError."""
        try:
            if not self.path.exists():  # made here for its mode, which the journal's files inherit
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            raise self._explain_os(error, f"{self.path} cannot be opened") from error
        database: sqlite3.Connection | None = None
        try:
            database = connect(self.path, read_only=False)
            self._prepare(database)
        except DATABASE_ERRORS as error:
            _close(database)
            raise explain(error, "opening the store", self.path) from error
        except StoreError:
            _close(database)
            raise
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        damage.check_integrity(database)
        database.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(f"the file system of {self.path} cannot hold the store: it must support shared memory")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA wal_autocheckpoint = 0")  # it would keep its failures to itself: see `tend_journal`
        (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables:
            upgrade(database)
            damage.check_tables(database)
        else:
            database.execute("BEGIN IMMEDIATE")
            make_tables(database)
            database.execute("COMMIT")

    @property
    def connection(self) -> sqlite3.Connection | None:
        """The open connection, if there is one."""
        return self._database

    def adopt(self, database: sqlite3.Connection) -> None:
        """Go on with another connection, of `open_another`, in place of the present one."""
        _close(self._database)
        self._database = database
        self._identity = self._present()

    def close(self) -> None:
        """Close the database and give the directory up; more than once does no harm."""
        if self._database is not None and self.displaced():
            # SQLite would remove the journal by its name, and that is another database's by now.
            _ABANDONED.append(self._database)
        else:
            _close(self._database)
        self._database = None
        self._lock.release()

    # its place

    def displaced(self) -> bool:
        """Whether another file, or none, is where the open database, its journal or its index was."""
        return self._present() != self._identity

    def _present(self) -> Identity:
        """Device and inode of the three files, None for one that is not there."""
        found: list[tuple[int, int] | None] = []
        for companion in damage.companions(self.path):
            try:
                status = companion.stat()
                found.append((status.st_dev, status.st_ino))
            except OSError:
                found.append(None)
        return tuple(found)

    def make_place(self) -> Path:
        """Make sure of the directory and of our lock on it; where to make a new database. Raises StoreError."""
        directory = self.path.parent
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._explain_os(error, f"the state directory {directory} cannot be made") from error
        if not self._lock.holds():
            lock, self._lock = self._lock, StateLock.acquire(directory)
            lock.release()
        return self._new

    def replace(self, now: float) -> Path | None:
        """Put the new database in the place of the old; where the old was moved, if there was one.

        `reopen` is due then. Raises StoreError: nothing was replaced.
        """
        aside = None
        if any(each.exists() for each in damage.companions(self.path)):
            aside = damage.move_aside(self.path, now)
        try:
            self._new.rename(self.path)
        except OSError as error:
            raise self._explain_os(error, f"the new {self.path} cannot be put in its place") from error
        with suppress(OSError):  # it is in place; whether for good after a power cut is all that is open
            _flush_directory(self.path.parent)
        return aside

    def reopen(self) -> None:
        """Close what was replaced and open what is in its place. Raises as `connect` does; then nothing is open.

        In this order: SQLite removes the journal of what it closes by its name, which what it opens begins to use.
        """
        _close(self._database)
        self._database = None
        self.connect()

    def _finish_replacing(self) -> None:
        """A process that was replacing the database has ended on the way: the new one is complete if the old is gone.

        Raises OSError.
        """
        if self.path.exists():
            self._new.unlink()
            return
        for companion in damage.companions(self.path):
            companion.unlink(missing_ok=True)
        self._new.rename(self.path)

    # space

    def tend_journal(self) -> StoreError | None:
        """Copy the journal back into the database once it has grown; what went wrong, if anything did.

        What is committed is committed whatever becomes of this. Where a reader still needs the journal it stays as
        long as it is, and is tried again when it has grown by as much.
        """
        database, journal = self._database, self.path.with_name(f"{self.path.name}-wal")
        try:
            size = journal.stat().st_size
            if database is None or size < self._tended + CHECKPOINT_AT:
                return None
            _truncate(database)
            self._tended = journal.stat().st_size
        except OSError:
            return None  # gone, which the next write will notice
        except DATABASE_ERRORS as error:
            self._tended = size
            return explain(error, "copying the journal back", self.path)
        return None

    def empty_journal(self) -> None:
        """Copy the journal back and cut it to nothing, where that is possible.

        After a write that did not fit, this gives back what it took: it would be in everybody's way.
        """
        with suppress(*DATABASE_ERRORS):
            if self._database is not None:
                _truncate(self._database)
                self._tended = 0

    def keep_reserve(self) -> None:
        """Have the reserve, where there is room for it."""
        if self._reserve.exists():
            return
        descriptor = -1
        try:
            descriptor = os.open(self._reserve, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            os.posix_fallocate(descriptor, 0, RESERVE)
        except OSError:
            with suppress(OSError):
                self._reserve.unlink(missing_ok=True)
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _explain_os(self, error: OSError, doing: str) -> StoreError:
        return damage.explain_os(error, doing, self.path.parent)


def _truncate(database: sqlite3.Connection) -> None:
    """Copy the journal back and cut it to nothing, if no reader needs it. Raises sqlite3.Error."""
    database.execute("PRAGMA busy_timeout = 0")
    try:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        database.execute(f"PRAGMA busy_timeout = {int(BUSY_PATIENCE * 1000)}")


def _close(database: sqlite3.Connection | None) -> None:
    if database is not None:
        with suppress(*DATABASE_ERRORS):
            database.close()


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
