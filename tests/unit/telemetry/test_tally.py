"""Counting events."""

import pytest
from support.statuses import NOW, transfer

from nameserver.errors import Reason
from nameserver.telemetry.events import CheckEvent, Kind, NotifyReceivedEvent, NotifySentEvent, Outcome
from nameserver.telemetry.tally import Histogram, Tally


def test_a_whole_transfer_is_counted_and_measured() -> None:
    tally = Tally()
    tally.add(transfer())
    tally.add(transfer(seconds=3.0))
    assert tally.transfers == {("in", "ixfr", "ixfr", "ok", ""): 2}
    assert sum(tally.transfer_durations["in", "ixfr"].counts) == 2
    assert tally.transfer_sizes["in", "ixfr"].sum == 824


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": Outcome.FAILED, "reason": Reason.CLOSED_EARLY, "got": Kind.AXFR},
        {"outcome": Outcome.UP_TO_DATE, "got": Kind.NONE},
        {"outcome": Outcome.OK, "got": Kind.NONE},
    ],
)
def test_only_whole_transfers_are_measured(changes: dict[str, object]) -> None:
    tally = Tally()
    tally.add(transfer(**changes))
    assert sum(tally.transfers.values()) == 1
    assert not tally.transfer_durations


def test_checks_and_notifies_are_counted_by_outcome_and_reason() -> None:
    tally = Tally()
    tally.add(CheckEvent(at=NOW, zone="z", primary="a", outcome=Outcome.FAILED, reason=Reason.REFUSED))
    tally.add(NotifyReceivedEvent(at=NOW, zone="anything off the wire", source="192.0.2.9", outcome=Outcome.REFUSED))
    tally.add(NotifySentEvent(at=NOW, zone="z", target="b"))
    assert tally.soa_checks == {("a", "failed", "refused"): 1}
    assert tally.notify_received == {("refused", ""): 1}
    assert tally.notify_sent == {("ok", ""): 1}


def test_a_primary_that_is_no_longer_configured_leaves_no_gauge() -> None:
    tally = Tally()
    tally.primary_seen("a", up=True, skew=-2.5)
    tally.primary_seen("a", up=False)
    assert (tally.primary_up, tally.primary_skew) == ({"a": False}, {"a": -2.5})
    tally.forget_primary("a")
    tally.forget_primary("never there")
    assert not tally.primary_up
    assert not tally.primary_skew


def test_a_histogram_counts_into_inclusive_cumulative_buckets() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 99.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert histogram.sum == 102.0
