"""What is said to other servers waits in lanes: bounded, at a rate, and nobody's silence holds up another."""

import asyncio
from collections import Counter

import pytest
from support.virtual_time import VirtualLoop, run_virtually

from nameserver.server.zones import lanes as lanes_module
from nameserver.server.zones.lanes import Lanes


def test_ten_thousand_zones_are_begun_at_the_rate_however_many_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[float] = []

    async def scenario(loop: VirtualLoop) -> None:
        async def work(_to: str, _zone: bytes, _what: int) -> None:
            begun.append(loop.time())

        monkeypatch.setattr(lanes_module, "machine_clock", loop.time)
        lanes: Lanes[str, int] = Lanes("work", work, at_once=256, at_once_to_one=16, rate=500)
        for number in range(10_000):
            lanes.put(f"server-{number % 3}", number.to_bytes(2, "big"), number)
        await asyncio.sleep(60)
        await lanes.stop()

    run_virtually(scenario)
    assert begun[-1] - begun[0] == pytest.approx(20, abs=0.1)
    assert max(Counter(int(each) for each in begun).values()) <= 501


def test_a_server_that_never_answers_keeps_its_own_places_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, bytes]] = []

    async def scenario(loop: VirtualLoop) -> None:
        async def work(to: str, zone: bytes, _what: int) -> None:
            if to == "silent":
                await asyncio.sleep(1_000_000)
            done.append((to, zone))

        monkeypatch.setattr(lanes_module, "machine_clock", loop.time)
        lanes: Lanes[str, int] = Lanes("work", work, at_once=20, at_once_to_one=16, rate=1000)
        for number in range(100):
            for to in ("silent", "good"):
                lanes.put(to, bytes((number,)), number)
        await asyncio.sleep(10)
        silent = lanes.lane("silent")
        assert silent is not None and len(silent.tasks) == 16 and len(silent.waiting) == 84
        assert len(done) == 100 and lanes.lane("good") is None, "an empty lane is gone"
        lanes.leave(b"\x63", "silent")
        lanes.leave(b"\x62")
        assert len(silent.waiting) == 82
        await lanes.stop()
        assert lanes.lane("silent") is None

    run_virtually(scenario)


def test_what_is_put_later_takes_the_place_of_what_waits_and_a_fault_is_one_zones(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[tuple[bytes, int]] = []

    async def scenario(loop: VirtualLoop) -> None:
        async def work(_to: str, zone: bytes, what: int) -> None:
            if zone == b"b":
                raise ValueError("a fault")
            done.append((zone, what))

        monkeypatch.setattr(lanes_module, "machine_clock", loop.time)
        lanes: Lanes[str, int] = Lanes("work", work, at_once=1, at_once_to_one=1, rate=1000)
        for zone, what in ((b"a", 1), (b"b", 1), (b"a", 2), (b"c", 3)):
            lanes.put("server", zone, what)
        await asyncio.sleep(1)

    run_virtually(scenario)
    assert done == [(b"a", 2), (b"c", 3)]
    assert "work server broke; please report this" in caplog.text
