"""Which differences an IXFR is answered with, and packing them into messages (RFC 1995 §4).

    the client's serial ──▶ is there a chain of steps from it to our version?  no ─────────────────────▶ the whole zone
                              │ yes
                              ├─ several steps: condensed into one, where that is smaller
                              └─ smaller than the zone?  no ────────────────────────────────────────────▶ the whole zone
                                   │ yes
                                   ▼
    SOA new · [ SOA old · deleted … · SOA … · added … ] one or more steps · SOA new

A client that has our version, or one ahead of it by RFC 1982, was sent our SOA alone before any of this
(`nameserver.query.transfers`). Over UDP the same is sent where all of it fits into one datagram, and else our SOA
alone, upon which the client comes over TCP (§2).
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Protocol

from nameserver.transfer.outbound import MessageWriter
from nameserver.wire import codes
from nameserver.wire.rrset import RRset
from nameserver.zone.history import CONDENSE_AT_MOST, Condenser, Pair, pairs_of


class Step(Protocol):
    """A step of the history, without its records."""

    @property
    def size(self) -> int:
        """About the octets that it takes on the wire."""

    @property
    def records(self) -> int:
        """The records of it, both SOAs included."""


def are_few(steps: Sequence[Step]) -> bool:
    """Whether to read all of these before the first is sent: to see whether they are whole, and to condense them."""
    return sum(step.size for step in steps) <= CONDENSE_AT_MOST


def largest_chain(zone_size: int) -> int:
    """The octets of steps beyond which the whole zone is the answer, whatever they would come to condensed."""
    return max(zone_size, CONDENSE_AT_MOST)


def condensing(
    parts: Sequence[bytes], steps: Sequence[Step], apex: bytes
) -> Generator[None, None, tuple[Sequence[bytes], Sequence[Step]]]:
    """The parts of these steps condensed and the one step they make, or both as they are where that is no smaller.

    Yields after each part, for others' turns. Raises ZoneError (no-soa) where the parts are not those of whole steps.
    """
    if len(steps) > 1:
        condenser = Condenser(apex)
        for part in parts:
            condenser.feed(part)
            yield
        one = yield from condenser.packing()
        if one.size < sum(step.size for step in steps):
            return one.parts, [one]
    return parts, steps


def is_larger_than_zone(steps: Sequence[Step], zone_size: int) -> bool:
    """Whether the whole zone, of so many octets of keys and nodes, is the shorter answer."""
    return sum(step.size for step in steps) > zone_size


def ixfr_messages(
    soa: RRset,
    parts: Iterable[bytes],
    query_id: int,
    question: bytes,
    *,
    flags: int = codes.QR | codes.AA,
    reserve: int = 0,
    opt: bytes = b"",
) -> Iterator[bytes]:
    """Yield the messages of an incremental answer, without TCP lengths.

    soa: of the version that the steps lead to. parts: of the steps, in order (nameserver.zone.history). The others and
    what is raised: as for `transfer.outbound.axfr_messages`.
    """
    writer = MessageWriter(query_id, question, flags, reserve, opt)
    name_of = writer.name_under(soa.owner)
    yield from writer.add(name_of(soa.owner), [soa.tails])
    for part in parts:
        for owner, tails in _by_owner(pairs_of(part)):
            yield from writer.add(name_of(owner), tails)
    yield from writer.add(name_of(soa.owner), [soa.tails])
    yield writer.finish()


def ixfr_rrsets(soa: RRset, parts: Iterable[bytes]) -> list[RRset]:
    """The same as the answer section of one message: an RRset for each record, since their order means something."""
    pairs = (pair for part in parts for pair in pairs_of(part))
    return [soa, *(RRset(owner, tail[0] << 8 | tail[1], 1, tail) for owner, tail in pairs), soa]


def _by_owner(pairs: Iterable[Pair]) -> Iterator[tuple[bytes, list[bytes]]]:
    """Records of one owner that follow on one another together: the later ones point at the first one's name."""
    last, tails = b"", list[bytes]()
    for owner, tail in pairs:
        if owner != last and tails:
            yield last, tails
            tails = []
        last = owner
        tails.append(tail)
    if tails:
        yield last, tails
