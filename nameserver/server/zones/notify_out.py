"""NOTIFY to a zone's targets: the sockets of `transfer.notify`. Told only once every worker answers the new version.

    publish ─▶ a task per zone ─ what is due ─▶ a lane per target (`lanes`): zones in line, a few being told
                                                      │ answered, silent
                                                      └──▶ the zone's `NotifySender`

Who the targets are is for the caller to say (`notify_targets`), who is told in `on_result` what came of each.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from nameserver.config.model import Endpoint, Remote, ZoneConfig
from nameserver.errors import Reason, TransferError, WireError
from nameserver.server.clock import wall_clock
from nameserver.server.zones import pull
from nameserver.server.zones.key_choice import OTHER_KEY_MAY_HELP, KeyChoice, in_one
from nameserver.server.zones.lanes import Lanes
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
RATE = 500  # begun in a second, where nothing else is configured
PATIENCE = 5.0  # seconds for an answer at most; less where the next sending is due sooner
MOST_TROUBLES = 10_000  # targets of whose last failure is known, so that it is warned of once

OnResult = Callable[[bytes, Remote, NotifySentEvent], None]


@dataclass(slots=True)
class _Zone:
    """One zone's targets that are still to be told."""

    config: ZoneConfig
    serial: int = 0
    soa_rdata: bytes = b""
    sender: NotifySender[Remote] = field(default_factory=NotifySender)
    task: asyncio.Task[None] | None = None


class NotifyOut:
    """All zones' outgoing NOTIFYs. `on_result` hears of each that was answered with success, or given up."""

    def __init__(self, tally: Tally, rate: float = RATE) -> None:
        self._tally = tally
        self.keys = KeyChoice()
        self.on_result: OnResult = lambda _zone, _target, _event: None
        self._zones: dict[bytes, _Zone] = {}
        self._lanes: Lanes[Remote, Send[Remote]] = Lanes(
            "notify", self._tell_in_turn, at_once=AT_ONCE, at_once_to_one=AT_ONCE_TO_ONE, rate=rate
        )
        self._troubles: dict[str, Reason] = {}  # by target: why it could not be told the last time

    def publish(self, config: ZoneConfig, serial: int, soa_rdata: bytes, targets: Iterable[Remote]) -> None:
        """A version is answered everywhere: tell these targets, and nobody of what came before."""
        told = list(targets)
        if not told:
            self.forget(config.name)
            return
        self._lanes.leave(config.name)  # what stands there is of an older version, perhaps for others than now
        zone = self._zones.setdefault(config.name, _Zone(config))
        zone.config, zone.serial, zone.soa_rdata = config, serial, soa_rdata
        zone.sender.publish(serial, told, time.monotonic())
        self._begin(zone)

    def tell(self, config: ZoneConfig, serial: int, soa_rdata: bytes, target: Remote) -> None:
        """Tell one target more of the version that is answered everywhere."""
        zone = self._zones.get(config.name)
        if zone is None or zone.serial != serial:
            self.publish(config, serial, soa_rdata, [target])
            return
        zone.sender.add(target, time.monotonic())
        self._begin(zone)

    def keep(self, name: bytes, targets: Container[Remote]) -> None:
        """Tell nobody of a zone any more who is none of these."""
        zone = self._zones.get(name)
        if zone is not None:
            zone.sender.keep(targets)

    def _begin(self, zone: _Zone) -> None:
        if zone.task is not None:
            zone.task.cancel()
        zone.task = asyncio.create_task(self._work(zone), name=f"notify {zone.config.text}")

    def forget(self, name: bytes) -> None:
        """The zone expired or went away: tell nobody any more."""
        zone = self._zones.pop(name, None)
        if zone is not None and zone.task is not None:
            zone.task.cancel()
        self._lanes.leave(name)

    async def stop(self) -> None:
        """End everything."""
        tasks = [zone.task for zone in self._zones.values() if zone.task is not None]
        for name in list(self._zones):
            self.forget(name)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._lanes.stop()

    async def _work(self, zone: _Zone) -> None:
        """Put into the lanes what is due, until nobody is left to be told."""
        while (deadline := zone.sender.next_deadline()) is not None:
            await asyncio.sleep(max(0.0, deadline - time.monotonic()))
            for event in zone.sender.due(time.monotonic()):
                if isinstance(event, Send):
                    self._lanes.put(event.target, zone.config.name, event)
                else:
                    self._lanes.leave(zone.config.name, event.target)
                    self._gave_up(zone, event)

    def _gave_up(self, zone: _Zone, event: GaveUp[Remote]) -> None:
        if event.rcode is not None:
            reason = Reason.REFUSED
            detail = f"it answers {codes.RCODE_NAMES.get(event.rcode, str(event.rcode))}"
        elif event.failure is not None and event.failure.reason is not Reason.CONNECT_TIMEOUT:
            reason, detail = event.failure.reason, event.failure.detail
        else:
            reason, detail = Reason.CONNECT_TIMEOUT, "it does not answer"
        key = self.keys.to_try(event.target, time.monotonic())[0]
        self._report(zone, event.target, event.serial, len(WAITS), reason, detail, key)

    async def _tell_in_turn(self, target: Remote, name: bytes, send: Send[Remote]) -> None:
        zone = self._zones.get(name)
        if zone is not None:
            await self._tell(zone, target, send)

    async def _tell(self, zone: _Zone, remote: Remote, send: Send[Remote]) -> None:
        patience = min(WAITS[send.attempt - 1], PATIENCE)
        for endpoint in remote.addresses:
            if send.target not in zone.sender.waiting or self._zones.get(zone.config.name) is not zone:
                return  # told, given up or forgotten meanwhile
            try:
                rcode, key = await self._tell_at(zone, remote, endpoint, patience)
            except TransferError as error:
                zone.sender.failed(send.target, error, send.serial)
                continue
            if zone.sender.answered(send.target, rcode, send.serial) and send.target not in zone.sender.waiting:
                failure = rcode_failure(rcode) if rcode != codes.NOERROR else None  # it does not know NOTIFY
                reason, detail = (failure.reason, failure.detail) if failure else (None, "")
                self._report(zone, remote, send.serial, send.attempt, reason, detail, key, endpoint)
            return

    async def _tell_at(
        self, zone: _Zone, remote: Remote, endpoint: Endpoint, patience: float
    ) -> tuple[int, TsigKey | None]:
        """The RCODE of the answer, and the key it came under; TransferError where there is none that may be believed.

        A remote with two keys is told under the other one where the first is not accepted.
        """
        answer: tuple[int, TsigKey | None] | None = None
        failures: list[TransferError] = []
        for key in self.keys.to_try(remote, time.monotonic()):
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
                    self.keys.worked(remote, key, failures, time.monotonic())
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

        return await pull.ask_once(peer, message, read, patience)

    def _report(
        self,
        zone: _Zone,
        remote: Remote,
        serial: int,
        tries: int,
        reason: Reason | None,
        detail: str,
        key: TsigKey | None,
        endpoint: Endpoint | None = None,
    ) -> None:
        event = NotifySentEvent(
            at=time.time(),
            zone=zone.config.text,
            target=remote.name,
            address=str(endpoint or remote.addresses[0]),
            key=names.to_text(key.name) if key else "",
            serial=serial,
            tries=tries,
            outcome=Outcome.FAILED if reason else Outcome.OK,
            reason=reason,
            detail=detail,
        )
        repeated = reason is not None and reason is self._troubles.get(remote.name)
        if reason is None:
            self._troubles.pop(remote.name, None)
        else:
            if len(self._troubles) >= MOST_TROUBLES:
                self._troubles.clear()
            self._troubles[remote.name] = reason
        log_event(event, repeated=repeated)
        self._tally.add(event)
        self.on_result(zone.config.name, remote, event)
