"""Both sides of a comparison, each by transfer where that is allowed and by questions where not."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from nameserver.config.model import Endpoint
from nameserver.errors import TransferError
from nameserver.migrate.asking import Asker
from nameserver.migrate.by_query import Wanted, ask_zone, restrict, wanted_of
from nameserver.migrate.compare import Side
from nameserver.migrate.zone_stream import ZoneStream, fetch_zone
from nameserver.wire.tsig import TsigKey

Progress = Callable[[str, int], None]  # is told which side, and how many records have come or questions been answered


@dataclass(frozen=True, slots=True)
class Source:
    """Where one side is had from."""

    name: str  # "old" or "new"
    text: str
    endpoint: Endpoint
    key: TsigKey | None = None


async def measure(
    asker: Asker,
    zone: bytes,
    old: Source,
    new: Source,
    names: list[Wanted] | None = None,
    progress: Progress = lambda side, records: None,
) -> tuple[Side, Side]:
    """Both sides, taken at the same time. `names`: what to ask for where neither side may be transferred.

    Raises TransferError where a side answers neither way, or where neither may be transferred and no names are given.
    """
    sources = (old, new)
    outcomes = await asyncio.gather(*(_transferred(asker, zone, source, progress) for source in sources))
    streams = [outcome for outcome in outcomes if isinstance(outcome, ZoneStream)]
    if not streams and names is None:
        [first, *_] = [outcome for outcome in outcomes if isinstance(outcome, TransferError)]
        text = f"{first.detail or first.reason}: neither side may be transferred; give --names FILE to ask for names"
        raise TransferError(first.reason, text)
    # Both transferred: then there is nothing to ask for.
    wanted = [] if len(streams) == 2 else wanted_of(streams[0]) if streams else names or []
    sides = []
    for source, outcome in zip(sources, outcomes, strict=True):
        if isinstance(outcome, ZoneStream):
            sides.append(Side(source.text, outcome))
            if len(streams) == 1:
                restrict(outcome, wanted)
            continue
        stream, coverage = await ask_zone(
            asker, zone, source.endpoint, wanted, source.key, partial(progress, source.name)
        )
        coverage.why = f"{outcome.reason}{f': {outcome.detail}' if outcome.detail else ''}"
        sides.append(Side(source.text, stream, coverage))
    return sides[0], sides[1]


async def _transferred(asker: Asker, zone: bytes, source: Source, progress: Progress) -> ZoneStream | TransferError:
    try:
        return await fetch_zone(
            zone,
            source.endpoint,
            source.key,
            source=asker.source_for(source.endpoint),
            progress=partial(progress, source.name),
        )
    except TransferError as error:
        return error
