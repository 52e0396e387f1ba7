"""F16: a primary whose clock is off, to the second, at the usual fudge of 300: both clocks stand still here."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.managed import PATIENT, Managed, managed
from support.own_server import KEY, OwnServer, commit_hosts, own_server
from support.statuses import zone as zone_status
from support.zones import zone_text

from nameserver.cli import status, why
from nameserver.cli.present import Palette
from nameserver.config.model import ZoneConfig
from nameserver.errors import Reason
from nameserver.refresh.outcome import Failed, Outcome, Transferred, UpToDate
from nameserver.server.zones import pull
from nameserver.server.zones.refresher import Refresher, ZoneRun, primary_statuses
from nameserver.telemetry.status import PrimaryStatus
from nameserver.wire import names

ZONE = "example.com"
NOW = 1_800_000_000
TAKEN, NOT_TAKEN = (-300, -299, 299, 300), (-3600, -301, 301, 3600)


@pytest.fixture(autouse=True)
def our_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "wall_clock", lambda: NOW)


@asynccontextmanager
async def both(directory: Path, skew: int) -> AsyncIterator[tuple[OwnServer, Managed]]:
    """A primary whose clock is `skew` seconds ahead of ours."""
    async with AsyncExitStack() as stack:
        primary = await stack.enter_async_context(own_server(directory / "a", KEY, clock=lambda: NOW + skew))
        yield primary, await stack.enter_async_context(managed(directory / "b"))


async def run(ours: Managed, zone: ZoneConfig) -> tuple[Outcome, PrimaryStatus]:
    work = ZoneRun(zone, primary_statuses(zone))
    return await Refresher(ours.server, ours.publisher, ours.tally).run(work), work.primaries["own"]


@pytest.mark.parametrize("skew", TAKEN)
async def test_within_the_fudge_everything_goes_on_and_the_difference_is_shown(tmp_path: Path, skew: int) -> None:
    async with both(tmp_path, skew) as (primary, ours):
        zone = primary.zone_config(ZONE, pull=PATIENT)
        primary.serve_stored(commit_hosts(primary.store, ZONE, 5, owners=3000))  # a stream of several messages
        outcome, shown = await run(ours, zone)
        assert isinstance(outcome, Transferred)
        assert (shown.skew, shown.last_reason) == (skew, None)
        outcome, shown = await run(ours, zone)
        assert isinstance(outcome, UpToDate)
        primary.serve(ZONE, zone_text(ZONE, 6))
        assert isinstance((await run(ours, zone))[0], Transferred)
        assert ours.tally.primary_skew == {"own": skew}
        direction = "ahead of" if skew > 0 else "behind"
        assert f"{abs(skew)} s {direction} this machine" in "\n".join(status.primary_lines(shown, NOW, Palette(False)))


@pytest.mark.parametrize("skew", NOT_TAKEN)
async def test_beyond_it_the_reason_is_the_clock_with_seconds_and_direction_in_log_and_why(
    tmp_path: Path, skew: int, caplog: pytest.LogCaptureFixture
) -> None:
    words = f"its clock is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} ours"
    with caplog.at_level(logging.DEBUG):
        async with both(tmp_path, skew) as (primary, ours):
            zone = primary.zone_config(ZONE, pull=PATIENT)
            primary.serve(ZONE, zone_text(ZONE, 5))
            outcome, shown = await run(ours, zone)  # nothing held: an AXFR at once
            assert isinstance(outcome, Failed) and outcome.reason is Reason.TSIG_BADTIME
            assert ours.serial(ZONE) is None
            assert (shown.skew, shown.last_reason) == (skew, Reason.TSIG_BADTIME)
            assert words in shown.last_detail
    line = next(text for text in caplog.messages if text.startswith("transfer in"))
    assert "reason=tsig-badtime" in line and words in line
    text = "\n".join(why.lines(_failed(shown), NOW, Palette(False)))
    assert words in text
    assert f"the primary is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} us" in text
    assert "NTP" in text


async def test_a_check_over_udp_says_the_same_and_what_is_held_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    skew = 0
    async with own_server(tmp_path / "a", KEY, clock=lambda: NOW + skew) as primary, managed(tmp_path / "b") as ours:
        zone = primary.zone_config(ZONE, pull=PATIENT)
        primary.serve(ZONE, zone_text(ZONE, 5))
        assert isinstance((await run(ours, zone))[0], Transferred)
        primary.serve(ZONE, zone_text(ZONE, 6))
        skew = 301
        outcome, _ = await run(ours, zone)
        assert isinstance(outcome, Failed) and outcome.reason is Reason.TSIG_BADTIME
        assert ours.serial(ZONE) == 5
        line = next(text for text in caplog.messages if text.startswith("check"))
        assert "transport=udp" in line and "its clock is 301 s ahead of ours" in line
        skew = -299
        assert isinstance((await run(ours, zone))[0], Transferred)
        assert ours.serial(ZONE) == 6


async def test_a_wrong_clock_does_not_send_us_to_the_other_key(tmp_path: Path) -> None:
    """F17: it would be as wrong under that."""
    other = replace(KEY, name=names.from_text("other-key"))
    async with both(tmp_path, 301) as (primary, ours):
        primary.pipeline.keys = {key.name: key for key in (KEY, other)}
        primary.serve(ZONE, zone_text(ZONE, 5))
        zone = primary.zone_config(ZONE, pull=PATIENT)
        zone = replace(zone, primaries=(replace(primary.remote, keys=(KEY, other)),))
        outcome, shown = await run(ours, zone)
        assert isinstance(outcome, Failed) and outcome.reason is Reason.TSIG_BADTIME
        assert len(primary.asked) == 1
        assert (shown.key, shown.preferred_key) == ("transfer-key", None)


def _failed(primary: PrimaryStatus):
    return zone_status(
        state="retrying", last_reason=primary.last_reason, last_detail=primary.last_detail, primaries=(primary,)
    )
