"""The lock that gives a state directory to one instance at a time.

An flock on a file of its own: it ends with the process however that ends, it is not inherited by what we start, and
it is independent of SQLite's locks, which come and go and which any process may break by closing the file.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from nameserver.errors import StoreError, StoreLocked

LOCK_NAME = "lock"


class StateLock:
    """The held lock; `release` gives it up."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor: int | None = descriptor
        self._path = path

    @classmethod
    def acquire(cls, directory: Path) -> Self:
        """Take the lock of a state directory, writing our process id into its file.

        Raises StoreLocked, naming the holder's process id, when another instance has it; StoreError when the file
        cannot be made.
        """
        path = directory / LOCK_NAME
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"the lock {path} cannot be opened: {error.strerror}; check its owner") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise StoreLocked(
                f"the state directory {directory} is in use by {who}: stop it, or give this instance one of its own"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise StoreError(f"the lock {path} cannot be taken: {error.strerror}") from error
        with suppress(OSError):  # for people only: a disk without room for six bytes is no reason not to start
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        return cls(descriptor, path)

    def holds(self) -> bool:
        """Whether the directory, as it is now, is held: its lock may have been removed, or all of it."""
        if self._descriptor is None:
            return False
        try:
            here, there = os.fstat(self._descriptor), self._path.stat()
        except OSError:
            return False
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    def release(self) -> None:
        """Give the lock up; more than once does no harm. The file stays: removing it would let two in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
