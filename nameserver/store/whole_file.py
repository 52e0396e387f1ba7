"""Files that are there whole or not at all: written beside their place, flushed, and renamed into it."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

NEW_FILE_MODE = 0o644


def write_whole(path: Path, pieces: Iterable[bytes]) -> int:
    """Put a file in place of whatever is at `path`; its size. Whatever goes wrong leaves that as it was.

    The file has the mode of the one whose place it takes. Raises `OSError`, and what `pieces` raises.
    """
    path = path.resolve()  # where the name is a link, the file behind it is meant
    mode = _mode_of(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".new", dir=path.parent)
    size = 0
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                size += file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    flush_directory(path.parent)
    return size


def flush_directory(path: Path) -> None:
    """Have what was renamed in a directory survive a power cut. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mode_of(path: Path) -> int:
    """Raises `OSError` for what is there and is no file: a device must not be replaced."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return NEW_FILE_MODE
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return stat.S_IMODE(mode)
