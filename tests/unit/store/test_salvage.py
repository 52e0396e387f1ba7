"""What is saved of a damaged database: every zone that is whole, and nothing else."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.stored import NOW, commit_changes, commit_full, content, key, nodes_of

from nameserver.store import salvage
from nameserver.store.database import Store
from nameserver.store.schema import connect

NAMES = [bytes((len(text),)) + text.encode() + b"\x00" for text in (f"zone{number:02}" for number in range(60))]
PAGE = 4096


def make(state: Path) -> tuple[Path, dict[bytes, dict[bytes, bytes]]]:
    """A closed store of sixty zones, some with an overlay; what each holds."""
    with closing(Store.open(state, NOW)) as store:
        for number, name in enumerate(NAMES):
            commit_full(store, nodes_of(number, 200), number, name=name, text=f"zone{number:02}")
        for number, name in enumerate(NAMES[::3]):
            changes = {b"": b"\x00soa again %d" % number, key("new"): b"\x00new %d" % number, key("host00007"): None}
            commit_changes(store, changes, 1000 + number, name=name)
        path = store.path
        whole = {name: content(path, name) or {} for name in NAMES}
    return path, whole


def pages_of(path: Path, wanted: Callable[[bytes], bool]) -> list[int]:
    data = path.read_bytes()
    return [at for at in range(0, len(data), PAGE) if wanted(data[at : at + PAGE])]


def spoil(path: Path, at: int) -> None:
    """Make a page unreadable for SQLite, not only different."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * PAGE)


def check(path: Path, whole: dict[bytes, dict[bytes, bytes]]) -> tuple[int, str]:
    """Open the damaged store; how many zones it has, and what it said. What it has must be right, and stay."""
    with closing(Store.open(path.parent, NOW)) as store:
        kept = store.zones()
        (notice,) = store.notices
        assert all(content(path, name) == whole[name] for name in kept)
        commit_changes(store, {key("after"): b"\x00after"}, 2000, name=next(iter(kept)))
    with closing(Store.open(path.parent, NOW)) as store:
        assert store.notices == [] and store.zones().keys() == kept.keys()
    return len(kept), notice


def test_an_unreadable_page_of_content_costs_the_zone_it_belongs_to(tmp_path: Path) -> None:
    path, whole = make(tmp_path)
    at = pages_of(path, lambda page: b"node 100 17" in page and page[0] not in (2, 5))[0]
    spoil(path, at)
    kept, notice = check(path, whole)
    assert kept == len(NAMES) - 1
    assert "59 zones saved from it, 1 fetched again: zone17" in notice


def test_an_unreadable_page_of_rows_costs_the_zones_in_it(tmp_path: Path) -> None:
    """Their names are known all the same, from the index over names."""
    path, whole = make(tmp_path)
    at = pages_of(path, lambda page: page[0] == 13 and b"secondary" in page)[0]
    lost = path.read_bytes()[at : at + PAGE].count(b"secondary")
    spoil(path, at)
    kept, notice = check(path, whole)
    assert 0 < lost < len(NAMES)
    assert (kept, f"{lost} fetched again: zone" in notice) == (len(NAMES) - lost, True)


def test_an_unreadable_index_over_names_costs_nothing(tmp_path: Path) -> None:
    path, whole = make(tmp_path)
    at = pages_of(path, lambda page: page[0] == 10 and page.count(b"\x06zone") == len(NAMES))[0]
    spoil(path, at)
    kept, notice = check(path, whole)
    assert kept == len(NAMES) and "60 zones saved from it, none lost" in notice


def test_a_new_database_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    path, whole = make(tmp_path)
    (tmp_path / "state.db.new").write_bytes(b"half of it")
    with closing(Store.open(tmp_path, NOW)) as store:
        assert store.notices == [] and len(store.zones()) == len(NAMES)
    assert not (tmp_path / "state.db.new").exists()
    assert content(path, NAMES[3]) == whole[NAMES[3]]


def test_a_new_database_that_was_finished_takes_its_place_at_the_next_start(tmp_path: Path) -> None:
    """The process was killed between moving the old one aside and moving the new one in."""
    path, whole = make(tmp_path)
    path.rename(tmp_path / "state.db.new")
    (tmp_path / "state.db-wal").write_bytes(b"of the old one")
    with closing(Store.open(tmp_path, NOW)) as store:
        assert store.notices == [] and len(store.zones()) == len(NAMES)
        assert content(path, NAMES[3]) == whole[NAMES[3]]
    assert not (tmp_path / "state.db.new").exists()


@pytest.mark.parametrize("moment", ["reading", "again"])
def test_content_that_cannot_be_read_any_more_while_it_is_copied_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A disk that gives a page once and not a second time."""

    class Cursor:
        def __init__(self, real: sqlite3.Cursor) -> None:
            self._real, self._batches = real, 0

        def fetchmany(self, size: int) -> list[object]:
            self._batches += 1
            if moment == "reading" or self._batches > 1:
                raise sqlite3.OperationalError("disk I/O error")
            return self._real.fetchmany(2)

    class Source:
        def __init__(self, real: sqlite3.Connection) -> None:
            self._real = real

        def execute(self, statement: str, values: tuple[object, ...] = ()) -> object:
            found = self._real.execute(statement, values)
            return Cursor(found) if statement.startswith("SELECT zone, first_key") else found

    path, _ = make(tmp_path)
    with closing(connect(path, read_only=True)) as real:
        saved = salvage.rebuild(Source(real), path, tmp_path / "new", 77, None)  # type: ignore[arg-type]
    assert saved.zones == {} and len(saved.lost) == len(NAMES)
    with closing(sqlite3.connect(tmp_path / "new")) as made:
        assert made.execute("SELECT count(*) FROM chunk").fetchone() == (0,)
        assert made.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone() == (77,)


def test_only_what_is_wanted_is_saved_and_only_in_the_version_wanted(tmp_path: Path) -> None:
    path, _ = make(tmp_path)
    with closing(Store.open(tmp_path, NOW)) as store:
        rows = store.zones()
        commit_changes(store, {key("later"): b"\x00later"}, 5000, name=NAMES[1])
        with closing(connect(path, read_only=True)) as source:
            wanted = {name: rows[name] for name in NAMES[:3]}
            saved = salvage.rebuild(source, path, tmp_path / "new", 0, wanted)
    assert saved.zones == {name: rows[name] for name in (NAMES[0], NAMES[2])}
    assert saved.lost == ["zone01"]


def test_names_out_of_a_damaged_page_are_shown_whatever_they_are() -> None:
    assert salvage._shown(b"\x03www\x00", None) == "www"
    assert salvage._shown(b"\x3fwww", None) == "3f777777"
