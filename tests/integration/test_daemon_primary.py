"""The secondary and its primary: gone, back, behind."""

import dns.rcode
from support.ask import edes
from support.pair import ask_udp, pair, question
from support.zones import small_zone_text

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
