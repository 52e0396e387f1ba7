"""NOTIFYs on their way to the transfer process: the first at once, a storm as a trickle, no news forgotten."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from nameserver.query.exchange import NotifyReceived
from nameserver.server.answering.notify_forwarder import (
    AT_ONCE,
    BATCH,
    MAX_SOURCES,
    MOST_UNREAD,
    WINDOW,
    NotifyForwarder,
    NotifyRow,
)

ZONE, OTHER = b"\x01a\x00", b"\x01b\x00"
PRIMARY = "192.0.2.1"


@dataclass
class ManualLoop:
    """The one method of an event loop that is needed, its clock moved by hand."""

    now: float = 0.0
    timers: list[tuple[float, Callable[..., object]]] = field(default_factory=list)

    def call_later(self, delay: float, callback: Callable[..., object]) -> None:
        self.timers.append((self.now + delay, callback))

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := sorted((timer for timer in self.timers if timer[0] <= until), key=lambda timer: timer[0]):
            self.timers.remove(due[0])
            self.now = due[0][0]
            due[0][1]()
        self.now = until


@dataclass
class Storm:
    """A forwarder with its clock, and the messages that it has sent. `unread` bytes of them have not been taken."""

    loop: ManualLoop = field(default_factory=ManualLoop)
    messages: list[list[NotifyRow]] = field(default_factory=list)
    unread: int = 0

    def __post_init__(self) -> None:
        self.forwarder = NotifyForwarder(self.loop, self.messages.append, lambda: self.unread)

    def notify(
        self, zone: bytes = ZONE, source: str = PRIMARY, serial: int | None = None, key: bytes | None = None
    ) -> None:
        self.forwarder.received(NotifyReceived(zone, source, serial, key))

    @property
    def rows(self) -> list[NotifyRow]:
        return [row for message in self.messages for row in message]

    def settle(self) -> None:
        """Until nothing is kept any more."""
        while self.loop.timers:
            self.loop.advance(WINDOW)


def zone_name(number: int) -> bytes:
    return b"\x05%05d\x00" % number


def test_the_first_is_passed_on_at_once() -> None:
    storm = Storm()
    storm.notify(serial=7)
    assert storm.messages == [[NotifyRow(ZONE.hex(), PRIMARY, 7, 1)]]


def test_after_a_quiet_window_the_next_is_passed_on_at_once_again() -> None:
    storm = Storm()
    for serial in (1, 2, 3):
        storm.notify(serial=serial)
        assert storm.rows[-1].serial == serial
        storm.settle()
    assert storm.loop.timers == []


def test_a_storm_of_twenty_thousand_in_a_second_is_passed_on_fifty_times() -> None:
    storm = Storm()
    for serial in range(20_000):
        storm.notify(serial=serial)
        storm.loop.advance(1 / 20_000)
    assert len(storm.messages) <= 1 / WINDOW + 1
    storm.settle()
    assert storm.rows[-1].serial == 19_999, "the last one counts"
    assert sum(row.times for row in storm.rows) == 20_000, "and each was counted"
    assert storm.loop.timers == [], "nothing goes on once the storm is over"


def test_a_storm_over_ten_thousand_zones_is_a_few_messages_of_many_rows() -> None:
    storm = Storm()
    for _ in range(3):
        for number in range(10_000):
            storm.notify(zone_name(number))
            storm.loop.advance(1 / 30_000)
    storm.settle()
    assert len({row.zone for row in storm.rows}) == 10_000
    assert sum(row.times for row in storm.rows) == 30_000
    windows = storm.loop.now / WINDOW
    assert len(storm.messages) <= windows * (AT_ONCE + 30_000 * WINDOW / BATCH + 1)


def test_zones_do_not_wait_for_each_other() -> None:
    storm = Storm()
    storm.notify(zone=ZONE)
    storm.notify(zone=OTHER)
    assert [row.zone for row in storm.rows] == [ZONE.hex(), OTHER.hex()]


def test_a_quiet_zone_waits_a_window_at_most_beside_a_storm_over_all_others() -> None:
    storm = Storm()
    for number in range(5000):
        storm.notify(zone_name(number))
    storm.notify(ZONE, serial=8)
    storm.loop.advance(WINDOW)
    assert NotifyRow(ZONE.hex(), PRIMARY, 8, 1) in storm.rows


def test_two_primaries_within_a_window_are_both_remembered() -> None:
    storm = Storm()
    for source in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        storm.notify(source=source, serial=3)
    storm.settle()
    assert [row.source for row in storm.rows] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_the_key_is_told_and_what_came_signed_is_not_mixed_with_what_did_not() -> None:
    storm = Storm()
    for serial, key in ((1, b"\x03one\x00"), (2, b"\x03one\x00"), (3, None), (4, b"\x03two\x00"), (5, None)):
        storm.notify(serial=serial, key=key)
    storm.settle()
    assert [(row.key, row.serial, row.times) for row in storm.rows] == [
        ("one", 1, 1), ("one", 2, 1), ("", 5, 2), ("two", 4, 1)
    ]  # fmt: skip


def test_of_one_primary_the_newest_serial_counts_not_the_last() -> None:
    """Datagrams overtake each other, and anyone can send one from the primary's address."""
    storm = Storm()
    for serial in (1, 2**32 - 1, 7, 3):
        storm.notify(serial=serial)
    storm.settle()
    assert storm.rows[-1] == NotifyRow(ZONE.hex(), PRIMARY, 7, 3)


def test_forged_sources_can_neither_fill_the_memory_nor_hide_the_primary() -> None:
    storm = Storm()
    for number in range(5000):
        storm.notify(source=f"10.0.{number // 256}.{number % 256}", serial=1)
    storm.notify(serial=9)
    storm.settle()
    assert len(storm.rows) == 1 + MAX_SOURCES + 1
    assert storm.rows[-1] == NotifyRow(ZONE.hex(), "", None, 5000 - MAX_SOURCES), "somebody else, who may have news"


def test_while_what_was_sent_is_not_read_nothing_is_added_to_it_and_nothing_is_lost() -> None:
    storm = Storm(unread=MOST_UNREAD + 1)
    for serial in range(1000):
        storm.notify(serial=serial)
        storm.loop.advance(1.0)
    assert storm.messages == []
    assert len(storm.loop.timers) == 1
    storm.unread = 0
    storm.settle()
    assert storm.rows == [NotifyRow(ZONE.hex(), PRIMARY, 999, 1000)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([zone_name(number) for number in range(3 * AT_ONCE)]),
            st.sampled_from([PRIMARY, "192.0.2.2"]),
            st.sampled_from([0.0, 0.001, WINDOW, 1.0]),
        ),
        max_size=200,
    )
)
def test_every_notify_is_told_of_within_a_window_and_counted_once(events: list[tuple[bytes, str, float]]) -> None:
    storm, came = Storm(), {}
    for serial, (zone, source, wait) in enumerate(events, start=1):
        storm.notify(zone, source, serial)
        came[zone.hex(), source] = serial, storm.loop.now
        storm.loop.advance(wait)
        for key, (newest, when) in came.items():
            told = any((row.zone, row.source, row.serial) == (*key, newest) for row in storm.rows)
            assert told or storm.loop.now < when + WINDOW + 1e-9
    storm.settle()
    assert sum(row.times for row in storm.rows) == len(events)
