"""The bench's pieces do what its figures rely on, and each scenario runs: on a scale that shows nothing."""

import math
import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import pytest
from bench import __main__ as bench
from bench import queries, report, worlds, zones
from bench.connections import Asker, messages
from bench.contestants import CONTESTANTS, OURS
from bench.datagrams import Datagrams
from bench.failed import Failed
from bench.lab import Lab, Sizes, serial_in
from bench.loads import read
from bench.scenario import Row, Scenario
from bench.scenarios import SCENARIOS
from bench.sweep import MISSES, Sweep
from support.ask import LOOPBACK
from support.peers import requires

TINY = Sizes(records=400, many_records=800, zones=5, queries=400, seconds=0.1, changes=5, spaced_changes=3)
DNSPERF_SAYS = """
  Queries sent:         1000
  Queries completed:    990 (99.00%)
  Queries lost:         10 (1.00%)

  Response codes:       NOERROR 890 (89.90%), NXDOMAIN 100 (10.10%)
  Run time (s):         0.500
"""
ROW = Row("cpu_us", "CPU", "µs", ("Knot", "NSD"), 1.25, 1.0)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    cores = os.sched_getaffinity(0)
    made = Lab(cores, cores, TINY, rest=0.1)
    yield made
    made.close()


@pytest.mark.interop
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_a_scenario_has_a_figure_for_each_of_its_rows(lab: Lab, scenario: Scenario):
    requires("named", "knotd", "dnsperf", "dnssec-signzone")
    scenario.prepare(lab)
    figures = scenario.run(lab, CONTESTANTS[0])
    assert all(figures[row.figure] >= 0 for row in scenario.rows)
    for name, rcodes in figures.items():
        if name.endswith("answers"):
            assert set(rcodes) == {"NXDOMAIN"} if scenario.name in ("nxdomain", "signed") else {"NOERROR", "NXDOMAIN"}


def test_a_ratio_is_taken_within_each_round_with_the_best_of_those_named():
    def rounds(*values: float) -> list[dict]:
        return [{"cpu_us": value} for value in values]

    found = {OURS: rounds(4, 8, 30), "Knot": rounds(2, 4, 10), "NSD": rounds(4, 2, 20), "BIND": rounds(1, 1, 1)}
    assert ROW.middle(found[OURS]) == 8
    assert ROW.ratio(found) == 3  # of 4/2, 8/2 and 30/10
    assert report.verdict(ROW, found) == "**3**"


def test_what_failed_or_was_not_run_leaves_gaps_and_is_said():
    scenario = SCENARIOS[0]
    row = scenario.rows[0]
    found = {OURS: [{"failed": "it ended\nits log"}], "Knot": [{row.figure: 3.0, "lost": 0.5}]}
    assert math.isnan(row.ratio(found))
    assert report.verdict(row, found) == "-"
    said = report.doubts({scenario: found})
    assert said == ["udp: nameserver failed: it ended", "udp: Knot left 50.0% unanswered (lost)"]
    assert "| 3 |" in report.table({scenario: found}, [OURS, "Knot"])


def test_other_answers_than_the_other_servers_are_said_but_for_chance():
    scenario = SCENARIOS[0]
    first = {"answers": {"NOERROR": 90_000, "NXDOMAIN": 10_000}}
    same, few = {"answers": {"NOERROR": 45_100, "NXDOMAIN": 4_900}}, {"answers": {"NOERROR": 85, "NXDOMAIN": 15}}
    other = {"answers": {"NOERROR": 85_000, "NXDOMAIN": 15_000}}
    assert report.doubts({scenario: {OURS: [first], "Knot": [same], "NSD": [few]}}) == []
    assert len(report.doubts({scenario: {OURS: [first], "Knot": [other]}})) == 1


def test_what_dnsperf_says_is_read():
    load = read(DNSPERF_SAYS)
    assert (load.sent, load.answered, load.seconds) == (1000, 990, 0.5)
    assert load.rcodes == {"NOERROR": 890, "NXDOMAIN": 100}


def test_the_mix_has_the_shares_it_says_and_zipf_repeats_itself():
    def asked(*, zipf: bool) -> list[str]:
        return [name for name, _ in queries.mix("mixed.test", 20_000, 10_000, zipf=zipf, seed=1)]

    uniform, zipf = asked(zipf=False), asked(zipf=True)
    for names in (uniform, zipf):
        assert sum(name.startswith("host") for name in names) == pytest.approx(8000, abs=300)
        assert sum(".sub" in name for name in names) == pytest.approx(500, abs=150)
        assert sum(".wild" in name for name in names) == pytest.approx(500, abs=150)
    assert len(set(zipf)) < 0.7 * len(set(uniform))
    assert uniform == asked(zipf=False)


def test_odd_messages_are_the_others_in_other_letters_and_with_cookies(tmp_path):
    def written(*, odd: bool) -> list[dns.message.Message]:
        path = tmp_path / f"{odd}"
        queries.write_messages(path, queries.random_names("mixed.test", 20, seed=1), odd=odd, seed=2)
        source = messages(path)
        return [dns.message.from_wire(next(source)[2:]) for _ in range(20)]

    plain, odd = written(odd=False), written(odd=True)
    assert [each.question for each in plain] == [each.question for each in odd]  # names compare without case
    assert any(one.question[0].to_text() != two.question[0].to_text() for one, two in zip(plain, odd, strict=True))
    assert not any(each.options for each in plain)
    assert len({each.options[0].to_wire() for each in odd}) == 20


def test_the_zones_have_as_many_records_as_they_say(lab: Lab):
    large = zones.large("large.test", TINY.many_records)
    assert zones.records_of(large) == worlds.large_records(lab)
    assert zones.records_of(large) == pytest.approx(TINY.many_records, abs=5)
    assert zones.records_of(zones.mixed("mixed.test", 100_000)) == pytest.approx(100_000, rel=0.02)
    assert zones.records_of(zones.small("small.test", 7)) == 10


def answering(count: int, answer) -> tuple[int, threading.Thread]:
    """The port of a server that answers so many datagrams, or connections."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOOPBACK, 0))

    def run() -> None:
        with sock:
            for _ in range(count):
                data, address = sock.recvfrom(512)
                for reply in answer(data):
                    sock.sendto(reply, address)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return sock.getsockname()[1], thread


def soa_reply(request: bytes, serial: int) -> bytes:
    """With names compressed, and uncompressed in the data."""
    rdata = b"\x02ns\0\0" + serial.to_bytes(4, "big") + bytes(16)
    record = b"\xc0\x0c\0\x06\0\x01\0\0\0\0" + len(rdata).to_bytes(2, "big") + rdata
    return request[:2] + b"\x84\0\0\x01\0\x01\0\0\0\0" + request[12:] + record


def test_the_serial_of_an_answer_is_read():
    request = b"\0\0\0\0\0\x01\0\0\0\0\0\0" + queries.wire_name("a.test") + b"\0\x06\0\x01"
    assert serial_in(soa_reply(request, 4711), len(request)) == 4711


def test_a_sweep_does_not_take_a_late_reply_for_anothers():
    """What is answered twice, and once to a question that was not put, counts once."""
    port, thread = answering(3, lambda data: [soa_reply(data, 7), soa_reply(data, 7), b"\xff\xff" + data[2:]])
    with Sweep(port) as sweep:
        sweep.until(["a.test", "b.test", "c.test"], 7, 5.0)
    thread.join(5)
    assert not thread.is_alive()


def test_a_sweep_gives_up_on_zones_that_stay_as_they_were():
    port, _ = answering(1, lambda data: [soa_reply(data, 6)])
    with Sweep(port) as sweep, pytest.raises(Failed, match="1 of 1 zones"):
        sweep.until(["a.test"], 7, 0.2)


def test_a_sweep_asks_a_server_on_its_way_about_a_few_zones_at_a_time():
    names = [f"zone{number}.test" for number in range(300)]
    questions: Counter[bytes] = Counter()

    def reply(data: bytes) -> list[bytes]:
        """The first hundred are there from the beginning, the others after three hundred questions."""
        questions[data[12:]] += 1
        there = int(data[17 : 13 + data[12]]) < 100 or questions.total() > 300
        return [soa_reply(data, 7 if there else 6)]

    port, _ = answering(10_000, reply)
    with Sweep(port) as sweep:
        sweep.until(names, 7, 20.0)
    assert len(questions) == 300
    assert sum(count > 1 for count in questions.values()) <= MISSES


def test_connections_count_whole_replies_alone():
    with socket.create_server((LOOPBACK, 0)) as server:

        def serve() -> None:
            for reply in (b"\0\x0c\0\0\x84\x03" + bytes(8), b"\0\x0c\0\0", b""):
                connection, _ = server.accept()
                with connection:
                    connection.recv(512)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        asker = Asker(server.getsockname()[1], iter([b"\0\x01x"] * 3))
        asker.turn(3)
        thread.join(5)
    assert asker.sent == 3
    assert dict(asker.rcodes) == {"NXDOMAIN": 1}


def test_datagrams_are_asked_with_ids_of_their_own_and_those_without_a_reply_are_lost(tmp_path):
    path, asked = tmp_path / "questions", []
    queries.write_messages(path, queries.random_names("mixed.test", 300, seed=1), dnssec=True)

    def reply(data: bytes) -> list[bytes]:
        asked.append(dns.message.from_wire(data))
        return [] if len(asked) == 1 else [data[:2] + b"\x84\x03" + data[4:]]

    port, _ = answering(1_000_000, reply)
    asker = Datagrams(port, path.read_bytes())
    while asker.answered < 400:
        asker.run(0.05, in_flight=64)
    asker.close()
    assert asker.lost == 1
    assert asker.sent == asker.answered + 1
    assert {kind & 15: count for kind, count in asker.kinds.items()} == {dns.rcode.NXDOMAIN: asker.answered}
    assert len({message.id for message in asked[:300]}) == len({message.question[0].name for message in asked}) == 300
    assert all(message.ednsflags & dns.flags.DO for message in asked)


@pytest.mark.parametrize(("option", "value"), [("--only", "udp,nothing"), ("--servers", "BIND,nobody")])
def test_a_name_that_is_not_known_is_said_with_those_that_are(option, value):
    with pytest.raises(SystemExit, match=r"there are .*(nameserver|udp)"):
        bench.chosen(bench.parsed([option, value]))
