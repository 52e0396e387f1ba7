"""The transfer process's inside without processes: zone manager, publisher, store; the test is its only worker."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.own_server import LOOPBACK, until

from nameserver.config.model import Config, Endpoint, PullLimits, ServerConfig, ZoneConfig
from nameserver.refresh.timers import TimerLimits
from nameserver.server.channel import Channel, Header
from nameserver.server.sockets import ListeningSockets
from nameserver.server.supervisor import Supervisor
from nameserver.server.zones.downstreams import Downstreams
from nameserver.server.zones.entry import ZoneEntry
from nameserver.server.zones.manager import ZoneManager
from nameserver.server.zones.publisher import Publisher
from nameserver.store.database import Store
from nameserver.telemetry.tally import Tally
from nameserver.wire import names

HASTY = PullLimits(connect_timeout=1.0, idle_timeout=1.0, udp_timeout=0.2, udp_tries=1)
PATIENT = PullLimits(connect_timeout=10.0, idle_timeout=10.0, udp_timeout=5.0, udp_tries=1)  # where all is answered
CALM = TimerLimits(jitter=0.0)


class Managed:
    """`said` is what the worker was told, as (header, body). It confirms whatever it is told while `confirming`."""

    def __init__(self, directory: Path, ns_port: int = 53, **server: int) -> None:
        self.server = ServerConfig((Endpoint(LOOPBACK, 53),), directory, directory / "control", **server)
        self.store = Store.open(directory, 0.0)
        self.supervisor = Supervisor(
            [ListeningSockets((), ())], {}, "asyncio", on_start=lambda _: None, on_message=lambda *_: None
        )
        self.publisher = Publisher(self.store, self.supervisor)
        self.tally = Tally()
        self.downstreams = Downstreams(self.server, self.publisher, self.tally, ns_port=ns_port)
        self.zones = ZoneManager(self.server, self.publisher, self.supervisor, self.downstreams, self.tally)
        self.said: list[tuple[Header, bytes]] = []
        self.confirming = True

    async def connect(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.supervisor.workers[0].channel = await Channel.over(ours)
        self._theirs = await Channel.over(theirs)
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        worker = self.supervisor.workers[0]
        while (message := await self._theirs.receive()) is not None:
            self.said.append(message)
            header = message[0]
            if self.confirming and "generation" in header:
                name = bytes.fromhex(header["zone"])
                worker.confirmed(name, header["generation"])
                self.zones.confirmed([name])

    def told(self, kind: str) -> list[Header]:
        return [header for header, _ in self.said if header["kind"] == kind]

    def config(self, *zones: ZoneConfig) -> Config:
        return Config(Path("config"), self.server, zones={zone.name: zone for zone in zones})

    async def start(self, *zones: ZoneConfig) -> None:
        """As the daemon does."""
        await self.zones.prepare(self.config(*zones))
        await self.zones.start()

    def entry(self, zone: str) -> ZoneEntry:
        return self.zones.entries[names.from_text(zone)]

    def serial(self, zone: str) -> int | None:
        stored = self.publisher.stored.get(names.from_text(zone))
        return stored.serial if stored else None

    async def idle(self, zone: str) -> None:
        """Until no run is under way."""
        await until(lambda: self.entry(zone).task is None)

    async def stop(self) -> None:
        await self.downstreams.stop()
        await self.zones.stop()
        await self.publisher.close()
        channel = self.supervisor.workers[0].channel
        if channel is not None:
            channel.close()
        await self._listening
        self._theirs.close()
        await self.supervisor.stop(0.1)


@asynccontextmanager
async def managed(directory: Path, ns_port: int = 53, **server: int) -> AsyncIterator[Managed]:
    """`server` are settings of the `[server]` table; name servers that only a zone names listen at `ns_port`."""
    made = Managed(directory, ns_port, **server)
    try:
        await made.connect()
        yield made
    finally:
        await made.stop()
