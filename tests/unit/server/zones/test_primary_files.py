"""Zones from files, through a real store: taken when new, left alone when not, never worse than before."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.errors import Reason
from nameserver.server.supervisor import Supervisor
from nameserver.server.zones.primary_files import PrimaryFiles
from nameserver.server.zones.publisher import Publisher
from nameserver.store.database import Store, ZoneTimers
from nameserver.store.reader import StoreReader
from nameserver.store.schema import DATABASE_NAME
from nameserver.wire import names
from nameserver.wire.rdata import type_text
from nameserver.zone.builder import BuiltZone
from nameserver.zone.changes import Applied
from nameserver.zone.history import PackedStep, unpack_changeset
from nameserver.zone.zonefile import read_zone_file

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
        (
            zone_text(ZONE, 5, extra="new IN A 192.0.2.1\n"),
            Reason.SERIAL_SAME,
            "new.example.com changed, but serial 5 is",
        ),
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


async def test_a_pipe_in_place_of_a_zone_file_holds_up_nothing(tmp_path: Path) -> None:
    """A thread that waits for somebody to write into it could not be ended, nor the process."""
    async with files_in(tmp_path) as zone:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        verdict = await zone.load(f"$TTL 1\n$INCLUDE {pipe.name}\n")
        assert verdict.detail == f"{zone.path}:2: pipe cannot be included: it is no regular file"
        zone.path.unlink()
        pipe.rename(zone.path)
        verdict = await zone.load()
        assert (verdict.reason, verdict.detail) == (Reason.MALFORMED, f"{zone.path}: it is no regular file")


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


async def test_an_edit_replaces_the_owners_that_it_changes_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with files_in(tmp_path) as zone:
        await zone.load(zone_text(ZONE, 5))
        told: list[dict[bytes, bytes | None]] = []
        publish = zone.publisher.publish_changes

        async def watched(
            config: ZoneConfig, prepare: Callable[[], tuple[Applied, ZoneTimers]], source: str
        ) -> Applied:
            told.append(prepare()[0].nodes)
            return await publish(config, prepare, source)

        monkeypatch.setattr(zone.publisher, "publish_changes", watched)
        edited = zone_text(ZONE, 6, extra="new IN A 192.0.2.1\nhost-3 IN A 192.0.2.200\n")
        edited = edited.replace("mail IN AAAA", "male IN AAAA")
        assert (await zone.load(edited)).changed
        assert set(told[0]) == {b"", b"\3new", b"\6host-3", b"\4mail", b"\4male", b"\6serial"}
        assert told[0][b"\4mail"] is None
        whole = read_zone_file(edited, NAME, "whole")
        stored = zone.publisher.stored[NAME]
        assert (stored.serial, stored.records, stored.owners) == (6, whole.records, len(whole.nodes))
        assert {key: zone.publisher.node_reader(NAME)(key) for key in whole.nodes} == whole.nodes
        assert stored.size == whole.size


def history(directory: Path, serial: int) -> list[list[str]]:
    """The steps from a serial to the version held: what goes, and what comes."""
    steps = []
    with closing(StoreReader(directory / "state" / DATABASE_NAME)) as reader:
        loaded = reader.load(NAME)
        assert loaded is not None
        with closing(loaded):
            for each in loaded.steps_since(serial):
                parts = tuple(loaded.parts_of(each))
                step = unpack_changeset(PackedStep(each.old_serial, each.new_serial, each.records, each.size, parts))
                records = [("-", record) for record in step.deleted] + [("+", record) for record in step.added]
                steps.append([f"{sign}{names.to_text(r.owner)} {type_text(r.type)}" for sign, r in records])
    return steps


async def test_the_difference_between_two_versions_of_a_file_is_a_step_of_the_history(tmp_path: Path) -> None:
    first = ["-example.com SOA", "-serial.example.com TXT", "+example.com SOA"]
    second = ["-example.com SOA", "-new.example.com A", "-serial.example.com TXT", "+example.com SOA"]
    async with files_in(tmp_path) as zone:
        await zone.load(zone_text(ZONE, 5))
        await zone.load(zone_text(ZONE, 6, extra="new IN A 192.0.2.1\n"))
        await zone.load(zone_text(ZONE, 7))
    steps = history(tmp_path, 5)
    assert [sorted(step) for step in steps] == [
        sorted([*first, "+new.example.com A", "+serial.example.com TXT"]),
        sorted([*second, "+serial.example.com TXT"]),
    ]
    assert history(tmp_path, 6) == steps[1:]


async def test_a_file_whose_records_only_moved_is_no_change(tmp_path: Path) -> None:
    async with files_in(tmp_path) as zone:
        some = ["a A 192.0.2.1\n", "a A 192.0.2.2\n", "b A 192.0.2.3\n"]
        await zone.load(zone_text(ZONE, 5, extra="".join(some)))
        generation = zone.publisher.stored[NAME].generation
        verdict = await zone.load(zone_text(ZONE, 5, extra="".join(some[::-1])))
        assert (verdict.changed, verdict.reason) == (False, None)
        assert zone.publisher.stored[NAME].generation == generation


async def test_a_file_that_is_written_while_it_is_read_is_read_again_and_in_the_end_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with files_in(tmp_path) as zone:
        await zone.load(zone_text(ZONE, 5))
        written = []

        def read_and_write(*args: object, **more: object) -> BuiltZone:
            built = read_zone_file(*args, **more)  # type: ignore[arg-type]
            if len(written) < until:
                written.append(zone.path.write_text(zone_text(ZONE, 60 + len(written))))
            return built

        monkeypatch.setattr("nameserver.zone.zonefile.read_zone_file", read_and_write)
        until = 99
        verdict = await zone.load(zone_text(ZONE, 6))
        assert (verdict.reason, zone.serial) == (Reason.MALFORMED, 5)
        assert "is being written" in verdict.detail
        until = len(written) + 1
        assert (await zone.load()).changed
        assert zone.serial == 60 + len(written) - 1


async def test_all_problems_of_a_file_are_counted_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with files_in(tmp_path) as zone:
        verdict = await zone.load(zone_text(ZONE, 5, extra="x A 1\ny A 2\nz A 3\n"))
        assert verdict.detail.startswith(f"{zone.path}:38: ")
        assert verdict.detail.endswith(" (and 2 more problems)")
        assert [f":{line}: " in message for line, message in zip((39, 40), caplog.messages, strict=True)] == [
            True,
            True,
        ]


async def test_a_large_file_is_read_while_the_loop_goes_on(tmp_path: Path) -> None:
    async with files_in(tmp_path) as zone:
        zone.path.write_text(zone_text(ZONE, 5, extra="".join(f"h{n} A 192.0.2.1\n" for n in range(30_000))))
        turns = 0
        loading = asyncio.create_task(zone.load())
        while not loading.done():
            await asyncio.sleep(0)
            turns += 1
        assert (await loading).changed
        assert turns > 20
