"""All configured zones: each one's refresh machine, its clock, and what is told to the outside when it moves.

    reconcile ─▶ ZoneEntry ─ machine ─ actions ─▶ Check ─▶ Refresher.run ─▶ check_finished ─┐
                    ▲           ▲                 Expire/Revive ─▶ workers                  │
     NOTIFY, orders ┘           └──────────────────────────── one heap of deadlines, one timer

No zone has a task or timer of its own while nothing happens: 10,000 idle zones cost one entry each in a heap.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Collection
from dataclasses import replace

from nameserver.config.model import Config, ServerConfig, ZoneConfig
from nameserver.control.protocol import ControlError, Json
from nameserver.errors import Reason, StoreError, StoreFault
from nameserver.refresh.machine import Action, Check, Expire, RefreshMachine, Revive, StateChanged
from nameserver.refresh.outcome import Failed, Transferred
from nameserver.refresh.outcome import Outcome as RunOutcome
from nameserver.refresh.pace import Pace
from nameserver.server.clocks import machine_clock, tell_if_behind
from nameserver.server.supervisor import Supervisor
from nameserver.server.tls import read_authorities_again
from nameserver.server.zones.deadlines import Deadlines
from nameserver.server.zones.downstreams import Downstreams
from nameserver.server.zones.entry import ZoneEntry, ZoneTimes, level_of, update_statuses
from nameserver.server.zones.pauses import Pauses
from nameserver.server.zones.primary_files import FileVerdict, PrimaryFiles, adopt
from nameserver.server.zones.publications import Publications
from nameserver.server.zones.publisher import Publisher
from nameserver.server.zones.refresher import Refresher, ZoneRun, primary_statuses
from nameserver.store.database import StoredZone, ZoneTimers
from nameserver.telemetry.events import NotifyReceivedEvent, TransferEvent
from nameserver.telemetry.events import Outcome as Verdict
from nameserver.telemetry.log import log_event
from nameserver.telemetry.tally import Tally
from nameserver.telemetry.throttle import Throttle
from nameserver.telemetry.words import duration, plural
from nameserver.wire import names
from nameserver.zone.serial import newer
from nameserver.zone.soa import parse_soa

RECOVERY_SPACING = 60.0  # seconds between two times that a zone's stored copy is set aside as damaged

log = logging.getLogger("nameserver.zones")


class ZoneManager:
    """Every zone of the configuration. All methods run in the event loop."""

    def __init__(
        self, server: ServerConfig, publisher: Publisher, supervisor: Supervisor, downstreams: Downstreams, tally: Tally
    ) -> None:
        self.entries: dict[bytes, ZoneEntry] = {}
        self.started = False
        self._publisher = publisher
        self._losses: set[asyncio.Task[None]] = set()
        self._unread: dict[bytes, str] = {}  # zones that some worker cannot load, and why
        self._recovered: dict[bytes, float] = {}  # zone → when its stored copy was set aside (monotonic)
        self._throttle = Throttle()
        publisher.on_lost = self._lost
        publisher.on_error = self._store_failed
        publisher.on_mended = self._store_mended
        self._supervisor = supervisor
        self._downstreams = downstreams
        self.publications = Publications(supervisor, downstreams, tally)
        self._tally = tally
        self._refresher = Refresher(server, publisher, tally, self._primary_back)
        self._files = PrimaryFiles(publisher)
        self.pauses = Pauses(
            publisher.directory, self.entries, publisher, lambda name: self.publications.on_moved(name)
        )
        self.deadlines = Deadlines(
            self.entries, self._look_at, self._clock_was_set, lambda: machine_clock()
        )  # as it is when it is asked
        self._random = random.Random()
        self._pace = Pace(server.soa_rate)
        self._stopping = False

    # --- start, stop, reload -----------------------------------------------------------------------------------------

    async def prepare(self, config: Config) -> None:
        """Make an entry for every zone, and forget stored zones that are no longer configured."""
        self._downstreams.configured(config)
        self.pauses.restore(config.zones)
        for name, stored in list(self._publisher.stored.items()):
            zone = config.zones.get(name)
            if zone is None:
                log.info("zone %s is no longer configured: forgotten", stored.text)
            elif zone.type != stored.kind and (zone.override or await self._has_nothing_else(zone, stored)):
                await adopt(self._publisher, zone, stored)
                continue
            elif zone.type != stored.kind:
                log.info("zone %s was %s and is %s: its old content is forgotten", zone.text, stored.kind, zone.type)
            else:
                continue
            if (error := await self._publisher.remove(name)) is not None:
                log.error("zone %s: %s", stored.text, _left_behind(error))
        for zone in config.zones.values():
            self._add(zone)

    async def _has_nothing_else(self, zone: ZoneConfig, stored: StoredZone) -> bool:
        """Whether a primary zone has only what it held as a secondary one: its file cannot be taken."""
        if zone.type != "primary" or stored.expires_at <= time.time():
            return False
        verdict = await self._files.check(zone)
        if verdict.reason is not None:
            log.error("zone %s goes on with what it held as a secondary zone: %s", zone.text, verdict.detail)
        return verdict.reason is not None

    async def start(self) -> None:
        """Start every machine, and read the zone files; those of zones that are answered already come last."""
        files = [entry for entry in self.entries.values() if entry.machine is None]
        for entry in files:
            if not entry.held:
                await self._load_file(entry)
        answered = [entry for entry in files if not entry.tried]
        stored = self._publisher.stored
        tell_if_behind(each.last_success for each in stored.values())
        # The longest overdue go first: checks of what is held begin at a limited rate.
        for name in sorted(self.entries, key=lambda name: stored[name].refresh_at if name in stored else 0.0):
            self._start_machine(self.entries[name])
        for entry in answered:
            await self._load_file(entry)
        self.started = True

    async def stop(self) -> None:
        """End every run; nothing that is not committed is lost, for it would have been asked for again."""
        self._stopping = True
        self.deadlines.stop()
        await self.pauses.stop()
        tasks = [task for entry in self.entries.values() for task in (entry.task, entry.recovery) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._refresher.kept.close()

    async def reconcile(self, config: Config) -> tuple[str, list[str]]:
        """Make the zones what a new configuration says: unchanged ones are not touched.

        Returns a summary, and a sentence for everything that could not be done; the rest is done all the same.
        """
        read_authorities_again()
        problems: list[str] = []
        removed = [name for name in self.entries if name not in config.zones]
        added = [zone for name, zone in config.zones.items() if name not in self.entries]
        changed = [
            zone for name, zone in config.zones.items() if name in self.entries and self.entries[name].config != zone
        ]
        for name in removed:
            problems += await self._remove(name)
        await self.pauses.forget(removed)
        replaced = [zone for zone in changed if self.entries[zone.name].config.type != zone.type]
        for zone in replaced:
            problems += await self._remove(zone.name)
        for zone in (*added, *replaced):
            self._add(zone)
        # First of what follows: whatever breaks after it, the workers know the zones that we now have.
        self._publisher.configure([*added, *changed], config)
        self._downstreams.configured(config)
        adjusted = [zone for zone in changed if zone not in replaced]
        for zone in adjusted:
            self._change(self.entries[zone.name], zone)
        files = 0
        for entry in list(self.entries.values()):
            if entry.machine is None:
                files += await self._load_file(entry)
        for zone in (*added, *replaced):
            self._start_machine(self.entries[zone.name])
        self._refresher.keep(config.zones.values())
        known = {remote.name for zone in config.zones.values() for remote in zone.primaries}
        for remote_name in set(self._tally.primary_up) - known:
            self._tally.forget_primary(remote_name)
        unchanged = len(self.entries) - len(added) - len(changed)
        text = (
            f"{plural(len(added), 'zone')} added, {len(removed)} removed, {len(changed)} changed, {unchanged} untouched"
        )
        problems += [
            f"zone {entry.config.text}: {entry.trouble.detail}"
            for entry in self.entries.values()
            if entry.machine is None and entry.trouble.reason is not None
        ]
        return (f"{text}, {plural(files, 'zone file')} taken" if files else text), problems

    async def without_losses(self, config: Config) -> tuple[Config, list[str]]:
        """A new configuration but for secondary zones that it makes primary ones of files which cannot be taken.

        They go on as they are, and a sentence says so of each; the next reload tries again.
        """
        zones, problems = dict(config.zones), list[str]()
        for name, zone in config.zones.items():
            entry = self.entries.get(name)
            if zone.type != "primary" or entry is None or entry.machine is None or not entry.answering:
                continue
            verdict = await self._files.check(zone)
            if verdict.reason is not None:
                zones[name] = entry.config
                problems.append(f"zone {zone.text} stays a secondary zone: {verdict.detail}")
                log.error("%s", problems[-1])
        return replace(config, zones=zones), problems

    def _add(self, zone: ZoneConfig) -> None:
        machine = None
        if zone.type != "primary":
            machine = RefreshMachine(zone.text, zone.timers, self._random.random, machine_clock(), turn=self._pace.turn)
        stored = self._publisher.stored.get(zone.name)
        pause = self.pauses.of(zone.name)
        entry = ZoneEntry(zone, machine, primary_statuses(zone), held=stored is not None, pause=pause)
        self.entries[zone.name] = entry
        if stored is not None and machine is not None and stored.expires_at <= time.time():
            self._publisher.set_expired(zone.name, True)
        elif stored is not None and machine is None:
            entry.file_times = ZoneTimes(stored.last_success, stored.last_change, None, None)

    def _start_machine(self, entry: ZoneEntry) -> None:
        machine = entry.machine
        if machine is None or entry.live:  # it is, where damaged data had it fetched again before the start got here
            return
        entry.live = True
        now = machine_clock()
        stored = self._publisher.held(entry.config.name)
        if stored is None:
            self._act(entry, machine.start(now))
            return
        # Times to come, where the clock was set back: it has the age of a version that was checked just now.
        age = max(0.0, time.time() - stored.last_success)
        actions = machine.restore(
            stored.serial,
            parse_soa(stored.soa_rdata),
            stored.expires_at - stored.last_success - age,
            now,
            last_success=now - age,
            last_change=now - age + min(0.0, stored.last_change - stored.last_success),
        )
        self._tell_expiry(entry)
        self._act(entry, actions)

    def _change(self, entry: ZoneEntry, zone: ZoneConfig) -> None:
        """Other settings for a zone that goes on: what is held stays; new primaries are asked at once."""
        before = entry.config
        entry.config = zone
        self.publications.reconfigured(entry, before)
        if before.primaries != zone.primaries:
            update_statuses(entry.primaries, primary_statuses(zone))
        if entry.machine is None:
            self._files.forget(zone.name)
            return
        now = machine_clock()
        actions = entry.machine.reconfigure(zone.timers, now)
        if before.primaries != zone.primaries:
            actions += entry.machine.refresh(now)
        if entry.answering:
            self._tell_expiry(entry)
            self._save_timers(entry)
        self._act(entry, actions)

    async def _remove(self, name: bytes) -> list[str]:
        """Stop answering a zone and forget it; a sentence where some of that is still to come."""
        entry = self.entries.pop(name)
        if entry.task is not None:
            entry.task.cancel()
            await asyncio.gather(entry.task, return_exceptions=True)
        self._files.forget(name)
        self._unread.pop(name, None)
        self._recovered.pop(name, None)
        if entry.recovery is not None:
            entry.recovery.cancel()
        self._downstreams.forget(name)
        self.publications.on_moved(name)
        for waiter in entry.waiters:
            if not waiter.done():
                waiter.set_exception(ControlError(f"zone {entry.config.text} was removed meanwhile"))
        error = await self._publisher.remove(name)
        log.info("zone %s removed", entry.config.text)
        if error is None:
            return []
        log.error("zone %s: %s", entry.config.text, _left_behind(error))
        return [f"zone {entry.config.text}: {_left_behind(error)}"]

    async def go_on_as(self, entry: ZoneEntry, zone: ZoneConfig, reason: str) -> ZoneEntry:
        """End what goes on for a zone; its new entry is as `zone` says, with what is held, and waits for `begin`."""
        for task in (entry.task, entry.recovery):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for waiter in entry.waiters:
            if not waiter.done():
                waiter.set_exception(ControlError(f"zone {zone.text} was {reason} meanwhile"))
        self._files.forget(zone.name)
        self._add(zone)
        fresh = self.entries[zone.name]
        fresh.queries, fresh.control_queries = entry.queries, entry.control_queries
        fresh.publishing, fresh.answered = entry.publishing, entry.answered
        return fresh

    def begin(self, entry: ZoneEntry, config: Config, *, changed: bool = False) -> None:
        """Have workers and timers go by a zone's new entry. `changed`: it has a version to be told of."""
        self._publisher.configure([entry.config], config)
        entry.tried = True
        if entry.machine is None:
            self._files.took(entry.config)
        self._start_machine(entry)
        stored, told = self._publisher.stored.get(entry.config.name), entry.answered
        if entry.publishing:
            told = entry.publishing[-1]
        # The run that was ended may have been at its commit.
        committed = stored is not None and told is not None and stored.generation != told.generation
        if changed or committed:
            self._published(entry)

    async def try_primaries(self, zone: ZoneConfig, *, force: bool) -> RunOutcome:
        """A refresh run of its own, for a zone that has no machine yet. `force`: a transfer of whatever serial."""
        self._refresher.reach.ask_again(zone)
        return await self._refresher.run(ZoneRun(zone, primary_statuses(zone), force))

    async def _load_file(self, entry: ZoneEntry) -> bool:
        try:
            verdict = await self._files.load(entry.config)
        except Exception as error:  # one zone's file must stop neither the start nor a reload of the others
            log.exception("zone %s: reading its file broke; please report this", entry.config.text)
            verdict = FileVerdict(changed=False, reason=Reason.SUPERSEDED, detail=_broken(error).detail)
        entry.file, entry.tried = verdict, True
        if verdict.reason is not None:
            log.error("zone %s: %s", entry.config.text, verdict.detail)
            return False
        now = time.time()
        changed = now if verdict.changed else entry.file_times.last_change
        entry.file_times = ZoneTimes(now, changed, None, None)
        if verdict.changed:
            self._published(entry)
        return verdict.changed

    # --- what drives a machine ---------------------------------------------------------------------------------------

    def notified(self, name: bytes, source: str, serial: int | None, times: int = 1, key: str = "") -> None:
        """A worker passed a NOTIFY on, which stands for several of the same source ("": of several sources).

        `key` names the TSIG key that it verified under; "": it was not signed. One that comes before the zone's machine
        is started is no more than counted: the start has a check made.
        """
        entry = self.entries.get(name)
        if entry is None or entry.machine is None:
            return
        if entry.notified_at is None:
            entry.notified_at = time.monotonic()
        held = entry.machine.serial
        stale = serial is not None and held is not None and serial != held and not newer(serial, held)
        known = serial is not None and serial == held
        event = NotifyReceivedEvent(
            at=time.time(),
            zone=entry.config.text,
            source=source,
            key=key,
            serial=serial,
            outcome=Verdict.IGNORED if entry.answering and (stale or known) else Verdict.OK,
            reason=Reason.SERIAL_SAME if known else Reason.SERIAL_BACKWARDS if stale else None,
        )
        log_event(event)
        self._tally.add(event, times)
        if source:
            entry.heard(event)
        if not entry.live:
            return
        self._refresher.reach.ask_again(entry.config, source)
        # Of what is stored no more, any version is news: also the one that is still answered.
        hint = None if name in self._publisher.unstored else serial
        self._act(entry, entry.machine.notify(source, hint, machine_clock()))

    def _primary_back(self, zones: Collection[bytes]) -> None:
        """A primary that these zones could not get through to answers again."""
        for name in zones:
            entry = self.entries.get(name)
            if entry is not None and entry.machine is not None and entry.live and not self._stopping:
                self._act(entry, entry.machine.primary_back(machine_clock()))

    def refresh(self, entry: ZoneEntry) -> None:
        """An operator asks for a check."""
        machine = entry.ordered_machine()
        self._refresher.reach.ask_again(entry.config)
        self._act(entry, machine.refresh(machine_clock()))

    async def retransfer(self, entry: ZoneEntry, *, wait: bool) -> Json:
        """An operator asks for a full transfer, whatever its serial."""
        machine = entry.ordered_machine()
        waiter: asyncio.Future[RunOutcome] = asyncio.get_running_loop().create_future()
        running = entry.task is not None
        self._refresher.reach.ask_again(entry.config)
        self._act(entry, machine.retransfer(machine_clock()))
        if not wait:
            waiter.cancel()
            return {"started": True}
        if running and entry.task is not None:
            await asyncio.wait((entry.task,))  # the run under way is not the one that was asked for
        entry.waiters.append(waiter)
        outcome = await waiter
        transfer = entry.last_transfer.to_json() if entry.last_transfer else None
        if isinstance(outcome, Transferred):
            return {"outcome": "ok", "serial": outcome.serial, "transfer": transfer}
        failed = outcome if isinstance(outcome, Failed) else None
        return {
            "outcome": "failed",
            "reason": str(failed.reason) if failed else "",
            "detail": failed.detail if failed else str(outcome),
            "transfer": transfer,
        }

    def _act(self, entry: ZoneEntry, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Check():
                    entry.task = asyncio.create_task(self._run(entry, action), name=f"refresh {entry.config.text}")
                case StateChanged(old, new):
                    log.log(level_of(old, new), "zone %s: %s, was %s", entry.config.text, new, old)
                case Expire():
                    self._publisher.set_expired(entry.config.name, True)
                    self._downstreams.forget(entry.config.name)
                case Revive():
                    self._publisher.set_expired(entry.config.name, False)
                    self.publications.resume(entry)
        self.deadlines.schedule(entry)

    async def _run(self, entry: ZoneEntry, check: Check) -> None:
        """One refresh run, from the machine's order to the machine's next."""

        def transferred(event: TransferEvent) -> None:
            entry.last_transfer = event

        work = ZoneRun(
            entry.config,
            entry.primaries,
            check.force,
            check.accept_lower,
            check.first,
            check.hints,
            on_transfer=transferred,
            reported=entry.reported,
        )
        outcome: RunOutcome
        try:
            outcome = await self._refresher.run(work)
        except asyncio.CancelledError:
            raise
        except MemoryError:
            outcome = Failed(Reason.QUOTA, "memory ran out; what had come of it was dropped")
            log.error("zone %s: %s", entry.config.text, outcome.detail)
        except Exception as error:
            log.exception("zone %s: a refresh run broke; please report this", entry.config.text)
            outcome = _broken(error)
        entry.task = None
        entry.tried = True
        if self._stopping or self.entries.get(entry.config.name) is not entry:
            return
        try:
            self._run_ended(entry, outcome)
        except Exception as error:  # a machine that never hears of its run's end would wait for it for ever
            log.exception("zone %s: the end of a refresh run broke; please report this", entry.config.text)
            self._run_ended(entry, _broken(error))

    def _run_ended(self, entry: ZoneEntry, outcome: RunOutcome) -> None:
        machine = entry.machine
        if machine is None:
            return
        if isinstance(outcome, Transferred):
            entry.held = True
            self._published(entry)
        else:
            entry.notified_at = None
            if not entry.held:
                self._publisher.set_unloaded(entry.config.name)  # workers may still answer what the store has lost
        actions = machine.check_finished(outcome, machine_clock())
        told = isinstance(outcome, Transferred)  # the store and the workers have its times: they came with it
        if not told:
            self._tell_expiry(entry)  # first, so that workers that answer again know until when
        self._act(entry, actions)
        if not told:
            self._save_timers(entry)
        for waiter in entry.waiters:
            if not waiter.done():
                waiter.set_result(outcome)
        entry.waiters.clear()

    def _tell_expiry(self, entry: ZoneEntry) -> None:
        expires = None if entry.machine is None else entry.machine.expires_at
        if expires is not None:
            self._publisher.set_expiry(entry.config.name, expires)

    def _save_timers(self, entry: ZoneEntry) -> None:
        times, stored = entry.times(), self._publisher.stored.get(entry.config.name)
        if stored is not None and times.last_success is not None and times.expires is not None:
            refresh = times.next_refresh if times.next_refresh is not None else stored.refresh_at
            timers = ZoneTimers(times.last_success, times.last_change or stored.last_change, times.expires, refresh)
            self._publisher.save_timers(entry.config.name, timers)

    # --- publication -------------------------------------------------------------------------------------------------

    def _published(self, entry: ZoneEntry) -> None:
        entry.held = True
        stored = self._publisher.stored[entry.config.name]
        self.publications.committed(entry, stored)
        self.confirmed([entry.config.name])

    def confirmed(self, zones: list[bytes]) -> None:
        """Workers answer newer versions of some zones: where all do, the publication is complete."""
        alive = self.publications.alive
        for name in zones:
            stored = self._publisher.held(name)
            if name in self._unread and stored and self._supervisor.serving(name, stored.generation) >= alive:
                del self._unread[name]
            entry = self.entries.get(name)
            if entry is not None:
                self.publications.confirmed(entry, stored, alive)

    def worker_failed(self, name: bytes, error: str, fault: StoreFault = StoreFault.DAMAGED) -> None:
        """A worker could not load what the store holds: have the zone fetched again, if that is damaged.

        Where the disk is in the way, the worker tries again by itself, and answers what it had.
        """
        entry = self.entries.get(name)
        if fault is not StoreFault.DAMAGED:
            self._tally.store_errors[fault] += 1
            if entry is not None:
                self._unread[name] = error
            if times := self._throttle.due(fault):
                more = f" ({times} times since this was last told)" if times > 1 else ""
                log.error("a worker cannot load a zone, and tries again: %s%s", error, more)
            if fault is StoreFault.MISSING:  # a probe puts it back
                self._publisher.watch.failed(StoreError(error, fault))
            return
        if entry is not None and entry.recovery is None and name in self._publisher.stored:
            log.error("zone %s: stored data cannot be used (%s); fetching it again", entry.config.text, error)
            entry.recovery = asyncio.create_task(self._recover(entry), name=f"recover {entry.config.text}")

    async def _recover(self, entry: ZoneEntry) -> None:
        """Set damaged data aside and begin afresh with every zone that it took along.

        A zone that cannot be loaded whatever is fetched must not be fetched without a rest.
        """
        name = entry.config.name
        try:
            generation = self._generation(name)
            await asyncio.sleep(self._recovered.get(name, -math.inf) + RECOVERY_SPACING - time.monotonic())
            if self._generation(name) != generation:
                return  # another version has taken its place meanwhile
            dropped = await self._publisher.quarantine(name)
            self._recovered[name] = time.monotonic()
        except StoreError as error:
            log.error("zone %s: its damaged data cannot be set aside: %s", entry.config.text, error)
            return
        finally:
            entry.recovery = None
        await self._begin_afresh(dropped)

    def _generation(self, name: bytes) -> int | None:
        stored = self._publisher.stored.get(name)
        return stored.generation if stored else None

    def _lost(self, names: set[bytes]) -> None:
        """The store found damage in the course of other work, and gave these zones up."""
        task = asyncio.create_task(self._begin_afresh(names), name="zones lost by the store")
        self._losses.add(task)
        task.add_done_callback(self._losses.discard)

    def _store_failed(self, error: StoreError) -> None:
        self._tally.store_errors[error.fault] += 1

    async def _store_mended(self) -> None:
        """The store takes writes again: what it did not take before is fetched, or read, anew."""
        for entry in list(self.entries.values()):
            if entry.trouble.reason is not Reason.STORE_FAILED or self._stopping:
                continue
            if entry.machine is None:
                await self._load_file(entry)
            elif entry.live:
                self._act(entry, entry.machine.primary_back(machine_clock()))

    async def _begin_afresh(self, dropped: set[bytes]) -> None:
        """Fetch again what is stored no more; a version that workers still answer goes on with the timers it had."""
        for name in dropped:
            lost = self.entries.get(name)
            if lost is None or self._stopping:
                continue
            run = lost.task
            if run is not None:
                run.cancel()
                await asyncio.gather(run, return_exceptions=True)
            if self.entries.get(name) is not lost:  # a reload came first
                continue
            if name in self._publisher.unstored:
                await self._fetch_whole(lost, cancelled=run is not None and lost.task is run)
                continue
            if lost.task is not None:
                lost.task.cancel()
            self._files.forget(name)
            self._add(lost.config)
            fresh = self.entries[name]
            fresh.waiters, fresh.queries, fresh.control_queries = lost.waiters, lost.queries, lost.control_queries
            if fresh.machine is None:
                await self._load_file(fresh)
            self._start_machine(fresh)

    async def _fetch_whole(self, entry: ZoneEntry, *, cancelled: bool) -> None:
        """What was stored of a zone is lost, and it is still answered: have a whole version fetched and stored.

        `cancelled`: its run was, and the machine is to hear so.
        """
        log.error(
            "zone %s: what was stored of it is lost; it is answered on from memory, and fetched again whole",
            entry.config.text,
        )
        self._files.forget(entry.config.name)
        if entry.machine is None:
            await self._load_file(entry)
        elif entry.live:  # else the start has it checked
            now = machine_clock()
            actions: list[Action] = []
            if cancelled:
                entry.task = None
                lost = Failed(Reason.STORE_FAILED, "what was stored of the zone was lost meanwhile")
                actions = entry.machine.check_finished(lost, now)
            self._act(entry, actions + entry.machine.refresh(now))

    def count_queries(self, queries: dict[str, list[int]]) -> None:
        """What was asked of each zone since a worker's last heart-beat."""
        for name, (wanted, control, paused) in queries.items():
            entry = self.entries.get(bytes.fromhex(name))
            if entry is not None:
                entry.queries += wanted
                entry.control_queries += control
                if paused and entry.pause is not None:
                    entry.pause.count(wanted, control)

    # --- the clock ---------------------------------------------------------------------------------------------------

    def _look_at(self, entry: ZoneEntry, now: float) -> None:
        """Its time has come."""
        if entry.machine is not None:
            self._act(entry, entry.machine.tick(now))

    def _clock_was_set(self, step: float) -> None:
        """Timers that run do not go by the wall clock; those in the store do, and are written anew."""
        log.warning("the clock was set %s %s; no timer changes", duration(abs(step)), "forward" if step > 0 else "back")
        self.pauses.clock_was_set()
        for entry in self.entries.values():
            # An expired zone may be so by a clock that was wrong at the start: its times stay as they are.
            if entry.machine is not None and entry.answering:
                self._save_timers(entry)

    # --- for others --------------------------------------------------------------------------------------------------

    def named(self, text: str) -> ZoneEntry:
        """The zone that an operator names. Raises ControlError where there is none."""
        try:
            name = names.fold(names.from_text(text))
        except ValueError as error:
            raise ControlError(f"{text!r} is not a zone name: {error}") from error
        entry = self.entries.get(name)
        if entry is None:
            raise ControlError(f"no zone {text} is configured here; `nameserver status` lists those that are")
        return entry

    def secondaries(self) -> list[ZoneEntry]:
        """Every zone that has primaries."""
        return [entry for entry in self.entries.values() if entry.machine is not None]

    @property
    def unread_notice(self) -> str:
        """A sentence about zones that some worker cannot load from the store; empty while there are none."""
        if not self._unread:
            return ""
        error = next(iter(self._unread.values()))
        return f"{plural(len(self._unread), 'zone')} cannot be loaded by every worker; tried again: {error}"

    @property
    def transferring(self) -> int:
        """Transfers in under way."""
        return self._refresher.slots.transferring

    @property
    def waiting(self) -> int:
        """Transfers in that wait for a place."""
        return self._refresher.slots.waiting


def _left_behind(error: StoreError) -> str:
    return f"it is answered no more, but what is stored of it could not be removed, and will be later: {error}"


def _broken(error: Exception) -> Failed:
    return Failed(Reason.SUPERSEDED, f"internal error: {type(error).__name__}")
