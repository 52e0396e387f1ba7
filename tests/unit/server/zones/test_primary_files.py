"""Zones from files, through a real store: taken when new, left alone when not, never worse than before."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.errors import Reason
from nameserver.server.supervisor import Supervisor
from nameserver.server.zones.primary_files import PrimaryFiles
from nameserver.server.zones.publisher import Publisher
from nameserver.store.database import Store
from nameserver.wire import names

ZONE = "example.com"
NAME = names.from_text(ZONE)


class Files:
    """Publisher, store and one zone file."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "example.com.zone"
        supervisor = Supervisor([], {}, "asyncio", on_start=lambda _: None, on_message=lambda *_: None)
        self.publisher = Publisher(Store.open(directory / "state", 0.0), supervisor)
        self.files = PrimaryFiles(self.publisher)
        self.config = ZoneConfig(NAME, ZONE, type="primary", file=self.path)

    async def load(self, text: str | None = None):
        if text is not None:
            self.path.write_text(text)
        return await self.files.load(self.config)

    @property
    def serial(self) -> int | None:
        held = self.publisher.stored.get(NAME)
        return held.serial if held else None


@asynccontextmanager
async def files_in(directory: Path) -> AsyncIterator[Files]:
    made = Files(directory)
    yield made
    await made.publisher.close()


async def test_a_file_is_taken_once_and_again_with_a_higher_serial(tmp_path: Path) -> None:
    async with files_in(tmp_path) as zone:
        assert (await zone.load(zone_text(ZONE, 5))).changed
        assert zone.serial == 5
        assert not (await zone.load()).changed
        assert (await zone.load(zone_text(ZONE, 6))).changed
        assert zone.serial == 6


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        (zone_text(ZONE, 5, extra="new IN A 192.0.2.1\n"), Reason.SERIAL_SAME, "raise it"),
        (zone_text(ZONE, 4), Reason.SERIAL_BACKWARDS, "serial 4 is not above 5"),
        (zone_text(ZONE, 6, extra="broken IN A 300.0.2.1\n"), Reason.MALFORMED, "example.com.zone:"),
        (zone_text(ZONE, 6, extra="www IN A 192.0.2.1\n"), Reason.CNAME_CONFLICT, "www"),
    ],
)
async def test_a_file_that_cannot_be_taken_changes_nothing_and_says_why(
    tmp_path: Path, text: str, reason: Reason, detail: str
) -> None:
    async with files_in(tmp_path) as zone:
        await zone.load(zone_text(ZONE, 5))
        verdict = await zone.load(text)
        assert (verdict.changed, zone.serial) == (False, 5)
        assert detail in verdict.detail
        assert verdict.reason in (reason, Reason.MALFORMED)
        assert (await zone.load()).reason is verdict.reason, "it is not taken as read"
        assert (await zone.load(zone_text(ZONE, 7))).changed


async def test_a_missing_file_and_one_that_is_not_text_are_named(tmp_path: Path) -> None:
    async with files_in(tmp_path) as zone:
        verdict = await zone.load()
        assert (verdict.reason, verdict.detail) == (Reason.MALFORMED, f"{zone.path}: No such file or directory")
        zone.path.write_bytes(b"\xff\xfe")
        assert (await zone.load()).reason is Reason.MALFORMED
        assert zone.serial is None


async def test_after_a_restart_the_same_file_is_no_change(tmp_path: Path) -> None:
    async with files_in(tmp_path) as zone:
        await zone.load(zone_text(ZONE, 5))
        generation = zone.publisher.stored[NAME].generation
    async with files_in(tmp_path) as zone:
        verdict = await zone.load()
        assert (verdict.changed, verdict.reason) == (False, None)
        assert zone.publisher.stored[NAME].generation == generation


async def test_a_zone_forgotten_is_read_afresh(tmp_path: Path) -> None:
    async with files_in(tmp_path) as zone:
        await zone.load(zone_text(ZONE, 5))
        zone.files.forget(NAME)
        await zone.publisher.remove(NAME)
        assert (await zone.load()).changed


async def test_a_zone_without_a_file_is_a_programming_error(tmp_path: Path) -> None:
    async with files_in(tmp_path) as zone:
        zone.config = ZoneConfig(NAME, ZONE)
        with pytest.raises(ValueError, match="has no file"):
            await zone.load()


async def test_an_included_file_is_looked_for_beside_its_file_and_read_again_when_it_changes(tmp_path: Path) -> None:
    async with files_in(tmp_path) as zone:
        (tmp_path / "parts").mkdir()
        more, most = tmp_path / "parts" / "more", tmp_path / "parts" / "most"
        more.write_text("$INCLUDE most\n")
        most.write_text("@ SOA ns.example.net. h 5 2 3 4 5\n")
        assert (await zone.load("$TTL 1\n$INCLUDE parts/more\n@ NS ns.example.net.\n")).changed
        assert zone.serial == 5
        assert not (await zone.load()).changed
        most.write_text("@ SOA ns.example.net. h 66 2 3 4 5\n")
        assert (await zone.load()).changed
        assert zone.serial == 66
        most.unlink()
        assert f"{more}:1: most cannot be included: No such file or directory" in (await zone.load()).detail
        assert zone.serial == 66


async def test_octets_that_are_no_utf_8_are_taken_as_they_are(tmp_path: Path) -> None:
    async with files_in(tmp_path) as zone:
        zone.path.write_bytes(zone_text(ZONE, 5).encode() + b'; \xfc\n\xfc TXT "\xc3\xbc \xff"\n')
        assert (await zone.load()).changed
        node = zone.publisher.node_reader(NAME)(b"\x01\xfc")
        assert node is not None
        assert b"\x04\xc3\xbc \xff" in node
