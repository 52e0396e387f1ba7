"""Damage on the disk costs a transfer, never a start, and never another zone."""

import os
import signal
import sqlite3
from contextlib import closing

import pytest
from support.pair import Own, database, pair
from support.zones import small_zone_text, zone_text

ZONES = ["one.example", "two.example"]


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_a_damaged_database_is_moved_aside_and_the_zones_are_fetched_again(damage: str) -> None:
    with pair(ZONES, text=zone_text) as (feeder, ours):
        ours.stop()
        path = database(ours)
        whole = path.read_bytes()
        path.write_bytes(b"garbage" * 1000 if damage == "garbage" else whole[: len(whole) // 2])
        ours.start()
        for zone in ZONES:
            assert ours.axfr(zone) == feeder.axfr(zone)
        (aside,) = [each for each in path.parent.glob("state.db.damaged-*") if not each.name.endswith(("-wal", "-shm"))]
        assert aside.name in ours.log
        assert any(aside.name in notice for notice in ours.status()["server"]["notices"])
        assert len(ours.workers_pids()) == 1 and ours.status()["server"]["workers"][0]["restarts"] == 0
        ours.stop()


def _flip(ours: Own, zone: str) -> None:
    """Change one byte of a zone's stored content."""
    with closing(sqlite3.connect(database(ours))) as store, store:
        row, data = store.execute(
            "SELECT chunk.id, chunk.data FROM chunk JOIN zone ON zone.id = chunk.zone WHERE zone.text = ?", (zone,)
        ).fetchone()
        changed = bytearray(data)
        changed[len(changed) // 2] ^= 1
        store.execute("UPDATE chunk SET data = ? WHERE id = ?", (bytes(changed), row))


def test_one_damaged_zone_is_fetched_again_and_the_other_is_left_alone() -> None:
    with pair(ZONES) as (feeder, ours):
        before = {zone: ours.zone(zone)["generation"] for zone in ZONES}
        ours.stop()
        _flip(ours, ZONES[0])
        ours.start()
        ours.wait(lambda: ours.zone(ZONES[0])["generation"] > before[ZONES[0]], what="the zone to be fetched again")
        assert ours.zone(ZONES[1])["generation"] == before[ZONES[1]]
        assert ours.axfr(ZONES[0]) == feeder.axfr(ZONES[0])
        assert ours.status()["server"]["workers"][0]["restarts"] == 0
        assert f"stored zone {ZONES[0]} was damaged" in ours.log


def test_damage_that_shows_when_a_worker_is_replaced_is_mended_without_a_gap_at_the_other_zone() -> None:
    """The zone keeps on changing afterwards: nothing is stuck."""
    with pair(ZONES) as (feeder, ours):
        before = ours.zone(ZONES[0])["generation"]
        _flip(ours, ZONES[0])
        ours.wait(lambda: ours.workers_pids(), what="a worker")
        os.kill(ours.workers_pids()[0], signal.SIGKILL)
        ours.wait(lambda: ours.zone(ZONES[0])["generation"] > before and ours.serial(ZONES[0]) == 1, what="the mending")
        assert ours.serial(ZONES[1]) == 1
        feeder.update(ZONES[0], small_zone_text(ZONES[0], 2))
        ours.wait(lambda: ours.serial(ZONES[0]) == 2, what="the next change")
        ours.stop()


def test_damage_while_the_primary_is_down_leaves_the_zone_with_the_workers_that_have_it() -> None:
    """One worker is replaced and meets the damage; the other one answers on, and `why` says how things stand."""
    with pair(ZONES, secondary={"workers": 2}, timers="3600 1 86400 300") as (feeder, ours):
        zone = ZONES[0]
        feeder.stop()
        _flip(ours, zone)
        os.kill(ours.workers_pids()[0], signal.SIGKILL)
        ours.wait(lambda: ours.zone(zone).get("unstored"), what="the damage to be met")
        ours.wait(lambda: ours.zone(zone)["state"] == "retrying", what="the primary to be asked in vain")
        status = ours.zone(zone)
        assert status["answering"] and status["serial"] == 1 and status["workers_serving"] == 1
        assert any(ours.serial(zone) == 1 for _ in range(20)), "by the worker that has it"
        ours.wait(lambda: all(ours.serial(ZONES[1]) == 1 for _ in range(20)), what="both workers")
        told = ours.command("why", zone, expect=1)
        assert "it is answered from memory alone" in told and "fetched again whole" in told
        assert f"stored zone {zone} was damaged" in ours.command("status")

        feeder.start()
        ours.wait(lambda: not ours.zone(zone)["unstored"], what="the zone to be fetched again")
        ours.wait(lambda: ours.zone(zone)["workers_serving"] == 2, what="both workers")
        assert ours.axfr(zone) == feeder.axfr(zone)
        ours.stop()
        ours.start()
        assert ours.serial(zone) == 1, "it is stored again"


def test_a_database_removed_under_a_running_server_is_back_before_a_worker_needs_it() -> None:
    with pair(ZONES) as (feeder, ours):
        feeder.stop()
        for each in database(ours).parent.glob("state.db*"):
            each.unlink()
        os.kill(ours.workers_pids()[0], signal.SIGKILL)
        ours.wait(lambda: all(ours.serial(zone) == 1 for zone in ZONES), what="a worker that has read the zones")
        assert database(ours).exists()
        assert "was removed or replaced while it was in use: written anew with 2 of 2 zones" in ours.log
        assert not any(ours.zone(zone)["unstored"] for zone in ZONES)
        ours.stop()
