"""The servers below us: who is told of a version, and when each of them has it.

    publish ─▶ targets (`notify_targets`) ─▶ NOTIFY (`notify_out`) ─ confirmed ─┐
                                                                                ▼
    a transfer to one of them has ended ─────────────────────────▶ `transfer.propagation` ─ due ─▶ check: its SOA
                                                                       │ has it          ▲            │
                                                                       ▼                 └────────────┘
                                                                 status, metrics, `on_moved`

A check is a question for the SOA, as it is asked of a primary (`pull`), signed by the remote's key. Checks have lanes
and a rate of their own, so no number of zones, and no server that is silent, holds up a NOTIFY.

Who fetches a zone and is not told of it is shown as well, by what it fetches; nobody can be asked at the port it came
from.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

from nameserver.config.model import Config, PullLimits, Remote, ServerConfig, ZoneConfig
from nameserver.errors import Reason, TransferError
from nameserver.server.clocks import from_wall, machine_clock, to_wall
from nameserver.server.zones import pull
from nameserver.server.zones.key_choice import OTHER_KEY_MAY_HELP, in_one
from nameserver.server.zones.lanes import Lanes
from nameserver.server.zones.notify_out import NotifyOut
from nameserver.server.zones.notify_targets import PORT, NotifyTargets
from nameserver.server.zones.publisher import Publisher
from nameserver.telemetry.events import Kind, NotifySentEvent, Outcome, TransferEvent
from nameserver.telemetry.status import UNNAMED, DownstreamStatus
from nameserver.telemetry.tally import Tally
from nameserver.transfer.propagation import Heard, Propagation, reaches
from nameserver.wire import codes, names
from nameserver.wire.failures import rcode_failure

CHECKS_AT_ONCE = 64
CHECKS_AT_ONCE_TO_ONE = 8
PATIENCE = PullLimits(connect_timeout=2.0, idle_timeout=2.0, total_timeout=4.0, udp_timeout=2.0, udp_tries=1)
MOST_OTHERS = 16  # of those who fetch a zone and are not told, the latest

log = logging.getLogger("nameserver.downstream")


@dataclass(slots=True)
class _Other:
    """Somebody who fetched the zone and is not told."""

    address: str
    label: str
    key: str
    serial: int
    at: float  # machine clock
    lag: float | None = None


@dataclass(slots=True)
class _Zone:
    """What is known of the servers below us for one zone."""

    config: ZoneConfig
    serial: int
    published: float  # machine clock
    soa_rdata: bytes = b""
    propagation: Propagation[Remote] = field(default_factory=Propagation)
    notified: dict[Remote, NotifySentEvent] = field(default_factory=dict)
    others: dict[str, _Other] = field(default_factory=dict)  # by address and key, the latest last
    finding: asyncio.Task[None] | None = None  # looks for whom to tell
    timer: asyncio.TimerHandle | None = None
    armed_for: float | None = None

    def disarm(self) -> None:
        """No check is due any more."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.armed_for = None


class Downstreams:
    """All zones' servers below us. `on_moved` is told of a zone where one of them has got further."""

    def __init__(self, server: ServerConfig, publisher: Publisher, tally: Tally, *, ns_port: int = PORT) -> None:
        self.notify = NotifyOut(tally, server.notify_rate)
        self.notify.on_result = self._notified
        self.on_moved: Callable[[bytes], None] = lambda _zone: None
        self._tally = tally
        self._targets = NotifyTargets(publisher, server.listen, ns_port)
        self._zones: dict[bytes, _Zone] = {}
        self._checks: Lanes[Remote, None] = Lanes(
            "check",
            self._check,
            at_once=CHECKS_AT_ONCE,
            at_once_to_one=CHECKS_AT_ONCE_TO_ONE,
            rate=server.notify_rate,
        )

    # --- what happens to zones ---------------------------------------------------------------------------------------

    def configured(self, config: Config) -> None:
        """The remotes there are from now on."""
        self._targets.remotes = config.remotes
        told = {remote.name for zone in config.zones.values() for remote in zone.also_notify}
        self._tally.forget_downstreams({UNNAMED, *told, *config.remotes})

    def publish(self, config: ZoneConfig, serial: int, soa_rdata: bytes) -> None:
        """Every worker answers this version: tell whom it concerns."""
        zone = self._zone(config, serial, soa_rdata)
        zone.published = machine_clock()
        self._with_targets(zone, lambda targets: self._publish(zone, targets))

    def resume(self, config: ZoneConfig, serial: int, soa_rdata: bytes) -> None:
        """This version is answered, and was before now: a start, an expired zone that is good again, other targets.

        Nobody remembers who was told of it. Whoever is new here is asked what it has, and told where that is older.
        """
        zone = self._zone(config, serial, soa_rdata)
        self._with_targets(zone, lambda targets: self._resume(zone, targets))

    def _zone(self, config: ZoneConfig, serial: int, soa_rdata: bytes) -> _Zone:
        zone = self._zones.get(config.name)
        if zone is None:
            zone = self._zones[config.name] = _Zone(config, serial, machine_clock())
        zone.config, zone.serial, zone.soa_rdata = config, serial, soa_rdata
        return zone

    def _with_targets(self, zone: _Zone, then: Callable[[tuple[Remote, ...]], None]) -> None:
        """Have something done once it is known who is to be told; of two orders for a zone, the later one alone."""
        if zone.finding is not None:
            zone.finding.cancel()
            zone.finding = None
        if not zone.config.notify_ns:
            then(zone.config.also_notify)
            return

        async def find() -> None:
            try:
                targets = await self._targets.of(zone.config, zone.soa_rdata)
            except Exception:  # those who are configured are still to be told
                log.exception("zone %s: its NS targets cannot be found; please report this", zone.config.text)
                targets = zone.config.also_notify
            zone.finding = None
            then(targets)
            self.on_moved(zone.config.name)

        zone.finding = asyncio.create_task(find(), name=f"notify targets {zone.config.text}")

    def _publish(self, zone: _Zone, targets: tuple[Remote, ...]) -> None:
        checks, before = zone.config.check_downstreams, zone.propagation.targets
        heard = zone.propagation.publish(zone.serial, targets, zone.published, checks=checks)
        if not targets and not before:  # most zones have nobody below them
            return
        self._keep(zone, before)
        self.notify.publish(zone.config, zone.serial, zone.soa_rdata, targets)
        for target, each in heard.items():
            self._heard(zone, target, each)
        self._arm(zone)

    def _resume(self, zone: _Zone, targets: tuple[Remote, ...]) -> None:
        checks, before = zone.config.check_downstreams, zone.propagation.targets
        tell = zone.propagation.resume(zone.serial, targets, machine_clock(), checks=checks)
        if not targets and not before:
            return
        self._keep(zone, before)
        self.notify.keep(zone.config.name, zone.propagation.targets)
        for target in tell:
            self.notify.tell(zone.config, zone.serial, zone.soa_rdata, target)
        self._arm(zone)

    def _keep(self, zone: _Zone, before: tuple[Remote, ...]) -> None:
        """Drop what is known, and waits, of those who are targets no more."""
        for target in set(before).difference(zone.propagation.targets):
            self._checks.leave(zone.config.name, target)
            zone.notified.pop(target, None)

    def forget(self, name: bytes) -> None:
        """The zone expired or went away: nobody is told, or asked, any more."""
        zone = self._zones.pop(name, None)
        if zone is not None:
            zone.disarm()
            if zone.finding is not None:
                zone.finding.cancel()
        self._checks.leave(name)
        self.notify.forget(name)

    async def stop(self) -> None:
        """End everything."""
        for name in list(self._zones):
            self.forget(name)
        await self._checks.stop()
        await self.notify.stop()

    # --- what is heard of those below us -----------------------------------------------------------------------------

    def _notified(self, name: bytes, target: Remote, event: NotifySentEvent) -> None:
        zone = self._zones.get(name)
        label = self._label(target)
        self._tally.downstream_notify[label, event.outcome, event.reason or ""] += 1
        self._tally.downstream_seen(label, up=event.reason is not Reason.CONNECT_TIMEOUT)
        if zone is None or target not in zone.propagation.targets:
            return
        zone.notified[target] = event
        if event.outcome is Outcome.OK:
            zone.propagation.told(target, machine_clock())
            self._arm(zone)

    def transferred(self, event: TransferEvent) -> None:
        """A worker has ended a transfer to somebody, or answered an IXFR with nothing but our SOA."""
        zone = self._zones.get(names.fold(names.from_text(event.zone)))
        if zone is None:
            return
        now, when = machine_clock(), from_wall(event.at)
        # Who asks for the differences from a serial on has that serial.
        serials = [event.serial_old] if event.asked is Kind.IXFR else []
        if event.outcome is Outcome.OK and event.got is not Kind.NONE:
            serials.append(event.serial_new)
        candidates = self._candidates(zone, event)
        for serial in serials:
            if serial is None:
                continue
            if not candidates:
                self._fetched(zone, event, serial, when)
            elif len(candidates) == 1:
                self._heard(zone, candidates[0], zone.propagation.took(candidates[0], serial, when, now))
        if len(candidates) > 1:
            for candidate in candidates:
                zone.propagation.look(candidate, now)
        self._arm(zone)

    @staticmethod
    def _candidates(zone: _Zone, event: TransferEvent) -> list[Remote]:
        """The targets that may be who fetched the zone: by address, and by key where several share that."""
        source = ip_address(event.address)
        found = [
            target
            for target in zone.propagation.targets
            if any(ip_address(endpoint.host) == source for endpoint in target.addresses)
        ]
        if len(found) > 1 and event.key:
            found = [each for each in found if event.key in {names.to_text(key.name) for key in each.keys}] or found
        return found

    def _fetched(self, zone: _Zone, event: TransferEvent, serial: int, when: float) -> None:
        """Somebody who is not told has a serial. How long it took counts from the second one on: he comes again."""
        identity = f"{event.address} {event.key}"
        before = zone.others.pop(identity, None)
        lag = before.lag if before else None
        if before is not None and not reaches(before.serial, zone.serial) and reaches(serial, zone.serial):
            lag = max(0.0, when - zone.published)
            self._tally.downstream_got(before.label, [lag])
        zone.others[identity] = _Other(event.address, self._label_of(event), event.key, serial, when, lag)
        while len(zone.others) > MOST_OTHERS:
            del zone.others[next(iter(zone.others))]

    def _label_of(self, event: TransferEvent) -> str:
        """The remote that somebody is who is not told, where there is just one at his address."""
        source = ip_address(event.address)
        remotes = self._targets.remotes.values()
        found = [each.name for each in remotes if any(ip_address(at.host) == source for at in each.addresses)]
        return found[0] if len(found) == 1 else UNNAMED

    def _label(self, target: Remote) -> str:
        return UNNAMED if target.name.startswith("NS ") and target.name not in self._targets.remotes else target.name

    def _heard(self, zone: _Zone, target: Remote, heard: Heard) -> None:
        self._tally.downstream_got(self._label(target), heard.lags)
        if heard.tell:
            self.notify.tell(zone.config, zone.serial, zone.soa_rdata, target)
        self.on_moved(zone.config.name)

    # --- checks ------------------------------------------------------------------------------------------------------

    def hurry(self, name: bytes, serial: int) -> None:
        """Somebody waits until all have this serial."""
        zone = self._zones.get(name)
        if zone is not None:
            zone.propagation.hurry(serial, machine_clock())
            self._arm(zone)

    def _arm(self, zone: _Zone) -> None:
        deadline = zone.propagation.next_deadline()
        if deadline == zone.armed_for:
            return
        zone.disarm()
        if deadline is not None and self._zones.get(zone.config.name) is zone:
            loop = asyncio.get_running_loop()
            zone.armed_for = deadline
            zone.timer = loop.call_later(max(0.0, deadline - machine_clock()), self._due, zone)

    def _due(self, zone: _Zone) -> None:
        zone.disarm()
        try:
            for target in zone.propagation.due(machine_clock()):
                self._checks.put(target, zone.config.name, None)
        finally:
            self._arm(zone)

    async def _check(self, target: Remote, name: bytes, _: None) -> None:
        """Ask a target for the serial it has."""
        zone = self._zones.get(name)
        if zone is None:
            return
        asked = machine_clock()
        try:
            serial = await self._serial_of(zone.config, target)
        except TransferError as failure:
            log.debug("zone %s: %s: %s", zone.config.text, target.name, failure)
            self._tally.downstream_seen(self._label(target), up=failure.reason is not Reason.CONNECT_TIMEOUT)
            heard = zone.propagation.failed(target, failure, machine_clock())
        else:
            self._tally.downstream_seen(self._label(target), up=True)
            heard = zone.propagation.answered(target, serial, asked, machine_clock())
        if self._zones.get(name) is zone:
            self._heard(zone, target, heard)
            self._arm(zone)

    async def _serial_of(self, config: ZoneConfig, target: Remote) -> int:
        """Its serial, from the first of its addresses that tells one. Raises TransferError where none does."""
        failure = TransferError(Reason.CONNECT_TIMEOUT, "it does not answer")
        for endpoint in target.addresses:
            try:
                return await self._serial_at(config, target, pull.Peer(target, endpoint, None))
            except TransferError as error:
                failure = error
        raise failure

    async def _serial_at(self, config: ZoneConfig, target: Remote, peer: pull.Peer) -> int:
        """Its serial, under the key that it accepts. Raises TransferError where it does not tell one."""
        failures: list[TransferError] = []
        for key in self.notify.keys.to_try(target, time.monotonic()):
            peer.key = key
            try:
                response = None if target.tls else await pull.soa_over_udp(peer, config, PATIENCE)
                if response is None or response.truncated:  # to a remote over TLS nothing goes unencrypted
                    response = await pull.soa_over_tcp(peer, config, PATIENCE)
                if response.rcode != codes.NOERROR:
                    reason = rcode_failure(response.rcode).reason
                    name = codes.RCODE_NAMES.get(response.rcode, str(response.rcode))
                    raise TransferError(reason, f"it answers {name} when asked for the SOA")
                if not response.authoritative:
                    raise TransferError(Reason.NOT_AUTHORITATIVE, "what it answers is not authoritative")
                if response.serial is None:
                    raise TransferError(Reason.NO_SOA, "there is no SOA in its answer")
            except TransferError as error:
                failures.append(_of_a_secondary(error))
                if error.reason not in OTHER_KEY_MAY_HELP:
                    break
                continue
            if key is not None and len(target.keys) > 1:
                self.notify.keys.worked(target, key, failures, time.monotonic())
            return response.serial
        raise in_one(failures)

    # --- for displays ------------------------------------------------------------------------------------------------

    def is_settled(self, name: bytes) -> bool:
        """Whether it is known who is to be told of the zone's version."""
        zone = self._zones.get(name)
        return zone is not None and zone.finding is None

    def statuses(self, name: bytes) -> tuple[DownstreamStatus, ...]:
        """Everybody below us, for one zone."""
        zone = self._zones.get(name)
        if zone is None:
            return ()
        told = [self._status(zone, target) for target in zone.propagation.targets]
        return (*told, *(_other_status(zone, each) for each in zone.others.values()))

    def _status(self, zone: _Zone, target: Remote) -> DownstreamStatus:
        seen, event = zone.propagation.seen(target), zone.notified.get(target)
        key = self.notify.keys.to_try(target, time.monotonic())[0]
        return DownstreamStatus(
            name=target.name,
            address=", ".join(map(str, target.addresses)),
            via="also-notify" if target in zone.config.also_notify else "ns",
            label=self._label(target),
            key=names.to_text(key.name) if key else None,
            serial=seen.serial,
            has_it=reaches(seen.serial, zone.serial),
            answers=seen.answers,
            seen_at=to_wall(seen.at),
            lag=seen.lag,
            behind_since=to_wall(seen.behind_since),
            notified_serial=event.serial if event else None,
            notified_at=event.at if event else None,
            notify_tries=event.tries if event else 0,
            notify_reason=event.reason if event else None,
            notify_detail=event.detail if event else "",
            check_reason=seen.failure.reason if seen.failure else None,
            check_detail=seen.failure.detail if seen.failure else "",
            next_check=to_wall(seen.next_check),
        )


def _of_a_secondary(failure: TransferError) -> TransferError:
    """A failure of a step with a primary, of which the sentence speaks, as one with a server below us."""
    if failure.reason is Reason.CONNECT_TIMEOUT:
        return TransferError(failure.reason, "it does not answer")
    return TransferError(failure.reason, failure.detail.replace("the primary", "it").replace("primary", "it"))


def _other_status(zone: _Zone, other: _Other) -> DownstreamStatus:
    return DownstreamStatus(
        name=other.label if other.label != UNNAMED else other.address,
        address=other.address,
        via="transfer",
        label=other.label,
        key=other.key or None,
        serial=other.serial,
        has_it=reaches(other.serial, zone.serial),
        seen_at=to_wall(other.at),
        lag=other.lag,
    )
