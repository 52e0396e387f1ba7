"""Drives one refresh run: does the steps that `refresh.plan` decides, commits what a transfer brought, reports events.

The plan decides, this does: sockets in the places there are (`slots`) and towards who answers (`reach`), the store, one
log line and one count per exchange.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nameserver.config.model import Endpoint, Remote, ServerConfig, ZoneConfig
from nameserver.errors import Reason, StoreDamaged, StoreError, TransferError, ZoneError
from nameserver.refresh.hints import Hints
from nameserver.refresh.outcome import Failed, Outcome
from nameserver.refresh.plan import PrimaryPlan, RefreshRun, Step, StepKind
from nameserver.refresh.timers import Timers, aged, effective, life_after_transfer
from nameserver.server.zones import pull
from nameserver.server.zones.kept_connections import KeptConnections
from nameserver.server.zones.key_choice import OTHER_KEY_MAY_HELP, KeyChoice, in_one
from nameserver.server.zones.publisher import SMALL_ZONE, Publisher
from nameserver.server.zones.reach import PassedOver, Reach, Way
from nameserver.server.zones.slots import Slots
from nameserver.store.database import ZoneTimers
from nameserver.telemetry.events import CheckEvent, Kind, TransferEvent
from nameserver.telemetry.events import Outcome as Verdict
from nameserver.telemetry.log import log_event
from nameserver.telemetry.status import PrimaryStatus
from nameserver.telemetry.tally import Tally
from nameserver.transfer.inbound import (
    FullTransfer,
    Got,
    InboundTransfer,
    IncrementalTransfer,
    TransferKind,
)
from nameserver.wire import codes, names
from nameserver.wire.failures import rcode_failure
from nameserver.wire.response import SoaResponse
from nameserver.wire.rrset import RRset
from nameserver.wire.tsig import StreamVerifier, TsigKey
from nameserver.zone.builder import BuiltZone
from nameserver.zone.changes import Applied, apply_changes, differs
from nameserver.zone.serial import Order, compare
from nameserver.zone.soa import Soa

CERTAIN_IXFR_REFUSALS = frozenset({Reason.FORMERR, Reason.NOTIMP})
COMPARED_AT_MOST = 100_000  # records of a version with our own serial: its reading holds the store up
LEAST_DIFFERENCE = 1024 * 1024  # bytes that an incremental transfer may take however small the zone is
MAX_HABITS = 1000
NOT_ASKED_AGAIN_FOR = 3600.0  # seconds for which a primary is not asked for IXFR, or with EDNS, when it knows neither


@dataclass(slots=True)
class ZoneRun:
    """What one run is about, and where it leaves its traces."""

    zone: ZoneConfig
    primaries: dict[str, PrimaryStatus]  # by remote name; replaced as the run learns
    force: bool = False  # take a full transfer of whatever serial
    accept_lower: bool = False  # nothing live is held
    sources: Sequence[str] = ()  # addresses that sent NOTIFY
    hints: Sequence[tuple[str, int]] = ()  # of them, with the serials that they named, newer than what is held
    on_transfer: Callable[[TransferEvent], None] = lambda _event: None
    reported: dict[str, set[Reason]] = field(default_factory=dict)  # by remote: failures in the log since it was good


class Refresher:
    """Runs refresh runs; one per zone at a time, as many zones as the slots let through."""

    def __init__(
        self,
        server: ServerConfig,
        publisher: Publisher,
        tally: Tally,
        on_return: Callable[[Collection[bytes]], None] = lambda _zones: None,
    ) -> None:
        """`on_return` is told of zones that could not get through to a primary that now answers again."""
        self._publisher = publisher
        self._tally = tally
        self.slots = Slots(server)
        self.reach = Reach(server.silent_primary_time, on_return)
        self._no_ixfr: dict[str, float] = {}  # remote → until (monotonic)
        self._habits: set[tuple[str, str]] = set()  # remote and what is put right in its transfers, warned of once
        self._no_edns: dict[str, float] = {}  # the same for EDNS
        self._hints: Hints[str] = Hints()  # by remote
        self._keys = KeyChoice()
        self.kept = KeptConnections()

    def keep(self, zones: Collection[ZoneConfig]) -> None:
        """Forget whoever is no primary of these zones any more."""
        self.reach.keep(zones)
        self._hints.keep(frozenset(remote.name for zone in zones for remote in zone.primaries))

    async def run(self, work: ZoneRun) -> Outcome:
        """Go through the primaries until the run has an outcome."""
        zone = work.zone
        stored = self._publisher.stored.get(zone.name)
        held = self._publisher.held(zone.name)
        plans = [
            PrimaryPlan(
                each.name,
                len(each.addresses),
                self._ask_ixfr(each),
                self.reach.silent(each),
                datagrams=each.tls is None,
            )
            for each in zone.primaries
        ]
        plan = RefreshRun(
            plans,
            held.serial if held else None,
            force=work.force,
            accept_lower=work.accept_lower,
            first=_indexes_of(work.sources, zone.primaries),
            whole=stored is None,
        )
        while (step := plan.step) is not None:
            await self._step(work, plan, step)
        self._learn_hints(work, plan)
        return plan.outcome or Failed(Reason.SUPERSEDED, "the run had nothing to do")

    async def _step(self, work: ZoneRun, plan: RefreshRun, step: Step) -> None:
        """One step, in its turn: checks wait for theirs here, transfers where they begin."""
        if step.kind not in (StepKind.SOA_UDP, StepKind.SOA_TCP):
            await self._ask(work, plan, step)
            return
        remote = work.zone.primaries[step.primary]
        if self._guess(work, plan, remote):
            return
        async with self.slots.check(str(remote.addresses[step.address])):
            if not self._guess(work, plan, remote):  # other zones have shown meanwhile that it may be
                await self._ask(work, plan, step)

    async def _ask(self, work: ZoneRun, plan: RefreshRun, step: Step) -> None:
        """At a remote with two keys, again under the other one where the first is not accepted."""
        remote = work.zone.primaries[step.primary]
        failures: list[TransferError] = []
        for key in self._keys.to_try(remote, time.monotonic()):
            peer = pull.Peer(remote, remote.addresses[step.address], key, edns=self._ask_edns(remote))
            try:
                if step.kind in (StepKind.SOA_UDP, StepKind.SOA_TCP):
                    await self._check(work, plan, step, peer)
                else:
                    await self._transfer(work, plan, step, peer)
            except PassedOver as error:
                self._note(work, peer, asked=False, last_reason=error.reason, last_detail=error.detail)
                plan.failed(error.reason, error.detail, asked=False)
                return
            except TransferError as error:
                failures.append(error)
                if error.reason not in OTHER_KEY_MAY_HELP:
                    break
            else:
                if key is not None and len(remote.keys) > 1:
                    self._keys.worked(remote, key, failures, time.monotonic())
                    self._note_key(work, peer, key)
                return
        failure = in_one(failures)
        self._primary_failed(work, peer, failure)
        plan.failed(failure.reason, failure.detail)

    def _guess(self, work: ZoneRun, plan: RefreshRun, remote: Remote) -> bool:
        """Whether the plan does without the SOA question: the remote told of a version, and its hints were true."""
        told = any(endpoint.host == source for source, _ in work.hints for endpoint in remote.addresses)
        return told and self._hints.good(remote.name) and plan.guess()

    def _learn_hints(self, work: ZoneRun, plan: RefreshRun) -> None:
        """At the end of a run: whether the primaries have what their NOTIFYs named."""
        for source, serial in work.hints:
            for index in _indexes_of((source,), work.zone.primaries):
                shown = plan.shown(index)
                if shown is not None or plan.guessed == index:
                    true = shown is not None and compare(serial, shown) in (Order.EQUAL, Order.OLDER)
                    self._hints.proved(work.zone.primaries[index].name, true=true)

    def _ask_ixfr(self, remote: Remote) -> bool:
        return remote.request_ixfr and self._no_ixfr.get(remote.name, 0.0) < time.monotonic()

    def _ask_edns(self, remote: Remote) -> bool:
        return self._no_edns.get(remote.name, 0.0) < time.monotonic()

    def _learn_edns(self, peer: pull.Peer, asked_with: bool) -> None:
        """After an exchange that went well: it may have done so only without EDNS."""
        if asked_with and not peer.edns:
            self._no_edns[peer.remote.name] = time.monotonic() + NOT_ASKED_AGAIN_FOR

    # --- the SOA check -----------------------------------------------------------------------------------------------

    async def _check(self, work: ZoneRun, plan: RefreshRun, step: Step, peer: pull.Peer) -> None:
        transport = "udp" if step.kind is StepKind.SOA_UDP else _stream_of(peer.remote)
        held = self._publisher.held(work.zone.name)
        with_edns = peer.edns
        began = time.monotonic()

        def ended(outcome: Verdict, serial: int | None = None, reason: Reason | None = None, detail: str = "") -> None:
            event = CheckEvent(
                at=time.time(),
                zone=work.zone.text,
                primary=peer.remote.name,
                address=str(peer.endpoint),
                key=_key_name(peer.key),
                transport=transport,
                serial_held=held.serial if held else None,
                serial_seen=serial,
                seconds=time.monotonic() - began,
                outcome=outcome,
                reason=reason,
                detail=detail,
            )
            self._report(work, event)

        try:
            way = Way(peer.endpoint, transport)
            with self.reach.exchange(way, work.zone.name, elsewhere=plan.elsewhere) as heard:
                response = await self._ask_serial(transport, peer, work.zone)
                heard()
            serial = _judge(response)
        except PassedOver:
            raise
        except TransferError as error:
            ended(Verdict.FAILED, None, error.reason, error.detail)
            raise
        ended(Verdict.UP_TO_DATE if held is not None and held.serial == serial else Verdict.OK, serial)
        self._learn_edns(peer, with_edns)
        self._primary_answered(work, peer, serial)
        plan.soa_answered(serial, response.expire)

    async def _ask_serial(self, transport: str, peer: pull.Peer, zone: ZoneConfig) -> SoaResponse:
        if transport == "udp":
            return await pull.soa_over_udp(peer, zone, zone.pull)
        return await pull.soa_over_tcp(peer, zone, zone.pull, self.kept)

    # --- the transfer ------------------------------------------------------------------------------------------------

    async def _transfer(self, work: ZoneRun, plan: RefreshRun, step: Step, peer: pull.Peer) -> None:
        stored = self._publisher.stored.get(work.zone.name)
        guessing = plan.guessing
        kind = TransferKind.IXFR if step.kind is StepKind.IXFR else TransferKind.AXFR
        held_soa = RRset.of(work.zone.name, codes.SOA, 0, [stored.soa_rdata]) if stored else None
        attempt = _Attempt(work, peer, kind, stored.serial if stored else None, stored.size if stored else 0)
        try:
            async with self.slots.transfer(peer.remote.name) as place:
                attempt.began = time.monotonic()
                asked_soa = held_soa if kind is TransferKind.IXFR else None
                inbound = await self._pull(plan, asked_soa, attempt)
                if inbound.stats.bytes <= SMALL_ZONE and self._publisher.has_room:
                    place.give_back()  # others come in meanwhile, and many are written at once
                await self._take(work, plan, peer, inbound, attempt)
        except PassedOver:
            raise
        except (ZoneError, StoreError) as error:
            failure = _as_transfer_error(error)
            self._transfer_ended(work, attempt, failure)
            raise failure from error
        except TransferError as error:
            if kind is TransferKind.IXFR and error.reason in CERTAIN_IXFR_REFUSALS:
                self._no_ixfr[peer.remote.name] = time.monotonic() + NOT_ASKED_AGAIN_FOR
            self._transfer_ended(work, attempt, error)
            raise
        if not (guessing and attempt.current):  # a guess that finds nothing new is no transfer
            self._transfer_ended(work, attempt, None)

    async def _pull(self, plan: RefreshRun, asked_soa: RRset | None, attempt: "_Attempt") -> InboundTransfer:
        """The transfer's exchange."""
        zone, peer = attempt.work.zone, attempt.peer
        with_edns = peer.edns
        way = Way(peer.endpoint, _stream_of(peer.remote))
        with self.reach.exchange(way, zone.name, elsewhere=plan.elsewhere) as heard:
            inbound = await pull.transfer(peer, zone, attempt.kind, asked_soa, attempt.make_inbound, heard, self.kept)
        self._learn_edns(peer, with_edns)
        return inbound

    async def _take(
        self, work: ZoneRun, plan: RefreshRun, peer: pull.Peer, inbound: InboundTransfer, attempt: "_Attempt"
    ) -> None:
        """Check, commit and publish what came; tell the plan."""
        result = inbound.result()
        if isinstance(result, FullTransfer):
            attempt.serial = result.built.soa.serial
            await self._refuse(work, plan, attempt, result.built)
            soa = result.built.soa
            timers = first_timers(soa, work.zone, attempt.expire_told(soa))
            await self._publisher.publish_full(work.zone, result.built, peer.remote.name, timers)
        elif isinstance(result, IncrementalTransfer):
            attempt.serial = result.serial
            await self._refuse(work, plan, attempt)
            soa, warnings = await self._apply(work, attempt, result)
            inbound.stats.warnings.extend(warnings)
        else:
            attempt.current = True
            self._primary_answered(work, peer, result.serial)
            plan.transfer_up_to_date(result.serial, inbound.stats.expire_option)
            return
        self._primary_answered(work, peer, soa.serial)
        plan.transferred(soa.serial, soa, attempt.expire_told(soa))

    async def _refuse(
        self, work: ZoneRun, plan: RefreshRun, attempt: "_Attempt", built: BuiltZone | None = None
    ) -> None:
        """Raise where the plan does not want the serial that came."""
        reason = plan.refusal(attempt.serial) if attempt.serial is not None else None
        if reason is None:
            return
        text = f"the primary sent serial {attempt.serial}, we hold {attempt.serial_held}"
        if reason is Reason.SERIAL_SAME and built is not None and await self._differs(work.zone.name, built):
            text = f"same serial, different content: the primary changed the zone and left its serial {attempt.serial}"
        raise TransferError(reason, text)

    async def _differs(self, name: bytes, built: BuiltZone) -> bool:
        """Whether a version with our serial is known to hold other records than ours."""
        stored = self._publisher.stored.get(name)
        if stored is None:
            return False
        if stored.records != built.records:
            return True
        if built.records > COMPARED_AT_MOST:
            return False
        read = self._publisher.node_reader(name)
        try:
            return await self._publisher.in_store_thread(differs, read, built.nodes, built.apex_as_received)
        except StoreError:
            return False

    async def _apply(self, work: ZoneRun, attempt: "_Attempt", result: IncrementalTransfer) -> tuple[Soa, list[str]]:
        """Commit and publish differences; the new SOA, and what was put right in them, as sentences."""
        name = work.zone.name
        stored = self._publisher.stored.get(name)
        if stored is None:
            raise TransferError(Reason.IXFR_MISMATCH, "our stored copy was lost meanwhile")
        read = self._publisher.node_reader(name)

        def prepare() -> tuple[Applied, ZoneTimers]:
            applied = apply_changes(
                read,
                result.changesets,
                stored.apex_as_received,
                work.zone.limits,
                records_held=stored.records,
                size_held=stored.size,
            )
            return applied, first_timers(applied.soa, work.zone, attempt.expire_told(applied.soa))

        try:
            applied = await self._publisher.publish_changes(work.zone, prepare, attempt.peer.remote.name)
        except StoreDamaged as error:
            # What we hold on disk cannot be changed any more; a whole zone in its place can be stored.
            raise TransferError(Reason.IXFR_MISMATCH, f"our stored copy is damaged: {error}") from error
        # What NSD does in every step is not worth an operator's attention.
        return applied.soa, replace(applied.tally, repeated=0).warnings()

    # --- traces ------------------------------------------------------------------------------------------------------

    def _transfer_ended(self, work: ZoneRun, attempt: "_Attempt", error: TransferError | None) -> None:
        event = attempt.event(error)
        self._report(work, event)
        work.on_transfer(event)

    def _report(self, work: ZoneRun, event: CheckEvent | TransferEvent) -> None:
        reported = work.reported.setdefault(event.primary, set())
        habit = (event.primary, event.detail)
        log_event(event, repeated=event.reason in reported, known=habit in self._habits)
        if event.reason is not None:
            reported.add(event.reason)
        else:
            reported.clear()
            if event.detail and len(self._habits) < MAX_HABITS:
                self._habits.add(habit)
        self._tally.add(event)

    def _primary_answered(self, work: ZoneRun, peer: pull.Peer, serial: int) -> None:
        self._note(work, peer, serial=serial, last_success=time.time(), last_reason=None, last_detail="")
        self._tally.primary_seen(peer.remote.name, up=True, skew=peer.skew, certificate=peer.certificate_expires)

    def _primary_failed(self, work: ZoneRun, peer: pull.Peer, error: TransferError) -> None:
        self._note(work, peer, last_reason=error.reason, last_detail=error.detail)
        silent = error.reason in (Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE)
        self._tally.primary_seen(peer.remote.name, up=not silent, skew=peer.skew, certificate=peer.certificate_expires)

    def _note_key(self, work: ZoneRun, peer: pull.Peer, key: TsigKey) -> None:
        """Which of a remote's keys was accepted, and if that is not the preferred one, what came of that."""
        reason = self._keys.preferred_failed(peer.remote)
        self._note(
            work,
            peer,
            key=_key_name(key),
            key_fingerprint=key.fingerprint,
            preferred_key=None if reason is None else _key_name(peer.remote.keys[0]),
            preferred_key_reason=reason,
        )

    @staticmethod
    def _note(
        work: ZoneRun,
        peer: pull.Peer,
        *,
        asked: bool = True,
        **found: Any,  # noqa: ANN401 - fields of PrimaryStatus
    ) -> None:
        """Keep what an exchange with a primary has shown; not of one that a reload took away during this run."""
        status = work.primaries.get(peer.remote.name)
        if status is None:
            return
        skew = peer.skew if peer.skew is not None else status.skew
        last_attempt = time.time() if asked else status.last_attempt
        work.primaries[peer.remote.name] = status._replace(
            address=str(peer.endpoint),
            last_attempt=last_attempt,
            skew=skew,
            certificate_expires=peer.certificate_expires or status.certificate_expires,
            **found,
        )


_GOT = {
    Got.NOTHING: Kind.NONE,
    Got.UP_TO_DATE: Kind.NONE,
    Got.AXFR: Kind.AXFR,
    Got.AXFR_STYLE: Kind.AXFR,
    Got.IXFR: Kind.IXFR,
}


@dataclass(slots=True)
class _Attempt:
    """One transfer from one address, from before the first byte to its log line."""

    work: ZoneRun
    peer: pull.Peer
    kind: TransferKind
    serial_held: int | None
    size_held: int  # bytes
    began: float = 0.0
    inbound: InboundTransfer | None = None
    serial: int | None = None  # of what came
    current: bool = False

    def make_inbound(self, ident: int, verifier: StreamVerifier | None) -> InboundTransfer:
        """The protocol machine of this attempt."""
        zone = self.work.zone
        self.inbound = InboundTransfer(
            zone.name,
            self.kind,
            ident,
            self.serial_held,
            zone.limits,
            verifier,
            max_difference=max(LEAST_DIFFERENCE, 2 * self.size_held),
        )
        return self.inbound

    def expire_told(self, soa: Soa) -> float | None:
        """What is left by now of the EXPIRE option that came with the first message."""
        told = self.inbound.stats.expire_option if self.inbound else None
        return aged(soa, told, time.monotonic() - self.began)

    def event(self, error: TransferError | None) -> TransferEvent:
        """What there is to say about it."""
        stats = self.inbound.stats if self.inbound else None
        asked = Kind.IXFR if self.kind is TransferKind.IXFR else Kind.AXFR
        verdict = Verdict.FAILED if error else Verdict.UP_TO_DATE if self.current else Verdict.OK
        return TransferEvent(
            at=time.time(),
            zone=self.work.zone.text,
            primary=self.peer.remote.name,
            address=str(self.peer.endpoint),
            key=_key_name(self.peer.key),
            transport=_stream_of(self.peer.remote),
            asked=asked,
            got=_GOT[stats.got] if stats else Kind.NONE,
            serial_old=self.serial_held,
            serial_new=self.serial,
            messages=stats.messages if stats else 0,
            records=stats.records if stats else 0,
            bytes=stats.bytes if stats else 0,
            seconds=time.monotonic() - self.began if self.began else 0.0,
            outcome=verdict,
            reason=error.reason if error else None,
            detail=error.detail if error else "; ".join(stats.warnings) if stats else "",
        )


def first_timers(soa: Soa, zone: ZoneConfig, expire_option: float | None) -> ZoneTimers:
    """The timers committed together with a new version, wall clock; the machine refines them later."""
    timers: Timers = effective(soa, zone.timers)
    now = time.time()
    return ZoneTimers(
        last_success=now,
        last_change=now,
        expires_at=now + life_after_transfer(soa, timers, expire_option),
        refresh_at=now + timers.refresh,
    )


def _judge(response: SoaResponse) -> int:
    """The serial of an SOA answer that may be believed; else the reason why not."""
    if response.truncated:
        raise TransferError(Reason.SHORT_MESSAGE, "the answer was truncated")
    if response.rcode != codes.NOERROR:
        raise rcode_failure(response.rcode)
    if not response.authoritative:
        raise TransferError(Reason.NOT_AUTHORITATIVE, "the primary answers without authority (AA=0)")
    if response.serial is None:
        raise TransferError(Reason.NO_SOA, "the primary's answer holds no SOA of the zone")
    return response.serial


def _indexes_of(sources: Sequence[str], primaries: Sequence[Remote]) -> list[int]:
    """Which primaries the senders of NOTIFYs are."""
    return [
        index
        for source in sources
        for index, remote in enumerate(primaries)
        if any(endpoint.host == source for endpoint in remote.addresses)
    ]


def _stream_of(remote: Remote) -> str:
    """Over what connections to a remote go, as events and ways have it."""
    return "tcp" if remote.tls is None else "tls"


def _key_name(key: TsigKey | None) -> str:
    return names.to_text(key.name) if key else ""


def _as_transfer_error(error: ZoneError | StoreError) -> TransferError:
    if isinstance(error, ZoneError):
        return TransferError(error.reason, error.detail)
    return TransferError(Reason.STORE_FAILED, f"cannot be stored: {error}")


def primary_statuses(zone: ZoneConfig) -> dict[str, PrimaryStatus]:
    """A fresh status for each primary of a zone."""
    return {
        remote.name: PrimaryStatus(
            name=remote.name,
            address=_first(remote.addresses),
            key=_key_name(key) or None,
            key_fingerprint=key.fingerprint if key else None,
            tls=remote.tls is not None,
        )
        for remote in zone.primaries
        for key in [remote.keys[0] if remote.keys else None]
    }


def _first(addresses: Sequence[Endpoint]) -> str:
    return str(addresses[0])
