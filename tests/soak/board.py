"""Numbers that the two processes of the soak share: one 64-bit slot of a mapped file each, each with one writer."""

import mmap
from enum import IntEnum, auto
from pathlib import Path


class Slot(IntEnum):
    """What stands where."""

    # written by the soak
    PUBLISHED = 0  # the newest serial that the primary may answer with
    FLOOR = auto()  # nothing asked from now on may be answered from an older serial
    SETTLED = auto()  # 0 from the end of a main process until all its workers are gone too: whose client is who changes
    STOP = auto()
    # written by the querier
    SENT = auto()
    ANSWERED = auto()
    UNANSWERED = auto()
    WRONG = auto()
    LOST = auto()
    BACKWARDS = auto()
    SEEN = auto()  # the newest serial that any answer came from


class Board:
    """The slots, read and written as `board[Slot.FLOOR]`."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        size = 8 * len(Slot)
        if create:
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._slots = memoryview(mmap.mmap(file.fileno(), size)).cast("Q")

    def __getitem__(self, slot: Slot) -> int:
        return self._slots[slot]

    def __setitem__(self, slot: Slot, value: int) -> None:
        self._slots[slot] = value
