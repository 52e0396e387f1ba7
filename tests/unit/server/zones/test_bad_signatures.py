"""A primary that signs wrongly, or somebody on the way to it: nothing is taken, and the next primary is asked."""

import asyncio
import hmac
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.managed import HASTY, PATIENT, Managed, managed
from support.own_server import KEY, LOOPBACK, own_server
from support.process import free_port
from support.transfer_messages import NS, message, rr, soa
from support.tsig_messages import changed, with_record
from support.zones import zone_text

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.errors import Reason
from nameserver.refresh.outcome import Failed, Outcome, Transferred, UpToDate
from nameserver.server.zones import pull
from nameserver.server.zones.refresher import Refresher, ZoneRun, primary_statuses
from nameserver.wire import codes, names
from nameserver.wire.request import parse_request
from nameserver.wire.tsig import MAX_UNSIGNED, StreamSigner, TsigKey, TsigRecord, find_tsig, sign

ZONE = "example.com"
NAME = names.from_text(ZONE)
NOW = 1_800_000_000
FORGED_KEY = replace(KEY, secret=bytes(32))


@pytest.fixture(autouse=True)
def our_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still, as that of each primary here does: what a second more or less makes is shown elsewhere."""
    monkeypatch.setattr(pull, "wall_clock", lambda: NOW)


class Exchange:
    """One signed request as a primary sees it, with what it needs to answer."""

    def __init__(self, request: bytes, serial: int) -> None:
        parsed = parse_request(request)
        assert parsed.tsig is not None, "a request came unsigned"
        self.id, self.question, self.qtype = parsed.id, parsed.question, parsed.qtype
        self.serial = serial
        self.tsig: TsigRecord = parsed.tsig
        self.signer = StreamSigner(KEY, self.tsig.mac)

    def plain(self, *records: object, flags: int = codes.QR | codes.AA) -> bytes:
        return message(*records, query_id=self.id, flags=flags, question=self.question)  # type: ignore[arg-type]

    def whole(self) -> bytes:
        """The zone in one message."""
        return self.plain(soa(self.serial), NS, soa(self.serial))

    def signed(self, data: bytes) -> bytes:
        return self.signer.sign(data, NOW)

    def told(self, error: int, data: bytes | None = None) -> bytes:
        """A TSIG error that nobody has signed."""
        refusal = self.plain(flags=codes.QR | codes.NOTAUTH) if data is None else data
        record = self.tsig._replace(mac=b"", error=error, original_id=self.id)
        return with_record(refusal, record)


Script = Callable[[Exchange], Iterator[bytes]]


def good(exchange: Exchange) -> Iterator[bytes]:
    yield exchange.signed(exchange.whole())


class Primary(asyncio.DatagramProtocol):
    """Answers SOA as it should, unless told otherwise, and transfers as the script says."""

    def __init__(self) -> None:
        self.serial = 6
        self.over_udp: Script = self.soa
        self.soa_over_tcp: Script = self.soa
        self.transfer: Script = good
        self.keys: list[bytes] = []

    def soa(self, exchange: Exchange) -> Iterator[bytes]:
        yield exchange.signed(exchange.plain(soa(self.serial)))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        for each in self.over_udp(self._exchange(data)):
            self.transport.sendto(each, address)  # type: ignore[attr-defined]

    def _exchange(self, data: bytes) -> Exchange:
        exchange = Exchange(data, self.serial)
        self.keys.append(exchange.tsig.key_name)
        return exchange

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            exchange = self._exchange(await reader.readexactly(size))
            script = self.soa_over_tcp if exchange.qtype == codes.SOA else self.transfer
            for each in script(exchange):
                writer.write(struct.pack("!H", len(each)) + each)
            await writer.drain()
            writer.write_eof()
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def primary() -> AsyncIterator[tuple[Primary, Remote]]:
    made, port, loop = Primary(), free_port(), asyncio.get_running_loop()
    async with AsyncExitStack() as stack:  # uvloop waits for ever for what is not closed, also after a failure
        stack.push_async_callback(asyncio.sleep, 0.01)
        server = await asyncio.start_server(made.serve, LOOPBACK, port)
        stack.callback(server.close)
        transport, _ = await loop.create_datagram_endpoint(lambda: made, local_addr=(LOOPBACK, port))
        stack.callback(transport.close)
        yield made, Remote("bad", (Endpoint(LOOPBACK, port),), (KEY,))


def zone_of(*primaries: Remote) -> ZoneConfig:
    return ZoneConfig(NAME, ZONE, primaries=primaries, pull=PATIENT)


async def run(ours: Managed, refresher: Refresher, zone: ZoneConfig) -> tuple[Outcome, ZoneRun]:
    work = ZoneRun(zone, primary_statuses(zone))
    return await refresher.run(work), work


def unsigned(exchange: Exchange) -> Iterator[bytes]:
    yield exchange.whole()


def last_unsigned(exchange: Exchange) -> Iterator[bytes]:
    yield exchange.signed(exchange.plain(soa(6), NS))
    yield exchange.plain(soa(6))


def in_between(count: int) -> Script:
    """First and last message signed, this many between them not (§5.3.1: the last MAC covers them)."""

    def script(exchange: Exchange) -> Iterator[bytes]:
        first, mac = sign(exchange.plain(soa(6), NS), KEY, NOW, exchange.tsig.mac)
        yield first
        between = [exchange.plain(rr(f"h{number} 60 A 192.0.2.1")) for number in range(count)]
        yield from between
        yield _signed_after(exchange, mac, between, exchange.plain(soa(6)))

    return script


def _signed_after(exchange: Exchange, mac: bytes, between: list[bytes], last: bytes) -> bytes:
    """As a signer does that keeps one running digest; here put together for itself, from §5.3.1."""
    timers = NOW.to_bytes(6, "big") + (300).to_bytes(2, "big")
    digested = len(mac).to_bytes(2, "big") + mac + b"".join(between) + last + timers
    digest = hmac.digest(KEY.secret, digested, "sha256")
    record = exchange.tsig._replace(mac=digest, time_signed=NOW, fudge=300, original_id=exchange.id)
    return with_record(last, record)


def forged_error(error: int) -> Script:
    def script(exchange: Exchange) -> Iterator[bytes]:
        yield exchange.told(error)
        yield exchange.signed(exchange.whole())

    return script


def error_in_the_middle(exchange: Exchange) -> Iterator[bytes]:
    yield exchange.signed(exchange.plain(soa(6), NS))
    yield exchange.told(codes.BADKEY, exchange.plain(soa(6)))


def forged(exchange: Exchange) -> Iterator[bytes]:
    yield sign(exchange.whole(), FORGED_KEY, NOW, exchange.tsig.mac)[0]


def under_another_name(exchange: Exchange) -> Iterator[bytes]:
    other = TsigKey(names.from_text("other-key"), KEY.algorithm, KEY.secret)
    yield sign(exchange.whole(), other, NOW, exchange.tsig.mac)[0]


def under_another_algorithm(exchange: Exchange) -> Iterator[bytes]:
    other = replace(KEY, algorithm="hmac-sha512")
    yield sign(exchange.whole(), other, NOW, exchange.tsig.mac)[0]


def shortened(exchange: Exchange) -> Iterator[bytes]:
    data = exchange.signed(exchange.whole())
    record = find_tsig(data)
    assert record is not None
    yield changed(data, mac=record.mac[:16])


def altered(exchange: Exchange) -> Iterator[bytes]:
    first = exchange.signed(exchange.plain(soa(6), NS))
    yield first
    yield exchange.signed(exchange.plain(rr("h 60 A 192.0.2.1"), soa(6))).replace(
        b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x63"
    )


def replayed(exchange: Exchange) -> Iterator[bytes]:
    first = exchange.signed(exchange.plain(soa(6), NS))
    yield first
    yield first


def with_tc(exchange: Exchange) -> Iterator[bytes]:
    yield exchange.plain(flags=codes.QR | codes.AA | codes.TC)


BAD: dict[str, tuple[Script, Reason]] = {
    "unsigned (C06)": (unsigned, Reason.TSIG_MISSING),
    "the last message unsigned (C07)": (last_unsigned, Reason.TSIG_MISSING),
    "a hundred unsigned in between (C08)": (in_between(MAX_UNSIGNED + 1), Reason.TSIG_GAP),
    "forged BADKEY (C12)": (forged_error(codes.BADKEY), Reason.TSIG_BADKEY),
    "forged BADSIG (C12)": (forged_error(codes.BADSIG), Reason.TSIG_BADSIG),
    "forged BADTIME (C12)": (forged_error(codes.BADTIME), Reason.TSIG_BADTIME),
    "forged BADKEY in the middle (C12)": (error_in_the_middle, Reason.TSIG_BADKEY),
    "another secret": (forged, Reason.TSIG_BADSIG),
    "another key": (under_another_name, Reason.TSIG_BADKEY),
    "another algorithm": (under_another_algorithm, Reason.TSIG_BADALG),
    "a MAC of half its length (C05)": (shortened, Reason.TSIG_BADTRUNC),
    "a changed octet": (altered, Reason.TSIG_BADSIG),
    "a repeated message": (replayed, Reason.TSIG_BADSIG),
    "TC without a signature (C03)": (with_tc, Reason.TSIG_MISSING),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_transfer_that_is_not_signed_as_it_must_be_is_not_taken(tmp_path: Path, case: str) -> None:
    """The version before stays, the next primary is asked in the same run, and nothing is held against the key."""
    script, reason = BAD[case]
    async with (
        primary() as (bad, remote),
        own_server(tmp_path / "c", KEY, clock=lambda: NOW) as other,
        managed(tmp_path / "b") as ours,
    ):
        refresher = Refresher(ours.server, ours.publisher, ours.tally)
        bad.serial = 5
        assert isinstance((await run(ours, refresher, zone_of(remote)))[0], Transferred)
        stored = ours.publisher.stored[NAME]
        bad.serial, bad.transfer = 6, script
        outcome, work = await run(ours, refresher, zone_of(remote))
        assert isinstance(outcome, Failed)
        assert (outcome.reason, work.primaries["bad"].last_reason) == (reason, reason)
        assert work.primaries["bad"].skew == 0
        assert ours.publisher.stored[NAME] == stored
        other.serve(ZONE, zone_text(ZONE, 7))
        outcome, _ = await run(ours, refresher, zone_of(remote, other.remote))
        assert isinstance(outcome, Transferred) and outcome.serial == 7
        bad.serial, bad.transfer = 8, good
        outcome, work = await run(ours, refresher, zone_of(remote))
        assert isinstance(outcome, Transferred) and outcome.serial == 8
        assert set(bad.keys) == {KEY.name}, "the same key, as if nothing had been said about it"


async def test_ninety_nine_unsigned_messages_between_two_signed_ones_are_taken(tmp_path: Path) -> None:
    """C08."""
    async with primary() as (bad, remote), managed(tmp_path) as ours:
        bad.transfer = in_between(MAX_UNSIGNED)
        outcome, _ = await run(ours, Refresher(ours.server, ours.publisher, ours.tally), zone_of(remote))
        assert isinstance(outcome, Transferred) and outcome.serial == 6
        assert ours.publisher.stored[NAME].records == 2 + MAX_UNSIGNED


async def test_a_transfer_cut_at_any_octet_is_not_taken(tmp_path: Path) -> None:
    """C03: whole frames that hold less and less of the message."""
    end: int | None = None
    size = 0

    def script(exchange: Exchange) -> Iterator[bytes]:
        nonlocal size
        data = exchange.signed(exchange.whole())
        size = len(data)
        yield data[:end]

    async with primary() as (bad, remote), managed(tmp_path) as ours:
        refresher = Refresher(ours.server, ours.publisher, ours.tally)
        bad.serial, bad.transfer = 5, script
        assert isinstance((await run(ours, refresher, zone_of(remote)))[0], Transferred)
        stored = ours.publisher.stored[NAME]
        bad.serial = 6
        for end in [*range(0, size - 10, 16), *range(size - 10, size)]:
            outcome, _ = await run(ours, refresher, zone_of(remote))
            assert isinstance(outcome, Failed), end
            assert ours.publisher.stored[NAME] == stored
        end = None
        assert isinstance((await run(ours, refresher, zone_of(remote)))[0], Transferred)


async def test_forged_datagrams_before_the_true_answer_change_nothing() -> None:
    """C12, C03: TSIG errors, cut and unsigned answers, another key's, TC: all ignored while the true one may come."""

    async with primary() as (bad, remote):

        def script(exchange: Exchange) -> Iterator[bytes]:
            true = exchange.signed(exchange.plain(soa(6)))
            yield from (exchange.told(error) for error in (codes.BADKEY, codes.BADSIG, codes.BADTIME, codes.BADTRUNC))
            yield exchange.told(codes.BADKEY, exchange.plain(soa(66)))
            yield exchange.plain(soa(66))
            yield exchange.plain(flags=codes.QR | codes.AA | codes.TC)
            yield sign(exchange.plain(soa(66)), FORGED_KEY, NOW, exchange.tsig.mac)[0]
            yield from (true[:end] for end in range(0, len(true), 8))
            yield true

        bad.over_udp = script
        zone = zone_of(remote)
        peer = pull.Peer(remote, remote.addresses[0], KEY)
        response = await pull.soa_over_udp(peer, zone, zone.pull)
        assert (response.serial, response.truncated, peer.skew) == (6, False, 0)


async def test_a_truncated_answer_is_asked_for_again_by_tcp_if_it_is_signed_and_is_a_failure_if_not(
    tmp_path: Path,
) -> None:
    """C03, §5.3."""
    async with primary() as (bad, remote), managed(tmp_path / "b") as ours:
        refresher = Refresher(ours.server, ours.publisher, ours.tally)
        await run(ours, refresher, zone_of(remote))
        cut = codes.QR | codes.AA | codes.TC
        bad.over_udp = lambda exchange: iter([exchange.signed(exchange.plain(flags=cut))])
        bad.keys.clear()
        outcome, _ = await run(ours, refresher, zone_of(remote))
        assert isinstance(outcome, UpToDate) and len(bad.keys) == 2
        bad.over_udp = lambda exchange: iter([exchange.plain(flags=cut)])
        outcome, _ = await run(ours, refresher, zone_of(remote))
        assert isinstance(outcome, Failed) and outcome.reason is Reason.TSIG_MISSING


async def test_where_only_the_forged_error_comes_the_next_primary_is_asked_and_the_next_run_begins_anew(
    tmp_path: Path,
) -> None:
    """C12: the true answer was kept away. By UDP and by TCP it is one failed exchange, and no state of the key."""
    async with (
        primary() as (bad, remote),
        own_server(tmp_path / "c", KEY, clock=lambda: NOW) as other,
        managed(tmp_path / "b") as ours,
    ):
        refresher = Refresher(ours.server, ours.publisher, ours.tally)
        other.serve(ZONE, zone_text(ZONE, 6))
        await run(ours, refresher, zone_of(other.remote))
        bad.over_udp = bad.soa_over_tcp = lambda exchange: iter([exchange.told(codes.BADKEY)])
        outcome, work = await run(ours, refresher, zone_of(remote, other.remote))
        assert isinstance(outcome, UpToDate)
        assert work.primaries["bad"].last_reason is Reason.TSIG_BADKEY
        bad.over_udp = lambda exchange: iter(())  # and now TCP must serve
        outcome, work = await run(ours, refresher, replace(zone_of(remote), pull=HASTY))
        assert isinstance(outcome, Failed) and len(bad.keys) == 3
        bad.over_udp = bad.soa_over_tcp = bad.soa
        outcome, work = await run(ours, refresher, zone_of(remote))
        assert isinstance(outcome, UpToDate)
        assert work.primaries["bad"].last_reason is None
