"""Zones of type "primary": read from their files, committed and published like any other version.

A file that cannot be read, or whose content changed without a higher serial, changes nothing: the version in hand goes
on being served, and the zone's status says what is wrong.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nameserver.config.model import ZoneConfig
from nameserver.errors import Reason, StoreDamaged, StoreError, ZoneError, ZoneFileError
from nameserver.server.zones.publisher import Publisher
from nameserver.store.database import StoredZone, ZoneTimers
from nameserver.zone.builder import BuiltZone
from nameserver.zone.serial import newer
from nameserver.zone.zonefile import read_zone_file

log = logging.getLogger("nameserver.zones")

NEVER = float("inf")  # a primary zone does not expire

FileState = tuple[str, int, int]  # path, mtime in ns, size


def state_of(path: Path) -> FileState:
    """What changes when a file does. Raises `OSError`."""
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size


def has_changed(state: FileState) -> bool:
    """Whether a file is another one by now, or gone."""
    try:
        return state_of(Path(state[0])) != state
    except OSError:
        return True


@dataclass(slots=True)
class FileVerdict:
    """What reading a zone file led to."""

    changed: bool
    reason: Reason | None = None
    detail: str = ""


class PrimaryFiles:
    """Reads the zone files; remembers which file state was taken, so that an unchanged file is not read again."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._taken: dict[bytes, list[FileState]] = {}  # zone → its file, and those that it includes

    async def load(self, zone: ZoneConfig) -> FileVerdict:
        """Read the zone's file and publish it where it is new. Whatever is wrong with file or store is the verdict."""
        try:
            return await self._load(zone)
        except StoreError as error:
            return FileVerdict(changed=False, reason=Reason.STORE_FAILED, detail=f"{zone.file} is not taken: {error}")

    async def _load(self, zone: ZoneConfig) -> FileVerdict:
        if zone.file is None:
            raise ValueError(f"zone {zone.text} has no file")
        try:
            taken = self._taken.get(zone.name)
            if taken and taken[0][0] == str(zone.file) and not any(has_changed(state) for state in taken):
                return FileVerdict(changed=False)
            built, state = await self._publisher.in_store_thread(self._read, zone)
        except OSError as error:
            return FileVerdict(changed=False, reason=Reason.MALFORMED, detail=f"{zone.file}: {error.strerror}")
        except ZoneFileError as error:
            return FileVerdict(changed=False, reason=Reason.MALFORMED, detail=error.problems[0])
        except ZoneError as error:
            return FileVerdict(changed=False, reason=error.reason, detail=f"{zone.file}: {error.detail}")
        held = self._publisher.stored.get(zone.name)
        if held is not None and (verdict := await self._compare(zone, held, built)) is not None:
            if verdict.reason is None:
                self._taken[zone.name] = state
            return verdict
        now = time.time()
        await self._publisher.publish_full(zone, built, str(zone.file), ZoneTimers(now, now, NEVER, NEVER))
        self._taken[zone.name] = state
        log.info("zone %s: serial %d taken from %s", zone.text, built.soa.serial, zone.file)
        for warning in built.warnings:
            log.warning("zone %s: %s", zone.text, warning)
        return FileVerdict(changed=True)

    @staticmethod
    def _read(zone: ZoneConfig) -> tuple[BuiltZone, list[FileState]]:
        path = zone.file
        if path is None:  # pragma: no cover - `load` has looked
            raise ValueError(f"zone {zone.text} has no file")
        states: list[FileState] = []

        def read(path: Path) -> IO[bytes]:
            states.append(state_of(path))
            return path.open("rb")

        def include(name: str, where: str) -> tuple[str, IO[bytes]]:
            included = Path(where).parent / name
            return str(included), read(included)

        return read_zone_file(lambda: read(path), zone.name, str(path), include), states

    async def _compare(self, zone: ZoneConfig, held: StoredZone, built: BuiltZone) -> FileVerdict | None:
        """None where the file is to be taken; else why not."""
        if newer(built.soa.serial, held.serial):
            return None
        reason = Reason.SERIAL_BACKWARDS
        if built.soa.serial == held.serial:
            try:
                if await self._publisher.in_store_thread(self._same_content, held, built):
                    return FileVerdict(changed=False)
            except StoreDamaged as error:
                log.error("zone %s: %s; its file takes its place", zone.text, error)
                return None
            reason = Reason.SERIAL_SAME
        detail = f"{zone.file}: serial {built.soa.serial} is not above {held.serial}, which is served: raise it"
        return FileVerdict(changed=False, reason=reason, detail=detail)

    def _same_content(self, held: StoredZone, built: BuiltZone) -> bool:
        read = self._publisher.node_reader(held.name)
        return held.records == built.records and all(read(key) == node for key, node in built.nodes.items())

    def forget(self, name: bytes) -> None:
        """The zone is gone or changed: read its file afresh next time."""
        self._taken.pop(name, None)
