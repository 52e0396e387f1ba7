"""Below which serial no answer may fall: the soak's rules about time, and why a right server keeps them.

The server commits a version to its store first, then tells its workers, each of which applies it when it gets to it. So
for a moment one worker answers serial 7 and another 6: that is no step backwards. These are:

1. Confirmed everywhere. Status said that all workers serve serial S: each applied it, or loaded it from the store. A
   worker never leaves a version for an older one, and one that takes a dead one's place loads what the store holds,
   which is S or newer. So no question asked after that status came may be answered from before S, by anyone, ever.
2. After the main process died. Whatever was answered by anyone, and whatever status gave as held, was committed before,
   and `kill -9` does not undo what was written. The next main process and all its workers begin with what the store
   holds. So once the last old process is gone, no question may be answered from before the newest of these.
3. The same client again. While a main process lives, the kernel gives whatever comes from one port to one listening
   socket, which outlives the worker behind it, and what holds for a worker's successor is said in 1. So no client may
   be answered from before what it was answered already (`querier.UdpClient`, and each TCP connection for itself).

1 and 2 are one number, the floor, that only rises. A question is held against the floor when it was sent.
"""

import threading

from soak.board import Board, Slot


class Floor:
    """Raises the number on the board; its callers are in several threads."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._lock = threading.Lock()
        self._held = 0

    def status(self, serial: int, everywhere: bool) -> None:
        """Status gave this serial as held; `everywhere`: as served by each of the configured workers."""
        with self._lock:
            self._held = max(self._held, serial)
        if everywhere:
            self.rise(serial)

    def next_start(self) -> int:
        """Asked between the death of a main process and the start of the next: what that must not fall behind."""
        with self._lock:
            return max(self._held, self._board[Slot.SEEN])

    def rise(self, serial: int) -> None:
        with self._lock:
            self._board[Slot.FLOOR] = max(self._board[Slot.FLOOR], serial)
