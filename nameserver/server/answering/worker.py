"""An answering process: zones in memory, sockets, and the channel to the transfer process.

It decides nothing about zones: it is told what to load, what has changed and what has expired, and confirms each. It
listens once it has loaded what it was told of first: whoever waits meanwhile is better off than with a REFUSED from the
successor of a worker that knew the answer. A large zone is loaded in slices between which queries are answered, and
goes live by one assignment; a small change is applied to the live zone within one turn of the loop, so no query sees
half of it.
"""

import asyncio
import contextlib
import gc
import logging
import mmap
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nameserver.errors import StoreError, StoreFault, ZoneError
from nameserver.query.counters import CALLBACK, COUNTERS
from nameserver.query.exchange import Outcome, TransferRequest
from nameserver.query.pipeline import Pipeline
from nameserver.query.zoneset import ServedZone, ZoneSet, ZoneState
from nameserver.server.answering.acceptor import Acceptor
from nameserver.server.answering.batch import locate
from nameserver.server.answering.counting import CountedShortcuts
from nameserver.server.answering.notify_forwarder import NotifyForwarder, NotifyRow
from nameserver.server.answering.pace import OutLimits
from nameserver.server.answering.promptness import ask_for_short_turns
from nameserver.server.answering.tcp import TcpConnection, TcpLimits, TcpServer
from nameserver.server.answering.transfer_out import TransferOut
from nameserver.server.answering.udp import UdpListener, listen
from nameserver.server.channel import Channel, Header, unpack_changes
from nameserver.server.clock import wall_clock
from nameserver.server.clocks import machine_clock
from nameserver.server.faults import Faults
from nameserver.server.lag import LoopWatch
from nameserver.server.leaving import Leaving
from nameserver.server.loop import run as run_loop
from nameserver.server.memory import collect_seldom, give_back
from nameserver.server.refusals import Refusals
from nameserver.server.settings import decode_acl, decode_keys, decode_limiter, decode_query_settings, decode_tls
from nameserver.server.tls import server_context
from nameserver.store.reader import StoreReader
from nameserver.telemetry.log import setup as setup_log
from nameserver.zone.contents import Zone, ZoneLoader
from nameserver.zone.emptied import AT_ONCE

BEAT_INTERVAL = 1.0
TRANSFERRED_WITHIN = 0.01  # seconds from the end of a transfer until it is told of, with others that end meanwhile
CONFIRM_BATCH = 200  # zones confirmed by one message, …
CONFIRM_WITHIN = 0.5  # … or so many seconds after the first of them was loaded
LISTEN_PATIENCE = 5.0  # seconds of loading after which it listens with what it has; the rest is SERVFAIL meanwhile
INDEXED_AT_ONCE = 2000  # owners of a zone that becomes a signed one within a turn; a larger one is loaded, in slices
FIRST_RETRY, LAST_RETRY = 1.0, 30.0  # seconds until a zone that could not be read is loaded again; doubled each time
LOADED_AT_ONCE = 64  # owners between two turns of the loop, of a zone of several slices: a twentieth of a millisecond
SMALL = 64 * 1024  # bytes of a zone that is loaded within a turn
LONGEST_TURN = 0.002  # seconds of loading between two turns of the loop
DRAIN_PATIENCE = 5.0  # seconds for replies in flight at shutdown, …
END_PATIENCE = 2.0  # … and more for the other workers to come to the same end

log = logging.getLogger("nameserver.worker")


@dataclass(slots=True)
class _Loading:
    """The load under way."""

    name: bytes
    state: ZoneState  # that the zone is to have then
    wanted: bool = True


@dataclass(slots=True)
class _Again:
    """A load that failed for no fault of the zone's, and is tried again."""

    state: ZoneState
    wait: float
    timer: asyncio.TimerHandle


class Worker:
    """Everything one answering process holds."""

    def __init__(self, channel: Channel, hello: Header, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._channel = channel
        self._index = int(hello["index"])
        self._reader = StoreReader(Path(hello["store"]))
        settings = hello["server"]
        self._counters = memoryview(mmap.mmap(int(hello["counters"]), 8 * len(COUNTERS))).cast("Q")
        self._faults = Faults.counted_in(self._counters)
        self._watch = LoopWatch(loop)
        self.zones = ZoneSet()
        self._pipeline = Pipeline(self.zones, {}, decode_query_settings(settings), self._counters, machine_clock)
        self._pipeline.limiter = decode_limiter(settings)
        self._shortcuts = CountedShortcuts(loop, self._pipeline, locate)
        self._leaving = Leaving()
        self._notifies = NotifyForwarder(loop, self._send_notifies, lambda: channel.backlog)
        self._refusals = Refusals()
        self._transfers = TransferOut(
            self._reader,
            OutLimits(**settings["transfers_out"]),
            self._refuse_transfer,
            self._pipeline.transfer_opt,
            wall_clock,
        )
        self._transfers.on_finished = self._transfer_ended
        self._pipeline.differences = self._transfers.over_udp
        self._tcp = TcpServer(
            loop,
            self._pipeline,
            self._shortcuts,
            wall_clock,
            self._on_outcome,
            self._transfers.send,
            self._faults,
            TcpLimits(
                settings["tcp_idle_timeout"],
                settings["tcp_message_timeout"],
                settings["tcp_max_clients"],
                settings["tcp_max_clients_per_address"],
            ),
        )
        self._udp_sockets = [socket.socket(fileno=number) for number in hello["udp"]]
        self._tcp_sockets = [socket.socket(fileno=number) for number in hello["tcp"]]
        self._tls_sockets = [socket.socket(fileno=number) for number in hello["tls"]]
        self._loads: dict[bytes, ZoneState] = {}  # zones to load, in order, and the state each is to have then
        self._loading: _Loading | None = None  # the one under way; its zone may stand in `_loads` again
        self._held: dict[bytes, list[tuple[Header, bytes]]] = {}  # changes that came while their zone was loading
        self._again: dict[bytes, _Again] = {}
        self._unconfirmed: dict[bytes, int] = {}  # what is answered since this turn of the loop
        self._load_wanted = asyncio.Event()
        self._loaded = asyncio.Event()  # nothing is left to load
        self._loaded.set()
        self._listen_wanted = asyncio.Event()
        self._udp: list[UdpListener] = []
        self._acceptors: list[Acceptor] = []
        self._transferred: asyncio.TimerHandle | None = None
        self._asked = -1  # all counters together as of the last beat
        self._reported: dict[bytes, tuple[int, int]] = {}  # zone → queries as of the last beat

    async def run(self) -> None:
        """Serve until told to stop or the transfer process is gone."""
        self._loop.set_exception_handler(self._faults.loop_handler)
        self._watch.start()
        follow = asyncio.create_task(self._follow())
        tasks = [follow, *(asyncio.create_task(each()) for each in (self._load_zones, self._beat, self._serve))]
        # Only `_follow` ever returns. Where another one ends it broke, and a worker without it must not go on.
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for acceptor in self._acceptors:
            acceptor.close()
        if follow in ended and follow.exception() is None and follow.result():
            await self._drain()
        for listener in self._udp:
            listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watch.stop()
        self._reader.close()
        for task in ended:
            task.result()  # raises what broke it: the process ends with a traceback, and is replaced

    async def _drain(self) -> None:
        """An orderly stop: let TCP clients have their answers, and answer UDP until every worker has done so.

        A worker that ended sooner would leave its share of the datagrams unanswered, as its sockets stay open.
        """
        until = self._loop.time() + DRAIN_PATIENCE + END_PATIENCE
        if cut := await self._tcp.drain(DRAIN_PATIENCE):
            log.warning("worker %d: %d connections cut at shutdown", self._index, cut)
        self._beat_once()  # with the transfers that ended just now
        self._channel.send("drained")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while (message := await self._channel.receive()) is not None and message[0]["kind"] != "end":
                    pass  # nothing is taken in any more

    async def _serve(self) -> None:
        """Listen when told to, and when what was to be loaded before is loaded or takes too long; never returns."""
        await self._listen_wanted.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_PATIENCE):
                await self._loaded.wait()
        for each in self._tcp_sockets:
            self._acceptors.append(Acceptor(self._loop, each, self._tcp))
        for each in self._tls_sockets:
            self._acceptors.append(Acceptor(self._loop, each, self._tcp, tls=True))
        for each in self._udp_sockets:
            self._udp.append(listen(self._loop, each, self._shortcuts, wall_clock, self._on_outcome, self._faults))
        self._channel.send("ready")
        await asyncio.Event().wait()

    async def _follow(self) -> bool:
        """Act on the channel's messages; True when told to stop, False when the other side is gone."""
        while (message := await self._channel.receive()) is not None:
            header, body = message
            self._learn_expiry(header.get("expires", {}))
            match header["kind"]:
                case "configure":
                    self._configure(header)
                case "load":
                    for name in header["zones"]:
                        self._want(bytes.fromhex(name), ZoneState(header.get("state", "serving")))
                case "zone":
                    self._take(header, body)
                case "change":
                    self._change(header, body)
                case "state":
                    self._set_state(header)
                case "pause":
                    if (served := self.zones.exact(bytes.fromhex(header["zone"]))) is not None:
                        self._pause(served, header["rcode"])
                case "hear":  # all before it took effect
                    self._channel.send("heard", number=header["number"])
                case "listen":
                    self._listen_wanted.set()
                case "stop":
                    return True
        return False

    def _learn_expiry(self, expires: dict[str, float]) -> None:
        for name, when in expires.items():
            served = self.zones.exact(bytes.fromhex(name))
            if served is not None:
                served.expires = when

    def _configure(self, header: Header) -> None:
        if "keys" in header:
            self._pipeline.keys = decode_keys(header["keys"])
        if "tls" in header:
            self._take_tls(header["tls"])
        for alike in header.get("zones", ()):
            kind, paused = alike["type"], alike["paused"]
            allow_transfer, allow_notify = decode_acl(alike["allow_transfer"]), decode_acl(alike["allow_notify"])
            for hex_name, text in alike["zones"]:
                name = bytes.fromhex(hex_name)
                served = self.zones.exact(name)
                if served is None:
                    served = ServedZone(name, text, paused=paused)
                    self.zones.add(served)
                served.type, served.allow_transfer, served.allow_notify = kind, allow_transfer, allow_notify
                self._pause(served, paused)
        for name in map(bytes.fromhex, header.get("removed", ())):
            gone = self.zones.exact(name)
            if gone is not None:
                self.zones.remove(name)
                self._leave(gone.zone)
            self._reported.pop(name, None)
            self._loads.pop(name, None)
            self._try_no_more(name)
            if self._loading is not None and self._loading.name == name:
                self._loading.wanted = False  # if the zone is added again meanwhile, this is not its content
            else:
                self._held.pop(name, None)

    def _take_tls(self, settings: Header) -> None:
        """Receive clients with this certificate from now on. Where it cannot be used, with the one before."""
        try:
            self._tcp.handshakes.context = server_context(decode_tls(settings))
        except (ssl.SSLError, OSError) as error:
            log.error("worker %d cannot use the TLS certificate: %s", self._index, error)

    def _set_state(self, header: Header) -> None:
        name, state = bytes.fromhex(header["zone"]), ZoneState(header["state"])
        served = self.zones.exact(name)
        if self._loading is not None and self._loading.name == name:
            self._loading.state = state
        if name in self._loads:
            self._loads[name] = state
        if name in self._again:
            self._again[name].state = state
        # What is live goes out of service at once, but does not come back where a load is to replace it.
        coming = name in self._held and state is ZoneState.SERVING
        if served is not None and served.zone is not None and not coming:
            served.state = state
            self.zones.changed(served)

    def _pause(self, served: ServedZone, rcode: int) -> None:
        """Give queries an error from now on, or the zone's data again."""
        if rcode != served.paused:
            self._beat_once()  # what was asked so far was asked before this
            served.paused = rcode
            self.zones.changed(served)

    def _want(self, name: bytes, state: ZoneState = ZoneState.SERVING) -> None:
        self._loads[name] = state
        self._held.setdefault(name, [])
        self._load_wanted.set()
        self._loaded.clear()

    def _take(self, header: Header, body: bytes) -> None:
        """A small zone, whole: as a load, but for the reading."""
        name = bytes.fromhex(header["zone"])
        if name in self._held:
            self._want(name)  # it is being loaded, or waits for it: the store has this version, or a later one
            return
        served = self.zones.exact(name)
        if served is None:
            return
        nodes = {key: node for key, node in unpack_changes(body) if node is not None}
        zone = Zone.from_nodes(bytes.fromhex(header["apex"]), nodes, int(header["generation"]))
        self._try_no_more(name)
        self._put_in_place(served, zone, ZoneState.SERVING)
        self._confirm({name: zone.generation})

    def _change(self, header: Header, body: bytes) -> None:
        name, generation = bytes.fromhex(header["zone"]), int(header["generation"])
        if name in self._held:
            self._held[name].append((header, body))
            return
        served = self.zones.exact(name)
        if served is None:
            return
        zone = served.zone
        if zone is not None and zone.generation == int(header["base"]):
            changes = dict(unpack_changes(body))
            if len(zone.nodes) > INDEXED_AT_ONCE and zone.becomes_signed(changes):
                self._want(name)
                return
            try:
                redirected = zone.apply(changes, generation)
            except ZoneError as error:  # nothing was changed; what the store has is judged as it is loaded
                log.error("worker %d cannot apply a change to %s: %s", self._index, served.text, error)
                self._want(name)
                return
            served.state = ZoneState.SERVING
            self.zones.changed(served, None if redirected else changes)
        elif zone is None or zone.generation < generation:
            self._want(name)  # a change was missed: the store has the whole of it
            return
        self._confirm({name: zone.generation})

    def _confirm(self, zones: dict[bytes, int]) -> None:
        """With what else is taken in in this turn of the loop."""
        if not self._unconfirmed:
            self._loop.call_soon(self._send_confirmed)
        self._unconfirmed.update(zones)

    def _send_confirmed(self) -> None:
        self._channel.send("served", zones={name.hex(): generation for name, generation in self._unconfirmed.items()})
        self._unconfirmed = {}

    async def _load_zones(self) -> None:
        """Load what is wanted, one zone after the other, in slices."""
        while True:
            await self._load_wanted.wait()
            self._load_wanted.clear()
            confirmed: dict[bytes, int] = {}
            turned = told = self._loop.time()
            while self._loads:
                if not self._load_small(confirmed):
                    name = next(iter(self._loads))
                    generation = await self._load(name)
                    if generation is not None:
                        confirmed[name] = generation
                    self._catch_up(name)
                if confirmed and (len(confirmed) >= CONFIRM_BATCH or self._loop.time() - told > CONFIRM_WITHIN):
                    self._confirm(confirmed)
                    confirmed, told = {}, self._loop.time()
                if self._loop.time() - turned > LONGEST_TURN:
                    await asyncio.sleep(0)
                    turned = self._loop.time()
            if confirmed:
                self._confirm(confirmed)
            self._loaded.set()
            gc.collect()
            gc.freeze()  # what is loaded stays: no collection needs to look at it again
            give_back()

    def _catch_up(self, name: bytes) -> None:
        """Apply the changes that came while a zone was loading."""
        if name not in self._loads:  # else the load still to come brings these changes too
            for header, body in self._held.pop(name, []):
                self._change(header, body)

    def _load_small(self, confirmed: dict[bytes, int]) -> bool:
        """Load zones that are small, in one reading of the store, while a turn may last; whether there was one.

        It ends before one that is not small, and before one that cannot be read: `_load` says what becomes of that.
        """
        names = self._first_while(time.monotonic() + LONGEST_TURN)
        before = len(self._loads)
        # Whatever is wrong, `_load` meets it again.
        with contextlib.suppress(Exception), contextlib.closing(self._reader.load_many(names, SMALL)) as rows:
            for meta, items in rows:
                name = next(iter(self._loads))
                zone = None
                if meta is not None:
                    if items is None:
                        break
                    loader = ZoneLoader(meta.apex_as_received, meta.generation, meta.owners)
                    loader.add(items)
                    zone = loader.finish()
                state = self._loads.pop(name)
                self._try_no_more(name)
                served = self.zones.exact(name)
                if zone is not None and served is not None:
                    self._put_in_place(served, zone, state)
                    confirmed[name] = zone.generation
                self._catch_up(name)
        return len(self._loads) < before

    def _first_while(self, until: float) -> Iterator[bytes]:
        """The first of those to load, again and again."""
        while self._loads and time.monotonic() < until:
            yield next(iter(self._loads))

    async def _load(self, name: bytes) -> int | None:
        """Load one zone aside and put it in place; the generation that is now served, or None.

        It leaves the queue before it is read: a version committed while this goes on puts the zone there again.
        """
        self._loading = loading = _Loading(name, self._loads.pop(name))
        zone: Zone | None = None
        try:
            loaded = self._reader.load(name)
            if loaded is not None:
                loader = ZoneLoader(loaded.meta.apex_as_received, loaded.meta.generation, loaded.meta.owners)
                with contextlib.closing(loaded):
                    for number, items in enumerate(loaded.slices):
                        owners = max(1, len(items))
                        size = LOADED_AT_ONCE if self._udp else owners  # nobody waits while it does not listen
                        for begin in range(0, owners, size):
                            loader.add(items[begin : begin + size])
                            if number:  # a small zone comes in one slice: thousands of them need no turn each
                                await asyncio.sleep(0)
                zone = loader.finish()
            self._try_no_more(name)
        except (StoreError, ZoneError) as error:
            fault = error.fault if isinstance(error, StoreError) else StoreFault.DAMAGED
            self._channel.send("failed", zone=name.hex(), error=str(error), fault=fault)
            if fault is not StoreFault.DAMAGED and loading.wanted:
                self._try_again(name, loading.state)
        except Exception as error:  # noqa: BLE001 - one zone's fault must not take all others out of service
            self._faults.broke(CALLBACK, "loading a zone", error)
            text = f"internal error: {type(error).__name__}"
            self._channel.send("failed", zone=name.hex(), error=text, fault=StoreFault.OTHER)
            if loading.wanted:
                self._try_again(name, loading.state)
        finally:
            self._loading = None
        served = self.zones.exact(name)
        if zone is None or served is None or not loading.wanted:
            return None
        self._put_in_place(served, zone, loading.state)
        return zone.generation

    def _put_in_place(self, served: ServedZone, zone: Zone, state: ZoneState) -> None:
        """Answer from another version from now on."""
        before = served.zone
        served.zone = zone
        served.state = state
        self.zones.changed(served)  # so that no answer kept is given any more that was made from the version before
        self._leave(before)

    def _leave(self, zone: Zone | None) -> None:
        """A version that was replaced or whose zone is gone goes, a small one now: what was kept may refer to it."""
        if zone is None:
            return
        if len(zone.nodes) > AT_ONCE:
            self._leaving.take(zone.dismantled())
        else:
            for _ in zone.dismantled():
                pass

    def _try_again(self, name: bytes, state: ZoneState) -> None:
        """The disk was in the way, not the zone: load it later. What is live of it goes on being answered."""
        before = self._again.get(name)
        wait = FIRST_RETRY if before is None else min(before.wait * 2, LAST_RETRY)
        self._try_no_more(name)
        timer = self._loop.call_later(wait, lambda: self._want(name, self._again[name].state))
        self._again[name] = _Again(state, wait, timer)

    def _try_no_more(self, name: bytes) -> None:
        again = self._again.pop(name, None)
        if again is not None:
            again.timer.cancel()

    def _transfer_ended(self) -> None:
        """Have it known soon: how long versions take to those below us is measured by it."""
        if self._transferred is None:
            self._transferred = self._loop.call_later(TRANSFERRED_WITHIN, self._tell_transfers)

    def _tell_transfers(self) -> None:
        self._transferred = None
        if events := self._transfers.take_finished():
            self._channel.send("transferred", transfers_out=events)

    def _refuse_transfer(self, client: TcpConnection, request: TransferRequest, rcode: int, text: str) -> bytes:
        return self._pipeline.refuse_transfer(request, client.address, rcode, text, wall_clock())

    def _on_outcome(self, outcome: Outcome) -> None:
        if outcome.notify is not None:
            self._notifies.received(outcome.notify)
        if outcome.refused is not None:
            self._refusals.add(outcome.refused)

    def _send_notifies(self, rows: list[NotifyRow]) -> None:
        self._channel.send("notify", rows=rows)

    async def _beat(self) -> None:
        """Once a second: alive, what was asked of each zone, which transfers ended. Idle, it looks at no zone."""
        while True:
            self._beat_once()
            await asyncio.sleep(BEAT_INTERVAL)

    def _beat_once(self) -> None:
        self._shortcuts.count()
        total = sum(self._counters)
        transfers = self._transfers
        self._channel.send(
            "beat",
            queries=self._zone_queries() if total != self._asked else {},
            transfers_out=transfers.take_finished(),
            damaged_histories=transfers.take_damaged(),
            refused=self._refusals.take(),
            sending=transfers.in_progress,
            queued=transfers.waiting,
            lag=self._watch.take().to_json(),
        )
        self._asked = total

    def _zone_queries(self) -> dict[str, tuple[int, int, bool]]:
        """What was asked of each zone since the last time: (queries, control queries, whether it is paused)."""
        queries: dict[str, tuple[int, int, bool]] = {}
        for served in self.zones:
            wanted, control = self._reported.get(served.name, (0, 0))
            if (served.queries, served.control_queries) != (wanted, control):
                queries[served.name.hex()] = (
                    served.queries - wanted,
                    served.control_queries - control,
                    served.paused != 0,
                )
                self._reported[served.name] = (served.queries, served.control_queries)
        return queries


async def serve(channel_number: int) -> None:
    """The life of a worker process."""
    channel = await Channel.over(socket.socket(fileno=channel_number))
    message = await channel.receive()
    if message is None:
        return
    hello = message[0]
    setup_log(hello["log_level"], hello["log_format"])
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        # A signal sent to the whole process group is the transfer process's to act on; it tells us what to do.
        loop.add_signal_handler(number, lambda: None)
    await Worker(channel, hello, loop).run()


def main() -> int:
    """`python -m nameserver.server.answering.worker CHANNEL-FD EVENT-LOOP`: started by the transfer process only."""
    ask_for_short_turns()
    collect_seldom()
    try:
        run_loop(lambda: serve(int(sys.argv[1])), sys.argv[2])
    except Exception:
        log.exception("a worker broke; please report this")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
