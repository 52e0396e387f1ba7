"""The disk fails under a whole daemon: what is held is answered, what is new waits, and nothing is lost or made up."""

import os
import shutil
import signal
from dataclasses import dataclass

from support.bad_primary import Zone
from support.disks import failing_disk, small_disk
from support.pair import Own
from support.scripted_primary import ScriptedPrimary, Versions, notify, scripted_beside

from nameserver.wire.rrset import Record

ZONE = "example.com"
LARGE = 500  # owners of a version that takes a megabyte


@dataclass
class Bulky(Versions):
    """A primary that sends each version whole, with two kilobytes an owner."""

    per_message: int = 20
    refuses_ixfr: bool = True

    def records(self, zone: Zone) -> list[Record]:
        soa, *body, end = zone.whole(self.serial)
        text = '"' + "x" * 250 + '"'
        bulk = [zone.rr(f"bulk-{number} 300 TXT {' '.join([text] * 8)}") for number in range(self.hosts)]
        return [soa, *body, *bulk, end]


def daemon(primary: ScriptedPrimary, state: str) -> Own:
    """A secondary with two workers and its state there."""
    ours = Own(workers=2, settings={"state-dir": f'"{state}"'}, template={"min-refresh-time": '"1h"'})
    ours.remote("primary", primary.port)
    ours.zone_table(ZONE, primaries='["primary"]')
    return ours


def change(ours: Own, versions: Versions, serial: int, hosts: int = LARGE) -> None:
    """The primary has a new version, and says so."""
    versions.serial, versions.hosts = serial, hosts
    notify(ours.port, ZONE, serial)


def everyone(ours: Own, serial: int) -> bool:
    """Both workers answer it, as good as certainly."""
    return [ours.serial(ZONE) for _ in range(20)] == [serial] * 20


def fails(ours: Own, fault: str) -> None:
    """The change is not taken for a reason that is told everywhere, and the version before is answered by everyone."""
    ours.wait(lambda: ours.zone(ZONE).get("last_reason") == "store-failed", 20, "the change to fail")
    status = ours.zone(ZONE)
    assert (status["serial"], status["primary_serial"], status["answering"]) == (5, 6, True)
    metrics = ours.metrics()
    assert metrics[f'nameserver_store_errors_total{{fault="{fault}"}}'] >= 1
    assert (metrics["nameserver_store_up"], metrics[f'nameserver_zone_serial{{zone="{ZONE}"}}']) == (0, 5)
    assert "store-failed" in ours.command("why", ZONE, expect=1)
    assert everyone(ours, 5)


def goes_on(ours: Own, primary: ScriptedPrimary, serial: int) -> None:
    """Once the disk works again: the version is taken without a word from anybody, and is there after kill -9."""
    ours.wait(lambda: everyone(ours, serial), 40, "the new version")
    ours.wait(lambda: ours.metrics()["nameserver_store_up"] == 1, 40, "the end of the trouble")
    assert ours.zone(ZONE)["last_reason"] is None
    ours.kill_all()
    primary.answer = lambda _question: []
    ours.start(wait_ready=False)
    ours.wait(lambda: ours.serial(ZONE) == serial, 20, "the new version after kill -9 with the primary gone")
    ours.stop()


def test_on_a_full_disk_the_old_version_serves_until_there_is_room() -> None:
    """F54, at the level of the whole server."""
    versions = Bulky()
    with small_disk("3m") as disk, scripted_beside(versions) as primary, daemon(primary, f"{disk.path}/state") as ours:
        ours.start()
        disk.fill()
        change(ours, versions, 6)
        fails(ours, "full")
        disk.empty()
        goes_on(ours, primary, 6)


def test_after_a_write_that_failed_no_version_goes_back_and_none_that_was_answered_later_is_lost() -> None:
    """F55: the device says EIO, which may show versions later; a flush that succeeds afterwards proves nothing."""
    versions = Bulky()
    with failing_disk() as disk, scripted_beside(versions) as primary, daemon(primary, f"{disk.path}/state") as ours:
        ours.start()
        disk.fail()
        serial = 5
        while ours.metrics()["nameserver_store_up"] == 1:
            serial += 1
            change(ours, versions, serial, hosts=LARGE)
            ours.wait(lambda serial=serial: ours.zone(ZONE)["primary_serial"] == serial, 20, "the check")
            ours.wait(lambda: ours.zone(ZONE)["state"] != "refreshing", 20, "its end")
        held = ours.zone(ZONE)["serial"]
        assert held in (serial - 1, serial) and serial < 15
        assert everyone(ours, held)
        disk.mend()
        change(ours, versions, serial + 1)
        goes_on(ours, primary, serial + 1)


def test_a_disk_that_turns_read_only_costs_what_is_new_and_nothing_else() -> None:
    """F56: a worker that is killed meanwhile is back with what is held."""
    versions = Bulky()
    with failing_disk() as disk, scripted_beside(versions) as primary, daemon(primary, f"{disk.path}/state") as ours:
        ours.start()
        disk.turn_read_only()
        change(ours, versions, 6)
        fails(ours, "read-only")
        killed = ours.workers_pids()[0]
        os.kill(killed, signal.SIGKILL)
        ours.wait(lambda: killed not in (pids := ours.workers_pids()) and len(pids) == 2, what="another worker")
        ours.wait(lambda: everyone(ours, 5), what="both workers to answer")
        ours.stop()


def test_a_state_directory_removed_under_way_is_made_again_with_all_that_was_in_it() -> None:
    """F56."""
    versions = Versions()
    with scripted_beside(versions) as primary, daemon(primary, "state") as ours:
        ours.start()
        shutil.rmtree(ours.directory / "state")
        assert everyone(ours, 5)
        change(ours, versions, 6, hosts=3)
        goes_on(ours, primary, 6)
