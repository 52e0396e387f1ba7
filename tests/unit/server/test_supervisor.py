"""Worker slots: real worker processes, killed, hung, never ready, and what is expected of them."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.own_server import LOOPBACK, until
from support.pipelines import question
from support.process import free_port

from nameserver.config.model import Endpoint, ServerConfig
from nameserver.server import supervisor as supervisor_module
from nameserver.server.channel import Channel, Header
from nameserver.server.settings import encode_server
from nameserver.server.sockets import ListeningSockets, open_sockets
from nameserver.server.supervisor import CONFIRM_BASE, CONFIRM_RATE, Supervisor, Worker, WorkersFailed, _ending
from nameserver.store.database import Store

ZONE = b"\x01z\x00"


class Running:
    """A supervisor over real processes."""

    def __init__(self, directory: Path, workers: int) -> None:
        endpoint = Endpoint(LOOPBACK, free_port())
        store = Store.open(directory, 0.0)
        self.port = endpoint.port
        self.said: list[tuple[int, Header]] = []
        self.started: list[int] = []
        self.break_on = ""
        hello = {
            "store": str(store.path),
            "server": encode_server(ServerConfig((endpoint,), directory, directory / "control")),
            "log_level": "info",
            "log_format": "plain",
        }
        self.supervisor = Supervisor(
            [open_sockets((endpoint,)) for _ in range(workers)],
            hello,
            "auto",
            on_start=lambda worker: self.started.append(worker.index),
            on_message=self._message,
        )
        self.store = store

    def _message(self, worker: Worker, header: Header) -> None:
        self.said.append((worker.index, header))
        if header["kind"] == self.break_on:
            self.break_on = ""
            raise RuntimeError("broken on purpose")

    async def answers(self) -> bool:
        """Whether a question over UDP from a fresh port is answered within a moment."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect((LOOPBACK, self.port))
            client.send(question("z"))
            try:
                async with asyncio.timeout(0.3):
                    return bool(await asyncio.get_running_loop().sock_recv(client, 512))
            except TimeoutError:
                return False


@asynccontextmanager
async def running(directory: Path, workers: int = 1) -> AsyncIterator[Running]:
    made = Running(directory, workers)
    try:
        await made.supervisor.start()
        yield made
    finally:
        await made.supervisor.stop(5.0)
        made.store.close()


def slot() -> Worker:
    return Worker(0, ListeningSockets((), ()), *supervisor_module._open_counters())


async def test_a_killed_worker_is_replaced_and_leaves_no_descriptor_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as ours:
        worker = ours.supervisor.workers[0]
        descriptors = []
        for round_ in range(3):
            await until(lambda: worker.ready, 15)
            assert await ours.answers()
            descriptors.append(len(os.listdir("/proc/self/fd")))
            pid = worker.pid
            assert pid is not None
            worker.served[ZONE] = 1
            os.kill(pid, signal.SIGKILL)
            await until(lambda: worker.channel is None)
            assert (worker.served, worker.awaited, worker.ready) == ({}, {}, False)
            worker.delay = 0.01
            await until(lambda pid=pid: worker.pid not in (None, pid), 15)
            assert worker.restarts == round_ + 1
        await until(lambda: worker.ready, 15)
        assert descriptors[0] == descriptors[-1] == len(os.listdir("/proc/self/fd"))
        assert ours.started == [0, 0, 0, 0]
        assert "worker 0 ended (signal 9)" in caplog.text


@pytest.mark.parametrize("workers", [2])
async def test_a_hung_worker_is_replaced_while_the_other_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    monkeypatch.setattr(supervisor_module, "WATCH_INTERVAL", 0.1)
    monkeypatch.setattr(supervisor_module, "BEAT_TIMEOUT", 1.5)
    async with running(tmp_path, workers) as ours:
        hung, other = ours.supervisor.workers
        pid, healthy = hung.pid, other.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: hung.pid not in (None, pid) and hung.ready, 20)
        assert "gave no sign of life" in caplog.text
        assert other.pid == healthy


async def test_what_was_told_to_every_worker_is_known_to_be_heard(tmp_path: Path) -> None:
    async with running(tmp_path, 2) as ours:
        assert await ours.supervisor.heard(15)
        deaf = ours.supervisor.workers[1]
        assert deaf.pid is not None
        os.kill(deaf.pid, signal.SIGSTOP)
        try:
            assert not await ours.supervisor.heard(0.2)
        finally:
            os.kill(deaf.pid, signal.SIGCONT)
        assert await ours.supervisor.heard(15)
        assert [worker.heard for worker in ours.supervisor.workers] == [3, 3]


async def test_a_pause_of_our_own_is_not_taken_for_the_death_of_every_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A suspended machine, a stopped process, one long turn of the loop: the beats are there, unread."""
    monkeypatch.setattr(supervisor_module, "WATCH_INTERVAL", 0.1)
    monkeypatch.setattr(supervisor_module, "BEAT_TIMEOUT", 1.2)
    async with running(tmp_path) as ours:
        pid = ours.supervisor.workers[0].pid
        time.sleep(1.6)  # the pause itself  # noqa: ASYNC251
        await asyncio.sleep(0.3)
        assert ours.supervisor.workers[0].pid == pid
        assert "replaced" not in caplog.text


async def test_a_message_that_breaks_its_handler_costs_the_worker_not_the_slot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as ours:
        worker = ours.supervisor.workers[0]
        pid = worker.pid
        ours.break_on = "beat"
        await until(lambda: worker.pid not in (None, pid) and worker.ready, 15)
        assert "broken on purpose" in caplog.text


async def test_stopping_while_a_worker_is_being_started_leaves_no_process(tmp_path: Path) -> None:
    ours = Running(tmp_path, 1)
    worker = ours.supervisor.workers[0]
    starting = asyncio.create_task(ours.supervisor.start())
    await until(lambda: worker.pid is not None)
    pid = worker.pid
    await ours.supervisor.stop(0.01)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)
    ours.store.close()


async def test_a_program_that_cannot_be_started_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(supervisor_module, "START_TIMEOUT", 0.2)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    before = len(os.listdir("/proc/self/fd"))
    ours = Running(tmp_path, 1)
    try:
        with pytest.raises(WorkersFailed, match=r"no worker came up within 0 s \(.*No such file or directory"):
            await ours.supervisor.start()
        worker = ours.supervisor.workers[0]
        worker.delay = 0.01
        await until(lambda: worker.restarts >= 3)
        assert "worker 0 cannot be started" in caplog.text
        assert worker.delay > 0.02, "later each time"
        assert len(os.listdir("/proc/self/fd")) - before < 12, "no descriptor of a try is kept"
    finally:
        await ours.supervisor.stop(5.0)
        ours.store.close()


async def test_a_fault_in_looking_after_one_worker_ends_the_watch_over_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor_module, "WATCH_INTERVAL", 0.01)
    supervisor = Supervisor(
        [ListeningSockets((), ())] * 2, {}, "auto", on_start=lambda _: None, on_message=lambda *_: None
    )
    seen: list[int] = []

    def look(worker: Worker, _now: float) -> None:
        seen.append(worker.index)
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(supervisor, "_look_at", look)
    supervisor._tasks.append(asyncio.create_task(supervisor._watch()))
    await until(lambda: len(seen) >= 4)
    assert seen[:4] == [0, 1, 0, 1]
    assert "looking after worker 0 broke" in caplog.text
    await supervisor.stop(0.1)


def test_a_worker_is_given_time_for_all_it_was_told_to_load_before() -> None:
    worker = slot()
    now = time.monotonic()
    worker.expect(ZONE, 1, 100 * CONFIRM_RATE)
    worker.expect(b"\x01y\x00", 2, 0)
    for _, until_when in worker.awaited.values():
        assert until_when - now == pytest.approx(100 + CONFIRM_BASE, abs=1)
    worker.counters.close()
    os.close(worker.counters_file)


def test_the_confirmation_of_an_older_version_does_not_stand_for_the_newer() -> None:
    worker = slot()
    worker.expect(ZONE, 7, 0)
    worker.confirmed(ZONE, 6)
    assert ZONE in worker.awaited
    worker.confirmed(ZONE, 7)
    assert worker.awaited == {}
    worker.counters.close()
    os.close(worker.counters_file)


async def test_a_worker_that_does_not_confirm_is_killed_and_one_that_reports_a_failure_is_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(supervisor_module.Worker, "kill", lambda worker: killed.append(worker.index))
    monkeypatch.setattr(supervisor_module.Worker, "pid", property(lambda _worker: 1))
    supervisor = Supervisor([ListeningSockets((), ())], {}, "auto", on_start=lambda _: None, on_message=lambda *_: None)
    worker = supervisor.workers[0]
    ours, theirs = socket.socketpair()
    worker.channel = await Channel.over(ours)
    worker.ready, worker.last_beat = True, time.monotonic()
    supervisor.publish("load", ZONE, 5)
    assert not await supervisor.settle(0.01)
    supervisor._received(worker, {"kind": "failed", "zone": ZONE.hex(), "error": "damaged"})
    assert await supervisor.settle(0.01)
    supervisor._look_at(worker, worker.last_beat)
    assert killed == []
    worker.awaited[ZONE] = (5, time.monotonic() - 1)
    supervisor._look_at(worker, worker.last_beat)
    assert killed == [0]
    assert "did not confirm 1 publications" in caplog.text
    supervisor.forget(ZONE)
    assert worker.awaited == {}
    worker.channel.close()
    theirs.close()
    monkeypatch.undo()
    worker.channel = None
    await supervisor.stop(0.1)


def test_the_end_of_a_process_in_words() -> None:
    assert [_ending(code) for code in (None, -9, 1)] == ["not started", "signal 9", "exit code 1"]
