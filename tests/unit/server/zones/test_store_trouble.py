"""The disk under a running server: full, then not; damage found in passing. Zones go on being served."""

from contextlib import closing
from pathlib import Path

import pytest
from support.disks import failing_disk, small_disk
from support.managed import CALM, HASTY, managed
from support.own_server import commit_bulky, commit_text, own_server, until
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.errors import Reason, StoreDamaged, StoreError, StoreFault
from nameserver.server.zones import store_watch
from nameserver.store import state_file
from nameserver.store.database import Store
from nameserver.wire import names

ZONE, OTHER = "example.com", "other.test"


def large(serial: int) -> str:
    """More than a nearly full disk takes."""
    return zone_text(ZONE, serial) + "".join(f"h{number} TXT {'x' * 200}\n" for number in range(3000))


async def test_on_a_full_disk_the_version_before_is_served_and_the_next_retry_after_it_is_mended_takes_the_new_one(
    tmp_path: Path,
) -> None:
    """F54: visible under a reason of its own, and without a restart."""
    with small_disk("8m") as disk:
        async with own_server(tmp_path / "a") as primary, managed(disk.path / "state") as ours:
            primary.serve(ZONE, zone_text(ZONE, 5))
            await ours.start(primary.zone_config(ZONE, pull=HASTY))
            await until(lambda: ours.serial(ZONE) == 5)
            await ours.idle(ZONE)
            disk.fill()
            primary.serve(ZONE, large(6))
            ours.zones.refresh(ours.entry(ZONE))
            await until(lambda: ours.entry(ZONE).machine.snapshot().last_reason is Reason.STORE_FAILED)
            assert ours.serial(ZONE) == 5 and ours.entry(ZONE).answering
            assert "no space on" in ours.entry(ZONE).machine.snapshot().last_detail
            assert ours.tally.store_errors["full"] >= 1
            disk.empty()
            await ours.idle(ZONE)
            ours.zones.refresh(ours.entry(ZONE))
            await until(lambda: ours.serial(ZONE) == 6)


async def test_a_zone_that_the_store_had_to_give_up_is_fetched_again_at_once(tmp_path: Path) -> None:
    """Damage may be found by any write; nobody asked for this one to be set aside."""
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        for zone in (ZONE, OTHER):
            primary.serve(zone, zone_text(zone, 5))
        await ours.start(*(primary.zone_config(zone, pull=HASTY) for zone in (ZONE, OTHER)))
        await until(lambda: ours.serial(ZONE) == ours.serial(OTHER) == 5)
        generation = ours.publisher.stored[ours.entry(ZONE).config.name].generation
        other = ours.publisher.stored[ours.entry(OTHER).config.name]
        await ours.publisher.in_store_thread(ours.store.quarantine, ours.entry(ZONE).config.name, 0.0)
        await until(lambda: ours.serial(ZONE) == 5)
        assert ours.publisher.stored[ours.entry(ZONE).config.name].generation > generation
        assert ours.publisher.stored[ours.entry(OTHER).config.name] == other


# --- a disk that takes no writes: everything else goes on, and what waited is done once it takes them again ----------


@pytest.fixture
def probed_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_watch, "FIRST_PROBE", 0.05)
    monkeypatch.setattr(store_watch, "LAST_PROBE", 0.2)


@pytest.mark.usefixtures("probed_often")
async def test_a_reload_on_a_full_disk_does_what_it_can_says_the_rest_and_that_is_done_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with small_disk("8m") as disk:
        async with own_server(tmp_path / "a") as primary, managed(disk.path / "state") as ours:
            for zone in ("gone.test", "stays.test", "new.test"):
                primary.serve(zone, zone_text(zone, 5))
            gone, stays, new = (
                primary.zone_config(zone, pull=HASTY, timers=CALM) for zone in ("gone.test", "stays.test", "new.test")
            )
            await ours.start(gone, stays)
            await until(lambda: ours.serial("gone.test") == ours.serial("stays.test") == 5)
            await ours.idle("gone.test")
            await ours.idle("stays.test")
            disk.fill()

            text, problems = await ours.zones.reconcile(ours.config(stays, new))

            assert text == "1 zone added, 1 removed, 0 changed, 1 untouched"
            (problem,) = problems
            assert problem.startswith("zone gone.test: it is answered no more, but what is stored of it could not be")
            assert "no space on" in problem
            await until(lambda: [header["removed"] for header in ours.told("configure") if "removed" in header] != [])
            assert ours.serial("stays.test") == 5 and ours.entry("stays.test").answering
            await until(lambda: ours.entry("new.test").trouble.reason is Reason.STORE_FAILED)
            assert ours.publisher.watch.troubled and "no space on" in ours.publisher.watch.notice
            assert gone.name in ours.store.zones(), "so far"

            disk.empty()
            await until(lambda: gone.name not in ours.store.zones(), 15)
            await until(lambda: ours.serial("new.test") == 5, 15)
            assert not ours.publisher.watch.troubled and ours.publisher.watch.notice == ""
            assert caplog.text.count("the store is in trouble") == 1
            assert "the store takes writes again" in caplog.text


@pytest.mark.usefixtures("probed_often")
async def test_a_zone_that_could_not_be_removed_and_is_configured_again_is_not_removed_later(tmp_path: Path) -> None:
    with small_disk("8m") as disk:
        async with own_server(tmp_path / "a") as primary, managed(disk.path / "state") as ours:
            primary.serve(ZONE, zone_text(ZONE, 5))
            config = primary.zone_config(ZONE, pull=HASTY, timers=CALM)
            await ours.start(config)
            await until(lambda: ours.serial(ZONE) == 5)
            await ours.idle(ZONE)
            disk.fill()
            assert len((await ours.zones.reconcile(ours.config()))[1]) == 1
            await ours.zones.reconcile(ours.config(config))
            assert ours.serial(ZONE) is None, "it starts clean"
            disk.empty()
            await until(lambda: ours.serial(ZONE) == 5, 15)
            await until(lambda: not ours.publisher.watch.troubled)
            await ours.publisher.in_store_thread(ours.store.probe)
            assert ours.store.zones()[config.name].serial == 5


async def test_a_start_on_a_full_disk_serves_what_is_held_and_forgets_the_rest_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One zone is configured no more, one has become a primary zone with a file."""
    file = tmp_path / "zone"
    file.write_text(zone_text(OTHER, 7))
    with small_disk("8m") as disk:
        with closing(Store.open(disk.path / "state", 0.0)) as store:
            for zone in (ZONE, OTHER, "gone.test"):
                commit_text(store, zone, zone_text(zone, 5))
        async with own_server(tmp_path / "a") as primary, managed(disk.path / "state") as ours:
            disk.fill()
            await ours.start(
                primary.zone_config(ZONE, pull=HASTY, timers=CALM),
                ZoneConfig(names.from_text(OTHER), OTHER, type="primary", file=file),
            )
            assert ours.serial(ZONE) == 5 and ours.entry(ZONE).answering
            assert ours.entry(OTHER).trouble.reason is Reason.STORE_FAILED
            assert "no space on" in ours.entry(OTHER).trouble.detail
            assert "zone gone.test: it is answered no more" in caplog.text
            disk.empty()
            await until(lambda: ours.serial(OTHER) == 7, 15)
            await until(lambda: ours.store.zones().keys() == {names.from_text(ZONE), names.from_text(OTHER)}, 15)


async def test_a_file_that_could_not_be_stored_is_read_again_when_it_can_be(tmp_path: Path) -> None:
    file = tmp_path / "zone"
    file.write_text(zone_text(ZONE, 5))
    config = ZoneConfig(names.from_text(ZONE), ZONE, type="primary", file=file)
    with small_disk("8m") as disk:
        async with managed(disk.path / "state") as ours:
            await ours.start(config)
            disk.fill()
            file.write_text(zone_text(ZONE, 6))
            _, problems = await ours.zones.reconcile(ours.config(config))
            assert len(problems) == 1 and "is not taken: saving zone example.com failed: no space on" in problems[0]
            assert ours.serial(ZONE) == 5 and ours.entry(ZONE).answering
            disk.empty()
            await until(lambda: ours.serial(ZONE) == 6, 15)
            assert ours.entry(ZONE).trouble.reason is None


async def test_a_version_that_does_not_fit_is_not_asked_for_again_before_it_does(tmp_path: Path) -> None:
    """There is room for small things all along, so a probe that asks for nothing would end the trouble at once."""
    with small_disk("8m") as disk:
        async with own_server(tmp_path / "a") as primary, managed(disk.path / "state") as ours:
            commit_bulky(primary.store, ZONE, 5, owners=60)
            primary.serve_stored(primary.store.zones()[names.from_text(ZONE)])
            disk.fill(leave=1 << 20)
            await ours.start(primary.zone_config(ZONE, pull=HASTY, timers=CALM))
            await until(lambda: ours.entry(ZONE).trouble.reason is Reason.STORE_FAILED)
            with pytest.raises(StoreError, match="no space on"):
                await ours.publisher._probe(ours.publisher.watch._needed)
            assert ours.publisher.watch.troubled
            disk.empty()
            await until(lambda: ours.serial(ZONE) == 5, 15)


async def test_a_flush_that_fails_behind_a_write_is_trouble_too_and_probed_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_file, "CHECKPOINT_AT", 1)
    with failing_disk() as disk:
        async with own_server(tmp_path / "a") as primary, managed(disk.path / "state") as ours:
            primary.serve(ZONE, zone_text(ZONE, 5))
            await ours.start(primary.zone_config(ZONE, pull=HASTY, timers=CALM))
            await until(lambda: ours.serial(ZONE) == 5)
            await ours.idle(ZONE)
            disk.fail()
            for serial in range(6, 40):
                primary.serve(ZONE, zone_text(ZONE, serial, hosts=400))
                ours.zones.refresh(ours.entry(ZONE))
                await ours.idle(ZONE)
                if ours.publisher.watch.troubled:
                    break
            assert "reports an error" in ours.publisher.watch.notice
            assert ours.tally.store_errors["io-error"] >= 1
            assert ours.entry(ZONE).answering
            disk.mend()
            await until(lambda: not ours.publisher.watch.troubled, 20)
            ours.zones.refresh(ours.entry(ZONE))
            await until(lambda: ours.serial(ZONE) == serial, 20)


async def test_what_no_disk_is_to_blame_for_is_no_trouble_of_its() -> None:
    async def nothing(*_: object) -> None:
        raise AssertionError("nothing is to be probed")

    watch = store_watch.StoreWatch(nothing, nothing)
    for error in (StoreDamaged("a chunk"), StoreError("generation 7 is not 8")):
        watch.failed(error)
    assert not watch.troubled


async def test_probes_come_later_each_time_and_each_kind_of_trouble_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    faults = [StoreFault.FULL] * 3 + [StoreFault.READ_ONLY] * 4

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def probe(needed: int) -> None:
        assert needed == 7
        if faults:
            raise StoreError("it does not work", faults.pop())

    ended: list[bool] = []

    async def end() -> None:
        ended.append(watch.troubled)

    monkeypatch.setattr(store_watch.asyncio, "sleep", sleep)
    watch = store_watch.StoreWatch(probe, end)
    watch.failed(StoreError("it does not work", StoreFault.READ_ONLY), 7)
    task = watch._task
    assert task is not None
    await task
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert ended == [False]
    assert caplog.text.count("the store is in trouble") == 2
