"""What the transfer process and a worker say to each other arrives whole and in order, over a real socket pair."""

import asyncio
import socket
import struct

from nameserver.server.channel import Channel, pack_changes, unpack_changes


async def pair() -> tuple[Channel, Channel]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return await Channel.over(ours), await Channel.over(theirs)


async def test_messages_arrive_in_the_order_sent_with_their_bodies() -> None:
    ours, theirs = await pair()
    ours.send("load", zones=["00"])
    ours.send("change", b"\x00body\xff", zone="00", generation=7)
    ours.send("stop")
    assert await theirs.receive() == ({"kind": "load", "zones": ["00"]}, b"")
    assert await theirs.receive() == ({"kind": "change", "zone": "00", "generation": 7}, b"\x00body\xff")
    assert await theirs.receive() == ({"kind": "stop"}, b"")
    ours.close()
    assert await theirs.receive() is None
    theirs.close()


async def test_a_body_of_megabytes_arrives_whole() -> None:
    ours, theirs = await pair()
    body = bytes(range(256)) * 20_000
    ours.send("change", body)
    assert ours.backlog > 0
    assert await theirs.receive() == ({"kind": "change"}, body)
    ours.close()
    theirs.close()


async def test_a_peer_that_dies_inside_a_message_is_a_peer_that_is_gone() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    channel = await Channel.over(ours)
    theirs.send(struct.pack("!II", 100, 10) + b"{")
    theirs.close()
    assert await channel.receive() is None
    channel.close()


async def test_sending_to_a_peer_that_is_gone_does_no_harm_whenever_that_is_noticed() -> None:
    """A worker may die between any two publications."""
    ours, theirs = await pair()
    theirs.close()
    for _ in range(20):
        ours.send("change", bytes(10_000))
        await asyncio.sleep(0.001)
    assert await ours.receive() is None
    ours.close()
    ours.send("stop")
    await asyncio.sleep(0)
    ours.send("stop")


async def test_one_who_waits_is_told_as_soon_as_something_comes() -> None:
    ours, theirs = await pair()
    waiting = asyncio.create_task(theirs.receive())
    await asyncio.sleep(0)
    ours.send("beat", queries={})
    assert await waiting == ({"kind": "beat", "queries": {}}, b"")
    ours.close()
    theirs.close()


def test_changes_come_out_as_they_went_in() -> None:
    changes = {b"": b"\x00soa", b"\x03www": None, b"\x04mail": b"\x00" * 70_000}
    assert dict(unpack_changes(pack_changes(changes))) == changes
    assert dict(unpack_changes(b"")) == {}


async def test_one_message_is_written_at_once_and_a_burst_together() -> None:
    ours, theirs = await pair()
    written: list[bytes] = []
    transport = ours._transport
    assert transport is not None

    class Watched:
        """The transport, with a record of what it is given."""

        def write(self, data: bytes) -> None:
            written.append(data)
            transport.write(data)

        def is_closing(self) -> bool:
            return transport.is_closing()

        def close(self) -> None:
            transport.close()

    ours._transport = Watched()  # type: ignore[assignment]
    ours.send("first")
    await asyncio.sleep(0)
    assert len(written) == 1, "within the turn"
    for number in range(500):
        ours.send("more", number=number)
        if number % 100 == 0:
            await asyncio.sleep(0)
    received = [await theirs.receive() for _ in range(501)]
    assert [header.get("number") for header, _ in filter(None, received)] == [None, *range(500)]
    assert len(written) < 50
    ours.send("last")
    ours.close()
    assert await theirs.receive() == ({"kind": "last"}, b"")
    theirs.close()
