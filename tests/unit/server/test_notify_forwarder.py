"""NOTIFYs on their way to the transfer process: the first at once, a storm as a trickle, no source forgotten."""

from collections.abc import Callable
from dataclasses import dataclass, field

from nameserver.query.exchange import NotifyReceived
from nameserver.server.notify_forwarder import MAX_SOURCES, NotifyForwarder

ZONE, OTHER = b"\x01a\x00", b"\x01b\x00"


@dataclass
class ManualLoop:
    """The one method of an event loop that is needed, its clock moved by hand."""

    now: float = 0.0
    timers: list[tuple[float, Callable[..., object], tuple[object, ...]]] = field(default_factory=list)

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> None:
        self.timers.append((self.now + delay, callback, args))

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := sorted((timer for timer in self.timers if timer[0] <= until), key=lambda timer: timer[0]):
            self.timers.remove(due[0])
            self.now = due[0][0]
            due[0][1](*due[0][2])
        self.now = until


@dataclass
class Storm:
    """A forwarder with its clock, and what it has sent."""

    loop: ManualLoop = field(default_factory=ManualLoop)
    sent: list[tuple[bytes, str, int | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.forwarder = NotifyForwarder(self.loop, lambda *message: self.sent.append(message), window=0.05)

    def notify(self, zone: bytes = ZONE, source: str = "192.0.2.1", serial: int | None = None) -> None:
        self.forwarder.received(NotifyReceived(zone, source, serial, None))


def test_the_first_is_passed_on_at_once() -> None:
    storm = Storm()
    storm.notify(serial=7)
    assert storm.sent == [(ZONE, "192.0.2.1", 7)]


def test_a_storm_of_twenty_thousand_in_a_second_is_passed_on_twenty_times() -> None:
    storm = Storm()
    for serial in range(20_000):
        storm.notify(serial=serial)
        storm.loop.advance(1 / 20_000)
    assert len(storm.sent) <= 21
    storm.loop.advance(1)
    assert storm.sent[-1] == (ZONE, "192.0.2.1", 19_999), "the last one counts"
    assert storm.loop.timers == [], "nothing goes on once the storm is over"


def test_two_primaries_within_a_window_are_both_remembered() -> None:
    storm = Storm()
    for source in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        storm.notify(source=source, serial=3)
    storm.loop.advance(0.05)
    assert [source for _, source, _ in storm.sent] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_forged_sources_cannot_fill_the_memory() -> None:
    storm = Storm()
    for number in range(5000):
        storm.notify(source=f"10.0.{number // 256}.{number % 256}")
    storm.loop.advance(0.05)
    assert len(storm.sent) == 1 + MAX_SOURCES


def test_zones_do_not_wait_for_each_other() -> None:
    storm = Storm()
    storm.notify(zone=ZONE)
    storm.notify(zone=OTHER)
    assert [zone for zone, _, _ in storm.sent] == [ZONE, OTHER]
