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
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nameserver.query.counters import COUNTERS
from nameserver.server.channel import Channel, Header
from nameserver.server.sockets import ListeningSockets

BEAT_TIMEOUT = 5.0  # seconds without a heart-beat until a worker counts as hung
START_TIMEOUT = 30.0  # seconds from start to "ready"
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
    started: float = 0.0
    last_beat: float = 0.0
    restarts: int = 0
    delay: float = FIRST_DELAY
    served: dict[bytes, int] = field(default_factory=dict)  # zone → generation confirmed
    awaited: dict[bytes, float] = field(default_factory=dict)  # zone → confirm until (monotonic)

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process."""
        return self.process.pid if self.process and self.process.returncode is None else None


def _open_counters() -> tuple[mmap.mmap, int]:
    """Shared memory for one worker's counters: it survives the worker, so nothing is counted twice or lost."""
    size = 8 * len(COUNTERS)
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        handle = os.dup(file.fileno())
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
        self.workers: list[Worker] = []
        for index, each in enumerate(sockets):
            self.workers.append(Worker(index, each, *_open_counters()))

    async def start(self) -> None:
        """Start every worker and wait until all listen."""
        for worker in self.workers:
            self._tasks.append(asyncio.create_task(self._keep(worker), name=f"worker-{worker.index}"))
        self._tasks.append(asyncio.create_task(self._watch(), name="worker-watch"))
        with contextlib.suppress(TimeoutError):  # what is late goes on starting, and is seen in /health
            async with asyncio.timeout(START_TIMEOUT):
                await self._all_ready.wait()

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
                log.error("worker %d cannot be started: %s", worker.index, error)
            if self._stopping:
                return
            lived = time.monotonic() - worker.started
            worker.delay = FIRST_DELAY if lived > YOUNG else min(worker.delay * 2, LAST_DELAY)
            worker.restarts += 1
            code = worker.process.returncode if worker.process else None
            log.error("worker %d ended (%s); starting another in %.1f s", worker.index, _ending(code), worker.delay)
            await asyncio.sleep(worker.delay)

    async def _run_once(self, worker: Worker) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        worker.started = worker.last_beat = time.monotonic()
        worker.served.clear()
        worker.awaited.clear()
        passed = [theirs.fileno(), worker.counters_file, *worker.sockets.filenos()]
        try:
            worker.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "nameserver.server.worker",
                str(theirs.fileno()),
                self._event_loop,
                pass_fds=passed,
            )
        finally:
            theirs.close()
        worker.channel = channel = await Channel.over(ours)
        hello = {
            **self._hello,
            "index": worker.index,
            "counters": worker.counters_file,
            "udp": [each.fileno() for each in worker.sockets.udp],
            "tcp": [each.fileno() for each in worker.sockets.tcp],
        }
        channel.send("hello", **hello)
        self._on_start(worker)
        while (message := await channel.receive()) is not None:
            self._received(worker, message[0])
        worker.ready = False
        worker.channel = None
        channel.close()
        await self._end(worker.process)

    def _received(self, worker: Worker, header: Header) -> None:
        worker.last_beat = time.monotonic()
        if header["kind"] == "ready":
            worker.ready = True
            if all(each.ready for each in self.workers):
                self._all_ready.set()
        elif header["kind"] == "served":
            for name, generation in header["zones"].items():
                zone = bytes.fromhex(name)
                worker.served[zone] = generation
                worker.awaited.pop(zone, None)
        elif header["kind"] == "failed":
            worker.awaited.pop(bytes.fromhex(header["zone"]), None)
        if not any(each.awaited for each in self.workers):
            self._settled.set()
        self._on_message(worker, header)

    @staticmethod
    async def _end(process: asyncio.subprocess.Process) -> None:
        """The channel is gone: the process follows, or is ended."""
        try:
            async with asyncio.timeout(2):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _watch(self) -> None:
        """Replace what hangs."""
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for worker in self.workers:
                if worker.pid is None or worker.channel is None:
                    continue
                limit = BEAT_TIMEOUT if worker.ready else START_TIMEOUT
                late = [zone for zone, until in worker.awaited.items() if until < now]
                if now - worker.last_beat > limit:
                    log.error("worker %d gave no sign of life for %.0f s: replaced", worker.index, limit)
                elif late:
                    log.error("worker %d did not confirm %d publications: replaced", worker.index, len(late))
                else:
                    continue
                os.kill(worker.pid, signal.SIGKILL)

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
        until = time.monotonic() + CONFIRM_BASE + size / CONFIRM_RATE
        for worker in self.workers:
            if worker.channel is not None:
                worker.channel.send(kind, body, zone=zone.hex(), generation=generation, **header)
                worker.awaited[zone] = until

    def expect(self, worker: Worker, zone: bytes, size: int) -> None:
        """Expect one worker to confirm a zone that it was told to load."""
        worker.awaited[zone] = time.monotonic() + CONFIRM_BASE + size / CONFIRM_RATE

    def tell(self, kind: str, **header: Any) -> None:  # noqa: ANN401 - JSON
        """Send every worker a message that needs no confirmation."""
        for worker in self.workers:
            if worker.channel is not None:
                worker.channel.send(kind, **header)

    def serving(self, zone: bytes, generation: int) -> int:
        """How many workers answer at least this generation of a zone."""
        return sum(worker.served.get(zone, 0) >= generation for worker in self.workers)

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
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGKILL)

    async def stop(self, patience: float) -> None:
        """Ask every worker to finish, wait up to `patience` seconds, end what is left."""
        self._stopping = True
        self.tell("stop")
        processes = [worker.process for worker in self.workers if worker.process and worker.pid]
        waits = [asyncio.create_task(process.wait()) for process in processes]
        if waits:
            _, late = await asyncio.wait(waits, timeout=patience)
            for process in processes:
                if process.returncode is None:
                    process.kill()
            if late:
                log.warning("%d workers did not finish within %.0f s and were ended", len(late), patience)
                await asyncio.wait(late, timeout=2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self.workers:
            worker.sockets.close()


def _ending(code: int | None) -> str:
    if code is None:
        return "not started"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
