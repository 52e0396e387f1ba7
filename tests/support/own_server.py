"""The answering half of our own server inside a test's event loop: real sockets on loopback, a real store."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

from support.pipelines import pipeline_of
from support.process import free_port
from support.zones import zone_text

from nameserver.config.model import Endpoint, Remote, ServerTls, ZoneConfig
from nameserver.query.acl import Acl, AclRow, TlsClient
from nameserver.query.exchange import Outcome, TransferRequest
from nameserver.query.pipeline import Pipeline
from nameserver.query.shortcut import Entry, Shortcut
from nameserver.query.zoneset import ServedZone, ZoneState
from nameserver.server.answering.acceptor import Acceptor
from nameserver.server.answering.batch import locate
from nameserver.server.answering.counting import CountedShortcuts
from nameserver.server.answering.pace import OutLimits
from nameserver.server.answering.tcp import TcpConnection, TcpLimits, TcpServer
from nameserver.server.answering.transfer_out import TransferOut
from nameserver.server.answering.udp import UdpListener, listen
from nameserver.server.clock import wall_clock
from nameserver.server.faults import Faults
from nameserver.server.sockets import open_sockets
from nameserver.server.tls import server_context
from nameserver.server.zones.new_steps import steps_to_whole
from nameserver.store.database import Store, StoredZone, ZoneTimers
from nameserver.store.reader import StoreReader
from nameserver.wire import names
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import TsigKey
from nameserver.zone.builder import BuiltZone
from nameserver.zone.contents import Zone
from nameserver.zone.node import pack_node
from nameserver.zone.sorted_nodes import SortedNodes
from nameserver.zone.zonefile import read_zone_file

LOOPBACK = "127.0.0.1"
LOOPBACK_ONLY = Acl((AclRow(ip_network("127.0.0.0/8")),))
KEY = TsigKey(names.from_text("transfer-key"), "hmac-sha256", b"0123456789abcdef0123456789abcdef")


def commit_text(store: Store, zone: str, text: str) -> StoredZone:
    """Store a zone from its text, for ever; how it differs from the version before becomes its history."""
    built = read_zone_file(text, names.from_text(zone), f"{zone}.zone")
    return _commit(store, zone, built, built.records)


def _commit(store: Store, zone: str, built: BuiltZone, records: int) -> StoredZone:
    new_steps = steps_to_whole(store, ZoneConfig(names.from_text(zone), zone), built)
    return store.commit_full(
        names.from_text(zone),
        zone,
        built.nodes,
        apex_as_received=built.apex_as_received,
        soa_rdata=built.soa_rdata,
        serial=built.soa.serial,
        records=records,
        source="a test",
        timers=ZoneTimers(1.0, 1.0, 4e9, 4e9),
        new_steps=new_steps,
    )


def commit_bulky(store: Store, zone: str, serial: int, owners: int = 200) -> StoredZone:
    """Store a zone of 60 KB an owner: more than kernel and server hold for a client that does not read."""
    return _commit_owners(store, zone, serial, owners, pack_node([RRset.of(b"", 65534, 60, [bytes(60_000)])]))


def commit_hosts(store: Store, zone: str, serial: int, owners: int) -> StoredZone:
    """Store a zone of many hosts with an address each; made without a zone file, which takes long to read."""
    return _commit_owners(store, zone, serial, owners, pack_node([RRset.of(b"", 1, 60, [b"\xc0\x00\x02\x01"])]))


def _commit_owners(store: Store, zone: str, serial: int, owners: int, node: bytes) -> StoredZone:
    built = read_zone_file(zone_text(zone, serial), names.from_text(zone), f"{zone}.zone")
    nodes = dict(built.nodes)
    for number in range(owners):
        label = f"bulk-{number:06}".encode()
        nodes[bytes((len(label),)) + label] = node
    return _commit(store, zone, replace(built, nodes=SortedNodes.of(nodes)), built.records + owners)


class NoShortcut(Shortcut):
    """Knows nothing and learns nothing."""

    def find(self, asked: bytes) -> Entry | None:
        """Nothing."""
        return None

    def learn(self, asked: bytes, outcome: Outcome) -> None:
        """Nothing."""


class NoShortcuts(CountedShortcuts):
    """None for any transport."""

    made = NoShortcut


class Watched(Pipeline):
    """A pipeline that notes every request before it judges it."""

    def __init__(self, pipeline: Pipeline, asked: list[bytes]) -> None:
        super().__init__(pipeline.zones, pipeline.keys, pipeline.settings, pipeline.counters, pipeline.steady)
        self._asked = asked

    def handle(
        self,
        data: bytes,
        address: IPv4Address | IPv6Address,
        port: int,
        transport: str,
        now: int,
        client: TlsClient | None = None,
    ) -> Outcome:
        self._asked.append(data)
        return super().handle(data, address, port, transport, now, client)


class OwnServer:
    """Sockets, pipeline, zones and store of one answering process.

    `asked` are the requests that came, `outcomes` the NOTIFYs that were passed on, `clock` is its wall clock.
    """

    def __init__(
        self,
        directory: Path,
        key: TsigKey | None = None,
        limits: TcpLimits | None = None,
        clock: Callable[[], int] = wall_clock,
        out: OutLimits | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        self.key = key
        self.tls = tls
        self.port = free_port()
        self.tls_port = free_port()
        self.endpoint = Endpoint(LOOPBACK, self.port)
        self.store = Store.open(directory, 0.0)
        self.reader = StoreReader(self.store.path)
        self.asked: list[bytes] = []
        self.pipeline: Pipeline = Watched(pipeline_of(keys=[key] if key else []), self.asked)
        self.clock = clock
        self.transfers = TransferOut(self.reader, out or OutLimits(), self._refuse_transfer, self._opt, clock)
        self.pipeline.differences = self.transfers.over_udp
        self.outcomes: list[Outcome] = []
        self.limits = limits or TcpLimits()
        self.faults = Faults.counted_in(self.pipeline.counters)
        self._closers: list[Acceptor | UdpListener | socket.socket] = []

    def _opt(self, request: TransferRequest, soa_expire: int, life: float | None) -> bytes:
        return self.pipeline.transfer_opt(request, soa_expire, life)

    def _refuse_transfer(self, client: TcpConnection, request: TransferRequest, rcode: int, text: str) -> bytes:
        return self.pipeline.refuse_transfer(request, client.address, rcode, text, self.clock())

    @property
    def remote(self) -> Remote:
        """Itself, as its secondary's configuration names it."""
        return Remote("own", (self.endpoint,), (self.key,) if self.key else ())

    def zone_config(self, zone: str, **more) -> ZoneConfig:
        """The zone as its secondary is configured for it."""
        return ZoneConfig(names.from_text(zone), zone, primaries=(self.remote,), **more)

    def serve(self, zone: str, text: str, *, acl: Acl = LOOPBACK_ONLY) -> ServedZone:
        """Store and serve a version of a zone."""
        return self.serve_stored(commit_text(self.store, zone, text), acl=acl)

    def serve_stored(self, stored: StoredZone, *, acl: Acl = LOOPBACK_ONLY) -> ServedZone:
        """Serve a version that is in the store."""
        loaded = self.reader.load(stored.name)
        assert loaded is not None
        nodes = {key: node for items in loaded.slices for key, node in items}
        contents = Zone.from_nodes(stored.apex_as_received, nodes, stored.generation)
        served = ServedZone(stored.name, stored.text, contents, ZoneState.SERVING, allow_transfer=acl, allow_notify=acl)
        self.pipeline.zones.add(served)
        return served

    def expect_notify(self, zone: str, acl: Acl = LOOPBACK_ONLY) -> None:
        """Be configured for a zone without holding it."""
        self.pipeline.zones.add(ServedZone(names.from_text(zone), zone, allow_notify=acl))

    async def start(self) -> None:
        """Listen on UDP and TCP."""
        loop = asyncio.get_running_loop()
        secure = (Endpoint(LOOPBACK, self.tls_port),) if self.tls is not None else ()
        sockets = open_sockets((self.endpoint,), secure)
        shortcuts = NoShortcuts(loop, self.pipeline, locate)  # every message is to be seen by the pipeline
        self.tcp = TcpServer(
            loop,
            self.pipeline,
            shortcuts,
            self.clock,
            self.outcomes.append,
            self.transfers.send,
            self.faults,
            self.limits,
        )
        udp = listen(loop, sockets.udp[0], shortcuts, self.clock, self.outcomes.append, self.faults)
        self.acceptor = Acceptor(loop, sockets.tcp[0], self.tcp)
        self._closers = [udp, self.acceptor, *sockets.udp, *sockets.tcp, *sockets.tls]
        if self.tls is not None:
            self.tcp.handshakes.context = server_context(self.tls)
            self._closers.insert(0, Acceptor(loop, sockets.tls[0], self.tcp, tls=True))

    async def stop(self) -> None:
        """Stop listening, end every connection."""
        for each in self._closers:
            each.close()
        self._closers = []
        await asyncio.sleep(0)
        for connection in list(self.tcp.clients):
            connection.abort()
        await until(lambda: not self.tcp.clients)
        await asyncio.sleep(0)  # tasks of transfers that were cancelled

    def close(self) -> None:
        """Give the store up."""
        self.reader.close()
        self.store.close()


@asynccontextmanager
async def own_server(
    directory: Path,
    key: TsigKey | None = None,
    limits: TcpLimits | None = None,
    clock: Callable[[], int] = wall_clock,
    out: OutLimits | None = None,
    tls: ServerTls | None = None,
) -> AsyncIterator[OwnServer]:
    """A server that listens, and is gone afterwards."""
    server = OwnServer(directory, key, limits, clock, out, tls)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        server.close()


async def until(predicate, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - it is for impatience, not for callers
    """Let the loop turn until something has happened in it."""
    async with asyncio.timeout(timeout):
        while not predicate():  # noqa: ASYNC110 - there is nobody to set an event
            await asyncio.sleep(0.002)
