"""The disk under a running server: full, then not; damage found in passing. Zones go on being served."""

from pathlib import Path

from support.disks import small_disk
from support.managed import HASTY, managed
from support.own_server import own_server, until
from support.zones import zone_text

from nameserver.errors import Reason

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
