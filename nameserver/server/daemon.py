"""The transfer process from start to stop: what is set up in which order, and undone in which.

    store (lock) → sockets → workers (load what is stored) → zones (refresh machines, files) → control, HTTP → ready

A second instance, a taken address or an unusable control path is found before anything answers. SIGTERM and SIGINT
stop in order and exit 0, a second one at once; SIGHUP reloads.
"""

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace

from nameserver.config.load import load_config
from nameserver.config.model import Config, Endpoint, ServerConfig
from nameserver.config.roles import apply_roles, read_roles
from nameserver.control.protocol import ControlError, Json
from nameserver.control.server import ControlServer, Verb
from nameserver.errors import ConfigError, NameserverError, StoreFault
from nameserver.server import loop as loops
from nameserver.server.channel import Header
from nameserver.server.descriptors import fill_standard_streams, fitted, raise_limit
from nameserver.server.exports import Exports
from nameserver.server.faults import Faults
from nameserver.server.http import HttpServer
from nameserver.server.lag import LoopWatch
from nameserver.server.notify_socket import ServiceManager
from nameserver.server.reload import Reload, restart_needed
from nameserver.server.report import Reporter
from nameserver.server.settings import encode_server
from nameserver.server.sockets import BindError, ListeningSockets, check_free, open_sockets, usable
from nameserver.server.state import DaemonState
from nameserver.server.supervisor import Supervisor, Worker
from nameserver.server.waiting import Waiting
from nameserver.server.zones.downstreams import Downstreams
from nameserver.server.zones.entry import ZoneEntry
from nameserver.server.zones.manager import ZoneManager
from nameserver.server.zones.publisher import HEARD_PATIENCE, Publisher
from nameserver.server.zones.roles import RoleChanges, RoleState, save_roles
from nameserver.store.database import Store
from nameserver.telemetry import log as telemetry_log
from nameserver.telemetry.tally import Tally
from nameserver.telemetry.words import plural

STOP_PATIENCE = 8.0  # seconds for the workers to finish; they give their connections 5
LOAD_PATIENCE = 60.0  # seconds after which we count as started although stored zones are still being loaded
BIND_PATIENCE = 5.0  # seconds for a predecessor's workers to let go of the addresses
START_EXTENSION = 30.0  # seconds that the service manager is asked to wait on, again and again while starting, …
LONGEST_START = 3600.0  # … but no longer than this in all: a disk that hangs is for it to deal with

log = logging.getLogger("nameserver")


class Daemon:
    """Everything the transfer process holds."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._service = ServiceManager.from_environment()
        self._stop = asyncio.Event()
        self._impatient = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._roles = RoleState(config, config, {})
        self._reload_lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._patience: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until a signal says stop. Raises NameserverError where it cannot start."""
        telemetry_log.gather(asyncio.get_running_loop())
        self._listen_to_signals()
        self._watch = LoopWatch(asyncio.get_running_loop())
        self._watch.start()
        self._patience = waiting = asyncio.create_task(self._ask_for_patience(), name="patience")
        try:
            if not await self._take_what_is_ours():
                return
            try:
                await self._start_unless_stopped()
                await self._stop.wait()
            finally:
                await self._shut_down()
        finally:
            waiting.cancel()
            self._watch.stop()

    def _listen_to_signals(self) -> None:
        """From the beginning: a SIGHUP or SIGUSR1 that comes early must not be the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_requested)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            loop.add_signal_handler(number, lambda: None)

    async def _ask_for_patience(self) -> None:
        """While starting: a store of many gigabytes takes longer to check than a service manager likes to wait."""
        until = time.monotonic() + LONGEST_START
        while time.monotonic() < until:
            self._service.extend_timeout(START_EXTENSION)
            await asyncio.sleep(START_EXTENSION / 3)

    async def _take_what_is_ours(self) -> bool:
        """Open files, the state directory, which no other instance may have, the addresses; False when told to stop."""
        server = self._config.server
        workers = server.workers or len(os.sched_getaffinity(0))
        fitting, problems = fitted(server, workers, raise_limit())
        for problem in problems:
            log.warning("%s", problem)
        # In a thread, so that signals and the service manager are heard meanwhile.
        store = await asyncio.to_thread(Store.open, server.state_dir, time.time())
        for notice in store.notices:
            log.error("%s", notice)
        try:
            self._take_roles(self._config)
            sockets = await self._bind(server.listen, server.listen_tls, workers)
        except NameserverError:
            store.close()
            raise
        for warning in self._config.warnings[len(self._roles.configured.warnings) :]:
            log.warning("%s", warning)
        if sockets is None:
            store.close()
            return False
        self._assemble(store, sockets, _hello(fitting, store))
        return True

    def _take_roles(self, configured: Config) -> None:
        """Put what was promoted and demoted before a configuration, and forget what holds no more.

        Raises ConfigError, with nothing changed, where the two cannot be brought together.
        """
        try:
            applied = apply_roles(configured, read_roles(configured.server.state_dir))
        except OSError as error:
            raise ConfigError([f"{error.filename}: {error.strerror}: it says what was promoted or demoted"]) from error
        self._roles = RoleState(configured, applied.config, applied.roles)
        self._config = applied.config
        for text in applied.forgotten:
            log.warning("%s", text)
        if applied.forgotten:
            try:
                save_roles(configured.server.state_dir, applied.roles)
            except OSError as error:
                log.error("what was promoted or demoted cannot be written: %s", error)

    async def _start_unless_stopped(self) -> None:
        """Start; where a signal says stop before that is done, leave off."""
        starting = asyncio.create_task(self._start(), name="start")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait((starting, stop), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            stop.cancel()
            starting.result()  # raises where it failed
        else:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)

    def _assemble(self, store: Store, sockets: list[ListeningSockets], hello: Header) -> None:
        """Put the parts together; nothing runs yet."""
        server = self._config.server
        tally = Tally()
        supervisor = Supervisor(
            sockets,
            hello,
            server.event_loop,
            on_start=lambda worker: self._state.publisher.bring_up(worker, self._state.config),
            on_message=self._worker_said,
        )
        publisher = Publisher(store, supervisor)
        downstreams = Downstreams(server, publisher, tally)
        now = time.time()
        self._state = DaemonState(
            config=self._config,
            loop_name=type(asyncio.get_running_loop()).__module__.partition(".")[0],
            tally=tally,
            store=store,
            supervisor=supervisor,
            publisher=publisher,
            downstreams=downstreams,
            zones=ZoneManager(server, publisher, supervisor, downstreams, tally),
            reload=Reload(now, now),
            started=now,
        )
        self._waiting = Waiting(self._state.zones, downstreams)
        self._watch.lag = tally.loop_lag["transfer"]
        self._reporter = Reporter(self._state)
        self._exports = Exports(store.path)
        self._role_changes = RoleChanges(self._state.zones, publisher, store.path)
        self._control = ControlServer(server.control, self._verbs())
        self._http = HttpServer(server.http, self._reporter.routes()) if server.http else None

    async def _start(self) -> None:
        faults = Faults(self._state.tally.internal_error)
        asyncio.get_running_loop().set_exception_handler(faults.loop_handler)
        await self._control.start()
        if self._http is not None:
            await self._http.start()
        await self._state.zones.prepare(self._state.config)
        await self._state.supervisor.start()
        await self._state.zones.start()
        if not await self._state.supervisor.settle(LOAD_PATIENCE):
            log.warning("some zones are still being loaded after %.0f s", LOAD_PATIENCE)
        self._tasks.append(asyncio.create_task(self._reload_on_signal(), name="reload"))
        if self._service.watchdog_interval:
            self._tasks.append(asyncio.create_task(self._pet_watchdog(), name="watchdog"))
        gc.freeze()  # what there is now stays: no collection needs to look at it again
        server = self._state.config.server
        listening = ", ".join((*map(str, server.listen), *(f"{each} (TLS)" for each in server.listen_tls)))
        zones = plural(len(self._state.config.zones), "zone")
        log.info("ready: %s, %s, on %s", zones, plural(len(self._state.supervisor.workers), "worker"), listening)
        if self._patience is not None:  # first, so that nothing is asked for after this
            self._patience.cancel()
        self._service.ready(f"{zones} on {listening}")

    async def _shut_down(self) -> None:
        self._service.stopping()
        log.info("stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await _in_any_case(self._control.stop())
        await _in_any_case(self._exports.stop())
        if self._http is not None:
            await _in_any_case(self._http.stop())
        await _in_any_case(self._state.downstreams.stop())
        await _in_any_case(self._state.zones.stop())
        stopping = asyncio.create_task(self._state.supervisor.stop(STOP_PATIENCE))
        impatient = asyncio.create_task(self._impatient.wait())
        await asyncio.wait((stopping, impatient), return_when=asyncio.FIRST_COMPLETED)
        impatient.cancel()
        if not stopping.done():
            self._state.supervisor.kill()
        await _in_any_case(stopping)
        await _in_any_case(self._state.publisher.close())
        log.info("stopped")

    def _stop_requested(self) -> None:
        (self._impatient if self._stop.is_set() else self._stop).set()

    async def _bind(
        self, endpoints: tuple[Endpoint, ...], tls: tuple[Endpoint, ...], workers: int
    ) -> list[ListeningSockets] | None:
        """Bind for every worker; a predecessor that was just killed gets a moment to let go of the addresses.

        None when told to stop meanwhile.
        """
        wanted, wanted_tls = usable(endpoints), usable(tls)
        waited = False
        until = time.monotonic() + BIND_PATIENCE
        while not self._stop.is_set():
            try:
                absent = check_free((*wanted, *wanted_tls))
                break
            except BindError as error:
                if time.monotonic() > until:
                    raise
                if not waited:
                    log.info("%s; waiting up to %.0f s for it", error, BIND_PATIENCE)
                    waited = True
                await asyncio.sleep(0.1)
        if self._stop.is_set():
            return None
        for each in absent:
            log.warning("no interface has the address of %s: it is answered as soon as one does", each)
        return [open_sockets(wanted, wanted_tls) for _ in range(workers)]

    async def _pet_watchdog(self) -> None:
        while True:
            self._service.watchdog()
            await asyncio.sleep(self._service.watchdog_interval or 1.0)

    def _worker_said(self, worker: Worker, header: Header) -> None:
        match header["kind"]:
            case "notify":
                for zone, source, serial, times, key in header["rows"]:
                    self._state.zones.notified(bytes.fromhex(zone), source, serial, times, key)
            case "transferred":
                for event in header["transfers_out"]:
                    self._reporter.transferred_out(event)
            case "served":
                self._state.zones.confirmed([bytes.fromhex(name) for name in header["zones"]])
            case "beat":
                self._state.zones.count_queries(header["queries"])
                self._state.sending[worker.index] = header["sending"]
                self._state.queued[worker.index] = header["queued"]
                self._state.tally.loop_lag[f"worker-{worker.index}"].merge(header["lag"])
                for event in header["transfers_out"]:
                    self._reporter.transferred_out(event)
                self._reporter.refused(header["refused"])
                for zone, generation in header["damaged_histories"].items():
                    self._state.publisher.history_damaged(bytes.fromhex(zone), generation)
            case "failed":
                fault = StoreFault(header["fault"])
                self._state.zones.worker_failed(bytes.fromhex(header["zone"]), header["error"], fault)

    # --- reload and control ------------------------------------------------------------------------------------------

    async def _reload_on_signal(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            try:
                await self.reload()
            except NameserverError:
                continue  # logged already
            except Exception:  # the next SIGHUP must find somebody listening
                log.exception("reload broke; please report this")

    async def reload(self, *, force: bool = False) -> Reload:
        """Read the configuration again and reconcile.

        Raises ConfigError, with nothing changed, where it is bad, or where no zone would be left and not `force`.
        """
        async with self._reload_lock:
            self._service.reloading()
            try:
                return await self._reload(force)
            finally:
                self._service.ready()

    async def _reload(self, force: bool) -> Reload:
        now = time.time()
        try:
            fresh = await asyncio.to_thread(load_config, self._state.config.path)
            if self._state.config.zones and not fresh.zones and not force:
                # A directory of zones that is not mounted, a glob with a typing error: too much to lose by a reload.
                raise ConfigError([f"{fresh.path}: no zone would be left; if that is meant: nameserver reload --force"])
            message = restart_needed(self._state.config.server, fresh.server)
            fresh = replace(fresh, server=self._state.config.server, tls=fresh.tls or self._state.config.tls)
            self._take_roles(fresh)
        except ConfigError as error:
            self._state.reload = Reload(now, self._state.reload.succeeded, False, "\n".join(error.problems))
            for problem in error.problems:
                log.error("reload: %s", problem)
            log.error("reload: nothing was changed")
            raise
        try:
            fresh, kept = await self._state.zones.without_losses(self._config)
            self._config = self._state.config = self._roles.config = fresh
            summary, files_in_error = await self._state.zones.reconcile(fresh)
        except NameserverError as error:
            text = f"carried out in part only: {error}"
            self._state.reload = Reload(now, self._state.reload.succeeded, False, text)
            log.error("reload: %s", text)
            raise
        await self._state.supervisor.heard(HEARD_PATIENCE)  # so that what is reloaded is in effect
        text = f"{summary}{message}"
        for warning in fresh.warnings:
            log.warning("%s", warning)
        problems = (*kept, *files_in_error)
        done = Reload(now, now, not problems, "\n".join((text, *problems)), text, problems, fresh.warnings)
        self._state.reload = done
        log.info("reloaded: %s", text)
        return done

    def _verbs(self) -> dict[str, Verb]:
        return {
            "status": self._verb_status,
            "refresh": self._verb_refresh,
            "retransfer": self._verb_retransfer,
            "reload": self._verb_reload,
            "promote": self._verb_promote,
            "demote": self._verb_demote,
            "pause": self._verb_pause,
            "resume": self._verb_resume,
            "export": self._verb_export,
            "export-piece": lambda request: self._exports.piece(request.get("export")),
            "wait": self._waiting.verb,
        }

    async def _verb_status(self, request: Json) -> Json:
        return await self._reporter.status(self._state.zones.named(request["zone"]) if request.get("zone") else None)

    async def _verb_refresh(self, request: Json) -> Json:
        entries = [self._state.zones.named(request["zone"])] if request.get("zone") else self._state.zones.secondaries()
        for entry in entries:
            self._state.zones.refresh(entry)
        return {"zones": len(entries)}

    async def _verb_retransfer(self, request: Json) -> Json:
        entry = self._zone_of(request, "retransfer")
        return await self._state.zones.retransfer(entry, wait=bool(request.get("wait")))

    async def _verb_promote(self, request: Json) -> Json:
        file = request.get("file")
        async with self._role_of(request, "promote") as entry:
            self._roles, done = await self._role_changes.promote(entry, self._roles, str(file) if file else None)
        return done

    async def _verb_demote(self, request: Json) -> Json:
        primaries, lower = request.get("primaries") or (), bool(request.get("accept_lower"))
        async with self._role_of(request, "demote") as entry:
            self._roles, done = await self._role_changes.demote(
                entry, self._roles, tuple(map(str, primaries)), accept_lower=lower
            )
        return done

    async def _verb_pause(self, request: Json) -> Json:
        async with self._undisturbed(request, "pause") as entry:
            return await self._state.zones.pauses.pause(entry, request.get("answer"), request.get("length"))

    async def _verb_resume(self, request: Json) -> Json:
        async with self._undisturbed(request, "resume") as entry:
            return await self._state.zones.pauses.resume(entry)

    @asynccontextmanager
    async def _undisturbed(self, request: Json, verb: str) -> AsyncIterator[ZoneEntry]:
        """The zone that a request names; no reload goes on meanwhile. Raises ControlError."""
        if not self._state.zones.started:
            raise ControlError("the server is starting; try again in a moment")
        async with self._reload_lock:
            yield self._zone_of(request, verb)

    @asynccontextmanager
    async def _role_of(self, request: Json, verb: str) -> AsyncIterator[ZoneEntry]:
        """The zone whose role a request changes, undisturbed. Raises ControlError."""
        async with self._undisturbed(request, verb) as entry:
            yield entry
            self._config = self._state.config = self._roles.config
            await self._state.supervisor.heard(HEARD_PATIENCE)

    async def _verb_export(self, request: Json) -> Json:
        entry = self._zone_of(request, "export")
        return await self._exports.begin(entry.config.name, entry.config.text)

    def _zone_of(self, request: Json, verb: str) -> ZoneEntry:
        """The zone that a request names. Raises ControlError."""
        if not request.get("zone"):
            raise ControlError(f"{verb} needs a zone")
        return self._state.zones.named(request["zone"])

    async def _verb_reload(self, request: Json) -> Json:
        if not self._state.zones.started:
            raise ControlError("the server is starting; try again in a moment")
        try:
            done = await self.reload(force=bool(request.get("force")))
            return {"message": done.summary, "problems": list(done.problems), "warnings": list(done.warnings)}
        except ConfigError as error:
            raise ControlError("the configuration is not used:\n" + "\n".join(error.problems)) from error


async def _in_any_case(step: Awaitable[None]) -> None:
    """One step of the stop: where it breaks, those behind it are taken all the same."""
    try:
        await step
    except Exception:
        log.exception("stopping broke; please report this")


def _hello(server: ServerConfig, store: Store) -> Header:
    """What a worker is told first."""
    return {
        "store": str(store.path),
        "server": encode_server(server),
        "log_level": server.log_level,
        "log_format": server.log_format,
    }


def run(config: Config) -> None:
    """Run the daemon until it is told to stop. Raises NameserverError where it cannot start."""
    fill_standard_streams()
    telemetry_log.setup(config.server.log_level, config.server.log_format)
    for warning in config.warnings:
        log.warning("%s", warning)
    if os.geteuid() == 0:
        log.warning("running as root: give it a user of its own (see conf/nameserver.service)")

    async def main() -> None:
        await Daemon(config).run()

    loops.run(main, config.server.event_loop)
