"""One instance per state directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.stored import NOW

from nameserver.errors import StoreError, StoreLocked
from nameserver.store.database import Store
from nameserver.store.lock import StateLock


def test_a_second_instance_is_refused_by_the_process_id_of_the_first(tmp_path: Path) -> None:
    with_lock = Store.open(tmp_path, NOW)
    with pytest.raises(StoreLocked, match=f"in use by process {os.getpid()}: stop it, or give"):
        Store.open(tmp_path, NOW)
    with_lock.close()


def test_the_first_instance_is_not_disturbed_by_the_refusal(tmp_path: Path) -> None:
    lock = StateLock.acquire(tmp_path)
    for _ in range(2):
        with pytest.raises(StoreLocked):
            StateLock.acquire(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    lock.release()
    lock.release()
    StateLock.acquire(tmp_path).release()


def test_a_process_started_by_the_holder_does_not_inherit_the_lock(tmp_path: Path) -> None:
    """A worker that outlives the transfer process by a moment must not keep the next instance out."""
    lock = StateLock.acquire(tmp_path)
    command = [sys.executable, "-c", "input(1)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdout is not None
        assert child.stdout.read(1) == b"1"  # it runs: what closes when a program starts is closed
        lock.release()
        StateLock.acquire(tmp_path).release()
        child.communicate(b"\n")
    assert child.returncode == 0


def test_a_lock_file_without_a_process_id_is_reported_all_the_same(tmp_path: Path) -> None:
    lock = StateLock.acquire(tmp_path)
    (tmp_path / "lock").write_text("")
    with pytest.raises(StoreLocked, match="in use by another process"):
        StateLock.acquire(tmp_path)
    lock.release()


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be opened"):
        StateLock.acquire(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_failing_lock_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StoreError, match="cannot be taken: No locks available"):
        StateLock.acquire(tmp_path)
    monkeypatch.undo()
    StateLock.acquire(tmp_path).release()


def test_a_disk_without_room_for_the_process_id_is_locked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.ftruncate", refuse)
    lock = StateLock.acquire(tmp_path)
    with pytest.raises(StoreLocked):
        StateLock.acquire(tmp_path)
    lock.release()


@pytest.mark.parametrize("what", ["lock", "directory"])
def test_a_lock_that_was_removed_holds_nothing_any_more(tmp_path: Path, what: str) -> None:
    state = tmp_path / "state"
    state.mkdir()
    lock = StateLock.acquire(state)
    assert lock.holds()
    (state / "lock").unlink()
    if what == "directory":
        state.rmdir()
        state.mkdir()
    assert not lock.holds()
    other = StateLock.acquire(state)
    assert not lock.holds() and other.holds()
    lock.release()
    assert not lock.holds()
    other.release()
