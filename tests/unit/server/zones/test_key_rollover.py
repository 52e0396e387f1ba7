"""A remote with two keys (F17): the one that works is found in the run itself, and kept; nothing ever goes unsigned."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.managed import PATIENT, Managed, managed
from support.own_server import OwnServer, own_server, until
from support.transfer_messages import soa
from support.tsig_messages import taken_apart
from support.zones import zone_text

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.errors import Reason, TransferError
from nameserver.query.acl import Acl, AclRow
from nameserver.refresh.outcome import Failed, Outcome, Transferred, UpToDate
from nameserver.server.zones import key_choice
from nameserver.server.zones.key_choice import KeyChoice, in_one
from nameserver.server.zones.notify_out import NotifyOut
from nameserver.server.zones.refresher import Refresher, ZoneRun, primary_statuses
from nameserver.telemetry.status import PrimaryStatus
from nameserver.telemetry.tally import Tally
from nameserver.wire import codes, names
from nameserver.wire.request import parse_request
from nameserver.wire.tsig import TsigKey

ZONE = "example.com"
NEW = TsigKey(names.from_text("new-key"), "hmac-sha256", b"n" * 32)
OLD = TsigKey(names.from_text("old-key"), "hmac-sha256", b"o" * 32)
STRANGE = TsigKey(names.from_text("strange-key"), "hmac-sha512", b"s" * 64)
REMOTE = Remote("a", (Endpoint("127.0.0.1", 1),), (NEW, OLD))


class Rollover:
    """A primary that notes under which key it is asked, and our refresher beside it."""

    def __init__(self, primary: OwnServer, ours: Managed) -> None:
        self.primary = primary
        self.ours = ours
        self.refresher = Refresher(ours.server, ours.publisher, ours.tally)
        self._serial = 0

    @property
    def asked(self) -> list[str]:
        """The keys of the requests that came, one after the other."""
        records = [parse_request(data).tsig for data in self.primary.asked]
        return [names.to_text(record.key_name) if record else "unsigned" for record in records]

    def primary_has(self, *keys: TsigKey, allowed: tuple[TsigKey, ...] | None = None) -> None:
        """From now on it knows these keys, and lets them (or those `allowed`) transfer its next version."""
        self.primary.pipeline.keys = {key.name: key for key in keys}
        self._serial += 1
        rows = tuple(AclRow(None, key.name) for key in (keys if allowed is None else allowed))
        self.primary.serve(ZONE, zone_text(ZONE, self._serial), acl=Acl(rows))

    async def run(self, *keys: TsigKey, more: tuple[Remote, ...] = ()) -> tuple[Outcome, PrimaryStatus]:
        """One run with these keys in our configuration."""
        self.primary.asked.clear()
        zone = self.primary.zone_config(ZONE, pull=PATIENT)
        zone = replace(zone, primaries=(replace(self.primary.remote, keys=keys), *more))
        work = ZoneRun(zone, primary_statuses(zone))
        outcome = await self.refresher.run(work)
        assert set(self.asked) <= {names.to_text(key.name) for key in keys}, "never unsigned, never a strange key"
        return outcome, work.primaries["own"]


@asynccontextmanager
async def rollover(directory: Path) -> AsyncIterator[Rollover]:
    async with AsyncExitStack() as stack:
        primary = await stack.enter_async_context(own_server(directory / "a"))
        ours = await stack.enter_async_context(managed(directory / "b"))
        yield Rollover(primary, ours)


def taken(outcome: Outcome) -> bool:
    return isinstance(outcome, Transferred)


async def test_the_new_key_on_the_primary_first(tmp_path: Path) -> None:
    async with rollover(tmp_path) as both:
        both.primary_has(OLD)
        assert taken((await both.run(OLD))[0])
        both.primary_has(OLD, NEW)
        assert taken((await both.run(OLD))[0])
        outcome, status = await both.run(NEW, OLD)
        assert isinstance(outcome, UpToDate)
        assert set(both.asked) == {"new-key"}
        both.primary_has(NEW)
        outcome, status = await both.run(NEW, OLD)
        assert taken(outcome)
        assert (status.key, status.key_fingerprint, status.preferred_key) == ("new-key", NEW.fingerprint, None)
        both.primary_has(NEW)
        assert taken((await both.run(NEW))[0])


async def test_the_new_key_on_our_side_first(tmp_path: Path) -> None:
    """In the very run in which the new key fails, the old one brings the version; later runs begin with it."""
    async with rollover(tmp_path) as both:
        both.primary_has(OLD)
        outcome, status = await both.run(NEW, OLD)
        assert taken(outcome)
        assert both.asked == ["new-key", "old-key"]
        assert (status.key, status.key_fingerprint) == ("old-key", OLD.fingerprint)
        assert (status.preferred_key, status.preferred_key_reason) == ("new-key", Reason.TSIG_BADKEY)
        assert status.last_reason is None
        both.primary_has(OLD)
        outcome, status = await both.run(NEW, OLD)
        assert taken(outcome)
        assert set(both.asked) == {"old-key"}
        assert status.preferred_key == "new-key"


async def test_a_key_that_the_primary_drops_gives_way_to_the_other_one_in_the_same_run(tmp_path: Path) -> None:
    async with rollover(tmp_path) as both:
        both.primary_has(OLD)
        await both.run(NEW, OLD)
        both.primary_has(NEW)  # and the old one is gone
        outcome, status = await both.run(NEW, OLD)
        assert taken(outcome)
        assert both.asked[:2] == ["old-key", "new-key"]
        assert set(both.asked[1:]) == {"new-key"}
        assert (status.key, status.preferred_key, status.preferred_key_reason) == ("new-key", None, None)


async def test_other_secrets_under_the_same_names_are_other_keys(tmp_path: Path) -> None:
    """BADSIG as well as BADKEY; what was learnt of keys that a reload has replaced is not believed of the new ones."""
    async with rollover(tmp_path) as both:
        both.primary_has(OLD, replace(NEW, secret=bytes(32)))
        outcome, status = await both.run(NEW, OLD)
        assert taken(outcome)
        assert status.preferred_key_reason is Reason.TSIG_BADSIG
        both.primary_has(OLD, NEW)
        assert taken((await both.run(replace(NEW, secret=bytes(32)), OLD))[0])
        assert both.asked[:2] == ["new-key", "old-key"]


async def test_a_new_key_that_is_known_but_not_yet_allowed_leaves_the_transfer_to_the_old_one(tmp_path: Path) -> None:
    async with rollover(tmp_path) as both:
        both.primary_has(OLD, NEW, allowed=(OLD,))
        outcome, status = await both.run(NEW, OLD)
        assert taken(outcome)
        assert status.preferred_key_reason is Reason.REFUSED


async def test_a_primary_that_refuses_a_key_without_tsig_is_tried_under_the_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PowerDNS says NOTAUTH and no more to a key that it does not know."""
    async with rollover(tmp_path) as both:
        true = both.primary.pipeline.handle

        def as_powerdns_does(*arrived: Any) -> Any:
            outcome = true(*arrived)
            if outcome.reply and outcome.reply[3] & 15 == codes.NOTAUTH:
                outcome.reply = taken_apart(outcome.reply)[0]
            return outcome

        monkeypatch.setattr(type(both.primary.pipeline), "handle", lambda _self, *arrived: as_powerdns_does(*arrived))
        both.primary_has(OLD)
        outcome, status = await both.run(NEW, OLD)
        assert taken(outcome)
        assert (status.key, status.preferred_key_reason) == ("old-key", Reason.NOTAUTH_ZONE)


async def test_where_neither_key_is_accepted_both_are_named_and_the_next_primary_is_asked(tmp_path: Path) -> None:
    async with rollover(tmp_path) as both, own_server(tmp_path / "c", STRANGE) as other:
        both.primary_has(STRANGE)
        outcome, status = await both.run(NEW, OLD)
        assert both.asked == ["new-key", "old-key"]
        assert isinstance(outcome, Failed)
        assert (outcome.reason, status.last_reason) == (Reason.TSIG_BADKEY, Reason.TSIG_BADKEY)
        assert "new-key" in status.last_detail and "old-key" in status.last_detail
        assert (status.key, status.preferred_key) == ("new-key", None)
        other.serve(ZONE, zone_text(ZONE, 9))
        outcome, _ = await both.run(NEW, OLD, more=(replace(other.remote, name="b"),))
        assert taken(outcome)


async def test_a_primary_that_is_away_is_asked_under_one_key_only(tmp_path: Path) -> None:
    async with rollover(tmp_path) as both:
        both.primary_has(OLD)
        await both.primary.stop()
        outcome, status = await both.run(NEW, OLD)
        assert isinstance(outcome, Failed) and outcome.reason is Reason.CONNECT_REFUSED
        assert (status.key, status.preferred_key) == ("new-key", None)
        await both.primary.start()


async def test_the_preferred_key_gets_another_chance_after_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rollover(tmp_path) as both:
        both.primary_has(OLD)
        await both.run(NEW, OLD)
        both.primary_has(OLD, NEW)
        await both.run(NEW, OLD)
        assert set(both.asked) == {"old-key"}
    choice = KeyChoice()
    failed = [TransferError(Reason.TSIG_BADKEY)]
    choice.worked(REMOTE, OLD, failed, 100.0)
    hour = key_choice.PREFERRED_AGAIN_AFTER
    assert choice.to_try(REMOTE, 99.0 + hour) == (OLD, NEW)
    assert choice.to_try(REMOTE, 100.0 + hour) == (NEW, OLD)
    choice.worked(REMOTE, OLD, failed, 100.0 + hour)
    assert choice.to_try(REMOTE, 101.0 + hour) == (OLD, NEW)
    choice.worked(REMOTE, NEW, [], 100.0 + 2 * hour)
    assert choice.to_try(REMOTE, 100.0 + 2 * hour) == (NEW, OLD)
    assert choice.preferred_failed(REMOTE) is None


def test_what_is_known_of_one_remotes_keys_says_nothing_of_anothers() -> None:
    choice = KeyChoice()
    choice.worked(REMOTE, OLD, [TransferError(Reason.TSIG_BADKEY)], 0.0)
    assert choice.to_try(replace(REMOTE, name="b"), 1.0) == (NEW, OLD)
    assert choice.to_try(replace(REMOTE, keys=(OLD, NEW)), 1.0) == (OLD, NEW)
    assert choice.to_try(replace(REMOTE, keys=()), 1.0) == (None,)


def test_two_failures_are_told_as_one_unless_the_second_is_no_keys() -> None:
    bad, away = TransferError(Reason.TSIG_BADKEY, "one"), TransferError(Reason.CLOSED_EARLY, "gone")
    both = in_one([bad, TransferError(Reason.TSIG_BADSIG, "two")])
    assert (both.reason, "one" in both.detail, "two" in both.detail) == (Reason.TSIG_BADKEY, True, True)
    assert in_one([bad]) is bad
    assert in_one([bad, away]) is away


async def test_a_notify_goes_out_under_the_key_that_its_target_knows(tmp_path: Path) -> None:
    async with rollover(tmp_path) as both:
        target, tally = both.primary, Tally()
        out = NotifyOut(tally)
        zone = ZoneConfig(names.from_text(ZONE), ZONE, also_notify=(replace(target.remote, keys=(NEW, OLD)),))
        for serial, key, asked in (
            (1, OLD, ["new-key", "old-key"]),
            (2, OLD, ["old-key"]),
            (3, NEW, ["old-key", "new-key"]),
            (4, NEW, ["new-key"]),
        ):
            target.asked.clear()
            target.expect_notify(ZONE, Acl((AclRow(None, key.name),)))
            target.pipeline.keys = {key.name: key}
            out.publish(zone, serial, soa(serial).rdata, zone.also_notify)
            await until(lambda serial=serial: sum(tally.notify_sent.values()) == serial)  # type: ignore[misc]
            assert both.asked == asked
        heard = [each.notify for each in target.outcomes if each.notify]
        assert [(each.serial, each.key) for each in heard] == [
            (1, OLD.name), (2, OLD.name), (3, NEW.name), (4, NEW.name)
        ]  # fmt: skip
        assert set(tally.notify_sent) == {("ok", "")}
        await out.stop()


async def test_a_notify_refused_under_both_keys_is_refused_and_told_again(tmp_path: Path) -> None:
    async with rollover(tmp_path) as both:
        target, out = both.primary, NotifyOut(Tally())
        target.pipeline.keys = {key.name: key for key in (NEW, OLD)}
        target.expect_notify(ZONE, Acl())
        zone = ZoneConfig(names.from_text(ZONE), ZONE, also_notify=(replace(target.remote, keys=(NEW, OLD)),))
        out.publish(zone, 1, soa(1).rdata, zone.also_notify)
        pending = out._zones[zone.name].sender._pending
        await until(lambda: bool(pending) and pending[zone.also_notify[0]].rcode == codes.REFUSED, 40)
        # On a busy machine an answer may come too late, and both be asked once more.
        assert both.asked[both.asked.index("old-key") - 1] == "new-key"
        await out.stop()
