"""The secondary and its primary: gone, back, behind, and told by NOTIFY in storms."""

import socket
import threading
import time

import dns.rcode
from support.ask import edes
from support.pair import Own, ask_udp, pair, question
from support.zones import small_zone_text

from nameserver.wire import codes, names
from nameserver.wire.query import build_query

ZONE = "zone.example"


def test_a_zone_outlives_its_primary_until_expire_and_a_restart_and_is_revived_at_the_same_serial() -> None:
    with pair([ZONE], serial=7, timers="1 1 4 60") as (feeder, ours):
        held, generation = ours.axfr(ZONE), ours.zone(ZONE)["generation"]
        feeder.stop()
        ours.wait(lambda: ours.zone(ZONE)["last_reason"] == "connect-refused", what="the first failed check")
        ours.stop()
        ours.start()
        assert ours.serial(ZONE) == 7, "from the store, with nobody to ask"
        assert ours.axfr(ZONE) == held
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


class CountingPrimary(threading.Thread):
    """Answers SOA queries over UDP with a serial that is never new, and counts them."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked: list[float] = []

    def run(self) -> None:
        while True:
            try:
                data, address = self.socket.recvfrom(4096)
            except OSError:
                return
            self.asked.append(time.monotonic())
            self.socket.sendto(data[:2] + b"\x84\x05" + bytes(8), address)  # REFUSED: nothing else comes of it


def test_a_storm_of_notifies_causes_two_checks_a_second_and_the_answers_go_on() -> None:
    """As many as one sender can send, for two seconds, from the primary's own address."""
    notify = build_query(1, names.from_text(ZONE), codes.SOA, opcode=codes.NOTIFY, flags=codes.AA)
    primary = CountingPrimary()
    primary.start()
    with Own(template={"min-retry-time": '"1h"'}) as ours, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as storm:
        (ours.directory / "zone").write_text(small_zone_text("calm.example", 1))
        ours.zone_table("calm.example", type='"primary"', file='"zone"')
        ours.remote("primary", primary.port)
        ours.zone_table(ZONE, primaries='["primary"]')
        ours.start(wait_ready=False)
        ours.wait(lambda: ours.page("/ready")[0] == 200, what="the start")
        before, began, sent = len(primary.asked), time.monotonic(), 0
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
        checks = len(primary.asked) - before
        assert sent > 5000
        assert 1 <= checks <= 2 * (1 + 2 * took), "each check may ask over UDP and, refused there, once more"
        assert ours.log.count("notify in") < 100 * took
        assert slowest < 2
        assert ours.page("/health") == (200, "ok\n")
        ours.stop()
    primary.socket.close()
