"""SipHash-2-4 (Aumasson and Bernstein, 2012): the keyed hash of DNS cookies (RFC 9018 §4.4).

One hash costs some 15 microseconds in Python, nearly all of it for making integers. `siphash24_many` therefore computes
many at a time: the same 64-bit word of every message stands in a lane of one long integer, 128 bits a lane, so that a
sum's carry and a shift's overhang fall into the lane's empty upper half, where they are masked away. One operation on a
long integer then serves all messages.
"""

from collections.abc import Sequence

_WORD = 0xFFFFFFFFFFFFFFFF
_LANE = 16  # octets
_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


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
    count = len(messages)
    ones = int.from_bytes(b"\1".ljust(_LANE, b"\0") * count, "little")
    mask = ones * _WORD
    words = (int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little"))
    state = [(initial ^ words[index & 1]) * ones for index, initial in enumerate(_INITIAL)]
    ending = bytes((size & 0xFF,))
    padded = [message.ljust(size // 8 * 8 + 7, b"\0") + ending for message in messages]
    for start in range(0, len(padded[0]), 8):
        block = int.from_bytes(
            b"".join([message[start : start + 8].ljust(_LANE, b"\0") for message in padded]), "little"
        )
        state[3] ^= block
        _rounds(state, mask, 2)
        state[0] ^= block
    state[2] ^= 0xFF * ones
    _rounds(state, mask, 4)
    result = (state[0] ^ state[1] ^ state[2] ^ state[3]).to_bytes(_LANE * count, "little")
    return [result[start : start + 8] for start in range(0, len(result), _LANE)]


def _rounds(state: list[int], mask: int, rounds: int) -> None:
    """SipRounds on all lanes. Every word is masked where its upper half would disturb what follows."""
    v0, v1, v2, v3 = state
    for _ in range(rounds):
        v0 = (v0 + v1) & mask
        v2 = (v2 + v3) & mask
        v1 = ((v1 << 13) & mask | v1 >> 51 & mask) ^ v0
        v3 = ((v3 << 16) & mask | v3 >> 48 & mask) ^ v2
        v0 = (v0 << 32) & mask | v0 >> 32 & mask
        v2 = (v2 + v1) & mask
        v0 = (v0 + v3) & mask
        v1 = ((v1 << 17) & mask | v1 >> 47 & mask) ^ v2
        v3 = ((v3 << 21) & mask | v3 >> 43 & mask) ^ v0
        v2 = (v2 << 32) & mask | v2 >> 32 & mask
    state[:] = v0, v1, v2, v3
