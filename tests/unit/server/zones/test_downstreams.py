"""The servers below us, over real sockets: told, asked for what they have, and measured."""

import asyncio
import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from support.managed import CALM, HASTY, Managed, managed
from support.own_server import KEY, LOOPBACK, OwnServer, own_server, until
from support.process import free_port
from support.zones import zone_text

from nameserver.config.model import Endpoint, Remote, TlsPeer, ZoneConfig
from nameserver.errors import Reason
from nameserver.query.acl import Acl, AclRow
from nameserver.server.zones.notify_targets import NotifyTargets
from nameserver.telemetry.events import Kind, Outcome, TransferEvent
from nameserver.telemetry.status import UNNAMED, DownstreamStatus
from nameserver.transfer import propagation
from nameserver.wire import names

ZONE = "example.com"
NAME = names.from_text(ZONE)
EVERYBODY = Acl((AclRow(ip_network("127.0.0.0/8")),))


def of(primary: OwnServer, *edges: Remote, zone: str = ZONE, **more) -> ZoneConfig:
    return primary.zone_config(zone, pull=HASTY, timers=CALM, also_notify=edges, **more)


def edge_of(server: OwnServer, name: str = "edge") -> Remote:
    return replace(server.remote, name=name)


def below(ours: Managed, name: str = "edge", zone: str = ZONE) -> DownstreamStatus:
    statuses = ours.downstreams.statuses(names.from_text(zone))
    return next((each for each in statuses if each.name == name), DownstreamStatus(name="nobody yet"))


async def brought(ours: Managed, primary: OwnServer, serial: int, zone: str = ZONE) -> None:
    """A new version at the primary, answered here."""
    primary.serve(zone, zone_text(zone, serial))
    ours.zones.refresh(ours.entry(zone))
    await until(lambda: ours.zones.publications.serial_everywhere(ours.entry(zone)) == serial)


def sent(serial: int, *, key: str = "", asked: Kind = Kind.AXFR, had: int | None = None) -> TransferEvent:
    """A transfer to somebody on loopback."""
    return TransferEvent(
        at=time.time(), zone=ZONE, address=LOOPBACK, key=key, asked=asked, got=asked, serial_old=had, serial_new=serial
    )


async def test_a_server_that_was_told_is_asked_until_it_answers_the_new_version(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c", KEY) as edge,
        managed(tmp_path / "b") as ours,
    ):
        primary.serve(ZONE, zone_text(ZONE, 5))
        edge.serve(ZONE, zone_text(ZONE, 4))
        await ours.start(of(primary, edge_of(edge)))
        await until(lambda: below(ours).serial == 4)
        assert not below(ours).has_it and below(ours).notified_serial == 5 and below(ours).notify_reason is None
        edge.serve(ZONE, zone_text(ZONE, 5))
        ours.downstreams.hurry(NAME, 5)
        await until(lambda: below(ours).has_it)
        seen = below(ours)
        assert (seen.serial, seen.answers, seen.behind_since, seen.next_check) == (5, True, None, None)
        assert seen.lag is not None and seen.key == names.to_text(KEY.name)
        assert sum(ours.tally.downstream_lag["edge"].counts) == 1
        assert ours.tally.downstream_up == {"edge": True}
        assert ours.tally.downstream_notify == {("edge", Outcome.OK, ""): 1}


async def test_the_end_of_a_transfer_has_the_server_asked_at_once(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b") as ours,
    ):
        primary.serve(ZONE, zone_text(ZONE, 5))
        edge.serve(ZONE, zone_text(ZONE, 4))
        await ours.start(of(primary, edge_of(edge)))
        await until(lambda: below(ours).serial == 4)
        asked = len(edge.asked)
        edge.serve(ZONE, zone_text(ZONE, 5))
        ours.downstreams.transferred(sent(5))
        await until(lambda: below(ours).has_it)
        assert len(edge.asked) > asked


@pytest.mark.parametrize("answers", [True, False])
async def test_without_checks_nobody_is_asked_and_what_is_fetched_counts(tmp_path: Path, answers: bool) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b") as ours,
    ):
        primary.serve(ZONE, zone_text(ZONE, 5))
        edge.expect_notify(ZONE)
        target = edge_of(edge) if answers else Remote("edge", (Endpoint(LOOPBACK, free_port()),))
        await ours.start(of(primary, target, check_downstreams=False))
        await until(lambda: ours.entry(ZONE).answered is not None)
        assert below(ours).serial is None
        ours.downstreams.transferred(sent(5))
        assert below(ours).has_it and not below(ours).answers and below(ours).next_check is None
        assert all(message[2] & 0x78 for message in edge.asked), "NOTIFYs alone"


async def test_of_several_servers_at_one_address_the_key_tells_who_fetched_the_zone(tmp_path: Path) -> None:
    other = replace(KEY, name=names.from_text("other-key"))
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        targets = [Remote(name, (Endpoint(LOOPBACK, free_port()),), (key,)) for name, key in (("x", KEY), ("y", other))]
        await ours.start(of(primary, *targets, check_downstreams=False))
        await until(lambda: ours.entry(ZONE).answered is not None)
        ours.downstreams.transferred(sent(5))
        assert not below(ours, "x").has_it and not below(ours, "y").has_it, "nobody knows who that was"
        ours.downstreams.transferred(sent(5, key="other-key"))
        assert not below(ours, "x").has_it and below(ours, "y").has_it


async def test_who_asks_for_the_differences_from_a_serial_has_it(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary, Remote("edge", (Endpoint(LOOPBACK, 1),)), check_downstreams=False))
        await until(lambda: ours.entry(ZONE).answered is not None)
        event = sent(6, asked=Kind.IXFR, had=5)._replace(outcome=Outcome.FAILED, got=Kind.NONE)
        ours.downstreams.transferred(event)
        assert below(ours).serial == 5 and below(ours).has_it


async def test_who_fetches_the_zone_and_is_not_told_is_shown_and_measured_from_the_second_time_on(
    tmp_path: Path,
) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary))
        await until(lambda: ours.entry(ZONE).answered is not None)
        ours.downstreams.transferred(sent(5))
        (seen,) = ours.downstreams.statuses(NAME)
        assert (seen.name, seen.via, seen.label, seen.serial, seen.is_told) == (LOOPBACK, "transfer", UNNAMED, 5, False)
        assert ours.tally.downstream_lag == {}, "a first look says nothing about how long versions take"
        await brought(ours, primary, 6)
        ours.downstreams.transferred(sent(6))
        assert sum(ours.tally.downstream_lag[UNNAMED].counts) == 1


async def test_of_those_who_fetch_and_are_not_told_the_latest_few_are_kept(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary))
        await until(lambda: ours.entry(ZONE).answered is not None)
        for number in range(100):
            ours.downstreams.transferred(sent(5)._replace(address=f"192.0.2.{number}"))
        assert [each.address for each in ours.downstreams.statuses(NAME)] == [f"192.0.2.{n}" for n in range(84, 100)]
        ours.downstreams.transferred(sent(5)._replace(zone="unknown.example"))


async def test_after_a_start_servers_are_asked_and_those_behind_are_told(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as current,
        own_server(tmp_path / "d") as behind,
    ):
        primary.serve(ZONE, zone_text(ZONE, 5))
        current.serve(ZONE, zone_text(ZONE, 5))
        behind.serve(ZONE, zone_text(ZONE, 4))
        async with managed(tmp_path / "b") as before:
            await before.start(of(primary))
            await until(lambda: before.entry(ZONE).answered is not None)
        async with managed(tmp_path / "b") as ours:
            await ours.start(of(primary, edge_of(current, "current"), edge_of(behind, "behind")))
            ours.supervisor.workers[0].confirmed(NAME, ours.publisher.stored[NAME].generation)
            ours.zones.confirmed([NAME])
            await until(lambda: below(ours, "behind").notified_serial == 5)
            assert below(ours, "current").has_it and below(ours, "current").notified_at is None
            assert ours.tally.downstream_lag == {}, "nobody knows when it was published"


async def test_a_target_that_a_reload_adds_is_told_when_behind_and_one_that_it_takes_away_is_forgotten(
    tmp_path: Path,
) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as first,
        own_server(tmp_path / "d") as second,
        managed(tmp_path / "b") as ours,
    ):
        primary.serve(ZONE, zone_text(ZONE, 5))
        first.serve(ZONE, zone_text(ZONE, 5))
        second.serve(ZONE, zone_text(ZONE, 4))
        await ours.start(of(primary, edge_of(first, "first")))
        await until(lambda: below(ours, "first").has_it)
        await ours.zones.reconcile(ours.config(of(primary, edge_of(second, "second"))))
        await until(lambda: below(ours, "second").notified_serial == 5)
        assert [each.name for each in ours.downstreams.statuses(NAME)] == ["second"]
        assert "first" not in ours.tally.downstream_up


async def test_a_zone_that_is_removed_or_expires_is_asked_about_no_more(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b") as ours,
    ):
        primary.serve(ZONE, zone_text(ZONE, 5))
        edge.serve(ZONE, zone_text(ZONE, 4))
        await ours.start(of(primary, edge_of(edge)))
        await until(lambda: below(ours).serial == 4)
        await ours.zones.reconcile(ours.config())
        assert ours.downstreams.statuses(NAME) == () and ours.downstreams._zones == {}
        ours.downstreams.hurry(NAME, 5)
        ours.downstreams.transferred(sent(5))


async def test_a_server_that_refuses_to_be_asked_is_shown_as_that(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b") as ours,
    ):
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary, edge_of(edge)))  # it knows nothing of the zone
        await until(lambda: ours.entry(ZONE).answered is not None)
        ours.downstreams.hurry(NAME, 5)
        await until(lambda: below(ours).check_reason is not None)
        assert below(ours).check_reason == Reason.REFUSED and "REFUSED" in below(ours).check_detail
        assert ours.tally.downstream_up == {"edge": True}, "it answers, after all"


async def test_hundreds_of_checks_of_a_silent_server_hold_up_no_check_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagation, "UNTOLD_WAIT", 0.0)
    loop = asyncio.get_running_loop()
    silent, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (LOOPBACK, 0))
    async with own_server(tmp_path / "c") as edge, managed(tmp_path / "b", notify_rate=100_000) as ours:
        mute = Remote("mute", (Endpoint(*silent.get_extra_info("sockname")),))
        for number in range(300):
            zone = f"zone-{number}.example"
            config = ZoneConfig(names.from_text(zone), zone, also_notify=(mute,))
            ours.downstreams.publish(config, 5, soa_of(zone))
        edge.serve(ZONE, zone_text(ZONE, 5))
        ours.downstreams.publish(ZoneConfig(NAME, ZONE, also_notify=(edge_of(edge),)), 5, soa_of(ZONE))
        await until(lambda: below(ours).has_it)
    silent.close()


def soa_of(zone: str) -> bytes:
    """The rdata of a zone's SOA."""
    return b"".join(names.from_text(each) for each in (f"ns.{zone}", f"hostmaster.{zone}")) + bytes(20)


async def test_to_a_remote_over_tls_no_question_goes_unencrypted(tmp_path: Path) -> None:
    got: list[bytes] = []

    class Listens(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            got.append(data)

    loop = asyncio.get_running_loop()
    plain, _ = await loop.create_datagram_endpoint(Listens, (LOOPBACK, 0))
    address = Endpoint(*plain.get_extra_info("sockname"))
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(of(primary, Remote("edge", (address,), tls=TlsPeer("edge"))))
        await until(lambda: ours.entry(ZONE).answered is not None)
        ours.downstreams.hurry(NAME, 5)
        await until(lambda: below(ours).check_reason is not None)
        assert below(ours).check_reason == Reason.CONNECT_REFUSED
    plain.close()
    assert got == []


# --- notify-ns -------------------------------------------------------------------------------------------------------


def ns_text(*hosts: str, mname: str = "primary") -> str:
    """A zone whose NS records name these, each "NAME ADDRESS", a name without address is not of the zone."""
    lines = ["$TTL 60", f"@ SOA {mname} hostmaster 5 3600 600 86400 300"]
    for each in hosts:
        name, _, address = each.partition(" ")
        lines.append(f"@ NS {name}")
        if address:
            lines.append(f"{name} {'AAAA' if ':' in address else 'A'} {address}")
    return "\n".join([f"$ORIGIN {ZONE}.", *lines]) + "\n"


async def test_with_notify_ns_the_servers_that_the_zone_names_are_told(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b", ns_port=edge.port) as ours,
    ):
        primary.serve(ZONE, ns_text(f"ns1 {LOOPBACK}"))
        edge.expect_notify(ZONE)
        await ours.start(of(primary, notify_ns=True))
        await until(lambda: bool(edge.outcomes))
        await until(lambda: below(ours, f"NS ns1.{ZONE}").notified_serial == 5)
        (seen,) = ours.downstreams.statuses(NAME)
        assert (seen.via, seen.label, seen.address) == ("ns", UNNAMED, f"{LOOPBACK}:{edge.port}")
        assert set(ours.tally.downstream_notify) == {(UNNAMED, Outcome.OK, "")}, "no name off the wire is a label"


async def test_a_check_that_waits_its_turn_outlives_a_reload_that_changes_other_targets(tmp_path: Path) -> None:
    async with (
        own_server(tmp_path / "a") as primary,
        own_server(tmp_path / "c") as edge,
        managed(tmp_path / "b") as ours,
    ):
        primary.serve(ZONE, zone_text(ZONE, 5))
        edge.serve(ZONE, zone_text(ZONE, 5))
        places = ours.downstreams._checks._places = asyncio.Semaphore(0)
        await ours.start(of(primary, edge_of(edge)))
        await until(lambda: (lane := ours.downstreams._checks.lane(edge_of(edge))) is not None and bool(lane.waiting))
        more = Remote("more", (Endpoint(LOOPBACK, free_port()),))
        await ours.zones.reconcile(ours.config(of(primary, edge_of(edge), more)))
        for _ in range(2):
            places.release()
        await until(lambda: below(ours).has_it)


TLS = TlsPeer("k", pins=(bytes(32),))


async def test_whom_the_notify_set_leaves_out(tmp_path: Path) -> None:
    """The MNAME, we ourselves, the zone's primaries, also-notify's remotes, and who is nowhere that we know of."""
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        text = ns_text(
            *("primary 192.0.2.1", "ours 127.0.0.1", "origin 192.0.2.3", "told 192.0.2.4", "known 192.0.2.5"),
            *("both 192.0.2.6", "new 192.0.2.7", "ns.elsewhere.example."),
        )
        primary.serve(ZONE, text + "both AAAA 2001:db8::6\n")
        await ours.start(of(primary))
        await until(lambda: ours.entry(ZONE).answered is not None)
        targets = NotifyTargets(ours.publisher, ours.server.listen)
        at = {name: Remote(name, (Endpoint(f"192.0.2.{n}", 53),)) for name, n in (("o", 3), ("t", 4), ("k", 5))}
        targets.remotes = at
        zone = replace(of(primary, at["t"], notify_ns=True), primaries=(at["o"],))
        found = await targets.of(zone, ours.entry(ZONE).answered.soa_rdata)
        assert [(each.name, [str(address) for address in each.addresses]) for each in found] == [
            ("t", ["192.0.2.4:53"]),
            ("k", ["192.0.2.5:53"]),
            (f"NS both.{ZONE}", ["192.0.2.6:53", "[2001:db8::6]:53"]),
            (f"NS new.{ZONE}", ["192.0.2.7:53"]),
        ]
        assert await targets.of(replace(zone, notify_ns=False), b"") == (at["t"],)

        # RFC 9103: a remote with TLS is known by its host where NS records name it, and is not told in plain.
        over = {name: replace(at[name], addresses=(Endpoint(at[name].addresses[0].host, 853),), tls=TLS) for name in at}
        targets.remotes = over
        zone = replace(zone, also_notify=(over["t"],), primaries=(over["o"],))
        found = await targets.of(zone, ours.entry(ZONE).answered.soa_rdata)
        assert [each.name for each in found] == ["t", "k", f"NS both.{ZONE}", f"NS new.{ZONE}"]
        assert found[1] is over["k"]


async def test_a_zone_that_names_odd_hosts_is_told_to_nobody_and_harms_nothing(tmp_path: Path) -> None:
    odd = [".", r"\000\255.", "127.0.0.1.", "localhost.", rf"a\.b.{ZONE}.", f"{'x' * 63}.{ZONE}.", "*"]
    async with own_server(tmp_path / "a") as primary, managed(tmp_path / "b") as ours:
        primary.serve(ZONE, ns_text(*odd))
        await ours.start(of(primary, notify_ns=True))
        await until(lambda: ours.entry(ZONE).answered is not None)
        await until(lambda: ours.downstreams._zones[NAME].finding is None)
        assert ours.downstreams.statuses(NAME) == ()


async def test_listening_on_all_addresses_is_being_at_each_of_the_machines(tmp_path: Path) -> None:
    async with managed(tmp_path / "b") as ours:
        everywhere = NotifyTargets(ours.publisher, (Endpoint("0.0.0.0", 53),))
        assert everywhere._is_ourselves(Endpoint(LOOPBACK, 53))
        assert not everywhere._is_ourselves(Endpoint(LOOPBACK, 54))
        assert not everywhere._is_ourselves(Endpoint("192.0.2.1", 53))
        assert not everywhere._is_ourselves(Endpoint("::1", 53))
