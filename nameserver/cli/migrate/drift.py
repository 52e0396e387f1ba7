"""The metrics of `migrate compare --watch`: how far two servers are apart, and since when nobody could tell."""

from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, start_http_server, write_to_textfile

from nameserver.migrate.asking.servers import Server
from nameserver.migrate.report import Report

_LABELS = ("zone", "peer")


class DriftMetrics:
    """Gauges of one comparison. Raises OSError where the file cannot be written or the address is taken, ValueError for
    a name where an address of ours is wanted.
    """

    def __init__(self, zone: str, peer: str, file: Path | None, address: Server | None) -> None:
        self._file = file
        self._registry = CollectorRegistry()
        self._differences = Gauge(
            "nameserver_parity_differences",
            "Records that differ between the two servers.",
            _LABELS,
            registry=self._registry,
        ).labels(zone, peer)
        self._last_success = Gauge(
            "nameserver_parity_last_success_timestamp_seconds",
            "When the two servers were last found to be the same.",
            _LABELS,
            registry=self._registry,
        ).labels(zone, peer)
        self._last_compared = Gauge(
            "nameserver_parity_last_compared_timestamp_seconds",
            "When the two servers could last be compared.",
            _LABELS,
            registry=self._registry,
        ).labels(zone, peer)
        if address is not None and address.endpoint is None:
            raise ValueError(f"{address} is a name: expected an address of ours with a port, as 127.0.0.1:9531")
        if address is not None and address.endpoint is not None:
            start_http_server(address.endpoint.port, address.endpoint.host, registry=self._registry)

    def note(self, report: Report, now: float) -> None:
        """A comparison ended; `now` in seconds since 1970."""
        if not report.unreachable:
            facts = report.facts
            self._differences.set(facts["only_old"] + facts["only_new"] + facts["ttl_only"] + facts["soa_differs"])
            self._last_compared.set(now)
        if report.exit_code == 0:
            self._last_success.set(now)
        if self._file is not None:
            write_to_textfile(str(self._file), self._registry)
