"""Zones of type "primary": read from their files, committed and published like any other version.

    file ──▶ read, in a thread ──▶ compared with what is stored ─┬─ nothing differs ──▶ nothing happens
                                   (in the store's thread)       ├─ serial not raised ─▶ refused
                                                                 ├─ a few owners ─────▶ these are replaced
                                                                 └─ many, or all new ─▶ a whole new version

Either way the difference becomes a step of the zone's history. A file that cannot be read, or whose content changed
without a higher serial, changes nothing: the version in hand goes on being served, and the zone's status says what is
wrong.
"""

import asyncio
import errno
import logging
import stat
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nameserver.config.model import ZoneConfig
from nameserver.errors import Reason, StoreDamaged, StoreError, ZoneError, ZoneFileError
from nameserver.server.zones.publisher import Publisher
from nameserver.store.database import StoredZone, ZoneTimers
from nameserver.telemetry.words import plural
from nameserver.wire import names
from nameserver.zone.builder import BuiltZone
from nameserver.zone.replaced_nodes import Replaced, as_applied, replaced_nodes
from nameserver.zone.serial import newer
from nameserver.zone.soa import parse_soa

log = logging.getLogger("nameserver.zones")

NEVER = float("inf")  # a primary zone does not expire
TRIES = 3  # readings of a file that is written meanwhile
REPLACED_AT_LEAST, REPLACED_SHARE = 2000, 8  # owners that are replaced one by one: so many, or that part of all

FileState = tuple[str, int, int, int]  # path, mtime in ns, size, inode


def state_of(path: Path) -> FileState:
    """What changes when a file does. Raises `OSError`, also for a pipe or device, which may have no end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return str(path), status.st_mtime_ns, status.st_size, status.st_ino


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


@dataclass(frozen=True, slots=True)
class _Comparison:
    """How a file stands to the stored version: `verdict` where it is not taken, `replaced` where that is little."""

    verdict: FileVerdict | None = None
    replaced: Replaced | None = None


class PrimaryFiles:
    """Reads the zone files; remembers which file state was taken, so that an unchanged file is not read again."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._taken: dict[bytes, list[FileState]] = {}  # zone → its file, and those that it includes

    async def load(self, zone: ZoneConfig) -> FileVerdict:
        """Read the zone's file and publish it where it is new. Whatever is wrong with file or store is the verdict."""
        return await self._judged(zone, self._load)

    async def check(self, zone: ZoneConfig) -> FileVerdict:
        """Read the zone's file and no more: whether a zone could be made of it is the verdict."""
        return await self._judged(zone, self._check)

    async def _judged(
        self, zone: ZoneConfig, read: Callable[[ZoneConfig, Path], Awaitable[FileVerdict]]
    ) -> FileVerdict:
        if zone.file is None:
            raise ValueError(f"zone {zone.text} has no file")
        try:
            return await read(zone, zone.file)
        except StoreError as error:
            return FileVerdict(changed=False, reason=Reason.STORE_FAILED, detail=f"{zone.file} is not taken: {error}")
        except OSError as error:
            return FileVerdict(changed=False, reason=Reason.MALFORMED, detail=f"{zone.file}: {error.strerror}")
        except ZoneFileError as error:
            for problem in error.problems[1:]:
                log.error("zone %s: %s", zone.text, problem)
            more = f" (and {plural(len(error.problems) - 1, 'more problem')})" if len(error.problems) > 1 else ""
            return FileVerdict(changed=False, reason=Reason.MALFORMED, detail=f"{error.problems[0]}{more}")
        except ZoneError as error:
            return FileVerdict(changed=False, reason=error.reason, detail=f"{zone.file}: {error.detail}")

    async def _load(self, zone: ZoneConfig, path: Path) -> FileVerdict:
        taken = self._taken.get(zone.name)
        if taken and taken[0][0] == str(path) and not any(has_changed(state) for state in taken):
            return FileVerdict(changed=False)
        whole = await _read_whole(zone.name, path)
        if whole is None:
            return _being_written(path)
        built, state = whole
        held = self._publisher.stored.get(zone.name)
        comparison = _Comparison() if held is None else await self._compare(zone, held, built)
        if comparison.verdict is not None:
            if comparison.verdict.reason is None:
                self._taken[zone.name] = state
            return comparison.verdict
        await self._publish(zone, built, held, comparison.replaced)
        self._taken[zone.name] = state
        log.info("zone %s: serial %d taken from %s", zone.text, built.soa.serial, path)
        for warning in built.warnings:
            log.warning("zone %s: %s", zone.text, warning)
        return FileVerdict(changed=True)

    @staticmethod
    async def _check(zone: ZoneConfig, path: Path) -> FileVerdict:
        whole = await _read_whole(zone.name, path)
        return _being_written(path) if whole is None else FileVerdict(changed=False)

    async def _publish(
        self, zone: ZoneConfig, built: BuiltZone, held: StoredZone | None, replaced: Replaced | None
    ) -> None:
        now = time.time()
        timers = ZoneTimers(now, now, NEVER, NEVER)
        if held is None or replaced is None:
            await self._publisher.publish_full(zone, built, str(zone.file), timers)
            return
        applied = as_applied(replaced, built, held.records)
        await self._publisher.publish_changes(zone, lambda: (applied, timers), str(zone.file))

    async def _compare(self, zone: ZoneConfig, held: StoredZone, built: BuiltZone) -> _Comparison:
        serial = built.soa.serial
        if not newer(serial, held.serial) and serial != held.serial:
            detail = f"{zone.file}: serial {serial} is not above {held.serial}, which is served: raise it"
            return _Comparison(FileVerdict(changed=False, reason=Reason.SERIAL_BACKWARDS, detail=detail))
        if built.apex_as_received != held.apex_as_received and serial != held.serial:
            return _Comparison()
        limit = max(REPLACED_AT_LEAST, held.owners // REPLACED_SHARE)
        try:
            replaced = await self._publisher.in_store_thread(self._replaced, held, built, limit)
        except StoreDamaged as error:
            log.error("zone %s: %s; its file takes its place", zone.text, error)
            return _Comparison()
        if serial != held.serial:
            return _Comparison(replaced=replaced)
        if replaced is not None and not replaced:
            return _Comparison(FileVerdict(changed=False))
        what = "much of its content" if replaced is None else _owners(replaced, built.apex_as_received)
        detail = f"{zone.file}: {what} changed, but serial {serial} is the one that is served: raise it"
        return _Comparison(FileVerdict(changed=False, reason=Reason.SERIAL_SAME, detail=detail))

    def _replaced(self, held: StoredZone, built: BuiltZone, limit: int) -> Replaced | None:
        with closing(self._publisher.slices(held.name)) as old:
            return replaced_nodes(old, built.nodes, held.apex_as_received, limit)

    def took(self, zone: ZoneConfig) -> None:
        """The zone's file was just written from what is stored: it need not be read."""
        if zone.file is not None:
            with suppress(OSError):
                self._taken[zone.name] = [state_of(zone.file)]

    def forget(self, name: bytes) -> None:
        """The zone is gone or changed: read its file afresh next time."""
        self._taken.pop(name, None)


def timers_as(kind: str, stored: StoredZone, now: float) -> ZoneTimers:
    """The times of a stored zone that goes on as a zone of this kind: a primary one does not expire."""
    if kind == "primary":
        return ZoneTimers(now, stored.last_change, NEVER, NEVER)
    if stored.expires_at != NEVER:  # by the transfer that it came with, in which the primary may have said how long
        return ZoneTimers(stored.last_success, stored.last_change, stored.expires_at, now)
    return ZoneTimers(now, stored.last_change, now + parse_soa(stored.soa_rdata).expire, now)


async def adopt(publisher: Publisher, zone: ZoneConfig, stored: StoredZone) -> None:
    """Have the store go by a zone's role, where it has another: we were stopped before it heard, or took it back."""
    try:
        await publisher.change_kind(zone, timers_as(zone.type, stored, time.time()))
    except StoreError as error:
        log.error("zone %s: %s", zone.text, error)


def _owners(replaced: Replaced, apex: bytes) -> str:
    """Some owners, in words."""
    shown = [names.to_text(key + apex) for key in sorted(replaced)[:3]]
    more = len(replaced) - len(shown)
    return f"{', '.join(shown)} and {plural(more, 'other owner')}" if more else ", ".join(shown)


def _being_written(path: Path) -> FileVerdict:
    text = f"{path} is being written: what was read may be half of it; reload once it is done"
    return FileVerdict(changed=False, reason=Reason.MALFORMED, detail=text)


async def _read_whole(name: bytes, path: Path) -> tuple[BuiltZone, list[FileState]] | None:
    """As `_read`; None where the file is being written all the while."""
    for _ in range(TRIES):
        # Not in the store's thread: what transfers bring in meanwhile is written meanwhile.
        built, state = await asyncio.to_thread(_read, name, path)
        if not any(has_changed(each) for each in state):
            return built, state
    return None


def _read(name: bytes, path: Path) -> tuple[BuiltZone, list[FileState]]:
    """The zone of a file, and what the files that it was read from were like. Raises as `read_zone_file`."""
    states: list[FileState] = []

    def read(path: Path) -> IO[bytes]:
        states.append(state_of(path))
        return path.open("rb")

    def include(wanted: str, where: str) -> tuple[str, IO[bytes]]:
        included = Path(where).parent / wanted
        return str(included), read(included)

    from nameserver.zone.zonefile import read_zone_file  # with dnspython, which only primary zones need

    return read_zone_file(lambda: read(path), name, str(path), include), states
