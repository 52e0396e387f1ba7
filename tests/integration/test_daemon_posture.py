"""A daemon as strangers meet it: where it can be reached, and what it costs them to cost it something."""

import contextlib
import os
import resource
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
from support.ask import LOOPBACK, TransferRefused, transfer
from support.pair import Own, ask_udp, connect, frames, question, read_frame
from support.process import free_port, resident
from support.zones import small_zone_text

ZONE = "zone.example"
NAMES = int(os.environ.get("NAMESERVER_DISTINCT_NAMES", "5000"))
GIBIBYTE, MEBIBYTE = 1 << 30, 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[Own]:
    """A secondary with a zone that it could not fetch and a primary zone, as careful as it is unless told otherwise."""
    with Own(settings={"log-level": '"info"'}) as ours:
        (ours.directory / "zone").write_text(small_zone_text(ZONE, 1))
        ours.remote("primary", free_port())
        ours.tables[f'zone."{ZONE}"'] = {"type": '"primary"', "file": '"zone"'}
        ours.tables['zone."secondary.example"'] = {"primaries": '["primary"]'}
        ours.zones = [ZONE]
        yield ours.start()
        assert "Traceback" not in ours.log
        ours.stop()


# S08: where it can be reached


def listening(pids: list[int]) -> set[tuple[str, str, int]]:
    """(protocol, address, port) of every socket of these processes that takes what strangers send, from /proc."""
    inodes = set()
    for pid in pids:
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    found = set()
    for protocol, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == state and f"socket:[{fields[9]}]" in inodes:
                address, _, port = fields[1].partition(":")
                found.add((protocol, address, int(port, 16)))
    return found


def test_it_listens_where_it_is_told_to_and_nowhere_else(server: Own) -> None:
    """S08: questions on the configured address; the pages on loopback; orders by a socket of owner and group."""
    loopback = "0100007F"
    found = listening(server.pids())
    if not found:
        pytest.skip("/proc does not tell here which socket is whose")
    assert found == {
        ("tcp", loopback, server.port),
        ("udp", loopback, server.port),
        ("tcp", loopback, server.http_port),
    }
    assert stat.S_IMODE(server.control.stat().st_mode) == 0o660
    assert stat.S_ISSOCK(server.control.stat().st_mode)
    assert stat.S_IMODE((server.directory / "state").stat().st_mode) & 0o077 == 0


# S01 to S04: what nobody in particular gets


@pytest.mark.parametrize("zone", [ZONE, "secondary.example"])
@pytest.mark.parametrize("since", [None, 1])
def test_transfers_are_for_nobody_unless_a_rule_says_so_not_even_from_this_machine(
    server: Own, zone: str, since: int | None
) -> None:
    """S01."""
    with pytest.raises(TransferRefused, match="REFUSED"):
        transfer(server.port, zone, since=since)


def test_notifies_are_for_the_primaries(server: Own) -> None:
    """S02: of a primary zone for nobody; of a zone that is not here there is nothing to say."""
    for zone, rcode in ((ZONE, "REFUSED"), ("secondary.example", "NOERROR"), ("elsewhere.example", "NOTAUTH")):
        message = dns.message.make_query(zone, "SOA")
        message.set_opcode(dns.opcode.NOTIFY)
        reply, _ = ask_udp(LOOPBACK, server.port, message.to_wire())
        assert dns.rcode.to_text(reply.rcode()) == rcode


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_is_no_business_of_a_secondary_is_turned_down(server: Own, transport: str) -> None:
    """S03: recursion, UPDATE, TKEY, other classes, and what it is that runs here."""

    def ask(message: dns.message.Message) -> dns.message.Message:
        if transport == "udp":
            return ask_udp(LOOPBACK, server.port, message.to_wire())[0]
        with connect(server.port) as connection:
            connection.sendall(frames(message.to_wire()))
            return dns.message.from_wire(read_frame(connection))

    recursive = ask(dns.message.make_query("www.example.com", "A"))
    assert (recursive.rcode(), bool(recursive.flags & dns.flags.RA)) == (dns.rcode.REFUSED, False)
    update = dns.message.make_query(ZONE, "SOA")
    update.set_opcode(dns.opcode.UPDATE)
    assert ask(update).rcode() == dns.rcode.NOTIMP
    assert ask(dns.message.make_query("x.example", "TKEY")).rcode() == dns.rcode.NOTIMP
    for name in ("version.bind", "version.server", "id.server", "hostname.bind", "authors.bind"):
        assert ask(dns.message.make_query(name, "TXT", "CH")).rcode() == dns.rcode.REFUSED
    for rdclass in ("HS", "NONE", "ANY", "CLASS2"):
        assert ask(dns.message.make_query(ZONE, "SOA", rdclass)).rcode() == dns.rcode.REFUSED


# C58: the port of the pages


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for a crowd of connections of ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard > 0 else 4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def poured(ours: Own, head: bytes, octets: int) -> tuple[int, bytes]:
    """Send as much as is taken, up to so much: the octets that were, and what was said."""
    block = b"x" * 65_536
    with connect(ours.http_port, timeout=30) as client:
        client.sendall(head)
        taken, said = 0, b""
        with contextlib.suppress(ConnectionError):
            while taken < octets:
                client.sendall(block)
                taken += len(block)
        with contextlib.suppress(ConnectionError):
            said = client.recv(100)
        return taken, said


def test_a_head_or_a_body_of_a_gibibyte_is_cut_off_and_kept_by_nobody(server: Own) -> None:
    """C58."""
    before = resident(server.pids())
    for head, status in (
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", b"431"),
        (b"GET /" + b"x" * 100, b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n", b"413"),
        (b"", b"400"),
    ):
        taken, said = poured(server, head, GIBIBYTE)
        assert taken < 64 * MEBIBYTE, "nobody takes a gibibyte in"
        assert not said or status in said or b"431" in said
    assert resident(server.pids()) - before < 10 * MEBIBYTE
    assert server.page("/health") == (200, "ok\n")


@pytest.mark.usefixtures("many_files")
def test_a_thousand_connections_to_the_pages_cost_little_and_hold_up_no_query(server: Own) -> None:
    """C58: each of them with a request that does not end."""
    before = resident(server.pids())
    with contextlib.ExitStack() as stack:
        for count in range(1000):
            client = stack.enter_context(connect(server.http_port, source=f"127.0.{count % 200}.1"))
            with contextlib.suppress(ConnectionError):
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            if count % 100 == 0:
                assert server.query(f"ns1.{ZONE}").answer
                assert server.status(), "the control socket is another matter"
        assert resident(server.pids()) - before < 10 * MEBIBYTE
    server.wait(lambda: server.page("/health") == (200, "ok\n"), what="the pages once the crowd is gone")


# names, as many as there are


def ask_all(ours: Own, packets: list[bytes]) -> int:
    """Each of them over UDP, some at a time; the number of replies."""
    got = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((LOOPBACK, ours.port))
        client.settimeout(10)
        for start in range(0, len(packets), 50):
            for packet in packets[start : start + 50]:
                client.send(packet)
            for _ in packets[start : start + 50]:
                got += bool(client.recv(2048))
    return got


def test_names_and_zones_that_nobody_asked_for_before_make_no_series_and_no_lasting_memory(server: Own) -> None:
    """100,000 of each with NAMESERVER_DISTINCT_NAMES: what is kept of them is bounded, what is counted has no names."""

    def kinds(number: int) -> list[bytes]:
        name = f"n{number:08x}".encode().hex()
        notified = bytearray(question(f"{name}.example.", "SOA"))
        notified[2] |= dns.opcode.NOTIFY << 3
        return [
            question(f"{name}.{ZONE}"),
            question(f"www.{name}.example."),
            question(f"{name}.", "IXFR"),
            question(f"{name}.{ZONE}", 256 + number % 60_000),
            bytes(notified),
        ]

    def round_of(first: int) -> set[str]:
        """Each of them twice, as only what comes again is kept; the series, once all is counted."""
        packets = [packet for number in range(first, first + NAMES // 5) for packet in kinds(number)]
        counted = 'nameserver_notify_received_total{outcome="refused",reason="notauth-zone"}'
        before = server.metrics().get(counted, 0)
        assert ask_all(server, packets * 2) == 2 * len(packets)
        server.wait(lambda: server.metrics().get(counted, 0) >= before + 2 * (NAMES // 5), what="the counters")
        return set(server.metrics())

    known, before, lines = round_of(0), resident(server.pids()), server.log.count("\n")
    assert round_of(NAMES) == known
    assert resident(server.pids()) - before < 32 * MEBIBYTE + NAMES * 100
    assert server.log.count("\n") - lines < 200
