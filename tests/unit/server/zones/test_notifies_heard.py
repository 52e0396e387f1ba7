"""Which NOTIFYs a zone remembers."""

from nameserver.config.model import ZoneConfig
from nameserver.server.zones.entry import MOST_SENDERS, ZoneEntry
from nameserver.telemetry.events import NotifyReceivedEvent, Outcome
from nameserver.telemetry.status import ZoneStatus


def event(source: str, outcome: Outcome, at: float = 1.0) -> NotifyReceivedEvent:
    return NotifyReceivedEvent(at=at, zone="example.com", source=source, outcome=outcome)


def test_the_last_of_each_sender_is_kept_and_strangers_do_not_crowd_out_the_primary():
    entry = ZoneEntry(ZoneConfig(b"\7example\3com\0", "example.com"), None, {})
    entry.heard(event("192.0.2.1", Outcome.OK))
    for number in range(1000):
        entry.heard(event(f"198.51.100.{number}", Outcome.REFUSED))
    assert len(entry.notifies) == MOST_SENDERS
    assert entry.notifies["192.0.2.1"].outcome is Outcome.OK
    entry.heard(event("192.0.2.1", Outcome.IGNORED, 2.0))
    assert (entry.notifies["192.0.2.1"].at, len(entry.notifies)) == (2.0, MOST_SENDERS)


def test_they_are_in_the_status_and_come_back_from_it():
    status = ZoneStatus(name="example.com", notifies=(event("192.0.2.1", Outcome.REFUSED),))
    assert ZoneStatus.from_json(status.to_json()) == status
