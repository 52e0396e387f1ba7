"""A daemon that runs short of open files, and one whose log goes nowhere: what is asked is answered all the same."""

import contextlib
import os
import resource
import socket

import pytest
from support.ask import TransferRefused, serial, transfer
from support.pair import Own, connect, frames, question, read_frame
from support.zones import zone_text

from nameserver.query.counters import TCP_EVENTS

ZONE = "zone.example"
ASK = question(f"ns1.{ZONE}")


def serving(ours: Own) -> Own:
    (ours.directory / "zone").write_text(zone_text(ZONE, 1))
    ours.zone_table(ZONE, type='"primary"', file='"zone"')
    return ours.start()


def answered(connection: socket.socket) -> bool:
    connection.sendall(frames(ASK))
    return len(read_frame(connection)) > 12


def crowd(ours: Own, stack: contextlib.ExitStack, number: int, network: int) -> None:
    """Silent connections from many addresses; after each few, somebody who asks is answered over TCP and UDP."""
    for count in range(number):
        stack.enter_context(connect(ours.port, source=f"127.{network}.{count % 8}.1"))
        if count % 10 == 9:
            with connect(ours.port, source="127.200.0.1") as newcomer:
                assert answered(newcomer)
            assert ours.query(f"ns1.{ZONE}").answer


def all_works(ours: Own, number: int) -> None:
    """What needs files of our own: a new version is loaded from the store, a transfer is sent, the pages are shown."""
    (ours.directory / "zone").write_text(zone_text(ZONE, number, hosts=2000))
    ours.reread()
    ours.wait(lambda: serial(ours.port, ZONE) == number, what="the new version")
    assert len(transfer(ours.port, ZONE, ours.watch_key)) > 2000
    assert ours.page("/health")[0] == 200


def test_clients_get_what_open_files_the_server_itself_does_not_need() -> None:
    """F70: said at the start, held while a crowd comes, and nothing else goes without."""
    with Own() as ours, contextlib.ExitStack() as stack:
        ours.launcher = ["sh", "-c", 'ulimit -n 140 && exec "$@"', "sh"]
        serving(ours)
        assert "tcp-max-clients = 500 needs more open files than the 140 that are allowed: at most 64" in ours.log
        crowd(ours, stack, 150, 1)
        all_works(ours, 2)
        assert "Too many open files" not in ours.log
        assert ours.metrics()['nameserver_tcp_connections_total{event="displaced"}'] >= 80
        assert ours.log.count("the longest idle make room") == 1
        ours.stop()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_open_files_that_run_out_under_way_stop_neither_new_clients_nor_udp(loop: str) -> None:
    """F70: here the limit is lowered while the server runs, so that it has reckoned with more."""
    with Own(settings={"event-loop": f'"{loop}"'}) as ours, contextlib.ExitStack() as stack:
        serving(ours)
        (worker,) = ours.workers_pids()
        held = len(os.listdir(f"/proc/{worker}/fd"))
        before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (held + 30, before[1]))
        crowd(ours, stack, 100, 2)
        assert ours.log.count("taking a connection: Too many open files") == 1
        events = {event: ours.metrics()[f'nameserver_tcp_connections_total{{event="{event}"}}'] for event in TCP_EVENTS}
        assert events["displaced"] > 0 == events["refused"]
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        all_works(ours, 2)
        ours.stop()


@pytest.mark.parametrize("where", ["a full disk", "nowhere", "a pipe that nobody reads", "a pipe without an end"])
def test_a_log_that_goes_nowhere_changes_nothing(where: str) -> None:
    """F81. A pipe holds 64 KiB here, which a few hundred lines fill."""
    with Own(workers=2) as ours, contextlib.ExitStack() as stack:
        fifo = ours.directory / "fifo"
        os.mkfifo(fifo)
        reader = stack.enter_context(
            open(fifo, "rb", opener=lambda path, _: os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        )
        target = {"a full disk": "2>/dev/full", "nowhere": "0<&- 1>&- 2>&-"}.get(where, f"2>{fifo}")
        ours.launcher = ["sh", "-c", f'exec "$@" {target}', "sh"]
        serving(ours)
        if where == "a pipe without an end":
            reader.close()
        for number in range(2, 12):
            for _ in range(30):  # each is a line of log
                with pytest.raises(TransferRefused):
                    transfer(ours.port, ZONE)
            (ours.directory / "zone").write_text(zone_text(ZONE, number))
            ours.reread()
            ours.wait(lambda number=number: serial(ours.port, ZONE) == number, what="the new version")
        assert ours.page("/ready") == (200, "ready\n")
        ours.stop()
