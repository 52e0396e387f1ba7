"""Damage: a start never fails because of it, and never serves what it did to the data."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.stored import NAME, NOW, commit_changes, commit_full, content, key, nodes_of

from nameserver.errors import StoreDamaged, StoreError
from nameserver.store import damage
from nameserver.store.database import Store
from nameserver.store.reader import StoreReader

OTHER = b"\x05other\x00"


def make(state: Path) -> Path:
    """A closed store with two zones; its path."""
    store = Store.open(state, NOW)
    commit_full(store, nodes_of(1, 2000))
    commit_changes(store, {b"": b"\x00soa 2", key("new"): b"\x00new"})
    commit_full(store, nodes_of(7), 7, name=OTHER, text="other")
    store.close()
    return store.path


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)


def garbage_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:8192] = b"\xa5" * 4096
    path.write_bytes(data)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_in_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE zone (name TEXT)")


def foreign_and_marked(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 12345")


def version_zero(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 0")


def version_of_a_flipped_bit(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 3")


def without_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE zone")


def without_meta(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE meta")


def without_counter(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM meta WHERE key = 'generation'")
        other.commit()


def journal_only(path: Path) -> None:
    path.rename(path.with_name("state.db-wal"))


@pytest.mark.parametrize(
    "break_it", [garbage, cut_in_half, cut_in_header, foreign, foreign_and_marked, without_table, journal_only]
)
def test_a_database_of_which_nothing_can_be_read_is_moved_aside_and_started_afresh(
    tmp_path: Path, break_it: Callable[[Path], None]
) -> None:
    path = make(tmp_path)
    break_it(path)
    with closing(Store.open(tmp_path, NOW)) as store:
        assert store.zones() == {}
        assert len(store.notices) == 1
        aside = "state.db.damaged-20260101T000000Z"
        assert f"is now {aside}: the store starts empty, all zones are fetched again" in store.notices[0]
        assert [each.name for each in tmp_path.iterdir() if each.name.startswith(aside)]
        commit_full(store, nodes_of(3), 3)
    with closing(Store.open(tmp_path, NOW)) as store:
        assert store.notices == []
        assert content(store.path) == nodes_of(3)


@pytest.mark.parametrize(
    "break_it", [garbage_page, version_zero, version_of_a_flipped_bit, without_meta, without_counter]
)
def test_of_a_database_that_cannot_be_used_every_whole_zone_is_saved(
    tmp_path: Path, break_it: Callable[[Path], None]
) -> None:
    path = make(tmp_path)
    with closing(Store.open(tmp_path, NOW)) as store:
        before, whole = store.zones(), content(path)
    break_it(path)
    with closing(Store.open(tmp_path, NOW)) as store:
        assert store.zones() == before
        assert content(path) == whole
        aside = "state.db.damaged-20260101T000000Z"
        assert f"is now {aside}: 2 zones saved from it, none lost" in store.notices[0]
        assert (tmp_path / aside).exists()
        assert commit_full(store, nodes_of(3), 3).generation > max(zone.generation for zone in before.values())
    with closing(Store.open(tmp_path, NOW)) as store:
        assert store.notices == []
        assert content(store.path) == nodes_of(3)
        assert content(store.path, OTHER) == nodes_of(7)


def test_the_journal_and_index_go_aside_with_their_database(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state", NOW)
    commit_full(store, nodes_of(1))
    shutil.copytree(store.path.parent, tmp_path / "copy")
    store.close()
    garbage(tmp_path / "copy" / "state.db")
    Store.open(tmp_path / "copy", NOW).close()
    names = {each.name for each in (tmp_path / "copy").iterdir()}
    aside = "state.db.damaged-20260101T000000Z"
    assert names == {"lock", "reserve", "state.db", aside, f"{aside}-wal", f"{aside}-shm"}


def test_damage_again_and_again_neither_overwrites_nor_piles_up_copies(tmp_path: Path) -> None:
    for round_number in range(6):
        path = make(tmp_path)
        path.write_bytes(b"garbage %d" % round_number)
        Store.open(tmp_path, NOW + round_number // 2).close()
    copies = sorted(each for each in tmp_path.iterdir() if ".damaged-" in each.name)
    assert [each.read_bytes() for each in copies] == [b"garbage 3", b"garbage 4", b"garbage 5"]


def test_a_newer_releases_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = make(tmp_path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 3")
        other.execute("UPDATE meta SET value = 3 WHERE key = 'format'")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer release \(format 3; this one reads 2\): run that release") as raised:
        Store.open(tmp_path, NOW)
    assert not isinstance(raised.value, StoreDamaged)
    assert path.read_bytes() == before
    assert not [each for each in tmp_path.iterdir() if "damaged" in each.name]


@pytest.mark.parametrize("content_of_file", [b"", None])
def test_a_start_killed_before_it_made_its_tables_is_no_damage(tmp_path: Path, content_of_file: bytes | None) -> None:
    path = tmp_path / "state.db"
    if content_of_file is None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA journal_mode = WAL")
    else:
        path.write_bytes(content_of_file)
    with closing(Store.open(tmp_path, NOW)) as store:
        assert store.notices == []
        commit_full(store, nodes_of(1))


def test_something_that_is_no_file_is_reported_not_moved(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StoreError, match=r"state\.db cannot be read: Is a directory"):
        Store.open(tmp_path, NOW)
    Store.open(tmp_path / "again", NOW).close()


@pytest.mark.parametrize("leads_to", ["nowhere", "another", "device"])
def test_a_link_is_not_followed(tmp_path: Path, leads_to: str) -> None:
    """What it leads to is somebody else's to give, and where the journal would go is not what it looks like."""
    target = {"nowhere": tmp_path / "none", "another": make(tmp_path / "other"), "device": Path("/dev/null")}[leads_to]
    (tmp_path / "state.db").symlink_to(target)
    with pytest.raises(StoreError, match=r"state\.db is a symbolic link: put the database itself there"):
        Store.open(tmp_path, NOW)
    assert (tmp_path / "state.db").readlink() == target
    assert {each.name for each in tmp_path.iterdir()} <= {"state.db", "lock", "other"}


@pytest.mark.parametrize("keep", range(0, 60_000, 1777))
def test_a_torn_journal_gives_an_earlier_version_whole(tmp_path: Path, keep: int) -> None:
    store = Store.open(tmp_path / "state", NOW)
    versions = [None, nodes_of(1, 300)]
    commit_full(store, nodes_of(1, 300))
    for serial in (2, 3):
        commit_changes(store, {b"": b"\x00soa %d" % serial, key("new"): b"\x00%d" % serial}, serial)
        versions.append(content(store.path))
    shutil.copytree(store.path.parent, tmp_path / "copy")
    store.close()
    journal = tmp_path / "copy" / "state.db-wal"
    assert journal.stat().st_size > 50_000
    journal.write_bytes(journal.read_bytes()[:keep])
    with closing(Store.open(tmp_path / "copy", NOW)) as torn:
        assert torn.notices == []
        assert content(torn.path) in versions
        commit_full(torn, nodes_of(9), 9)
        assert content(torn.path) == nodes_of(9)


def load_or_drop(store: Store) -> dict[bytes, dict[bytes, bytes]]:
    """What a start does: load every zone, dropping those that turn out damaged."""
    loaded: dict[bytes, dict[bytes, bytes]] = {}
    with closing(StoreReader(store.path)) as reader:
        for name in store.zones():
            try:
                loaded[name] = {key: node for items in reader.stream(name) for key, node in items}
            except StoreDamaged:
                store.quarantine(name, NOW)
                for dropped in store.take_dropped():
                    loaded.pop(dropped, None)
            except StoreError:
                assert name not in store.zones()
    return loaded


def test_flipped_bits_never_change_what_is_served(tmp_path: Path) -> None:
    """Wherever they are: a zone is served exactly as it was, or dropped to be fetched again."""
    good = make(tmp_path / "good").read_bytes()
    whole = {NAME: content(tmp_path / "good" / "state.db"), OTHER: nodes_of(7)}
    chance = random.Random(20260101)
    survived = dropped = 0
    for round_number in range(60):
        state = tmp_path / f"flip{round_number}"
        state.mkdir()
        data = bytearray(good)
        for _ in range(chance.choice((1, 1, 8))):
            # Half of them where SQLite's own structures are: the start of a page.
            page = chance.randrange(len(data) // 4096) * 4096
            data[page + chance.randrange(chance.choice((64, 4096)))] ^= 1 << chance.randrange(8)
        (state / "state.db").write_bytes(data)
        with closing(Store.open(state, NOW)) as store:
            found = load_or_drop(store)
            assert all(whole[name] == nodes for name, nodes in found.items())
            assert store.zones().keys() == found.keys()
            assert len(found) == 2 or store.notices
            survived, dropped = survived + len(found), dropped + 2 - len(found)
            commit_full(store, nodes_of(3), 3)
            assert content(store.path) == nodes_of(3)
        shutil.rmtree(state)
    assert survived
    assert dropped


def test_a_wrong_byte_in_the_header_never_stops_a_start(tmp_path: Path) -> None:
    good = make(tmp_path / "good").read_bytes()
    chance = random.Random(20260102)
    for offset in range(100):
        state = tmp_path / f"byte{offset}"
        state.mkdir()
        data = bytearray(good)
        data[offset] ^= chance.choice((1, 2, 4, 8, 16, 32, 64, 128, 255))
        (state / "state.db").write_bytes(data)
        with closing(Store.open(state, NOW)) as store:
            commit_full(store, nodes_of(3), 3)
            assert content(store.path) == nodes_of(3)
        shutil.rmtree(state)


def test_damage_met_while_running_is_reported_and_leads_to_a_fresh_store(tmp_path: Path) -> None:
    """Pages overwritten beneath an open store: reading raises, and quarantine gets out of it by itself."""
    path = make(tmp_path)
    with closing(Store.open(tmp_path, NOW)) as store:
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (path.stat().st_size - 4096))
        with closing(StoreReader(path)) as reader, pytest.raises(StoreDamaged, match=r"state\.db is damaged"):
            list(reader.stream(NAME))
        store._connected().execute("PRAGMA shrink_memory")
        with pytest.raises(StoreDamaged, match=r"reading zone example failed: .* is damaged"):
            store.node(NAME, key("host01999"))
        with pytest.raises(StoreDamaged, match=r"saving zone example failed: .* is damaged"):
            commit_full(store, nodes_of(3, 3000), 3)
        store.quarantine(NAME, NOW)
        assert store.take_dropped() == {NAME, OTHER}
        commit_full(store, nodes_of(3), 3)
        assert content(path) == nodes_of(3)


def test_a_damaged_row_drops_its_zone_only(tmp_path: Path) -> None:
    path = make(tmp_path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE zone SET expires_at = 1e300 WHERE name = ?", (NAME,))
        other.commit()
    with closing(Store.open(tmp_path, NOW)) as store:
        assert store.zones().keys() == {OTHER}
        copy = "zone.damaged-20260101T000000Z-example"
        assert store.notices == [
            f"the stored row of zone example was damaged; it is fetched again; a copy is in {copy}"
        ]
        assert content(path) is None
        assert content(path, OTHER) == nodes_of(7)
    with closing(sqlite3.connect(tmp_path / copy)) as kept:
        assert kept.execute("SELECT count(*) FROM chunk").fetchone() == (4,)
        assert kept.execute("SELECT count(*) FROM overlay").fetchone() == (2,)


@pytest.mark.parametrize("what", ["names", "ids of chunks"])
def test_what_is_one_zones_is_never_taken_for_anothers(tmp_path: Path, what: str) -> None:
    """F53: whole and sound, but under the name of another zone."""
    path = make(tmp_path)
    with closing(sqlite3.connect(path)) as other:
        table, column, places = "zone", "name", (NAME, b"aside", OTHER)
        if what != "names":
            ids = dict(other.execute("SELECT name, id FROM zone").fetchall())
            table, column, places = "chunk", "zone", (ids[NAME], -1, ids[OTHER])
        for old, new in ((0, 1), (2, 0), (1, 2)):
            other.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (places[new], places[old]))
        other.commit()
    with closing(Store.open(tmp_path, NOW)) as store:
        if what == "names":
            assert store.zones() == {} and len(store.notices) == 2
            assert content(path) is None and content(path, OTHER) is None
        else:
            for zone in (NAME, OTHER):
                with pytest.raises(StoreDamaged, match=r"zone (example|other)"):
                    content(path, zone)


def test_quarantine_drops_one_zone_and_keeps_a_copy(tmp_path: Path) -> None:
    make(tmp_path)
    with closing(Store.open(tmp_path, NOW)) as store:
        store.quarantine(NAME, NOW)
        assert store.take_dropped() == {NAME}
        store.quarantine(NAME, NOW)
        assert store.take_dropped() == set()
        assert store.zones().keys() == {OTHER}
        assert store.notices == [
            "stored zone example was damaged and is fetched again; a copy is in zone.damaged-20260101T000000Z-example"
        ]
        commit_full(store, nodes_of(3), 3)
        assert content(store.path) == nodes_of(3)


def test_quarantine_goes_on_without_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(directory: Path, prefix: str) -> None:
        raise OSError(28, "No space left on device")

    make(tmp_path)
    monkeypatch.setattr(damage, "prune", fail)
    with closing(Store.open(tmp_path, NOW)) as store:
        store.quarantine(NAME, NOW)
        assert store.take_dropped() == {NAME}
        assert "a copy could not be kept" in store.notices[0]
        assert not list(tmp_path.glob("zone.damaged*"))


def test_damage_that_keeps_a_zone_from_being_dropped_replaces_the_database_and_saves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    with closing(Store.open(tmp_path, NOW)) as store:
        last = max(zone.generation for zone in store.zones().values())

        def fail(name: bytes) -> None:
            raise StoreDamaged("database disk image is malformed")

        monkeypatch.setattr(store, "remove", fail)
        store.quarantine(NAME, NOW)
        assert store.take_dropped() == {NAME}
        assert store.zones().keys() == {OTHER}
        assert "database disk image is malformed" in store.notices[0]
        assert store.notices[0].endswith("1 zone saved from it, 1 fetched again: example")
        assert content(store.path, OTHER) == nodes_of(7)
        assert commit_full(store, nodes_of(3)).generation > last


def test_a_copy_that_cannot_be_moved_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    garbage(make(tmp_path))
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StoreError, match="cannot be moved aside: Permission denied; remove it by hand"):
        Store.open(tmp_path, NOW)


def test_a_disk_that_cannot_be_read_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def execute(self, statement: str) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

        def close(self) -> None:
            pass

    path = make(tmp_path)
    before = path.read_bytes()
    with pytest.raises(sqlite3.OperationalError, match="disk I/O"):
        damage.check_integrity(Failing())  # type: ignore[arg-type]
    monkeypatch.setattr(damage, "connect", lambda path, read_only: Failing())
    with pytest.raises(StoreError, match="opening the store failed: the disk of") as raised:
        Store.open(tmp_path, NOW)
    assert not isinstance(raised.value, StoreDamaged)
    assert path.read_bytes() == before
