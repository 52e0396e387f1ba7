"""Faults of our own in a running daemon: one answer is lost, or a second; nothing else."""

from collections.abc import Iterator

import dns.opcode
import dns.rcode
import pytest
from support.injected import ANSWERING, inject
from support.pair import Own, ask_udp, connect, frames, question, read_frame
from support.zones import small_zone_text

ZONE = "zone.example"


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Own]:
    with Own(settings={"event-loop": f'"{request.param}"'}) as ours:
        (ours.directory / "zone").write_text(small_zone_text(ZONE, 1))
        ours.zone_table(ZONE, type='"primary"', file='"zone"')
        ours.remote("other", ours.port)
        ours.zone_table("held.example", primaries='["other"]')
        ours.environment = inject(ours.directory, ANSWERING)
        ours.start(wait_ready=False)
        ours.wait(lambda: ours.zone(ZONE).get("workers_serving") == 1, what="the zone")
        yield ours
        ours.stop()


def rcode_of(ours: Own, name: str, kind: str) -> str:
    wire = question(f"{name}.{ZONE}", "DS")  # a type that always takes the pipeline
    if kind == "udp":
        return dns.rcode.to_text(ask_udp("127.0.0.1", ours.port, wire)[0].rcode())
    with connect(ours.port) as connection:
        connection.sendall(frames(wire))
        return dns.rcode.to_text(read_frame(connection)[3] & 15)


@pytest.mark.parametrize("name", ["break", "reply"])
@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_fault_in_answering_is_servfail_counted_and_told_once(server: Own, name: str, kind: str) -> None:
    """F75: in the lookup, and in the rendering of what it gave."""
    counter = 'nameserver_internal_errors_total{process="worker",where="query"}'
    (worker,), before = server.workers_pids(), server.metrics()[counter]
    for _ in range(20):
        assert rcode_of(server, name, kind) == "SERVFAIL"
        assert rcode_of(server, "ns1", kind) == "NOERROR"
    assert server.metrics()[counter] == before + 20
    assert server.workers_pids() == [worker]
    assert server.log.count("RuntimeError: broken on purpose") <= 1
    assert server.log.count("answering a request over") <= 2


def test_a_fault_in_a_callback_is_counted_and_the_process_goes_on(server: Own) -> None:
    """F75: here in what passes a NOTIFY on, called by the loop."""
    counter = 'nameserver_internal_errors_total{process="worker",where="callback"}'
    (worker,), before = server.workers_pids(), server.metrics()[counter]
    notify = dns.message.make_query("held.example", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    for _ in range(10):
        assert ask_udp("127.0.0.1", server.port, notify.to_wire())[0].rcode() == 0
    server.wait(lambda: server.metrics()[counter] == before + 10, what="the faults to be counted")
    assert rcode_of(server, "ns1", "udp") == "NOERROR"
    assert server.workers_pids() == [worker]
    assert server.log.count("RuntimeError: callback broken on purpose") == 1


def test_a_loop_that_stood_still_is_measured_and_what_held_it_up_is_named(server: Own) -> None:
    """F78."""
    name = 'nameserver_event_loop_lag_seconds_bucket{le="0.25",process="worker-0"}'
    total = 'nameserver_event_loop_lag_seconds_count{process="worker-0"}'

    def slow() -> float:
        metrics = server.metrics()
        return metrics[total] - metrics[name]

    server.wait(lambda: total in server.metrics(), what="the first heart-beat")
    before = slow()
    assert rcode_of(server, "stall", "udp") in ("NOERROR", "NXDOMAIN")
    server.wait(lambda: slow() > before, what="the lag to be counted")
    server.wait(lambda: "the event loop stood still for" in server.log, what="the warning")
    assert "in nameserver.query.pipeline:" in server.log
    assert 'nameserver_event_loop_lag_seconds_count{process="transfer"}' in server.metrics()
