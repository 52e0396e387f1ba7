"""What is wrong with a disk, found out and told by its name. Real disks where they can be mounted."""

import os
from pathlib import Path

import pytest
from support.disks import failing_disk, small_disk

from nameserver.errors import StoreFault
from nameserver.store import disk


def test_nothing_is_wrong_with_a_disk_that_has_room(tmp_path: Path) -> None:
    assert disk.look(tmp_path) is None
    assert disk.free(tmp_path) > 0


def test_a_directory_that_is_not_there_is_gone(tmp_path: Path) -> None:
    trouble = disk.look(tmp_path / "none")
    assert trouble == (StoreFault.MISSING, f"{tmp_path}/none is gone")


def test_a_full_disk_is_told_by_its_device() -> None:
    with small_disk() as small:
        assert disk.look(small.path) is None
        small.fill()
        trouble = disk.look(small.path)
        assert trouble == (StoreFault.FULL, f"no space on {small.path} (none); free some")
        assert disk.free(small.path) == 0
        small.empty()
        assert disk.look(small.path) is None


def test_a_disk_without_room_for_another_file_is_full() -> None:
    with small_disk("4m,nr_inodes=10") as small:
        number = 0
        try:
            for number in range(20):
                (small.path / str(number)).touch()
        except OSError:
            pass
        assert number < 19
        trouble = disk.look(small.path)
        assert trouble is not None and trouble.fault is StoreFault.FULL


def test_a_disk_that_turned_read_only_is_told_by_its_device() -> None:
    with failing_disk() as failing:
        failing.turn_read_only()
        trouble = disk.look(failing.path)
        assert trouble is not None and trouble.fault is StoreFault.READ_ONLY
        assert f"{failing.path} (/dev/loop" in trouble.text and trouble.text.endswith("is read-only")


def test_the_mount_is_the_one_that_a_directory_lies_under(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several mounts may show one device; names of places may hold blanks."""
    number = tmp_path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    (tmp_path / "with blank").mkdir()
    lines = [
        "20 1 0:99 / / rw - tmpfs other rw",
        f"21 1 {device} / /elsewhere rw - ext4 /dev/wrong rw",
        f"22 1 {device} / {tmp_path}/with\\040blank rw,relatime shared:1 - ext4 /dev/right\\040one ro,errors=x",
        "something else",
    ]
    (tmp_path / "mountinfo").write_text("\n".join(lines))
    monkeypatch.setattr(disk, "_MOUNTS", tmp_path / "mountinfo")
    trouble = disk.look(tmp_path / "with blank")
    assert trouble == (StoreFault.READ_ONLY, f"{tmp_path}/with blank (/dev/right one) is read-only")
    monkeypatch.setattr(disk, "_MOUNTS", tmp_path / "none")
    assert disk.no_room(tmp_path) == (StoreFault.FULL, f"no space on {tmp_path}; free some")
