"""nameserver.server.leaving"""

import asyncio

from support.own_server import until

from nameserver.server.leaving import Leaving
from nameserver.zone.emptied import AT_ONCE, emptied


def entries(count: int) -> dict[bytes, bytes]:
    return {b"%d" % number: b"" for number in range(count)}


async def test_large_dicts_go_in_slices_between_which_the_loop_turns() -> None:
    first, second = entries(3 * AT_ONCE + 1), entries(2 * AT_ONCE)
    sizes: set[int] = set()
    leaving = Leaving()
    leaving.take(emptied(first))
    leaving.take(emptied(second))
    assert len(first) == 3 * AT_ONCE + 1
    while first or second:
        sizes.add(len(first) + len(second))
        await asyncio.sleep(0)
    assert len(sizes) >= 5


async def test_what_comes_after_the_last_has_gone_goes_too() -> None:
    leaving = Leaving()
    for count in (0, 1, AT_ONCE):
        each = entries(count)
        leaving.take(emptied(each))
        await until(lambda: not leaving._slices)
        assert not each
