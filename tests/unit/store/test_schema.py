"""The zone row and the meaning of SQLite's errors."""

import math
import sqlite3
from pathlib import Path

import pytest
from support.stored import APEX, NAME, TIMERS

from nameserver.errors import StoreDamaged, StoreError
from nameserver.store.schema import ZONE_COLUMNS, StoredZone, explain, is_damage, zone_of_row, zone_row

ZONE = StoredZone(1, NAME, "example", "secondary", APEX, 2**32 - 1, 5, 3, b"soa", 10, 4, 99, 1, 7, "192.0.2.1", *TIMERS)


def error_with(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("it broke")
    error.sqlite_errorcode = code
    return error


def test_the_columns_are_the_fields_and_a_checksum() -> None:
    assert ZONE_COLUMNS.split(", ") == [*StoredZone._fields, "crc"]


@pytest.mark.parametrize("zone", [ZONE, ZONE._replace(expires_at=math.inf, text="", records=0)])
def test_a_row_gives_back_its_zone(zone: StoredZone) -> None:
    assert zone_of_row(zone_row(zone)) == zone
    assert zone.timers == (zone.last_success, zone.last_change, zone.expires_at, zone.refresh_at)


@pytest.mark.parametrize("index", range(20))
def test_a_change_to_any_column_is_noticed(index: int) -> None:
    row = list(zone_row(ZONE))
    value = row[index]
    row[index] = value + 1 if isinstance(value, int | float) else value + value[:1]
    with pytest.raises(StoreDamaged, match="checksum"):
        zone_of_row(row)
    row[index] = None
    with pytest.raises(StoreDamaged, match="wrong type"):
        zone_of_row(row)


def test_only_broken_content_counts_as_damage() -> None:
    """Whatever the disk or its permissions do must never throw a database away."""
    broken = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT_VTAB}
    others = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
    others |= {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_ERROR}
    assert all(is_damage(error_with(code)) for code in broken)
    assert not any(is_damage(error_with(code)) for code in others)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_FULL, "no space on /; free some|no space on / "),
        (sqlite3.SQLITE_IOERR, "the disk of / reports an error .* a quota, or it is breaking"),
        (sqlite3.SQLITE_BUSY, "another program holds /state.db locked"),
        (sqlite3.SQLITE_READONLY, "check owner and permissions"),
        (sqlite3.SQLITE_CANTOPEN, "check owner and permissions"),
        (sqlite3.SQLITE_ERROR, "it broke"),
    ],
)
def test_an_error_says_what_failed_why_and_what_to_do(code: int, words: str) -> None:
    error = explain(error_with(code), "saving zone example", Path("/state.db"))
    assert isinstance(error, StoreError)
    assert not isinstance(error, StoreDamaged)
    with pytest.raises(StoreError, match=f"saving zone example failed: .*{words}"):
        raise error


def test_damage_is_raised_as_damage() -> None:
    error = explain(error_with(sqlite3.SQLITE_CORRUPT), "saving", Path("/state/state.db"))
    assert isinstance(error, StoreDamaged)
