"""Which names to ask for where not all are to be: few of a huge zone, chosen evenly and repeatably.

    the apex · a name of every type · wildcards and delegations · then one name out of each stretch of the zone

Everything follows from a seed: the same seed chooses the same names of the same zone, on any machine. Where none is
given it is the zone and its serial, so that each version is looked at in other places.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nameserver.migrate.checks.compare import SampleShare
from nameserver.wire import codes
from nameserver.wire.rdata import type_text

Wanted = tuple[bytes, int]  # place of an owner, type
_STAR = b"*"


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How many names: `number`, or where that is 0 `percent` of all."""

    number: int = 0
    percent: float = 0.0

    @classmethod
    def of_text(cls, text: str) -> "SampleSize":
        """From `500` or `2.5%`. Raises ValueError."""
        if text.isascii() and text.isdigit() and 0 < int(text) < 10**9:
            return cls(number=int(text))
        if re.fullmatch(r"\d{1,3}(\.\d{1,9})?%", text, re.ASCII) and 0 < float(text[:-1]) <= 100:
            return cls(percent=float(text[:-1]))
        raise ValueError(f"expected a number of names, or a share as 5%, got {text!r}")

    def out_of(self, names: int) -> int:
        """How many of so many names; at least one."""
        return min(names, self.number or max(1, math.ceil(names * self.percent / 100)))


@dataclass(frozen=True, slots=True)
class Sample:
    """What to ask, and what of the whole it is. Pairs are (in the sample, in all)."""

    wanted: list[Wanted]
    seed: str
    share: SampleShare
    wildcards: tuple[int, int]
    delegations: tuple[int, int]
    types: tuple[int, int]

    @property
    def text(self) -> str:
        """What was chosen, as a sentence."""
        groups = (("wildcards", self.wildcards), ("delegations", self.delegations), ("types", self.types))
        among = ", ".join(f"{some:,} of {every:,} {what}" for what, (some, every) in groups if every)
        return (
            f"asked for {self.share.names:,} of {self.share.names_of:,} names, chosen evenly from the seed "
            f"{self.seed!r}, among them {among}"
        )

    def facts(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "seed": self.seed,
            "names": self.share.names,
            "names_of": self.share.names_of,
            "rrsets": self.share.rrsets,
            "rrsets_of": self.share.rrsets_of,
            "wildcards": list(self.wildcards),
            "delegations": list(self.delegations),
            "types": list(self.types),
        }


def choose(wanted: Sequence[Wanted], size: SampleSize, seed: str) -> Sample:
    """Every RRset of `wanted` at the names that are chosen.

    The apex and a name of each type are among them even if that makes more names than were to be; all wildcards and
    delegations where there is room, else as many as fill half of it.
    """
    places = sorted({place for place, _ in wanted})
    wildcards = {place for place in places if place == _STAR or place.endswith(b"\0" + _STAR)}
    cuts = {place for place, rdtype in wanted if rdtype == codes.NS and place}
    chosen = {b""} & set(places)
    chosen |= _one_of_each_type(sorted(wanted), seed, chosen)
    most = size.out_of(len(places))
    special = [place for place in places if (place in wildcards or place in cuts) and place not in chosen]
    room = max(0, most - len(chosen))
    chosen |= set(special if len(special) <= room else _even(special, room // 2, f"{seed}\0special"))
    others = wildcards | cuts | chosen
    chosen |= set(_even([place for place in places if place not in others], most - len(chosen), f"{seed}\0names"))
    left = [place for place in special if place not in chosen]
    chosen |= set(_even(left, most - len(chosen), f"{seed}\0left"))
    kept = [each for each in wanted if each[0] in chosen]
    types = {rdtype for _, rdtype in wanted}
    return Sample(
        kept,
        seed,
        SampleShare(len(chosen), len(places), len(kept), len(wanted)),
        (len(wildcards & chosen), len(wildcards)),
        (len(cuts & chosen), len(cuts)),
        (len({rdtype for _, rdtype in kept}), len(types)),
    )


def _one_of_each_type(wanted: Sequence[Wanted], seed: str, chosen: set[bytes]) -> set[bytes]:
    """A name for each type that no chosen one has."""
    there = {rdtype for place, rdtype in wanted if place in chosen}
    counts = Counter(rdtype for _, rdtype in wanted if rdtype not in there)
    left = {rdtype: _pick(f"{seed}\0{type_text(rdtype)}", count) for rdtype, count in counts.items()}
    found = set()
    for place, rdtype in wanted:
        if rdtype in left:
            if left[rdtype] == 0:
                found.add(place)
            left[rdtype] -= 1
    return found


def _even(places: Sequence[bytes], room: int, seed: str) -> list[bytes]:
    """So many, one out of each of as many stretches of nearly the same length."""
    count = len(places)
    if count <= room:
        return list(places)
    bounds = [number * count // room for number in range(room + 1)] if room > 0 else []
    return [
        places[start + _pick(f"{seed}\0{number}", end - start)] for number, (start, end) in enumerate(pairwise(bounds))
    ]


def _pick(seed: str, count: int) -> int:
    """A number from 0 to `count` - 1 that follows from the seed."""
    return int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest(), "big") % count
