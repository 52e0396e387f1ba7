"""A zone's history in the store: written with the version it leads to, bounded, and never worth a zone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.stored import APEX, NAME, NOW, TIMERS, commit_changes, commit_full, content, key, nodes_of

from nameserver.errors import StoreDamaged, StoreError
from nameserver.store import schema
from nameserver.store.database import Store, StoredZone
from nameserver.store.history import NewSteps
from nameserver.store.reader import StoreReader
from nameserver.wire import codes
from nameserver.wire.rrset import Record
from nameserver.zone.changes import Changeset
from nameserver.zone.history import LEAST_KEPT, HistoryLimits, PackedStep, pack_changeset, unpack_changeset

USUAL = HistoryLimits()
SOA_NUMBERS = b"\0\0\x0e\x10\0\0\x02\x58\0\1\x51\x80\0\0\1\x2c"


def soa(serial: int) -> Record:
    return Record(APEX, codes.SOA, codes.IN, 300, b"\0\0" + serial.to_bytes(4, "big") + SOA_NUMBERS)


def step(old: int, new: int, size: int = 4) -> PackedStep:
    """A step that adds one record of so many octets."""
    text = Record(b"\3www" + APEX, 65280, codes.IN, 300, bytes([new % 256]) * size)
    return pack_changeset(Changeset(old, new, [soa(old)], [soa(new), text]), APEX)


def change(store: Store, *serials: int, limits: HistoryLimits = USUAL, at: float = NOW, size: int = 4) -> StoredZone:
    """Commit the version that these steps, from the serial held, lead to."""
    held = store.zones()[NAME]
    steps = [step(old, new, size) for old, new in zip((held.serial, *serials[:-1]), serials, strict=True)]
    return store.commit_changes(
        NAME,
        {b"": b"\0soa %d" % serials[-1]},
        base_generation=held.generation,
        serial=serials[-1],
        soa_rdata=b"soa rdata %d" % serials[-1],
        records_delta=0,
        timers=TIMERS,
        new_steps=NewSteps(steps, limits, at),
    )


def chain(store: Store, serial: int) -> list[tuple[int, int]]:
    """The serials of the steps that lead from one to the version held, as a reader finds them, each checked whole."""
    with closing(StoreReader(store.path)) as reader:
        loaded = reader.load(NAME)
        assert loaded is not None
        with closing(loaded):
            steps = loaded.steps_since(serial)
            for each in steps:
                whole = PackedStep(
                    each.old_serial, each.new_serial, each.records, each.size, tuple(loaded.parts_of(each))
                )
                changeset = unpack_changeset(whole)
                assert (changeset.deleted[0], changeset.added[0]) == (soa(each.old_serial), soa(each.new_serial))
            return [(each.old_serial, each.new_serial) for each in steps]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "state", NOW)
    commit_full(opened, nodes_of(1), 1)
    yield opened
    opened.close()


def test_steps_lead_from_each_serial_that_was_there_to_the_version_held(store: Store) -> None:
    change(store, 2)
    change(store, 3, 4)
    assert chain(store, 1) == [(1, 2), (2, 3), (3, 4)]
    assert chain(store, 3) == [(3, 4)]
    assert chain(store, 4) == chain(store, 0) == chain(store, 9) == []


def test_a_chain_larger_than_is_wanted_is_none(store: Store) -> None:
    for serial in (2, 3, 4):
        change(store, serial)
    one = step(1, 2).size
    with closing(StoreReader(store.path)) as reader:
        loaded = reader.load(NAME)
        assert loaded is not None
        with closing(loaded):
            lengths = [len(loaded.steps_since(serial, 2 * one)) for serial in (3, 2, 1)]
            assert lengths == [1, 2, 0]


def test_they_survive_a_restart_and_compaction(store: Store) -> None:
    change(store, 2)
    store.compact(NAME)
    store.close()
    with closing(Store.open(store.path.parent, NOW)) as again:
        change(again, 3)
        assert chain(again, 1) == [(1, 2), (2, 3)]


def test_a_large_step_is_kept_in_parts(store: Store) -> None:
    records = [Record(b"\3www" + APEX, 65280, codes.IN, 300, bytes([n]) * 20_000) for n in range(9)]
    large = pack_changeset(Changeset(1, 2, [soa(1)], [soa(2), *records]), APEX)
    assert len(large.parts) == 5
    whole = nodes_of(2) | {key("big"): bytes(LEAST_KEPT * 2)}
    store.commit_full(
        NAME, "example", whole, apex_as_received=APEX, soa_rdata=b"", serial=2, records=9, source="", timers=TIMERS,
        new_steps=NewSteps([large], HistoryLimits(), NOW),
    )  # fmt: skip
    assert chain(store, 1) == [(1, 2)]


def test_a_whole_version_with_a_step_to_it_goes_on_with_the_history(store: Store) -> None:
    change(store, 2)
    store.commit_full(
        NAME, "example", nodes_of(3), apex_as_received=APEX, soa_rdata=b"", serial=3, records=9, source="",
        timers=TIMERS, new_steps=NewSteps([step(2, 3)], HistoryLimits(), NOW),
    )  # fmt: skip
    assert chain(store, 1) == [(1, 2), (2, 3)]


def test_a_version_without_steps_ends_the_history(store: Store) -> None:
    change(store, 2)
    commit_full(store, nodes_of(3), 3)
    assert chain(store, 1) == chain(store, 2) == []
    change(store, 4)
    commit_changes(store, {b"": b"\0soa 5"}, 5)
    assert chain(store, 3) == []
    change(store, 6)
    assert chain(store, 5) == [(5, 6)]


def test_a_zone_that_is_removed_takes_its_history_along(store: Store) -> None:
    change(store, 2)
    store.remove(NAME)
    with closing(sqlite3.connect(store.path)) as other:
        assert other.execute("SELECT count(*) FROM history").fetchone() == (0,)
    assert not store._histories, "nothing is remembered of a zone that is gone"


def test_no_more_steps_are_kept_than_the_limit_says_and_the_newest_ones(store: Store) -> None:
    limits = HistoryLimits(max_changes=20)
    for serial in range(2, 60):
        change(store, serial, limits=limits)
        kept = next(first for first in range(1, serial) if chain(store, first))
        assert 17 <= serial - kept <= 20 or serial < 20
    change(store, *range(60, 100), limits=limits)
    assert chain(store, 79) == [(serial, serial + 1) for serial in range(79, 99)] and not chain(store, 78)


def test_no_older_ones_are_kept(store: Store) -> None:
    limits = HistoryLimits(max_age=100.0)
    change(store, 2, limits=limits, at=NOW)
    change(store, 3, limits=limits, at=NOW + 60)
    assert chain(store, 1)
    change(store, 4, limits=limits, at=NOW + 101)
    assert not chain(store, 1) and chain(store, 2) == [(2, 3), (3, 4)]
    change(store, 5, limits=limits, at=NOW + 1000)
    assert not chain(store, 3) and chain(store, 4)


def test_what_becomes_too_old_goes_with_the_next_check_but_for_the_newest_step(store: Store) -> None:
    limits = HistoryLimits(max_age=100.0)
    for serial in (2, 3, 4):
        change(store, serial, limits=limits, at=NOW + serial)
    store.save_timers({NAME: TIMERS._replace(last_success=NOW + 102)})
    assert chain(store, 1)
    store.save_timers({NAME: TIMERS._replace(last_success=NOW + 103)})
    assert not chain(store, 1) and chain(store, 2) == [(2, 3), (3, 4)]
    store.close()
    with closing(Store.open(store.path.parent, NOW)) as again:
        again.save_timers({NAME: TIMERS._replace(last_success=NOW + 1000)})
        assert not chain(again, 2) and chain(again, 3) == [(3, 4)]


def test_they_take_no_more_room_than_the_limit_says(store: Store) -> None:
    for serial in range(2, 200):
        change(store, serial, size=1000)
        with closing(sqlite3.connect(store.path)) as other:
            assert other.execute("SELECT sum(size) FROM history WHERE part = 0").fetchone()[0] <= LEAST_KEPT
    assert chain(store, 190) and not chain(store, 100)


def test_a_step_larger_than_all_of_the_room_ends_the_history(store: Store) -> None:
    change(store, 2)
    change(store, 3, size=65_000, limits=HistoryLimits(max_size=50_000))
    assert not chain(store, 1) and not chain(store, 2)
    change(store, 4)
    assert chain(store, 3) == [(3, 4)]


def test_without_room_for_changes_nothing_is_kept(store: Store) -> None:
    change(store, 2, limits=HistoryLimits(max_changes=0))
    assert not chain(store, 1)


def test_a_commit_that_fails_leaves_the_history_as_it_was(store: Store) -> None:
    change(store, 2)

    def fail() -> None:
        raise StoreError("on purpose")

    with pytest.raises(StoreError, match="purpose"):
        store.together([lambda: change(store, 3), fail])
    assert chain(store, 1) == [(1, 2)]
    change(store, 3)
    assert chain(store, 1) == [(1, 2), (2, 3)]


COLUMNS = ("number", "part", "after", "old_serial", "new_serial", "until", "parts", "records", "size", "crc", "data")


@pytest.mark.parametrize("column", COLUMNS)
def test_whatever_is_damaged_in_it_is_noticed_and_costs_the_history_only(store: Store, column: str) -> None:
    for serial in (2, 3, 4):
        change(store, serial)
    wrong = "x'ff'" if column == "data" else f"{column} + 1"
    with closing(sqlite3.connect(store.path)) as other:
        other.execute(f"UPDATE history SET {column} = {wrong} WHERE new_serial = 3")
        other.commit()
    assert chain(store, 3) == [(3, 4)]
    try:
        assert chain(store, 1) == []
    except StoreDamaged as error:
        assert "history of zone example" in str(error)
    assert content(store.path) == nodes_of(1) | {b"": b"\0soa 4"}
    store.drop_history(NAME)
    assert chain(store, 3) == []
    change(store, 5)
    assert chain(store, 4) == [(4, 5)]


def test_a_step_that_was_lost_is_noticed(store: Store) -> None:
    """As where a page that never reached the disk holds what was there before."""
    for serial in (2, 3, 4):
        change(store, serial)
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("DELETE FROM history WHERE new_serial = 4")
        other.commit()
    with pytest.raises(StoreDamaged, match="not where it belongs"):
        chain(store, 2)


@pytest.mark.parametrize("damaged", [False, True])
def test_out_of_a_damaged_database_a_zone_is_saved_with_its_history_if_that_is_whole(
    store: Store, damaged: bool
) -> None:
    for serial in (2, 3, 4):
        change(store, serial)
    store.close()
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("DROP INDEX chunk_by_key")  # not a table that was made so
        if damaged:
            other.execute("UPDATE history SET data = x'00' WHERE new_serial = 3")
        other.commit()
    with closing(Store.open(store.path.parent, NOW)) as again:
        assert "1 zone saved from it, none lost" in again.notices[0]
        assert content(again.path) == nodes_of(1) | {b"": b"\0soa 4"}
        assert chain(again, 2) == ([] if damaged else [(2, 3), (3, 4)])
        change(again, 5)
        assert chain(again, 4) == [(4, 5)]


def test_a_database_of_the_format_without_histories_is_taken_over_with_its_zones(store: Store) -> None:
    store.close()
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("DROP TABLE history")
        other.execute("UPDATE meta SET value = 1 WHERE key = 'format'")
        other.execute("PRAGMA user_version = 1")
        other.commit()
    with closing(Store.open(store.path.parent, NOW)) as again:
        assert again.notices == []
        assert content(again.path) == nodes_of(1)
        change(again, 2)
        assert chain(again, 1) == [(1, 2)]
    with closing(sqlite3.connect(store.path)) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (schema.FORMAT_VERSION,)
