"""Thousands of zones of one dead primary, in virtual time: real zone manager, runs, places and store; no sockets."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.managed import Managed, managed
from support.scripted_primary import Question, Versions
from support.virtual_time import VirtualLoop, run_virtually

from nameserver.config.model import Endpoint, PullLimits, Remote, ZoneConfig
from nameserver.errors import Reason, TransferError
from nameserver.refresh.timers import TimerLimits
from nameserver.server.zones import manager as zones
from nameserver.server.zones import pull
from nameserver.transfer.inbound import InboundTransfer, TransferKind
from nameserver.wire import names
from nameserver.wire.response import SoaResponse

DEAD, GOOD = Endpoint("192.0.2.1", 53), Endpoint("192.0.2.2", 53)
HOUR = 3600.0
TIMERS = TimerLimits(min_refresh=1800, min_retry=600, min_expire=1e6)
SILENT, STALLED, WELL = "silent", "stalled", "well"


@dataclass
class World:
    """The primaries as the network shows them; what was asked of each, from when to when."""

    loop: VirtualLoop
    state: dict[Endpoint, str]
    primary: Versions = field(default_factory=lambda: Versions(5))
    asked: dict[Endpoint, list[tuple[float, float]]] = field(default_factory=lambda: {DEAD: [], GOOD: []})

    async def exchange(self, endpoint: Endpoint, patience: float, *, udp: bool = False) -> None:
        """Time passes as it would; raises where nothing comes back."""
        began, state = self.loop.time(), self.state[endpoint]
        try:
            if state == SILENT or (state == STALLED and udp):
                await asyncio.sleep(patience)
                raise TransferError(Reason.CONNECT_TIMEOUT, f"no way to {endpoint} within {patience:g} s")
            if state == STALLED:
                await asyncio.sleep(30.0)
                raise TransferError(Reason.IDLE_TIMEOUT, "nothing whole arrived for 30 s")
            await asyncio.sleep(0.01)
        finally:
            self.asked[endpoint].append((began, self.loop.time()))

    async def soa_over_udp(self, peer: pull.Peer, _zone: ZoneConfig, limits: PullLimits) -> SoaResponse:
        await self.exchange(peer.endpoint, limits.udp_tries * limits.udp_timeout, udp=True)
        return self.soa()

    async def soa_over_tcp(self, peer: pull.Peer, _zone: ZoneConfig, limits: PullLimits, _kept: object) -> SoaResponse:
        await self.exchange(peer.endpoint, limits.connect_timeout)
        return self.soa()

    def soa(self) -> SoaResponse:
        return SoaResponse(0, True, False, self.primary.serial, b"", None, False)

    async def transfer(
        self,
        peer: pull.Peer,
        zone: ZoneConfig,
        kind: TransferKind,
        _held: object,
        make_inbound: Callable[[int, None], InboundTransfer],
        heard: Callable[[], None],
        _kept: object,
    ) -> InboundTransfer:
        await self.exchange(peer.endpoint, zone.pull.connect_timeout)
        heard()
        inbound = make_inbound(1, None)
        asked = 252 if kind is TransferKind.AXFR else 251
        section = zone.name + asked.to_bytes(2, "big") + b"\0\1"
        question = Question(zone.text, kind.name, "tcp", 1, section, False, self.primary.serial - 1, ("", 0))
        for message in self.primary.messages(question):
            inbound.feed(message, 0)
        return inbound


def zone(name: str, *endpoints: Endpoint) -> ZoneConfig:
    remotes = tuple(Remote("dead" if each == DEAD else "good", (each,)) for each in endpoints)
    return ZoneConfig(names.from_text(name), name, primaries=remotes, timers=TIMERS)


def simulate(
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    scenario: Callable[[Managed, World], Awaitable[None]],
    state: str = SILENT,
) -> None:
    """Run a scenario with the dead primary in this state and the good one well."""

    async def run(loop: VirtualLoop) -> None:
        world = World(loop, {DEAD: state, GOOD: WELL})
        for name in ("soa_over_udp", "soa_over_tcp", "transfer"):
            monkeypatch.setattr(pull, name, getattr(world, name))
        monkeypatch.setattr(zones, "machine_clock", loop.time)
        async with managed(directory) as ours:
            monkeypatch.setattr(ours.zones._refresher.reach, "_clock", loop.time)
            ours.zones._random.seed(1)  # of the jitter: each run is the same
            await scenario(ours, world)

    logging.getLogger("nameserver").setLevel(logging.ERROR)
    try:
        run_virtually(run)
    finally:
        logging.getLogger("nameserver").setLevel(logging.NOTSET)


def most_at_once(exchanges: list[tuple[float, float]]) -> int:
    """How many overlapped at the most."""
    events = sorted([(began, 1) for began, _ in exchanges] + [(ended, -1) for _, ended in exchanges])
    now = most = 0
    for _, change in events:
        now += change
        most = max(most, now)
    return most


def serving(ours: Managed, names: list[str]) -> int:
    return sum(ours.entry(name).state in ("serving", "refreshing") for name in names)


def held(ours: Managed, names: list[str]) -> set[int | None]:
    return {ours.serial(name) for name in names}


async def until_virtually(loop: VirtualLoop, predicate: Callable[[], bool], limit: float) -> float:
    """Let virtual time pass until something is so; how long it took, to a hundredth of the limit."""
    began = loop.time()
    while not predicate():
        assert loop.time() - began < limit
        await asyncio.sleep(limit / 100)
    return loop.time() - began


def test_two_thousand_zones_of_a_dead_primary_do_not_delay_the_one_of_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    many = [f"zone-{number}.example" for number in range(2000)]

    async def scenario(ours: Managed, world: World) -> None:
        await ours.start(*(zone(name, DEAD) for name in many), zone("good.example", GOOD))
        assert await until_virtually(world.loop, lambda: ours.serial("good.example") == 5, 5) < 1
        await until_virtually(world.loop, lambda: all(ours.entry(name).tried for name in many), 30)
        assert len(world.asked[DEAD]) < 10, "after the first of them had failed, the others knew"
        await asyncio.sleep(1000)  # all have been tried once more
        assert all(ours.entry(name).trouble.failures > 1 for name in many)
        assert len(world.asked[DEAD]) < 100

    simulate(monkeypatch, tmp_path, scenario)


def test_zones_whose_primary_is_away_for_an_hour_come_back_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Loaded, then without their primary, then with it again; one more zone has another primary."""
    many = [f"zone-{number}.example" for number in range(200)]

    async def scenario(ours: Managed, world: World) -> None:
        world.state[DEAD] = WELL
        await ours.start(*(zone(name, DEAD) for name in many), zone("good.example", GOOD))
        await until_virtually(world.loop, lambda: serving(ours, [*many, "good.example"]) == 201, 60)

        world.state[DEAD] = SILENT
        world.asked[DEAD].clear()
        await asyncio.sleep(1800)  # every refresh timer runs out
        world.primary.serial = 6
        ours.zones.notified(names.from_text("good.example"), GOOD.host, 6)
        assert await until_virtually(world.loop, lambda: ours.serial("good.example") == 6, 5) < 1
        await asyncio.sleep(1800)
        assert serving(ours, many) == 0
        known = world.asked[DEAD][0][1] + 11  # once a first one had failed over both transports
        later = [exchange for exchange in world.asked[DEAD] if exchange[0] > known]
        assert most_at_once(later) <= 2, "one over UDP, one over TCP"
        assert {ours.entry(name).trouble.reason for name in many} == {Reason.CONNECT_TIMEOUT}

        world.state[DEAD] = WELL
        took = await until_virtually(world.loop, lambda: serving(ours, many) == 200, HOUR)
        assert took <= 600 + 11 + 25 + HOUR / 100, "a zone's retry, and the rate of checks for the others"
        assert held(ours, many) == {6}

    simulate(monkeypatch, tmp_path, scenario)


def test_zones_that_were_never_loaded_come_with_the_first_that_gets_through(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Their own timers have backed off to an hour by then."""
    many = [f"zone-{number}.example" for number in range(200)]

    async def scenario(ours: Managed, world: World) -> None:
        await ours.start(*(zone(name, DEAD) for name in many), zone("good.example", GOOD))
        assert await until_virtually(world.loop, lambda: ours.serial("good.example") == 5, 5) <= 1
        await asyncio.sleep(5 * HOUR)
        assert most_at_once(world.asked[DEAD]) <= 5, "its places among the transfers, whenever ten minutes were over"
        detail = [ours.entry(name).trouble.detail for name in many]
        assert sum("not asked again: silent since" in each for each in detail) > 100, detail[:3]
        world.state[DEAD] = WELL
        await until_virtually(world.loop, lambda: any(ours.serial(name) for name in many), HOUR)
        assert await until_virtually(world.loop, lambda: all(ours.serial(name) for name in many), HOUR) < 20

    simulate(monkeypatch, tmp_path, scenario)


@pytest.mark.parametrize("state", [SILENT, STALLED])
def test_a_zone_with_a_second_primary_goes_there_first_once_the_first_is_known_to_be_silent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str
) -> None:
    both = [f"zone-{number}.example" for number in range(50)]

    async def scenario(ours: Managed, world: World) -> None:
        await ours.start(*(zone(name, DEAD, GOOD) for name in both))
        await until_virtually(world.loop, lambda: serving(ours, both) == 50, 60)
        assert len(world.asked[DEAD]) <= 5, "those that set out before the first one had failed"
        world.primary.serial = 6
        for name in both:
            ours.zones.notified(names.from_text(name), GOOD.host, 6)
        assert await until_virtually(world.loop, lambda: all(ours.serial(name) == 6 for name in both), 20) < 5
        assert len(world.asked[DEAD]) <= 5

    simulate(monkeypatch, tmp_path, scenario, state)


@pytest.mark.parametrize("order", ["refresh", "retransfer", "notify"])
def test_an_order_and_a_notify_have_a_silent_primary_asked_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, order: str
) -> None:
    many = [f"zone-{number}.example" for number in range(20)]

    async def scenario(ours: Managed, world: World) -> None:
        await ours.start(*(zone(name, DEAD) for name in many))
        await asyncio.sleep(HOUR)
        world.state[DEAD] = WELL
        began = world.loop.time()
        entry = ours.entry(many[7])
        if order == "refresh":
            ours.zones.refresh(entry)
        elif order == "retransfer":
            await ours.zones.retransfer(entry, wait=False)
        else:
            ours.zones.notified(names.from_text(many[7]), DEAD.host, None)
        await until_virtually(world.loop, lambda: ours.serial(many[7]) == 5, 60)
        await until_virtually(world.loop, lambda: all(ours.serial(name) == 5 for name in many), 60)
        assert world.loop.time() - began < 30

    simulate(monkeypatch, tmp_path, scenario)


def test_a_zone_that_its_primary_cannot_send_does_not_keep_the_others_from_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its transfers stand still each time; the other zones' go through, and are not late by more than a retry."""
    others = [f"zone-{number}.example" for number in range(10)]

    async def scenario(ours: Managed, world: World) -> None:
        whole = world.transfer

        async def transfer(peer, zone, *more):
            if zone.text == "stuck.example":
                await asyncio.sleep(30)
                raise TransferError(Reason.IDLE_TIMEOUT, "nothing whole arrived for 30 s")
            return await whole(peer, zone, *more)

        monkeypatch.setattr(pull, "transfer", transfer)
        await ours.start(zone("stuck.example", GOOD), *(zone(name, GOOD) for name in others))
        await until_virtually(world.loop, lambda: serving(ours, others) == 10, 60)
        for world.primary.serial in range(6, 16):
            await until_virtually(world.loop, lambda: held(ours, others) == {world.primary.serial}, 1800 + 600)
        stuck = ours.entry("stuck.example").trouble
        assert (stuck.reason, ours.serial("stuck.example")) == (Reason.IDLE_TIMEOUT, None)
        assert stuck.failures < 40, "it is retried on its own timer, and not whenever another zone is answered"

    simulate(monkeypatch, tmp_path, scenario)
