"""The workers as the transfer process sees them: started, listened to, told, and replaced.

A worker is replaced when it dies, when its heart-beat stops (with SO_REUSEPORT a hung worker would swallow its share of
the clients), and when it does not confirm a publication in time. Respawns back off from 0.1 s to 30 s while a worker
dies young, so a fault at start is never a fork bomb.
"""

import asyncio
import contextlib
import logging
import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nameserver.errors import NameserverError
from nameserver.query.counters import COUNTERS
from nameserver.server.channel import Channel, Header
from nameserver.server.sockets import ListeningSockets

WATCH_INTERVAL = 0.5  # seconds between two looks at all workers
BEAT_TIMEOUT = 3.0  # seconds without a heart-beat (one comes each second) until a worker counts as hung
START_TIMEOUT = 30.0  # seconds from start to "ready"
END_PATIENCE = 2.0  # seconds from a closed channel to the end of the process
YOUNG = 10.0  # a worker that lived shorter than this died young
FIRST_DELAY, LAST_DELAY = 0.1, 30.0
CONFIRM_BASE = 20.0  # seconds to confirm a publication, and …
CONFIRM_RATE = 1_000_000  # … one more for each so many bytes of zone

log = logging.getLogger("nameserver.workers")


@dataclass(slots=True)
class Worker:
    """One worker slot: its sockets and counters stay, the process in it may change."""

    index: int
    sockets: ListeningSockets
    counters: mmap.mmap
    counters_file: int
    process: asyncio.subprocess.Process | None = None
    channel: Channel | None = None
    ready: bool = False
    drained: bool = False  # told to stop, it has no connection left
    started: float = 0.0
    last_beat: float = 0.0
    restarts: int = 0
    delay: float = FIRST_DELAY
    was_ready: bool = False  # its present process was, or the one that ended last
    last_end: str = ""  # how its process ended that ended last, or why it did not begin
    heard: int = 0  # the last `Supervisor.heard` that it answered
    served: dict[bytes, int] = field(default_factory=dict)  # zone → generation confirmed
    awaited: dict[bytes, tuple[int, float]] = field(default_factory=dict)  # zone → generation, until when (monotonic)
    busy_until: float = 0.0  # monotonic: when all it was told to load so far should be loaded

    def expect(self, zone: bytes, generation: int, size: int) -> None:
        """It was told of a version, which it is to confirm in time; what it was told before comes first."""
        self.busy_until = max(self.busy_until, time.monotonic()) + size / CONFIRM_RATE
        self.awaited[zone] = (generation, self.busy_until + CONFIRM_BASE)

    def confirmed(self, zone: bytes, generation: int) -> None:
        """It answers a version."""
        self.served[zone] = generation
        if zone in self.awaited and generation >= self.awaited[zone][0]:
            del self.awaited[zone]

    def kill(self) -> None:
        """End its process, if there is one, at once."""
        with contextlib.suppress(ProcessLookupError):  # it has ended, and we are about to be told so
            if self.pid is not None:
                os.kill(self.pid, signal.SIGKILL)

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process."""
        return self.process.pid if self.process and self.process.returncode is None else None


class WorkersFailed(NameserverError):
    """Nobody would answer."""


def _open_counters() -> tuple[mmap.mmap, int]:
    """Shared memory for one worker's counters: it survives the worker, so nothing is counted twice or lost."""
    size = 8 * len(COUNTERS)
    handle = os.memfd_create("nameserver-counters")  # no file: on a full disk, touching a page of one is fatal
    os.ftruncate(handle, size)
    return mmap.mmap(handle, size), handle


class Supervisor:
    """Keeps every worker slot filled. Callbacks run in the event loop of the transfer process."""

    def __init__(
        self,
        sockets: list[ListeningSockets],
        hello: Header,
        event_loop: str,
        *,
        on_start: Callable[[Worker], None],
        on_message: Callable[[Worker, Header], None],
    ) -> None:
        self._hello = hello
        self._event_loop = event_loop
        self._on_start = on_start
        self._on_message = on_message
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._all_ready = asyncio.Event()
        self._settled = asyncio.Event()
        self._drained = asyncio.Event()
        self._heard = asyncio.Event()
        self._asked = 0
        self._came_up = False  # some worker, once
        self.workers: list[Worker] = []
        for index, each in enumerate(sockets):
            self.workers.append(Worker(index, each, *_open_counters()))

    async def start(self) -> None:
        """Start every worker and wait until all listen. Raises WorkersFailed where none does in time."""
        for worker in self.workers:
            self._tasks.append(asyncio.create_task(self._keep(worker), name=f"worker-{worker.index}"))
        self._tasks.append(asyncio.create_task(self._watch(), name="worker-watch"))
        with contextlib.suppress(TimeoutError):  # what is late goes on starting, and is seen in /health
            async with asyncio.timeout(START_TIMEOUT):
                await self._all_ready.wait()
        if not self._came_up:
            ends = "; ".join(sorted({worker.last_end for worker in self.workers} - {""})) or "they hang"
            raise WorkersFailed(f"no worker came up within {START_TIMEOUT:.0f} s ({ends}); the lines above say why")

    async def settle(self, patience: float) -> bool:
        """Wait until every worker has confirmed what it was told to load; False when that takes longer."""
        self._settled.clear()
        if not any(worker.awaited for worker in self.workers):
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._settled.wait()
        return self._settled.is_set()

    async def _keep(self, worker: Worker) -> None:
        while not self._stopping:
            try:
                await self._run_once(worker)
            except OSError as error:
                worker.last_end = str(error)
                log.error("worker %d cannot be started: %s", worker.index, error)
            except Exception:  # whatever broke, this slot is filled again: a worker nobody listens to is no worker
                log.exception("worker %d: acting on its message failed; please report this", worker.index)
            if self._stopping:
                return
            lived = time.monotonic() - worker.started
            worker.delay = FIRST_DELAY if lived > YOUNG else min(worker.delay * 2, LAST_DELAY)
            worker.restarts += 1
            if worker.process is not None:
                worker.last_end = _ending(worker.process.returncode)
            what = worker.last_end + ("" if worker.was_ready else ", before it was ready")
            log.error("worker %d ended (%s); starting another in %.1f s", worker.index, what, worker.delay)
            await asyncio.sleep(worker.delay)

    async def _run_once(self, worker: Worker) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        worker.started = worker.last_beat = time.monotonic()
        worker.busy_until = 0.0
        worker.process, worker.was_ready = None, False
        passed = [theirs.fileno(), worker.counters_file, *worker.sockets.filenos()]
        try:
            worker.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "nameserver.server.answering.worker",
                str(theirs.fileno()),
                self._event_loop,
                pass_fds=passed,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        try:
            channel = await Channel.over(ours)
        except BaseException:
            ours.close()
            worker.kill()
            raise
        try:
            await self._follow(worker, channel)
        finally:
            worker.ready = worker.drained = False
            worker.channel = None
            self._look_whether_drained()
            worker.served.clear()
            worker.awaited.clear()
            channel.close()
            await self._end(worker)

    async def _follow(self, worker: Worker, channel: Channel) -> None:
        """Bring a new process up, then act on its messages until it is gone."""
        worker.channel = channel
        hello = {
            **self._hello,
            "index": worker.index,
            "counters": worker.counters_file,
            "udp": [each.fileno() for each in worker.sockets.udp],
            "tcp": [each.fileno() for each in worker.sockets.tcp],
            "tls": [each.fileno() for each in worker.sockets.tls],
        }
        channel.send("hello", **hello)
        self._on_start(worker)
        channel.send("listen")
        while (message := await channel.receive()) is not None:
            self._received(worker, message[0])

    def _received(self, worker: Worker, header: Header) -> None:
        worker.last_beat = time.monotonic()
        if header["kind"] == "ready":
            worker.ready = worker.was_ready = self._came_up = True
            if all(each.ready for each in self.workers):
                self._all_ready.set()
        elif header["kind"] == "served":
            for name, generation in header["zones"].items():
                worker.confirmed(bytes.fromhex(name), generation)
        elif header["kind"] == "heard":
            worker.heard = header["number"]
            self._heard.set()
            return
        elif header["kind"] == "drained":
            worker.drained = True
            self._look_whether_drained()
        elif header["kind"] == "failed":
            worker.awaited.pop(bytes.fromhex(header["zone"]), None)  # it said so: killing it would mend nothing
        if not any(each.awaited for each in self.workers):
            self._settled.set()
        self._on_message(worker, header)

    def _look_whether_drained(self) -> None:
        if all(worker.drained or worker.channel is None for worker in self.workers):
            self._drained.set()

    @staticmethod
    async def _end(worker: Worker) -> None:
        """The channel is gone: the process follows, or is ended."""
        if worker.process is None:
            return
        try:
            async with asyncio.timeout(END_PATIENCE):
                await worker.process.wait()
        except TimeoutError:
            worker.kill()
            await worker.process.wait()

    async def _watch(self) -> None:
        """Replace what hangs."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            before, looked = looked, time.monotonic()
            if looked - before > 2 * WATCH_INTERVAL:
                # We were held up, not they: what they sent meanwhile is still to be read.
                for worker in self.workers:
                    worker.last_beat = looked
            for worker in self.workers:
                try:
                    self._look_at(worker, looked)
                except Exception:  # the others are still to be looked at, and this one the next time
                    log.exception("looking after worker %d broke; please report this", worker.index)

    @staticmethod
    def _look_at(worker: Worker, now: float) -> None:
        """Kill a worker that hangs; whoever reads its channel starts another."""
        if worker.pid is None or worker.channel is None:
            return
        limit = BEAT_TIMEOUT if worker.ready else START_TIMEOUT
        late = [zone for zone, (_, until) in worker.awaited.items() if until < now]
        if now - worker.last_beat > limit:
            log.error("worker %d gave no sign of life for %.0f s: replaced", worker.index, limit)
        elif late:
            log.error("worker %d did not confirm %d publications: replaced", worker.index, len(late))
        else:
            return
        worker.kill()

    def publish(
        self,
        kind: str,
        zone: bytes,
        generation: int,
        body: bytes = b"",
        *,
        size: int = 0,
        **header: Any,  # noqa: ANN401 - JSON
    ) -> None:
        """Tell every worker of a zone's new version, and expect each to confirm it in time."""
        for worker in self.workers:
            if worker.channel is not None:
                worker.channel.send(kind, body, zone=zone.hex(), generation=generation, **header)
                worker.expect(zone, generation, size)

    def tell(self, kind: str, **header: Any) -> None:  # noqa: ANN401 - JSON
        """Send every worker a message that needs no confirmation."""
        for worker in self.workers:
            if worker.channel is not None:
                worker.channel.send(kind, **header)

    async def heard(self, patience: float) -> bool:
        """Wait until every worker has taken what it was told so far, but for loads; False when that takes longer."""
        self._asked += 1
        number = self._asked
        self.tell("hear", number=number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while any(each.ready and each.channel is not None and each.heard < number for each in self.workers):
                    self._heard.clear()
                    await self._heard.wait()
                return True
        return False

    def serving(self, zone: bytes, generation: int) -> int:
        """How many workers answer at least this generation of a zone."""
        return sum(worker.served.get(zone, 0) >= generation for worker in self.workers)

    def answers(self, zone: bytes) -> bool:
        """Whether any worker answers some version of a zone."""
        return any(worker.channel is not None and zone in worker.served for worker in self.workers)

    def await_no_more(self, zone: bytes) -> None:
        """What is stored of a zone is lost: nobody can load what it was told of."""
        for worker in self.workers:
            worker.awaited.pop(zone, None)

    def forget(self, zone: bytes) -> None:
        """A zone is no longer served."""
        for worker in self.workers:
            worker.served.pop(zone, None)
            worker.awaited.pop(zone, None)

    def totals(self) -> list[int]:
        """Every counter, summed over the workers, in the order of `COUNTERS`."""
        views = [memoryview(worker.counters).cast("Q") for worker in self.workers]
        return [sum(column) for column in zip(*views, strict=True)]

    def kill(self) -> None:
        """End every worker at once."""
        for worker in self.workers:
            worker.kill()

    async def stop(self, patience: float) -> None:
        """Ask every worker to finish, wait up to `patience` seconds, end what is left.

        All of them answer UDP until the last one has no TCP client left.
        """
        self._stopping = True
        until = time.monotonic() + patience
        self.tell("stop")
        self._drained.clear()
        self._look_whether_drained()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._drained.wait()
        self.tell("end")
        processes = [worker.process for worker in self.workers if worker.process and worker.pid]
        waits = [asyncio.create_task(process.wait()) for process in processes]
        if waits:
            _, late = await asyncio.wait(waits, timeout=max(0.0, until - time.monotonic()))
            for worker in self.workers:
                worker.kill()
            if late:
                log.warning("%d workers did not finish within %.0f s and were ended", len(late), patience)
                await asyncio.wait(late, timeout=2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self.workers:
            worker.sockets.close()
            os.close(worker.counters_file)  # the memory itself stays readable


def _ending(code: int | None) -> str:
    if code is None:
        return "not started"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
