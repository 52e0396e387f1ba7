"""Our own daemon, twice, over real processes: what queries get, what is moved how, and what is told about it."""

import base64
import json
import socket
from collections.abc import Iterator

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from support.ask import edes
from support.daemon import new_key
from support.pair import Feeder, Own, ask_udp, connect, frames, pair, question, read_frame
from support.process import free_port
from support.zones import small_zone_text, zone_text

from nameserver.server.sockets import _have_ipv6

ZONE, OTHER = "one.example", "two.example"


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Feeder, Own]]:
    """A pair that the tests of this file share; the secondary logs JSON at level debug and listens everywhere."""
    port = free_port()
    listen = [f"0.0.0.0:{port}", *([f"[::1]:{port}"] if _have_ipv6() else [])]
    settings = {"log-format": '"json"', "nsid": '"ns-7"', "identity": '"seven"'}
    with pair([ZONE, OTHER], text=zone_text, secondary={"listen": listen, "settings": settings, "workers": 2}) as made:
        made[1].port = port
        made[0].tables["remote.edge"]["address"] = f'["127.0.0.1:{port}"]'
        made[0].reread()
        yield made


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_every_address_is_answered_from_over_udp_and_tcp(both: tuple[Feeder, Own], address: str) -> None:
    """Also on a wildcard listener the reply leaves from the address asked."""
    if address == "::1" and not _have_ipv6():
        pytest.skip("this machine has no IPv6")
    _, ours = both
    for _ in range(8):  # both workers
        reply, source = ask_udp(address, ours.port, question(f"host-1.{ZONE}"))
        assert (source, reply.rcode(), bool(reply.flags & dns.flags.AA)) == (address, 0, True)
        assert reply.answer[0][0].to_text() == "192.0.2.2"
    with connect(ours.port, address) as connection:
        connection.sendall(frames(question(f"host-1.{ZONE}"), question(f"www.{OTHER}")))
        assert [len(dns.message.from_wire(read_frame(connection)).answer) for _ in range(2)] == [1, 2]


def test_both_hold_the_same_zone(both: tuple[Feeder, Own]) -> None:
    feeder, ours = both
    for zone in (ZONE, OTHER):
        assert ours.axfr(zone) == feeder.axfr(zone) != set()
        seen = ours.zone(zone)
        assert (seen["state"], seen["answering"], seen["workers_serving"]) == ("serving", True, 2)
        assert seen["primaries"][0]["key"] == "transfer-key"
        assert seen["last_transfer"]["outcome"] == "ok"


def test_a_change_arrives_by_notify_on_every_worker(both: tuple[Feeder, Own]) -> None:
    """The refresh time of the zone is an hour."""
    feeder, ours = both
    serial = ours.serial(OTHER) + 1
    feeder.update(OTHER, zone_text(OTHER, serial))
    ours.wait(lambda: ours.zone(OTHER)["workers_serving"] == 2 and ours.serial(OTHER) == serial, what="the change")
    for _ in range(10):
        reply, _ = ask_udp("127.0.0.1", ours.port, question(f"serial.{OTHER}", "TXT"))
        assert reply.answer[0][0].to_text() == f'"{serial}"'
    assert ours.metrics()["nameserver_notify_to_publish_seconds_count"] >= 1


def test_nsid_and_identity_are_told_where_configured_and_the_rest_is_not(both: tuple[Feeder, Own]) -> None:
    feeder, ours = both
    nsid = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")
    told = [
        ask_udp("127.0.0.1", each.port, question(ZONE, "SOA", use_edns=0, options=[nsid]))[0].options
        for each in (ours, feeder)
    ]
    assert [[option.to_wire() for option in options] for options in told] == [[b"ns-7"], []]
    chaos = {
        (each, name): ask_udp("127.0.0.1", each.port, question(name, "TXT", rdclass="CH"))[0]
        for each in (ours, feeder)
        for name in ("id.server", "version.bind")
    }
    assert chaos[ours, "id.server"].answer[0][0].to_text() == '"seven"'
    del chaos[ours, "id.server"]
    assert {reply.rcode() for reply in chaos.values()} == {dns.rcode.REFUSED}


def test_the_pages_say_how_it_is(both: tuple[Feeder, Own]) -> None:
    _, ours = both
    assert ours.page("/health") == (200, "ok\n")
    assert ours.page("/ready") == (200, "ready\n")
    status, page = ours.page("/")
    assert status == 200 and ZONE in page
    ask_udp("127.0.0.1", ours.port, question(f"nothing.{ZONE}"))
    metrics = ours.metrics()
    assert metrics[f'nameserver_zone_state{{zone="{ZONE}",state="serving"}}'] == 1
    assert metrics[f'nameserver_zone_serial{{zone="{ZONE}"}}'] == 1
    responses = [
        value for name, value in metrics.items() if name.startswith("nameserver_responses_total") and "NXDOMAIN" in name
    ]
    assert sum(responses) >= 1
    assert metrics['nameserver_primary_up{primary="primary"}'] == 1


def test_every_line_of_the_json_log_parses_and_transfers_have_their_fields(both: tuple[Feeder, Own]) -> None:
    _, ours = both
    lines = ours.log_lines()
    assert {line["level"] for line in lines} <= {"debug", "info", "warning", "error"}
    transfers = [line["event"] for line in lines if line["logger"] == "nameserver.transfer"]
    assert {(event["zone"], event["outcome"]) for event in transfers} >= {(ZONE, "ok"), (OTHER, "ok")}
    assert any(line["message"].startswith("ready: 2 zones, 2 workers") for line in lines)


def test_no_secret_is_printed_anywhere(both: tuple[Feeder, Own]) -> None:
    """Neither as it stands in the configuration nor as bytes, hex or a Python literal."""
    feeder, ours = both
    texts = [ours.log, feeder.log]
    for each in (ours, feeder):
        texts += [each.page(path)[1] for path in ("/", "/metrics")]
        texts += [json.dumps(each.status()), each.command("status"), each.command("why", ZONE, expect=None)]
        texts += [each.command("check-config")]
    for key in (ours.watch_key, feeder.watch_key, feeder.key):
        raw = base64.b64decode(key.secret)
        for form in (key.secret, key.secret.rstrip("="), raw.hex(), repr(raw)[2:-1], raw.decode("latin-1")):
            assert not any(form in text for text in texts)


def test_a_zone_that_is_not_served_is_refused_and_a_transfer_needs_the_key(both: tuple[Feeder, Own]) -> None:
    _, ours = both
    reply, _ = ask_udp("127.0.0.1", ours.port, question("elsewhere.example", use_edns=0))
    assert (reply.rcode(), edes(reply)) == (dns.rcode.REFUSED, [20])
    with connect(ours.port) as connection:
        connection.sendall(frames(question(ZONE, "AXFR", use_edns=0)))
        reply = dns.message.from_wire(read_frame(connection))
        assert (reply.rcode(), edes(reply)) == (dns.rcode.REFUSED, [18])


def test_a_second_instance_on_the_same_state_directory_is_refused(both: tuple[Feeder, Own]) -> None:
    _, ours = both
    with Own() as second:
        second.settings["state-dir"] = f'"{ours.directory / "state"}"'
        second.start(wait_ready=False)
        assert second.ends_by_itself() == 2
        assert "not started" in second.log and str(ours.child.pid) in second.log
    assert ours.page("/health") == (200, "ok\n")


@pytest.mark.parametrize("what", ["dns", "http", "control"])
def test_a_taken_address_ends_the_start_with_words_that_help(both: tuple[Feeder, Own], what: str) -> None:
    _, ours = both
    with Own() as second, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        if what == "dns":
            taken.bind(("127.0.0.1", second.port))  # by UDP alone
        elif what == "http":
            second.http_port = ours.http_port
        else:
            second.settings["control"] = f'"{ours.control}"'
        second.start(wait_ready=False)
        assert second.ends_by_itself() == 2
        said = {
            "dns": "another server has it",
            "http": "cannot listen for HTTP on",
            "control": "another server answers",
        }
        assert said[what] in second.log
        assert "Traceback" not in second.log
        assert second.child.group() == []


def test_a_start_with_a_bad_configuration_says_where_it_is_bad() -> None:
    with Own() as ours:
        ours.settings["workers"] = "-3"
        ours.start(wait_ready=False)
        assert ours.ends_by_itself() == 2
        assert f"{ours.config}:" in ours.log and "workers" in ours.log


def test_the_first_transfer_needs_the_right_key_and_the_old_version_serves_while_it_is_wrong() -> None:
    with pair([ZONE], text=small_zone_text) as (feeder, ours):
        right = ours.keys[-1]
        ours.keys[-1] = new_key("transfer-key")
        feeder.update(ZONE, small_zone_text(ZONE, 2))
        ours.wait(lambda: ours.serial(ZONE) == 2, what="serial 2")
        ours.reread()
        ours.wait(lambda: ours.zone(ZONE)["last_reason"] == "tsig-badsig", what="the wrong key to be noticed")
        assert (ours.serial(ZONE), ours.zone(ZONE)["state"]) == (2, "retrying")
        ours.keys[-1] = new_key("unknown-key")
        ours.remote("primary", feeder.port, ours.keys[-1])
        ours.reread()
        ours.wait(lambda: ours.zone(ZONE)["last_reason"] == "tsig-badkey", what="the unknown key to be noticed")
        ours.keys[-1] = right
        ours.remote("primary", feeder.port, right)
        ours.reread()
        ours.wait(lambda: ours.zone(ZONE)["state"] == "serving", what="the right key to take effect")
        ours.stop()
        feeder.stop()
