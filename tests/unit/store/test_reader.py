"""Readers: whole versions, as of one moment, beside a writer that goes on."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.stored import NAME, NOW, commit_changes, commit_full, key, nodes_of

from nameserver.errors import StoreDamaged, StoreError
from nameserver.store import reader as reader_module
from nameserver.store.database import Store
from nameserver.store.reader import StoreReader


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path, NOW)
    yield opened
    opened.close()


@pytest.fixture
def reader(store: Store) -> Iterator[StoreReader]:
    opened = StoreReader(store.path)
    yield opened
    opened.close()


def journal_can_be_cut(store: Store) -> bool:
    """Whether no read transaction holds on to the journal."""
    store._connected().execute("PRAGMA busy_timeout = 0")
    busy: int = store._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy


def test_a_load_gives_the_row_and_all_content_apex_first(store: Store, reader: StoreReader) -> None:
    zone = commit_full(store, nodes_of(1, 2000))
    loaded = reader.load(NAME)
    assert loaded is not None
    assert loaded.meta == zone
    slices = list(loaded.slices)
    assert len(slices) > 1
    assert slices[0][0][0] == b""
    items = [item for each in slices for item in each]
    assert items == sorted(nodes_of(1, 2000).items())


def test_a_zone_that_is_not_stored_loads_as_none(store: Store, reader: StoreReader) -> None:
    assert reader.load(NAME) is None
    with pytest.raises(StoreError, match="not in the store"):
        next(reader.stream(NAME))
    assert journal_can_be_cut(store)


def test_a_load_shows_one_version_whatever_is_committed_meanwhile(store: Store, reader: StoreReader) -> None:
    commit_full(store, nodes_of(1, 2000))
    commit_changes(store, {key("host00002"): b"\x00changed"})
    loaded = reader.load(NAME)
    assert loaded is not None
    first = next(loaded.slices)
    commit_full(store, nodes_of(3, 100), 3)
    store.remove(NAME)
    rest = [item for items in loaded.slices for item in items]
    assert dict([*first, *rest]) == {**nodes_of(1, 2000), key("host00002"): b"\x00changed"}
    assert reader.load(NAME) is None


def test_several_snapshots_may_be_open_at_once(store: Store, reader: StoreReader) -> None:
    streams = []
    for serial in range(1, 8):
        commit_full(store, nodes_of(serial, 600), serial)
        streams.append((serial, reader.stream(NAME)))
        next(streams[-1][1])
    for serial, stream in streams:
        assert [item for items in stream for item in items] == sorted(nodes_of(serial, 600).items())[512:]
    assert journal_can_be_cut(store)


def test_the_last_slice_ends_the_transaction(store: Store, reader: StoreReader) -> None:
    commit_full(store, nodes_of(1))
    loaded = reader.load(NAME)
    assert loaded is not None
    commit_changes(store, {b"": b"\x00soa 2"})
    assert not journal_can_be_cut(store)
    assert len(list(loaded.slices)) == 1
    assert journal_can_be_cut(store)
    loaded.close()


def test_closing_the_generator_ends_the_transaction(store: Store, reader: StoreReader) -> None:
    commit_full(store, nodes_of(1, 2000))
    commit_changes(store, {key("new"): b"\x00new"})
    stream = reader.stream(NAME)
    assert journal_can_be_cut(store)  # nothing is held before the first slice
    next(stream)
    commit_changes(store, {b"": b"\x00soa 3"}, 3)
    assert not journal_can_be_cut(store)
    stream.close()
    assert journal_can_be_cut(store)


def test_closing_a_load_early_ends_the_transaction(store: Store, reader: StoreReader) -> None:
    """Before the first slice as well as between two."""
    commit_full(store, nodes_of(1, 2000))
    for taken in (0, 1):
        loaded = reader.load(NAME)
        assert loaded is not None
        for _ in range(taken):
            next(loaded.slices)
        loaded.close()
        commit_changes(store, {b"": b"\x00soa 2"})
        assert journal_can_be_cut(store)
        with pytest.raises(StoreError):
            next(loaded.slices)


def test_many_small_zones_are_read_in_one_pass(store: Store, reader: StoreReader) -> None:
    names = [key(f"zone{number}") + b"\x00" for number in range(50)]
    for number, name in enumerate(names):
        commit_full(store, nodes_of(number), number, name=name)
    commit_changes(store, {key("www"): b"\x00www"}, 100, name=names[0])
    commit_full(store, nodes_of(1, 500), name=key("large") + b"\x00")
    *rows, large, missing = reader.load_many([*names, key("large") + b"\x00", NAME], 10_000)
    assert large[0] is not None and large[0].size > 10_000 and large[1] is None
    assert missing == (None, None)
    loaded = {meta.name: dict(items) for meta, items in rows}
    assert list(loaded) == names
    assert loaded[names[0]] == {**nodes_of(0), key("www"): b"\x00www"}
    assert loaded[names[7]] == nodes_of(7)
    assert journal_can_be_cut(store)


def test_a_reader_may_open_while_the_writer_commits_and_after_it_has_closed(tmp_path: Path) -> None:
    store = Store.open(tmp_path, NOW)
    commit_full(store, nodes_of(1))
    with store._transaction("a test"), closing(StoreReader(store.path)) as reader:
        assert reader.load(NAME) is not None
    store.close()
    with closing(StoreReader(store.path)) as reader:
        assert sum(map(len, reader.stream(NAME))) == 10


def test_closing_the_reader_ends_what_is_under_way(store: Store) -> None:
    commit_full(store, nodes_of(1, 2000))
    reader = StoreReader(store.path)
    stream, loaded = reader.stream(NAME), reader.load(NAME)
    assert loaded is not None
    next(stream)
    reader.close()
    for each in (stream, loaded.slices):
        with pytest.raises(StoreError):
            next(each)
    assert journal_can_be_cut(store)


def test_a_database_that_was_started_afresh_is_opened_anew(store: Store, reader: StoreReader) -> None:
    """Also by a reader that had the old one open."""
    commit_full(store, nodes_of(1, 2000))
    stream = reader.stream(NAME)
    next(stream)
    assert reader.load(NAME) is not None
    store._start_over("a test", NOW, {})
    assert reader.load(NAME) is None
    stream.close()
    commit_full(store, nodes_of(2), 2)
    assert [dict(items) for items in reader.stream(NAME)] == [nodes_of(2)]


def test_no_more_connections_are_kept_than_are_of_use(store: Store, reader: StoreReader) -> None:
    commit_full(store, nodes_of(1))
    loads = [reader.load(NAME) for _ in range(10)]
    for loaded in loads:
        assert loaded is not None
        loaded.close()
    assert len(reader._idle) == reader_module.IDLE_CONNECTIONS


def test_a_store_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened: No such file"):
        StoreReader(tmp_path / "state.db").load(NAME)


def test_something_else_in_its_place_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StoreError, match=r"(opening the store for reading|reading zone example) failed"):
        StoreReader(tmp_path / "state.db").load(NAME)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE chunk SET data = x'0000' || data WHERE first_key > x''", "checksum"),
        ("UPDATE chunk SET first_key = x'01' || first_key WHERE first_key > x''", "checksum"),
        ("DELETE FROM chunk WHERE first_key > x''", "owners where its row says 2001"),
        ("DELETE FROM overlay", "it has 2000 owners where its row says 2001"),
        ("UPDATE overlay SET key = x'0161'", "a changed owner"),
        ("UPDATE zone SET serial = 5", "its row does not match"),
        ("UPDATE zone SET size = 'much'", "wrong type"),
    ],
)
def test_damage_names_the_zone_and_ends_the_transaction(
    store: Store, reader: StoreReader, statement: str, words: str
) -> None:
    commit_full(store, nodes_of(1, 2000))
    commit_changes(store, {key("new"): b"\x00new"})
    store._connected().execute(statement)
    with pytest.raises(StoreDamaged, match=f"stored zone example is damaged: .*{words}"):
        list(reader.stream(NAME))
    assert journal_can_be_cut(store)


def test_changed_owners_that_go_missing_together_are_noticed_however_alike_they_are(
    store: Store, reader: StoreReader
) -> None:
    """CRCs are linear: the exclusive-or over four rows that differ in two digits each way is nothing at all."""
    commit_full(store, nodes_of(1, 100))
    alike = {key(f"host000{number}"): b"\x00node %d 2" % number for number in (40, 41, 50, 51)}
    commit_changes(store, {key("other"): b"\x00other", **alike})
    store._connected().execute("DELETE FROM overlay WHERE key <> ?", (key("other"),))
    with pytest.raises(StoreDamaged, match="its changes are not those"):
        list(reader.stream(NAME))


def test_changed_owners_that_are_older_than_they_should_be_are_noticed_however_alike_they_are(
    store: Store, reader: StoreReader
) -> None:
    """As a page that a write never reached has them: two rows that differ from what they should be in the same way."""
    commit_full(store, nodes_of(1, 100))
    for serial in (2, 3):
        changes = {key(f"host000{number}"): b"\x00node %d %d" % (number, serial) for number in (10, 11, 12, 13)}
        commit_changes(store, changes, serial)
        if serial == 2:
            old = store._connected().execute("SELECT crc, node, key FROM overlay").fetchall()
    store._connected().executemany("UPDATE overlay SET crc = ?, node = ? WHERE key = ?", old)
    with pytest.raises(StoreDamaged, match="its changes are not those"):
        list(reader.stream(NAME))
