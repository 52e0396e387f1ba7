"""NOTIFY to also-notify, received by our own pipeline over real sockets."""

import asyncio
from collections.abc import AsyncIterator
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
from nameserver.server.notify_out import NotifyOut
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
    yield out, tally
    await out.stop()
    await asyncio.sleep(0)  # those of zones forgotten before
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("notify")] == []


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits between two sendings, a hundredth of their length."""
    waits = tuple(wait / 50 for wait in notify_machine.WAITS[:3])
    monkeypatch.setattr(notify_machine, "WAITS", waits)
    monkeypatch.setattr("nameserver.server.notify_out.WAITS", waits)


def heard(server: OwnServer) -> list[tuple[str, int | None]]:
    return [(each.notify.source, each.notify.serial) for each in server.outcomes if each.notify]


def sent(tally: Tally, outcome: Outcome, reason: str = "") -> int:
    return tally.notify_sent.get((outcome, reason), 0)


@pytest.mark.parametrize("key", [None, KEY])
async def test_a_target_is_told_the_serial_and_its_answer_ends_it(tmp_path: Path, key: TsigKey | None) -> None:
    async with own_server(tmp_path, key) as target, notifier() as (out, tally):
        target.expect_notify(ZONE, Acl((AclRow(None, key.name if key else None),)))
        out.publish(config(target.remote), 7, soa(7).rdata)
        await until(lambda: sent(tally, Outcome.OK) == 1)
        assert heard(target) == [(LOOPBACK, 7)]


async def test_a_target_with_two_addresses_is_told_at_the_one_that_answers(tmp_path: Path) -> None:
    async with own_server(tmp_path) as target, notifier() as (out, tally):
        target.expect_notify(ZONE)
        dead = Endpoint(LOOPBACK, free_port())
        out.publish(config(replace(target.remote, addresses=(dead, target.endpoint))), 7, soa(7).rdata)
        await until(lambda: sent(tally, Outcome.OK) == 1)


async def test_a_dead_target_is_given_up_in_the_end_and_holds_up_no_other(tmp_path: Path) -> None:
    async with own_server(tmp_path) as target, notifier() as (out, tally):
        target.expect_notify(ZONE)
        dead = Remote("dead", (Endpoint(LOOPBACK, free_port()),))
        out.publish(config(dead, target.remote), 7, soa(7).rdata)
        await until(lambda: sent(tally, Outcome.OK) == 1)
        await until(lambda: sent(tally, Outcome.FAILED, Reason.CONNECT_TIMEOUT) == 1)


async def test_a_target_that_refuses_is_asked_again_and_reported_as_refusing(tmp_path: Path) -> None:
    async with own_server(tmp_path) as target, notifier() as (out, tally):
        target.expect_notify(ZONE, Acl())
        out.publish(config(target.remote), 7, soa(7).rdata)
        await until(lambda: sent(tally, Outcome.FAILED, Reason.REFUSED) == 1)
        assert heard(target) == []
        assert target.pipeline.zones.exact(names.from_text(ZONE)).control_queries == len(notify_machine.WAITS)


async def test_an_answer_under_the_wrong_key_is_no_answer(tmp_path: Path) -> None:
    forger = replace(KEY, secret=bytes(32))
    async with own_server(tmp_path, forger) as target, notifier() as (out, tally):
        target.expect_notify(ZONE)
        out.publish(config(replace(target.remote, key=KEY)), 7, soa(7).rdata)
        await until(lambda: sent(tally, Outcome.FAILED, Reason.CONNECT_TIMEOUT) == 1)


async def test_a_newer_serial_takes_the_place_of_one_still_being_told(tmp_path: Path) -> None:
    async with own_server(tmp_path) as target, notifier() as (out, tally):
        out.publish(config(target.remote), 7, soa(7).rdata)  # NOTAUTH so far: it does not know the zone
        await until(lambda: bool(out._zones))
        target.expect_notify(ZONE)
        for serial in (8, 9):
            out.publish(config(target.remote), serial, soa(serial).rdata)
        await until(lambda: sent(tally, Outcome.OK) == 1)
        assert heard(target)[-1] == (LOOPBACK, 9)


async def test_a_zone_that_tells_nobody_any_more_is_forgotten(tmp_path: Path) -> None:
    async with notifier() as (out, _):
        dead = Remote("dead", (Endpoint(LOOPBACK, free_port()),))
        out.publish(config(dead), 7, soa(7).rdata)
        out.publish(config(), 8, soa(8).rdata)
        assert out._zones == {}
