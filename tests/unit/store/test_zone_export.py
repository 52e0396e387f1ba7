"""A stored version as a zone file: canonical, of one version whatever goes on, in bounded memory, whole or not."""

import os
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.stored import NOW, TIMERS
from support.zones import zone_text

from nameserver.errors import StoreError
from nameserver.store import zone_export
from nameserver.store.database import Store
from nameserver.store.reader import StoreReader
from nameserver.store.whole_file import write_whole
from nameserver.store.zone_export import ZoneExport
from nameserver.wire import names
from nameserver.zone.builder import BuiltZone
from nameserver.zone.zone_text import write_zone_file
from nameserver.zone.zonefile import read_zone_file

ZONE = "example.com"
NAME = names.from_text(ZONE)


def commit(store: Store, built: BuiltZone) -> None:
    store.commit_full(
        NAME, ZONE, built.nodes, apex_as_received=built.apex_as_received, soa_rdata=built.soa_rdata,
        serial=built.soa.serial, records=built.records, source="", timers=TIMERS,
    )  # fmt: skip


def zone(serial: int, hosts: int) -> BuiltZone:
    extra = "".join(f"{'abc'[n % 3]}.h{n}.{'xyz'[n % 3]} IN A 192.0.2.{n % 250}\n" for n in range(hosts))
    return read_zone_file(zone_text(ZONE, serial, extra=extra), NAME, "z")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(tmp_path / "state", NOW)) as opened:
        yield opened


@pytest.fixture
def reader(store: Store) -> Iterator[StoreReader]:
    with closing(StoreReader(store.path)) as opened:
        yield opened


@pytest.mark.parametrize("at_once", [50_000, 10])
def test_it_is_the_canonical_text_however_many_runs_it_is_sorted_in(
    store: Store, reader: StoreReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(zone_export, "OWNERS_AT_ONCE", at_once)
    monkeypatch.setattr(zone_export, "MOST_RUNS", 5)
    built = zone(7, 3000)
    commit(store, built)
    export = ZoneExport.begin(reader, NAME, tmp_path)
    assert export is not None
    assert (export.meta.serial, export.meta.records) == (7, built.records)
    text = b"".join(export.pieces()).decode()
    assert text == write_zone_file(built.nodes, built.apex_as_received)
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_it_is_of_the_version_that_was_stored_when_it_began(store: Store, reader: StoreReader) -> None:
    commit(store, zone(7, 10))
    export = ZoneExport.begin(reader, NAME, None)
    assert export is not None
    commit(store, zone(8, 20))
    assert b"".join(export.pieces()).decode() == write_zone_file(zone(7, 10).nodes, NAME)


def test_memory_is_bounded_by_the_run_and_not_by_the_zone(
    store: Store, reader: StoreReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zone_export, "OWNERS_AT_ONCE", 500)
    peaks = []
    for hosts in (8000, 24_000):
        commit(store, zone(hosts, hosts))
        export = ZoneExport.begin(reader, NAME, tmp_path)
        assert export is not None
        tracemalloc.start()
        size = sum(map(len, export.pieces()))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 2, (peaks, size)


def test_what_is_not_stored_cannot_be_exported(reader: StoreReader) -> None:
    assert ZoneExport.begin(reader, NAME, None) is None


def test_a_directory_that_does_not_take_the_runs_is_named(
    store: Store, reader: StoreReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zone_export, "OWNERS_AT_ONCE", 10)
    commit(store, zone(7, 3000))
    export = ZoneExport.begin(reader, NAME, tmp_path / "absent")
    assert export is not None
    with pytest.raises(StoreError, match=r"cannot be sorted in .*absent: No such file"):
        list(export.pieces())


def test_a_whole_file_takes_the_place_of_the_one_before_with_its_mode(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "b"
    assert write_whole(path, [b"one", b"", b"two"]) == 6
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    link.symlink_to(path)
    write_whole(link, [b"three"])
    assert (path.read_bytes(), link.is_symlink(), path.stat().st_mode & 0o777) == (b"three", True, 0o600)


def test_what_cannot_be_written_whole_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before")

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise StoreError("broken")

    with pytest.raises(StoreError, match="broken"):
        write_whole(path, pieces())
    with pytest.raises(OSError, match="no regular file"):
        write_whole(Path(os.devnull), [b"x"])
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"before", [path])
