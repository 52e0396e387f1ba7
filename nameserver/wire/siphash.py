"""SipHash-2-4 (Aumasson and Bernstein, 2012): the keyed hash of DNS cookies (RFC 9018 §4.4).

One hash costs some 15 microseconds in Python, nearly all of it for making integers. `siphash24_many` therefore computes
many at a time: the same 64-bit word of every message stands in a lane of one long integer, and one operation on long
integers serves all messages. At 64 messages that comes to less than a microsecond each.

A lane has 72 bits, one octet more than its word. There the carries of sums gather, and mostly nobody looks at them: a
rotation takes out of a lane no more than the bits of the word. Of the four sums of a round two are cut to 64 bits,
which keeps all words below 67. (Left alone, they would grow by two bits a round.) So is the result.
"""

from collections.abc import Sequence
from functools import lru_cache

_WORD = 0xFFFFFFFFFFFFFFFF
_LANE = 9  # octets
_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_ROTATIONS = (13, 16, 17, 21, 32)  # bits
MOST = 64  # messages at a time: more gain nothing
BLOCK = 8  # octets


def siphash24(key: bytes, message: bytes) -> bytes:
    """The hash, eight octets in little-endian order. `key` has 16 octets."""
    return siphash24_many(key, [message])[0]


def siphash24_many(key: bytes, messages: Sequence[bytes]) -> list[bytes]:
    """The hashes of messages of one and the same length. Raises ValueError where their lengths differ."""
    if not messages:
        return []
    size = len(messages[0])
    if any(len(message) != size for message in messages):
        raise ValueError("the messages differ in length")
    whole = size // BLOCK * BLOCK
    blocks = [[message[start : start + BLOCK] for message in messages] for start in range(0, whole, BLOCK)]
    return siphash24_blocks(key, blocks, [message[whole:] for message in messages], size)


def siphash24_blocks(
    key: bytes, blocks: Sequence[Sequence[bytes] | bytes], ends: Sequence[bytes], size: int
) -> list[bytes]:
    """The hashes of as many messages as there are `ends`, each of `size` octets in all.

    The messages are given block by block: the first eight octets of each of them, then their next eight, …; for a block
    that they share, that alone. `ends` are what is left of each, fewer than eight octets.
    """
    count = len(ends)
    if count > MOST:
        parts = [
            siphash24_blocks(
                key,
                [each if isinstance(each, bytes) else each[first : first + MOST] for each in blocks],
                ends[first : first + MOST],
                size,
            )
            for first in range(0, count, MOST)
        ]
        return [each for part in parts for each in part]
    words = (int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little"))
    ones, masks = _lanes(count)
    state = [(initial ^ words[index & 1]) * ones for index, initial in enumerate(_INITIAL)]
    padding = bytes(BLOCK - 1 - size % BLOCK) + bytes((size & 0xFF,)) + b"\0"
    for block in (*blocks, None):
        if block is None:
            lanes = int.from_bytes(padding.join(ends) + padding, "little")
        elif isinstance(block, bytes):
            lanes = int.from_bytes(block, "little") * ones
        else:
            lanes = int.from_bytes(b"\0".join(block), "little")
        state[3] ^= lanes
        _rounds(state, masks, 2)
        state[0] ^= lanes
    state[2] ^= 0xFF * ones
    _rounds(state, masks, 4)
    result = ((state[0] ^ state[1] ^ state[2] ^ state[3]) & masks[0]).to_bytes(_LANE * count, "little")
    return [result[start : start + 8] for start in range(0, len(result), _LANE)]


@lru_cache(maxsize=MOST)
def _lanes(count: int) -> tuple[int, tuple[int, ...]]:
    """(a one in every lane; every lane's word, then by rotation: bits that go up, bits where others come down)."""
    ones = int.from_bytes(b"\1".ljust(_LANE, b"\0") * count, "little")
    masks = [ones * _WORD]
    for bits in _ROTATIONS:
        masks += [ones * ((1 << 64 - bits) - 1), ones * ((1 << bits) - 1)]
    return ones, tuple(masks)


def _rounds(state: list[int], masks: tuple[int, ...], rounds: int) -> None:
    """SipRounds on all lanes."""
    word, low13, high13, low16, high16, low17, high17, low21, high21, low32, high32 = masks
    v0, v1, v2, v3 = state
    for _ in range(rounds):
        v0 = v0 + v1 & word
        v2 = v2 + v3 & word
        v1 = ((v1 & low13) << 13 | v1 >> 51 & high13) ^ v0
        v3 = ((v3 & low16) << 16 | v3 >> 48 & high16) ^ v2
        v0 = (v0 & low32) << 32 | v0 >> 32 & high32
        v2 += v1
        v0 += v3
        v1 = ((v1 & low17) << 17 | v1 >> 47 & high17) ^ v2
        v3 = ((v3 & low21) << 21 | v3 >> 43 & high21) ^ v0
        v2 = (v2 & low32) << 32 | v2 >> 32 & high32
    state[:] = v0, v1, v2, v3
