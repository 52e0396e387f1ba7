"""Counts of what happened, kept as plain dicts and lists between two scrapes.

Why not prometheus_client's own counters: they lock and look labels up at each step, and a scrape that reads plain
values can be rendered by whoever asks (`metrics` is the only module that knows the exposition format).
Every label is a name from the configuration or a member of a closed enum, so the number of series is bounded by both.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Iterable

from nameserver.telemetry.events import (
    CheckEvent,
    Kind,
    NotifyReceivedEvent,
    NotifySentEvent,
    Outcome,
    TransferEvent,
)

DURATION_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
SIZE_BOUNDS = tuple(float(4**power) for power in range(4, 16))  # 256 B … 1 GiB
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
DELAY_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Histogram:
    """Counts per bucket. `bounds` are inclusive upper bounds, ascending; one more bucket takes the rest."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def to_json(self) -> list[float]:
        """The sum, then the counts."""
        return [self.sum, *self.counts]

    def merge(self, data: list[float]) -> None:
        """Add what `to_json` gave of one with the same bounds."""
        self.sum += data[0]
        self.counts = [have + int(more) for have, more in zip(self.counts, data[1:], strict=True)]

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as the exposition format wants them; the last bound is "+Inf"."""
        total = 0
        rows: list[tuple[str, float]] = []
        for bound, count in zip((*map(repr, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            rows.append((bound, float(total)))
        return rows


class Tally:
    """Everything counted outside the query path. `add` takes any event; the rest is measured by the server."""

    def __init__(self) -> None:
        self.soa_checks: defaultdict[tuple[str, str, str], int] = defaultdict(int)  # primary, outcome, reason
        # direction, requested, got, outcome, reason
        self.transfers: defaultdict[tuple[str, str, str, str, str], int] = defaultdict(int)
        self.notify_received: defaultdict[tuple[str, str], int] = defaultdict(int)  # outcome, reason
        self.notify_sent: defaultdict[tuple[str, str], int] = defaultdict(int)  # outcome, reason
        self.downstream_notify: defaultdict[tuple[str, str, str], int] = defaultdict(int)  # secondary, outcome, reason
        self.downstream_lag: dict[str, Histogram] = {}  # secondary → from our publication until it has the version
        self.downstream_up: dict[str, bool] = {}  # secondary → whether it answered the last NOTIFY or check
        self.transfer_durations: dict[tuple[str, str], Histogram] = {}  # direction, kind
        self.transfer_sizes: dict[tuple[str, str], Histogram] = {}  # direction, kind
        self.notify_to_publish = Histogram(DELAY_BOUNDS)  # NOTIFY in → every live worker answers the new version
        self.publish = Histogram(DELAY_BOUNDS)  # committed → every live worker answers the new version
        self.loop_lag: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(LAG_BOUNDS))  # by process
        self.internal_errors: defaultdict[str, int] = defaultdict(
            int
        )  # where → faults survived in the transfer process
        self.store_errors: defaultdict[str, int] = defaultdict(int)  # fault → calls that failed for it
        self.primary_skew: dict[str, float] = {}  # primary → its clock minus ours, seconds
        self.primary_certificate: dict[str, float] = {}  # primary → when the certificate ends that it showed last
        self.primary_up: dict[str, bool] = {}  # primary → whether the last exchange got an answer

    def add(self, event: TransferEvent | CheckEvent | NotifyReceivedEvent | NotifySentEvent, times: int = 1) -> None:
        """Count an event that happened once, or `times` times."""
        reason = event.reason or ""
        match event:
            case TransferEvent():
                self._add_transfer(event, reason, times)
            case CheckEvent():
                self.soa_checks[event.primary, event.outcome, reason] += times
            case NotifyReceivedEvent():
                self.notify_received[event.outcome, reason] += times
            case NotifySentEvent():
                self.notify_sent[event.outcome, reason] += times

    def _add_transfer(self, event: TransferEvent, reason: str, times: int) -> None:
        self.transfers[event.direction, event.asked, event.got, event.outcome, reason] += times
        if event.outcome is not Outcome.OK or event.got is Kind.NONE:
            return  # the histograms are about what a whole transfer costs
        kind = (event.direction, event.got)
        if kind not in self.transfer_durations:
            self.transfer_durations[kind] = Histogram(DURATION_BOUNDS)
            self.transfer_sizes[kind] = Histogram(SIZE_BOUNDS)
        self.transfer_durations[kind].observe(event.seconds)
        self.transfer_sizes[kind].observe(event.bytes)

    def internal_error(self, where: str) -> None:
        """The transfer process survived a fault of its own."""
        self.internal_errors[where] += 1

    def primary_seen(
        self, primary: str, *, up: bool, skew: float | None = None, certificate: float | None = None
    ) -> None:
        """An exchange with a primary ended: did it answer at all (`up`), and how far is its clock from ours.

        `certificate`: when the one ends that it showed, where it did.
        """
        self.primary_up[primary] = up
        if certificate is not None:
            self.primary_certificate[primary] = certificate
        if skew is not None:
            self.primary_skew[primary] = skew

    def downstream_seen(self, secondary: str, *, up: bool) -> None:
        """A NOTIFY to a server below us, or a check with it, was answered, or was not."""
        self.downstream_up[secondary] = up

    def downstream_got(self, secondary: str, lags: Iterable[float]) -> None:
        """A server below us has got some publications, each so many seconds after it was published."""
        for lag in lags:
            self.downstream_lag.setdefault(secondary, Histogram(DELAY_BOUNDS)).observe(lag)

    def forget_downstreams(self, known: Container[str]) -> None:
        """Remotes left the configuration: what is a state of theirs ends."""
        for secondary in [each for each in self.downstream_up if each not in known]:
            del self.downstream_up[secondary]

    def forget_primary(self, primary: str) -> None:
        """A remote left the configuration: its gauges end (its counters stay: a counter never goes back)."""
        self.primary_up.pop(primary, None)
        self.primary_skew.pop(primary, None)
        self.primary_certificate.pop(primary, None)
