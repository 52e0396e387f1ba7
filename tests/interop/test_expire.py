"""EDNS EXPIRE (RFC 7314) told to secondaries of other makes: they serve a zone no longer than we do."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.expiry import expire_told
from support.pair import Own
from support.peers import requires
from support.secondaries import BindSecondary, KnotSecondary, Secondary
from support.wait import wait_for
from support.zones import small_zone_text

pytestmark = pytest.mark.timeout(90)

ZONE = "chain.example"
SHORT = 500  # seconds that the zone lives at ours
SOA_EXPIRE = 1_209_600
BIND_CHECKS_EVERY = 2  # seconds, at most
OPEN = '[{ address = "127.0.0.0/8" }]'


@pytest.fixture(scope="module")
def ours():
    """A secondary that keeps the zone for a short time, and its primary."""
    with Own() as top, Own() as middle:
        (top.directory / "zone").write_text(small_zone_text(ZONE, 1, timers=f"3600 600 {SOA_EXPIRE} 300"))
        top.zone_table(ZONE, type='"primary"', file='"zone"', allow_transfer=OPEN)
        middle.remote("above", top.port)
        limits = {"max_refresh_time": '"60s"', "max_retry_time": '"60s"', "max_expire_time": f'"{SHORT}s"'}
        middle.zone_table(ZONE, primaries='["above"]', allow_transfer=OPEN, **limits)
        for each in (top, middle):
            each.start()
        yield middle


def test_knot_takes_over_what_is_left_of_the_zone_s_life_with_its_transfer(ours: Own) -> None:
    with served_by(KnotSecondary, ours) as knot:
        told = expire_told(knot.port, ZONE)
        assert told is not None and told <= SHORT


def test_bind_renews_no_life_beyond_ours_with_its_checks(ours: Own) -> None:
    """It asks for the option with the SOA alone, so its life begins with the SOA's expire; but it only runs down."""
    with served_by(BindSecondary, ours) as bind:

        def runs_down() -> bool:
            told = expire_told(bind.port, ZONE)
            return told is not None and told <= SOA_EXPIRE - 2 * BIND_CHECKS_EVERY

        wait_for(runs_down, 30, "a life that its checks do not renew", explain=bind.explain)


@contextmanager
def served_by(kind: type[Secondary], ours: Own) -> Iterator[Secondary]:
    """A secondary of ours that serves the zone."""
    requires(*kind.programs)
    with kind({ZONE: ours.port}) as below:
        below.start()
        wait_for(lambda: below.serial(ZONE) == 1, 30, "the zone to be served", explain=below.explain)
        yield below
