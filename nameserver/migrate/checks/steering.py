"""Answers that vary: a server that steers traffic gives the same question different answers, and no transfer says so.

    a few RRsets ─ asked several times, without a key, as a resolver would ─┬▶ other answers each time: varies
                                                                            └▶ not what was transferred: made up

What varies cannot be compared: one more question, and the difference is another. So it is told apart from what differs.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dns.name
import dns.rdatatype
from dns.rdatatype import AAAA, CNAME, HTTPS, NS, SOA, SVCB, A

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker, Outcome, Question, Reply
from nameserver.migrate.asking.zone_stream import ZoneStream, make_record, split_record
from nameserver.wire import names
from nameserver.wire.rdata import type_text
from nameserver.wire.tsig import TsigKey
from nameserver.zone.rdata_to_text import rdata_text
from nameserver.zone.sorted_places import key_at

STEERED = frozenset(map(int, (A, AAAA, CNAME, HTTPS, SVCB)))
TIMES = 3  # that each is asked
MOST = 32  # RRsets that are asked so
_NEAR = 64  # records that are looked through for one to ask
_NOTHING = "nothing"
_PRIVATE_USE = (0xFF00, 0xFFFD)  # RFC 6895 §3.1, without BIND's notes to itself

Wanted = tuple[bytes, int]  # place of an owner, type
Answer = tuple[str, ...]  # sorted rdata


@dataclass(frozen=True, slots=True)
class Varying:
    """An RRset with more than one answer at one server."""

    place: bytes
    rdtype: int
    answers: tuple[Answer, ...]

    def text(self, zone: bytes) -> str:
        """As part of a sentence."""
        return f"{wanted_text((self.place, self.rdtype), zone)}: {' | '.join(map(answer_text, self.answers))}"


@dataclass(frozen=True, slots=True)
class MadeUp:
    """An RRset that is always answered the same, and not as the server's own transfer has it."""

    place: bytes
    rdtype: int
    transferred: Answer
    answered: Answer

    def text(self, zone: bytes) -> str:
        """As part of a sentence."""
        told = f"answered {answer_text(self.answered)}, transferred {answer_text(self.transferred)}"
        return f"{wanted_text((self.place, self.rdtype), zone)}: {told}"


def wanted_text(wanted: Wanted, zone: bytes) -> str:
    """`www.example.com. A`."""
    return f"{names.to_text_absolute(key_at(wanted[0]) + zone)} {type_text(wanted[1])}"


def answer_text(answer: Answer) -> str:
    """The rdata of an answer, as part of a sentence."""
    return ", ".join(answer) or _NOTHING


async def ask_often(
    asker: Asker,
    zone: bytes,
    endpoint: Endpoint,
    wanted: Iterable[Wanted],
    times: int = TIMES,
    key: TsigKey | None = None,
) -> dict[Wanted, list[Answer]]:
    """The different answers to each question, in the order in which they came; none where none has authority."""
    found: dict[Wanted, list[Answer]] = {each: [] for each in wanted}

    async def ask(each: Wanted) -> None:
        place, rdtype = each
        name = dns.name.from_wire(key_at(place) + zone, 0)[0]
        kind = dns.rdatatype.RdataType.make(rdtype)
        answer = _answer(name, kind, await asker.ask(Question(name, kind), endpoint, key=key))
        if answer is not None and answer not in found[each]:
            found[each].append(answer)

    for _ in range(times):
        await asyncio.gather(*map(ask, found))
    return found


def _answer(name: dns.name.Name, kind: dns.rdatatype.RdataType, outcome: Outcome) -> Answer | None:
    """None for what says nothing: silence, a refusal, a referral."""
    if not isinstance(outcome, Reply) or not outcome.authoritative or outcome.rcode not in ("NOERROR", "NXDOMAIN"):
        return None
    found = outcome.answer(name, kind)
    if found is None and kind != CNAME:
        alias = outcome.answer(name, CNAME)
        return tuple(f"CNAME {record.to_text().lower()}" for record in alias or ())
    return tuple(sorted(_text(kind, record.to_wire() or b"") for record in found or ()))


def _text(rdtype: int, rdata: bytes) -> str:
    """With its names in lower case, as in a stream."""
    return rdata_text(rdtype, split_record(make_record(b"", rdtype, rdata, 0))[2])


def varying(answers: dict[Wanted, list[Answer]]) -> list[Varying]:
    """Those with more than one answer."""
    return [Varying(*wanted, tuple(sorted(each))) for wanted, each in answers.items() if len(each) > 1]


def sample(stream: ZoneStream, most: int = MOST) -> list[Wanted]:
    """What to ask: addresses at names with a provider's own types, then RRsets spread over the zone."""
    records = stream.records
    wanted: dict[Wanted, None] = {}
    for record in records:
        if b"\0\0\xff" in record and len(wanted) < most:
            place, rdtype, _, _ = split_record(record)
            if _PRIVATE_USE[0] <= rdtype <= _PRIVATE_USE[1]:
                wanted |= {(place, int(A)): None, (place, int(AAAA)): None}
    step = max(1, len(records) // most)
    for start in range(0, len(records), step):
        if len(wanted) >= most:
            break
        for record in records[start : start + min(step, _NEAR)]:
            place, rdtype, _, _ = split_record(record)
            if rdtype in STEERED and (place, rdtype) not in wanted and not _below_a_cut(stream, place):
                wanted[place, rdtype] = None
                break
    return list(wanted)


def _below_a_cut(stream: ZoneStream, place: bytes) -> bool:
    """Whether another zone begins at the name or above it: its answers may come from there."""
    parts = place.split(b"\0") if place else []
    return any(_transferred(stream, (b"\0".join(parts[:end]), int(NS))) for end in range(1, len(parts) + 1))


async def probe(
    asker: Asker, stream: ZoneStream, endpoint: Endpoint, times: int = TIMES
) -> tuple[list[Varying], list[MadeUp]]:
    """What the server that a stream was transferred from answers, beside that stream.

    Where the zone has changed meanwhile, only what varies once more: some that steer have a new serial each second.
    """
    answers = await ask_often(asker, stream.zone, endpoint, sample(stream), times)
    found = varying(answers)
    made_up = [
        MadeUp(*wanted, transferred, each[0])
        for wanted, each in answers.items()
        if len(each) == 1 and each[0] != (transferred := _transferred(stream, wanted)) and not _below_alias(each[0])
    ]
    if (found or made_up) and await _serial(asker, stream, endpoint) not in (None, stream.soa.serial):
        wanted = [(each.place, each.rdtype) for each in found]
        return varying(await ask_often(asker, stream.zone, endpoint, wanted, times)), []
    return found, made_up


async def settle(
    asker: Asker,
    stream: ZoneStream,
    endpoint: Endpoint,
    wanted: Iterable[Wanted],
    times: int = TIMES,
    key: TsigKey | None = None,
) -> list[Varying]:
    """What varies of a stream that was made of one answer each: those of `wanted` are asked again."""
    answers = await ask_often(asker, stream.zone, endpoint, wanted, times, key)
    return varying(
        {each: list(dict.fromkeys([_transferred(stream, each), *found])) for each, found in answers.items() if found}
    )


def _below_alias(answer: Answer) -> bool:
    """An alias for another type is told where the alias itself is asked for."""
    return any(each.startswith("CNAME ") for each in answer)


def _transferred(stream: ZoneStream, wanted: Wanted) -> Answer:
    place, rdtype = wanted
    head = place + b"\0\0" + rdtype.to_bytes(2, "big")
    found: list[str] = []
    at = bisect_left(stream.records, head)
    while at < len(stream.records) and stream.records[at].startswith(head):
        found.append(rdata_text(rdtype, split_record(stream.records[at])[2]))
        at += 1
    return tuple(sorted(set(found)))


async def _serial(asker: Asker, stream: ZoneStream, endpoint: Endpoint) -> int | None:
    apex = dns.name.from_wire(stream.zone, 0)[0]
    outcome = await asker.ask(Question(apex, SOA), endpoint)
    found = outcome.answer(apex, SOA) if isinstance(outcome, Reply) else None
    return found[0].serial if found else None


def told(where: str, found: Sequence[Varying], made_up: Sequence[MadeUp], zone: bytes) -> list[tuple[str, str, str]]:
    """Findings as (code, sentence, what to do)."""
    step = (
        "Traffic is steered there, or an alias resolved: no transfer takes that along. Set it up at the new side apart."
    )
    first = [("varies", f"{where} varies its answers to one question: {each.text(zone)}", step) for each in found]
    return first + [
        ("answers-differ", f"{where} does not answer what it hands out: {each.text(zone)}", step) for each in made_up
    ]
