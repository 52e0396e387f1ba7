"""Serial numbers of the SOA: arithmetic modulo 2**32 (RFC 1982).

There is no smallest serial: `a` is newer than `b` when the way from `b` up to `a` is shorter than half the circle.
At exactly half the circle RFC 1982 §3.2 leaves the order undefined, which is a verdict of its own here, because a
secondary must not guess whether to transfer.
"""

from enum import Enum

MODULUS = 1 << 32
HALF = 1 << 31


class Order(Enum):
    """How one serial stands to another."""

    EQUAL = "equal"
    NEWER = "newer"
    OLDER = "older"
    UNDEFINED = "undefined"


def compare(a: int, b: int) -> Order:
    """How `a` stands to `b`: `compare(2, 1) is Order.NEWER` (RFC 1982 §3.2)."""
    distance = (a - b) % MODULUS
    if distance == 0:
        return Order.EQUAL
    if distance == HALF:
        return Order.UNDEFINED
    return Order.NEWER if distance < HALF else Order.OLDER


def newer(a: int, b: int) -> bool:
    """Whether `a` > `b` in serial arithmetic (RFC 1982 §3.2); False where the order is undefined."""
    return 0 < (a - b) % MODULUS < HALF


def add(a: int, n: int) -> int:
    """`a` advanced by `n` (RFC 1982 §3.1).

    Raises ValueError unless 0 <= n < 2**31: a larger step would come out as older than where it started.
    """
    if not 0 <= n < HALF:
        raise ValueError(f"a serial can be advanced by 0 to {HALF - 1}, not by {n}")
    return (a + n) % MODULUS
