"""What is wrong with the disk under the state directory: looked up where a read or a write has failed.

SQLite says that something failed and hardly why: "disk I/O error" may be a full disk, one that was mounted read-only
after an error, or one that is breaking. The operator is told which, by the device's name.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from nameserver.errors import StoreFault

LEAST_ROOM = 64 * 1024  # bytes; with less than this free, what fails fails for want of room
_MOUNTS = Path("/proc/self/mountinfo")  # proc_pid_mountinfo(5)


class Trouble(NamedTuple):
    """What stands in the way, and the same as a clause for the operator."""

    fault: StoreFault
    text: str


def look(directory: Path) -> Trouble | None:
    """What is visibly wrong with a directory's disk; None where nothing is."""
    try:
        room = os.statvfs(directory)
    except FileNotFoundError:
        return Trouble(StoreFault.MISSING, f"{directory} is gone")
    except OSError as error:
        return Trouble(StoreFault.IO, f"{directory} cannot be looked at: {error.strerror}")
    where = f"{directory}{_device(directory)}"
    if room.f_flag & os.ST_RDONLY or _is_read_only(directory):
        return Trouble(StoreFault.READ_ONLY, f"{where} is read-only")
    # No count of files at all is what file systems say that have no limit on them.
    if room.f_bavail * room.f_frsize < LEAST_ROOM or (room.f_files and not room.f_favail):
        return no_room(directory)
    return None


def no_room(directory: Path) -> Trouble:
    """That a directory's disk is full."""
    return Trouble(StoreFault.FULL, f"no space on {directory}{_device(directory)}; free some")


def free(directory: Path) -> int:
    """Bytes that may still be written. Raises OSError."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize


def _device(directory: Path) -> str:
    """For messages: " (DEVICE)" of the mount that a directory is on; empty where that is not known."""
    mount = _mount(directory)
    return f" ({mount[1]})" if mount else ""


def _is_read_only(directory: Path) -> bool:
    """Whether the kernel has made the file system read-only after an error, which statvfs(3) does not always show."""
    mount = _mount(directory)
    return mount is not None and not {"ro", "emergency_ro"}.isdisjoint(mount[2])


def _mount(directory: Path) -> tuple[str, str, set[str]] | None:
    """The mount that a directory is on: where it is mounted, from which device, and its options."""
    try:
        number = directory.stat().st_dev
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = None
    for line in lines:
        fields, _, rest = line.partition(" - ")
        parts, more = fields.split(" "), rest.split(" ")
        if len(parts) > 5 and len(more) > 2 and parts[2] == f"{os.major(number)}:{os.minor(number)}":
            place = _unescaped(parts[4])
            if found is None or directory.is_relative_to(place):  # a later mount covers an earlier one
                found = (place, _unescaped(more[1]), {*parts[5].split(","), *more[2].split(",")})
    return found


def _unescaped(text: str) -> str:
    r"""A field of mountinfo, in which blanks and backslashes are written as \040 and \134."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
