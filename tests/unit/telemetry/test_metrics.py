"""The exposition: right values, valid format, labels only from the configuration."""

import time
import tracemalloc
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.cpu import least_cpu_seconds
from support.statuses import HOSTILE, NOW, downstream, failing, paused, primary, server, snapshot, transfer, zone

from nameserver.errors import Reason
from nameserver.query.counters import COUNTERS
from nameserver.telemetry.events import CheckEvent, NotifyReceivedEvent, Outcome
from nameserver.telemetry.metrics import escape_label, iter_metrics, render_metrics
from nameserver.telemetry.status import Snapshot, WorkerStatus
from nameserver.telemetry.tally import Tally

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(taken: Snapshot) -> Samples:
    text = render_metrics(taken).decode()
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family must not be told twice"
    rows = [
        ((sample.name, tuple(sorted(sample.labels.items()))), sample.value)
        for family in families
        for sample in family.samples
    ]
    samples = dict(rows)
    assert len(samples) == len(rows), "a series must not be told twice"
    return samples


def labels(**given: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(given.items()))


def test_a_zone_has_its_serials_times_and_sizes() -> None:
    samples = scrape(snapshot(zone(primaries=(primary(serial=2026112102),))))
    here = labels(zone="example.com")
    assert samples["nameserver_zone_serial", here] == 2026112101
    assert samples["nameserver_zone_primary_serial", labels(zone="example.com", primary="primary-a")] == 2026112102
    assert samples["nameserver_zone_records", here] == 42
    assert samples["nameserver_zone_bytes", here] == 2048
    assert samples["nameserver_zone_last_success_timestamp_seconds", here] == NOW - 12
    assert samples["nameserver_zone_last_change_timestamp_seconds", here] == NOW - 3600
    assert samples["nameserver_zone_next_refresh_timestamp_seconds", here] == NOW + 250
    assert samples["nameserver_zone_expires_timestamp_seconds", here] == NOW + 604_800
    assert samples["nameserver_zone_queries_total", labels(zone="example.com", kind="normal")] == 1234
    assert samples["nameserver_zone_queries_total", labels(zone="example.com", kind="control")] == 7


def test_what_secondaries_were_sent_of_a_zone_is_counted_where_there_was_something() -> None:
    here = labels(zone="example.com")
    samples = scrape(snapshot(zone(axfr_sent=2, ixfr_sent=30, bytes_sent=4096)))
    assert samples["nameserver_zone_transfers_sent_total", labels(zone="example.com", kind="axfr")] == 2
    assert samples["nameserver_zone_transfers_sent_total", labels(zone="example.com", kind="ixfr")] == 30
    assert samples["nameserver_zone_transfer_sent_bytes_total", here] == 4096
    assert ("nameserver_zone_transfer_sent_bytes_total", here) not in scrape(snapshot(zone()))


def test_those_below_have_the_zones_they_lack_and_how_long_versions_took_to_them() -> None:
    edges = (
        downstream(),
        downstream(name="edge-2", label="edge-2", has_it=False),
        downstream(name="NS ns1.example.net", label="unnamed", via="ns", has_it=False),
        downstream(name="192.0.2.9", label="unnamed", via="transfer", has_it=False),
    )
    tally = Tally()
    tally.downstream_got("edge-1", [0.02, 0.3])
    tally.downstream_seen("edge-1", up=True)
    tally.downstream_seen("gone", up=False)
    tally.downstream_notify["edge-1", "ok", ""] += 2
    tally.forget_downstreams({"edge-1"})
    samples = scrape(snapshot(zone(downstreams=edges), zone(name="other.example", downstreams=edges[:1]), tally=tally))
    behind = "nameserver_downstream_zones_behind"
    assert [samples[behind, labels(secondary=each)] for each in ("edge-1", "edge-2", "unnamed")] == [0, 1, 1]
    assert samples["nameserver_zone_downstreams_behind", labels(zone="example.com")] == 2
    assert samples["nameserver_downstream_lag_seconds_count", labels(secondary="edge-1")] == 2
    assert samples["nameserver_downstream_lag_seconds_bucket", labels(secondary="edge-1", le="0.025")] == 1
    assert samples["nameserver_downstream_up", labels(secondary="edge-1")] == 1
    assert ("nameserver_downstream_up", labels(secondary="gone")) not in samples
    sent = labels(secondary="edge-1", outcome="ok", reason="")
    assert samples["nameserver_downstream_notify_total", sent] == 2


@pytest.mark.parametrize("serial", [0, 2**31 - 1, 2**31, 2**32 - 1])
def test_serials_are_exact(serial: int) -> None:
    assert scrape(snapshot(zone(serial=serial)))["nameserver_zone_serial", labels(zone="example.com")] == serial


def test_what_is_not_known_has_no_series() -> None:
    samples = scrape(snapshot(zone(serial=None, expires=None, last_success=None, primaries=())))
    names = {name for name, _ in samples}
    assert not names & {
        "nameserver_zone_serial",
        "nameserver_zone_expires_timestamp_seconds",
        "nameserver_zone_last_success_timestamp_seconds",
        "nameserver_zone_primary_serial",
        "nameserver_zones_earliest_expires_timestamp_seconds",
    }


def test_exactly_one_state_of_a_zone_is_1() -> None:
    samples = scrape(snapshot(zone(state="expired")))
    states = {dict(at)["state"]: value for (name, at), value in samples.items() if name == "nameserver_zone_state"}
    assert [state for state, value in states.items() if value] == ["expired"]
    assert len(states) == 8


def test_a_state_outside_the_vocabulary_makes_no_label() -> None:
    samples = scrape(snapshot(zone(state="made-up")))
    assert "made-up" not in str(samples)


def test_serial_backwards_shows_while_a_check_runs_too() -> None:
    here = ("nameserver_zone_serial_backwards", labels(zone="example.com"))
    assert scrape(snapshot(zone()))[here] == 0
    assert scrape(snapshot(zone(state="serial-backwards")))[here] == 1
    assert scrape(snapshot(zone(state="refreshing", last_reason=Reason.SERIAL_BACKWARDS)))[here] == 1


def test_the_server_tells_its_build_workers_zones_and_transfers() -> None:
    down = WorkerStatus(index=1, alive=False, restarts=4, zones_behind=2)
    status = server(
        workers=(WorkerStatus(index=0, alive=True), down),
        zones_by_state={"serving": 3, "expired": 1},
        transfers_in_progress={"in": 2},
        last_reload_ok=False,
    )
    samples = scrape(snapshot(zone(), server=status))
    build = next(dict(at) for name, at in samples if name == "nameserver_build_info")
    assert set(build) == {"version", "python", "dnspython", "loop"}
    assert samples["nameserver_worker_up", labels(worker="1")] == 0
    assert samples["nameserver_worker_restarts_total", labels(worker="1")] == 4
    assert samples["nameserver_worker_zones_behind", labels(worker="1")] == 2
    assert samples["nameserver_zones", labels(state="expired")] == 1
    assert samples["nameserver_zones", labels(state="retrying")] == 0
    assert samples["nameserver_transfers_in_progress", labels(direction="in")] == 2
    assert samples["nameserver_transfer_queue_length", labels(direction="out")] == 0
    assert samples["nameserver_config_last_reload_successful", ()] == 0
    assert samples["nameserver_config_last_reload_success_timestamp_seconds", ()] == NOW - 86_400
    assert samples["nameserver_zones_earliest_expires_timestamp_seconds", ()] == NOW + 604_800


def test_a_server_that_never_loaded_a_configuration_has_no_time_of_it() -> None:
    samples = scrape(snapshot(server=server(last_reload_success=None)))
    assert ("nameserver_config_last_reload_success_timestamp_seconds", ()) not in samples


def test_the_tally_becomes_counters_histograms_and_gauges() -> None:
    tally = Tally()
    tally.add(transfer())
    tally.add(transfer(outcome=Outcome.FAILED, reason=Reason.LIMIT_BYTES))
    tally.add(CheckEvent(at=NOW, zone="z", primary="a", outcome=Outcome.UP_TO_DATE))
    tally.primary_seen("a", up=True, skew=-31.5)
    tally.publish.observe(0.02)
    tally.notify_to_publish.observe(0.3)
    samples = scrape(snapshot(tally=tally))
    failed = labels(direction="in", requested="ixfr", got="ixfr", outcome="failed", reason="limit-bytes")
    assert samples["nameserver_transfers_total", failed] == 1
    assert samples["nameserver_soa_checks_total", labels(primary="a", outcome="up-to-date", reason="")] == 1
    kind = {"direction": "in", "kind": "ixfr"}
    assert samples["nameserver_transfer_duration_seconds_count", labels(**kind)] == 1
    assert samples["nameserver_transfer_bytes_sum", labels(**kind)] == 412
    assert samples["nameserver_transfer_bytes_bucket", labels(**kind, le="1024.0")] == 1
    assert samples["nameserver_transfer_bytes_bucket", labels(**kind, le="256.0")] == 0
    assert samples["nameserver_primary_clock_skew_seconds", labels(primary="a")] == -31.5
    assert samples["nameserver_primary_up", labels(primary="a")] == 1
    assert samples["nameserver_publish_duration_seconds_count", ()] == 1
    assert samples["nameserver_notify_to_publish_seconds_count", ()] == 1


def test_counters_of_the_query_path_pass_through_and_untouched_queries_are_left_out() -> None:
    rows = [
        ("nameserver_queries_total", {"transport": "udp", "type": "A"}, 5),
        ("nameserver_queries_total", {"transport": "udp", "type": "NAPTR"}, 0),
        ("nameserver_dropped_total", {"reason": "malformed"}, 0),
        ("nameserver_something_total", {}, 2),
    ]
    samples = scrape(snapshot(counters=rows))
    assert samples["nameserver_queries_total", labels(transport="udp", type="A")] == 5
    assert ("nameserver_queries_total", labels(transport="udp", type="NAPTR")) not in samples
    assert samples["nameserver_dropped_total", labels(reason="malformed")] == 0
    assert samples["nameserver_something_total", ()] == 2


def test_per_zone_series_can_be_switched_off() -> None:
    text = render_metrics(snapshot(zone(), per_zone_metrics=False)).decode()
    assert "example.com" not in text
    assert "nameserver_zones{" in text


@pytest.mark.parametrize("name", ['quo"te\\032.example', "back\\\\slash.example", "line\nfeed", "\\", '"', "{}\0"])
def test_odd_zone_names_keep_the_format_valid(name: str) -> None:
    samples = scrape(snapshot(zone(name=name), zone(name="plain.example")))
    assert samples["nameserver_zone_records", labels(zone=name)] == 42
    states = {dict(at)["zone"] for metric, at in samples if metric == "nameserver_zone_state"}
    assert states == {name, "plain.example"}


def test_nothing_off_the_wire_becomes_a_label() -> None:
    tally = Tally()
    for number in range(100):
        source = f"198.51.100.{number}"
        tally.add(NotifyReceivedEvent(at=NOW, zone=f"{number}{HOSTILE}", source=source, outcome=Outcome.REFUSED))
        tally.add(transfer(detail=f"{number}{HOSTILE}", address=source))
    broken = failing(last_detail=HOSTILE, primaries=(primary(last_detail=HOSTILE, address=HOSTILE),))
    text = render_metrics(snapshot(broken, tally=tally)).decode()
    assert "alert(" not in text
    assert "198.51.100" not in text
    assert len(tally.notify_received) == len(tally.transfers) == 1


def test_escaping_covers_what_the_format_needs() -> None:
    assert escape_label('a"b\\c\nd') == 'a\\"b\\\\c\\nd'


def test_a_large_scrape_comes_in_pieces_and_needs_little_memory() -> None:
    """With 2,000 zones no piece is more than a tenth or so of the whole, so the event loop turns in between."""
    zones = [zone(name=f"zone{number}.example") for number in range(2000)]
    taken = snapshot(*zones)
    tracemalloc.start()
    sizes = [len(piece) for piece in iter_metrics(taken)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(sizes) > 10
    assert peak < 2 * sum(sizes)


def test_a_scrape_of_ten_thousand_zones_holds_up_nobody() -> None:
    """F82: the loop turns between two pieces, none of which takes long, and all of them together under a second."""
    taken = snapshot(
        *(zone(name=f"zone{number}.example", primaries=(primary(serial=number),)) for number in range(10_000))
    )
    costs: list[float] = []
    pieces = iter_metrics(taken)
    while piece_cost := _cost(pieces):
        costs.append(piece_cost)
    assert sum(costs) < 1.5
    assert sorted(costs)[-3] < 0.03, "but for what the machine itself held up"
    without = snapshot(*taken.zones, per_zone_metrics=False)
    assert least_cpu_seconds(lambda: render_metrics(without)) < 0.05


def _cost(pieces: Iterator[bytes]) -> float:
    """CPU seconds of the next piece; 0 where there is none."""
    begun = time.process_time()
    if next(pieces, None) is None:
        return 0.0
    return max(time.process_time() - begun, 1e-9)


def test_counters_at_zero_exist_but_for_combinations_of_queries_that_never_came() -> None:
    """So that the first refusal is a rise from 0, which a rate sees."""
    counters = [(name.metric, name.labels, 0.0) for name in COUNTERS]
    taken = snapshot(counters=counters)
    samples = scrape(taken)
    names = {name for name, _ in samples}
    assert {"nameserver_responses_total", "nameserver_dropped_total"} <= names
    assert "nameserver_queries_total" not in names
    assert b"# TYPE nameserver_queries_total counter" in render_metrics(taken)
    for metric in ("nameserver_responses_total", "nameserver_dropped_total"):
        expected = {tuple(sorted(name.labels.items())) for name in COUNTERS if name.metric == metric}
        assert {at for name, at in samples if name == metric} == expected


def test_a_paused_zone_has_its_state_and_when_it_ends() -> None:
    samples = scrape(snapshot(paused(), zone()))
    here = labels(zone="paused.example")
    assert samples["nameserver_zone_state", labels(zone="paused.example", state="paused")] == 1
    assert samples["nameserver_zone_state", labels(zone="paused.example", state="serving")] == 0
    assert samples["nameserver_zone_pause_ends_timestamp_seconds", here] == NOW + 3000
    assert ("nameserver_zone_pause_ends_timestamp_seconds", labels(zone="example.com")) not in samples
