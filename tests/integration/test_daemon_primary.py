"""The secondary and its primary: gone, back, behind, and told by NOTIFY in storms."""

import socket
import time

import dns.rcode
from support.ask import edes
from support.pair import Own, ask_udp, pair, question
from support.process import free_port
from support.zones import small_zone_text

from nameserver.wire import codes, names
from nameserver.wire.query import build_query

ZONE = "zone.example"


def test_a_zone_outlives_its_primary_and_a_restart_and_is_taken_up_where_it_was() -> None:
    with pair([ZONE], serial=7, timers="1 1 600 60") as (feeder, ours):
        held, generation = ours.axfr(ZONE), ours.zone(ZONE)["generation"]
        feeder.stop()
        ours.wait(lambda: ours.zone(ZONE)["last_reason"] == "connect-refused", what="the first failed check")
        ours.stop()
        ours.start()
        assert ours.serial(ZONE) == 7, "from the store, with nobody to ask"
        assert ours.axfr(ZONE) == held
        feeder.start()
        ours.wait(lambda: ours.zone(ZONE)["state"] == "serving", what="a check that is good again")
        assert ours.zone(ZONE)["generation"] == generation, "without a transfer"
        ours.stop()


def test_a_zone_expires_with_its_primary_gone_and_is_revived_by_it_at_the_same_serial() -> None:
    with pair([ZONE], serial=7, timers="1 1 3 60") as (feeder, ours):
        generation = ours.zone(ZONE)["generation"]
        feeder.stop()
        ours.wait(lambda: ours.zone(ZONE)["state"] == "expired", what="the zone to expire")
        reply, _ = ask_udp("127.0.0.1", ours.port, question(ZONE, "SOA", use_edns=0))
        assert (reply.rcode(), edes(reply)) == (dns.rcode.SERVFAIL, [24])
        assert ours.metrics()[f'nameserver_zone_state{{zone="{ZONE}",state="expired"}}'] == 1
        ours.command("status", expect=1)
        ours.stop()
        ours.start(wait_ready=False)
        ours.wait(lambda: ours.page("/ready")[0] == 200, what="a start with an expired zone to be complete")
        assert ours.query(ZONE, "SOA").rcode() == dns.rcode.SERVFAIL, "expired is expired after a restart too"
        feeder.start()
        ours.wait(lambda: ours.serial(ZONE) == 7, what="the zone to be revived")
        assert ours.zone(ZONE)["generation"] == generation, "without a transfer"
        ours.stop()


def test_a_primary_that_goes_back_is_not_followed_until_an_operator_says_so() -> None:
    with pair([ZONE], serial=7, timers="1 1 600 60") as (feeder, ours):
        feeder.stop()
        for state in (feeder.directory / "state").iterdir():
            state.unlink()
        feeder.feed(ZONE, small_zone_text(ZONE, 3))
        feeder.start()
        ours.wait(lambda: ours.zone(ZONE)["state"] == "serial-backwards", what="the state")
        assert ours.serial(ZONE) == 7
        assert ours.metrics()[f'nameserver_zone_serial_backwards{{zone="{ZONE}"}}'] == 1
        assert "3" in ours.command("why", ZONE, expect=None)
        ours.command("retransfer", ZONE, "--wait")
        assert ours.serial(ZONE) == 3, "when the command is back"
        ours.wait(lambda: ours.zone(ZONE)["state"] == "serving", what="the state to be good again")
        assert ours.metrics()[f'nameserver_zone_serial_backwards{{zone="{ZONE}"}}'] == 0
        ours.stop()


def attempts(ours: Own) -> float:
    """Transfers begun so far; the zone's primary is dead, so each ends at once."""
    return sum(value for name, value in ours.metrics().items() if name.startswith("nameserver_transfers_total"))


def test_a_storm_of_notifies_causes_two_checks_a_second_and_the_answers_go_on() -> None:
    """As many as one sender can send, for two seconds, from the primary's own address."""
    notify = build_query(1, names.from_text(ZONE), codes.SOA, opcode=codes.NOTIFY, flags=codes.AA)
    with Own(template={"min-retry-time": '"1h"'}) as ours, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as storm:
        (ours.directory / "zone").write_text(small_zone_text("calm.example", 1))
        ours.zone_table("calm.example", type='"primary"', file='"zone"')
        ours.remote("primary", free_port())
        ours.zone_table(ZONE, primaries='["primary"]')
        ours.start(wait_ready=False)
        ours.wait(lambda: ours.page("/ready")[0] == 200, what="the start")
        before, began, sent = attempts(ours), time.monotonic(), 0
        storm.connect(("127.0.0.1", ours.port))
        storm.setblocking(False)
        slowest = 0.0
        while time.monotonic() - began < 2:
            for _ in range(100):
                try:
                    sent += storm.send(notify) > 0
                except BlockingIOError:
                    break
            while True:
                try:
                    storm.recv(512)
                except OSError:
                    break
            asked = time.monotonic()
            assert ours.query("ns1.calm.example").answer
            slowest = max(slowest, time.monotonic() - asked)
        took = time.monotonic() - began
        checks = attempts(ours) - before
        assert sent > 5000
        assert 1 <= checks <= 2 + 2 * took
        assert ours.log.count("notify in") < 100 * took
        assert slowest < 2
        assert ours.page("/health") == (200, "ok\n")
        ours.stop()
