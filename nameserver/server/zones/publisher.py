"""From a checked new version to answers: commit to the store first, then tell the workers.

A crash between the two loses nothing: the committed version is served after the restart. Every blocking call to the
store runs in one thread, so the loop never waits for the disk and versions of a zone are committed in order.

    stored     what the store holds                                     a restart serves it, a new worker loads it
    unstored   what was stored is lost, and a worker still answers it   until it expires, is fetched again, or that
                                                                        worker ends
    leftovers  what is configured no more and could not be removed      removed once the store takes writes again
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from nameserver.config.model import Config, ZoneConfig
from nameserver.errors import StoreDamaged, StoreError, StoreFault
from nameserver.server.channel import pack_changes
from nameserver.server.clocks import from_wall
from nameserver.server.leaving import Leaving
from nameserver.server.settings import encode_keys, encode_tls, encode_zones
from nameserver.server.supervisor import Supervisor, Worker
from nameserver.server.zones.new_steps import steps_applied, steps_to_whole
from nameserver.server.zones.store_watch import StoreWatch
from nameserver.store.database import Store, StoredZone, ZoneTimers
from nameserver.wire import names
from nameserver.zone.builder import BuiltZone
from nameserver.zone.changes import Applied

INLINE_LIMIT = 256 * 1024  # bytes of changed nodes that go through the channel; more is loaded from the store
SMALL_ZONE = 16 * 1024  # bytes of a whole version that go the same way: made into a zone in a fraction of a millisecond
LARGE_ZONE = 1024 * 1024  # bytes of a version that leaves memory in slices, …
RELEASE_AFTER = 1.0  # … so many seconds later: the workers are loading it at first, perhaps on the same core
TEND_TRIES = 10  # times, so far apart, that it is looked whether they have, and the journal can be tended
TOGETHER = 200  # small versions at most that share a transaction
GATHER = 0.01  # seconds from the beginning of one such transaction to that of the next; …
GATHER_CROWD = 0.03  # … and where so many zones come in that the first was shared by
CROWD = 10  # or more
BATCH = 500  # zones per message
HEARD_PATIENCE = 5.0  # seconds for the workers to take what they are told

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("nameserver.publish")


@dataclass(slots=True)
class _Write:
    """A write that waits for the store's thread, or is done; `outcome` is what it returned or raised."""

    function: Callable[[], object]
    done: asyncio.Future[None]  # cancelled with whoever waits for it, who then waits for another one
    outcome: object = None
    told: bool = False


def _outcome(function: Callable[[], object]) -> object:
    """What it returns, or the exception that it raises."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - raised where it is waited for
        return error


async def _to_its_end(work: Coroutine[None, None, R]) -> R:
    """Do it whole, also where whoever waits for it is cancelled, who then hears so once it is done.

    What the store's thread has begun to write is written whatever becomes of the run that brought it, and has to be
    told to the workers, before somebody else goes on from what is stored.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # it is told by whoever fetches the zone again
    raise cancelled


class Publisher:
    """The store and the workers, as everything else in the transfer process uses them."""

    def __init__(self, store: Store, supervisor: Supervisor) -> None:
        self._store = store
        self._supervisor = supervisor
        self._leaving = Leaving()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self.stored: dict[bytes, StoredZone] = store.zones()
        self.unstored: dict[bytes, StoredZone] = {}
        self.watch = StoreWatch(self._probe, self._mended)
        self._leftovers: set[bytes] = set()
        self._noticed = len(store.notices)  # of them, those that are in the log
        self._expired: set[bytes] = set()
        self._paused: dict[bytes, int] = {}  # the RCODE that queries get
        self._timers: dict[bytes, ZoneTimers] = {}
        # When each zone expires, machine clock. What the clock says now may be earlier than when a zone was checked.
        now = time.time()
        self._expires: dict[bytes, float] = {
            name: from_wall(each.expires_at - max(0.0, each.last_success - now)) for name, each in self.stored.items()
        }
        self._untold: set[bytes] = set()  # of those, what the workers do not know yet
        self._flush: asyncio.TimerHandle | None = None
        self._tend: asyncio.TimerHandle | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._writes: deque[_Write] = deque()
        self._writing = False  # a batch of these is being written, or is to be soon
        self._write_at = 0.0  # the next batch, at the earliest; on the loop's clock
        self.on_lost: Callable[[set[bytes]], None] = lambda _zones: None
        self.on_error: Callable[[StoreError], None] = lambda _error: None
        self.on_mended: Callable[[], Awaitable[None]] = _nothing

    async def in_store_thread(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking store call in its thread.

        `on_lost` is told of zones that the store has lost meanwhile, `on_error` of a StoreError before it is raised.
        """
        return await self._telling_of_losses(self._in_thread(function, *args, **kwargs))

    async def _in_thread(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await self._watched(loop.run_in_executor(self._thread, lambda: function(*args, **kwargs)))

    async def _write(self, function: Callable[[], R], then: Callable[[R], None] = lambda _result: None) -> R:
        """Run a small write in the store's thread, as `in_store_thread` does; `then` is given what it returns.

        Those that come soon after another one, or while it is being written, wait together and share a transaction: of
        thousands of small zones each would cost less than a transaction of its own. Cancelled, it comes to its end all
        the same, and so does `then`: see `_to_its_end`, which costs more.
        """
        loop = asyncio.get_running_loop()
        write = _Write(function, loop.create_future())
        self._writes.append(write)
        if not self._writing:
            self._writing = True
            loop.call_at(self._write_at, self._start_writing, loop)  # with what else this turn of the loop brings
        cancelled: asyncio.CancelledError | None = None
        while not write.told:
            try:
                await write.done
            except asyncio.CancelledError as error:
                cancelled = error
                write.done = loop.create_future()
        if not isinstance(write.outcome, Exception):
            then(cast(R, write.outcome))
        if cancelled is not None:
            raise cancelled
        if isinstance(write.outcome, Exception):
            raise write.outcome
        return cast(R, write.outcome)

    def _start_writing(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have what waits written; what comes meanwhile is written next."""
        batch = [self._writes.popleft() for _ in range(min(len(self._writes), TOGETHER))]
        self._write_at = loop.time() + (GATHER if len(batch) < CROWD else GATHER_CROWD)
        loop.run_in_executor(self._thread, self._write_batch, loop, batch)

    def _write_batch(self, loop: asyncio.AbstractEventLoop, batch: list[_Write]) -> None:
        """In the store's thread."""
        outcomes: list[object] = []
        if len(batch) > 1:
            with contextlib.suppress(Exception):  # of one of them at least, and nothing was written
                outcomes = self._store.together([each.function for each in batch])
        outcomes = outcomes or [_outcome(each.function) for each in batch]
        loop.call_soon_threadsafe(self._written, loop, batch, outcomes)

    def _written(self, loop: asyncio.AbstractEventLoop, batch: list[_Write], outcomes: list[object]) -> None:
        self._writing = bool(self._writes)
        if self._writing:
            loop.call_at(self._write_at, self._start_writing, loop)
        for write, outcome in zip(batch, outcomes, strict=True):
            write.outcome, write.told = outcome, True
            if not write.done.done():
                write.done.set_result(None)  # it goes on after this turn of the loop
        for outcome in outcomes:
            if isinstance(outcome, StoreError):
                self._failed(outcome)
        self._look_behind()
        self._tell_of_losses()

    @property
    def directory(self) -> Path:
        """The state directory."""
        return self._store.path.parent

    @property
    def has_room(self) -> bool:
        """Whether one more small version may wait to be written: what waits is held in memory."""
        return len(self._writes) < TOGETHER

    async def _telling_of_losses(self, work: Awaitable[R]) -> R:
        try:
            return await work
        finally:
            self._tell_of_losses()

    def _tell_of_losses(self) -> None:
        if lost := self._forget_dropped():
            self.on_lost(lost)

    async def _watched(self, work: Awaitable[R]) -> R:
        try:
            return await work
        except StoreError as error:
            self._failed(error)
            raise
        finally:
            self._look_behind()

    def _look_behind(self) -> None:
        """After a write that was done, and yet something may have gone wrong behind it."""
        if (trouble := self._store.take_trouble()) is not None:
            self._failed(trouble)
        for notice in self._store.notices[self._noticed :]:
            self._noticed += 1
            log.error("%s", notice)

    def _failed(self, error: StoreError) -> None:
        self.on_error(error)
        self.watch.failed(error)

    async def _probe(self, needed: int) -> None:
        await self.in_store_thread(self._store.probe, needed)

    async def _mended(self) -> None:
        """The store takes writes again: do what had to wait for that."""
        for name in list(self._leftovers):
            if name in self._leftovers and await self._remove_stored(name) is None:
                log.info("zone %s: what was stored of it is removed", names.to_text(name))
        await self.flush_timers()
        await self.on_mended()

    async def publish_full(self, zone: ZoneConfig, built: BuiltZone, source: str, timers: ZoneTimers) -> StoredZone:
        """Commit a whole new version and have every worker take it: along with the message, or from the store.

        What distinguishes it from the version held becomes part of the zone's history, wherever it comes from.

        The version is the publisher's from then on: it empties a large one. Raises StoreError, with nothing changed.
        Cancelled, it comes to its end all the same.
        """
        left = zone.name in self._leftovers
        self._leftovers.discard(zone.name)  # this takes its place

        def commit() -> StoredZone:
            return self._store.commit_full(
                zone.name,
                zone.text,
                built.nodes,
                apex_as_received=built.apex_as_received,
                soa_rdata=built.soa_rdata,
                serial=built.soa.serial,
                records=built.records,
                source=source,
                timers=timers,
                kind=zone.type,
                new_steps=steps_to_whole(self._store, zone, built),
                tend=built.size < LARGE_ZONE,
            )

        def publish(stored: StoredZone) -> None:
            self._committed(zone.name, stored)
            if small:
                header = {"apex": built.apex_as_received.hex(), "expires": self._expiry((zone.name,))}
                body = pack_changes(built.nodes)
                self._supervisor.publish("zone", zone.name, stored.generation, body, size=len(body), **header)
            else:
                self._publish_load(stored)
            if built.size >= LARGE_ZONE:
                asyncio.get_running_loop().call_later(RELEASE_AFTER, self._leaving.take, built.nodes.dismantled())
                self._tend_soon(stored)

        small = built.size <= SMALL_ZONE
        try:
            return await (self._write(commit, publish) if small else _to_its_end(self._write_alone(commit, publish)))
        except (StoreError, asyncio.CancelledError) as error:
            if left and zone.name not in self.stored:
                self._leftovers.add(zone.name)
            if isinstance(error, StoreError) and error.fault is StoreFault.FULL:
                self.watch.failed(error, built.size)
            raise

    async def _write_alone(self, function: Callable[[], R], then: Callable[[R], None]) -> R:
        """As `_write`, for what takes long."""
        result = await self.in_store_thread(function)
        then(result)
        return result

    def _tend_soon(self, stored: StoredZone, tries: int = TEND_TRIES) -> None:
        """Have the journal copied back once a large version is answered, or takes long to be.

        That takes as long as it took to write the version, and workers load from the journal as well.
        """
        if self._tend is not None:
            self._tend.cancel()
        self._tend = asyncio.get_running_loop().call_later(RELEASE_AFTER, self._tend_journal, stored, tries)

    def _tend_journal(self, stored: StoredZone, tries: int) -> None:
        self._tend = None
        if tries > 1 and self._supervisor.serving(stored.name, stored.generation) < len(self._supervisor.workers):
            self._tend_soon(stored, tries - 1)
        else:
            self._in_background(self.in_store_thread(self._store.tend_journal))

    def _publish_load(self, stored: StoredZone) -> None:
        zones, expires = [stored.name.hex()], self._expiry((stored.name,))
        self._supervisor.publish("load", stored.name, stored.generation, size=stored.size, zones=zones, expires=expires)

    async def publish_changes(
        self, zone: ZoneConfig, prepare: Callable[[], tuple[Applied, ZoneTimers]], source: str
    ) -> Applied:
        """Commit replaced nodes and have every worker apply them, or load the zone where there are many.

        What is to be written is made by `prepare`, in the store's thread: it may read there, and is called again where
        a transaction that this was to share was given up.

        Raises what `prepare` raises, and StoreError, with nothing changed: StoreDamaged where there is nothing whole to
        which they could be made. Cancelled, it comes to its end all the same.
        """
        held = self.stored.get(zone.name)
        if held is None:
            raise StoreDamaged(f"nothing is stored of zone {zone.text} any more")
        base = held.generation

        def commit() -> tuple[Applied, StoredZone]:
            applied, timers = prepare()
            stored = self._store.commit_changes(
                zone.name,
                applied.nodes,
                base_generation=base,
                serial=applied.soa.serial,
                soa_rdata=applied.soa_rdata,
                records_delta=applied.records_delta,
                timers=timers,
                source=source,
                new_steps=steps_applied(zone, applied, held.apex_as_received),
            )
            return applied, stored

        def publish(written: tuple[Applied, StoredZone]) -> None:
            applied, stored = written
            self._committed(zone.name, stored)
            body = pack_changes(applied.nodes)
            if len(body) <= INLINE_LIMIT:
                expires = self._expiry((zone.name,))
                self._supervisor.publish(
                    "change", zone.name, stored.generation, body, size=len(body), base=base, expires=expires
                )
            else:
                self._publish_load(stored)

        applied, _ = await self._write(commit, publish)
        await self._compact_where_due(zone)
        return applied

    async def _compact_where_due(self, zone: ZoneConfig) -> None:
        """Housekeeping: the version is committed and published, whatever becomes of this."""
        try:
            if self._store.needs_compaction(zone.name):
                await self.in_store_thread(self._store.compact, zone.name)
        except StoreError as error:
            log.warning("zone %s: %s; tried again after the next change", zone.text, error)

    async def change_kind(self, zone: ZoneConfig, timers: ZoneTimers) -> None:
        """A stored zone goes on as what it now is, a primary or a secondary zone: with its version and its history.

        Workers answer it, expired or not, until these timers say otherwise. Raises StoreError, with nothing changed.
        """
        stored = await self._write(partial(self._store.change_kind, zone.name, zone.type, timers))
        self._committed(zone.name, stored)
        self.set_expired(zone.name, False)

    def held(self, name: bytes) -> StoredZone | None:
        """What is answered of a zone, whether the store still has it or not."""
        return self.stored.get(name) or self.unstored.get(name)

    def _committed(self, name: bytes, stored: StoredZone) -> None:
        self.stored[name] = stored
        self.unstored.pop(name, None)
        self._expires[name] = from_wall(stored.expires_at)
        self._expired.discard(name)
        self._timers.pop(name, None)

    def node_reader(self, name: bytes) -> Callable[[bytes], bytes | None]:
        """What reads nodes (by key) of a zone's current version; to be called in the store's thread."""
        return lambda key: self._store.node(name, key)

    def slices(self, name: bytes) -> Generator[list[tuple[bytes, bytes]], None, None]:
        """The nodes of a zone's current version in slices, keys ascending; to be taken in the store's thread."""
        return self._store.slices(name)

    def history_damaged(self, name: bytes, generation: int) -> None:
        """A worker found the history that leads to a generation damaged: drop it, if that is what is still stored.

        What clients get until the next change is whole, and a new history begins with that.
        """
        stored = self.stored.get(name)
        if stored is not None and stored.generation == generation:
            self._in_background(self._drop_history(name))

    async def _drop_history(self, name: bytes) -> None:
        try:
            await self._write(partial(self._store.drop_history, name))
        except StoreError as error:
            log.warning("zone %s: its damaged history cannot be dropped: %s", names.to_text(name), error)

    async def quarantine(self, name: bytes) -> set[bytes]:
        """What is stored of a zone is damaged: set it aside. Returns every zone that has to be fetched again.

        Raises StoreError where the disk is in the way.
        """
        await self._in_thread(self._store.quarantine, name, time.time())
        return self._forget_dropped()

    def _forget_dropped(self) -> set[bytes]:
        """The zones that the store had to give up. Those that a worker answers all the same are `unstored` now."""
        told = self._store.take_dropped()
        if not told:
            return told
        kept = self._store.zones()
        dropped = {name for name in told if name not in kept}
        for each in dropped:
            self._timers.pop(each, None)
            stored = self.stored.pop(each, None)
            if stored is not None and self._supervisor.answers(each):
                self.unstored[each] = stored
                self._supervisor.await_no_more(each)
            else:
                self._expires.pop(each, None)
                self._supervisor.forget(each)
        return dropped

    def save_timers(self, name: bytes, timers: ZoneTimers) -> None:
        """Have a zone's timers written soon: many zones' checks share one transaction."""
        if name in self.stored:
            self._timers[name] = timers
            self._flush_soon()

    def set_expiry(self, name: bytes, when: float) -> None:
        """Have the workers told soon when a zone expires unless it is confirmed again, machine clock."""
        self._expires[name] = when
        self._untold.add(name)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(1.0, self._start_flush)

    def _start_flush(self) -> None:
        self._flush = None
        self._in_background(self.flush_timers())

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def flush_timers(self) -> None:
        """Tell and write what was gathered; what cannot be written now goes along with the next ones."""
        untold, self._untold = self._untold, set()
        if untold:
            self._supervisor.tell("confirmed", expires=self._expiry(untold))
        rows, self._timers = self._timers, {}
        if not rows:
            return
        try:
            await self.in_store_thread(self._store.save_timers, rows)
        except StoreError as error:
            log.warning("%s; tried again with the next check", error)
            self._timers = {name: row for name, row in rows.items() if name in self.stored} | self._timers

    def set_expired(self, name: bytes, expired: bool) -> None:
        """Have every worker answer SERVFAIL for a zone, or its data again."""
        (self._expired.add if expired else self._expired.discard)(name)
        state = "expired" if expired else "serving"
        self._supervisor.tell("state", zone=name.hex(), state=state, expires=self._expiry((name,)))

    def set_paused(self, name: bytes, rcode: int) -> None:
        """Have every worker, also those that come, answer queries for a zone with an error; 0: with its data again."""
        if rcode:
            self._paused[name] = rcode
        else:
            self._paused.pop(name, None)
        self._supervisor.tell("pause", zone=name.hex(), rcode=rcode)

    async def heard(self) -> bool:
        """Whether all that answer have said, within a while, that they do as they were told so far."""
        return await self._supervisor.heard(HEARD_PATIENCE)

    def _expiry(self, names: Iterable[bytes]) -> dict[str, float]:
        """When these zones expire, as workers are told."""
        return {name.hex(): self._expires[name] for name in names if name in self._expires}

    def set_unloaded(self, name: bytes) -> None:
        """What was stored of a zone is lost, and so far nothing has taken its place: nobody answers from it."""
        self._supervisor.tell("state", zone=name.hex(), state="not-loaded")

    async def remove(self, name: bytes) -> StoreError | None:
        """A zone is no longer configured: workers stop at once, the store forgets it.

        Where the store cannot, why: the zone is gone all the same, and what is stored of it goes as soon as it can.
        """
        self._supervisor.tell("configure", removed=[name.hex()])
        self._supervisor.forget(name)
        self._timers.pop(name, None)
        self._expired.discard(name)
        self.stored.pop(name, None)
        self.unstored.pop(name, None)
        self._expires.pop(name, None)
        return await self._remove_stored(name)

    async def _remove_stored(self, name: bytes) -> StoreError | None:
        self._leftovers.discard(name)
        try:
            await self._write(partial(self._store.remove, name))  # in the order of other writes
        except StoreError as error:
            if name not in self.stored:  # else it was configured again and fetched meanwhile
                self._leftovers.add(name)
            return error
        return None

    def configure(self, zones: list[ZoneConfig], config: Config) -> None:
        """Tell every worker of zones added or changed, of the keys, and of the TLS certificate."""
        for worker in self._supervisor.workers:
            self._configure_worker(worker, zones, config)

    def _configure_worker(self, worker: Worker, zones: list[ZoneConfig], config: Config) -> None:
        if worker.channel is None:
            return
        worker.channel.send("configure", keys=encode_keys(config))
        if config.tls is not None:
            worker.channel.send("configure", tls=encode_tls(config.tls))
        for start in range(0, len(zones), BATCH):
            rows = encode_zones(zones[start : start + BATCH], self._paused)
            worker.channel.send("configure", zones=rows)

    def bring_up(self, worker: Worker, config: Config) -> None:
        """A worker has just started: give it the configuration and every stored zone.

        The one before it may have been the last that answered an unstored zone.
        """
        if gone := {name for name in self.unstored if not self._supervisor.answers(name)}:
            for name in gone:
                del self.unstored[name]
            self.on_lost(gone)
        if worker.channel is None:
            return
        self._configure_worker(worker, list(config.zones.values()), config)
        for state, wanted in (("serving", False), ("expired", True)):
            names = [name for name in self.stored if name in config.zones and (name in self._expired) is wanted]
            for start in range(0, len(names), BATCH):
                batch = names[start : start + BATCH]
                zones = [name.hex() for name in batch]
                worker.channel.send("load", zones=zones, state=state, expires=self._expiry(batch))
        for name, stored in self.stored.items():
            if name in config.zones:
                worker.expect(name, stored.generation, stored.size)

    async def close(self) -> None:
        """Write what is pending and close the store."""
        for timer in (self._flush, self._tend):
            if timer is not None:
                timer.cancel()
        await self.watch.stop()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.flush_timers()
        await self.in_store_thread(self._store.close)
        self._thread.shutdown()


async def _nothing() -> None:
    """For an event that nobody waits for."""
