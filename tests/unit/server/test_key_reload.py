"""C13: a reload takes away or changes the key under which a transfer runs, in or out: it ends well, later ones obey."""

import asyncio
import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from support.managed import CALM, PATIENT, managed
from support.own_server import KEY, LOOPBACK, OwnServer, commit_bulky, own_server, until
from support.zones import zone_text

from nameserver.config.model import ZoneConfig
from nameserver.server.answering.pace import OutLimits
from nameserver.server.answering.worker import wall_clock
from nameserver.transfer.inbound import FullTransfer, InboundTransfer, TransferKind
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes, names
from nameserver.wire.query import build_query
from nameserver.wire.request import parse_request
from nameserver.wire.tsig import StreamVerifier, TsigKey, find_tsig, sign

ZONE = "example.com"
NAME = names.from_text(ZONE)
OTHER = TsigKey(names.from_text("other-key"), "hmac-sha512", b"o" * 64)
ONE = OutLimits(at_once=1)
NEW_SECRET = replace(KEY, secret=b"n" * 32)
CHANGES: dict[str, tuple[TsigKey, ...]] = {
    "removed": (),
    "replaced": (OTHER,),
    "of another secret": (NEW_SECRET,),
    "joined by another": (OTHER, KEY),
}


def last_key(server: OwnServer) -> bytes | None:
    """The name of the key of the request that came last."""
    record = parse_request(server.asked[-1]).tsig
    return record.key_name if record else None


@pytest.mark.parametrize("case", CHANGES)
async def test_a_key_changed_during_a_transfer_in(tmp_path: Path, case: str) -> None:
    """The transfer under way ends as it began, and the check that follows the reload is under the new key."""
    keys = CHANGES[case]
    async with own_server(tmp_path / "a", KEY, out=ONE) as primary, managed(tmp_path / "b") as ours:
        assert await primary.transfers._places.take(b"another", 0.0)
        primary.serve(ZONE, zone_text(ZONE, 5))
        zone: ZoneConfig = primary.zone_config(ZONE, pull=PATIENT, timers=CALM)
        await ours.start(zone)
        await until(lambda: bool(primary.asked))
        changed = replace(zone, primaries=(replace(primary.remote, keys=keys),))
        await ours.zones.reconcile(ours.config(changed))
        assert ours.serial(ZONE) is None and ours.entry(ZONE).task is not None
        asked = len(primary.asked)
        # The primary learns of it too, while it holds our request: it streams under the key that was verified.
        primary.pipeline.keys = {key.name: key for key in keys}
        primary.transfers._places.give_back(b"another")
        await until(lambda: ours.serial(ZONE) == 5 and len(primary.asked) > asked)
        await ours.idle(ZONE)
        assert last_key(primary) == (keys[0].name if keys else None)
        assert ours.entry(ZONE).trouble.reason is None
        assert ours.entry(ZONE).primaries["own"].key == (names.to_text(keys[0].name) if keys else None)


async def test_a_zone_whose_key_and_primary_go_during_a_transfer_is_gone(tmp_path: Path) -> None:
    async with own_server(tmp_path / "a", KEY, out=ONE) as primary, managed(tmp_path / "b") as ours:
        assert await primary.transfers._places.take(b"another", 0.0)
        primary.serve(ZONE, zone_text(ZONE, 5))
        await ours.start(primary.zone_config(ZONE, pull=PATIENT, timers=CALM))
        await until(lambda: bool(primary.asked))
        await ours.zones.reconcile(ours.config())
        assert ours.zones.entries == {} and ours.serial(ZONE) is None
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("refresh")]


@pytest.mark.parametrize("case", ["removed", "of another secret"])
async def test_a_key_changed_during_a_transfer_out(tmp_path: Path, case: str) -> None:
    """Every message of the stream under way verifies under the key that asked for it; the next request does not."""
    keys = {key.name: key for key in CHANGES[case]}
    async with own_server(tmp_path, KEY) as server:
        server.serve_stored(commit_bulky(server.store, ZONE, 5, owners=60))
        message, mac = sign(build_query(99, NAME, codes.AXFR), KEY, wall_clock())
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, (LOOPBACK, server.port))
            reader, writer = await asyncio.open_connection(sock=client.dup(), limit=4096)
            writer.write(struct.pack("!H", len(message)) + message)
            await until(lambda: server.transfers.in_progress == 1)
            server.pipeline.keys = keys
            assert server.transfers.in_progress == 1
            inbound = InboundTransfer(NAME, TransferKind.AXFR, 99, None, TransferLimits(), StreamVerifier(KEY, mac))
            done = False
            while not done:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                done = inbound.feed(await reader.readexactly(size), wall_clock())
            result = inbound.result()
            assert isinstance(result, FullTransfer) and result.built.soa.serial == 5
            writer.write(struct.pack("!H", len(message)) + message)
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            refused = find_tsig(await reader.readexactly(size))
            assert refused is not None
            assert refused.error == (codes.BADSIG if keys else codes.BADKEY)
            writer.close()
            await writer.wait_closed()
