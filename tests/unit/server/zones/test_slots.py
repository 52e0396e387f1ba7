"""Places towards primaries: in all, and of that with any one of them."""

import asyncio
from pathlib import Path

import pytest
from support.own_server import LOOPBACK, until

from nameserver.config.model import Endpoint, ServerConfig
from nameserver.server.zones.slots import Places, Slots


async def stay(places: Places, key: str, entered: list[str]) -> None:
    async with places.place(key):
        entered.append(key)
        await asyncio.Event().wait()


async def test_a_stalled_primary_holds_its_own_places_only() -> None:
    places = Places(3, 2)
    entered: list[str] = []
    stalled = [asyncio.create_task(stay(places, "stalled", entered)) for _ in range(5)]
    await until(lambda: entered == ["stalled"] * 2)
    other = asyncio.create_task(stay(places, "other", entered))
    await until(lambda: "other" in entered)
    assert (places.held, places.waiting) == (3, 3)
    second = asyncio.create_task(stay(places, "other", entered))  # has its primary's place, waits for one among all
    await until(lambda: places.waiting == 4)
    for task in (second, *stalled, other):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (places.held, places.waiting) == (0, 0)
    async with places.place("stalled"), places.place("stalled"), places.place("other"):
        assert places.held == 3, "every place is given back, however a wait for it ended"
    assert places._shares == {}, "nothing is kept of a primary that nobody asks"


async def test_a_place_can_be_given_back_before_its_context_ends() -> None:
    places = Places(1, 1)
    async with places.place("a") as first:
        first.give_back()
        async with places.place("a") as second:
            first.give_back()
            assert places.held == 1, "it is the second one's now"
            second.give_back()
        assert places.held == 0
    assert (places.held, places._shares) == (0, {})


@pytest.mark.parametrize(("checks", "share"), [(50, 12), (4, 1), (1, 1)])
async def test_one_address_gets_a_quarter_of_the_soa_checks(checks: int, share: int) -> None:
    """Hundreds of zones ask a dead primary; one zone of another primary gets its place at once."""
    slots = Slots(ServerConfig((Endpoint(LOOPBACK, 53),), Path("state"), Path("control"), soa_checks=checks))
    asking: list[str] = []

    async def ask(address: str) -> None:
        async with slots.check(address):
            asking.append(address)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(ask("192.0.2.1:53")) for _ in range(200)]
    await until(lambda: len(asking) == share)
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(asking) == share
    if checks > 1:
        tasks.append(asyncio.create_task(ask("192.0.2.2:53")))
        await until(lambda: asking[-1] == "192.0.2.2:53")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
