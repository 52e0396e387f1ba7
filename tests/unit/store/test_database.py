"""The writer: versions go in whole or not at all, and only their change is paid for."""

import math
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.stored import APEX, NAME, NOW, TIMERS, commit_changes, commit_full, content, key, nodes_of

from nameserver.errors import StoreDamaged, StoreError, StoreFault
from nameserver.store import database, state_file
from nameserver.store.database import Store, ZoneTimers
from nameserver.store.reader import StoreReader


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "state", NOW)
    yield opened
    opened.close()


def reopened(store: Store) -> Store:
    store.close()
    return Store.open(store.path.parent, NOW)


def test_a_new_directory_is_private_and_empty(store: Store) -> None:
    assert store.zones() == {}
    assert store.notices == []
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_whole_version_is_read_back(store: Store) -> None:
    nodes = nodes_of(1)
    zone = commit_full(store, nodes)
    assert content(store.path) == nodes
    assert (zone.name, zone.text, zone.kind, zone.apex_as_received) == (NAME, "example", "secondary", APEX)
    assert (zone.serial, zone.soa_rdata, zone.source, zone.timers) == (1, b"soa rdata 1", "192.0.2.1", TIMERS)
    assert (zone.records, zone.owners, zone.overlay_rows) == (10, 10, 0)
    assert zone.size == sum(len(key) + len(node) for key, node in nodes.items())


def test_writes_done_together_are_all_there_or_none(store: Store) -> None:
    first = commit_full(store, nodes_of(1))

    def fail() -> None:
        raise StoreError("on purpose")

    writes = [lambda: commit_changes(store, {b"": b"\x00soa 2"}), lambda: commit_changes(store, {b"": b"\x00soa 3"})]
    with pytest.raises(StoreError, match="purpose"):
        store.together([*writes, fail])
    assert store.zones() == {NAME: first}
    assert content(store.path) == nodes_of(1)
    with pytest.raises(StoreError, match="purpose"):
        store.together([lambda: store.remove(NAME), fail])
    assert store.zones() == {NAME: first}
    second, third = store.together(writes)
    assert third.generation == second.generation + 1 == first.generation + 2
    assert store.zones() == {NAME: third}
    with closing(reopened(store)) as again:
        assert again.zones() == {NAME: third}
        assert again.node(NAME, b"") == b"\x00soa 3"


def test_everything_is_there_after_a_restart(store: Store) -> None:
    commit_full(store, nodes_of(1))
    zone = commit_changes(store, {b"": b"\x00soa 2"})
    with closing(reopened(store)) as again:
        assert again.zones() == {NAME: zone}
        assert again.notices == []
        assert again.node(NAME, b"") == b"\x00soa 2"


def test_a_whole_version_replaces_all_of_the_one_before(store: Store) -> None:
    commit_full(store, nodes_of(1, 3000))
    commit_changes(store, {key("extra"): b"\x00extra", key("host00005"): None})
    commit_full(store, nodes_of(3, 5), 3)
    assert content(store.path) == nodes_of(3, 5)


def test_changes_replace_add_and_remove_owners(store: Store) -> None:
    nodes = nodes_of(1, 2000)
    before = commit_full(store, nodes)
    changes = {b"": b"\x00soa 2", key("host00003"): None, key("new"): b"\x00new", key("host01500"): b"\x00other"}
    zone = commit_changes(store, changes, records_delta=5)
    expected = {key: node for key, node in {**nodes, **changes}.items() if node is not None}
    assert content(store.path) == expected
    assert (zone.serial, zone.soa_rdata, zone.source) == (2, b"soa rdata 2", "192.0.2.1")
    assert (zone.records, zone.owners, zone.overlay_rows) == (before.records + 5, 2000, 4)
    assert zone.size == sum(len(key) + len(node) for key, node in expected.items())


def test_changes_may_come_from_another_primary(store: Store) -> None:
    held = commit_full(store, nodes_of(1))
    zone = store.commit_changes(
        NAME,
        {},
        base_generation=held.generation,
        serial=2,
        soa_rdata=b"",
        records_delta=0,
        timers=TIMERS,
        source="192.0.2.2",
    )
    assert zone.source == "192.0.2.2"


def test_changing_the_same_owner_again_counts_it_once(store: Store) -> None:
    commit_full(store, nodes_of(1))
    commit_changes(store, {key("www"): b"\x00first"})
    commit_changes(store, {key("www"): b"\x00second"}, 3)
    zone = commit_changes(store, {key("www"): None, key("never"): None}, 4)
    assert (zone.overlay_rows, zone.owners) == (1, 10)
    assert zone.size == sum(len(key) + len(node) for key, node in nodes_of(1).items())


def test_single_nodes_are_read_from_the_current_version(store: Store) -> None:
    nodes = nodes_of(1, 2000)
    commit_full(store, nodes)
    assert [store.node(NAME, each) for each in nodes] == list(nodes.values())
    commit_changes(store, {key("host00007"): b"\x00other", key("host00008"): None})
    assert store.node(NAME, key("host00007")) == b"\x00other"
    assert store.node(NAME, key("host00008")) is None
    assert store.node(NAME, key("host00009")) == nodes[key("host00009")]
    assert store.node(NAME, key("absent")) is None
    assert store.node(b"\x05other\x00", b"") is None


def test_chunks_kept_for_point_reads_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CACHED_CHUNKS", 2)
    nodes = nodes_of(1, 3000)
    commit_full(store, nodes)
    for each in list(nodes)[::100]:
        assert store.node(NAME, each) == nodes[each]
    assert len(store._chunks) == 2


def test_point_reads_follow_a_whole_new_version(store: Store) -> None:
    """The chunks kept from the version before are not read from."""
    for serial in (1, 2, 3):
        commit_full(store, nodes_of(serial), serial)
        assert store.node(NAME, key("host00001")) == nodes_of(serial)[key("host00001")]


def test_generations_grow_over_all_zones_and_never_come_back(store: Store) -> None:
    """Not after a removal, a restart or a quarantine: workers tell versions apart by them."""
    other = b"\x05other\x00"
    seen = [commit_full(store, nodes_of(1)).generation, commit_full(store, nodes_of(1), name=other).generation]
    seen.append(commit_changes(store, {}).generation)
    store.remove(NAME)
    store.remove(other)
    with closing(reopened(store)) as again:
        seen.append(commit_full(again, nodes_of(1)).generation)
        again.quarantine(NAME, NOW)
        seen.append(commit_full(again, nodes_of(1)).generation)
        again._start_over("a test", NOW, {})
        seen.append(commit_full(again, nodes_of(1)).generation)
    assert seen == sorted(set(seen))


def test_changes_to_another_generation_than_the_one_held_are_refused(store: Store) -> None:
    held = commit_full(store, nodes_of(1))
    commit_changes(store, {b"": b"\x00soa 2"})
    with pytest.raises(StoreError, match="stored at generation 2, the change is to 1"):
        store.commit_changes(
            NAME, {}, base_generation=held.generation, serial=3, soa_rdata=b"", records_delta=0, timers=TIMERS
        )
    assert store.node(NAME, b"") == b"\x00soa 2"


def test_changes_to_a_zone_that_is_not_held_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="has to be transferred whole"):
        store.commit_changes(NAME, {}, base_generation=0, serial=3, soa_rdata=b"", records_delta=0, timers=TIMERS)


def test_no_zone_is_left_without_an_apex(store: Store) -> None:
    with pytest.raises(StoreError, match="no records at its apex"):
        commit_full(store, {key("www"): b"\x00"})
    commit_full(store, nodes_of(1))
    with pytest.raises(StoreError, match="takes away the apex of zone example"):
        commit_changes(store, {b"": None})
    assert content(store.path) == nodes_of(1)


def test_timers_are_saved_for_many_zones_at_once(store: Store) -> None:
    other, never = b"\x05other\x00", ZoneTimers(1.0, 2.0, math.inf, math.inf)
    commit_full(store, nodes_of(1))
    commit_full(store, nodes_of(1), name=other)
    store.save_timers({NAME: never, other: TIMERS._replace(refresh_at=9.0), b"\x04gone\x00": never})
    with closing(reopened(store)) as again:
        zones = again.zones()
        assert zones[NAME].timers == never
        assert zones[other].refresh_at == 9.0
        assert zones.keys() == {NAME, other}
        assert content(again.path) == nodes_of(1)


def test_a_removed_zone_leaves_nothing_behind(store: Store) -> None:
    commit_full(store, nodes_of(1))
    commit_changes(store, {b"": b"\x00soa 2"})
    store.remove(NAME)
    store.remove(NAME)
    assert store.zones() == {}
    assert store.node(NAME, b"") is None
    assert content(store.path) is None
    store.close()
    with closing(sqlite3.connect(store.path)) as plain:
        for table in ("zone", "chunk", "overlay"):
            assert plain.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_compaction_is_due_when_the_overlay_is_a_large_share_of_the_zone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "COMPACT_ROWS", 20)
    nodes = nodes_of(1, 400)
    commit_full(store, nodes)
    assert not store.needs_compaction(NAME)
    keys = list(nodes)
    commit_changes(store, dict.fromkeys(keys[:50], b"\x00changed"))
    assert not store.needs_compaction(NAME)
    commit_changes(store, {keys[50]: b"\x00changed"})
    assert store.needs_compaction(NAME)
    assert not store.needs_compaction(b"\x05other\x00")


def test_compaction_changes_neither_content_nor_generation(store: Store) -> None:
    nodes = nodes_of(1, 1500)
    commit_full(store, nodes)
    changes = {each: None if number % 3 else b"\x00new" for number, each in enumerate(nodes) if each and number % 2}
    before = commit_changes(store, changes)
    expected = content(store.path)
    store.compact(NAME)
    after = store.zones()[NAME]
    assert after == before._replace(base_generation=before.generation, overlay_rows=0, overlay_sum=0)
    assert content(store.path) == expected
    assert all(store.node(NAME, each) == (expected or {}).get(each) for each in nodes)
    store.compact(NAME)
    assert store.zones()[NAME] == after
    with closing(reopened(store)) as again:
        assert again.zones() == {NAME: after}


def test_compacting_what_is_not_held_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="not in the store"):
        store.compact(NAME)


def test_a_long_journal_is_cut_short_after_a_large_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_file, "CHECKPOINT_AT", 1000)
    commit_full(store, nodes_of(1))
    assert store.path.with_name("state.db-wal").stat().st_size == 0
    with closing(StoreReader(store.path)) as reader:
        slices = reader.stream(NAME)
        next(slices)
        commit_full(store, nodes_of(2), 2)  # the reader needs the journal: it stays, the commit succeeds
        assert store.path.with_name("state.db-wal").stat().st_size > 1000
        slices.close()


def test_a_full_disk_refuses_the_commit_and_nothing_else(store: Store) -> None:
    """The version before stays, in memory and on disk, and the next commit works once there is room."""
    before = commit_full(store, nodes_of(1))
    pages = store._connected().execute("PRAGMA page_count").fetchone()[0]
    store._connected().execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=r"saving zone example failed: no space on .*state .*; free some") as raised:
        commit_full(store, nodes_of(2, 5000), 2)
    assert raised.value.fault is StoreFault.FULL
    with pytest.raises(StoreError, match="no space on"):
        commit_changes(store, {key(f"new{number}"): bytes(1000) for number in range(100)})
    assert store.zones() == {NAME: before}
    assert content(store.path) == nodes_of(1)
    store._connected().execute("PRAGMA max_page_count = 1000000")
    after = commit_full(store, nodes_of(2, 5000), 2)
    assert content(store.path) == nodes_of(2, 5000)
    assert after.generation > before.generation


FULL_DISK = """
import resource, sys
from pathlib import Path
from support.stored import NOW, commit_full, content, nodes_of
from nameserver.errors import StoreError
from nameserver.store.database import Store

store = Store.open(Path(sys.argv[1]), NOW)
commit_full(store, nodes_of(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    commit_full(store, nodes_of(2, 50_000), 2)
except StoreError as error:
    print(error)
assert content(store.path) == nodes_of(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
commit_full(store, nodes_of(3, 50_000), 3)
assert content(store.path) == nodes_of(3, 50_000)
store.close()
"""


def test_a_write_the_system_refuses_leaves_the_version_before(tmp_path: Path) -> None:
    """The same with a real write that fails: a process of its own under a limit on file sizes."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tests}:{tests.parent}"},
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert "saving zone example failed: the disk of" in done.stdout


def test_a_lock_held_by_another_program_is_reported(store: Store) -> None:
    commit_full(store, nodes_of(1))
    store._connected().execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"another program holds .* locked"):
            commit_changes(store, {b"": b"\x00soa 2"})
    assert commit_changes(store, {b"": b"\x00soa 2"}).serial == 2


def test_an_interrupted_commit_is_taken_back(store: Store) -> None:
    """Whatever goes wrong while the content is being written, errors of ours included."""
    commit_full(store, nodes_of(1))
    with pytest.raises(TypeError):
        commit_changes(store, {b"": b"\x00soa 2", key("www"): 5})  # type: ignore[dict-item]
    assert content(store.path) == nodes_of(1)
    assert commit_changes(store, {b"": b"\x00soa 2"}).serial == 2


def test_a_closed_store_says_so(store: Store) -> None:
    commit_full(store, nodes_of(1))
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        commit_full(store, nodes_of(2), 2)
    with pytest.raises(StoreError, match="is closed"):
        store.node(NAME, b"")


def test_a_directory_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made: "):
        Store.open(tmp_path / "file" / "state", NOW)


def test_a_file_system_without_shared_memory_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems: SQLite then stays in another journal mode, in which readers block the writer."""
    connect = state_file.connect

    class Connection:
        def __init__(self, path: Path, *, read_only: bool) -> None:
            self._real = connect(path, read_only=read_only)

        def execute(self, statement: str, *args: object) -> object:
            replaced = statement.replace("journal_mode = WAL", "journal_mode = DELETE")
            return self._real.execute(replaced, *args)  # type: ignore[arg-type]

        def close(self) -> None:
            self._real.close()

    monkeypatch.setattr(state_file, "connect", Connection)
    with pytest.raises(StoreError, match="shared memory"):
        Store.open(tmp_path, NOW)
    monkeypatch.undo()
    Store.open(tmp_path, NOW).close()


def test_damage_met_by_a_point_read_names_the_zone(store: Store) -> None:
    commit_full(store, nodes_of(1))
    commit_changes(store, {key("www"): b"\x00www"})
    store._connected().execute("UPDATE overlay SET node = x'00'")
    with pytest.raises(StoreDamaged, match="stored zone example is damaged: a changed owner"):
        store.node(NAME, key("www"))
    store._connected().execute("UPDATE chunk SET data = x'00000000'")
    store._chunks.clear()
    with pytest.raises(StoreDamaged, match="stored zone example is damaged: a chunk"):
        store.node(NAME, b"")
    with pytest.raises(StoreDamaged, match="stored zone example is damaged"):
        commit_changes(store, {b"": b"\x00soa 3"}, 3)
