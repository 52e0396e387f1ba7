"""Processes that die, hang and are told to stop."""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import pytest
from support.injected import inject
from support.pair import Own, connect, frames, question, read_frame
from support.zones import zone_text

ZONE = "zone.example"
ASK = question(f"ns1.{ZONE}")


@pytest.fixture
def server() -> Iterator[Own]:
    """A daemon with two workers that needs nobody else."""
    with Own(workers=2) as ours:
        (ours.directory / "zone").write_text(zone_text(ZONE, 1))
        ours.zone_table(ZONE, type='"primary"', file='"zone"')
        yield ours.start()


def answered(port: int, patience: float = 0.25) -> bool:
    """One question over UDP from a fresh port: whichever worker the kernel gives it to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(patience)
        client.connect(("127.0.0.1", port))
        try:
            client.send(ASK)
            return bool(dns.message.from_wire(client.recv(512)).answer)
        except OSError:
            return False


def both_answer(ours: Own) -> bool:
    """Forty in a row: by two workers, as good as certainly."""
    return all(answered(ours.port) for _ in range(40))


def test_a_killed_worker_is_back_within_seconds_and_the_other_serves_meanwhile(server: Own) -> None:
    killed, other = server.workers_pids()
    began = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    got = sum(answered(server.port, 0.05) for _ in range(20))
    assert got > 0, "the other worker's share"
    server.wait(lambda: both_answer(server), what="all clients to be answered again")
    assert time.monotonic() - began < 10
    after = server.workers_pids()
    assert other in after and killed not in after
    assert server.metrics()['nameserver_worker_restarts_total{worker="0"}'] == 1
    assert server.page("/ready") == (200, "ready\n")
    server.stop()


def test_counts_survive_a_worker(server: Own) -> None:
    def count() -> float:
        return sum(value for name, value in server.metrics().items() if name.startswith("nameserver_queries_total"))

    for _ in range(10):
        assert answered(server.port)
    server.wait(lambda: count() >= 10, what="the counters")
    before = count()
    for pid in server.workers_pids():
        os.kill(pid, signal.SIGKILL)
    server.wait(lambda: both_answer(server), what="new workers")
    server.wait(lambda: count() >= before + 40, what="the counters")


def test_a_stopped_worker_is_replaced(server: Own) -> None:
    stopped, other = server.workers_pids()
    os.kill(stopped, signal.SIGSTOP)
    server.wait(lambda: stopped not in server.workers_pids() and both_answer(server), 20, "the worker to be replaced")
    assert other in server.workers_pids()
    assert "gave no sign of life" in server.log
    server.stop()


def test_descriptors_do_not_add_up_over_respawns_and_reloads(server: Own) -> None:
    counts: list[list[int]] = []

    def counted() -> list[int]:
        """Of the transfer process and of each worker; none while one of these has just ended."""
        pids = server.workers_pids()
        try:
            found = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (server.child.pid, *pids)]
        except FileNotFoundError:
            return []
        return found if len(pids) == server.workers else []

    for serial in range(2, 5):
        os.kill(server.workers_pids()[0], signal.SIGKILL)
        (server.directory / "zone").write_text(zone_text(ZONE, serial))
        server.reread()
        server.wait(lambda: server.page("/ready")[0] == 200 and both_answer(server), what="the worker")
        with connect(server.port):
            pass
        counts.append(server.wait(counted, what="all processes"))
    assert max(abs(last - first) for first, last in zip(counts[0], counts[-1], strict=True)) <= 2, counts


def test_sigterm_under_load_finishes_what_was_asked_over_tcp_and_exits_0(server: Own) -> None:
    stop = threading.Event()
    faults: list[str] = []
    answers = [0]

    def load() -> None:
        """Ask in turn; once the server stops, whatever was asked is answered in full or refused at the door."""
        while not stop.is_set():
            try:
                connection = connect(server.port)
            except OSError:
                return
            with connection:
                try:
                    for _ in range(20):
                        connection.sendall(frames(*[ASK] * 5))
                        for number in range(5):
                            try:
                                read_frame(connection)
                            except (EOFError, ConnectionError):
                                if number:
                                    faults.append(f"cut after {number} of 5 answers")
                                return
                            answers[0] += 1
                except OSError:
                    return

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    server.wait(lambda: answers[0] > 200, what="load")
    began = time.monotonic()
    server.stop()  # raises unless it exits 0 and leaves no process
    stop.set()
    for thread in threads:
        thread.join(10)
    assert faults == []
    assert time.monotonic() - began < 5
    assert "were ended" not in server.log


def test_a_client_that_does_not_read_delays_the_stop_and_a_second_signal_ends_it_at_once(
    server: Own,
) -> None:
    with connect(server.port) as greedy:
        greedy.settimeout(0.5)
        with contextlib.suppress(TimeoutError):  # until the server takes no more: its answers are not read
            while True:
                greedy.sendall(frames(*[ASK] * 500))
        server.signal(signal.SIGTERM)
        server.wait(lambda: "stopping" in server.log, what="the stop to begin")
        time.sleep(0.3)  # long enough for a stop that waits for nobody
        assert server.child.alive
        assert both_answer(server), "over UDP, to the end: also the worker that has no such client"
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.ends_by_itself(5) == 0
        assert time.monotonic() - began < 3
        assert server.child.group() == []


def test_a_stop_during_the_start_is_obeyed_at_once(server: Own) -> None:
    """Here a zone file that takes seconds to read is what the start is busy with."""
    server.stop()
    (server.directory / "zone").write_text(zone_text(ZONE, 2, hosts=60_000))
    server.start(wait_ready=False)
    server.wait(lambda: server.control.exists() and server.status(), what="the control socket")
    server.stop()
    assert "ready:" not in server.log.rpartition("stopped")[0].rpartition("stopped")[2]


def test_a_signal_to_the_whole_group_is_an_orderly_stop_too(server: Own) -> None:
    """As Ctrl-C at a terminal sends it, and a service manager that signals every process."""
    os.killpg(server.child.pid, signal.SIGINT)
    assert server.ends_by_itself() == 0
    assert server.child.group() == []
    assert "ended (" not in server.log


def test_when_the_transfer_process_dies_all_go_and_a_new_one_can_start_at_once(server: Own) -> None:
    os.kill(server.child.pid, signal.SIGKILL)
    server.child.process.wait(5)
    server.start()
    assert both_answer(server)
    server.stop()


# Workers die as they start, while a file says so. The daemon is less patient than in earnest.
DYING = """
import os
import sys

if "nameserver.server.answering.worker" in sys.orig_argv and os.path.exists({path!r}):
    sys.stderr.write("dies on purpose\\n")
    os._exit(3)
if "run" in sys.orig_argv:
    import nameserver.server.supervisor
    nameserver.server.supervisor.START_TIMEOUT = 2.0
"""


@pytest.fixture
def dying() -> Iterator[tuple[Own, Path]]:
    """A daemon that was not started yet, and the file."""
    with Own(workers=2) as ours:
        (ours.directory / "zone").write_text(zone_text(ZONE, 1))
        ours.zone_table(ZONE, type='"primary"', file='"zone"')
        flag = ours.directory / "dying"
        ours.environment = inject(ours.directory, DYING.format(path=str(flag)))
        yield ours, flag


def test_a_start_at_which_every_worker_dies_ends_with_an_error_after_few_tries(dying: tuple[Own, Path]) -> None:
    ours, flag = dying
    flag.touch()
    ours.start(wait_ready=False)
    assert ours.ends_by_itself(30) == 2
    assert "not started: no worker came up within 2 s (exit code 3); the lines above say why" in ours.log
    assert "worker 0 ended (exit code 3, before it was ready); starting another in 0.2 s" in ours.log
    assert 2 <= ours.log.count("dies on purpose") <= 2 * 5, "0.2, 0.4, 0.8, 1.6 s between them"
    assert "ready:" not in ours.log
    assert ours.child.group() == []


def test_workers_that_die_at_each_start_are_tried_later_each_time_and_come_back(dying: tuple[Own, Path]) -> None:
    ours, flag = dying
    ours.start()
    flag.touch()
    for pid in ours.workers_pids():
        os.kill(pid, signal.SIGKILL)
    ours.wait(lambda: all(worker["restarts"] >= 3 for worker in ours.status()["server"]["workers"]), what="tries")
    assert [ours.page(path)[0] for path in ("/health", "/ready")] == [503, 503]
    delays = re.findall(r"worker 0 ended .* another in (\d+\.\d) s", ours.log)
    assert delays[:3] == ["0.2", "0.4", "0.8"]
    flag.unlink()
    ours.wait(lambda: both_answer(ours), what="the workers")
    ours.stop()
