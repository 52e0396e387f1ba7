"""One step with one primary: our own core answers over real sockets, or a primary that breaks the rules does."""

import asyncio
import errno
import os
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from support.own_server import KEY, LOOPBACK, own_server
from support.process import free_port
from support.transfer_messages import NS, WWW, message, soa
from support.zones import zone_text

from nameserver.config.model import Endpoint, PullLimits, Remote, ZoneConfig
from nameserver.errors import Reason, TransferError
from nameserver.server.clock import wall_clock
from nameserver.server.zones import pull
from nameserver.transfer.inbound import FullTransfer, InboundTransfer, TransferKind, UpToDate
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes, names
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import StreamVerifier, TsigKey

ZONE = "example.com"
HASTY = PullLimits(
    connect_timeout=2.0, idle_timeout=0.3, total_timeout=5.0, udp_timeout=0.2, udp_tries=2, min_rate_interval=60.0
)
LOOPBACK_PEER = (ip_address(LOOPBACK), 5353)
Answer = Callable[[bytes], list[bytes]]


def config(port: int, key: TsigKey | None = None, limits: PullLimits = HASTY) -> ZoneConfig:
    remote = Remote("a", (Endpoint(LOOPBACK, port),), (key,) if key else ())
    return ZoneConfig(names.from_text(ZONE), ZONE, primaries=(remote,), pull=limits)


def peer_of(zone: ZoneConfig) -> pull.Peer:
    remote = zone.primaries[0]
    return pull.Peer(remote, remote.addresses[0], remote.keys[0] if remote.keys else None)


async def transfer(zone: ZoneConfig, kind: TransferKind = TransferKind.AXFR, serial: int | None = None):
    """Run a transfer; its machine."""

    def make(ident: int, verifier: StreamVerifier | None) -> InboundTransfer:
        return InboundTransfer(zone.name, kind, ident, serial, TransferLimits(), verifier)

    held = None if serial is None else RRset.of(zone.name, codes.SOA, 0, [soa(serial).rdata])
    return await pull.transfer(peer_of(zone), zone, kind, held, make)


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram with whatever the test says."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.asked.append(data)
        for each in self.answer(data):
            self.transport.sendto(each, address)


@asynccontextmanager
async def udp_primary(answer: Answer) -> AsyncIterator[tuple[int, Datagrams]]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Datagrams(answer), local_addr=(LOOPBACK, 0)
    )
    yield transport.get_extra_info("sockname")[1], protocol
    transport.close()


@asynccontextmanager
async def tcp_primary(answer: Answer, *, linger: bool = False) -> AsyncIterator[int]:
    """Sends, as they are, the bytes that `answer` makes of a request; then closes, or says no more."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            for each in answer(await reader.readexactly(size)):
                writer.write(each)
                await writer.drain()
                await asyncio.sleep(0.01)
            if linger:
                await done.wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    done.set()
    server.close()
    await asyncio.sleep(0.01)


def framed(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def reply_to(request: bytes, serial: int = 7, flags: int = codes.QR | codes.AA) -> bytes:
    """A good answer to an SOA query."""
    question = request[12 : request.index(b"\x00", 12) + 5]
    ident = int.from_bytes(request[:2], "big")
    return message(soa(serial), query_id=ident, flags=flags, question=question)


def axfr_reply(request: bytes, *records, **more) -> bytes:
    return message(*records, query_id=int.from_bytes(request[:2], "big"), **more)


@pytest.mark.parametrize("key", [None, KEY])
async def test_the_serial_is_learnt_over_udp_and_tcp_alike(tmp_path: Path, key: TsigKey | None) -> None:
    async with own_server(tmp_path, key) as primary:
        primary.serve(ZONE, zone_text(ZONE, 17))
        zone = primary.zone_config(ZONE)
        for ask in (pull.soa_over_udp, pull.soa_over_tcp):
            peer = peer_of(zone)
            response = await ask(peer, zone, zone.pull)
            assert (response.rcode, response.serial, response.authoritative) == (0, 17, True)
            assert (peer.skew is not None) == (key is not None)


@pytest.mark.parametrize("key", [None, KEY])
async def test_a_zone_is_transferred_whole_and_verified(tmp_path: Path, key: TsigKey | None) -> None:
    async with own_server(tmp_path, key) as primary:
        primary.serve(ZONE, zone_text(ZONE, 17, hosts=3000))
        inbound = await transfer(primary.zone_config(ZONE))
        result = inbound.result()
        assert isinstance(result, FullTransfer)
        assert (result.built.soa.serial, result.built.records) == (17, 3015)
        assert inbound.stats.messages > 1


async def test_an_ixfr_for_what_is_held_already_brings_nothing(tmp_path: Path) -> None:
    async with own_server(tmp_path) as primary:
        primary.serve(ZONE, zone_text(ZONE, 17))
        inbound = await transfer(primary.zone_config(ZONE), TransferKind.IXFR, 17)
        assert isinstance(inbound.result(), UpToDate)


async def test_a_key_that_the_primary_does_not_know_is_named_as_the_reason(tmp_path: Path) -> None:
    other = TsigKey(names.from_text("another-key"), "hmac-sha256", bytes(32))
    same_name = replace(other, name=KEY.name)
    async with own_server(tmp_path, KEY) as primary:
        primary.serve(ZONE, zone_text(ZONE, 17))
        for key, reason in ((other, Reason.TSIG_BADKEY), (same_name, Reason.TSIG_BADSIG)):
            zone = config(primary.port, key)
            for attempt in (
                pull.soa_over_udp(peer_of(zone), zone, zone.pull),
                pull.soa_over_tcp(peer_of(zone), zone, zone.pull),
                transfer(zone),
            ):
                with pytest.raises(TransferError) as caught:
                    await attempt
                assert caught.value.reason is reason


async def test_forged_and_broken_datagrams_do_not_spoil_the_true_answer() -> None:
    def answer(request: bytes) -> list[bytes]:
        wrong_id = bytes((request[0] ^ 1,)) + reply_to(request, 666)[1:]
        return [b"", b"junk", request, wrong_id, reply_to(request, 7)]

    async with udp_primary(answer) as (port, _):
        zone = config(port)
        assert (await pull.soa_over_udp(peer_of(zone), zone, zone.pull)).serial == 7


async def test_an_unsigned_answer_does_not_spoil_the_signed_one_that_follows(tmp_path: Path) -> None:
    """Whoever forges an answer first has not won; who never sends a signed one has failed."""
    async with own_server(tmp_path, KEY) as primary:
        primary.serve(ZONE, zone_text(ZONE, 17))

        def answer(request: bytes) -> list[bytes]:
            outcome = primary.pipeline.handle(request, *LOOPBACK_PEER, "udp", wall_clock())
            return [reply_to(request, 666), outcome.reply or b""]

        async with udp_primary(answer) as (port, _):
            zone = config(port, KEY)
            assert (await pull.soa_over_udp(peer_of(zone), zone, zone.pull)).serial == 17
        async with udp_primary(lambda request: [reply_to(request, 666)]) as (port, _):
            zone = config(port, KEY)
            with pytest.raises(TransferError) as caught:
                await pull.soa_over_udp(peer_of(zone), zone, zone.pull)
            assert caught.value.reason is Reason.TSIG_MISSING


async def test_a_silent_primary_is_asked_from_another_port_each_time_and_then_given_up() -> None:
    async with udp_primary(lambda _request: []) as (port, primary):
        zone = config(port)
        with pytest.raises(TransferError) as caught:
            await pull.soa_over_udp(peer_of(zone), zone, zone.pull)
        assert caught.value.reason is Reason.CONNECT_TIMEOUT
        assert len(primary.asked) == HASTY.udp_tries
        assert len({request[:2] for request in primary.asked}) == HASTY.udp_tries


NO_EDNS = {
    "FORMERR, header only": lambda request: request[:2] + b"\x80\x01" + bytes(8),
    "NOTIMP": lambda request: axfr_reply(request, flags=codes.QR | codes.NOTIMP, question=question_of(request)),
    "BADVERS": lambda request: with_opt(axfr_reply(request, flags=codes.QR, question=question_of(request)), 1),
}


def question_of(request: bytes) -> bytes:
    return request[12 : request.index(b"\x00", 12) + 5]


def with_opt(reply: bytes, extended_rcode: int) -> bytes:
    """With an OPT record of version 0."""
    return reply[:10] + b"\0\1" + reply[12:] + b"\0" + struct.pack("!HHBBHH", codes.OPT, 1232, extended_rcode, 0, 0, 0)


@pytest.mark.parametrize("refusal", NO_EDNS)
async def test_an_old_primary_is_asked_again_without_edns(refusal: str) -> None:
    """RFC 6891 §7; it may close after each answer."""

    def answer(request: bytes) -> list[bytes]:
        if request[11]:  # an OPT record
            return [NO_EDNS[refusal](request)]
        if question_of(request)[-3] == codes.AXFR:
            return [axfr_reply(request, soa(7), NS, WWW, soa(7))]
        return [reply_to(request)]

    async with udp_primary(answer) as (port, primary):
        zone, peer = config(port), peer_of(config(port))
        for asked in (2, 3):  # it is known the second time
            assert (await pull.soa_over_udp(peer, zone, zone.pull)).serial == 7
            assert (len(primary.asked), peer.edns) == (asked, False)
    async with tcp_primary(lambda request: [framed(each) for each in answer(request)]) as port:
        zone, peer = config(port), peer_of(config(port))
        assert (await pull.soa_over_tcp(peer, zone, zone.pull)).serial == 7
        assert not peer.edns
        assert (await transfer(zone)).result().built.soa.serial == 7


async def test_whoever_refuses_with_and_without_edns_has_refused() -> None:
    def answer(request: bytes) -> list[bytes]:
        return [axfr_reply(request, flags=codes.QR | codes.NOTIMP, question=question_of(request))]

    async with udp_primary(answer) as (port, primary):
        zone = config(port)
        assert (await pull.soa_over_udp(peer_of(zone), zone, zone.pull)).rcode == codes.NOTIMP
        assert len(primary.asked) == 2
    async with tcp_primary(lambda request: [framed(each) for each in answer(request)]) as port:
        zone = config(port)
        assert (await pull.soa_over_tcp(peer_of(zone), zone, zone.pull)).rcode == codes.NOTIMP
        with pytest.raises(TransferError) as caught:
            await transfer(zone)
        assert caught.value.reason is Reason.NOTIMP


async def test_nobody_listening_is_a_refused_connection() -> None:
    zone = config(free_port())
    for attempt in (
        pull.soa_over_udp(peer_of(zone), zone, zone.pull),
        pull.soa_over_tcp(peer_of(zone), zone, zone.pull),
        transfer(zone),
    ):
        with pytest.raises(TransferError) as caught:
            await attempt
        assert caught.value.reason is Reason.CONNECT_REFUSED


@pytest.mark.parametrize(
    ("answer", "linger", "reason"),
    [
        (lambda _: [], False, Reason.CLOSED_EARLY),
        (lambda _: [], True, Reason.IDLE_TIMEOUT),
        (lambda _: [b"\x00\x40half"], False, Reason.CLOSED_EARLY),
        (lambda _: [b"\x00"], False, Reason.CLOSED_EARLY),
        (lambda request: [framed(axfr_reply(request, soa(7), NS, WWW))], False, Reason.CLOSED_EARLY),
        (lambda request: [framed(axfr_reply(request, soa(7), NS, WWW))], True, Reason.IDLE_TIMEOUT),
        (lambda request: [framed(axfr_reply(request, flags=codes.QR | codes.REFUSED))], True, Reason.REFUSED),
        (lambda request: [framed(axfr_reply(request, soa(7), WWW, soa(8)))], True, Reason.SOA_IN_MIDDLE),
        (lambda _: [framed(b"not a message")], True, Reason.MALFORMED),
    ],
)
async def test_a_transfer_that_goes_wrong_ends_with_its_reason(answer: Answer, linger: bool, reason: Reason) -> None:
    async with tcp_primary(answer, linger=linger) as port:
        with pytest.raises(TransferError) as caught:
            await transfer(config(port))
        assert caught.value.reason is reason


async def test_a_primary_that_drips_is_given_up_by_its_rate() -> None:
    def answer(request: bytes) -> list[bytes]:
        return [framed(axfr_reply(request, soa(7))), *[framed(axfr_reply(request, WWW))] * 200]

    async with tcp_primary(answer) as port:
        limits = replace(HASTY, min_rate_bytes=100_000, min_rate_interval=0.1)
        with pytest.raises(TransferError) as caught:
            await transfer(config(port, limits=limits))
        assert caught.value.reason is Reason.TOO_SLOW


async def test_a_transfer_without_end_is_cut_off_at_the_total() -> None:
    def answer(request: bytes) -> list[bytes]:
        return [framed(axfr_reply(request, soa(7))), *[framed(axfr_reply(request, WWW))] * 500]

    async with tcp_primary(answer) as port:
        with pytest.raises(TransferError) as caught:
            await transfer(config(port, limits=replace(HASTY, total_timeout=0.2)))
        assert caught.value.reason is Reason.TOTAL_TIMEOUT


# uvloop leaves the transport that it could not bind to the garbage collector, with a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_the_local_address_of_a_remote_is_used(tmp_path: Path) -> None:
    async with own_server(tmp_path) as primary:
        primary.serve(ZONE, zone_text(ZONE, 17))
        remote = replace(primary.remote, source="127.0.0.9")
        zone = replace(primary.zone_config(ZONE), primaries=(remote,))
        seen: list[str] = []
        real = primary.pipeline

        class Watched:
            """The pipeline, with a record of who asked."""

            def handle(self, data, address, port, transport, now, client=None):
                seen.append(str(address))
                return real.handle(data, address, port, transport, now, client=None)

        primary.tcp.pipeline = Watched()
        await pull.soa_over_tcp(peer_of(zone), zone, zone.pull)
        assert seen == ["127.0.0.9"]
        nowhere = replace(zone, primaries=(replace(remote, source="192.0.2.1"),))
        for attempt in (pull.soa_over_udp, pull.soa_over_tcp):
            with pytest.raises(TransferError) as caught:
                await attempt(peer_of(nowhere), nowhere, nowhere.pull)
            assert caught.value.reason is Reason.UNREACHABLE


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ECONNREFUSED, Reason.CONNECT_REFUSED),
        (errno.ECONNRESET, Reason.CLOSED_EARLY),
        (errno.EPIPE, Reason.CLOSED_EARLY),
        (errno.ETIMEDOUT, Reason.CONNECT_TIMEOUT),
        (errno.ENETUNREACH, Reason.UNREACHABLE),
        (errno.EHOSTUNREACH, Reason.UNREACHABLE),
        (errno.EMFILE, Reason.QUOTA),
        (errno.ENOBUFS, Reason.QUOTA),
    ],
)
def test_an_error_of_the_network_becomes_a_reason(number: int, reason: Reason) -> None:
    failure = pull.network_failure(OSError(number, "as the system says"), "TCP")
    assert (failure.reason, failure.detail) == (reason, "TCP: as the system says")


def test_ids_are_of_all_values_alike() -> None:
    """Both octets of 65,536 ids, each against an even distribution: chi-square with 255 degrees of freedom."""
    zone = config(53)
    peer = peer_of(zone)
    ids = [pull._question(peer, zone, codes.SOA).id for _ in range(65_536)]
    for octet in (0, 8):
        counts = Counter(ident >> octet & 255 for ident in ids)
        assert len(counts) == 256
        chi_square = sum((count - 256) ** 2 / 256 for count in counts.values())
        assert chi_square < 420, "by chance once in a billion times"
    assert len(set(ids)) > 40_000, "they do not repeat themselves: two thirds of all values come"


@pytest.mark.parametrize("turns", range(5))
async def test_a_question_over_udp_given_up_at_any_moment_leaves_no_socket_open(turns: int) -> None:
    zone = config(free_port())
    before = len(os.listdir("/proc/self/fd"))
    asking = asyncio.create_task(pull.soa_over_udp(peer_of(zone), zone, zone.pull))
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.05)  # what is closed is closed within a few turns
    assert len(os.listdir("/proc/self/fd")) == before
