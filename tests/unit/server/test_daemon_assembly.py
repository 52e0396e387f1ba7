"""The transfer process put together inside a test's loop: the start, verbs, pages, signals, faults, the end."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.own_server import OwnServer, own_server, until
from support.process import free_port, short_directory
from support.zones import zone_text

from nameserver.config.load import load_config
from nameserver.control.protocol import ControlError
from nameserver.errors import ConfigError, NameserverError
from nameserver.server import daemon as daemon_module
from nameserver.server.daemon import Daemon
from nameserver.server.http import Response
from nameserver.server.sockets import BindError
from nameserver.server.zones.manager import ZoneManager
from nameserver.store.database import Store

ZONE, OWN = "zone.example", "own.example"


class Inside:
    """A daemon in the running loop, with one real worker process."""

    def __init__(self, directory: Path, primary: OwnServer | None = None) -> None:
        self.directory = directory
        self.port = free_port()
        self.primary_port = primary.port if primary else free_port()
        (self.directory / "own.zone").write_text(zone_text(OWN, 1))
        self.write()
        self.daemon = Daemon(load_config(self.path))

    @property
    def path(self) -> Path:
        return self.directory / "nameserver.toml"

    def write(self, extra: str = "") -> None:
        self.path.touch(0o600)
        self.path.write_text(
            f'[server]\nlisten = ["127.0.0.1:{self.port}"]\nworkers = 1\nstate-dir = "state"\n'
            f'control = "control.sock"\nhttp = ""\n'
            f'[remote.primary]\naddress = ["127.0.0.1:{self.primary_port}"]\n'
            f'[template.default]\nmin-refresh-time = "1s"\nmin-retry-time = "1s"\nconnect-timeout = "1s"\n'
            f'[zone."{ZONE}"]\nprimaries = ["primary"]\n'
            f'[zone."{OWN}"]\ntype = "primary"\nfile = "own.zone"\n{extra}'
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Daemon]:
        task = asyncio.create_task(self.daemon.run())
        try:
            await until(lambda: task.done() or bool(self.daemon._tasks), 15)
            yield self.daemon
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(15):
                await task

    async def order(self, verb: str, **arguments: object) -> dict:
        return await self.daemon._verbs()[verb]({"verb": verb, **arguments})

    def page(self, path: str) -> tuple[int, bytes]:
        response: Response = self.daemon._reporter.routes()[path]()
        body = response.body
        return response.status, body if isinstance(body, bytes) else b"".join(body)


@pytest.fixture
def directory() -> Iterator[Path]:
    """With a path short enough for a Unix socket."""
    path = short_directory("in")
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def serving(inside: Inside) -> None:
    async def good() -> bool:
        zones = (await inside.order("status"))["zones"]
        return all(zone["answering"] and zone["workers_serving"] == 1 for zone in zones)

    async with asyncio.timeout(10):
        while not await good():  # noqa: ASYNC110 - there is nobody to set an event
            await asyncio.sleep(0.01)


async def test_what_operators_order_is_done_and_what_they_ask_is_told(directory: Path, tmp_path: Path) -> None:
    async with own_server(tmp_path) as primary:
        primary.serve(ZONE, zone_text(ZONE, 5))
        inside = Inside(directory, primary)
        async with inside.running():
            await serving(inside)
            assert [zone["name"] for zone in (await inside.order("status"))["zones"]] == [OWN, ZONE]
            assert (await inside.order("status", zone=ZONE))["zones"][0]["serial"] == 5
            assert (await inside.order("refresh"))["zones"] == 1
            assert (await inside.order("refresh", zone=ZONE))["zones"] == 1
            assert (await inside.order("retransfer", zone=ZONE, wait=True))["serial"] == 5
            for wrong in ({}, {"zone": "nowhere.example"}, {"zone": OWN}):
                with pytest.raises(ControlError):
                    await inside.order("retransfer", **wrong)
            assert inside.page("/health") == (200, b"ok\n")
            await until(lambda: inside.page("/ready")[0] == 200)
            assert b"nameserver_zone_serial" in inside.page("/metrics")[1]
            assert ZONE.encode() in inside.page("/")[1]


async def test_a_reload_takes_what_is_good_and_nothing_of_what_is_bad(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inside = Inside(directory)
    async with inside.running() as daemon:
        assert (await inside.order("reload"))["message"].startswith("0 zones added")
        inside.write("nonsense\n")
        with pytest.raises(ControlError, match="the configuration is not used"):
            await inside.order("reload")
        assert not daemon._state.reload.ok
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: caplog.text.count("nothing was changed") == 2)
        inside.write('[zone."new.example"]\ntype = "primary"\nfile = "own.zone"\n')
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: len(daemon._state.zones.entries) == 3)
        await until(lambda: daemon._state.reload.message != "")
        inside.path.write_text(inside.path.read_text().partition("[zone.")[0])
        with pytest.raises(ConfigError, match="no zone would be left"):
            await daemon.reload()


async def test_a_reload_that_breaks_half_way_is_said_and_does_not_end_the_listening_for_more(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inside = Inside(directory)
    async with inside.running() as daemon:

        def broken(error: Exception):
            async def reconcile(_config: object) -> None:
                raise error

            return reconcile

        with monkeypatch.context() as patched:
            patched.setattr(daemon._state.zones, "reconcile", broken(NameserverError("the disk is full")))
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "carried out in part only: the disk is full" in caplog.text)
            assert not daemon._state.reload.ok
            patched.setattr(daemon._state.zones, "reconcile", broken(RuntimeError("broken on purpose")))
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "reload broke" in caplog.text)
        before = caplog.text.count("reloaded: ")
        caplog.set_level("INFO")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: caplog.text.count("reloaded: ") > before)


async def test_health_and_readiness_follow_the_workers(directory: Path) -> None:
    inside = Inside(directory)
    async with inside.running() as daemon:
        worker = daemon._state.supervisor.workers[0]
        worker.ready = False
        assert inside.page("/health")[0] == 503
        assert inside.page("/ready")[0] == 503
        worker.ready = True
        await until(lambda: inside.page("/ready")[0] == 200)
        assert f"1 zone not answering: {ZONE}".encode() in inside.page("/ready")[1]


async def test_a_start_that_is_told_to_stop_leaves_off(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the start waits for, be it for ever."""
    inside = Inside(directory)

    async def endless(_zones: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(daemon_module.ZoneManager, "start", endless)
    task = asyncio.create_task(inside.daemon.run())
    await until(lambda: task.done() or (inside.directory / "control.sock").exists())
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(15):
        await task
    assert not (inside.directory / "control.sock").exists()


async def test_the_service_manager_is_asked_for_patience_while_it_starts_and_no_longer(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "START_EXTENSION", 0.3)
    go_on = asyncio.Event()
    start = daemon_module.ZoneManager.start

    async def slow(zones: ZoneManager) -> None:
        await go_on.wait()
        await start(zones)

    monkeypatch.setattr(daemon_module.ZoneManager, "start", slow)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(directory / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(directory / "notify"))
        inside = Inside(directory)
        told: list[bytes] = []
        loop = asyncio.get_running_loop()
        loop.add_reader(manager.fileno(), lambda: told.append(manager.recv(4096)))
        running = inside.running()
        starting = asyncio.create_task(running.__aenter__())
        await until(lambda: told.count(b"EXTEND_TIMEOUT_USEC=300000") >= 3, 30)
        assert not any(each.startswith(b"READY=1") for each in told)
        go_on.set()
        await starting
        await asyncio.sleep(0.3)
        await running.__aexit__(None, None, None)
        loop.remove_reader(manager.fileno())
        kinds = [each.partition(b"=")[0] for each in told]
        assert kinds == [b"EXTEND_TIMEOUT_USEC"] * (len(kinds) - 2) + [b"READY", b"STOPPING"], told


async def test_a_step_of_the_stop_that_breaks_keeps_none_of_the_others_from_being_taken(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    inside = Inside(directory)
    async with inside.running() as daemon:
        worker = daemon._state.supervisor.workers[0]
        assert worker.pid
        true = daemon._control.stop

        async def broken() -> None:
            await true()
            raise RuntimeError("broken on purpose")

        monkeypatch.setattr(daemon._control, "stop", broken)
    assert worker.pid is None
    assert caplog.messages[-1] == "stopped" and "stopping broke" in caplog.text
    Store.open(directory / "state", 0.0).close()  # the lock was given back


async def test_a_stop_while_it_waits_for_its_addresses_is_obeyed(directory: Path) -> None:
    inside = Inside(directory)
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", inside.port)
    task = asyncio.create_task(inside.daemon.run())
    await until(lambda: task.done() or (inside.directory / "state" / "state.db").exists(), 20)
    os.kill(os.getpid(), signal.SIGTERM)
    await task  # raises BindError where it waited for its addresses to the end
    taken.close()
    with contextlib.closing(Store.open(inside.directory / "state", 0.0)):
        pass


async def test_a_start_that_fails_gives_everything_back(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_module, "BIND_PATIENCE", 0.0)
    inside = Inside(directory)
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", inside.port)
    with pytest.raises(BindError, match="another server has it"):
        await inside.daemon.run()
    taken.close()
    (inside.directory / "control.sock").write_text("not a socket")
    with pytest.raises(NameserverError, match="is not a socket"):
        await Daemon(load_config(inside.path)).run()
    with contextlib.closing(Store.open(inside.directory / "state", 0.0)):  # it is not held any more
        pass
