"""Mutations: a good input → something a broken or hostile sender could have sent instead.

Blind changes (bits, octets, pieces left out, doubled or taken from another seed) find careless reading. The others know
a little of the format, as blind ones seldom hit it: 16-bit fields near their bounds, the four counts of a header,
compression pointers backwards, forwards and to themselves, and *growth*: one piece repeated until the message is as
large as a message can be, which finds work that grows faster than its input.
"""

from collections.abc import Callable, Sequence
from random import Random

LARGEST = 65535
SIZES = (512, 1232, 4096, 16384, LARGEST)  # what growth aims at
OCTETS = (0, 1, 2, 0x0C, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xFE, 0xFF)
WORDS = (0, 1, 2, 3, 4, 5, 12, 16, 63, 64, 100, 255, 256, 0x3FFF, 0x7FFF, 0x8000, 0xC00C, 0xFFFE, 0xFFFF)
TYPES = (1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 39, 41, 43, 46, 47, 50, 55, 64, 249, 250, 251, 252, 255, 257, 65280)
MOST_CHANGES = 6


class Mutator:
    """Mutations drawn from `random`; `seeds` are what pieces of other inputs are taken from."""

    def __init__(self, random: Random, seeds: Sequence[bytes], largest: int = LARGEST) -> None:
        self._random = random
        self._seeds = seeds
        self._largest = largest
        self._rare: tuple[Callable[[bytearray], None], ...] = (self._grow, self._splice, self._noise)
        self._common: tuple[Callable[[bytearray], None], ...] = (
            self._flip_bit, self._flip_bit, self._set_octet, self._set_octet, self._set_word, self._nudge_word,
            self._set_type, self._set_count, self._truncate, self._cut_out, self._double, self._insert, self._point,
            self._move,
        )  # fmt: skip

    def mutate(self, data: bytes) -> bytes:
        """The input after one to a few changes; now and then after none."""
        out = bytearray(data)
        random = self._random
        for _ in range(min(MOST_CHANGES, int(random.expovariate(1.1)) + (random.random() < 0.98))):
            random.choice(self._rare if random.random() < 0.06 else self._common)(out)
            if len(out) > self._largest:
                del out[self._largest :]
        return bytes(out)

    # --- blind ---------------------------------------------------------------------------------------------------

    def _flip_bit(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _set_octet(self, data: bytearray) -> None:
        if data:
            value = self._random.choice(OCTETS) if self._random.random() < 0.7 else self._random.randrange(256)
            data[self._random.randrange(len(data))] = value

    def _truncate(self, data: bytearray) -> None:
        del data[self._random.randrange(len(data) + 1) :]

    def _cut_out(self, data: bytearray) -> None:
        start, end = self._piece(data)
        del data[start:end]

    def _double(self, data: bytearray) -> None:
        start, end = self._piece(data)
        data[end:end] = data[start:end] * self._random.choice((1, 1, 1, 2, 5, 20))

    def _move(self, data: bytearray) -> None:
        start, end = self._piece(data)
        piece = data[start:end]
        del data[start:end]
        at = self._random.randrange(len(data) + 1)
        data[at:at] = piece

    def _insert(self, data: bytearray) -> None:
        at = self._random.randrange(len(data) + 1)
        data[at:at] = self._random.randbytes(self._random.choice((1, 1, 2, 3, 4, 8, 16)))

    def _noise(self, data: bytearray) -> None:
        start, end = self._piece(data)
        data[start:end] = self._random.randbytes(end - start)

    def _splice(self, data: bytearray) -> None:
        """The front of one input, the rest of another."""
        other = self._random.choice(self._seeds)
        data[self._random.randrange(len(data) + 1) :] = other[self._random.randrange(len(other) + 1) :]

    def _piece(self, data: bytearray) -> tuple[int, int]:
        start = self._random.randrange(len(data) + 1)
        return start, min(len(data), start + self._random.choice((1, 2, 4, 10, 12, 16, 30, 64, 300)))

    # --- knowing the format --------------------------------------------------------------------------------------

    def _set_word(self, data: bytearray) -> None:
        self._put_word(data, self._random.choice(WORDS))

    def _set_type(self, data: bytearray) -> None:
        self._put_word(data, self._random.choice(TYPES))

    def _put_word(self, data: bytearray, word: int) -> None:
        if len(data) >= 2:
            at = self._random.randrange(len(data) - 1)
            data[at : at + 2] = word.to_bytes(2, "big")

    def _nudge_word(self, data: bytearray) -> None:
        """A length or count that is off by a little."""
        if len(data) >= 2:
            at = self._random.randrange(len(data) - 1)
            word = (data[at] << 8 | data[at + 1]) + self._random.choice((-2, -1, 1, 2, 10))
            data[at : at + 2] = (word & 0xFFFF).to_bytes(2, "big")

    def _set_count(self, data: bytearray) -> None:
        if len(data) >= 12:
            at = self._random.choice((4, 6, 8, 10))
            data[at : at + 2] = self._random.choice((0, 1, 2, 3, 255, 5000, 65535)).to_bytes(2, "big")

    def _point(self, data: bytearray) -> None:
        """A compression pointer written over what is there or put in: most lead back, some nowhere good."""
        at = self._random.randrange(len(data) + 1)
        target = self._random.choice((12, 12, self._random.randrange(at + 1), at, max(0, at - 2), at + 2, 0x3FFF))
        pointer = (0xC000 | target & 0x3FFF).to_bytes(2, "big")
        if self._random.random() < 0.5:
            data[at : at + 2] = pointer
        else:
            data[at:at] = pointer

    def _grow(self, data: bytearray) -> None:
        """One piece again and again, up to one of the sizes that matter; mostly with counts that take it all in."""
        start, end = self._piece(data)
        piece = bytes(data[start:end]) or b"\0"
        room = self._random.choice(SIZES) - len(data)
        if room <= 0:
            return
        times = room // len(piece)
        if len(data) >= 12 and self._random.random() < 0.7:
            at = self._random.choice((6, 10))
            data[at : at + 2] = min(65535, (data[at] << 8 | data[at + 1]) + times).to_bytes(2, "big")
        data[end:end] = piece * times
