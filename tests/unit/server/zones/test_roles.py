"""Promote and demote where something breaks: the zone stays as it was, or is what it was to be, and is never lost."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.managed import CALM, HASTY, Managed, managed
from support.own_server import OwnServer, own_server, until
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.config.roles import FILE_NAME, apply_roles, read_roles
from nameserver.control.protocol import ControlError, Json
from nameserver.errors import StoreError
from nameserver.server.zones.roles import RoleChanges, RoleState
from nameserver.store.database import Store, ZoneTimers
from nameserver.wire import names

ZONE = "example.com"
NAME = names.from_text(ZONE)


class Changing:
    """A secondary zone of `above`, and what changes its role."""

    def __init__(self, above: OwnServer, ours: Managed, directory: Path) -> None:
        self.above, self.ours, self.directory = above, ours, directory
        zone = ZoneConfig(NAME, ZONE, primaries=(above.remote,), pull=HASTY, timers=CALM)
        config = replace(ours.config(zone), remotes={above.remote.name: above.remote})
        applied = apply_roles(config, read_roles(directory))
        self.state = RoleState(config, applied.config, applied.roles)
        self.changes = RoleChanges(ours.zones, ours.publisher, ours.store.path)

    async def start(self) -> None:
        await self.ours.zones.prepare(self.state.config)
        await self.ours.zones.start()
        await self.ours.idle(ZONE)

    async def promote(self, file: str | None = None) -> Json:
        self.state, done = await self.changes.promote(self.ours.entry(ZONE), self.state, file)
        await self.ours.idle(ZONE)
        return done

    async def demote(self, *, accept_lower: bool = False) -> Json:
        self.state, done = await self.changes.demote(self.ours.entry(ZONE), self.state, (), accept_lower=accept_lower)
        await self.ours.idle(ZONE)
        return done

    @property
    def role(self) -> tuple[str, str, int | None]:
        """What the zone is here, and in the store, and its serial."""
        stored = self.ours.publisher.stored[NAME]
        return self.ours.entry(ZONE).config.type, stored.kind, stored.serial


@asynccontextmanager
async def changing(tmp_path: Path, serial: int = 5) -> AsyncIterator[Changing]:
    async with own_server(tmp_path / "above") as above, managed(tmp_path / "state") as ours:
        above.serve(ZONE, zone_text(ZONE, serial))
        made = Changing(above, ours, tmp_path / "state")
        await made.start()
        assert made.role == ("secondary", "secondary", serial)
        yield made


async def test_workers_are_told_of_the_new_role_and_that_the_zone_does_not_expire(tmp_path: Path) -> None:
    async with changing(tmp_path) as zone:
        zone.ours.said.clear()
        await zone.promote()
        assert zone.role == ("primary", "primary", 5)
        await until(lambda: zone.ours.told("state"))
        (told,) = [header for header in zone.ours.told("state") if header["state"] == "serving"]
        assert told["expires"][NAME.hex()] == float("inf")
        rows = [row for header in zone.ours.told("configure") for row in header.get("zones", ())]
        assert [row["type"] for row in rows] == ["primary"]
        await zone.demote()
        assert zone.role == ("secondary", "secondary", 5)
        assert zone.ours.entry(ZONE).times().expires is not None
        assert not read_roles(zone.directory)


async def test_a_version_that_comes_as_the_zone_is_promoted_is_what_is_written_answered_and_told_to_those_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    write = Store._write_zone

    def slow(self: Store, *words: Any) -> None:
        if self.path.is_relative_to(tmp_path / "state"):
            writing.set()
            go_on.wait(30)
        write(self, *words)

    async with changing(tmp_path) as zone:
        await until(lambda: zone.ours.entry(ZONE).answered is not None)
        monkeypatch.setattr(Store, "_write_zone", slow)
        zone.above.serve(ZONE, zone_text(ZONE, 6))
        zone.ours.zones.refresh(zone.ours.entry(ZONE))
        await until(writing.is_set)
        promoting = asyncio.create_task(zone.promote())
        await until(lambda: zone.ours.entry(ZONE).task is None or zone.ours.entry(ZONE).task.cancelling() > 0)
        go_on.set()
        done = await promoting
        assert zone.role == ("primary", "primary", 6) and "at serial 6" in " ".join(done["steps"])
        assert "serial 6, written to" in " ".join(done["steps"])
        generation = zone.ours.publisher.stored[NAME].generation
        await until(lambda: zone.ours.supervisor.serving(NAME, generation) == 1)
        await until(lambda: zone.ours.entry(ZONE).answered.serial == 6)


async def test_an_expired_zone_is_answered_again_once_it_is_promoted(tmp_path: Path) -> None:
    async with changing(tmp_path) as zone:
        zone.ours.store.save_timers({NAME: ZoneTimers(1.0, 1.0, 2.0, 1.0)})
        await zone.above.stop()
    async with managed(tmp_path / "state") as ours:
        again = Changing(zone.above, ours, tmp_path / "state")
        await again.start()
        assert again.ours.entry(ZONE).state == "expired"
        ours.said.clear()
        done = await again.promote()
        assert "it had expired, and is answered again" in done["steps"]
        await until(lambda: [header["state"] for header in ours.told("state")] == ["serving"])
        assert ours.entry(ZONE).answering and again.role == ("primary", "primary", 5)


async def test_of_a_signed_zone_it_is_said_until_when_its_signatures_last(tmp_path: Path) -> None:
    signature = "@ RRSIG SOA 13 2 3600 20300102030405 20200101000000 12345 @ AQNRU3mG\n"
    async with changing(tmp_path) as zone:
        zone.above.serve(ZONE, zone_text(ZONE, 6, extra=signature))
        zone.ours.zones.refresh(zone.ours.entry(ZONE))
        await zone.ours.idle(ZONE)
        hints = (await zone.promote())["hints"]
        assert "have the file signed anew before 2030-01-02 03:04:05 UTC" in hints[1]


async def test_a_promotion_writes_over_no_file_and_through_no_link(tmp_path: Path) -> None:
    async with changing(tmp_path) as zone:
        target, link = tmp_path / "target.zone", tmp_path / "link.zone"
        target.write_text("mine")
        link.symlink_to(target)
        await zone.promote(str(link))
        assert link.is_symlink() and target.read_text().startswith(f"{ZONE}. ")
        assert kept_in(tmp_path) == ["mine"]
        with pytest.raises(ControlError, match="is a primary zone already, from"):
            await zone.promote(str(tmp_path / "other.zone"))
        for same in (target, link):
            assert "nothing is done" in (await zone.promote(str(same)))["steps"][0]


def kept_in(directory: Path) -> list[str]:
    """What stood at places where a zone file was written."""
    return [path.read_text() for path in directory.glob("*.before-*")]


async def test_where_the_file_cannot_be_written_the_zone_goes_on_as_a_secondary_zone(tmp_path: Path) -> None:
    async with changing(tmp_path) as zone:
        blocked = tmp_path / "no-directory"
        blocked.write_text("")
        with pytest.raises(ControlError, match=r"stays a secondary zone: .*no-directory"):
            await zone.promote(str(blocked / "z.zone"))
        await zone.ours.idle(ZONE)
        assert zone.role == ("secondary", "secondary", 5)
        assert not (zone.directory / FILE_NAME).exists()
        zone.above.serve(ZONE, zone_text(ZONE, 6))
        zone.ours.zones.refresh(zone.ours.entry(ZONE))
        await zone.ours.idle(ZONE)
        assert zone.role[2] == 6


@pytest.mark.parametrize("verb", ["promote", "demote"])
async def test_where_something_breaks_that_nobody_thought_of_the_zone_goes_on_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    async with changing(tmp_path) as zone:
        if verb == "demote":
            await zone.promote()
        before = zone.role
        monkeypatch.setattr("nameserver.server.zones.roles.save_roles", _out_of_memory)
        with pytest.raises(MemoryError):
            await getattr(zone, verb)()
        monkeypatch.undo()
        await zone.ours.idle(ZONE)
        assert zone.role == before
        assert (zone.ours.entry(ZONE).machine is None) == (verb == "demote")
        assert (zone.ours.publisher.stored[NAME].expires_at == float("inf")) == (verb == "demote")
        assert list(read_roles(zone.directory)) == ([NAME] if verb == "demote" else [])


def _out_of_memory(*_: object) -> None:
    raise MemoryError


async def test_a_demoted_zone_is_good_for_as_long_as_its_new_primary_says(tmp_path: Path) -> None:
    async with changing(tmp_path) as zone:
        await zone.promote()
        # A secondary itself, whose own primary has not answered for long (RFC 7314).
        served = zone.above.serve(ZONE, zone_text(ZONE, 6))
        served.expires = zone.above.pipeline.steady() + 5000
        await zone.demote()
        assert zone.role == ("secondary", "secondary", 6)
        stored = zone.ours.publisher.stored[NAME]
        assert 4900 < stored.expires_at - stored.last_success <= 5000


async def test_a_promotion_takes_no_file_that_belongs_to_something_else(tmp_path: Path) -> None:
    async with changing(tmp_path) as zone:
        file, name = tmp_path / "other.zone", names.from_text("example.net")
        file.write_text("its own")
        other = ZoneConfig(name, "example.net", type="primary", file=file)
        zone.state.config = replace(zone.state.config, zones={**zone.state.config.zones, name: other})
        with pytest.raises(ControlError, match=r"is the file of zone example\.net"):
            await zone.promote(str(file))
        for ours in (FILE_NAME, zone.ours.store.path.name):
            with pytest.raises(ControlError, match="is among the server's own files"):
                await zone.promote(str(zone.directory / ours))
        assert zone.role == ("secondary", "secondary", 5) and file.read_text() == "its own"


@pytest.mark.parametrize("verb", ["promote", "demote"])
async def test_where_the_store_does_not_take_it_the_zone_stays_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    async with changing(tmp_path) as zone:
        if verb == "demote":
            await zone.promote()
        before, roles = zone.ours.entry(ZONE).config.type, read_roles(zone.directory)
        monkeypatch.setattr(Store, "change_kind", _refuse)
        with pytest.raises(ControlError, match=f"stays a {before} zone: the disk is full"):
            await getattr(zone, verb)()
        monkeypatch.undo()
        await zone.ours.idle(ZONE)
        assert (zone.ours.entry(ZONE).config.type, read_roles(zone.directory)) == (before, roles)
        await getattr(zone, verb)()
        assert zone.role[0] != before


def _refuse(*_: object) -> None:
    raise StoreError("the disk is full")


async def test_where_no_primary_gives_the_zone_or_only_an_older_one_it_stays_a_primary_zone(tmp_path: Path) -> None:
    async with changing(tmp_path) as zone:
        await zone.promote()
        file = zone.ours.entry(ZONE).config.file
        assert file is not None
        file.write_text(file.read_text().replace(" 5 3600 ", " 7 3600 "))
        await zone.ours.zones.reconcile(zone.state.config)
        with pytest.raises(ControlError, match="its serial is 7, and 5 at the primary"):
            await zone.demote()
        assert zone.role == ("primary", "primary", 7)
        await zone.above.stop()
        with pytest.raises(ControlError, match="no primary gave it: connect-refused"):
            await zone.demote(accept_lower=True)
        assert zone.role == ("primary", "primary", 7)


@pytest.mark.parametrize("verb", ["promote", "demote"])
async def test_where_we_are_killed_before_the_store_hears_of_the_role_the_next_start_goes_on_with_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """By what is written then: the role stands before the store has its kind, or the store has it before that."""
    async with changing(tmp_path) as zone:
        if verb == "demote":
            await zone.promote()
        broken = "write_whole" if verb == "demote" else "Publisher.change_kind"
        monkeypatch.setattr(f"nameserver.server.zones.roles.{broken}", _killed)
        with pytest.raises(_Killed):
            await getattr(zone, verb)()
        monkeypatch.undo()
    async with own_server(tmp_path / "another") as above, managed(tmp_path / "state") as ours:
        again = Changing(above, ours, tmp_path / "state")
        assert list(again.state.roles) == [NAME]
        await again.start()
        assert again.role == ("primary", "primary", 5)


class _Killed(BaseException):
    pass


def _killed(*_: object) -> None:
    raise _Killed
