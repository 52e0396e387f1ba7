"""An answering process inside a test's event loop, with the test at the other end of its channel."""

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import dns.message
from support.own_server import LOOPBACK, until
from support.pipelines import question
from support.process import free_port

from nameserver.config.model import Config, Endpoint, ServerConfig, ZoneConfig
from nameserver.query.counters import COUNTERS
from nameserver.server.answering.worker import Worker
from nameserver.server.channel import Channel, Header
from nameserver.server.settings import encode_keys, encode_server, encode_zones
from nameserver.server.sockets import open_sockets
from nameserver.wire import names
from nameserver.wire.tsig import TsigKey


class Reins:
    """What the transfer process does with a worker."""

    def __init__(self, channel: Channel, port: int, worker: Worker, server: ServerConfig) -> None:
        self.channel = channel
        self.port = port
        self.worker = worker
        self.server = server
        self.said: list[Header] = []

    async def listen(self) -> None:
        """Write down all that the worker says, until it is gone."""
        while (message := await self.channel.receive()) is not None:
            self.said.append(message[0])

    def heard(self, kind: str) -> list[Header]:
        """The worker's messages of one kind."""
        return [header for header in self.said if header["kind"] == kind]

    def served(self, zone: str) -> int:
        """The generation confirmed last."""
        name = names.from_text(zone).hex()
        return max((header["zones"].get(name, 0) for header in self.heard("served")), default=0)

    def configure(self, *zones: ZoneConfig, keys: tuple[TsigKey, ...] = (), removed: tuple[str, ...] = ()) -> None:
        """Tell it the configuration."""
        config = Config(Path("config"), self.server, {key.name: key for key in keys})
        self.channel.send(
            "configure",
            keys=encode_keys(config),
            zones=encode_zones(zones),
            removed=[names.from_text(each).hex() for each in removed],
        )

    def load(self, *zones: str, **more: Any) -> None:
        """Have it load zones from the store."""
        self.channel.send("load", zones=[names.from_text(zone).hex() for zone in zones], **more)

    async def ask(self, name: str, rdtype: str = "A", **more: Any) -> dns.message.Message:
        """A question over UDP; `more` as for `question`."""
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
            sock.setblocking(False)
            sock.connect((LOOPBACK, self.port))
            sock.send(question(name, rdtype, edns=1232, **more))
            got: list[bytes] = []

            def arrived() -> bool:
                try:
                    got.append(sock.recv(65535))
                except BlockingIOError:
                    return False
                return True

            await until(arrived)
            return dns.message.from_wire(got[0])


@asynccontextmanager
async def worker_on(store: Path, *, listen: bool = True, **server: Any) -> AsyncIterator[Reins]:
    """A worker that listens (or waits to be told), over the database at `store`; it is stopped in order afterwards."""
    port = free_port()
    config = ServerConfig((Endpoint(LOOPBACK, port),), store.parent, store.parent / "control", **server)
    sockets = open_sockets(config.listen)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    channel, its_channel = await Channel.over(ours), await Channel.over(theirs)
    with tempfile.TemporaryFile() as counters:
        counters.truncate(8 * len(COUNTERS))
        hello = {
            "store": str(store),
            "server": encode_server(config),
            "index": 0,
            "counters": counters.fileno(),
            "udp": [os.dup(each.fileno()) for each in sockets.udp],
            "tcp": [os.dup(each.fileno()) for each in sockets.tcp],
            "tls": [],
        }
        worker = Worker(its_channel, hello, asyncio.get_running_loop())
        running = asyncio.create_task(worker.run())
        reins = Reins(channel, port, worker, config)
        listening = asyncio.create_task(reins.listen())
        try:
            if listen:
                channel.send("listen")
                await until(lambda: bool(reins.heard("ready")) or running.done())
            yield reins
        finally:
            channel.send("stop")
            channel.send("end")  # nobody else is to be waited for
            try:
                async with asyncio.timeout(10):
                    await running
            finally:
                its_channel.close()
                channel.close()
                await listening
                for each in (*worker._udp_sockets, *worker._tcp_sockets):
                    each.close()
                sockets.close()
