"""Clocks that are set, and time that passes while nobody counts it, under running daemons."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import dns.rcode
from support.daemon import new_key
from support.injected import inject
from support.pair import Feeder, Own
from support.zones import small_zone_text

ZONE = "zone.example"
HOUR, DAY = 3600, 86400
EXPIRE = 7 * DAY
TIMERS = f"{12 * HOUR} {HOUR} {EXPIRE} 300"

# Every process's clocks are ahead of the true ones by what the file says: the wall clock, and the one that counts on
# while the machine is suspended. The event loop's own stands still then, and is left alone. They are looked at more
# often than in earnest, so that this takes less long.
CLOCKS = """
import json
import sys
import time

if "run" in sys.orig_argv:
    import nameserver.server.zones.deadlines
    nameserver.server.zones.deadlines.LONGEST_SLEEP = 0.2

def ahead(which):
    with open({path!r}) as file:
        return json.load(file)[which]

true_time, true_clock = time.time, time.clock_gettime
time.time = lambda: true_time() + ahead("wall")
time.clock_gettime = lambda clock: true_clock(clock) + (ahead("suspended") if clock == time.CLOCK_BOOTTIME else 0)
"""


class Clocks:
    """Of all processes of some daemons, from their next start on: what is signed must have been so just now."""

    def __init__(self, *daemons: Own) -> None:
        self._path = daemons[0].directory / "clocks"
        self.set()
        for each in daemons:
            each.environment = inject(each.directory, CLOCKS.format(path=str(self._path)))

    def set(self, *, wall: float = 0, suspended: float = 0) -> None:
        """Seconds that they are ahead by."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({"wall": wall, "suspended": suspended}))
        fresh.rename(self._path)


def rcode(ours: Own) -> int:
    return ours.query(ZONE, "SOA").rcode()


def checks(ours: Own) -> float:
    return sum(value for name, value in ours.metrics().items() if name.startswith("nameserver_soa_checks_total"))


@contextmanager
def served() -> Iterator[tuple[Feeder, Own, Clocks]]:
    """A primary that tells nobody of changes, and its secondary, by clocks that can be set."""
    key = new_key("transfer-key")
    with Own() as ours, Feeder(key, 0) as feeder:
        clocks = Clocks(ours, feeder)
        feeder.feed(ZONE, small_zone_text(ZONE, 1, timers=TIMERS))
        ours.keys.append(key)
        ours.remote("primary", feeder.port, key)
        ours.zone_table(ZONE, primaries='["primary"]')
        feeder.start()
        ours.start()
        yield feeder, ours, clocks


def test_a_clock_that_is_set_expires_nothing_and_a_downtime_just_what_has_lived_too_long() -> None:
    with served() as (feeder, ours, clocks):
        for number, wall in enumerate((30 * DAY, -30 * DAY), start=1):  # more than the zone may live
            clocks.set(wall=wall)
            ours.wait(lambda number=number: ours.log.count("the clock was set") == number, what="the step to be seen")
            assert (rcode(ours), ours.zone(ZONE)["state"]) == (dns.rcode.NOERROR, "serving")
        assert checks(ours) == 0, "it came by AXFR; nothing was asked since"
        ours.stop()
        feeder.kill_all()

        clocks.set(wall=-30 * DAY + EXPIRE - DAY)
        ours.start()
        assert rcode(ours) == dns.rcode.NOERROR
        assert ours.zone(ZONE)["expires"] - ours.status()["server"]["now"] <= DAY
        ours.kill_all()

        clocks.set(wall=-30 * DAY + EXPIRE + DAY)
        ours.start(wait_ready=False)
        ours.wait(lambda: ours.zone(ZONE).get("state") == "expired", what="the zone to be found expired")
        ours.wait(lambda: rcode(ours) == dns.rcode.SERVFAIL, what="SERVFAIL")


def test_after_a_suspend_what_is_overdue_is_asked_and_what_is_dead_expires() -> None:
    with served() as (feeder, ours, clocks):
        feeder.update(ZONE, small_zone_text(ZONE, 2, timers=TIMERS))
        assert ours.serial(ZONE) == 1, "nobody has told it"
        clocks.set(wall=DAY, suspended=DAY)
        ours.wait(lambda: ours.serial(ZONE) == 2, what="the overdue check")
        feeder.kill_all()
        clocks.set(wall=9 * DAY, suspended=9 * DAY)
        ours.wait(lambda: rcode(ours) == dns.rcode.SERVFAIL, what="the zone to expire")
