r"""Runs of address records, read by one regular expression: what most of a large transfer consists of.

    \3www \xc0\x0c   A 192.0.2.1    \xc0\x42 AAAA 2001:db8::1              \4mail \xc0\x0c …
    label  pointer   its tail       another of the same owner, more …      the next owner

To look at the bytes of such a record one by one costs the interpreter more than a microsecond; `re` does the same in C
in a fifth of that, for a whole message in one call. The pattern takes only what can be read in one way: a label in
lower case, a pointer, class IN, a TTL without its top bit, the one size that an address has. Where something else
comes, the last alternative swallows all that is left of the message: so what is found has no gaps.

What was found is then worked on by the column: some calls into C for a message instead of some for each owner.
"""

import re
from collections.abc import Sequence
from itertools import accumulate
from operator import add

from nameserver.wire import codes

_CLASS_AND_TTL = rb"\x00\x01[\x00-\x7f].{3}"
_TAIL = rb"\x00(?:\x01%b\x00\x04.{4}|\x1c%b\x00\x10.{16})" % (_CLASS_AND_TTL, _CLASS_AND_TTL)
_POINTER = rb"[\xc0-\xff]."
_LABEL = b"|".join(rb"\x%02x[^A-Z]{%d}" % (size, size) for size in range(1, 64))
# Not a possessive quantifier: CPython before 3.11.5 lets one end in the middle of what it repeats.
_OWNER = re.compile(rb"(?s)(%b)(%b)(%b(?:%b%b)*)|.+" % (_LABEL, _POINTER, _TAIL, _POINTER, _TAIL))
_A, _AAAA = 14, 26  # octets of a tail
_PAIR = _A + 2 + _AAAA


class AddressRun:
    """The owners from one place of a message on that hold addresses, as columns with an entry for each.

    `labels` are the first labels of their names, `pointers` lead to the rest; what stands there is for the caller to
    judge. `tails` are each one's record, or records one after another: one, or an A and an AAAA, in all but the entries
    that `several` lists, with their tails apart. `found` counts them, and one more where something else follows.
    """

    __slots__ = ("_ends", "_offset", "_pairs", "found", "labels", "pointers", "several", "tails")

    def __init__(self, message: bytes, offset: int) -> None:
        found = _OWNER.findall(message, offset)
        self.found = len(found)
        if found and not found[-1][0]:
            del found[-1]
        columns: Sequence[Sequence[bytes]] = list(zip(*found, strict=True)) or ((), (), ())
        self.labels, self.pointers, together = columns
        sizes = list(map(len, together))
        ends = list(accumulate(map(add, map(len, self.labels), sizes)))
        self._offset, self._ends = offset, ends  # each owner's end, from `offset` on, without the pointers up to there
        self.tails = list(together)
        self._pairs: list[int] = []
        self.several: dict[int, list[bytes]] = {}
        for index in [index for index, size in enumerate(sizes) if size > _AAAA]:
            records = together[index]
            place = offset + 2 * index + ends[index] - len(records) - len(self.labels[index])
            # One A and one AAAA, whichever comes first: BIND sends the newer one first.
            first = _A if records[1] == codes.A else _AAAA
            if sizes[index] == _PAIR and (records[first] & 0x3F) << 8 | records[first + 1] == place:
                one, other = records[:first], records[first + 2 :]
                self.tails[index] = one + other if first == _A else other + one
                self._pairs.append(index)
            elif (tails := _split(records, place)) is not None:
                self.several[index] = tails
            else:
                self.cut(index)
                break

    def __len__(self) -> int:
        return len(self.labels)

    def start(self, index: int) -> int:
        """Where in the message an owner begins; for the one behind the last, where the run ends."""
        return self._offset + 2 * index + (self._ends[index - 1] if index else 0)

    @property
    def records(self) -> int:
        """How many they have together."""
        return len(self.labels) + len(self._pairs) + sum(len(tails) - 1 for tails in self.several.values())

    def tails_of(self, index: int) -> list[bytes]:
        """The records of an owner, apart."""
        tails = self.tails[index]
        return self.several.get(index) or ([tails[:_A], tails[_A:]] if len(tails) == _A + _AAAA else [tails])

    def cut(self, count: int) -> None:
        """Keep only so many owners."""
        self.labels, self.pointers, self.tails = self.labels[:count], self.pointers[:count], self.tails[:count]
        self._pairs = [index for index in self._pairs if index < count]
        self.several = {index: tails for index, tails in self.several.items() if index < count}

    def keep_records(self, count: int) -> None:
        """Keep only owners with so many records together."""
        if self.records > count:
            sums = accumulate(len(self.tails_of(index)) for index in range(len(self.labels)))
            self.cut(sum(each <= count for each in sums))


def place_of(pointer: bytes) -> int:
    """Where in its message a compression pointer leads to."""
    return (pointer[0] & 0x3F) << 8 | pointer[1]


def _split(records: bytes, owner_at: int) -> list[bytes] | None:
    """The tails of one owner's records, without the pointers between; None where one does not lead to `owner_at`."""
    tails: list[bytes] = []
    offset = 0
    while offset < len(records):
        if offset and place_of(records[offset - 2 : offset]) != owner_at:
            return None
        end = offset + 10 + records[offset + 9]
        tails.append(records[offset:end])
        offset = end + 2
    return tails
