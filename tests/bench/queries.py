"""Files of questions, each from a seed of its own."""

import random
import struct
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from bench import zones

NXDOMAIN, REFERRALS, WILDCARDS = 0.10, 0.05, 0.05  # shares of the mix; the rest are hits
OPT, COOKIE, DO = 41, 10, 0x8000
CLASS_IN = 1
TYPES = {"A": 1, "AAAA": 28}


def mix(zone: str, records: int, count: int, *, zipf: bool, seed: int) -> Iterator[tuple[str, str]]:
    """Names and types: hits, each host as likely as any or as Zipf's law (exponent 1) has it, and what misses."""
    dice = random.Random(seed)
    hosts, cuts = zones.mixed_hosts(records), zones.mixed_cuts(records)
    places = list(range(hosts))
    random.Random(1).shuffle(places)  # the popular ones are the same for every seed
    weights = list(accumulate(1 / rank for rank in range(1, hosts + 1))) if zipf else None
    hits = iter(dice.choices(places, cum_weights=weights, k=count))
    for _ in range(count):
        kind = dice.random()
        if kind < NXDOMAIN:
            yield f"{zones.random_label(dice)}.{zone}", "A"
        elif kind < NXDOMAIN + REFERRALS:
            yield f"{zones.random_label(dice)}.sub{dice.randrange(cuts)}.{zone}", "A"
        elif kind < NXDOMAIN + REFERRALS + WILDCARDS:
            yield f"{zones.random_label(dice)}.wild{dice.randrange(cuts)}.{zone}", "A"
        else:
            number = next(hits)
            yield f"host{number:07}.{zone}", "AAAA" if number % 3 == 0 and number & 4 else "A"


def random_names(zone: str, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Names that do not exist."""
    dice = random.Random(seed)
    for _ in range(count):
        yield f"{zones.random_label(dice)}.{zone}", "A"


def write(path: Path, questions: Iterator[tuple[str, str]]) -> None:
    """As dnsperf reads them."""
    path.write_text("".join(f"{name} {rdtype}\n" for name, rdtype in questions))


def write_messages(
    path: Path,
    questions: Iterator[tuple[str, str]],
    *,
    edns: bool = True,
    dnssec: bool = False,
    odd: bool = False,
    seed: int = 0,
) -> None:
    """Whole messages, each after its length; `odd`: in random case, each with a new client cookie."""
    dice = random.Random(seed)
    with path.open("wb") as file:
        for name, rdtype in questions:
            option = struct.pack("!HHQ", COOKIE, 8, dice.getrandbits(64)) if odd else b""
            question = wire_name(random_case(name, dice) if odd else name) + struct.pack("!HH", TYPES[rdtype], CLASS_IN)
            opt = b"\0" + struct.pack("!HHIH", OPT, 1232, DO if dnssec else 0, len(option)) + option if edns else b""
            message = struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 1 if edns else 0) + question + opt
            file.write(struct.pack("!H", len(message)) + message)


def wire_name(name: str) -> bytes:
    """Of an absolute name without its final dot."""
    return b"".join(bytes([len(label)]) + label for label in name.encode().split(b".")) + b"\0"


def random_case(name: str, dice: random.Random) -> str:
    """Each letter in upper or lower case."""
    bits = dice.getrandbits(len(name))
    return "".join(letter.upper() if bits >> place & 1 else letter for place, letter in enumerate(name))
