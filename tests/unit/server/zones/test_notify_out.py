"""NOTIFY to also-notify, received by our own pipeline over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.own_server import KEY, LOOPBACK, OwnServer, own_server, until
from support.process import free_port
from support.transfer_messages import soa

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.errors import Reason
from nameserver.query.acl import Acl, AclRow
from nameserver.server.zones import notify_out as notify_out_module
from nameserver.server.zones.notify_out import AT_ONCE_TO_ONE, NotifyOut
from nameserver.telemetry.events import Outcome
from nameserver.telemetry.tally import Tally
from nameserver.transfer import notify as notify_machine
from nameserver.wire import names
from nameserver.wire.tsig import TsigKey

ZONE = "example.com"


def config(*targets: Remote) -> ZoneConfig:
    return ZoneConfig(names.from_text(ZONE), ZONE, also_notify=targets)


@asynccontextmanager
async def notifier() -> AsyncIterator[tuple[NotifyOut, Tally]]:
    tally = Tally()
    out = NotifyOut(tally)
    try:
        yield out, tally
    finally:
        await out.stop()
    await asyncio.sleep(0)  # those of zones forgotten before
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("notify")] == []


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three waits between two sendings, a twentieth of their length: who does not answer is given up soon."""
    waits = tuple(wait / 20 for wait in notify_machine.WAITS[:3])
    monkeypatch.setattr(notify_machine, "WAITS", waits)
    monkeypatch.setattr("nameserver.server.zones.notify_out.WAITS", waits)


def publish(out: NotifyOut, zone: ZoneConfig, serial: int) -> None:
    out.publish(zone, serial, soa(serial).rdata, zone.also_notify)


def heard(server: OwnServer) -> list[tuple[str, int | None]]:
    return [(each.notify.source, each.notify.serial) for each in server.outcomes if each.notify]


def sent(tally: Tally, outcome: Outcome, reason: str = "") -> int:
    return tally.notify_sent.get((outcome, reason), 0)


@pytest.mark.parametrize("key", [None, KEY])
async def test_a_target_is_told_the_serial_and_its_answer_ends_it(tmp_path: Path, key: TsigKey | None) -> None:
    async with own_server(tmp_path, key) as target, notifier() as (out, tally):
        target.expect_notify(ZONE, Acl((AclRow(None, key.name if key else None),)))
        publish(out, config(target.remote), 7)
        await until(lambda: sent(tally, Outcome.OK) == 1)
        assert set(heard(target)) == {(LOOPBACK, 7)}


async def test_a_target_with_two_addresses_is_told_at_the_one_that_answers(tmp_path: Path) -> None:
    async with own_server(tmp_path) as target, notifier() as (out, tally):
        target.expect_notify(ZONE)
        dead = Endpoint(LOOPBACK, free_port())
        publish(out, config(replace(target.remote, addresses=(dead, target.endpoint))), 7)
        await until(lambda: sent(tally, Outcome.OK) == 1)


@pytest.mark.usefixtures("hurry")
async def test_a_dead_target_is_given_up_in_the_end_and_holds_up_no_other(tmp_path: Path) -> None:
    async with own_server(tmp_path) as target, notifier() as (out, tally):
        target.expect_notify(ZONE)
        dead = Remote("dead", (Endpoint(LOOPBACK, free_port()),))
        publish(out, config(dead, target.remote), 7)
        await until(lambda: sent(tally, Outcome.OK) == 1)
        await until(lambda: sent(tally, Outcome.FAILED, Reason.CONNECT_REFUSED) == 1)


@pytest.mark.usefixtures("hurry")
async def test_a_silent_target_is_given_up_as_such() -> None:
    async with fake("silent", lambda _message: []) as (silent, _), notifier() as (out, tally):
        publish(out, config(silent), 7)
        await until(lambda: sent(tally, Outcome.FAILED, Reason.CONNECT_TIMEOUT) == 1)


@pytest.mark.usefixtures("hurry")
async def test_a_target_that_refuses_is_asked_again_and_reported_as_refusing(tmp_path: Path) -> None:
    async with own_server(tmp_path) as target, notifier() as (out, tally):
        target.expect_notify(ZONE, Acl())
        publish(out, config(target.remote), 7)
        await until(lambda: sent(tally, Outcome.FAILED, Reason.REFUSED) == 1)
        assert heard(target) == []
        assert target.pipeline.zones.exact(names.from_text(ZONE)).control_queries == len(notify_machine.WAITS)


@pytest.mark.usefixtures("hurry")
async def test_a_target_with_another_secret_is_told_of_as_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = replace(KEY, secret=bytes(32))
    async with own_server(tmp_path, other) as target, notifier() as (out, tally):
        target.expect_notify(ZONE)
        publish(out, config(replace(target.remote, keys=(KEY,))), 7)
        await until(lambda: sent(tally, Outcome.FAILED, Reason.TSIG_BADSIG) == 1)
        assert heard(target) == []
        assert "outcome=failed reason=tsig-badsig" in caplog.text


@pytest.mark.usefixtures("hurry")
async def test_a_target_that_knows_neither_key_is_told_of_as_that_with_both_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (replace(KEY, name=names.from_text(name)) for name in ("first-key", "second-key"))
    async with own_server(tmp_path, KEY) as target, notifier() as (out, tally):
        target.expect_notify(ZONE)
        publish(out, config(replace(target.remote, keys=(first, second))), 7)
        await until(lambda: sent(tally, Outcome.FAILED, Reason.TSIG_BADKEY) == 1)
        assert heard(target) == []
        (line,) = [each for each in caplog.messages if each.startswith("notify out")]
        assert "reason=tsig-badkey" in line and "first-key" in line and "second-key" in line


async def test_a_target_that_a_reload_takes_away_while_it_waits_for_a_place_breaks_nobodys_turn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        own_server(tmp_path) as target,
        fake("silent", lambda _message: []) as (silent, _),
        notifier() as (out, tally),
    ):
        target.expect_notify(ZONE)
        places = out._lanes._places = asyncio.Semaphore(0)
        publish(out, config(silent), 7)
        await until(lambda: (lane := out._lanes.lane(silent)) is not None and lane.serving == 1)
        publish(out, config(target.remote), 8)
        for _ in range(2):
            places.release()
        await until(lambda: sent(tally, Outcome.OK) == 1)
        await until(lambda: out._lanes.lane(silent) is None)
        assert "exception" not in caplog.text and "broke" not in caplog.text


async def test_a_newer_serial_takes_the_place_of_one_still_being_told(tmp_path: Path) -> None:
    async with own_server(tmp_path) as target, notifier() as (out, tally):
        publish(out, config(target.remote), 7)  # NOTAUTH so far: it does not know the zone
        await until(lambda: bool(out._zones))
        target.expect_notify(ZONE)
        for serial in (8, 9):
            publish(out, config(target.remote), serial)
        await until(lambda: sent(tally, Outcome.OK) == 1)
        assert heard(target)[-1] == (LOOPBACK, 9)


async def test_a_zone_that_tells_nobody_any_more_is_forgotten(tmp_path: Path) -> None:
    async with notifier() as (out, _):
        dead = Remote("dead", (Endpoint(LOOPBACK, free_port()),))
        publish(out, config(dead), 7)
        publish(out, config(), 8)
        assert out._zones == {}


class Answers(asyncio.DatagramProtocol):
    """A target that answers as a test says; `got` is what it was sent."""

    def __init__(self, answers: Callable[[bytes], list[bytes]]) -> None:
        self.answers = answers
        self.got: list[bytes] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.got.append(data)
        for answer in self.answers(data):
            self.transport.sendto(answer, address)


@asynccontextmanager
async def fake(name: str, answers: Callable[[bytes], list[bytes]]) -> AsyncIterator[tuple[Remote, Answers]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: Answers(answers), (LOOPBACK, 0))
    yield Remote(name, (Endpoint(*transport.get_extra_info("sockname")),)), protocol
    transport.close()


def confirmation(message: bytes) -> bytes:
    """The header and question of a NOTIFY as its answer, NOERROR."""
    return message[:2] + b"\xa4\x00" + message[4:6] + bytes(6) + message[12 : 12 + len(names.from_text(ZONE)) + 4]


def of_another_id(message: bytes) -> bytes:
    return bytes((message[0] ^ 0xFF, message[1])) + confirmation(message)[2:]


async def test_targets_that_are_silent_gone_confused_or_know_nothing_delay_none_of_the_others(tmp_path: Path) -> None:
    """With the true waits: the bad ones are not given up for minutes, and the good ones are told meanwhile."""
    async with (
        own_server(tmp_path / "good") as good,
        own_server(tmp_path / "ignorant") as ignorant,
        fake("silent", lambda _message: []) as (silent, unheard),
        fake("confused", lambda message: [of_another_id(message)]) as (confused, _),
        notifier() as (out, tally),
    ):
        good.expect_notify(ZONE)
        bad = [
            silent,
            confused,
            replace(ignorant.remote, name="ignorant"),
            Remote("gone", (Endpoint(LOOPBACK, free_port()),)),
        ]
        publish(out, config(*bad, *(replace(good.remote, name=f"good-{number}") for number in range(16))), 7)
        await until(lambda: sent(tally, Outcome.OK) == 16)
        assert dict(tally.notify_sent) == {(Outcome.OK, ""): 16}
        assert unheard.got
        await until(lambda: out._zones[names.from_text(ZONE)].sender.waiting == tuple(bad))


async def test_an_answer_with_another_id_is_passed_over_and_the_right_one_after_it_counts() -> None:
    async with (
        fake("twice", lambda message: [of_another_id(message), b"", confirmation(message)]) as (target, _),
        notifier() as (out, tally),
    ):
        publish(out, config(target), 7)
        await until(lambda: sent(tally, Outcome.OK) == 1)


async def test_a_silent_target_of_many_zones_delays_no_other_target_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's patience ends during the test, however slow the machine: the silent one keeps all places it may have."""
    for module in (notify_machine, notify_out_module):
        monkeypatch.setattr(module, "WAITS", (600.0,) * 6)
    monkeypatch.setattr(notify_out_module, "PATIENCE", 600.0)
    async with (
        own_server(tmp_path) as good,
        fake("silent", lambda _message: []) as (silent, _),
        notifier() as (out, tally),
    ):
        for number in range(100):
            zone = f"zone-{number}.example"
            good.expect_notify(zone)
            both = ZoneConfig(names.from_text(zone), zone, also_notify=(silent, good.remote))
            publish(out, both, 7)
        await until(lambda: sent(tally, Outcome.OK) == 100, 60)
        lane = out._lanes.lane(silent)
        assert lane is not None and len(lane.tasks) == AT_ONCE_TO_ONE
        assert len(lane.waiting) >= 100 - AT_ONCE_TO_ONE, "the silent one's turn has come for no more than it may"


async def test_a_dead_target_of_many_zones_is_one_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (notify_machine, notify_out_module):  # long enough for the refusal to be heard on a busy machine
        monkeypatch.setattr(module, "WAITS", (2.0,))
    async with notifier() as (out, tally):
        dead = Remote("dead", (Endpoint(LOOPBACK, free_port()),))
        for number in range(20):
            zone = f"zone-{number}.example"
            publish(out, ZoneConfig(names.from_text(zone), zone, also_notify=(dead,)), 7)
        await until(lambda: sent(tally, Outcome.FAILED, Reason.CONNECT_REFUSED) == 20, 15)
        assert [record.levelname for record in caplog.records if record.name == "nameserver.notify"] == ["WARNING"]


async def test_a_target_that_a_newer_configuration_leaves_out_is_told_no_more(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path) as target,
        fake("silent", lambda _message: []) as (silent, _),
        notifier() as (out, tally),
    ):
        target.expect_notify(ZONE)
        publish(out, config(silent), 7)
        publish(out, config(target.remote), 8)
        await until(lambda: sent(tally, Outcome.OK) == 1)
        assert out._zones[names.from_text(ZONE)].sender.waiting == ()
        await until(lambda: (lane := out._lanes.lane(silent)) is None or not lane.waiting)
