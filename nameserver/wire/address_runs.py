r"""Runs of address records, read by one regular expression: what most of a large transfer consists of.

    \3www \xc0\x0c   A 192.0.2.1    \xc0\x42 AAAA 2001:db8::1              \4mail \xc0\x0c …
    label  pointer   its tail       another of the same owner, more …      the next owner

To look at the bytes of such a record one by one costs the interpreter more than a microsecond; `re` does the same in C
in a fifth of that, for a whole message in one call. The pattern takes only what can be read in one way: a label in
lower case, a pointer, class IN, a TTL without its top bit, the one size that an address has. Where something else
comes, the last alternative swallows all that is left of the message: so what is found has no gaps. What pointers lead
to is not looked at here.
"""

import re

_CLASS_AND_TTL = rb"\x00\x01[\x00-\x7f].{3}"
_TAIL = rb"\x00(?:\x01%b\x00\x04.{4}|\x1c%b\x00\x10.{16})" % (_CLASS_AND_TTL, _CLASS_AND_TTL)
_POINTER = rb"[\xc0-\xff]."
_LABEL = b"|".join(rb"\x%02x[^A-Z]{%d}" % (size, size) for size in range(1, 64))
_OWNER = re.compile(
    rb"(?s)(%b)(%b)(%b)(?:(%b)(%b)((?:%b%b)*))?|(.).*" % (_LABEL, *(_POINTER, _TAIL) * 3),
)


def address_runs(message: bytes, offset: int) -> list[tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes]]:
    """The owners from `offset` on, of each (label, pointer, tail, pointer, tail, more, b""): its first records.

    The second pointer and tail are empty where there is one record only, as is `more` (see `split_more`) where there
    are two. Where another kind of record comes, a last item has only its last field filled.
    """
    return _OWNER.findall(message, offset)


def place_of(pointer: bytes) -> int:
    """Where in its message a compression pointer leads to."""
    return (pointer[0] & 0x3F) << 8 | pointer[1]


def split_more(more: bytes, owner_at: int) -> list[bytes] | None:
    """The tails of further records; None where one's owner is not a pointer to `owner_at`."""
    tails: list[bytes] = []
    offset = 0
    while offset < len(more):
        if place_of(more[offset : offset + 2]) != owner_at:
            return None
        end = offset + 12 + more[offset + 11]
        tails.append(more[offset + 2 : end])
        offset = end
    return tails
