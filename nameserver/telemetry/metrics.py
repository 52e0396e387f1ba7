"""The metrics, made at the moment of a scrape from a `Snapshot`.

Two ways to the same format, by number of series:

    what there is once, or per remote    MetricsCollector ─▶ prometheus_client ─▶ text
    what there is per zone               text at once, a family after the other

Why: prometheus_client makes an object and several function calls of each sample, some 5 µs. 10,000 zones have 200,000
samples; a second of scrape in the process that runs the refresh machine is too much. As f-strings the same is a tenth
of that, and `iter_metrics` gives it family by family so that the event loop turns in between.

Label values are names from the configuration and members of closed sets. Nothing off the wire ever becomes one.
"""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import dns.version
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from nameserver.errors import Reason
from nameserver.telemetry.status import ZONE_STATES, CounterRow, Snapshot, ZoneStatus
from nameserver.telemetry.tally import Histogram, Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTER_HELP = {
    "nameserver_queries_total": "Requests received, by transport, address family, opcode and type.",
    "nameserver_responses_total": "Responses sent, by RCODE, transport and whether truncated.",
    "nameserver_dropped_total": "Requests dropped without an answer, by reason.",
    "nameserver_send_errors_total": "Replies over UDP that the system did not take, by its error.",
    "nameserver_internal_errors_total": "Faults of our own that were survived; the log has each kind once a minute.",
    "nameserver_rate_limited_total": "Answers over UDP that a rate limit held back, by what became of them.",
    "nameserver_tls_handshakes_total": "TLS handshakes of clients that ended, by how.",
    "nameserver_tcp_connections_total": "TCP connections taken, turned away, and cut off by us, by why.",
}
# Slots of this one are many and mostly untouched; a combination that never came has no series.
_SPARSE = "nameserver_queries_total"

_SLICE = 500  # zones in a piece of the exposition
_Labels = TypeVar("_Labels", bound=tuple[str, ...])  # a family's label values, in the order of its label names

_process = CollectorRegistry(auto_describe=False)
ProcessCollector(registry=_process)


class MetricsCollector(Collector):
    """Everything that is not per zone, as prometheus_client's families."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Every family, from the snapshot given."""
        yield from self._server()
        yield from self._workers()
        yield from _counter_families(self._snapshot.counters)
        yield from _tally_families(self._snapshot.tally)

    def _server(self) -> Iterator[Metric]:
        server = self._snapshot.server
        yield _gauge(
            "nameserver_build_info",
            "What runs here; always 1.",
            {(server.version, platform.python_version(), dns.version.version, server.event_loop): 1},
            ("version", "python", "dnspython", "loop"),
        )
        yield _gauge("nameserver_start_timestamp_seconds", "When the server started.", {(): server.started})
        yield _gauge(
            "nameserver_config_last_reload_successful",
            "Whether the last load of the configuration succeeded.",
            {(): server.last_reload_ok},
        )
        if server.last_reload_success is not None:
            yield _gauge(
                "nameserver_config_last_reload_success_timestamp_seconds",
                "When a configuration was last loaded with success.",
                {(): server.last_reload_success},
            )
        text = "Whether the state directory takes writes, as far as is known; what is held is served without."
        yield _gauge("nameserver_store_up", text, {(): float(server.store_up)})
        states = {(state,): float(server.zones_by_state.get(state, 0)) for state in ZONE_STATES}
        yield _gauge("nameserver_zones", "Zones by state.", states, ("state",))
        behind: Counter[tuple[str]] = Counter()
        for zone in self._snapshot.zones:
            for each in zone.downstreams:
                behind[(each.label,)] += each.is_told and not each.has_it
        text = "Zones of which the server below us is not known to have the present version."
        yield _gauge("nameserver_downstream_zones_behind", text, behind, ("secondary",))
        expiries = [zone.expires for zone in self._snapshot.zones if zone.expires is not None]
        if expiries:
            yield _gauge(
                "nameserver_zones_earliest_expires_timestamp_seconds",
                "The earliest time at which any zone expires unless its primary is reached.",
                {(): min(expiries)},
            )
        if server.certificates:
            yield _gauge(
                "nameserver_tls_certificate_expires_timestamp_seconds",
                'When a certificate that we show ends: "server" to clients, "tls.NAME" to remotes.',
                {(name,): ends for name, ends in server.certificates.items()},
                ("certificate",),
            )
        for name, text, values in (
            ("nameserver_transfers_in_progress", "Transfers running now.", server.transfers_in_progress),
            ("nameserver_transfer_queue_length", "Transfers waiting for a place.", server.transfer_queue_length),
        ):
            by_direction = {(direction,): float(values.get(direction, 0)) for direction in ("in", "out")}
            yield _gauge(name, text, by_direction, ("direction",))

    def _workers(self) -> Iterator[Metric]:
        workers = self._snapshot.server.workers
        alive = {(str(worker.index),): float(worker.alive) for worker in workers}
        yield _gauge("nameserver_worker_up", "Whether the worker answers queries.", alive, ("worker",))
        behind = {(str(worker.index),): float(worker.zones_behind) for worker in workers}
        text = "Zones whose newest version the worker does not answer yet."
        yield _gauge("nameserver_worker_zones_behind", text, behind, ("worker",))
        restarts = {(str(worker.index),): float(worker.restarts) for worker in workers}
        yield _counter("nameserver_worker_restarts_total", "Restarts of the worker.", restarts, ("worker",))


def _gauge(name: str, text: str, values: Mapping[_Labels, float], labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, float(value))
    return family


def _counter(name: str, text: str, values: Mapping[_Labels, float], labels: tuple[str, ...]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str, values: Mapping[_Labels, Histogram], labels: tuple[str, ...]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value.buckets(), value.sum)
    return family


def _counter_families(rows: Iterable[CounterRow]) -> Iterator[Metric]:
    """The query path's counters, those at zero included (but of `_SPARSE`, which then has its head at least).

    Rows of one metric have the same label names in the same order.
    """
    families: dict[str, CounterMetricFamily] = {}
    for metric, labels, value in rows:
        family = families.get(metric)
        if family is None:
            text = _COUNTER_HELP.get(metric, "A counter of the query path.")
            family = families[metric] = CounterMetricFamily(metric, text, labels=tuple(labels))
        if value or metric != _SPARSE:
            family.add_metric(tuple(labels.values()), float(value))
    yield from families.values()


def _tally_families(tally: Tally) -> Iterator[Metric]:
    outcome = ("outcome", "reason")
    yield _counter(
        "nameserver_soa_checks_total",
        "SOA queries to primaries, by how they ended.",
        tally.soa_checks,
        ("primary", *outcome),
    )
    yield _counter(
        "nameserver_transfers_total",
        "Zone transfers, by what was asked, what came and how they ended.",
        tally.transfers,
        ("direction", "requested", "got", *outcome),
    )
    yield _counter("nameserver_notify_received_total", "NOTIFY messages received.", tally.notify_received, outcome)
    yield _counter("nameserver_notify_sent_total", "NOTIFY messages sent.", tally.notify_sent, outcome)
    yield _counter(
        "nameserver_downstream_notify_total",
        "NOTIFYs that a server below us has confirmed, or that were given up.",
        tally.downstream_notify,
        ("secondary", *outcome),
    )
    by_secondary = ("secondary",)
    text = "From our publication of a version until a server below us has it."
    got = {(secondary,): histogram for secondary, histogram in tally.downstream_lag.items()}
    yield _histogram("nameserver_downstream_lag_seconds", text, got, by_secondary)
    heard = {(secondary,): float(up) for secondary, up in tally.downstream_up.items()}
    text = "Whether the server below us answered the last NOTIFY or check."
    yield _gauge("nameserver_downstream_up", text, heard, by_secondary)
    kind = ("direction", "kind")
    yield _histogram(
        "nameserver_transfer_duration_seconds", "How long whole transfers took.", tally.transfer_durations, kind
    )
    yield _histogram("nameserver_transfer_bytes", "Size of whole transfers.", tally.transfer_sizes, kind)
    yield _histogram(
        "nameserver_notify_to_publish_seconds",
        "From a NOTIFY until every worker answers the new version.",
        {(): tally.notify_to_publish},
        (),
    )
    yield _histogram(
        "nameserver_publish_duration_seconds",
        "From the commit of a new version until every worker answers it.",
        {(): tally.publish},
        (),
    )
    lags = {(process,): histogram for process, histogram in tally.loop_lag.items()}
    text = "How late the event loop of a process was, by ticks of 0.1 s; what held it up is in the log above 0.1 s."
    yield _histogram("nameserver_event_loop_lag_seconds", text, lags, ("process",))
    faults = {(fault,): count for fault, count in tally.store_errors.items()}
    text = "Reads and writes of the state directory that failed, by what was wrong with it."
    yield _counter("nameserver_store_errors_total", text, faults, ("fault",))
    skews = {(primary,): skew for primary, skew in tally.primary_skew.items()}
    text = "The primary's clock minus ours, from its last signed reply."
    yield _gauge("nameserver_primary_clock_skew_seconds", text, skews, ("primary",))
    ends = {(primary,): when for primary, when in tally.primary_certificate.items()}
    text = "When the certificate ends that the primary showed last."
    yield _gauge("nameserver_primary_certificate_expires_timestamp_seconds", text, ends, ("primary",))
    ups = {(primary,): float(up) for primary, up in tally.primary_up.items()}
    yield _gauge("nameserver_primary_up", "Whether the primary answered the last exchange.", ups, ("primary",))


# ---- per zone ----

Value = Callable[[ZoneStatus], float | int | None]

_ZONE_GAUGES: tuple[tuple[str, str, Value], ...] = (
    ("serial", "SOA serial that is served.", lambda zone: zone.serial),
    ("records", "Records in the zone.", lambda zone: zone.records),
    ("bytes", "Bytes of the zone's packed nodes.", lambda zone: zone.size),
    ("serial_backwards", "Whether the primaries have a lower serial than is held here.", lambda zone: _backwards(zone)),
    ("last_success_timestamp_seconds", "Last check or transfer that succeeded.", lambda zone: zone.last_success),
    ("last_change_timestamp_seconds", "When the served version was published.", lambda zone: zone.last_change),
    ("next_refresh_timestamp_seconds", "When the next check is due.", lambda zone: zone.next_refresh),
    ("expires_timestamp_seconds", "When the zone expires if no check succeeds.", lambda zone: zone.expires),
    ("pause_ends_timestamp_seconds", "When the zone is answered again that is paused.", lambda zone: _pause_ends(zone)),
)


def _backwards(zone: ZoneStatus) -> int:
    return int(zone.state == "serial-backwards" or zone.last_reason == Reason.SERIAL_BACKWARDS)


def _pause_ends(zone: ZoneStatus) -> float | None:
    return None if zone.pause is None else zone.pause.until


def escape_label(value: str) -> str:
    r"""A label value as the exposition format wants it: backslash, quote and line feed escaped."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _head(name: str, kind: str, text: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


Labelled = tuple[str, ZoneStatus]  # 'zone="NAME"', escaped, and the zone


def _zone_families() -> Iterator[tuple[str, Callable[[Labelled], str]]]:
    """Each family that has series per zone: its head, and what makes the lines of one zone."""
    for suffix, text, value_of in _ZONE_GAUGES:
        name = f"nameserver_zone_{suffix}"
        yield _head(name, "gauge", text), _gauge_line(name, value_of)
    yield _head("nameserver_zone_state", "gauge", "The zone's state; 1 for the one it is in."), _state_lines
    text = "Queries for the zone; control: SOA and transfers, as peers ask."
    yield _head("nameserver_zone_queries_total", "counter", text), _query_lines
    text = "Transfers of the zone to secondaries, by what they were; of zones of which there were any."
    yield _head("nameserver_zone_transfers_sent_total", "counter", text), _sent_lines
    text = "Octets of transfers of the zone to secondaries."
    yield _head("nameserver_zone_transfer_sent_bytes_total", "counter", text), _sent_bytes_line
    text = "Servers below us that are told of the zone and not known to have its present version."
    yield _head("nameserver_zone_downstreams_behind", "gauge", text), _downstream_lines
    yield _head("nameserver_zone_primary_serial", "gauge", "SOA serial last seen at the primary."), _primary_lines


def _gauge_line(name: str, value_of: Value) -> Callable[[Labelled], str]:
    def line(labelled: Labelled) -> str:
        value = value_of(labelled[1])
        return "" if value is None else f"{name}{{{labelled[0]}}} {_number(value)}\n"

    return line


def _state_template(current: str) -> str:
    """All states of a zone in one, with the zone's label still missing."""
    return "".join(f'nameserver_zone_state{{\0,state="{state}"}} {int(state == current)}\n' for state in ZONE_STATES)


_STATES = {state: _state_template(state) for state in ZONE_STATES}
_NO_STATE = _state_template("")


def _state_lines(labelled: Labelled) -> str:
    return _STATES.get(labelled[1].state, _NO_STATE).replace("\0", labelled[0])


def _query_lines(labelled: Labelled) -> str:
    label, zone = labelled
    name = "nameserver_zone_queries_total"
    return f'{name}{{{label},kind="normal"}} {zone.queries}\n{name}{{{label},kind="control"}} {zone.control_queries}\n'


def _sent_lines(labelled: Labelled) -> str:
    label, zone = labelled
    if not zone.bytes_sent:
        return ""
    name = "nameserver_zone_transfers_sent_total"
    return f'{name}{{{label},kind="axfr"}} {zone.axfr_sent}\n{name}{{{label},kind="ixfr"}} {zone.ixfr_sent}\n'


def _sent_bytes_line(labelled: Labelled) -> str:
    label, zone = labelled
    return f"nameserver_zone_transfer_sent_bytes_total{{{label}}} {zone.bytes_sent}\n" if zone.bytes_sent else ""


def _downstream_lines(labelled: Labelled) -> str:
    label, zone = labelled
    told = [each for each in zone.downstreams if each.is_told]
    if not told:
        return ""
    return f"nameserver_zone_downstreams_behind{{{label}}} {sum(not each.has_it for each in told)}\n"


def _primary_lines(labelled: Labelled) -> str:
    label, zone = labelled
    return "".join(
        f'nameserver_zone_primary_serial{{{label},primary="{escape_label(primary.name)}"}} {primary.serial}\n'
        for primary in zone.primaries
        if primary.serial is not None
    )


def iter_metrics(snapshot: Snapshot) -> Iterator[bytes]:
    """The whole exposition in pieces, each a millisecond or two of work and at most some 300 KiB."""
    yield generate_latest(MetricsCollector(snapshot)) + generate_latest(_process)
    if not snapshot.per_zone_metrics:
        return
    zones = snapshot.zones
    slices = [
        [(f'zone="{escape_label(zone.name)}"', zone) for zone in zones[start : start + _SLICE]]
        for start in range(0, len(zones), _SLICE)
    ]
    for head, lines_of in _zone_families():
        yield head.encode()
        for each in slices:
            yield "".join(map(lines_of, each)).encode()


def render_metrics(snapshot: Snapshot) -> bytes:
    """The whole exposition (content type `CONTENT_TYPE`)."""
    return b"".join(iter_metrics(snapshot))
