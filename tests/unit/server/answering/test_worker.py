"""An answering process: what it is told to load, change, expire and forget, and the races between these."""

import asyncio
import gc
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import dns.rcode
import pytest
from support.cpu import least_cpu_seconds
from support.own_server import commit_hosts, commit_text, until
from support.signing import Nsec, signed_nodes
from support.worker_end import Reins, worker_on
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.errors import StoreError, StoreFault
from nameserver.query.zoneset import ZoneState
from nameserver.server.answering import worker as worker_module
from nameserver.server.channel import pack_changes
from nameserver.store.database import Store, StoredZone, ZoneTimers
from nameserver.wire import names
from nameserver.zone import contents as contents_module
from nameserver.zone.checks import check_apex
from nameserver.zone.contents import Zone, ZoneLoader
from nameserver.zone.parted import PartedNodes
from nameserver.zone.zonefile import read_zone_file

ZONE = "example.com"
NAME = names.from_text(ZONE)
CONFIG = ZoneConfig(NAME, ZONE)
TIMERS = ZoneTimers(1.0, 1.0, 4e9, 4e9)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(tmp_path, 0.0)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every zone is loaded by itself, with turns of the loop in between; `test_small_zones_…` takes that back."""
    monkeypatch.setattr(worker_module, "SMALL", 0)


def commit(store: Store, serial: int, zone: str = ZONE, hosts: int = 20) -> StoredZone:
    return commit_text(store, zone, zone_text(zone, serial, hosts=hosts))


def change(store: Store, serial: int) -> tuple[StoredZone, bytes]:
    """Commit the next serial as a change of few nodes; its message body."""
    built = read_zone_file(zone_text(ZONE, serial), NAME, "a test")
    return commit_nodes(store, serial, {key: built.nodes[key] for key in (b"", b"\x06serial")})


def commit_nodes(store: Store, serial: int, nodes: dict[bytes, bytes]) -> tuple[StoredZone, bytes]:
    """Commit these nodes as the next serial; its message body."""
    held = store.zones()[NAME]
    stored = store.commit_changes(
        NAME,
        nodes,
        base_generation=held.generation,
        serial=serial,
        soa_rdata=check_apex(nodes[b""], NAME),
        records_delta=0,
        timers=TIMERS,
    )
    return stored, pack_changes(nodes)


def send_change(reins: Reins, stored: StoredZone, base: int, body: bytes) -> None:
    reins.channel.send("change", body, zone=NAME.hex(), generation=stored.generation, base=base)


async def serial_of(reins: Reins, zone: str = ZONE) -> int | None:
    reply = await reins.ask(zone, "SOA")
    return reply.answer[0][0].serial if reply.answer else None


def held_by(reins: Reins) -> Zone | None:
    served = reins.worker.zones.exact(NAME)
    return None if served is None else served.zone


@asynccontextmanager
async def loaded(store: Store) -> AsyncIterator[Reins]:
    """A worker that serves serial 1."""
    stored = commit(store, 1)
    async with worker_on(store.path) as reins:
        reins.configure(CONFIG)
        reins.load(ZONE)
        await until(lambda: reins.served(ZONE) == stored.generation)
        yield reins


class Gate:
    """Holds a worker's loading after its first slice, as a zone of millions of records would."""

    def __init__(self, reins: Reins) -> None:
        self._real = reins.worker._reader.load
        self.entered = asyncio.Event()
        self.loads = 0
        self._open = False
        reins.worker._reader.load = self._load  # type: ignore[method-assign]

    def _load(self, name: bytes):
        found = self._real(name)
        self.loads += 1
        if found is not None and not self._open:
            items = [item for part in found.slices for item in part]
            found.slices = self._slices(items)
        return found

    def _slices(self, items):
        yield items[:1]
        self.entered.set()
        number = 1
        while not self._open:
            yield []  # the loop turns after each slice
        yield items[number:]

    def open(self) -> None:
        self._open = True


async def test_a_zone_is_answered_once_it_is_loaded(store: Store) -> None:
    stored = commit(store, 1)
    async with worker_on(store.path) as reins:
        assert (await reins.ask(ZONE, "SOA")).rcode() == dns.rcode.REFUSED
        reins.configure(CONFIG)
        await until(lambda: reins.worker.zones.exact(NAME) is not None)
        assert (await reins.ask(ZONE, "SOA")).rcode() == dns.rcode.SERVFAIL
        reins.load(ZONE)
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert await serial_of(reins) == 1


async def test_a_new_worker_answers_nobody_before_it_has_loaded_what_is_held(store: Store) -> None:
    """What waits in the socket since its predecessor died must not be told REFUSED or SERVFAIL."""
    commit(store, 1, hosts=2000)
    async with worker_on(store.path, listen=False) as reins:
        gate = Gate(reins)
        waiting = asyncio.create_task(serial_of(reins))
        reins.configure(CONFIG)
        reins.load(ZONE)
        reins.channel.send("listen")
        await gate.entered.wait()
        assert not waiting.done()
        assert not reins.heard("ready")
        gate.open()
        assert await waiting == 1
        await until(lambda: bool(reins.heard("ready")))


async def test_a_worker_whose_zones_take_long_to_load_answers_from_those_it_has(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nameserver.server.answering.worker.LISTEN_PATIENCE", 0.0)
    commit(store, 1, hosts=2000)
    async with worker_on(store.path, listen=False) as reins:
        gate = Gate(reins)
        reins.configure(CONFIG)
        reins.load(ZONE)
        reins.channel.send("listen")
        await gate.entered.wait()
        assert (await reins.ask(ZONE, "SOA")).rcode() == dns.rcode.SERVFAIL
        gate.open()


async def test_a_change_is_applied_and_confirmed(store: Store) -> None:
    async with loaded(store) as reins:
        base = store.zones()[NAME].generation
        stored, body = change(store, 2)
        send_change(reins, stored, base, body)
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert await serial_of(reins) == 2
        assert len(reins.heard("served")) == 2


async def test_a_worker_that_missed_a_change_loads_the_whole(store: Store) -> None:
    async with loaded(store) as reins:
        change(store, 2)
        base = store.zones()[NAME].generation
        stored, body = change(store, 3)
        send_change(reins, stored, base, body)
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert await serial_of(reins) == 3


async def test_a_large_zone_that_becomes_signed_is_loaded_in_slices(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making its indexes takes as long as the zone is large: too long for the turn in which a change is applied."""
    monkeypatch.setattr("nameserver.server.answering.worker.INDEXED_AT_ONCE", 10)
    async with loaded(store) as reins:
        before = held_by(reins)
        for serial in (2, 3):
            apex = f"@ 3600 SOA ns1 host {serial} 3600 600 86400 300\n@ 3600 NS ns1"
            nodes = {b"": signed_nodes(apex, f"{ZONE}.", Nsec())[1][b""]}
            stored, body = commit_nodes(store, serial, nodes)
            send_change(reins, stored, stored.generation - 1, body)
            await until(lambda stored=stored: reins.served(ZONE) == stored.generation)
            assert await serial_of(reins) == serial
            assert (held_by(reins) is before) is (serial == 3), "once signed, changes are applied as ever"
            before = held_by(reins)


async def test_a_change_older_than_what_is_served_is_confirmed_and_changes_nothing(store: Store) -> None:
    async with loaded(store) as reins:
        base = store.zones()[NAME].generation
        old, body = change(store, 2)
        newest, _ = change(store, 3)
        reins.load(ZONE)
        await until(lambda: reins.served(ZONE) == newest.generation)
        send_change(reins, old, base, body)
        await until(lambda: len(reins.heard("served")) == 3)
        assert await serial_of(reins) == 3


async def test_a_version_committed_while_an_older_one_is_being_loaded_is_loaded_too(store: Store) -> None:
    async with loaded(store) as reins:
        gate = Gate(reins)
        commit(store, 2)
        reins.load(ZONE)
        await gate.entered.wait()
        newest = commit(store, 3)
        reins.load(ZONE)
        await until(lambda: NAME in reins.worker._loads)
        gate.open()
        await until(lambda: reins.served(ZONE) == newest.generation)
        assert await serial_of(reins) == 3
        assert gate.loads == 2


async def test_changes_that_come_during_a_load_are_applied_after_it(store: Store) -> None:
    async with loaded(store) as reins:
        gate = Gate(reins)
        base = commit(store, 2)
        reins.load(ZONE)
        await gate.entered.wait()
        second, body = change(store, 3)
        send_change(reins, second, base.generation, body)
        third, body = change(store, 4)
        send_change(reins, third, second.generation, body)
        assert await serial_of(reins) == 1, "the version before is answered meanwhile"
        gate.open()
        await until(lambda: reins.served(ZONE) == third.generation)
        assert await serial_of(reins) == 4
        assert gate.loads == 1


async def test_a_zone_that_expires_while_its_load_goes_on_is_not_answered_during_nor_after_it(store: Store) -> None:
    async with loaded(store) as reins:
        gate = Gate(reins)
        stored = commit(store, 2)
        reins.load(ZONE)
        await gate.entered.wait()
        reins.channel.send("state", zone=NAME.hex(), state="expired")
        await until(lambda: reins.worker.zones.exact(NAME).state is ZoneState.EXPIRED)  # type: ignore[union-attr]
        gate.open()
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert (await reins.ask(ZONE, "SOA")).rcode() == dns.rcode.SERVFAIL
        reins.channel.send("state", zone=NAME.hex(), state="serving")
        await until(lambda: reins.worker.zones.exact(NAME).state is ZoneState.SERVING)  # type: ignore[union-attr]
        assert await serial_of(reins) == 2


async def test_an_expired_version_does_not_come_back_while_the_new_one_is_being_loaded(store: Store) -> None:
    async with loaded(store) as reins:
        reins.channel.send("state", zone=NAME.hex(), state="expired")
        gate = Gate(reins)
        stored = commit(store, 2)
        reins.load(ZONE)
        reins.channel.send("state", zone=NAME.hex(), state="serving")
        await gate.entered.wait()
        assert (await reins.ask(ZONE, "SOA")).rcode() == dns.rcode.SERVFAIL
        gate.open()
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert await serial_of(reins) == 2


async def test_a_zone_removed_and_added_again_during_its_load_does_not_get_its_old_content(store: Store) -> None:
    async with loaded(store) as reins:
        gate = Gate(reins)
        commit(store, 2)
        reins.load(ZONE)
        await gate.entered.wait()
        reins.configure(removed=(ZONE,))
        reins.configure(CONFIG)
        await until(lambda: reins.worker.zones.exact(NAME).zone is None)  # type: ignore[union-attr]
        before = len(reins.heard("served"))
        gate.open()
        await until(lambda: reins.worker._loading is None)
        assert (await reins.ask(ZONE, "SOA")).rcode() == dns.rcode.SERVFAIL
        assert len(reins.heard("served")) == before
        assert reins.worker._held == {}


async def test_a_removed_zone_is_refused_at_once(store: Store) -> None:
    async with loaded(store) as reins:
        reins.configure(removed=(ZONE, "never.example"))
        await until(lambda: reins.worker.zones.exact(NAME) is None)
        assert (await reins.ask(ZONE, "SOA")).rcode() == dns.rcode.REFUSED
        send_change(reins, commit(store, 2), 1, b"")  # on its way when the zone went
        reins.configure(CONFIG)
        await until(lambda: reins.worker.zones.exact(NAME) is not None)


@pytest.mark.parametrize("parted", [False, True])
async def test_a_large_version_leaves_in_slices_once_nobody_is_answered_from_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, parted: bool
) -> None:
    """Also where answers that were kept still refer to it; and the next one is answered meanwhile."""
    monkeypatch.setattr(contents_module, "WHOLE", 500 if parted else 1_000_000)
    stored = commit_hosts(store, ZONE, 1, owners=5000)
    async with worker_on(store.path) as reins:
        reins.configure(CONFIG)
        reins.load(ZONE)
        await until(lambda: reins.served(ZONE) == stored.generation)
        asked = [f"bulk-000007.{ZONE}", f"bulk-009999.{ZONE}"]
        replies = [(await reins.ask(name)).to_text().split("\n", 1)[1] for name in asked]
        first = held_by(reins)
        assert first is not None and isinstance(first.nodes, PartedNodes) is parted
        stored = commit_hosts(store, ZONE, 2, owners=5000)
        reins.load(ZONE)
        await until(lambda: reins.served(ZONE) == stored.generation)
        again = [(await reins.ask(name)).to_text().split("\n", 1)[1] for name in asked]
        assert again[0] == replies[0] and again[1] == replies[1].replace(" 1 3600", " 2 3600")
        await until(lambda: not first.nodes and not first.descendants)
        second = held_by(reins)
        assert second is not None and len(second.nodes) > 5000
        reins.configure(removed=(ZONE,))
        await until(lambda: not second.nodes and not second.descendants)
        assert (await reins.ask(asked[0])).rcode() == dns.rcode.REFUSED


async def test_a_small_version_leaves_at_once_though_answers_kept_still_refer_to_it(store: Store) -> None:
    stored = commit_hosts(store, ZONE, 1, owners=20)
    async with worker_on(store.path) as reins:
        reins.configure(CONFIG)
        reins.load(ZONE)
        await until(lambda: reins.served(ZONE) == stored.generation)
        await reins.ask(f"bulk-000007.{ZONE}")
        first = held_by(reins)
        stored = commit_hosts(store, ZONE, 2, owners=20)
        reins.load(ZONE)
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert first is not None and not first.nodes and not first.descendants
        assert (await reins.ask(f"bulk-000007.{ZONE}")).answer
        second = held_by(reins)
        reins.configure(removed=(ZONE,))
        await until(lambda: reins.worker.zones.exact(NAME) is None)
        assert second is not None and not second.nodes


@pytest.mark.parametrize("listening", [False, True])
async def test_a_large_zone_is_loaded_in_small_turns_once_there_are_queries_to_hold_up(
    store: Store, monkeypatch: pytest.MonkeyPatch, listening: bool
) -> None:
    monkeypatch.setattr(worker_module, "LOADED_AT_ONCE", 7)
    stored = commit_hosts(store, ZONE, 1, owners=2000)
    taken: list[int] = []

    class Watched(ZoneLoader):
        def add(self, items: Iterable[tuple[bytes, bytes]]) -> None:
            items = list(items)
            taken.append(len(items))
            super().add(items)

    monkeypatch.setattr(worker_module, "ZoneLoader", Watched)
    async with worker_on(store.path, listen=listening) as reins:
        reins.configure(CONFIG)
        reins.load(ZONE)
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert sum(taken) == stored.owners
        assert (max(taken) <= 7) is listening
        held = held_by(reins)
        assert held is not None and len(held.nodes) == stored.owners


async def test_a_damaged_zone_is_reported_and_the_others_are_loaded(store: Store) -> None:
    commit(store, 1)
    good = commit(store, 1, "good.example")
    with closing(sqlite3.connect(store.path)) as database, database:
        zone = store.zones()[NAME].id
        database.execute(
            "UPDATE chunk SET data = substr(data, 1, 20) || x'00' || substr(data, 22) WHERE zone = ?", (zone,)
        )
    async with worker_on(store.path) as reins:
        reins.configure(CONFIG, ZoneConfig(good.name, good.text))
        reins.load(ZONE, "good.example")
        await until(lambda: reins.served("good.example") == good.generation)
        failed = reins.heard("failed")
        assert [header["zone"] for header in failed] == [NAME.hex()]
        assert "damaged" in failed[0]["error"]
        assert await serial_of(reins, "good.example") == 1
        assert (await reins.ask(ZONE, "SOA")).rcode() == dns.rcode.SERVFAIL


class Unreadable:
    """The disk does not let a worker read; `times` more."""

    def __init__(self, reins: Reins, times: int) -> None:
        self._real = reins.worker._reader.load
        self.times = times
        reins.worker._reader.load = self._load  # type: ignore[method-assign]

    def _load(self, name: bytes):
        if self.times > 0:
            self.times -= 1
            raise StoreError("reading zone example.com failed: disk I/O error", StoreFault.IO)
        return self._real(name)


async def test_a_zone_that_cannot_be_read_is_answered_as_it_was_and_loaded_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "FIRST_RETRY", 0.05)
    async with loaded(store) as reins:
        disk = Unreadable(reins, 3)
        stored = commit(store, 2)
        reins.load(ZONE)
        await until(lambda: len(reins.heard("failed")) == 1)
        assert await serial_of(reins) == 1
        assert reins.heard("failed")[0]["fault"] == "io-error"
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert (disk.times, await serial_of(reins)) == (0, 2)
        assert [header["fault"] for header in reins.heard("failed")] == ["io-error"] * 3
        assert reins.worker._again == {}


async def test_a_zone_that_expires_or_goes_while_it_waits_to_be_loaded_again_is_not_answered_by_that(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "FIRST_RETRY", 0.05)
    async with loaded(store) as reins:
        Unreadable(reins, 1)
        stored = commit(store, 2)
        reins.load(ZONE)
        await until(lambda: bool(reins.heard("failed")))
        reins.channel.send("state", zone=NAME.hex(), state="expired")
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert (await reins.ask(ZONE, "SOA")).rcode() == dns.rcode.SERVFAIL
        Unreadable(reins, 1)
        reins.load(ZONE)
        await until(lambda: len(reins.heard("failed")) == 2)
        reins.channel.send("configure", removed=[NAME.hex()])
        await until(lambda: held_by(reins) is None)
        assert reins.worker._again == {}


async def test_a_disk_that_fails_for_long_is_asked_more_and_more_seldom(store: Store) -> None:
    async with loaded(store) as reins:
        waits = []
        for _ in range(7):
            reins.worker._try_again(NAME, ZoneState.SERVING)
            waits.append(reins.worker._again[NAME].wait)
        assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


async def test_thousands_of_zones_are_confirmed_in_batches(store: Store) -> None:
    zones = [f"zone-{number}.example" for number in range(450)]
    for zone in zones:
        commit_text(store, zone, f"$ORIGIN {zone}.\n$TTL 60\n@ SOA a b 1 60 60 6000 60\n@ NS a\na A 192.0.2.1\n")
    async with worker_on(store.path) as reins:
        reins.configure(*(ZoneConfig(names.from_text(zone), zone) for zone in zones))
        reins.load(*zones)
        await until(lambda: all(reins.served(zone) for zone in zones))
        assert len(reins.heard("served")) < 50


async def test_heart_beats_tell_what_was_asked_since_the_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nameserver.server.answering.worker.BEAT_INTERVAL", 0.01)
    async with loaded(store) as reins:
        for _ in range(3):
            await reins.ask(f"ns1.{ZONE}")
        await reins.ask(ZONE, "SOA")
        totals = [0, 0]

        def all_told() -> bool:
            rows = [header["queries"].get(NAME.hex(), (0, 0, False))[:2] for header in reins.heard("beat")]
            totals[:] = [sum(column) for column in zip(*rows, strict=True)]
            return totals == [3, 1]

        await until(all_told)
        count = len(reins.heard("beat"))
        await until(lambda: len(reins.heard("beat")) > count + 3)
        assert all_told(), "nothing is told twice"


async def test_a_notify_reaches_the_other_end(store: Store) -> None:
    from ipaddress import ip_address

    from nameserver.query.exchange import NotifyReceived, Outcome

    async with loaded(store) as reins:
        source = str(ip_address("192.0.2.7"))
        reins.worker._on_outcome(Outcome(notify=NotifyReceived(NAME, source, 9, names.from_text("transfer-key"))))
        await until(lambda: bool(reins.heard("notify")))
        assert reins.heard("notify") == [{"kind": "notify", "rows": [[NAME.hex(), source, 9, 1, "transfer-key"]]}]


async def test_what_is_loaded_is_kept_from_the_garbage_collector(store: Store) -> None:
    """F79: whatever there is once the zones are loaded no later collection looks at, so none takes long."""
    commit_hosts(store, ZONE, 1, owners=20_000)
    async with worker_on(store.path) as reins:
        reins.configure(CONFIG)
        reins.load(ZONE)
        await until(lambda: reins.served(ZONE) > 0)
        await until(lambda: reins.worker._loaded.is_set())
        await asyncio.sleep(0)
        served = reins.worker.zones.exact(NAME)
        assert served is not None and served.zone is not None
        assert gc.get_freeze_count() > 1000
        left = {id(each) for each in gc.get_objects()}
        assert not left & {id(served.zone.nodes), id(served.zone), id(served)}
        assert least_cpu_seconds(gc.collect) < 0.01


async def test_a_zone_whose_loading_breaks_takes_no_other_zone_out_of_service(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good = commit(store, 1, "good.example")
    monkeypatch.setattr(worker_module, "FIRST_RETRY", 0.05)
    async with loaded(store) as reins:
        reins.configure(ZoneConfig(good.name, good.text))
        load, broken = reins.worker._reader.load, [NAME] * 2

        def breaks(name: bytes) -> object:
            if name in broken:
                broken.pop()
                raise RuntimeError("broken on purpose")
            return load(name)

        monkeypatch.setattr(reins.worker._reader, "load", breaks)
        stored = commit(store, 2)
        reins.load(ZONE, "good.example")
        await until(lambda: reins.served("good.example") == good.generation)
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert [header["fault"] for header in reins.heard("failed")] == ["other"] * 2
        assert caplog.text.count("loading a zone broke: RuntimeError") == 1


async def test_a_worker_whose_loading_breaks_ends_instead_of_going_on_without(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody foresaw must not leave a process that looks alive and never takes a new version again."""
    commit(store, 1)
    with pytest.raises(RuntimeError, match="broken on purpose"):
        async with worker_on(store.path) as reins:

            async def broken(_name: bytes) -> None:
                raise RuntimeError("broken on purpose")

            monkeypatch.setattr(reins.worker, "_load", broken)
            reins.configure(CONFIG)
            reins.load(ZONE)


def send_zone(reins: Reins, store: Store, serial: int) -> StoredZone:
    """Commit a whole version and send it along."""
    stored = commit(store, serial)
    nodes = read_zone_file(zone_text(ZONE, serial, hosts=20), NAME, "a test").nodes
    reins.channel.send("zone", pack_changes(nodes), zone=NAME.hex(), generation=stored.generation, apex=NAME.hex())
    return stored


async def test_a_small_zone_that_comes_along_with_its_message_is_served_without_the_store(store: Store) -> None:
    async with worker_on(store.path) as reins:
        send_zone(reins, store, 1)  # not configured: nobody may ask for it
        reins.configure(CONFIG)
        gate = Gate(reins)
        stored = send_zone(reins, store, 2)
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert await serial_of(reins) == 2
        assert gate.loads == 0
        changed, body = change(store, 3)
        send_change(reins, changed, stored.generation, body)
        await until(lambda: reins.served(ZONE) == changed.generation)
        assert await serial_of(reins) == 3


async def test_a_small_zone_that_comes_while_the_one_before_is_loaded_is_loaded_after_it(store: Store) -> None:
    commit(store, 1)
    async with worker_on(store.path) as reins:
        reins.configure(CONFIG)
        gate = Gate(reins)
        reins.load(ZONE)
        await gate.entered.wait()
        stored = send_zone(reins, store, 2)
        gate.open()
        await until(lambda: reins.served(ZONE) == stored.generation)
        assert await serial_of(reins) == 2


async def test_a_worker_ends_when_the_transfer_process_is_gone(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with loaded(store) as reins:
            reins.channel.close()
    # But for loops that stood still: a machine under load may stall any.
    assert {record.name for record in caplog.records if record.name.startswith("nameserver")} <= {"nameserver.lag"}


async def test_small_zones_are_loaded_in_one_reading_and_what_is_odd_among_them_by_itself(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "SMALL", 10_000)
    monkeypatch.setattr(worker_module, "LONGEST_TURN", 60.0)  # on a busy machine none fits into a turn
    small = [f"small-{number}.test" for number in range(30)]
    zones = [*small[:10], "large.test", *small[10:20], "damaged.test", "not-there.test", *small[20:]]
    for zone in zones:
        if zone != "not-there.test":
            commit(store, 7, zone, hosts=2000 if zone == "large.test" else 20)
    with closing(sqlite3.connect(store.path)) as other, other:
        damaged = names.from_text("damaged.test")
        other.execute("UPDATE chunk SET crc = crc + 1 WHERE zone = (SELECT id FROM zone WHERE name = ?)", (damaged,))
    async with worker_on(store.path) as reins:
        alone: list[bytes] = []
        load = reins.worker._reader.load

        def watched(name: bytes):
            alone.append(name)
            return load(name)

        monkeypatch.setattr(reins.worker._reader, "load", watched)
        reins.configure(*(ZoneConfig(names.from_text(zone), zone) for zone in zones))
        reins.load(*zones)
        good = [*small, "large.test"]
        await until(lambda: all(reins.served(zone) for zone in good) and bool(reins.heard("failed")))
        assert [await serial_of(reins, zone) for zone in good] == [7] * len(good)
        assert [header["zone"] for header in reins.heard("failed")] == [damaged.hex()]
        assert {names.to_text(name) for name in alone} == {"large.test", "damaged.test"}
        assert not reins.worker._held
