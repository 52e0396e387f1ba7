"""Transfers over TLS (RFC 9103), both ends ours: who is believed, and that nothing ever goes on without TLS."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.certificates import Authority, Issued, authority, self_signed
from support.managed import managed
from support.own_server import KEY, LOOPBACK, LOOPBACK_ONLY, OwnServer, commit_bulky, own_server, until
from support.pipelines import counted, question
from support.process import free_port
from support.transfer_messages import NOW, NS, WWW, inbound, message, soa
from support.zones import zone_text

from nameserver.config.model import Certificate, Endpoint, PullLimits, Remote, ServerTls, TlsPeer, ZoneConfig
from nameserver.errors import Reason, TransferError
from nameserver.query.acl import Acl, AclRow
from nameserver.refresh.plan import PrimaryPlan, RefreshRun, StepKind
from nameserver.server.answering.pace import OutLimits
from nameserver.server.answering.tcp import WRITE_HIGH_WATER, TcpLimits
from nameserver.server.answering.tls_layer import Handshakes
from nameserver.server.tls import client_context, read_authorities_again, server_context
from nameserver.server.zones import pull
from nameserver.server.zones.kept_connections import KeptConnections
from nameserver.transfer.inbound import FullTransfer, InboundTransfer, TransferKind
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes, names
from nameserver.wire.tsig import StreamVerifier

ZONE = "example.com"
NAME = "ns1.example.net"
HASTY = PullLimits(connect_timeout=2.0, idle_timeout=2.0, total_timeout=10.0, udp_timeout=0.2, udp_tries=1)


def own(issued: Issued) -> Certificate:
    return Certificate(issued.certificate, issued.key, 0.0)


def settings(issued: Issued | None = None, **more) -> ServerTls:
    return ServerTls(own(issued or authority().issue(NAME)), **more)


def secondary(server: OwnServer, peer: TlsPeer | None, port: int | None = None) -> ZoneConfig:
    """Our zone, with that server as its primary."""
    endpoint = Endpoint(LOOPBACK, port or server.tls_port)
    remote = Remote("own", (endpoint,), (server.key,) if server.key else (), tls=peer)
    return ZoneConfig(names.from_text(ZONE), ZONE, primaries=(remote,), pull=HASTY)


def peer_of(zone: ZoneConfig) -> pull.Peer:
    remote = zone.primaries[0]
    return pull.Peer(remote, remote.addresses[0], remote.keys[0] if remote.keys else None)


async def transfer(zone: ZoneConfig) -> FullTransfer:
    def make(ident: int, verifier: StreamVerifier | None) -> InboundTransfer:
        return InboundTransfer(zone.name, TransferKind.AXFR, ident, None, TransferLimits(), verifier)

    result = (await pull.transfer(peer_of(zone), zone, TransferKind.AXFR, None, make)).result()
    assert isinstance(result, FullTransfer)
    return result


async def failure(zone: ZoneConfig) -> TransferError:
    with pytest.raises(TransferError) as caught:
        await transfer(zone)
    return caught.value


def handshakes(server: OwnServer) -> dict[str, int]:
    """How the handshakes ended that the server counted."""
    name = "nameserver_tls_handshakes_total{outcome="
    return {key[len(name) : -1]: value for key, value in counted(server.pipeline).items() if key.startswith(name)}


TRUSTED = TlsPeer("own", server_name=NAME, ca=authority().pem)


async def test_7_1_a_zone_goes_over_tls_1_3_with_alpn_dot_to_whom_it_is_allowed(tmp_path: Path) -> None:
    async with own_server(tmp_path, KEY, tls=settings()) as server:
        server.serve(ZONE, zone_text(ZONE, 7, hosts=3000))
        zone = secondary(server, TRUSTED)
        answer = await pull.soa_over_tcp(peer_of(zone), zone, HASTY)
        assert answer.serial == 7
        assert (await transfer(zone)).built.records == 3015
        assert handshakes(server) == {"ok": 2}
        [event] = server.transfers.take_finished()
        assert event["transport"] == "tls"


@pytest.mark.parametrize(
    ("issued", "peer", "reason", "text"),
    [
        (None, replace(TRUSTED, server_name="ns2.example.net"), Reason.TLS_PEER_IDENTITY, "ns2.example.net"),
        (None, replace(TRUSTED, ca=Authority("Another CA").pem), Reason.TLS_PEER_IDENTITY, "unable to get"),
        (None, TlsPeer("own", pins=(bytes(32),)), Reason.TLS_PEER_IDENTITY, "pinned"),
        (None, replace(TRUSTED, pins=(bytes(32),)), Reason.TLS_PEER_IDENTITY, "pinned"),
        (None, TlsPeer("own", server_name=NAME), Reason.TLS_PEER_IDENTITY, "unable to get"),
        (authority().issue(NAME, ends=timedelta(days=-0.5)), TRUSTED, Reason.TLS_PEER_IDENTITY, "expired"),
        (authority().issue(NAME, begins=timedelta(days=1)), TRUSTED, Reason.TLS_PEER_IDENTITY, "not yet valid"),
        (self_signed(NAME), TRUSTED, Reason.TLS_PEER_IDENTITY, "self-signed"),
        # RFC 8310 §8.1, which RFC 9103 §9.3 goes by: the subject itself must not be looked at.
        (authority().issue(NAME, only_common=True), TRUSTED, Reason.TLS_PEER_IDENTITY, NAME),
    ],
    ids=[
        *("name", "authority", "pin", "pin-of-a-good-one", "unknown-to-the-system", "expired", "early", "self-signed"),
        "name-in-the-subject-alone",
    ],
)
async def test_9_3_a_primary_that_is_not_the_one_expected_is_asked_nothing(
    tmp_path: Path, issued: Issued | None, peer: TlsPeer, reason: Reason, text: str
) -> None:
    """§9.3.3, Strict TLS: what fails ends there, whatever would work without TLS."""
    async with own_server(tmp_path, KEY, tls=settings(issued)) as server:
        server.serve(ZONE, zone_text(ZONE, 7))
        error = await failure(secondary(server, peer))
        assert (error.reason, text in error.detail) == (reason, True), error
        assert server.asked == []


async def test_9_3_each_way_to_know_a_primary_is_enough(tmp_path: Path) -> None:
    issued = authority().issue(NAME)
    stranger = self_signed(NAME, ends=timedelta(days=-3))
    async with own_server(tmp_path / "a", KEY, tls=settings(issued)) as server:
        server.serve(ZONE, zone_text(ZONE, 7))
        for peer in (
            TRUSTED,
            replace(TRUSTED, pins=(bytes(32), issued.pin_bytes)),
            TlsPeer("own", ca=authority().pem),
            TlsPeer("own", ca=issued.certificate),  # its own certificate, trusted for itself
            TlsPeer("own", pins=(issued.pin_bytes,)),
        ):
            await transfer(secondary(server, peer))
    async with own_server(tmp_path / "b", KEY, tls=settings(stranger)) as server:
        server.serve(ZONE, zone_text(ZONE, 7))
        await transfer(secondary(server, TlsPeer("own", pins=(stranger.pin_bytes,))))  # a pin names the key alone


@asynccontextmanager
async def foreign_primary(context: ssl.SSLContext | None, heard: list[bytes]) -> AsyncIterator[int]:
    """Somebody else's TLS, or, without a context, a server that listens, is silent and notes what it is sent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                heard.append(data)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.01)


def foreign_context(tmp_path: Path, *, alpn: str | None = "dot", tls13: bool = True) -> ssl.SSLContext:
    authority().issue(NAME).write(tmp_path, "foreign")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "foreign.pem", tmp_path / "foreign.key")
    if alpn:
        context.set_alpn_protocols([alpn])
    if not tls13:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


async def test_7_1_a_primary_without_tls_1_3_or_without_alpn_dot_is_no_primary(tmp_path: Path) -> None:
    heard: list[bytes] = []
    async with own_server(tmp_path / "state", KEY) as server:
        for context, text in (
            (foreign_context(tmp_path, tls13=False), "TLS 1.3"),
            (foreign_context(tmp_path, alpn=None), "ALPN"),
            (foreign_context(tmp_path, alpn="h2"), "ALPN"),
        ):
            async with foreign_primary(context, heard) as port:
                error = await failure(secondary(server, TRUSTED, port))
                assert (error.reason, text in error.detail) == (Reason.TLS_HANDSHAKE, True), error
        assert heard == []
        async with foreign_primary(foreign_context(tmp_path, alpn=None), heard) as port:
            easy = secondary(server, replace(TRUSTED, require_alpn=False), port)
            with pytest.raises(TransferError):
                await transfer(replace(easy, pull=replace(HASTY, idle_timeout=0.2)))
            assert heard, "asked, since the operator says so"


async def test_9_3_plain_tcp_where_tls_is_expected_gets_no_question(tmp_path: Path) -> None:
    """A port that answers in plain, and one that takes our greeting and is silent; no octet of DNS goes to either."""
    heard: list[bytes] = []
    async with own_server(tmp_path, KEY) as server, foreign_primary(None, heard) as silent:
        server.serve(ZONE, zone_text(ZONE, 7))
        zone = secondary(server, TRUSTED, server.port)
        hasty = replace(zone, pull=replace(HASTY, connect_timeout=0.3))
        assert (await failure(hasty)).reason is Reason.TLS_HANDSHAKE
        hasty = replace(secondary(server, TRUSTED, silent), pull=hasty.pull)
        error = await failure(hasty)
        assert (error.reason, "does not answer" in error.detail) == (Reason.TLS_HANDSHAKE, True), error
        assert server.asked == []
        assert all(names.from_text(ZONE) not in each for each in heard)
        nobody = replace(secondary(server, TRUSTED, free_port()), pull=hasty.pull)
        assert (await failure(nobody)).reason is Reason.CONNECT_REFUSED


async def test_9_3_mutual_tls_lets_in_whose_certificate_is_known(tmp_path: Path) -> None:
    ours = authority().issue("secondary.example.net")
    strict = settings(client_ca=authority().pem, require_client_certificate=True)
    async with own_server(tmp_path, KEY, tls=strict) as server:
        row = AclRow(key=KEY.name, tls=True, certificate_name="secondary.example.net", certificate_pin=ours.pin_bytes)
        served = server.serve(ZONE, zone_text(ZONE, 7), acl=Acl((row,)))
        await transfer(secondary(server, replace(TRUSTED, certificate=own(ours))))

        assert (await failure(secondary(server, TRUSTED))).reason in (Reason.TLS_HANDSHAKE, Reason.CLOSED_EARLY)
        expired = authority().issue("secondary.example.net", ends=timedelta(hours=-1))
        for stranger in (Authority("Another CA").issue("secondary.example.net"), self_signed("other"), expired):
            error = await failure(secondary(server, replace(TRUSTED, certificate=own(stranger))))
            assert error.reason in (Reason.TLS_HANDSHAKE, Reason.CLOSED_EARLY), error
        assert handshakes(server) == {"ok": 1, "certificate": 4}

        other = authority().issue("other.example.net")  # of the same authority, and somebody else
        assert (await failure(secondary(server, replace(TRUSTED, certificate=own(other))))).reason is Reason.REFUSED
        namesake = authority().issue("secondary.example.net")  # the name, and another key
        assert (await failure(secondary(server, replace(TRUSTED, certificate=own(namesake))))).reason is Reason.REFUSED
        assert served.allow_transfer.rows == (row,)


async def test_9_3_a_client_is_known_by_its_own_certificate_as_by_its_authority(tmp_path: Path) -> None:
    """What is trusted may be the client's certificate itself, which need be nobody's."""
    alone = self_signed("secondary.example.net")
    async with own_server(tmp_path, tls=settings(client_ca=alone.certificate)) as server:
        server.serve(ZONE, zone_text(ZONE, 7), acl=Acl((AclRow(tls=True, certificate_pin=alone.pin_bytes),)))
        await transfer(secondary(server, replace(TRUSTED, certificate=own(alone))))
        assert (await failure(secondary(server, TRUSTED))).reason is Reason.REFUSED, "nobody has to show one"


async def test_a_row_that_demands_tls_is_not_got_round_over_plain_tcp(tmp_path: Path) -> None:
    """C10, CVE-2026-12490: the same key, from the same address, without TLS."""
    async with own_server(tmp_path, KEY, tls=settings()) as server:
        rows = tuple(replace(row, key=KEY.name, tls=True) for row in LOOPBACK_ONLY.rows)
        server.serve(ZONE, zone_text(ZONE, 7), acl=Acl(rows))
        await transfer(secondary(server, TRUSTED))
        assert (await failure(secondary(server, None, server.port))).reason is Reason.REFUSED
        refused = [outcome.refused for outcome in server.outcomes if outcome.refused is not None]
        assert [each.reason for each in refused] == [Reason.REFUSED]


# --- clients that make trouble ---------------------------------------------------------------------------------------


@asynccontextmanager
async def tls_client(
    server: OwnServer, *, alpn: str | None = "dot", newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = newest
    if alpn:
        context.set_alpn_protocols([alpn])
    reader, writer = await asyncio.open_connection(LOOPBACK, server.tls_port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *messages: bytes) -> list[bytes]:
    writer.write(b"".join(struct.pack("!H", len(each)) + each for each in messages))
    return [await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0]) for _ in messages]


async def test_ordinary_questions_are_answered_over_tls_as_over_tcp(tmp_path: Path) -> None:
    asked = [question(f"ns1.{ZONE}", "A"), question(ZONE, "SOA"), question(f"nobody.{ZONE}", "A")] * 200
    async with own_server(tmp_path, tls=settings()) as server:
        server.serve(ZONE, zone_text(ZONE, 7))
        async with tls_client(server) as secure:
            over_tls = await ask(*secure, *asked)
        plain = await asyncio.open_connection(LOOPBACK, server.port)
        assert await ask(*plain, *asked) == over_tls
        plain[1].close()


async def test_a_client_without_alpn_dot_or_without_tls_1_3_is_turned_away_and_counted(tmp_path: Path) -> None:
    async with own_server(tmp_path, tls=settings()) as server:
        for alpn in (None, "h2"):
            async with tls_client(server, alpn=alpn) as (reader, _):
                assert await reader.read() == b""
        with pytest.raises(ssl.SSLError):
            async with tls_client(server, newest=ssl.TLSVersion.TLSv1_2):
                pass
        for talk in (struct.pack("!H", 29) + question(ZONE, "SOA"), b"GET / HTTP/1.1\r\n\r\n", bytes(100)):
            reader, writer = await asyncio.open_connection(LOOPBACK, server.tls_port)
            writer.write(talk)
            await reader.read()  # an alert
            writer.close()
        await until(lambda: sum(handshakes(server).values()) == 6)
        found = handshakes(server)
        assert (found["no-alpn"], found["version"], found["not-tls"]) == (2, 1, 3), found
        assert server.asked == []
        assert not server.tcp.clients


async def test_a_handshake_that_never_ends_is_ended_for_it(tmp_path: Path) -> None:
    async with own_server(tmp_path, limits=TcpLimits(message_timeout=0.2), tls=settings()) as server:
        silent = await asyncio.open_connection(LOOPBACK, server.tls_port)
        halfway = await asyncio.open_connection(LOOPBACK, server.tls_port)
        halfway[1].write(b"\x16\x03\x01\x02\x00\x01")  # the head of a greeting
        await until(lambda: handshakes(server).get("timeout") == 2)
        for reader, writer in (silent, halfway):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
        await until(lambda: not server.tcp.clients)


async def test_half_open_handshakes_are_clients_like_others_and_make_room_first(tmp_path: Path) -> None:
    limits = TcpLimits(max_clients=8, max_clients_per_address=6)
    async with own_server(tmp_path, limits=limits, tls=settings()) as server:
        server.serve(ZONE, zone_text(ZONE, 7))
        flood = [
            await asyncio.open_connection(LOOPBACK, server.tls_port, local_addr=(f"127.0.0.{2 + number % 4}", 0))
            for number in range(30)
        ]
        for _, writer in flood:
            writer.write(b"\x16\x03\x01\x02\x00\x01")
        for _ in range(3):
            async with tls_client(server) as secure:
                assert len(await ask(*secure, question(ZONE, "SOA"))) == 1
        assert len(server.tcp.clients) <= 8
        for _, writer in flood:
            writer.transport.abort()
        await asyncio.sleep(0)


async def test_a_secondary_over_tls_that_takes_nothing_is_cut_and_cost_no_more_than_in_plain(tmp_path: Path) -> None:
    async with own_server(tmp_path, tls=settings(), out=OutLimits(idle_timeout=0.3)) as server:
        server.serve_stored(commit_bulky(server.store, ZONE, 7))
        async with tls_client(server) as (_, writer):
            asked = question(ZONE, "AXFR")
            writer.write(struct.pack("!H", len(asked)) + asked)
            unsent, finished = 0, []
            while not (finished := server.transfers.take_finished()):
                for each in server.tcp.clients:
                    unsent = max(unsent, each._transport.get_write_buffer_size())
                await asyncio.sleep(0.01)
            [event] = finished
            assert (event["reason"], event["transport"]) == (Reason.IDLE_TIMEOUT, "tls")
            assert WRITE_HIGH_WATER < unsent < 4 * WRITE_HIGH_WATER


async def test_a_certificate_that_was_exchanged_is_shown_from_the_next_connection_on(tmp_path: Path) -> None:
    first, second = authority().issue(NAME), authority().issue(NAME)
    async with own_server(tmp_path, tls=settings(first)) as server:
        server.serve(ZONE, zone_text(ZONE, 7))
        async with tls_client(server) as before:
            server.tcp.handshakes.context = server_context(settings(second))
            await transfer(secondary(server, TlsPeer("own", pins=(second.pin_bytes,))))
            assert (await failure(secondary(server, TlsPeer("own", pins=(first.pin_bytes,))))).reason
            assert len(await ask(*before, question(ZONE, "SOA"))) == 1, "who was connected goes on"


def test_contexts_of_remotes_are_made_once() -> None:
    assert client_context(TRUSTED) is client_context(replace(TRUSTED))
    assert client_context(TRUSTED) is not client_context(replace(TRUSTED, server_name="else.example.net"))


async def test_9_3_authorities_that_the_system_has_learnt_or_forgotten_count_from_the_next_reload_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "known.pem"
    known.write_text(authority().pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(known))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    read_authorities_again()
    async with own_server(tmp_path / "a", tls=settings()) as server, managed(tmp_path / "b") as ours:
        server.serve(ZONE, zone_text(ZONE, 7))
        zone = secondary(server, TlsPeer("of-the-system", server_name=NAME))
        await transfer(zone)
        known.write_text(Authority("Another CA").pem)
        await ours.zones.reconcile(ours.config())
        assert (await failure(zone)).reason is Reason.TLS_PEER_IDENTITY


# --- what is sent, and what is not -----------------------------------------------------------------------------------


async def test_9_1_no_datagram_goes_to_a_remote_with_tls_whoever_asks(tmp_path: Path) -> None:
    """A NOTIFY, or an SOA query by whoever takes the remote for one without TLS: it goes over TLS, or not at all."""
    async with own_server(tmp_path, KEY, tls=settings()) as server:
        server.serve(ZONE, zone_text(ZONE, 7))
        zone = secondary(server, TRUSTED)
        assert (await pull.soa_over_udp(peer_of(zone), zone, HASTY)).serial == 7
        assert handshakes(server) == {"ok": 1}
        with pytest.raises(TransferError) as caught:
            await pull.soa_over_udp(peer_of(secondary(server, TRUSTED, server.port)), zone, HASTY)
        assert caught.value.reason is Reason.TLS_HANDSHAKE
        assert len(server.asked) == 1


async def test_6_2_a_connection_is_used_again_but_not_for_a_remote_that_is_to_be_somebody_else(tmp_path: Path) -> None:
    async with own_server(tmp_path, KEY, tls=settings()) as server:
        server.serve(ZONE, zone_text(ZONE, 7))
        kept, zone = KeptConnections(), secondary(server, TRUSTED)
        for _ in range(3):
            await pull.soa_over_tcp(peer_of(zone), zone, HASTY, kept)
        assert handshakes(server) == {"ok": 1}
        stranger = secondary(server, TlsPeer("own", pins=(bytes(32),)))
        with pytest.raises(TransferError) as caught:
            await pull.soa_over_tcp(peer_of(stranger), stranger, HASTY, kept)
        assert caught.value.reason is Reason.TLS_PEER_IDENTITY
        kept.close()


@pytest.mark.parametrize("primaries", [[True], [True, False], [False, True]])
def test_9_1_a_primary_with_tls_is_asked_for_its_soa_over_that(primaries: list[bool]) -> None:
    run = RefreshRun([PrimaryPlan(str(tls), datagrams=not tls) for tls in primaries], 5)
    for tls in primaries:
        assert run.step is not None
        assert run.step.kind is (StepKind.SOA_TCP if tls else StepKind.SOA_UDP)
        if not tls:
            run.failed(Reason.CONNECT_TIMEOUT)
        run.failed(Reason.CONNECT_TIMEOUT)
    assert run.step is None


def test_6_3_messages_that_hold_nothing_but_padding_are_taken() -> None:
    """§6.3.3: so that a server may hide how large a zone is."""
    option = b"\0\x0c\x01\x00" + bytes(256)
    padding = b"\0" + struct.pack("!HHIH", codes.OPT, 1232, 0, len(option)) + option
    empty = bytearray(message(tail=padding))
    empty[10:12] = b"\0\1"
    padded = bytearray(message(WWW, tail=padding))
    padded[10:12] = b"\0\1"
    transfer = inbound()
    for each in (message(soa(6), NS), bytes(empty), bytes(padded), bytes(empty)):
        assert not transfer.feed(each, NOW)
    assert transfer.feed(message(soa(6)), NOW)
    assert transfer.result().built.records == 3


# --- handshakes in line ----------------------------------------------------------------------------------------------


class Turns:
    """A loop of which nothing is left but its order: what is due next happens next, and takes as long as it says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, int, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        self.due.append((self.now + delay, len(self.due), call))

    def call_soon(self, call: Callable[[], None]) -> None:
        self.call_later(0.0, call)

    def run(self) -> None:
        while self.due:
            first = min(self.due)
            self.due.remove(first)
            self.now = max(self.now, first[0])
            first[2]()


@dataclass
class Step:
    """A layer whose step takes a while; none where there is nothing to do."""

    loop: Turns
    cost: float
    began: float = -1.0

    def step(self) -> bool:
        self.began = self.loop.now
        self.loop.now += self.cost
        return self.cost > 0


def test_handshakes_leave_half_of_the_time_to_everybody_else() -> None:
    """A step in a turn, then a rest as long as it took; one that has nothing to do costs no turn."""
    loop = Turns()
    line = Handshakes(loop, 5.0, lambda _outcome: None)
    steps = [Step(loop, cost) for cost in (0.002, 0.0, 0.004, 0.001)]
    for each in steps:
        line.want(each)
    loop.run()
    assert [round(each.began, 4) for each in steps] == [0.0, 0.004, 0.004, 0.012]
