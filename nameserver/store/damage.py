"""Recognising a database that cannot be used, and moving it out of the way.

A secondary can fetch every zone again, so a damaged database is never worth a start that fails: it is kept aside for
whoever wants to look at it, and the server starts with what could be saved of it (nameserver.store.salvage). Only
damage is treated so. A full disk, a missing permission, something that is no file, or a newer release's format are left
alone and reported as what they are.
"""

import errno
import sqlite3
from collections.abc import Collection
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from nameserver.errors import StoreDamaged, StoreError, StoreFault
from nameserver.store import disk
from nameserver.store.schema import (
    APPLICATION_ID,
    DATABASE_ERRORS,
    DATABASE_NAME,
    FORMAT_VERSION,
    TABLES,
    connect,
    explain,
    is_damage,
    is_mismatch,
)

ASIDE_KEPT = 3  # damaged copies kept; a failing disk would otherwise fill up with them
NAMES_SHOWN = 10
_COMPANIONS = ("", "-wal", "-shm")
_DISK = (errno.ENOSPC, errno.EROFS, errno.EIO)
_FAULTS = {
    errno.ENOSPC: StoreFault.FULL,
    errno.EDQUOT: StoreFault.FULL,
    errno.EROFS: StoreFault.READ_ONLY,
    errno.EACCES: StoreFault.READ_ONLY,
    errno.EPERM: StoreFault.READ_ONLY,
    errno.EIO: StoreFault.IO,
}
_MAGIC = b"SQLite format 3\x00"


def examine(path: Path) -> None:
    """Look at a database without changing it; that there is none, or one without a table, is no objection.

    Raises StoreDamaged when it must be moved aside, StoreError when it is a newer release's or cannot be read.
    """
    try:
        if path.is_symlink():
            # The journal would lie where the link leads, and moving things aside would move the link.
            raise StoreError(f"{path} is a symbolic link: put the database itself there, or change [server] state-dir")
        if not _size(path):
            if _size(_companion(path, "-wal")):
                raise StoreDamaged("it is missing, but its journal is there")
            return
        with path.open("rb") as file:  # before SQLite has it open: closing it later would break SQLite's locks
            header = file.read(100)
        if header[:16] != _MAGIC or not {1, 2}.issuperset(header[18:20]):  # a higher number would make it read-only
            raise StoreDamaged("it is not an SQLite database")
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}; check owner and permissions") from error
    try:
        with closing(connect(path, read_only=True)) as database:
            (application,) = database.execute("PRAGMA application_id").fetchone()
            (version,) = database.execute("PRAGMA user_version").fetchone()
            (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if not tables and application in (0, APPLICATION_ID):
                return  # a start was killed before it had made its tables
            if application != APPLICATION_ID:
                raise StoreDamaged("it is another program's database")
            (recorded,) = database.execute("SELECT value FROM meta WHERE key = 'format'").fetchone() or (None,)
    except DATABASE_ERRORS as error:
        if is_damage(error) or is_mismatch(error):
            raise StoreDamaged(f"{error}") from error
        raise explain(error, "opening the store", path) from error
    _judge(path, version, recorded)


def _judge(path: Path, version: int, recorded: object) -> None:
    """The format must stand in both places: a flipped bit in one is not to be taken for a newer release."""
    if version != recorded or version < 1:
        raise StoreDamaged(f"it claims format {version}, and elsewhere {recorded}")
    if version > FORMAT_VERSION:
        raise StoreError(
            f"{path} was written by a newer release (format {version}; this one reads {FORMAT_VERSION}): "
            "run that release, or choose another state directory, where all zones will be fetched again"
        )


def check_integrity(database: sqlite3.Connection) -> None:
    """SQLite's own check of all pages: some 10 ms for a zone of a million records. Raises StoreDamaged."""
    try:
        (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    except DATABASE_ERRORS as error:
        if is_damage(error):
            raise StoreDamaged(f"{error}") from error
        raise
    if verdict != "ok":
        raise StoreDamaged(str(verdict).replace("\n", " "))


def check_tables(database: sqlite3.Connection) -> None:
    """Whether the tables are the ones that were made. Raises StoreDamaged.

    SQLite keeps them as the text they were made by, and does not notice another letter in it: a column's name would no
    longer fit the statements that read it. A release that words a table otherwise has another FORMAT_VERSION.
    """
    made = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema")}
    if not made.issuperset(statement for statement in TABLES if statement.startswith("CREATE")):
        raise StoreDamaged("its tables are not as they were made")


def move_aside(path: Path, now: float) -> Path:
    """Rename a database with its journal and index to `<name>.damaged-<time>`; returns the new path of the first.

    Of such copies the newest ASIDE_KEPT stay. Raises StoreError when renaming fails.
    """
    aside = unused(path.with_name(f"{path.name}.damaged-{stamp(now)}"))
    try:
        for companion in _COMPANIONS:
            if _companion(path, companion).exists():
                _companion(path, companion).rename(_companion(aside, companion))
        prune(path.parent, f"{path.name}.damaged-")
    except OSError as error:
        doing = f"the damaged {path} cannot be moved aside"
        raise explain_os(error, doing, path.parent, "remove it by hand") from error
    return aside


def copy_aside(database: sqlite3.Connection, path: Path, zone_id: int, text: str, now: float) -> str:
    """Copy a zone's rows into a database of their own; what to tell the operator about it."""
    safe = "".join(each if each.isalnum() or each in "-_." else "_" for each in text)[:100]
    aside = unused(path.with_name(f"zone.damaged-{stamp(now)}-{safe}"))
    try:
        database.execute("ATTACH ? AS aside", (f"{aside.absolute().as_uri()}?mode=rwc",))
        try:
            for table, column in (("zone", "id"), ("chunk", "zone"), ("overlay", "zone")):
                database.execute(
                    f"CREATE TABLE aside.{table} AS SELECT * FROM main.{table} WHERE {column} = ?",  # noqa: S608
                    (zone_id,),
                )
        finally:
            database.execute("DETACH aside")
        prune(aside.parent, "zone.damaged-")
    except (*DATABASE_ERRORS, OSError) as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        return f"a copy could not be kept ({error})"
    return f"a copy is in {aside.name}"


def prune(directory: Path, prefix: str) -> None:
    """Remove all but the newest ASIDE_KEPT copies whose names begin with `prefix` (times in names sort by age)."""
    names = {path.name.removesuffix("-wal").removesuffix("-shm") for path in directory.glob(f"{prefix}*")}
    for name in sorted(names)[:-ASIDE_KEPT]:
        for companion in _COMPANIONS:
            _companion(directory / name, companion).unlink(missing_ok=True)


def unused(path: Path) -> Path:
    """The path, or the first of `<path>.2`, `<path>.3` … that is not taken."""
    candidate, number = path, 1
    while any(_companion(candidate, companion).exists() for companion in _COMPANIONS):
        number += 1
        candidate = path.with_name(f"{path.name}.{number}")
    return candidate


def stamp(now: float) -> str:
    """A time for file names, in UTC: 20260131T235959Z."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def describe(path: Path, aside: Path | None, what: str, saved: int, lost: Collection[str]) -> str:
    """The sentence for the log when a database was replaced: why, where the old one is, what became of the zones."""
    where = f" and is now {aside.name}" if aside else ""
    if not saved:
        return f"{path} was damaged ({what}){where}: the store starts empty, all zones are fetched again"
    return f"{path} was damaged ({what}){where}: {_saved(saved, lost)}"


def _saved(saved: int, lost: Collection[str]) -> str:
    text = f"{saved:,} {'zone' if saved == 1 else 'zones'} saved from it"
    if not lost:
        return f"{text}, none lost"
    names = ", ".join(list(lost)[:NAMES_SHOWN]) + (", …" if len(lost) > NAMES_SHOWN else "")
    return f"{text}, {len(lost):,} fetched again: {names}"


def explain_os(error: OSError, doing: str, directory: Path, advice: str = "check owner and permissions") -> StoreError:
    """The error to raise where the system refused something other than SQLite's own doings."""
    found = disk.look(directory) if error.errno in _DISK else None
    if found is not None:
        return StoreError(f"{doing}: {found.text}", found.fault)
    return StoreError(f"{doing}: {error.strerror}; {advice}", _FAULTS.get(error.errno or 0, StoreFault.OTHER))


def companions(path: Path) -> list[Path]:
    """The files that a database is made of: itself, its journal, its index."""
    return [_companion(path, suffix) for suffix in _COMPANIONS]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _companion(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def database_path(state_dir: Path) -> Path:
    """Where the database of a state directory is."""
    return state_dir / DATABASE_NAME
