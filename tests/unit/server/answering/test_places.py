"""Places: so many in all, so many for one client, nobody held up by another's share."""

import asyncio

from support.own_server import until

from nameserver.server.answering.places import Places


async def test_a_client_with_its_share_waits_and_holds_up_nobody_else() -> None:
    places = Places(3, 2)
    assert [await places.take(client, 0.0) for client in (b"a", b"a", b"a", b"b", b"c")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert (places.held, places.waiting) == (3, 0)


async def test_a_place_given_back_goes_to_the_first_who_may_have_it() -> None:
    places = Places(2, 1)
    assert await places.take(b"a", 0.0)
    assert await places.take(b"b", 0.0)
    got: list[bytes] = []

    async def wait(client: bytes) -> None:
        assert await places.take(client, 30.0)
        got.append(client)

    tasks = [asyncio.create_task(wait(client)) for client in (b"a", b"b", b"c", b"d")]
    await until(lambda: places.waiting == 4)
    for freed, expected in ((b"b", [b"b"]), (b"b", [b"b", b"c"]), (b"a", [b"b", b"c", b"a"])):
        places.give_back(freed)
        await until(lambda expected=expected: got == expected)
    places.give_back(b"c")
    await asyncio.gather(*tasks)
    assert got[-1] == b"d"
    assert (places.held, places.waiting) == (2, 0)


async def test_who_stops_waiting_leaves_no_trace() -> None:
    places = Places(1, 1)
    assert await places.take(b"a", 0.0)
    task = asyncio.create_task(places.take(b"b", 30.0))
    await until(lambda: places.waiting == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert places.waiting == 0
    places.give_back(b"a")
    assert places.held == 0


async def test_a_place_that_comes_as_its_waiter_is_cancelled_is_not_lost() -> None:
    places = Places(1, 1)
    assert await places.take(b"a", 0.0)
    task = asyncio.create_task(places.take(b"b", 30.0))
    await until(lambda: places.waiting == 1)
    places.give_back(b"a")  # granted, and the task has not run since
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert places.held == 0
    assert await places.take(b"c", 0.0)
