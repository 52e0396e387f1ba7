"""`promote` and `demote`: a zone goes on in another role, with what it holds, and a file says so from then on.

    promote   transfers end ─▶ zone file written ─▶ role noted ─▶ stored as primary ─▶ workers told
    demote    a primary is asked, and the zone taken from it whole ─▶ role noted ─▶ timers start

Each step leaves something that the next start can go on from: until the role is noted, nothing has happened but for a
file more; from then on the role holds. What fails before leaves the zone in the role that it had. See
`nameserver.config.roles` for how the configuration follows.
"""

import asyncio
import itertools
import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from nameserver.config.model import Config, ZoneConfig
from nameserver.config.roles import FILE_NAME, Role, Roles, described, with_role, written
from nameserver.control.protocol import ControlError, Json
from nameserver.errors import NameserverError, StoreError
from nameserver.refresh.outcome import Failed, LowerSerial, Outcome, UpToDate
from nameserver.server.zones.entry import ZoneEntry
from nameserver.server.zones.manager import ZoneManager
from nameserver.server.zones.primary_files import adopt, timers_as
from nameserver.server.zones.publisher import Publisher
from nameserver.store.database import StoredZone
from nameserver.store.reader import StoreReader
from nameserver.store.whole_file import write_whole
from nameserver.telemetry.words import plural, timestamp
from nameserver.wire import codes, names
from nameserver.wire.rrset import RRset
from nameserver.zone.node import find_rrsigs
from nameserver.zone.soa import parse_soa

log = logging.getLogger("nameserver.zones")

FOLDER = "primary"  # in the state directory: zone files that `promote` writes where it is not told a place


@dataclass(slots=True)
class RoleState:
    """What the roles are put before, and the roles themselves."""

    configured: Config  # as its files have it
    config: Config  # with the roles
    roles: Roles


class RoleChanges:
    """Changes roles, one zone at a time; the caller sees to it that no reload goes on meanwhile."""

    def __init__(self, zones: ZoneManager, publisher: Publisher, store: Path) -> None:
        self._zones = zones
        self._publisher = publisher
        self._store = store
        self._directory = store.parent.absolute()

    # --- promote -----------------------------------------------------------------------------------------------------

    async def promote(self, entry: ZoneEntry, state: RoleState, file: str | None) -> tuple[RoleState, Json]:
        """Make a primary zone of a secondary one: the new state, and what was done.

        Raises ControlError, with the zone in the role that it had, where there is nothing to promote or the file cannot
        be written.
        """
        zone, steps = entry.config, list[str]()
        if zone.type == "primary":
            if file is not None and not _is_same(Path(file), zone.file):
                raise ControlError(f"zone {zone.text} is a primary zone already, from {zone.file}")
            how = f"by command, at serial {self._serial(zone)}" if zone.override else "as it is configured"
            return state, _report(zone, [f"it is a primary zone already, from {zone.file}, {how}: nothing is done"])
        stored = self._publisher.stored.get(zone.name)
        if stored is None:
            raise ControlError(f"nothing is stored of zone {zone.text}, so there is nothing to promote")
        configured = state.configured.zones[zone.name]
        path = self._place(configured, file).resolve()
        self._check_free(path, zone, state.config)
        role = Role(zone.text, "primary", path, (), time.time(), described(configured))
        fresh, roles = self._with(state, role, back=configured.type == "primary" and configured.file == path)
        was_expired = not entry.answering
        held = await self._zones.go_on_as(entry, fresh, "promoted")
        steps.append(f"no transfer comes in any more from {', '.join(each.name for each in zone.primaries)}")
        try:
            stored = self._publisher.stored[zone.name]  # after the last transfer
            await asyncio.to_thread(self._write_file, stored, path, steps)
            await self._note(state, fresh, roles, stored, steps)
        except Exception as error:  # whatever it was: nothing but this entry drives the zone
            await self._undo(zone, held, state)
            if not isinstance(error, OSError | NameserverError):
                raise
            raise ControlError(f"zone {zone.text} stays a secondary zone: {_why(error)}") from error
        state = self._begin(held, state, roles)
        if was_expired:
            steps.append("it had expired, and is answered again")
        steps.append(f"it is a primary zone at serial {stored.serial}, as before; its history is kept")
        log.warning("zone %s was promoted to a primary zone, from %s", zone.text, path)
        return state, _report(held.config, steps, await self._hints(stored, path))

    def _place(self, configured: ZoneConfig, file: str | None) -> Path:
        if file is not None:
            return Path(file)
        if configured.file is not None:
            return configured.file
        # A name may have a slash in it (RFC 2317).
        return (
            self._store.parent.absolute()
            / FOLDER
            / f"{quote(configured.text, safe='') if configured.text != '.' else 'root'}.zone"
        )

    def _check_free(self, path: Path, zone: ZoneConfig, config: Config) -> None:
        """Raises ControlError for a place that belongs to something else."""
        for other in config.zones.values():
            if other.name != zone.name and _is_same(path, other.file):
                raise ControlError(f"{path} is the file of zone {other.text}; each zone has its own")
        if path.parent == self._directory.resolve():
            raise ControlError(f"{path} is among the server's own files; {FOLDER}/ below it is for zone files")

    def _write_file(self, stored: StoredZone, path: Path, steps: list[str]) -> None:
        """In a thread. What is at that place already is kept beside it."""
        from nameserver.store.zone_export import ZoneExport  # with dnspython, which few daemons need

        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with closing(StoreReader(self._store)) as reader:
            export = ZoneExport.begin(reader, stored.name, path.parent)
            if export is None:
                raise StoreError(f"zone {stored.text} is in the store no more")
            with closing(export):
                if (kept := _keep(path)) is not None:
                    steps.append(f"what was in {path} is kept as {kept}")
                write_whole(path, export.pieces())
        steps.append(f"{plural(stored.records, 'record')}, serial {stored.serial}, written to {path}")

    async def _hints(self, stored: StoredZone, path: Path) -> list[str]:
        soa = parse_soa(stored.soa_rdata)
        hints = [
            f"to change the zone: edit {path}, raise the serial above {stored.serial}, nameserver reload",
            f"its SOA names {names.to_text(soa.mname)} as the primary: if that is gone, change it with the first edit",
        ]
        apex = await self._publisher.in_store_thread(self._publisher.node_reader(stored.name), b"")
        signature = find_rrsigs(apex, codes.SOA, b"") if apex else None
        if signature is not None:
            hints.insert(0, _signed(signature))
        return hints

    # --- demote ------------------------------------------------------------------------------------------------------

    async def demote(
        self, entry: ZoneEntry, state: RoleState, primaries: Sequence[str], *, accept_lower: bool
    ) -> tuple[RoleState, Json]:
        """Make a secondary zone of a primary one again: the new state, and what was done.

        Without `primaries` those of the configuration. Raises ControlError, with the zone in the role that it had,
        where none of them gives the zone, or only one with a lower serial and not `accept_lower`.
        """
        zone, steps = entry.config, list[str]()
        configured = state.configured.zones[zone.name]
        wanted = tuple(primaries) or tuple(each.name for each in configured.primaries)
        if zone.type == "secondary":
            present = tuple(each.name for each in zone.primaries)
            if primaries and wanted != present:
                raise ControlError(f"zone {zone.text} is a secondary zone of {', '.join(present)} already; for others, "
                                   "change its primaries in the configuration")  # fmt: skip
            return state, _report(zone, [f"it is a secondary zone of {', '.join(present)} already: nothing is done"])
        if not wanted:
            raise ControlError(f"zone {zone.text} is configured as a primary zone: say whose secondary it is to be, "
                               "with --primaries NAME …")  # fmt: skip
        if unknown := [each for each in wanted if each not in state.configured.remotes]:
            known = ", ".join(sorted(state.configured.remotes)) or "none"
            raise ControlError(f"no [remote.{unknown[0]}] is configured; there is: {known}")
        role = Role(zone.text, "secondary", None, wanted, time.time(), described(configured))
        back = configured.type == "secondary" and wanted == tuple(each.name for each in configured.primaries)
        fresh, roles = self._with(state, role, back=back)
        before = self._serial(zone)
        outcome = await self._fetch(zone, fresh, accept_lower=accept_lower)
        stored = self._publisher.stored[zone.name]
        steps.append(f"taken whole from {stored.source}: serial {stored.serial}, {plural(stored.records, 'record')}")
        if outcome is not None:
            steps.append(outcome)
        held = await self._zones.go_on_as(entry, fresh, "demoted")
        try:
            await self._note(state, fresh, roles, stored, steps)
        except Exception as error:  # whatever it was: nothing but this entry drives the zone
            await self._undo(zone, held, state)
            if not isinstance(error, OSError | NameserverError):
                raise
            raise ControlError(f"zone {zone.text} stays a primary zone: {_why(error)}") from error
        state = self._begin(held, state, roles, changed=True)
        steps.append(f"it is a secondary zone of {', '.join(wanted)}; serial {before} before, {stored.serial} now")
        log.warning("zone %s was demoted to a secondary zone of %s", zone.text, ", ".join(wanted))
        return state, _report(held.config, steps, [f"{zone.file} is left as it is, and read no more"])

    async def _fetch(self, zone: ZoneConfig, fresh: ZoneConfig, *, accept_lower: bool) -> str | None:
        """Take the zone from its primaries, whole: ours may hold changes that none of them ever had.

        A sentence for those below us, where its serial is not above ours. Raises ControlError.
        """
        trial = replace(fresh, primaries=tuple(replace(each, request_ixfr=False) for each in fresh.primaries))
        before = self._serial(zone)
        outcome: Outcome = await self._zones.try_primaries(trial, force=False)
        told = None
        if isinstance(outcome, LowerSerial):
            if not accept_lower:
                raise ControlError(
                    f"zone {zone.text} stays a primary zone: its serial is {before}, and {outcome.serial} at the "
                    "primary. What was changed here would be lost, and secondaries that have it would not follow. Give "
                    f"the primary {zone.file} under a serial above {before}, or say --accept-lower"
                )
            told = f"secondaries with serial {before} follow when the primary is above it, or by their own retransfer"
        if isinstance(outcome, LowerSerial | UpToDate):
            outcome = await self._zones.try_primaries(trial, force=True)
        if isinstance(outcome, Failed):
            text = f"{outcome.reason}: {outcome.detail}" if outcome.detail else str(outcome.reason)
            raise ControlError(f"zone {zone.text} stays a primary zone: no primary gave it: {text}")
        return told

    # --- both --------------------------------------------------------------------------------------------------------

    def _serial(self, zone: ZoneConfig) -> int | None:
        held = self._publisher.held(zone.name)
        return held.serial if held else None

    @staticmethod
    def _with(state: RoleState, role: Role, *, back: bool) -> tuple[ZoneConfig, Roles]:
        """The zone in its new role, and all roles; `back`: to what is configured, so that there is none to note."""
        name = names.fold(names.from_text(role.zone))
        configured = state.configured.zones[name]
        if back:
            return configured, {other: each for other, each in state.roles.items() if other != name}
        return with_role(configured, role, state.configured), {**state.roles, name: role}

    async def _note(
        self, state: RoleState, fresh: ZoneConfig, roles: Roles, stored: StoredZone, steps: list[str]
    ) -> None:
        """Write the roles and the zone's kind; in between, a start must find a role to go by."""
        timers = timers_as(fresh.type, stored, time.time())
        if not fresh.override:
            await self._publisher.change_kind(fresh, timers)
            await asyncio.to_thread(save_roles, self._directory, roles)
            steps.append("it is as the configuration says again: nothing stands before that any more")
            return
        await asyncio.to_thread(save_roles, self._directory, roles)
        try:
            await self._publisher.change_kind(fresh, timers)
        except StoreError:
            await asyncio.to_thread(save_roles, self._directory, state.roles)
            raise
        steps.append(f"noted in {self._directory / FILE_NAME}, which goes before the configuration until that agrees")

    async def _undo(self, zone: ZoneConfig, held: ZoneEntry, state: RoleState) -> None:
        """Back to the role that the zone had, in the store too: a primary zone must not expire."""
        stored = self._publisher.stored.get(zone.name)
        if stored is not None and stored.kind != zone.type:
            await adopt(self._publisher, zone, stored)
        entry = await self._zones.go_on_as(held, zone, "left as it was")
        self._zones.begin(entry, state.config)

    def _begin(self, entry: ZoneEntry, state: RoleState, roles: Roles, *, changed: bool = False) -> RoleState:
        config = replace(state.config, zones={**state.config.zones, entry.config.name: entry.config})
        self._zones.begin(entry, config, changed=changed)
        return RoleState(state.configured, config, roles)


def _is_same(one: Path, other: Path | None) -> bool:
    return other is not None and one.resolve() == other.resolve()


def _keep(path: Path) -> Path | None:
    """Give what is at a place a second name, as its own is taken from it; None where nothing is there."""
    if not path.exists():
        return None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in itertools.count(1):
        kept = path.with_name(f"{path.name}.before-{stamp}{f'-{number}' if number > 1 else ''}")
        if kept.exists():
            continue
        try:
            kept.hardlink_to(path)
        except OSError:  # of file systems without them
            shutil.copy2(path, kept)
        return kept
    return None


def save_roles(state_dir: Path, roles: Roles) -> None:
    """Write the roles. Raises `OSError`, with the file as it was."""
    write_whole(state_dir / FILE_NAME, [written(roles.values())])


def _report(zone: ZoneConfig, steps: list[str], hints: Sequence[str] = ()) -> Json:
    return {
        "zone": zone.text,
        "type": zone.type,
        "file": str(zone.file) if zone.file else None,
        "primaries": [each.name for each in zone.primaries],
        "steps": steps,
        "hints": [*([f"{zone.text} was {zone.override}"] if zone.override else []), *hints],
    }


def _signed(signature: RRset) -> str:
    expires = min(int.from_bytes(rdata[8:12], "big") for rdata in signature.rdatas())
    return (
        f"it is signed, and nothing here signs: have the file signed anew before {timestamp(expires)}, when the SOA's "
        "signature ends"
    )


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
