"""Files that must be private: opened so that what is judged is what is read.

    path ─▶ links followed, each judged ─▶ open (no link any more) ─▶ fstat judged ─▶ read

Links are followed because container platforms mount secrets as links into a directory that they exchange as a whole
(NAME → ..data/NAME, ..data → ..2026_11_21). What makes a link dangerous is that somebody else can set or change it,
to have us read, and report on, a file that only we may read. So each link must belong to root or to us, and nobody
else may be able to replace it in its directory. Its target is judged as if it had been named itself.
"""

import os
import stat
from pathlib import Path

from nameserver.config.suggest import printable
from nameserver.config.values import BadValue

_LARGEST_FILE = 64 * 1024
_MOST_LINKS = 8  # from one name; more is a circle or a joke


def is_file(path: Path) -> bool:
    """Whether there is such a regular file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, RuntimeError):  # too long a name; links in a circle
        return False


def read_private_file(path: Path, shown_as: str) -> str:
    """The text of a file that must be private. Raises `BadValue` with what to do.

    The checks are made on the opened file, so that it cannot be exchanged in between.
    """
    target = _behind_links(path, shown_as)
    try:
        # O_NOFOLLOW: the links were followed. O_NONBLOCK: a FIFO put there must not hang the start.
        handle = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise BadValue(f"{shown_as} cannot be read: {error.strerror}") from None
    try:
        _check_private(os.fstat(handle), path, target, shown_as)
        raw = os.read(handle, _LARGEST_FILE + 1)
    finally:
        os.close(handle)
    if len(raw) > _LARGEST_FILE:
        raise BadValue(f"{shown_as} is larger than {_LARGEST_FILE} bytes, which no key file is")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadValue(f"{shown_as} does not hold text") from None


def _behind_links(path: Path, shown_as: str) -> Path:
    """What `path` leads to. Raises `BadValue` on a link that others could have set."""
    for _ in range(_MOST_LINKS):
        try:
            status = path.lstat()
            if not stat.S_ISLNK(status.st_mode):
                return path
            target = path.parent / path.readlink()
        except OSError:
            return path  # opening it says what is wrong
        if status.st_uid not in (0, os.geteuid()):
            raise BadValue(f"{shown_as} is a symbolic link that user {status.st_uid} has set; name the file itself")
        _check_directory(path.parent, f"the symbolic link {shown_as}")
        path = target
    raise BadValue(f"{shown_as} is a symbolic link to a link to a link …; name the file itself")


def _check_private(status: os.stat_result, path: Path, target: Path, shown_as: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadValue(f"{shown_as} is not a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise BadValue(f"{shown_as} belongs to user {status.st_uid}; its owner must be root or the user we run as")
    # systemd keeps credentials private by other means, an access list whose mask shows as group bits
    if str(path.parent) == os.environ.get("CREDENTIALS_DIRECTORY"):
        return
    if status.st_mode & 0o077:
        raise BadValue(f"{shown_as} can be read or written by others; run: chmod 600 {shown_as}")
    _check_directory(target.parent, shown_as)


def _check_directory(directory: Path, what: str) -> None:
    """That only its owner can replace a file or link; in a sticky directory that is so (and its owner was judged)."""
    mode = directory.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise BadValue(f"everyone can replace {what}; run: chmod o-w {printable(str(directory))}")
