"""Disks that are full and disks that fail: real ones, mounted for a test. Where that is not allowed, it skips."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.process import program, short_directory


def _run(*command: str) -> None:
    """A command as root; skips the test where it cannot be."""
    if program(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


@contextmanager
def _mounted(*arguments: str) -> Iterator[Path]:
    where = short_directory("disk")
    try:
        _run("mount", *arguments, str(where))
        try:
            yield where
        finally:
            # At once, whoever still has something open there: it is gone with the last of them.
            subprocess.run(["umount", "-l", str(where)], check=True)
    finally:
        where.rmdir()


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def free(self) -> int:
        room = os.statvfs(self.path)
        return room.f_bavail * room.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Until it takes nothing more; then `leave` bytes are made free again."""
        with (self.path / "ballast").open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
            if leave:
                file.truncate(max(0, file.tell() - leave))

    def empty(self) -> None:
        (self.path / "ballast").unlink()


@contextmanager
def small_disk(size: str = "4m") -> Iterator[SmallDisk]:
    """A disk in memory."""
    with _mounted("-t", "tmpfs", "-o", f"size={size}", "none") as path:
        yield SmallDisk(path)


class FailingDisk:
    """A file system on a device whose writes can be made to fail: what reads as EIO, is EIO."""

    def __init__(self, path: Path, beneath: SmallDisk) -> None:
        self.path = path
        self._beneath = beneath

    def fail(self) -> None:
        """From now on, what is written to places not written before fails when it gets to the device."""
        os.sync()
        self._beneath.fill()

    def mend(self) -> None:
        """It works again."""
        self._beneath.empty()

    def turn_read_only(self) -> None:
        """As the kernel does it when it meets an error in the file system; there is no way back but to mount anew."""
        device = next(
            line.partition(" - ")[2].split()[1]
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if line.split()[4] == str(self.path)
        )
        trigger = Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error")
        if not trigger.exists():
            pytest.skip("this kernel cannot be told to meet an error in an ext4 file system")
        trigger.write_text("a test")


@contextmanager
def failing_disk() -> Iterator[FailingDisk]:
    """ext4 on a loop device, on a sparse file, on a small disk: where that is full, the device's writes fail."""
    with small_disk("12m") as beneath:
        image = beneath.path / "image"
        with image.open("wb") as file:
            file.truncate(64 << 20)
        _run("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=0,nodiscard", "-N", "64", str(image))
        with _mounted("-o", "loop,errors=remount-ro", str(image)) as path:
            yield FailingDisk(path, beneath)


def as_nobody(say: Callable[[], str]) -> str:
    """What a function says that is called by a user who owns nothing, in a process of its own."""
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        with suppress(BaseException):
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.write(writing, say().encode())
            status = 0
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    assert os.waitpid(pid, 0)[1] == 0, "it did not end well"
    return text
