"""RFC 8945 as strangers meet it: requests to our port, over real UDP and TCP sockets, and the octets that come back."""

import asyncio
import hmac
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

import dns.message
import pytest
from support.own_server import OwnServer, own_server
from support.tsig_messages import RR_HEAD, changed, rdata_of, taken_apart, with_record, with_rr
from support.zones import small_zone_text

from nameserver.query.acl import Acl, AclRow
from nameserver.wire import codes, names
from nameserver.wire.query import build_query
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import ALGORITHMS, TsigKey, TsigRecord, find_tsig, sign

ZONE = "example.com"
NAME = names.from_text(ZONE)
NOW = 1_800_000_000
SECRET = b"0123456789abcdef0123456789abcdef"
KEY = TsigKey(names.from_text("transfer-key"), "hmac-sha256", SECRET)
OTHER = TsigKey(names.from_text("other-key"), "hmac-sha256", SECRET[::-1])  # known here, but of another peer
SOA_RDATA = b"\x00\x00" + (1).to_bytes(4, "big") + bytes(16)
WHAT = ("SOA", "AXFR", "IXFR", "NOTIFY")
TRANSPORTS = ("udp", "tcp")


def request(what: str, zone: bytes = NAME) -> bytes:
    """An unsigned request with id 77."""
    if what == "NOTIFY":
        soa = RRset.of(zone, codes.SOA, 0, [SOA_RDATA])
        return build_query(77, zone, codes.SOA, opcode=codes.NOTIFY, flags=codes.AA, soa=soa)
    qtype = {"SOA": codes.SOA, "AXFR": codes.AXFR, "IXFR": codes.IXFR}[what]
    soa = RRset.of(zone, codes.SOA, 0, [SOA_RDATA]) if what == "IXFR" else None
    return build_query(77, zone, qtype, soa=soa)


def signed(what: str, key: TsigKey = KEY, *, skew: int = 0, fudge: int = 300, zone: bytes = NAME) -> bytes:
    return sign(request(what, zone), key, NOW + skew, fudge=fudge)[0]


@asynccontextmanager
async def server(directory: Path) -> AsyncIterator[OwnServer]:
    """Serves one zone to those who have KEY, at a time that stands still."""
    async with own_server(directory, clock=lambda: NOW) as made:
        made.pipeline.keys = {key.name: key for key in (KEY, OTHER)}
        made.serve(ZONE, small_zone_text(ZONE, 7), acl=Acl((AclRow(None, KEY.name),)))
        yield made


async def ask(where: OwnServer, message: bytes, transport: str) -> bytes:
    """The first message that comes back."""
    loop = asyncio.get_running_loop()
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as client:
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", where.port))
        async with asyncio.timeout(10):
            if transport == "udp":
                await loop.sock_sendall(client, message)
                return await loop.sock_recv(client, 65535)
            await loop.sock_sendall(client, struct.pack("!H", len(message)) + message)
            data = b""
            while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
                more = await loop.sock_recv(client, 65535)
                assert more, "the connection was closed"
                data += more
            return data[2 : 2 + int.from_bytes(data[:2], "big")]


async def is_unharmed(where: OwnServer) -> bool:
    """It answers a good request, and what came before has started no check and no transfer."""
    reply = await ask(where, signed("SOA"), "udp")
    started = [each for each in where.outcomes if each.notify] + where.transfers.take_finished()
    return not started and reply[6:8] == b"\x00\x01"


def verdict(reply: bytes) -> tuple[int, int | None, int]:
    """RCODE, the TSIG record's error (None without a record), octets of MAC."""
    record = find_tsig(reply)
    return reply[3] & 15, None if record is None else record.error, 0 if record is None else len(record.mac)


BADKEY, BADSIG = (codes.NOTAUTH, codes.BADKEY, 0), (codes.NOTAUTH, codes.BADSIG, 0)
BADTIME, BADTRUNC = (codes.NOTAUTH, codes.BADTIME, 32), (codes.NOTAUTH, codes.BADTRUNC, 32)
MALFORMED = (codes.FORMERR, None, 0)


# --- the order of the checks, §5.2 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", WHAT)
async def test_key_then_mac_then_time_and_no_signature_for_who_has_no_key(tmp_path: Path, what: str) -> None:
    """C01. A wrong MAC at a wrong time is BADSIG, unsigned, with nothing of the zone, and starts no check."""
    stranger = replace(KEY, name=names.from_text("stranger"))
    forger = replace(KEY, secret=bytes(32))
    async with server(tmp_path) as ours:
        cases = (
            (stranger, 3600, BADKEY),
            (replace(stranger, secret=bytes(32)), 0, BADKEY),
            (forger, 3600, BADSIG),
            (forger, -3600, BADSIG),
            (forger, 0, BADSIG),
            (KEY, 3600, BADTIME),
            (KEY, -301, BADTIME),
        )
        for transport, (key, skew, expected) in product(TRANSPORTS, cases):
            reply = await ask(ours, signed(what, key, skew=skew), transport)
            assert verdict(reply) == expected, (transport, skew)
            assert reply[6:10] == bytes(4), "no records"
            record = find_tsig(reply)
            assert record is not None
            assert record.other == (NOW.to_bytes(6, "big") if expected == BADTIME else b"")
        assert await is_unharmed(ours)


async def test_badtime_and_badtrunc_are_signed_so_that_the_client_can_believe_them(tmp_path: Path) -> None:
    """§5.2.3, §5.2.4, §5.3.2: the client's time and fudge, our time in the other data; the MAC covers the request's."""
    async with server(tmp_path) as ours:
        message, mac = sign(request("SOA"), KEY, NOW - 1000, fudge=200)
        reply = await ask(ours, message, "udp")
        unsigned, record = taken_apart(reply)
        assert (record.time_signed, record.fudge, record.server_time) == (NOW - 1000, 200, NOW)
        other = NOW.to_bytes(6, "big")
        assert sign(unsigned, KEY, NOW - 1000, mac, fudge=200, error=codes.BADTIME, other=other)[0] == reply
        message, mac = sign(request("SOA"), KEY, NOW)
        reply = await ask(ours, changed(message, mac=mac[:16]), "udp")
        assert sign(taken_apart(reply)[0], KEY, NOW, mac[:16], error=codes.BADTRUNC)[0] == reply


# --- truncation, §5.2.2.1 and §5.2.4 ---------------------------------------------------------------------------------


def cut_or_padded(algorithm: str) -> list[tuple[int, int]]:
    """Sizes of a MAC with the kind of answer: 0 FORMERR, 1 BADTRUNC."""
    size = ALGORITHMS[algorithm].digest_size
    least = max(10, size // 2)
    return [(n, 0) for n in (0, 1, 9, least - 1, size + 1, 2 * size, 3000)] + [(n, 1) for n in (least, size - 1)]


async def test_only_a_mac_of_full_length_is_a_signature(tmp_path: Path) -> None:
    """C05. Of a right MAC, too few octets are FORMERR, half and more BADTRUNC, one too many FORMERR: never success."""
    async with server(tmp_path) as ours:
        for transport, algorithm in product(TRANSPORTS, ALGORITHMS):
            key = TsigKey(names.from_text("k"), algorithm, SECRET * 2)
            full = ALGORITHMS[algorithm].digest_size
            ours.pipeline.keys = {key.name: key, KEY.name: KEY}
            message, mac = sign(request("SOA"), key, NOW)
            for size, short in cut_or_padded(algorithm):
                given = (mac + bytes(3000))[:size]
                reply = await ask(ours, changed(message, mac=given), transport)
                wanted = (codes.NOTAUTH, codes.BADTRUNC, full) if short else MALFORMED
                assert verdict(reply) == wanted, (transport, algorithm, size)
                assert reply[6:10] == bytes(4)
            assert verdict(await ask(ours, message, transport)) == (codes.NOERROR, 0, full)
        assert await is_unharmed(ours)


async def test_the_lengths_of_hmac_sha256_octet_by_octet(tmp_path: Path) -> None:
    """C05."""
    async with server(tmp_path) as ours:
        message, mac = sign(request("AXFR"), KEY, NOW)
        for size in range(0, 41):
            reply = await ask(ours, changed(message, mac=(mac + bytes(8))[:size]), "tcp")
            expected = MALFORMED if size < 16 or size > 32 else BADTRUNC if size < 32 else (codes.NOERROR, 0, 32)
            assert verdict(reply) == expected, size


# --- no oracle -------------------------------------------------------------------------------------------------------


def without_error_field(reply: bytes) -> bytes:
    unsigned, record = taken_apart(reply)
    return with_record(unsigned, record._replace(error=0))


async def test_who_has_no_key_learns_nothing_but_the_error(tmp_path: Path) -> None:
    """An unknown key and a wrong MAC get the same octets but for the error field, of any zone, ours or not."""
    unknown = TsigKey(names.from_text("unknown-key1"), "hmac-sha256", bytes(32))
    assert len(unknown.name) == len(KEY.name)
    async with server(tmp_path) as ours:
        for transport, what, zone in product(TRANSPORTS, WHAT, (NAME, names.from_text("example.org"))):
            replies = []
            for key in (replace(unknown, secret=KEY.secret), unknown, replace(KEY, secret=bytes(32))):
                reply = await ask(ours, signed(what, key, zone=zone), transport)
                replies.append(without_error_field(reply).replace(key.name, b"<key>"))
            assert len(set(replies)) == 1, (transport, what)


async def test_macs_are_compared_in_constant_time_and_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hmac.compare_digest and by nothing else: with that turned round, so are the verdicts."""
    compared: list[tuple[int, int]] = []
    true = hmac.compare_digest

    def turned_round(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return not true(one, other)

    async with server(tmp_path) as ours:
        monkeypatch.setattr(hmac, "compare_digest", turned_round)
        assert verdict(await ask(ours, signed("SOA"), "udp")) == BADSIG
        assert verdict(await ask(ours, signed("SOA", replace(KEY, secret=bytes(32))), "udp"))[:2] == (0, 0)
        assert compared == [(32, 32), (32, 32)]


# --- one verdict on every transport and for every kind of request ----------------------------------------------------

KEYS = {
    "right": (KEY, 0, None),
    "wrong secret": (replace(KEY, secret=bytes(32)), 0, BADSIG),
    "unknown": (TsigKey(names.from_text("nobody"), "hmac-sha256", SECRET), 0, BADKEY),
    "other algorithm": (replace(KEY, algorithm="hmac-sha512"), 0, BADKEY),
    "late": (KEY, -301, BADTIME),
    "early": (KEY, 301, BADTIME),
    "at the edge": (KEY, 300, None),
    "of another peer": (OTHER, 0, codes.REFUSED),
    "none": (None, 0, codes.REFUSED),
}


@pytest.mark.parametrize("case", KEYS)
async def test_the_same_key_meets_the_same_verdict_everywhere(tmp_path: Path, case: str) -> None:
    """C09. What differs is only what the protocols differ in: SOA is for everyone, AXFR is not for UDP."""
    key, skew, expected = KEYS[case]
    async with server(tmp_path) as ours:
        for what, transport in product(WHAT, TRANSPORTS):
            ours.outcomes.clear()
            reply = await ask(ours, request(what) if key is None else signed(what, key, skew=skew), transport)
            rcode, error, mac = verdict(reply)
            where = (what, transport, rcode, error)
            if isinstance(expected, tuple):
                assert (rcode, error, mac) == expected, where
            else:
                wanted = codes.NOERROR if expected is None or what == "SOA" else codes.REFUSED
                if (what, transport) == ("AXFR", "udp"):
                    wanted = codes.NOTIMP  # whoever asks: RFC 5936 §4.2
                assert rcode == wanted, where
                assert (error, mac) == ((None, 0) if key is None else (0, 32)), "signed as the request was"
            told = [each.notify.key for each in ours.outcomes if each.notify]
            assert told == ([KEY.name] if what == "NOTIFY" and expected is None else []), where
            assert (reply[6:8] != b"\x00\x00") is (rcode == codes.NOERROR and what != "NOTIFY"), where


# --- what is malformed, §4.2, §5.1 -----------------------------------------------------------------------------------

OPT = b"\x00\x00\x29\x04\xd0" + bytes(6)
SIGNED, MAC = sign(request("SOA"), KEY, NOW)
UNSIGNED, RECORD = taken_apart(SIGNED)
RDATA = rdata_of(RECORD)
AT_MAC = len(RECORD.algorithm) + 8  # where the MAC's size stands in the rdata


def sections(message: bytes, *counts: int) -> bytes:
    """The message with these counts of answer, authority and additional records."""
    return message[:6] + struct.pack("!HHH", *counts) + message[12:]


def with_fields(**fields: object) -> bytes:
    return with_record(UNSIGNED, RECORD._replace(**fields))


def with_rdata(rdata: bytes, **more: object) -> bytes:
    return with_rr(UNSIGNED, KEY.name, rdata, **more)  # type: ignore[arg-type]


BROKEN = {
    "not last": sections(SIGNED + OPT, 0, 0, 2),
    "twice": sign(SIGNED, KEY, NOW)[0],
    "in the answer section": sections(SIGNED, 1, 0, 0),
    "in the authority section": sections(SIGNED, 0, 1, 0),
    "class IN": SIGNED.replace(RR_HEAD, b"\x00\xfa\x00\x01\x00\x00\x00\x00"),
    "TTL 1": SIGNED.replace(RR_HEAD, b"\x00\xfa\x00\xff\x00\x00\x00\x01"),
    "octets behind it": SIGNED + b"\x00",
    "one record more announced": sections(SIGNED, 0, 0, 2),
    "cut before its MAC": SIGNED[:-46],
    "cut in its MAC": SIGNED[:-20],
    "cut before its last octet": SIGNED[:-1],
    "no rdata": with_rdata(b""),
    "rdata of the algorithm alone": with_rdata(RECORD.algorithm),
    "rdata that ends with the fudge": with_rdata(RDATA[:AT_MAC]),
    "rdata that ends with the MAC": with_rdata(RDATA[: AT_MAC + 34]),
    "rdata that ends with the original id": with_rdata(RDATA[: AT_MAC + 36]),
    "rdata longer than its fields": with_rdata(RDATA + b"\x00"),
    "rdata said to be longer than the message": with_rdata(RDATA, size=len(RDATA) + 1),
    "rdata said to be 65535 octets": with_rdata(RDATA, size=65535),
    "rdata said to be one octet shorter": with_rdata(RDATA, size=len(RDATA) - 1),
    "MAC said to run past the end": with_rdata(RDATA[:AT_MAC] + b"\xff\xff" + RDATA[AT_MAC + 2 :]),
    "MAC said to be one octet longer": with_rdata(RDATA[:AT_MAC] + b"\x00\x21" + RDATA[AT_MAC + 2 :]),
    "MAC said to be one octet shorter": with_rdata(RDATA[:AT_MAC] + b"\x00\x1f" + RDATA[AT_MAC + 2 :]),
    "MAC of 65000 octets": with_fields(mac=bytes(65000)),
    "other data said to run past the end": with_rdata(RDATA[:-2] + b"\xff\xff"),
    "other data said to be 6 octets": with_rdata(RDATA[:-2] + b"\x00\x06"),
    "algorithm compressed": with_fields(algorithm=b"\xc0\x0c"),
    "algorithm with a label of 64 octets": with_fields(algorithm=b"\x40" + b"a" * 64 + b"\x00"),
    "algorithm of 256 octets": with_fields(algorithm=(b"\x3f" + b"a" * 63) * 4 + b"\x00"),
    "algorithm that never ends": with_rdata(b"\x01a" * 20),
    "key name that points to itself": with_rr(UNSIGNED, struct.pack("!H", 0xC000 | len(UNSIGNED)), RDATA),
    "key name that points forward": with_rr(UNSIGNED, b"\xff\xff", RDATA),
    "an error in a request": with_fields(error=codes.BADSIG),
}


async def test_a_malformed_tsig_is_a_format_error_and_no_more(tmp_path: Path) -> None:
    """C11. Unsigned, without a record, and the server is as it was."""
    async with server(tmp_path) as ours:
        for transport, (name, message) in product(TRANSPORTS, BROKEN.items()):
            assert message != SIGNED, name
            if transport == "udp" and len(message) > 4096:
                continue  # dropped unread: no request that we serve is as large
            reply = await ask(ours, message, transport)
            assert (verdict(reply), reply[:2], reply[6:10]) == (MALFORMED, SIGNED[:2], bytes(4)), name
            dns.message.from_wire(reply)
        assert await is_unharmed(ours)


async def test_a_transfer_or_a_notify_with_a_malformed_tsig_is_none(tmp_path: Path) -> None:
    """C11: also where the signature itself would have been right."""
    async with server(tmp_path) as ours:
        for what in ("AXFR", "IXFR", "NOTIFY"):
            good = signed(what)
            of_class_in, of_ttl_1 = RR_HEAD[:3] + b"\x01" + RR_HEAD[4:], RR_HEAD[:-1] + b"\x01"
            for bad in (good + b"\x00", good.replace(RR_HEAD, of_class_in), good.replace(RR_HEAD, of_ttl_1)):
                assert verdict(await ask(ours, bad, "tcp")) == MALFORMED
        assert await is_unharmed(ours)


EXTREMES = {
    "the last second of 48 bits": sign(request("SOA"), KEY, 2**48 - 1, fudge=65535)[0],
    "the first second": sign(request("SOA"), KEY, 0, fudge=65535)[0],
    "no fudge, one second late": sign(request("SOA"), KEY, NOW - 1, fudge=0)[0],
}


async def test_times_at_the_ends_of_their_range_are_badtime(tmp_path: Path) -> None:
    """C11: no arithmetic overflows."""
    async with server(tmp_path) as ours:
        for case, message in EXTREMES.items():
            assert verdict(await ask(ours, message, "udp")) == BADTIME, case
        assert verdict(await ask(ours, sign(request("SOA"), KEY, NOW, fudge=0)[0], "udp")) == (0, 0, 32)


def test_the_table_of_what_is_malformed_is_broken_in_one_place_each() -> None:
    """The record they are made of is good where nothing is done to it."""
    assert with_record(UNSIGNED, RECORD) == with_rdata(RDATA) == SIGNED
    assert isinstance(RECORD, TsigRecord) and RECORD.mac == MAC
