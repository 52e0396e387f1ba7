"""A worker that is told of a pause: at once, before and during loads, with every question counted on its side."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.rcode
import pytest
from support.own_server import commit_text, until
from support.worker_end import Reins, worker_on
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.server.answering import worker as worker_module
from nameserver.server.settings import encode_zones
from nameserver.store.database import Store
from nameserver.wire import codes, names

ZONE, BESIDE = "example.com", "other.example"
NAME = names.from_text(ZONE)
CONFIG = ZoneConfig(NAME, ZONE)


@asynccontextmanager
async def worker(directory: Path, paused: int = 0) -> AsyncIterator[Reins]:
    """One that has loaded two zones, of which one is paused, or not, from the beginning."""
    store = Store.open(directory, 0.0)
    try:
        for zone in (ZONE, BESIDE):
            commit_text(store, zone, zone_text(zone, 1))
        async with worker_on(store.path) as reins:
            rows = encode_zones([CONFIG, ZoneConfig(names.from_text(BESIDE), BESIDE)], {CONFIG.name: paused})
            reins.channel.send("configure", keys=[], zones=rows)
            reins.load(ZONE, BESIDE)
            await until(lambda: reins.served(ZONE) and reins.served(BESIDE))
            yield reins
    finally:
        store.close()


async def rcode(reins: Reins, zone: str = ZONE) -> int:
    return (await reins.ask(f"ns1.{zone}")).rcode()


def pause(reins: Reins, rcode_: int) -> None:
    reins.channel.send("pause", zone=NAME.hex(), rcode=rcode_)


async def heard(reins: Reins) -> None:
    """Until all that was told before is in effect."""
    number = len(reins.heard("heard")) + 1
    reins.channel.send("hear", number=number)
    await until(lambda: len(reins.heard("heard")) == number)


async def test_queries_get_the_error_as_soon_as_it_is_heard_and_the_zone_as_soon_as_that_is(tmp_path: Path) -> None:
    async with worker(tmp_path) as reins:
        for _ in range(3):  # so that an answer is kept
            assert await rcode(reins) == dns.rcode.NOERROR
        for wanted in (codes.REFUSED, codes.SERVFAIL, codes.NOERROR):
            pause(reins, wanted)
            await heard(reins)
            for _ in range(3):
                assert (await rcode(reins), await rcode(reins, BESIDE)) == (wanted, dns.rcode.NOERROR)
        reins.channel.send("pause", zone=names.from_text("gone.example").hex(), rcode=codes.REFUSED)
        await heard(reins)  # of a zone that was just removed: nothing comes of it


async def test_a_new_worker_never_answers_a_zone_that_is_paused_already(tmp_path: Path) -> None:
    async with worker(tmp_path, codes.REFUSED) as reins:
        assert await rcode(reins) == dns.rcode.REFUSED
        pause(reins, 0)
        await heard(reins)
        assert await rcode(reins) == dns.rcode.NOERROR


async def test_neither_a_load_nor_an_expiry_nor_other_settings_end_it(tmp_path: Path) -> None:
    async with worker(tmp_path) as reins:
        pause(reins, codes.REFUSED)
        for state in ("expired", "serving"):
            reins.channel.send("state", zone=NAME.hex(), state=state)
            await heard(reins)
            assert await rcode(reins) == dns.rcode.REFUSED
        before = len(reins.heard("served"))
        reins.load(ZONE)
        await until(lambda: len(reins.heard("served")) > before)
        assert await rcode(reins) == dns.rcode.REFUSED
        reins.channel.send("configure", keys=[], zones=encode_zones([CONFIG], {CONFIG.name: codes.REFUSED}))
        await heard(reins)
        assert await rcode(reins) == dns.rcode.REFUSED
        reins.channel.send("configure", keys=[], zones=encode_zones([CONFIG]))
        await heard(reins)
        assert await rcode(reins) == dns.rcode.NOERROR


async def test_each_question_is_counted_before_in_or_after_the_pause_and_all_are_told_before_that_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(tmp_path) as reins:
        reins.said.clear()

        def told(*, paused: bool) -> int:
            rows = [header["queries"].get(NAME.hex(), (0, 0, False)) for header in reins.heard("beat")]
            return sum(row[0] for row in rows if row[2] is paused)

        for asked, wanted in ((5, codes.REFUSED), (7, codes.SERVFAIL), (2, 0), (4, codes.REFUSED)):
            for _ in range(asked):
                await rcode(reins)
            pause(reins, wanted)
            await heard(reins)
        assert (told(paused=False), told(paused=True)) == (5 + 4, 7 + 2)
        # The beats of every second go on between, and tell nothing twice.
        monkeypatch.setattr(worker_module, "BEAT_INTERVAL", 0.01)
        await asyncio.sleep(0.05)
        assert (told(paused=False), told(paused=True)) == (5 + 4, 7 + 2)
