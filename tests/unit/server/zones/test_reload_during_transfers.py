"""A reload while zones are on their way in: what it does not name goes on, what it takes away is gone at once."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.managed import CALM, PATIENT, managed
from support.own_server import until
from support.scripted_primary import Act, Question, Versions, scripted, sent

from nameserver.wire import names

ZONE = "example.com"


class Gate(Versions):
    """A good primary that stops in the middle of each transfer until the gate is open."""

    def __init__(self) -> None:
        super().__init__(hosts=20)
        self.open = False

    def __call__(self, question: Question) -> Iterator[Act]:  # type: ignore[override]
        messages = self.messages(question)
        half = len(messages) // 2 if question.transport == "tcp" and not self.open else 0
        yield from sent(question, messages[:half])
        while half and not self.open:
            yield 0.005
        yield from sent(question, messages[half:])


@pytest.mark.parametrize("held", [False, True])
async def test_a_zone_removed_during_its_transfer_is_gone_and_one_added_again_begins_anew(
    tmp_path: Path, held: bool
) -> None:
    """F59: nothing of it is left in the store, and what the removed one had begun does not come back."""
    gate = Gate()
    async with scripted(gate) as primary, managed(tmp_path) as ours:
        zone = primary.zone(ZONE, pull=PATIENT, timers=CALM)
        gate.open = held
        await ours.start(zone)
        if held:
            await until(lambda: ours.serial(ZONE) == 5)
            await ours.idle(ZONE)
            gate.open, gate.serial = False, 6
            ours.zones.refresh(ours.entry(ZONE))
        await until(lambda: primary.open == 1)
        await ours.zones.reconcile(ours.config())
        await until(lambda: primary.open == 0)
        name = names.from_text(ZONE)
        assert ours.serial(ZONE) is None and name not in ours.store.zones()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("refresh")]
        # In the same second, and with a primary that is an older one: what was held does not count any more.
        gate.serial = 3
        del primary.asked[:]
        await ours.zones.reconcile(ours.config(zone))
        await until(lambda: primary.open == 1)
        assert ours.serial(ZONE) is None and ours.entry(ZONE).task is not None
        gate.open = True
        await until(lambda: ours.serial(ZONE) == 3)
        assert primary.kinds()[-1] == "AXFR/tcp" and "IXFR/tcp" not in primary.kinds()
        assert ours.store.zones()[name].serial == 3


async def test_a_zone_removed_and_added_again_over_and_over_ends_as_it_was_configured_last(tmp_path: Path) -> None:
    """F59."""
    gate = Gate()
    async with scripted(gate) as primary, managed(tmp_path) as ours:
        zone = primary.zone(ZONE, pull=PATIENT, timers=CALM)
        await ours.start(zone)
        for _ in range(20):
            await ours.zones.reconcile(ours.config())
            await ours.zones.reconcile(ours.config(zone))
            await asyncio.sleep(0)
        gate.open = True
        await until(lambda: ours.serial(ZONE) == 5)
        await until(lambda: primary.open == 0)
        await ours.zones.reconcile(ours.config())
        assert ours.store.zones() == {} and ours.zones.entries == {}


async def test_a_reload_leaves_fifty_transfers_under_way_alone(tmp_path: Path) -> None:
    """F61: thirty that run and the rest, which wait for a place; one zone goes, one is changed, one comes."""
    gate = Gate()
    zones = [f"zone-{number:02}.example" for number in range(50)]
    async with (
        scripted(gate) as primary,
        managed(tmp_path, transfers_in=30, transfers_per_primary=30, soa_checks=200, soa_rate=1000) as ours,
    ):
        configs = [primary.zone(zone, pull=PATIENT, timers=CALM) for zone in zones]
        await ours.start(*configs)
        await until(lambda: primary.kinds().count("AXFR/tcp") == 30 and all(ours.entry(zone).task for zone in zones))
        running = {each.zone for each in primary.asked if each.kind == "AXFR"}
        tasks = {zone: ours.entry(zone).task for zone in zones}
        assert all(task is not None and not task.done() for task in tasks.values())
        transferring, questions = primary.open, len(primary.asked)
        new = primary.zone("new.example", pull=PATIENT, timers=CALM)
        changed = replace(configs[1], timers=replace(CALM, min_retry=77.0))
        await ours.zones.reconcile(ours.config(changed, *configs[2:], new))
        await asyncio.sleep(0.05)
        assert {zone: ours.entry(zone).task for zone in zones[2:]} == {zone: tasks[zone] for zone in zones[2:]}
        assert not any(tasks[zone].done() for zone in zones[2:])
        assert not {each.zone for each in primary.asked[questions:]} & (running - set(zones[:2]))
        assert primary.open == transferring, "the place of the zone that went is another one's"
        gate.open = True
        await until(lambda: all(ours.serial(zone) == 5 for zone in [*zones[1:], "new.example"]), 15)
        asked = [each.zone for each in primary.asked if each.kind == "AXFR"]
        assert sorted(asked) == sorted({*asked}), "none was begun a second time"
        assert ours.serial(zones[0]) is None and zones[0] not in {
            each.config.text for each in ours.zones.entries.values()
        }
