"""Which primaries answer: what exchanges teach, what is said about it, what makes it be forgotten."""

import logging
import re
from collections.abc import Collection

import pytest
from support.clock import ManualClock

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.errors import Reason, TransferError
from nameserver.server.zones.reach import PassedOver, Reach, Way

A, B = Endpoint("192.0.2.1", 53), Endpoint("2001:db8::1", 53)
REMOTE = Remote("both", (A, B))
TCP = Way(A, "tcp")


class Told:
    """Some zones' exchanges; `back` are those that were to be run again."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.back: list[set[bytes]] = []
        self.reach = Reach(600.0, self.returned, clock)

    def returned(self, zones: Collection[bytes]) -> None:
        self.back.append(set(zones))

    def exchange(self, way: Way, zone: bytes, failure: Reason | None = None, *, elsewhere: bool = False) -> None:
        with self.reach.exchange(way, zone, elsewhere=elsewhere) as heard:
            self.clock.advance(1.0)
            if failure is not None:
                raise TransferError(failure, "why")
            heard()

    def fails(self, way: Way, zone: bytes, failure: Reason) -> TransferError:
        with pytest.raises(TransferError) as caught:
            self.exchange(way, zone, failure)
        return caught.value


@pytest.fixture
def told(clock: ManualClock) -> Told:
    return Told(clock)


def test_a_silent_address_is_known_by_its_place_among_the_remotes_addresses(told: Told) -> None:
    told.fails(TCP, b"a", Reason.CONNECT_TIMEOUT)
    assert told.reach.silent(REMOTE) == {0}
    assert told.reach.silent(Remote("other", (B,))) == frozenset()
    told.fails(Way(B, "udp"), b"a", Reason.CONNECT_TIMEOUT)
    assert told.reach.silent(REMOTE) == {0}, "without UDP a primary can still be had"


def test_who_is_not_let_through_learns_why_and_since_when(told: Told) -> None:
    told.fails(TCP, b"a", Reason.CONNECT_REFUSED)
    with told.reach.exchange(TCP, b"b", elsewhere=False), pytest.raises(PassedOver) as caught:
        told.exchange(TCP, b"c")
    assert caught.value.reason is Reason.CONNECT_REFUSED
    assert re.fullmatch(r"why; not asked again: silent since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", caught.value.detail)
    with pytest.raises(PassedOver):
        told.exchange(TCP, b"c", elsewhere=True)


def test_falling_silent_and_answering_again_are_a_line_each(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nameserver.primaries")
    for zone in (b"a", b"b"):
        told.fails(TCP, zone, Reason.CONNECT_TIMEOUT)
    told.clock.advance(60.0)
    for zone in (b"c", b"d"):
        told.exchange(TCP, zone)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            "primary at 192.0.2.1:53 over TCP is silent: connect-timeout (why); "
            "until it answers, one zone at a time asks it",
        ),
        ("INFO", "primary at 192.0.2.1:53 over TCP answers again after 1m 3s"),
    ]
    assert told.back == [{b"a", b"b"}]


@pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.TSIG_BADSIG, Reason.NO_NS, Reason.SERIAL_BACKWARDS])
def test_an_answer_that_is_no_use_is_an_answer(told: Told, reason: Reason) -> None:
    told.fails(TCP, b"a", Reason.CONNECT_TIMEOUT)
    told.fails(TCP, b"b", reason)
    assert told.reach.silent(REMOTE) == frozenset()


@pytest.mark.parametrize("reason", [Reason.CLOSED_EARLY, Reason.TOO_SLOW, Reason.QUOTA])
def test_what_comes_from_who_knows_where_changes_nothing(told: Told, reason: Reason) -> None:
    """A proxy takes connections with nobody behind it."""
    told.fails(TCP, b"a", reason)
    assert told.reach.silent(REMOTE) == frozenset()
    told.fails(TCP, b"a", Reason.CONNECT_TIMEOUT)
    told.fails(TCP, b"a", reason)
    assert told.reach.silent(REMOTE) == {0}


def test_a_transfer_that_stands_still_in_the_middle_makes_its_way_silent(told: Told) -> None:
    """Unless another was answered since."""
    for others in (False, True):
        with pytest.raises(TransferError), told.reach.exchange(TCP, b"a", elsewhere=False) as heard:
            told.clock.advance(5.0)
            heard()
            told.clock.advance(30.0)
            if others:
                told.exchange(TCP, b"b")
            raise TransferError(Reason.IDLE_TIMEOUT)
        assert told.reach.silent(REMOTE) == (frozenset() if others else {0})


def test_a_notify_is_a_sign_of_life_of_its_sender_alone_and_an_order_goes_for_all(told: Told) -> None:
    zone = ZoneConfig(b"\4zone\0", "zone", primaries=(REMOTE,))
    for endpoint in (A, B):
        told.fails(Way(endpoint, "tcp"), b"a", Reason.CONNECT_TIMEOUT)
    told.reach.ask_again(zone, "198.51.100.1")
    assert told.reach.silent(REMOTE) == {0, 1}
    told.reach.ask_again(zone, A.host)
    assert told.reach.silent(REMOTE) == {1}
    told.reach.ask_again(zone)
    assert told.reach.silent(REMOTE) == frozenset()


def test_an_address_that_is_configured_no_more_is_forgotten(told: Told) -> None:
    told.fails(TCP, b"a", Reason.CONNECT_TIMEOUT)
    told.reach.keep([ZoneConfig(b"\4zone\0", "zone", primaries=(REMOTE,))])
    assert told.reach.silent(REMOTE) == {0}
    told.reach.keep([])
    assert told.reach.silent(REMOTE) == frozenset()
