"""The service manager gets the right datagrams, and its absence costs nothing."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nameserver.server.notify_socket import ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def service(manager: socket.socket) -> ServiceManager:
    return ServiceManager.from_environment({"NOTIFY_SOCKET": manager.getsockname()})


def received(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_ready_carries_a_status(manager: socket.socket) -> None:
    service(manager).ready("12 zones")
    assert received(manager) == ["READY=1", "STATUS=12 zones"]


def test_reloading_carries_the_monotonic_clock(manager: socket.socket) -> None:
    service(manager).reloading()
    first, second = received(manager)
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_the_other_messages(manager: socket.socket) -> None:
    each = service(manager)
    each.stopping()
    assert received(manager) == ["STOPPING=1"]
    each.watchdog()
    assert received(manager) == ["WATCHDOG=1"]
    each.extend_timeout(2.5)
    assert received(manager) == ["EXTEND_TIMEOUT_USEC=2500000"]


def test_a_status_cannot_smuggle_in_another_field(manager: socket.socket) -> None:
    service(manager).status("fine\nMAINPID=1")
    assert received(manager) == ["STATUS=fine MAINPID=1"]


def test_abstract_sockets_work() -> None:
    name = f"nameserver-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.settimeout(5)
        ServiceManager.from_environment({"NOTIFY_SOCKET": "@" + name}).watchdog()
        assert received(listener) == ["WATCHDOG=1"]


@pytest.mark.parametrize("address", ["", "@", "relative", "vsock:2:1"])
def test_without_a_usable_socket_nothing_happens(address: str) -> None:
    each = ServiceManager.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    assert not each.present
    assert each.watchdog_interval is None
    each.ready()


def test_a_manager_that_went_away_is_no_error(tmp_path: Path) -> None:
    ServiceManager.from_environment({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "42"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_due_at_half_its_period_if_it_is_meant_for_us(
    variables: dict[str, str], interval: float | None
) -> None:
    environment = {"NOTIFY_SOCKET": "/run/notify", **variables}
    assert ServiceManager.from_environment(environment, pid=42).watchdog_interval == interval


def test_the_environment_is_the_processes_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    assert ServiceManager.from_environment().present
