"""The sides of a comparison, each address by transfer where that is allowed and by questions where not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import dns.name
from dns.rdatatype import SOA

from nameserver.config.model import Endpoint, PullLimits, Remote
from nameserver.errors import TransferError
from nameserver.migrate.asking.asking import Asker, Question, Reply
from nameserver.migrate.asking.zone_stream import ZoneStream, fetch_zone, split_record
from nameserver.migrate.checks.by_query import OF_SIGNERS, Askable, Wanted, ask_zone, askable_of, restrict
from nameserver.migrate.checks.compare import Side, differences, without_dnssec
from nameserver.migrate.checks.sampling import Sample, SampleSize, choose
from nameserver.migrate.checks.steering import TIMES, MadeUp, Varying, probe, sample, settle
from nameserver.wire.names import to_text
from nameserver.wire.tsig import TsigKey

MOST_AGAIN = 200  # RRsets that differ and are asked for again: are they always answered so?
Progress = Callable[[str, int], None]  # is told which side, and how many records have come or questions been answered


@dataclass(frozen=True, slots=True)
class Source:
    """One address that a side is had from."""

    name: str  # "old" or "new"
    text: str
    endpoint: Endpoint
    key: TsigKey | None = None
    over_tls: Remote | None = None  # with the one address that the zone is had from over TLS

    @property
    def shown(self) -> str:
        """The server as it was given, with the address that is meant where that is another."""
        where = str(self.endpoint)
        return where if self.text in (where, self.endpoint.host) else f"{self.text} ({where})"

    async def fetch(self, asker: Asker, zone: bytes, limits: PullLimits, progress: Callable[[int], None]) -> ZoneStream:
        """The zone (folded wire name) by transfer, over TLS where that is how. Raises TransferError."""
        at = self.over_tls.addresses[0] if self.over_tls else self.endpoint
        local = asker.source_for(at) or (self.over_tls.source if self.over_tls else None)
        tls = self.over_tls.tls if self.over_tls else None
        return await fetch_zone(zone, at, self.key, source=local, tls=tls, limits=limits, progress=progress)


class Unavailable(TransferError):
    """An address answers neither way; `source` is which."""

    def __init__(self, source: Source, error: TransferError, text: str = "") -> None:
        super().__init__(error.reason, text or error.detail)
        self.source = source


@dataclass(frozen=True, slots=True)
class Had:
    """What a transfer from one address ended in, and how it answers beside what it handed out.

    `outcome`: None where nobody tried, since a sample will do.
    """

    source: Source
    outcome: ZoneStream | TransferError | None
    varying: Sequence[Varying] = ()
    made_up: Sequence[MadeUp] = ()

    def side(self, stream: ZoneStream) -> Side:
        """As a side of a comparison."""
        return Side(self.source.shown, stream, varying=list(self.varying), made_up=list(self.made_up))


@dataclass(slots=True)
class Taker:
    """Takes zones. `names`: what to ask for where neither side may be transferred. `times`: how often is asked again
    what may vary.

    `size`: where a sample is enough, `seed` what it follows from. Then one side is transferred at most, since names
    have to come from somewhere, and none where `names` are given.
    """

    asker: Asker
    zone: bytes
    names: list[Wanted] | None = None
    limits: PullLimits = field(default_factory=PullLimits)
    ignore_dnssec: bool = False
    times: int = TIMES
    progress: Progress = lambda side, records: None
    expect: Callable[[int], None] = lambda records: None  # is told how many are to come, as soon as that is known
    size: SampleSize | None = None
    seed: str = ""
    sample: Sample | None = None  # the first that was asked for

    def may_transfer(self, standard: Had | None = None) -> bool:
        """Whether a transfer is to be tried: where a sample will do, until one side is had."""
        had = standard is not None and isinstance(standard.outcome, ZoneStream)
        return self.size is None or (self.names is None and not had)

    async def transfer(self, source: Source, standard: Had | None = None) -> Had:
        """The zone from one address, or why it is not to be had by transfer. `standard`: what it is held against."""
        if not self.may_transfer(standard):
            return Had(source, None)
        try:
            stream = await source.fetch(self.asker, self.zone, self.limits, partial(self.progress, source.name))
        except TransferError as error:
            return Had(source, error)
        if self.ignore_dnssec:
            stream.records = without_dnssec(stream.records)
        return Had(source, stream, *await probe(self.asker, stream, source.endpoint, self.times))

    async def first(self, sources: Sequence[Source]) -> tuple[Had, list[Had]]:
        """(the first that may be transferred, else the first of all; those that were tried in vain before it)."""
        failed: list[Had] = []
        for source in sources:
            had = await self.transfer(source)
            if isinstance(had.outcome, ZoneStream):
                self.expect(len(had.outcome.records))
                return had, failed
            failed.append(had)
        return failed[0], failed[1:]

    async def pair(self, one: Had, two: Had) -> tuple[Side, Side]:
        """Both, as far as they can be compared. Raises Unavailable."""
        if isinstance(one.outcome, ZoneStream) and isinstance(two.outcome, ZoneStream):
            return one.side(one.outcome), two.side(two.outcome)
        if isinstance(one.outcome, ZoneStream):
            return await self._beside(one, one.outcome, two)
        if isinstance(two.outcome, ZoneStream):
            second, first = await self._beside(two, two.outcome, one)
            return first, second
        if self.names is None:
            error = one.outcome
            if error is None:
                raise AssertionError("where there is no list, a transfer was tried")
            text = (
                f"{error.detail or error.reason}: neither side may be transferred; give --names FILE to ask for names"
            )
            raise Unavailable(one.source, error, text)
        wanted: Sequence[Wanted] = self.names
        if self.size is not None:
            wanted = self._sampled(wanted, await self._serial(one.source))
        first, second = await self._ask(one, Askable(wanted)), await self._ask(two, Askable(wanted))
        await self._settle(first, second.stream, one.source)
        await self._settle(second, first.stream, two.source)
        return first, second

    async def _beside(self, had: Had, stream: ZoneStream, other: Had) -> tuple[Side, Side]:
        """A side that was transferred, and one that is asked for each RRset of it."""
        every = askable_of(stream)
        chosen = every if self.size is None else every.of(self._sampled(every.wanted, str(stream.soa.serial)))
        asked = await self._ask(other, chosen)
        kept, left_out = restrict(stream, chosen, asked.coverage.shown, () if self.size is None else every.wanted)
        asked.coverage.of = len(stream.records) + 1
        asked.coverage.left_out = left_out
        side = had.side(replace(stream, records=kept))
        await self._settle(asked, side.stream, other.source)
        return side, asked

    def _sampled(self, every: Sequence[Wanted], serial: str) -> Sequence[Wanted]:
        sample = choose(
            every, self.size or SampleSize(percent=100), self.seed or f"{to_text(self.zone)} {serial}".rstrip()
        )
        self.sample = self.sample or sample
        return sample.wanted

    async def _serial(self, source: Source) -> str:
        """What an address says that its serial is, as text; "" where it does not say."""
        apex = dns.name.from_wire(self.zone, 0)[0]
        outcome = await self.asker.ask(Question(apex, SOA), source.endpoint, key=source.key)
        found = outcome.answer(apex, SOA) if isinstance(outcome, Reply) else None
        return str(found[0].serial) if found else ""

    async def _settle(self, asked: Side, beside: ZoneStream, source: Source) -> None:
        """Ask again for what differs, and for some of what could vary: is it always answered so?"""
        differing = {
            split_record(each.old or each.new or b"")[:2]: None
            for each in differences(asked.stream.records, beside.records)
        }
        unlike = [each for each in differing if each[1] not in OF_SIGNERS and each not in asked.coverage.shown]
        wanted = unlike[:MOST_AGAIN] + sample(asked.stream)
        again = [each for each in dict.fromkeys(wanted) if each not in asked.coverage.unanswered]
        asked.varying = await settle(self.asker, asked.stream, source.endpoint, again, self.times, source.key)

    async def _ask(self, had: Had, asked: Askable) -> Side:
        source = had.source
        self.expect(len(asked.wanted) + len(asked.proofs))
        if isinstance(had.outcome, ZoneStream):
            raise AssertionError("who could be transferred is not asked")
        try:
            stream, coverage = await ask_zone(
                self.asker, self.zone, source.endpoint, asked, source.key, partial(self.progress, source.name)
            )
        except TransferError as error:
            raise Unavailable(source, error) from error
        failure = had.outcome
        coverage.by_choice = failure is None
        coverage.why = (
            "a sample was asked for"
            if failure is None
            else f"{failure.reason}{f': {failure.detail}' if failure.detail else ''}"
        )
        if self.sample is not None:
            coverage.sample = self.sample.share
        return Side(source.shown, stream, coverage)
