"""`migrate check -c FILE` says whether NOTIFYs of a primary reach our daemon, and are taken."""

import json
import threading
import time

import pytest
from support.commands import nameserver
from support.pair import Own, pair
from support.zones import small_zone_text

from nameserver.control.client import call

pytestmark = pytest.mark.timeout(60)

ZONE = "example.com"
STEP = "NOTIFY from it"
WORDS = ("migrate", "check", ZONE, "@primary")


def check(ours: Own, *words: str) -> tuple[int, dict, str]:
    done = nameserver(*WORDS, "-c", str(ours.config), *words, "--json")
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    return done.returncode, report, str(next(iter(report["facts"]["servers"].values())).get(STEP))


def heard(ours: Own) -> list[dict]:
    return list(call(ours.control, "status", zone=ZONE)["zones"][0]["notifies"])


def test_a_notify_that_came_is_told_and_one_that_is_waited_for_counts_from_now_on():
    with pair([ZONE]) as (feeder, ours):
        feeder.update(ZONE, small_zone_text(ZONE, 2))
        ours.wait(lambda: heard(ours), what="a NOTIFY")
        code, report, result = check(ours)
        assert (code, result) == (0, "good"), report
        assert report["verdict"].startswith(
            "The zone can be transferred, signed with transfer-key; answers over UDP are"
        )
        assert "serial 2, signed with transfer-key" in nameserver(*WORDS, "-c", str(ours.config)).stdout

        ended = threading.Event()

        def tell() -> None:
            serial = 3
            while not ended.wait(1.0):
                feeder.update(ZONE, small_zone_text(ZONE, serial))
                serial += 1

        teller = threading.Thread(target=tell)
        teller.start()
        try:
            code, report, result = check(ours, "--notify", "30")
        finally:
            ended.set()
            teller.join()
        assert (code, result) == (0, "good"), report
        assert "NOTIFY" in ours.command("why", ZONE)


def test_where_none_came_that_is_not_known_to_be_wrong_until_one_was_waited_for():
    with pair([ZONE], notify=False) as (_, ours):
        code, report, result = check(ours)
        assert (code, result) == (0, "unknown")
        assert "notify-unknown" in {finding["code"] for finding in report["findings"]}
        code, report, result = check(ours, "--notify", "1")
    assert (code, result) == (1, "connect-timeout")
    assert report["verdict"] == "The zone can be transferred, but nobody tells us when it changes."
    assert "primary-snippet" in report["findings"][0]["next_step"]


def test_one_that_is_turned_away_is_told_with_what_to_do_about_it_here():
    with pair([ZONE], notify=False) as (feeder, ours):
        feeder.remote("edge", ours.port, None)  # tells us without the key that its remote here has
        feeder.update(ZONE, small_zone_text(ZONE, 2))
        ours.wait(lambda: heard(ours), what="a NOTIFY that was refused")
        began = time.monotonic()
        code, report, result = check(ours)
    assert (code, result) == (1, "refused"), report
    assert time.monotonic() - began < 30
    finding = next(each for each in report["findings"] if each["level"] == "fault")
    assert "turned away" in finding["text"]
    assert "sign its NOTIFY" in finding["next_step"]


def test_to_wait_needs_a_daemon_and_a_configuration():
    done = nameserver("migrate", "check", ZONE, "@127.0.0.1:1", "--notify", "1", "--timeout", "0.2")
    assert (done.returncode, "-c FILE" in done.stderr) == (2, True)
