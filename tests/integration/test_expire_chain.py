"""EDNS EXPIRE through a chain of our daemons: primary → secondary → secondary (RFC 7314)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from support.expiry import expire_told
from support.pair import Own
from support.zones import small_zone_text

ZONE = "chain.example"
SHORT = 500  # seconds that the zone lives in the middle of the chain; its SOA says two weeks
SOA_EXPIRE = 1_209_600
OPEN = '[{ address = "127.0.0.0/8" }]'


def seen(daemon: Own) -> dict[str, Any]:
    """The zone's status."""
    (zone,) = daemon.order("status", zone=ZONE)["zones"]
    return zone


@contextmanager
def chain() -> Iterator[tuple[Own, Own, Own]]:
    """A primary, a secondary of it with a short life for the zone, and a secondary of that, all serving."""
    with ExitStack() as stack:
        top, between, lowest = (stack.enter_context(Own()) for _ in range(3))
        (top.directory / "zone").write_text(small_zone_text(ZONE, 1, timers=f"3600 600 {SOA_EXPIRE} 300"))
        top.zone_table(ZONE, type='"primary"', file='"zone"', allow_transfer=OPEN)
        between.remote("above", top.port)
        limits = {"max_refresh_time": '"60s"', "max_retry_time": '"60s"', "max_expire_time": f'"{SHORT}s"'}
        between.zone_table(ZONE, primaries='["above"]', allow_transfer=OPEN, **limits)
        lowest.remote("above", between.port)
        lowest.zone_table(ZONE, primaries='["above"]')
        for each in (top, between, lowest):
            each.start()
        yield top, between, lowest


def test_the_lowest_lives_no_longer_than_what_it_comes_from_and_less_once_the_top_is_gone() -> None:
    with chain() as (top, between, lowest):
        assert expire_told(top.port, ZONE) == SOA_EXPIRE
        for each in (between, lowest):
            told = expire_told(each.port, ZONE)
            assert told is not None and told <= SHORT
        # The value is whole seconds and some time passes until it is taken in: not much of it, on any machine.
        assert seen(lowest)["expires"] <= seen(between)["expires"] + 5

        top.stop()
        ends, confirmed = seen(between)["expires"], seen(lowest)["last_success"]
        lowest.order("refresh", zone=ZONE)
        lowest.wait(lambda: seen(lowest)["last_success"] > confirmed, what="the middle to confirm the zone")
        assert seen(lowest)["expires"] <= ends + 5
