"""NOTIFY to `also-notify`: the sockets of `transfer.notify`. Told only once every worker answers the new version."""

import asyncio
import secrets
import time
from dataclasses import dataclass, field

from nameserver.config.model import Remote, ZoneConfig
from nameserver.errors import Reason, TransferError, WireError
from nameserver.server import pull
from nameserver.telemetry.events import NotifySentEvent, Outcome
from nameserver.telemetry.log import log_event
from nameserver.telemetry.tally import Tally
from nameserver.transfer.notify import WAITS, NotifySender, Send
from nameserver.wire import codes, names
from nameserver.wire.query import build_query
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import StreamVerifier, sign

AT_ONCE = 64  # NOTIFYs on their way


@dataclass(slots=True)
class _Zone:
    """One zone's targets that are still to be told."""

    config: ZoneConfig
    soa_rdata: bytes = b""
    sender: NotifySender[str] = field(default_factory=NotifySender)
    task: asyncio.Task[None] | None = None
    asking: set[asyncio.Task[None]] = field(default_factory=set)


class NotifyOut:
    """All zones' outgoing NOTIFYs."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._zones: dict[bytes, _Zone] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    def publish(self, config: ZoneConfig, serial: int, soa_rdata: bytes) -> None:
        """A version is answered everywhere: tell the zone's targets."""
        if not config.also_notify:
            self.forget(config.name)
            return
        zone = self._zones.setdefault(config.name, _Zone(config))
        zone.config, zone.soa_rdata = config, soa_rdata
        zone.sender.publish(serial, [remote.name for remote in config.also_notify], time.monotonic())
        if zone.task is not None:
            zone.task.cancel()
        zone.task = asyncio.create_task(self._work(zone), name=f"notify {config.text}")

    def forget(self, name: bytes) -> None:
        """The zone expired or went away: tell nobody any more."""
        zone = self._zones.pop(name, None)
        if zone is not None:
            for task in (zone.task, *zone.asking):
                if task is not None:
                    task.cancel()

    async def stop(self) -> None:
        """End everything."""
        tasks = [task for zone in self._zones.values() for task in (zone.task, *zone.asking) if task is not None]
        for name in list(self._zones):
            self.forget(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, zone: _Zone) -> None:
        """Send what is due until nobody is left to be told; each target is asked in a task of its own."""
        while (deadline := zone.sender.next_deadline()) is not None:
            await asyncio.sleep(max(0.0, deadline - time.monotonic()))
            for event in zone.sender.due(time.monotonic()):
                remote = _remote(zone.config, event.target)
                if isinstance(event, Send):
                    task = asyncio.create_task(self._tell(zone, remote, event))
                    zone.asking.add(task)
                    task.add_done_callback(zone.asking.discard)
                else:
                    refused = event.rcode is not None
                    text = codes.RCODE_NAMES.get(event.rcode, str(event.rcode)) if event.rcode is not None else ""
                    reason = Reason.REFUSED if refused else Reason.CONNECT_TIMEOUT
                    detail = f"it answers {text}" if refused else "it does not answer"
                    self._report(zone, remote, event.serial, len(WAITS), reason, detail)

    async def _tell(self, zone: _Zone, remote: Remote, send: "Send[str]") -> None:
        patience = min(WAITS[send.attempt - 1], 5.0)
        for endpoint in remote.addresses:
            peer = pull.Peer(remote, endpoint)
            try:
                async with self._places:
                    rcode = await self._ask(peer, zone, patience)
            except TransferError:
                continue
            if zone.sender.answered(send.target, rcode, send.serial) and rcode == codes.NOERROR:
                self._report(zone, remote, send.serial, send.attempt, None, "")
            return

    async def _ask(self, peer: pull.Peer, zone: _Zone, patience: float) -> int:
        """The RCODE of the answer; TransferError where there is none that may be believed."""
        ident = secrets.randbelow(65536)
        soa = RRset.of(zone.config.name, codes.SOA, 0, [zone.soa_rdata])
        message = build_query(ident, zone.config.name, codes.SOA, opcode=codes.NOTIFY, flags=codes.AA, soa=soa)
        verifier: StreamVerifier | None = None
        if peer.remote.key is not None:
            message, mac = sign(message, peer.remote.key, pull.wall_clock())
            verifier = StreamVerifier(peer.remote.key, mac)

        def read(answer: bytes) -> int:
            if len(answer) < 12 or answer[:2] != ident.to_bytes(2, "big") or answer[2] & 0xF8 != 0xA0:
                raise WireError("not the answer to our NOTIFY")
            if verifier is not None:
                verifier.check(answer, pull.wall_clock())
            return answer[3] & 0x0F

        return await pull.ask_over_udp(peer, message, read, patience)

    def _report(self, zone: _Zone, remote: Remote, serial: int, tries: int, reason: Reason | None, detail: str) -> None:
        event = NotifySentEvent(
            at=time.time(),
            zone=zone.config.text,
            target=remote.name,
            address=str(remote.addresses[0]),
            key=names.to_text(remote.key.name) if remote.key else "",
            serial=serial,
            tries=tries,
            outcome=Outcome.FAILED if reason else Outcome.OK,
            reason=reason,
            detail=detail,
        )
        log_event(event)
        self._tally.add(event)


def _remote(config: ZoneConfig, name: str) -> Remote:
    return next(remote for remote in config.also_notify if remote.name == name)
