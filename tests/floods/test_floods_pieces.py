"""The floods' pieces do what the figures rely on: they count rightly, send what they say, and end by themselves."""

import math
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator

import dns.message
import dns.opcode
import dns.rcode
import pytest
from bench import bench_floods
from floods import notify_sender
from floods.contestants import CONTESTANTS
from floods.crowd import Crowd, members
from floods.primary import AXFR, IXFR, SOA, CountingPrimary, notify
from floods.prober import PATIENCE, TcpProbe, UdpProbe, question
from support import ask, tables
from support.ask import LOOPBACK
from support.own_server import own_server
from support.process import processes_of_group
from support.usage import Watch
from support.wait import wait_for
from support.zones import zone_text

ZONE = "storm.test"


@pytest.fixture
def primary() -> Iterator[CountingPrimary]:
    with CountingPrimary(ZONE, "other.test") as server:
        yield server


def test_the_primary_serves_its_zones_and_counts_who_asks_for_what(primary):
    begin = time.monotonic()
    assert ask.serial(primary.port, ZONE) == 1
    whole = ask.transfer(primary.port, ZONE)
    assert whole[0] == whole[-1] and whole[0].rdtype == "SOA" and len(whole) == 7
    assert primary.count(ZONE, begin, time.monotonic()) == {"soa": 1, "transfers": 1}
    assert primary.count("other.test", begin, time.monotonic()) == {"soa": 0, "transfers": 0}
    assert [each.rdtype for each in primary.asked] == [SOA, AXFR]


def test_the_primary_answers_ixfr_with_one_soa_unless_there_is_a_newer_version(primary):
    assert [each.rdtype for each in ask.transfer(primary.port, ZONE, since=1)] == ["SOA"]
    assert primary.publish(ZONE) == primary.serial(ZONE) == 2
    assert len(ask.transfer(primary.port, ZONE, since=1)) == 7
    assert [each.rdtype for each in primary.asked] == [IXFR, IXFR]


def test_the_primary_refuses_what_it_has_not(primary):
    assert ask.query(primary.port, "elsewhere.test", "SOA").rcode() == dns.rcode.REFUSED


def test_a_notify_of_the_storm_is_one():
    message = dns.message.from_wire(notify(ZONE))
    assert message.opcode() == dns.opcode.NOTIFY
    assert [(each.name.to_text(), each.rdtype) for each in message.question] == [(f"{ZONE}.", SOA)]
    assert not message.answer


def test_a_notify_that_names_a_serial_has_the_soa_in_it():
    message = dns.message.from_wire(notify(ZONE, 7))
    (answer,) = message.answer
    assert (answer.name.to_text(), answer.rdtype, answer[0].serial) == (f"{ZONE}.", SOA, 7)


def test_the_storm_says_how_much_it_sent_and_how_much_was_answered():
    """A server answers all; what it got and what was counted agree."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        server.bind((LOOPBACK, 0))
        server.settimeout(0.2)
        got, over = [], threading.Event()

        def answer() -> None:
            while not over.is_set():
                try:
                    data, address = server.recvfrom(512)
                except TimeoutError:
                    continue
                got.append(data)
                server.sendto(data[:2] + b"\xa4\x00" + data[4:], address)

        thread = threading.Thread(target=answer)
        thread.start()
        sock.connect(server.getsockname())
        sock.setblocking(False)
        replies: Counter[int] = Counter()
        sent = notify_sender.storm(sock, notify(ZONE), time.monotonic(), 0.5, 200.0, replies)
        wait_for(lambda: len(got) == sent, 5, "all NOTIFYs")
        over.set()
        thread.join()
    assert 1 <= sent <= 100
    assert replies[0] == replies.total() <= sent
    assert {each[2:] for each in got} == {notify(ZONE)[2:]} and len({each[:2] for each in got}) == sent


@pytest.mark.parametrize("kind", [UdpProbe, TcpProbe])
async def test_the_client_measures_good_answers_and_counts_the_others_as_none(kind, tmp_path, monkeypatch):
    async with own_server(tmp_path) as server:
        server.serve("asked.test", zone_text("asked.test", 1))
        loop = server.tcp.loop
        good = kind(server.port, question("www.asked.test"))
        refused = kind(server.port, question("www.elsewhere.test"))
        begin = time.monotonic()
        await loop.run_in_executor(None, good.run, begin, 0.1, 50.0)
        took = time.monotonic() - begin
        monkeypatch.setattr("floods.prober.PATIENCE", 0.3)
        await loop.run_in_executor(None, refused.run, time.monotonic(), 0.1, 20.0)
    assert len(good.taken) == 5 and all(each is not None and 0 < each <= min(took, PATIENCE) for each in good.taken)
    assert refused.taken == [None, None]


async def test_the_crowd_connects_in_all_its_kinds_and_is_gone_afterwards(tmp_path):
    async with own_server(tmp_path) as server:
        server.serve("asked.test", zone_text("asked.test", 1))
        asked = question("www.asked.test", "TXT")
        crowd = Crowd(server.port, struct.pack("!H", len(asked)) + asked, members(idle=3, slow=2, mute=1), 1000.0)
        await server.tcp.loop.run_in_executor(None, crowd.run, time.monotonic(), 0.5)
    assert crowd.counts["connected"] == crowd.counts["tries"] == crowd.most == 6
    assert crowd.counts["mute bytes"] > 500 * len(asked)
    assert all(each.sock is not None and each.sock.fileno() == -1 for each in crowd.members)


def test_a_connection_that_the_server_ends_is_opened_again(monkeypatch):
    monkeypatch.setattr("floods.crowd.AGAIN", 0.01)
    with socket.create_server((LOOPBACK, 0)) as server:
        crowd = Crowd(server.getsockname()[1], b"\0\1x", members(idle=1, slow=0, mute=0), 1000.0)
        thread = threading.Thread(target=crowd.run, args=(time.monotonic(), 1.0))
        thread.start()
        server.settimeout(10)
        addresses = []
        for _ in range(2):
            connection, address = server.accept()
            addresses.append(address[0])
            connection.close()
        thread.join()
    assert addresses == ["127.1.1.1"] * 2
    assert crowd.counts["tries"] >= 2 and crowd.counts["ended"] + crowd.counts["refused"] >= 1


def test_members_come_from_many_addresses():
    crowd = members(idle=5000, slow=500, mute=50)
    per_address = Counter(each.address for each in crowd)
    assert len(per_address) == 250 and max(per_address.values()) == 23
    assert Counter(each.kind for each in crowd) == {"idle": 5000, "slow": 500, "mute": 50}


def test_what_was_not_answered_took_for_ever():
    taken = [0.001] * 98 + [None] * 2
    figures = tables.summary(taken)
    assert figures == {"tries": 100, "answered": 0.98, "p50": 0.001, "p99": math.inf}
    assert tables.milliseconds(figures["p99"]) == "lost"
    assert tables.finite(figures)["p99"] is None
    assert tables.share(0.9999) == "99.9 %"


def test_the_middle_of_several_rounds_is_taken_figure_by_figure():
    rounds = [{"a": {"b": each}, "name": "x"} for each in (3.0, 1.0, math.inf)]
    assert tables.middle(rounds) == {"a": {"b": 3.0}, "name": "x"}


def test_both_scenarios_fill_every_column_for_our_own_server():
    """On a scale that shows nothing; what a slow machine does not manage is fewer questions, not no table."""
    numbers = {"idle": 4, "slow": 2, "mute": 1, "rate": 100, "idle-seconds": 0.2}
    numbers |= {"storm-seconds": 0.5, "flood-seconds": 0.5}
    given = bench_floods.arguments([f"--{name}={number}" for name, number in numbers.items()])
    ours = CONTESTANTS[:1]
    stormed = bench_floods.measure(bench_floods.storm, ours, 1, given)
    flooded = bench_floods.measure(bench_floods.flood, ours, 1, given, clients=50)
    for rows, columns in ((stormed, bench_floods.STORM), (flooded, bench_floods.FLOOD)):
        head, _, row = tables.table(rows, columns).splitlines()
        assert head.count("|") == row.count("|") == len(columns) + 2
        assert row.startswith(f"| {ours[0].name} |")
    assert flooded[0][1]["crowd"]["members"] == 7


def test_watching_a_group_ends_and_finds_nothing_of_one_that_is_gone():
    nobody = 2**22 + 1  # beyond what Linux gives out
    assert processes_of_group(nobody) == []
    usage = Watch(nobody, 0.0, 0.0).join()
    assert (usage.cpu, usage.memory_most, usage.descriptors_most) == (0.0, 0, 0)
