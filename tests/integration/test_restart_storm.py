"""A restart with every zone overdue, at a primary that is slow or silent: what is held is answered at once."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from support.ask import serial
from support.daemon import Nameserver
from support.own_server import commit_text
from support.scripted_primary import Act, Question, ScriptedPrimary, Versions, scripted_beside, sent
from support.zones import small_zone_text

from nameserver.store.database import Store, ZoneTimers
from nameserver.wire import names

COUNT = int(os.environ.get("NAMESERVER_RESTART_ZONES", "40"))
ZONES = [f"zone-{number:05}.example" for number in range(COUNT)]
AT_ONCE, RATE = 5, 100  # transfers-per-primary, soa-rate: what they are unless configured


class Slow(Versions):
    """Has something new of each zone, and stops in the middle of each transfer until `released`."""

    primary: ScriptedPrimary | None = None
    released = False
    most = 0  # transfers at once

    def __call__(self, question: Question) -> Iterator[Act]:  # type: ignore[override]
        messages = self.messages(question)
        if question.transport == "tcp" and self.primary is not None:
            self.most = max(self.most, self.primary.open)
            yield from sent(question, messages[:1])
            messages = messages[1:]
            while not self.released:
                yield 0.01
        yield from sent(question, messages)


def stored(directory: Path) -> None:
    """Every zone at serial 5, its check overdue since long ago, its expiry far away."""
    store = Store.open(directory, 0.0)
    for zone in ZONES:
        commit_text(store, zone, small_zone_text(zone, 5))
    overdue = ZoneTimers(time.time() - 7200, time.time() - 7200, time.time() + 86400, time.time() - 3600)
    store.save_timers({names.from_text(zone): overdue for zone in ZONES})
    store.close()


def restarted(primary: ScriptedPrimary) -> Nameserver:
    ours = Nameserver(zones=ZONES, primary_port=primary.port, template={"min-refresh-time": "1h"})
    stored(ours.directory / "state")
    return ours


def all_answered(ours: Nameserver, serials: set[int]) -> bool:
    return all(ours.serial(zone) in serials for zone in ZONES[:: max(1, COUNT // 100)])


def test_zones_are_answered_while_a_slow_primary_is_asked_for_a_few_at_a_time() -> None:
    """F58: 10,000 zones with NAMESERVER_RESTART_ZONES."""
    slow = Slow(serial=6)
    with scripted_beside(slow) as primary, restarted(primary) as ours:
        slow.primary = primary
        began = time.monotonic()
        ours.start(wait_ready=False)
        ours.wait(lambda: serial(ours.port, ZONES[-1], timeout=0.1) == 5, 60, "the first answer")
        assert all_answered(ours, {5})
        ours.wait(lambda: primary.open == AT_ONCE, 60, "transfers")
        asked = primary.kinds().count("SOA/udp")
        assert asked <= RATE * (time.monotonic() - began) + AT_ONCE
        slow.released = True
        ours.wait(lambda: all_answered(ours, {6}), 60 + COUNT / 10, "every zone's new version")
        assert slow.most <= AT_ONCE
        ours.stop()


def test_zones_are_answered_while_their_primary_is_silent() -> None:
    """F58: and it is not asked for each of them again and again."""
    with scripted_beside(lambda _question: []) as primary, restarted(primary) as ours:
        ours.template |= {"udp-timeout": "100ms", "min-retry-time": "1s"}
        began = time.monotonic()
        ours.start(wait_ready=False)
        ours.wait(lambda: serial(ours.port, ZONES[-1], timeout=0.1) == 5, 60, "the first answer")
        ours.wait(lambda: len(primary.asked) >= 3, 60, "questions")
        assert all_answered(ours, {5})
        assert len(primary.asked) <= 3 * (RATE * (time.monotonic() - began) + AT_ONCE)
        states = ours.wait(lambda: {zone["state"] for zone in ours.status().get("zones", [])}, 30, "the status")
        assert states <= {"serving", "refreshing", "retrying"}
        ours.stop()
