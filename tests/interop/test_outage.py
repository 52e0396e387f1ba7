"""The primary dies: the zone is answered until it expires, not longer. It comes back: the zone is answered again."""

import time

import dns.rcode
import pytest
from support.ask import edes
from support.daemon import Nameserver, new_key
from support.peers import KnotPrimary, Target, requires
from support.zones import small_zone_text

pytestmark = pytest.mark.timeout(120)

ZONE = "outage.example"
INVALID_DATA = 24  # RFC 8914 §4.25
REFRESH, RETRY, EXPIRE = 1, 1, 5


def test_a_zone_outlives_its_primary_until_expire_and_comes_back_with_it() -> None:
    requires(*KnotPrimary.programs)
    key = new_key("transfer-key")
    text = small_zone_text(ZONE, 7, timers=f"{REFRESH} {RETRY} {EXPIRE} 60")
    with Nameserver(zones=[ZONE], key=key) as ours, KnotPrimary({ZONE: text}, transfer_key=key, notify=[]) as primary:
        primary.start()
        ours.primary_port = primary.port
        ours.start()
        processes = ours.pids()
        first = ours.zone(ZONE)["last_success"]
        ours.wait(lambda: ours.zone(ZONE)["last_success"] > first, what="a check that finds nothing new, and counts")

        primary.kill()
        ours.wait(lambda: ours.zone(ZONE)["last_reason"] == "connect-refused", what="the first failed check")
        expires = ours.zone(ZONE)["expires"]
        assert 0 < expires - time.time() <= EXPIRE
        answered_last = failed_first = 0.0
        while not failed_first:
            asked = time.time()
            reply = ours.query(f"serial.{ZONE}", "TXT")
            if reply.rcode() == dns.rcode.NOERROR:
                assert reply.answer[0][0].to_text() == '"7"'
                answered_last = asked
            else:
                failed_first = time.time()
            assert time.time() < expires + 5, "the zone never expired"
            time.sleep(0.02)  # a real zone's life is what is measured here
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert edes(reply) == [INVALID_DATA]
        assert failed_first > expires - 0.2, "it expired before its time"
        assert answered_last < expires + 1.0, "it was answered after its time"
        assert ours.zone(ZONE)["state"] == "expired"
        assert ours.serial(ZONE) is None

        primary.restart()
        ours.wait(lambda: ours.serial(ZONE) == 7, what="the zone to be answered again")
        assert ours.axfr(ZONE) == primary.zone_records(ZONE)
        assert ours.pids() == processes, "back without a restart"
        ours.stop()


def test_after_a_restart_with_the_primary_down_the_zone_answers_at_its_last_serial() -> None:
    requires(*KnotPrimary.programs)
    key = new_key("transfer-key")
    with (
        Nameserver(zones=[ZONE], key=key) as ours,
        KnotPrimary({ZONE: small_zone_text(ZONE, 1)}, transfer_key=key, notify=[Target(ours.port, key)]) as primary,
    ):
        primary.start()
        ours.primary_port = primary.port
        ours.start()
        primary.update(ZONE, small_zone_text(ZONE, 2))
        ours.wait(lambda: ours.serial(ZONE) == 2, what="serial 2")
        held = ours.axfr(ZONE)
        primary.kill()
        ours.stop()
        ours.start()
        assert ours.serial(ZONE) == 2
        assert ours.axfr(ZONE) == held
        ours.stop()
