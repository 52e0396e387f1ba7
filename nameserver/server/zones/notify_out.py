"""NOTIFY to `also-notify`: the sockets of `transfer.notify`. Told only once every worker answers the new version.

    publish ─▶ a task per zone ─ what is due ─▶ a lane per target: zones in line, a few of them being told
                                                      │ answered, silent
                                                      └──▶ the zone's `NotifySender`

A target that is silent holds up its own lane, and nobody else's. A zone stands in a lane once, with its newest serial.
"""

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass, field

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.errors import Reason, TransferError, WireError
from nameserver.server.clock import wall_clock
from nameserver.server.zones import pull
from nameserver.server.zones.key_choice import OTHER_KEY_MAY_HELP, KeyChoice, in_one
from nameserver.telemetry.events import NotifySentEvent, Outcome
from nameserver.telemetry.log import log_event
from nameserver.telemetry.tally import Tally
from nameserver.transfer.notify import WAITS, GaveUp, NotifySender, Send
from nameserver.wire import codes, names
from nameserver.wire.failures import rcode_failure
from nameserver.wire.query import build_query
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import StreamVerifier, TsigKey, sign

AT_ONCE = 256  # NOTIFYs on their way
AT_ONCE_TO_ONE = 16  # … to one target, so that many must be dead before the others notice

log = logging.getLogger("nameserver.notify")


@dataclass(slots=True)
class _Zone:
    """One zone's targets that are still to be told."""

    config: ZoneConfig
    soa_rdata: bytes = b""
    sender: NotifySender[str] = field(default_factory=NotifySender)
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Lane:
    """What is to be told to one target, and the tasks that do so."""

    waiting: dict[bytes, Send[str]] = field(default_factory=dict)  # by zone
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    serving: int = 0  # of the tasks, those that will look at `waiting` once more
    trouble: Reason | None = None  # why it could not be told the last time


class NotifyOut:
    """All zones' outgoing NOTIFYs."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._keys = KeyChoice()
        self._zones: dict[bytes, _Zone] = {}
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)  # by remote name
        self._places = asyncio.Semaphore(AT_ONCE)

    def publish(self, config: ZoneConfig, serial: int, soa_rdata: bytes) -> None:
        """A version is answered everywhere: tell the zone's targets."""
        if not config.also_notify:
            self.forget(config.name)
            return
        self._leave_lanes(config.name)  # what stands there is of an older version, perhaps for others than now
        zone = self._zones.setdefault(config.name, _Zone(config))
        zone.config, zone.soa_rdata = config, soa_rdata
        zone.sender.publish(serial, [remote.name for remote in config.also_notify], time.monotonic())
        if zone.task is not None:
            zone.task.cancel()
        zone.task = asyncio.create_task(self._work(zone), name=f"notify {config.text}")

    def forget(self, name: bytes) -> None:
        """The zone expired or went away: tell nobody any more."""
        zone = self._zones.pop(name, None)
        if zone is not None and zone.task is not None:
            zone.task.cancel()
        self._leave_lanes(name)

    def _leave_lanes(self, name: bytes) -> None:
        for lane in self._lanes.values():
            lane.waiting.pop(name, None)

    async def stop(self) -> None:
        """End everything."""
        tasks = [zone.task for zone in self._zones.values() if zone.task is not None]
        for name in list(self._zones):
            self.forget(name)
        for lane in self._lanes.values():
            for task in lane.tasks:
                task.cancel()
                tasks.append(task)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, zone: _Zone) -> None:
        """Put into the lanes what is due, until nobody is left to be told."""
        while (deadline := zone.sender.next_deadline()) is not None:
            await asyncio.sleep(max(0.0, deadline - time.monotonic()))
            for event in zone.sender.due(time.monotonic()):
                lane = self._lanes[event.target]
                if isinstance(event, Send):
                    lane.waiting[zone.config.name] = event
                    if lane.serving < AT_ONCE_TO_ONE:
                        lane.serving += 1
                        task = asyncio.create_task(self._serve(lane), name=f"notify {event.target}")
                        lane.tasks.add(task)
                        task.add_done_callback(lane.tasks.discard)
                else:
                    lane.waiting.pop(zone.config.name, None)
                    self._gave_up(zone, event)

    async def _serve(self, lane: _Lane) -> None:
        """Tell a target of one zone after the other while any is in its lane."""
        try:
            while lane.waiting:
                name = next(iter(lane.waiting))
                send, zone = lane.waiting.pop(name), self._zones[name]
                remote = _remote(zone.config, send.target)  # now: while it waits, a reload may leave the target out
                try:
                    async with self._places:
                        await self._tell(zone, remote, send)
                except Exception:  # whoever else stands in this lane is still to be told
                    log.exception("zone %s: telling %s broke; please report this", zone.config.text, send.target)
        finally:
            lane.serving -= 1

    def _gave_up(self, zone: _Zone, event: GaveUp[str]) -> None:
        if event.rcode is not None:
            reason = Reason.REFUSED
            detail = f"it answers {codes.RCODE_NAMES.get(event.rcode, str(event.rcode))}"
        elif event.failure is not None and event.failure.reason is not Reason.CONNECT_TIMEOUT:
            reason, detail = event.failure.reason, event.failure.detail
        else:
            reason, detail = Reason.CONNECT_TIMEOUT, "it does not answer"
        remote = _remote(zone.config, event.target)
        key = self._keys.to_try(remote, time.monotonic())[0]
        self._report(zone, remote, event.serial, len(WAITS), reason, detail, key)

    async def _tell(self, zone: _Zone, remote: Remote, send: "Send[str]") -> None:
        patience = min(WAITS[send.attempt - 1], 5.0)
        for endpoint in remote.addresses:
            if send.target not in zone.sender.waiting or self._zones.get(zone.config.name) is not zone:
                return  # told, given up or forgotten meanwhile
            try:
                rcode, key = await self._tell_at(zone, remote, endpoint, patience)
            except TransferError as error:
                zone.sender.failed(send.target, error, send.serial)
                continue
            if zone.sender.answered(send.target, rcode, send.serial) and rcode == codes.NOERROR:
                self._report(zone, remote, send.serial, send.attempt, None, "", key)
            return

    async def _tell_at(
        self, zone: _Zone, remote: Remote, endpoint: Endpoint, patience: float
    ) -> tuple[int, TsigKey | None]:
        """The RCODE of the answer, and the key it came under; TransferError where there is none that may be believed.

        A remote with two keys is told under the other one where the first is not accepted.
        """
        answer: tuple[int, TsigKey | None] | None = None
        failures: list[TransferError] = []
        for key in self._keys.to_try(remote, time.monotonic()):
            try:
                rcode = await self._ask(pull.Peer(remote, endpoint, key), zone, patience)
            except TransferError as error:
                failures.append(error)
                if error.reason not in OTHER_KEY_MAY_HELP:
                    break
                continue
            answer = rcode, key
            if rcode not in (codes.REFUSED, codes.NOTAUTH):
                if key is not None and len(remote.keys) > 1:
                    self._keys.worked(remote, key, failures, time.monotonic())
                break
            failures.append(rcode_failure(rcode))
        if answer is None:
            heard = [each for each in failures if each.reason is not Reason.CONNECT_TIMEOUT]
            raise in_one(heard or failures)
        return answer

    async def _ask(self, peer: pull.Peer, zone: _Zone, patience: float) -> int:
        """The RCODE of the answer; TransferError where there is none that may be believed."""
        ident = secrets.randbelow(65536)
        soa = RRset.of(zone.config.name, codes.SOA, 0, [zone.soa_rdata])
        message = build_query(ident, zone.config.name, codes.SOA, opcode=codes.NOTIFY, flags=codes.AA, soa=soa)
        verifier: StreamVerifier | None = None
        if peer.key is not None:
            message, mac = sign(message, peer.key, wall_clock())
            verifier = StreamVerifier(peer.key, mac)

        def read(answer: bytes) -> int:
            if len(answer) < 12 or answer[:2] != ident.to_bytes(2, "big") or answer[2] & 0xF8 != 0xA0:
                raise WireError("not the answer to our NOTIFY")
            if verifier is not None:
                verifier.check(answer, wall_clock())
            return answer[3] & 0x0F

        if peer.remote.tls is not None:  # nothing of what is told to it goes unencrypted
            return await pull.ask_over_tls(peer, message, read, patience)
        return await pull.ask_over_udp(peer, message, read, patience)

    def _report(
        self,
        zone: _Zone,
        remote: Remote,
        serial: int,
        tries: int,
        reason: Reason | None,
        detail: str,
        key: TsigKey | None,
    ) -> None:
        event = NotifySentEvent(
            at=time.time(),
            zone=zone.config.text,
            target=remote.name,
            address=str(remote.addresses[0]),
            key=names.to_text(key.name) if key else "",
            serial=serial,
            tries=tries,
            outcome=Outcome.FAILED if reason else Outcome.OK,
            reason=reason,
            detail=detail,
        )
        lane = self._lanes[remote.name]
        log_event(event, repeated=reason is not None and reason is lane.trouble)
        lane.trouble = reason
        self._tally.add(event)


def _remote(config: ZoneConfig, name: str) -> Remote:
    return next(remote for remote in config.also_notify if remote.name == name)
