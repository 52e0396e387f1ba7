"""Beside real primaries: the first transfer, changes after NOTIFY, and every way in which keys and clocks go wrong.

After every step what we serve equals what the primary serves, record for record, the case of names included.
"""

import asyncio
import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.ask import LOOPBACK, Key, TransferRefused, transfer
from support.daemon import Nameserver, new_key
from support.managed import managed
from support.own_server import until
from support.peers import PRIMARIES, BindPrimary, Primary, Target, requires
from support.wait import wait_for
from support.zones import zone_text

from nameserver.config.model import Endpoint, PullLimits, Remote, ZoneConfig
from nameserver.server.zones.dialogue import Dialogue, Peer
from nameserver.wire import names
from nameserver.wire.tsig import TsigKey

pytestmark = pytest.mark.timeout(120)

ZONE = "example.com"

# What each primary really answers, and so what an operator reads. BIND, Knot and NSD name the TSIG error (RFC 8945
# §5.2); PowerDNS answers every bad signature with NOTAUTH and no TSIG record at all. Without a key, two of them say
# REFUSED and two NOTAUTH.
WRONG_SECRET = {"bind": "tsig-badsig", "knot": "tsig-badsig", "nsd": "tsig-badsig", "pdns": "notauth-zone"}
UNKNOWN_KEY = {"bind": "tsig-badkey", "knot": "tsig-badkey", "nsd": "tsig-badkey", "pdns": "notauth-zone"}
NO_KEY = {"bind": "refused", "knot": "notauth-zone", "nsd": "refused", "pdns": "notauth-zone"}
SKEWED_CLOCK = {"bind": "tsig-badtime", "knot": "tsig-badtime", "nsd": "tsig-badtime", "pdns": "notauth-zone"}


@dataclass
class Pair:
    """A primary and ours beside it, the first version already served."""

    primary: Primary
    ours: Nameserver
    key: Key

    def assert_same(self, serial: int) -> None:
        """Ours serves this serial, and it is the primary's zone."""
        self.ours.wait(lambda: self.ours.serial(ZONE) == serial, what=f"serial {serial}")
        assert self.ours.axfr(ZONE) == self.primary.zone_records(ZONE)

    def assert_fails_with(self, reason: str) -> None:
        """A check asked for now ends in exactly this reason."""
        self.ours.command("refresh", ZONE)
        self.ours.wait(lambda: self.ours.zone(ZONE).get("last_reason") == reason, 10, f"reason {reason}")


@pytest.fixture(params=list(PRIMARIES))
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    kind = PRIMARIES[request.param]
    requires(*kind.programs)
    key = new_key("transfer-key")
    with (
        Nameserver(zones=[ZONE], key=key, workers=2) as ours,
        kind({ZONE: zone_text(ZONE, 1)}, transfer_key=key, notify=[Target(ours.port, key)]) as primary,
    ):
        primary.start()
        ours.primary_port = primary.port
        ours.start()
        yield Pair(primary, ours, key)
        ours.stop()


def test_the_first_transfer_is_a_signed_axfr_of_the_whole_zone(pair: Pair) -> None:
    pair.assert_same(1)
    last = pair.ours.zone(ZONE)["last_transfer"]
    assert (last["asked"], last["got"], last["outcome"], last["key"]) == ("axfr", "axfr", "ok", "transfer-key")
    assert (last["serial_old"], last["serial_new"]) == (None, 1)
    with pytest.raises(TransferRefused):
        transfer(pair.primary.port, ZONE)  # the primary really wants the key


def test_a_change_arrives_after_its_notify_by_ixfr_where_the_primary_has_it(pair: Pair) -> None:
    """The timers ask again in an hour: only NOTIFY can bring these versions.

    The steps are small, since BIND sends the whole zone where that is shorter. NSD's steps add records of the apex that
    were there before: an addition without effect is no mistake.
    """
    extra = 'New.Name 60 IN TXT "added"\nhost-3 IN A 192.0.2.77\n'
    versions = [
        zone_text(ZONE, 2, hosts=22, extra=extra),
        zone_text(ZONE, 3, hosts=19),
        zone_text(ZONE, 4, hosts=19, extra="sub2 IN NS ns.sub\nwww.deep.er IN A 192.0.2.4\n"),
    ]
    for serial, text in enumerate(versions, start=2):
        pair.primary.update(ZONE, text)
        pair.assert_same(serial)
        last = pair.ours.zone(ZONE)["last_transfer"]
        wanted = "ixfr" if pair.primary.serves_ixfr else "axfr"
        assert (last["asked"], last["got"], last["serial_old"], last["serial_new"]) == (
            "ixfr",
            wanted,
            serial - 1,
            serial,
        )
        assert f"got={wanted} serial={serial - 1}->{serial}" in pair.ours.log


@pytest.mark.parametrize("case", ["wrong secret", "unknown key", "no key"])
def test_a_key_that_is_wrong_ends_in_its_reason_and_the_old_version_keeps_serving(pair: Pair, case: str) -> None:
    before = pair.ours.axfr(ZONE)
    right = pair.key
    other = new_key("transfer-key")
    wrong, reasons = {
        "wrong secret": (other, WRONG_SECRET),
        "unknown key": (Key("some-other-key", right.secret), UNKNOWN_KEY),
        "no key": (None, NO_KEY),
    }[case]
    pair.ours.key = wrong
    pair.ours.reload()
    pair.primary.update(ZONE, zone_text(ZONE, 2))
    pair.assert_fails_with(reasons[pair.primary.name])
    assert pair.ours.serial(ZONE) == 1
    assert pair.ours.axfr(ZONE) == before
    assert reasons[pair.primary.name] in pair.ours.command("why", ZONE, expect=None)

    pair.ours.key = right
    pair.ours.reload()
    pair.ours.command("refresh", ZONE)
    pair.assert_same(2)
    assert right.secret not in pair.ours.log
    assert other.secret not in pair.ours.log


def test_a_key_is_exchanged_without_a_missed_change() -> None:
    """F17 beside BIND: NOTIFY alone brings each version, signed with the key that BIND has at the time."""
    requires(*BindPrimary.programs)
    old, new = new_key("old-key"), new_key("new-key", "hmac-sha512")
    with (
        Nameserver(zones=[ZONE], key=new, workers=2) as ours,
        BindPrimary({ZONE: zone_text(ZONE, 1)}, transfer_key=old, notify=[Target(ours.port, old)]) as bind,
    ):
        pair = Pair(bind, ours, old)
        bind.start()
        ours.second_key, ours.primary_port = old, bind.port
        ours.start()
        pair.assert_same(1)
        status = ours.zone(ZONE)["primaries"][0]
        assert (status["key"], status["preferred_key"]) == ("old-key", "new-key")
        assert status["preferred_key_reason"] == "tsig-badkey"
        assert "new-key, not accepted there (tsig-badkey)" in ours.command("why", ZONE)
        bind.update(ZONE, zone_text(ZONE, 2))
        pair.assert_same(2)
        # BIND exchanges the keys, both uses of them, and loads a new version with them.
        bind.keys, bind.transfer_key, bind.notify = (new,), new, [Target(ours.port, new)]
        bind.configure()
        bind.update(ZONE, zone_text(ZONE, 3))
        pair.assert_same(3)
        assert ours.zone(ZONE)["last_transfer"]["key"] == "new-key"
        status = ours.zone(ZONE)["primaries"][0]
        assert (status["key"], status["preferred_key"]) == ("new-key", None)
        ours.second_key = None
        ours.reload()
        bind.update(ZONE, zone_text(ZONE, 4))
        pair.assert_same(4)
        ours.stop()
        assert not [key for key in (old, new) if key.secret in ours.log]


def test_a_clock_that_is_wrong_ends_in_its_reason_and_the_old_version_keeps_serving(pair: Pair) -> None:
    pair.ours.stop()
    pair.ours.skew = 3600
    pair.ours.start()
    pair.primary.update(ZONE, zone_text(ZONE, 2))
    reason = SKEWED_CLOCK[pair.primary.name]
    pair.assert_fails_with(reason)
    if reason == "tsig-badtime":
        status = pair.ours.zone(ZONE)["primaries"][0]
        assert re.search(r"3[56]\d\d s behind ours", status["last_detail"])
        # NSD 4.6.1 leaves the MAC of this answer empty (RFC 8945 §5.2.3: MUST be signed): its word is shown, no more.
        unsigned = pair.primary.name == "nsd"
        assert ("unsigned" in status["last_detail"]) is unsigned
        assert status["skew"] == (None if unsigned else pytest.approx(-3600, abs=30))
    assert pair.ours.serial(ZONE) == 1
    # No AXFR here: it would be signed by this clock and refused by that one.
    assert pair.ours.query(f"serial.{ZONE}", "TXT").answer[0][0].to_text() == '"1"'

    pair.ours.stop()
    pair.ours.skew = 0
    pair.ours.start()
    pair.assert_same(2)


@pytest.mark.parametrize("primary_name", PRIMARIES)
def test_many_zones_share_connections(primary_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole transfers, checks over TCP, differences: no more connections than transfers at once, none in vain."""
    kind = PRIMARIES[primary_name]
    requires(*kind.programs)
    key = new_key("transfer-key")
    zones = [f"zone-{number:02}.test" for number in range(12)]
    connected: list[Dialogue] = []
    connect = Dialogue.connect

    async def counted(peer: Peer, limits: PullLimits) -> Dialogue:
        connected.append(await connect(peer, limits))
        return connected[-1]

    monkeypatch.setattr(Dialogue, "connect", counted)
    with kind({zone: zone_text(zone, 1) for zone in zones}, transfer_key=key) as primary:
        primary.start()
        asyncio.run(_taken_twice(tmp_path, primary, key, zones))
    assert len(connected) <= 2 * TOGETHER, "both times as many as there are transfers at once"


TOGETHER = 2  # transfers


async def _taken_twice(directory: Path, primary: Primary, key: Key, zones: list[str]) -> None:
    ours_key = TsigKey(names.from_text(key.name), key.algorithm, base64.b64decode(key.secret))
    remote = Remote("primary", (Endpoint(LOOPBACK, primary.port),), (ours_key,))
    configured = [ZoneConfig(names.from_text(zone), zone, primaries=(remote,)) for zone in zones]
    async with managed(directory, transfers_per_primary=TOGETHER) as ours:
        await ours.start(*configured)
        await until(lambda: all(ours.serial(zone) == 1 for zone in zones), 30)
        await asyncio.to_thread(_update, primary, zones)
        for zone in zones:
            ours.zones.refresh(ours.entry(zone))
        await until(lambda: all(ours.serial(zone) == 2 for zone in zones), 30)
        held = {zone: ours.store.zones()[names.from_text(zone)].records for zone in zones}
        assert len(set(held.values())) == 1 and held[zones[0]] > 30


def _update(primary: Primary, zones: list[str]) -> None:
    for zone in zones:
        primary.update(zone, zone_text(zone, 2))
    wait_for(lambda: all(primary.serial(zone) == 2 for zone in zones), 20, "the primary's new versions")
