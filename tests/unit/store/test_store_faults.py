"""The disk under a store that is open: full, failing, read-only, taken away. Real disks where they can be mounted."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.disks import FailingDisk, SmallDisk, as_nobody, failing_disk, small_disk
from support.stored import NAME, NOW, TIMERS, commit_changes, commit_full, content, key, nodes_of

from nameserver.errors import StoreError, StoreFault, StoreLocked
from nameserver.store import disk, state_file
from nameserver.store.database import Store
from nameserver.store.reader import StoreReader

OTHER = b"\x05other\x00"


@pytest.fixture
def small() -> Iterator[SmallDisk]:
    with small_disk() as disk:
        yield disk


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingDisk]:
    """Where every commit is followed by a checkpoint, and so by a flush."""
    monkeypatch.setattr(state_file, "CHECKPOINT_AT", 1)
    with failing_disk() as disk:
        yield disk


def two_zones(state: Path) -> Store:
    store = Store.open(state, NOW)
    commit_full(store, nodes_of(1, 1000))
    commit_full(store, nodes_of(7), 7, name=OTHER, text="other")
    return store


# --- full ------------------------------------------------------------------------------------------------------------


def test_on_a_full_disk_what_is_held_stays_and_what_is_new_is_refused_until_there_is_room(small: SmallDisk) -> None:
    with closing(two_zones(small.path / "state")) as store:
        before = store.zones()
        for attempt in (
            lambda: commit_full(store, nodes_of(2, 1000), 2),
            lambda: commit_changes(store, {b"": b"\x00soa 2"}),
            lambda: store.save_timers({NAME: TIMERS._replace(refresh_at=9.0)}),
            lambda: store.remove(NAME),
            lambda: store.quarantine(NAME, NOW),
            store.probe,
        ):
            small.fill()  # what the journal had taken may have been given back
            with pytest.raises(StoreError, match=rf"no space on {small.path}/state \(none\); free some") as raised:
                attempt()
            assert raised.value.fault is StoreFault.FULL
        assert store.zones() == before and store.take_dropped() == set()
        assert content(store.path) == nodes_of(1, 1000)
        assert content(store.path, OTHER) == nodes_of(7)
        assert store.node(NAME, b"") == b"\x00soa 1"
        small.empty()
        store.probe()
        commit_changes(store, {b"": b"\x00soa 2"})
        commit_full(store, nodes_of(3, 1000), 3)
        assert content(store.path) == nodes_of(3, 1000)


def test_a_version_that_does_not_fit_is_not_begun(small: SmallDisk) -> None:
    with closing(two_zones(small.path / "state")) as store:
        before = small.free
        with pytest.raises(StoreError, match=r"no space on .* \(\d,\d\d\d,\d\d\d bytes are needed\)"):
            commit_full(store, nodes_of(2, 200_000), 2)
        assert small.free == before


def test_a_version_that_did_not_fit_gives_back_what_it_took(small: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote on its way would keep everybody else from writing. As under a quota, which free space tells not."""
    monkeypatch.setattr(disk, "free", lambda _directory: 1 << 40)
    with closing(two_zones(small.path / "state")) as store:
        with pytest.raises(StoreError, match="no space"):
            commit_full(store, nodes_of(2, 200_000), 2)
        assert small.free > 3 << 20
        commit_changes(store, {b"": b"\x00soa 2"})


def test_room_is_asked_for_before_it_is_needed(small: SmallDisk) -> None:
    with closing(two_zones(small.path / "state")) as store:
        store.probe(small.free - 65536)
        with pytest.raises(StoreError, match="no space on") as raised:
            store.probe(small.free + 1)
        assert raised.value.fault is StoreFault.FULL


@pytest.mark.parametrize("end", ["orderly", "killed"])
def test_a_start_on_a_full_disk_serves_what_is_stored(small: SmallDisk, end: str, tmp_path: Path) -> None:
    """Even to be read, the database takes some room beside it."""
    state = small.path / "state"
    store = two_zones(state)
    if end == "killed":
        shutil.copytree(state, tmp_path / "copy")
    store.close()
    if end == "killed":
        shutil.rmtree(state)
        shutil.copytree(tmp_path / "copy", state)
    assert (state / "reserve").stat().st_size == state_file.RESERVE
    small.fill()
    with closing(Store.open(state, NOW)) as store:
        assert store.notices == []
        assert store.zones().keys() == {NAME, OTHER}
        with closing(StoreReader(store.path)) as reader:
            assert {key for items in reader.stream(NAME) for key, _ in items} == nodes_of(1, 1000).keys()
        small.empty()
        store.probe()
        assert (state / "reserve").exists(), "for the next time"


def test_damage_on_a_full_disk_changes_nothing_until_there_is_room(small: SmallDisk) -> None:
    with closing(two_zones(small.path / "state")) as store:
        store.probe()
        with closing(sqlite3.connect(store.path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with store.path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * 4096)  # the page of the table "meta": what is left is every zone
        small.fill()
        with pytest.raises(StoreError, match="no space on"):
            store.quarantine(OTHER, NOW)
        assert store.zones().keys() == {NAME, OTHER} and store.take_dropped() == set()
        small.empty()
        store.quarantine(OTHER, NOW)
        assert store.take_dropped() == {OTHER}
        assert store.notices[-1].endswith("1 zone saved from it, 1 fetched again: other")
        assert content(store.path) == nodes_of(1, 1000)


# --- failing ---------------------------------------------------------------------------------------------------------


def test_after_a_flush_that_failed_everything_is_read_again_before_anything_is_written(failing: FailingDisk) -> None:
    with closing(two_zones(failing.path / "state")) as store:
        assert store.take_trouble() is None
        failing.fail()
        acknowledged, refused = 1, []
        for serial in range(2, 8):
            try:
                commit_full(store, nodes_of(serial, 1000), serial)
                acknowledged = serial
            except StoreError as error:
                refused.append(error)
            trouble = store.take_trouble()
            refused += [trouble] if trouble else []
        assert {error.fault for error in refused} == {StoreFault.IO}
        assert all(str(failing.path) in str(error) for error in refused)
        assert store._doubt
        assert store.zones()[NAME].serial == acknowledged
        assert content(store.path) == nodes_of(acknowledged, 1000)
        failing.mend()
        commit_full(store, nodes_of(8, 1000), 8)
        assert not store._doubt and store.take_trouble() is None
        assert store.notices == [] and store.take_dropped() == set()
    with closing(Store.open(failing.path / "state", NOW)) as store:
        assert store.notices == []
        assert content(store.path) == nodes_of(8, 1000)
        assert content(store.path, OTHER) == nodes_of(7)


def test_what_a_failing_disk_has_lost_is_found_when_it_works_again(tmp_path: Path) -> None:
    """A page that never got there; the flush that was to bring it there said so, and later ones did not."""
    with closing(two_zones(tmp_path / "state")) as store:
        with closing(sqlite3.connect(store.path)) as other:
            other.execute("UPDATE chunk SET data = zeroblob(10) WHERE zone = ?", (store.zones()[OTHER].id,))
            other.commit()
        store._doubt = True
        commit_changes(store, {b"": b"\x00soa 2"})
        assert store.take_dropped() == {OTHER}
        assert store.zones().keys() == {NAME}
        assert "zone other is not as it was stored" in store.notices[0]
        assert store.notices[0].endswith("1 zone saved from it, 1 fetched again: other")


def test_a_disk_that_turned_read_only_is_said_to_be_so_and_what_is_held_can_be_read(failing: FailingDisk) -> None:
    with closing(two_zones(failing.path / "state")) as store:
        failing.turn_read_only()
        for _ in range(2):
            with pytest.raises(StoreError, match=r"\(/dev/loop.*\) is read-only") as raised:
                commit_changes(store, {b"": b"\x00soa 2"})
            assert raised.value.fault is StoreFault.READ_ONLY
        assert store.zones()[NAME].serial == 1
        assert content(store.path) == nodes_of(1, 1000)
    with pytest.raises(StoreError, match=r"read-only|Read-only"):
        Store.open(failing.path / "state", NOW)


# --- taken away ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["directory", "database", "journal", "index", "all three"])
def test_what_is_removed_while_it_is_open_is_written_anew_from_what_is_still_open(tmp_path: Path, what: str) -> None:
    state = tmp_path / "state"
    with closing(two_zones(state)) as store:
        names = {"database": ["state.db"], "journal": ["state.db-wal"], "index": ["state.db-shm"]}
        before = store.zones()
        if what == "directory":
            shutil.rmtree(state)
        else:
            for name in names.get(what, ["state.db", "state.db-wal", "state.db-shm"]):
                (state / name).unlink()
        after = commit_changes(store, {b"": b"\x00soa 2"})
        assert after.generation > max(zone.generation for zone in before.values())
        assert store.zones() == {NAME: after, OTHER: before[OTHER]}
        assert store.take_dropped() == set()
        assert "was removed or replaced while it was in use: written anew with 2 of 2 zones" in store.notices[0]
        assert content(store.path) == {**nodes_of(1, 1000), b"": b"\x00soa 2"}
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
        with pytest.raises(StoreLocked):
            Store.open(state, NOW)
        commit_changes(store, {b"": b"\x00soa 3"}, 3)
    with closing(Store.open(state, NOW)) as store:
        assert store.notices == []
        assert store.zones()[NAME].serial == 3


def test_a_database_that_takes_the_place_of_the_open_one_is_moved_aside(tmp_path: Path) -> None:
    """A backup that somebody has put back without stopping us."""
    with closing(two_zones(tmp_path / "state")) as store:
        with closing(Store.open(tmp_path / "backup", NOW)) as backup:
            commit_full(backup, nodes_of(5), 5)
        for name in ("state.db-wal", "state.db-shm"):
            (tmp_path / "state" / name).unlink()
        shutil.copy(tmp_path / "backup" / "state.db", tmp_path / "state" / "new")
        (tmp_path / "state" / "new").rename(store.path)
        commit_changes(store, {b"": b"\x00soa 2"})
        assert content(store.path) == {**nodes_of(1, 1000), b"": b"\x00soa 2"}
        (aside,) = tmp_path.glob("state/state.db.damaged-*")
        assert f"What was found there is now {aside.name}." in store.notices[0]
        assert content(aside) == nodes_of(5)


def test_a_directory_that_cannot_be_made_again_is_said_to_be_gone_and_made_once_it_can_be(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with closing(two_zones(state)) as store:
        shutil.rmtree(state)
        state.write_text("in the way")
        with pytest.raises(StoreError, match=r"the state directory .* cannot be made"):
            commit_changes(store, {b"": b"\x00soa 2"})
        assert store.zones().keys() == {NAME, OTHER}
        state.unlink()
        commit_changes(store, {b"": b"\x00soa 2"})
        assert content(store.path, OTHER) == nodes_of(7)


def test_what_was_removed_is_written_anew_at_the_latest_at_the_end(tmp_path: Path) -> None:
    store = two_zones(tmp_path / "state")
    shutil.rmtree(tmp_path / "state")
    store.close()
    with closing(Store.open(tmp_path / "state", NOW)) as store:
        assert store.zones().keys() == {NAME, OTHER}


def test_a_directory_that_another_instance_has_made_its_own_is_left_to_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    store = two_zones(state)
    shutil.rmtree(state)
    with closing(Store.open(state, NOW)) as second:
        commit_full(second, nodes_of(9), 9)
        files = {each.name: each.read_bytes() for each in state.iterdir()}
        with pytest.raises(StoreLocked, match="in use by process"):
            commit_changes(store, {b"": b"\x00soa 2"})
        store.close()
        assert {each.name: each.read_bytes() for each in state.iterdir()} == files
        commit_changes(second, {b"": b"\x00soa 10"}, 10)
        assert content(second.path) == {**nodes_of(9), b"": b"\x00soa 10"}


# --- not ours --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["file of another", "lock of another", "directory of another"])
def test_what_another_user_owns_is_refused_with_its_name_and_left_as_it_is(what: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    two_zones(state).close()
    for directory in (tmp_path, *tmp_path.parents[:3]):
        if not directory.stat().st_mode & 0o001:
            directory.chmod(directory.stat().st_mode | 0o711)
    if what != "directory of another":
        state.chmod(0o777)
        (state / "lock").chmod(0o600 if what.startswith("lock") else 0o666)
    before = (state / "state.db").read_bytes()

    def open_it() -> str:
        try:
            Store.open(state, NOW).close()
        except StoreError as error:
            return str(error)
        return "opened"

    said = as_nobody(open_it)
    name = {"file of another": "state.db", "lock of another": "lock", "directory of another": "lock"}[what]
    assert f"{state}/{name} cannot be " in said and "Permission denied; check " in said
    assert (state / "state.db").read_bytes() == before


def test_a_state_directory_that_is_a_link_is_used_where_it_leads(tmp_path: Path) -> None:
    """Operators put the state on another disk so. What lies in the directory may not be a link."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    two_zones(tmp_path / "link").close()
    with closing(Store.open(tmp_path / "real", NOW)) as store:
        assert store.zones().keys() == {NAME, OTHER}
        with pytest.raises(StoreLocked):
            Store.open(tmp_path / "link", NOW)


@pytest.mark.parametrize("name", ["state.db-wal", "state.db-shm", "state.db.new"])
def test_a_link_beside_the_database_is_not_written_through(tmp_path: Path, name: str) -> None:
    two_zones(tmp_path / "state").close()
    target = tmp_path / "target"
    target.write_bytes(b"somebody's")
    (tmp_path / "state" / name).symlink_to(target)
    try:
        with closing(Store.open(tmp_path / "state", NOW)) as store:
            commit_changes(store, {key("www"): b"\x00www"})
    except StoreError as error:
        assert "cannot be opened" in str(error)
    assert target.read_bytes() == b"somebody's"
    assert os.stat(target).st_size == 10
