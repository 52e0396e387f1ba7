"""From a version to the workers: committed first, told in the cheaper way, and disk trouble kept where it belongs."""

import asyncio
import logging
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.managed import Managed, managed
from support.own_server import commit_text, until
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.errors import StoreError
from nameserver.server.channel import unpack_changes
from nameserver.server.zones import publisher
from nameserver.server.zones.publisher import BATCH, INLINE_LIMIT, SMALL_ZONE, Publisher
from nameserver.store import state_file
from nameserver.store.database import Store, ZoneTimers
from nameserver.store.reader import StoreReader
from nameserver.wire import names
from nameserver.zone.builder import BuiltZone, Tally
from nameserver.zone.changes import Applied
from nameserver.zone.history import HistoryLimits
from nameserver.zone.zonefile import read_zone_file

ZONE = "example.com"
NAME = names.from_text(ZONE)
CONFIG = ZoneConfig(NAME, ZONE)
TIMERS = ZoneTimers(1.0, 1.0, 4e9, 4e9)


async def publish(ours: Managed, serial: int) -> None:
    built = read_zone_file(zone_text(ZONE, serial), NAME, "a test")
    await ours.publisher.publish_full(CONFIG, built, "a test", TIMERS)


async def change(ours: Managed, serial: int, nodes: dict[bytes, bytes | None]) -> None:
    built = read_zone_file(zone_text(ZONE, serial), NAME, "a test")
    applied = Applied({b"": built.nodes[b""], **nodes}, built.soa, built.soa_rdata, 0, 0, Tally(), ())
    await ours.publisher.publish_changes(CONFIG, lambda: (applied, TIMERS), "a test")


async def test_a_small_change_travels_inline_and_a_large_one_through_the_store(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        await publish(ours, 1)
        base = ours.publisher.stored[NAME].generation
        await change(ours, 2, {b"\x03new": b"\x00node", b"\x03www": None})
        await until(lambda: bool(ours.told("change")))
        header, body = next(each for each in ours.said if each[0]["kind"] == "change")
        assert (header["base"], header["generation"]) == (base, ours.publisher.stored[NAME].generation)
        assert dict(unpack_changes(body)).keys() == {b"", b"\x03new", b"\x03www"}
        await change(ours, 3, {b"\x03new": b"\x00" * INLINE_LIMIT})
        await until(lambda: len(ours.told("load")) == 1)
        assert len(ours.told("change")) == 1
        await until(lambda: ours.supervisor.serving(NAME, ours.publisher.stored[NAME].generation) == 1)


def serials_since(ours: Managed, serial: int) -> list[tuple[int, int]]:
    with closing(StoreReader(ours.store.path)) as reader:
        loaded = reader.load(NAME)
        assert loaded is not None
        with closing(loaded):
            return [(step.old_serial, step.new_serial) for step in loaded.steps_since(serial)]


async def test_what_distinguishes_a_whole_version_from_the_one_before_becomes_history(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        for serial in (4294967295, 0, 7):  # by RFC 1982, each is above the one before
            await publish(ours, serial)
        assert serials_since(ours, 4294967295) == [(4294967295, 0), (0, 7)]


@pytest.mark.parametrize(
    ("serial", "hosts", "said"),
    [(3, 20, "it is not above 5"), (5, 20, "it is not above 5"), (6, 9000, "larger than the zone")],
)
async def test_where_there_is_no_difference_to_be_had_the_history_begins_anew_and_why_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, serial: int, hosts: int, said: str
) -> None:
    caplog.set_level(logging.INFO)
    async with managed(tmp_path) as ours:
        for before in (4, 5):
            await publish(ours, before)
        assert serials_since(ours, 4)
        built = read_zone_file(zone_text(ZONE, serial, hosts=hosts).replace("192.0.2.", "198.51.100."), NAME, "a test")
        await ours.publisher.publish_full(CONFIG, built, "a test", TIMERS)
        assert not serials_since(ours, 4) and not serials_since(ours, 5)
        assert f"its history begins anew with serial {serial}" in caplog.text and said in caplog.text


async def test_a_zone_without_room_for_history_has_none(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        for serial in (1, 2):
            built = read_zone_file(zone_text(ZONE, serial), NAME, "a test")
            zone = replace(CONFIG, history=HistoryLimits(max_changes=0))
            await ours.publisher.publish_full(zone, built, "a test", TIMERS)
        assert not serials_since(ours, 1)


async def test_a_small_zone_travels_inline_and_a_large_one_through_the_store(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        await publish(ours, 1)
        await until(lambda: bool(ours.told("zone")))
        header, body = next(each for each in ours.said if each[0]["kind"] == "zone")
        assert (header["apex"], header["generation"]) == (NAME.hex(), ours.publisher.stored[NAME].generation)
        assert dict(unpack_changes(body)) == read_zone_file(zone_text(ZONE, 1), NAME, "a test").nodes
        built = read_zone_file(zone_text(ZONE, 2, hosts=SMALL_ZONE // 16), NAME, "a test")
        await ours.publisher.publish_full(CONFIG, built, "a test", TIMERS)
        await until(lambda: [header["zones"] for header in ours.told("load")] == [[NAME.hex()]])
        assert len(ours.told("zone")) == 1


async def test_small_versions_that_come_together_share_a_transaction_and_a_bad_one_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[int] = []
    together = Store.together
    monkeypatch.setattr(Store, "together", lambda self, writes: shared.append(len(writes)) or together(self, writes))

    def built(number: int) -> tuple[ZoneConfig, BuiltZone]:
        name = names.from_text(f"z{number}.example")
        whole = read_zone_file(zone_text(f"z{number}.example", number), name, "a test")
        nodes = {key: node for key, node in whole.nodes.items() if key or number != 7}  # the seventh has no apex
        return ZoneConfig(name, f"z{number}.example"), replace(whole, nodes=nodes)

    zones = [built(number) for number in range(20)]
    async with managed(tmp_path) as ours:
        results = await asyncio.gather(
            *(ours.publisher.publish_full(*zone, "a test", TIMERS) for zone in zones), return_exceptions=True
        )
        assert [number for number, result in enumerate(results) if isinstance(result, Exception)] == [7]
        assert isinstance(results[7], StoreError) and "apex" in str(results[7])
        assert max(shared) > 2
        assert {zone.text: zone.serial for zone in ours.store.zones().values()} == {
            f"z{number}.example": number for number in range(20) if number != 7
        }
        generations = [zone.generation for zone in ours.publisher.stored.values()]
        assert len(set(generations)) == 19


@pytest.mark.parametrize(("first", "waits"), [(1, "GATHER"), (10, "GATHER_CROWD")])
async def test_what_comes_soon_after_a_write_waits_for_more_and_is_written_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, waits: str
) -> None:
    """Zones of a first sync come one by one: a transaction for each, and a turn of two threads, would cost more."""
    for name in ("GATHER", "GATHER_CROWD"):
        monkeypatch.setattr(f"nameserver.server.zones.publisher.{name}", 1.0 if name == waits else 0.0)
    batches: list[int] = []
    write_batch = Publisher._write_batch

    def counted(self: Publisher, loop: Any, batch: list[Any]) -> None:
        batches.append(len(batch))
        write_batch(self, loop, batch)

    monkeypatch.setattr(Publisher, "_write_batch", counted)
    zones = [ZoneConfig(names.from_text(f"z{number}.example"), f"z{number}.example") for number in range(first + 9)]
    async with managed(tmp_path) as ours:
        publishing = []
        for zone in zones:
            built = read_zone_file(zone_text(zone.text, 1), zone.name, "a test")
            publishing.append(asyncio.create_task(ours.publisher.publish_full(zone, built, "a test", TIMERS)))
            if len(publishing) == first:
                await asyncio.gather(*publishing)  # what comes together after a rest is written at once
            elif len(publishing) > first:
                await asyncio.sleep(0)
        await asyncio.gather(*publishing)
        assert batches == [first, 9]


async def test_a_change_and_what_it_is_made_of_share_the_stores_thread(tmp_path: Path) -> None:
    """What `prepare` raises is raised, and nothing is written."""

    def prepare() -> tuple[Applied, ZoneTimers]:
        raise StoreError("no such luck")

    async with managed(tmp_path) as ours:
        await publish(ours, 1)
        with pytest.raises(StoreError, match="luck"):
            await ours.publisher.publish_changes(CONFIG, prepare, "a test")
        assert ours.store.zones()[NAME].serial == 1


@pytest.mark.parametrize("whole", [True, False])
async def test_a_version_that_is_being_written_is_told_to_the_workers_though_its_run_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """As by a promotion, which goes on from what is stored."""
    writing, go_on = threading.Event(), threading.Event()
    method = "commit_full" if whole else "commit_changes"
    commit = getattr(Store, method)

    def slow(self: Store, *words: object, **more: object) -> object:
        writing.set()
        go_on.wait(30)
        return commit(self, *words, **more)

    async with managed(tmp_path) as ours:
        await publish(ours, 1)
        monkeypatch.setattr(Store, method, slow)
        run = asyncio.create_task(publish(ours, 2) if whole else change(ours, 2, {}))
        await until(writing.is_set)
        for _ in range(2):
            run.cancel()
            await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await run
        stored = ours.publisher.stored[NAME]
        assert stored == ours.store.zones()[NAME] and stored.serial == 2
        await until(lambda: ours.supervisor.serving(NAME, stored.generation) == 1)
        assert len(ours.told("zone")) == (2 if whole else 1) and len(ours.told("change")) == (0 if whole else 1)


async def test_a_compaction_that_fails_does_not_make_a_failure_of_the_change_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_store: Store, _name: bytes) -> bool:
        raise StoreError("the disk is full")

    async with managed(tmp_path) as ours:
        await publish(ours, 1)
        monkeypatch.setattr(Store, "needs_compaction", full)
        with caplog.at_level(logging.WARNING):
            await change(ours, 2, {})
        assert ours.publisher.stored[NAME].serial == 2
        assert "the disk is full" in caplog.text


async def test_an_overlay_that_has_grown_is_compacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nameserver.store.database.COMPACT_ROWS", 3)
    async with managed(tmp_path) as ours:
        await publish(ours, 1)
        await change(ours, 2, {b"\x01%c" % letter: b"\x00node" for letter in b"abcdefgh"})
        assert ours.store.zones()[NAME].overlay_rows == 0


async def test_timers_of_many_checks_share_a_write_and_survive_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_store: Store, _rows: object) -> None:
        raise StoreError("the disk is full")

    async with managed(tmp_path) as ours:
        await publish(ours, 1)
        ours.publisher.save_timers(names.from_text("unknown.example"), TIMERS)
        ours.publisher.save_timers(NAME, TIMERS._replace(last_success=5.0))
        ours.publisher.save_timers(NAME, TIMERS._replace(last_success=6.0))
        with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
            patched.setattr(Store, "save_timers", full)
            await ours.publisher.flush_timers()
            assert "the disk is full" in caplog.text
        assert ours.store.zones()[NAME].last_success == 1.0
        await ours.publisher.flush_timers()
        assert ours.store.zones()[NAME].last_success == 6.0
        await ours.publisher.flush_timers()


async def test_timers_are_flushed_by_themselves_and_at_the_end(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        await publish(ours, 1)
        ours.publisher.save_timers(NAME, TIMERS._replace(last_success=7.0))
        ours.publisher._start_flush()
        await until(lambda: ours.store.zones()[NAME].last_success == 7.0)
        ours.publisher.save_timers(NAME, TIMERS._replace(last_success=8.0))
    again = Store.open(tmp_path, 0.0)
    assert again.zones()[NAME].last_success == 8.0
    again.close()


async def test_a_new_worker_is_told_everything_in_batches_and_expired_zones_apart(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        zones = [f"z{number}.example" for number in range(BATCH + 1)]
        stored = commit_text(ours.store, zones[0], zone_text(zones[0], 1))
        ours.publisher.stored = {
            names.from_text(zone): stored._replace(name=names.from_text(zone), text=zone) for zone in zones
        }
        ours.publisher.set_expired(names.from_text(zones[3]), True)
        config = ours.config(*(ZoneConfig(names.from_text(zone), zone) for zone in zones[:-1]))
        worker = ours.supervisor.workers[0]
        ours.publisher.bring_up(worker, config)
        await until(lambda: len(ours.told("load")) == 2)
        serving, expired = ours.told("load")
        assert (len(serving["zones"]), expired["zones"]) == (BATCH - 1, [names.from_text(zones[3]).hex()])
        assert (serving["state"], expired["state"]) == ("serving", "expired")
        assert len(worker.awaited) == BATCH, "the zone that is not configured is none of them"
        ours.publisher.configure([], config)
        worker.channel, channel = None, worker.channel
        ours.publisher.bring_up(worker, config)
        ours.publisher.configure([], config)
        worker.channel = channel


async def test_a_zone_that_is_removed_can_be_read_and_set_aside_no_more(tmp_path: Path) -> None:
    async with managed(tmp_path) as ours:
        await publish(ours, 1)
        read = ours.publisher.node_reader(NAME)
        assert await ours.publisher.in_store_thread(read, b"\x03www") is not None
        assert await ours.publisher.in_store_thread(read, b"\x04none") is None
        await ours.publisher.remove(NAME)
        assert await ours.publisher.in_store_thread(read, b"\x03www") is None
        assert await ours.publisher.quarantine(NAME) == set()


async def test_the_journal_of_a_large_version_is_copied_back_once_the_workers_answer_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "SMALL_ZONE", 0)
    monkeypatch.setattr(publisher, "LARGE_ZONE", 1)
    monkeypatch.setattr(publisher, "RELEASE_AFTER", 0.02)
    monkeypatch.setattr(state_file, "CHECKPOINT_AT", 1000)
    async with managed(tmp_path) as ours:
        journal = ours.store.path.with_name("state.db-wal")
        answered_at: list[bool] = []
        tend = ours.store.tend_journal

        def watched() -> None:
            stored = ours.publisher.stored[NAME]
            answered_at.append(ours.supervisor.serving(NAME, stored.generation) == len(ours.supervisor.workers))
            tend()

        monkeypatch.setattr(ours.store, "tend_journal", watched)
        await publish(ours, 1)
        assert journal.stat().st_size > 1000 and not answered_at
        await until(lambda: bool(answered_at))
        assert answered_at == [True]
        await until(lambda: journal.stat().st_size == 0)
