"""The daemon's state as a snapshot: for /metrics, the status page, /health, /ready, and the control socket."""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import nameserver
from nameserver.config.model import Config
from nameserver.errors import Reason
from nameserver.query.counters import CALLBACK, COUNTERS, INTERNAL_ERROR_METRIC
from nameserver.server.clocks import machine_clock
from nameserver.server.http import Response, Route, plain
from nameserver.server.refusals import RefusalLog
from nameserver.server.state import DaemonState
from nameserver.server.zones.entry import ZoneEntry
from nameserver.telemetry.events import Direction, Event, Kind, NotifyReceivedEvent, TransferEvent
from nameserver.telemetry.events import Outcome as Verdict
from nameserver.telemetry.log import log_event
from nameserver.telemetry.metrics import CONTENT_TYPE, iter_metrics
from nameserver.telemetry.page import render_page
from nameserver.telemetry.status import CounterRow, PauseStatus, ServerStatus, Snapshot, WorkerStatus, ZoneStatus
from nameserver.telemetry.words import plural
from nameserver.wire import names

ZONES_A_TURN = 100  # zones looked at between two turns of the loop: a millisecond or two

log = logging.getLogger("nameserver.access")


class Reporter:
    """Reads the daemon; changes nothing but the count of transfers that workers sent."""

    def __init__(self, state: DaemonState) -> None:
        self._state = state
        self._refusals = RefusalLog()

    def routes(self) -> Mapping[str, Route]:
        """The HTTP server's pages."""
        return {"/": self._page, "/metrics": self._metrics, "/health": self._health, "/ready": self._ready}

    def transferred_out(self, data: dict[str, Any]) -> None:
        """A worker has ended a transfer to a secondary."""
        event = TransferEvent.from_json(data)
        log_event(event)
        self._state.tally.add(event)
        if (entry := self._entry(event.zone)) is not None:
            entry.sent.count(event)
        self._state.downstreams.transferred(event)

    def _entry(self, zone: str) -> ZoneEntry | None:
        try:
            return self._state.zones.entries.get(names.fold(names.from_text(zone)))
        except ValueError:
            return None

    def refused(self, data: dict[str, Any]) -> None:
        """A worker has turned transfers or NOTIFYs away, or none: it says so with each heart-beat."""
        for (asked, reason), count in self._refusals.minute(time.monotonic()):
            log.info("%d more refused in the last minute: %s, %s", count, asked, reason)
        for row in data["shown"]:
            asked, reason, zone, source = row["asked"], row["reason"], row["zone"], row["source"]
            event = _refusal(asked, reason, zone=zone, source=source, key=row["key"])
            if self._refusals.wants((asked, reason), zone, source):
                log_event(event)
            self._state.tally.add(event)
            if isinstance(event, NotifyReceivedEvent) and (entry := self._entry(zone)) is not None:
                entry.heard(event)
        for asked, reason, count in data["more"]:
            self._refusals.skipped((asked, reason), count)
            self._state.tally.add(_refusal(asked, reason), count)

    async def status(self, entry: ZoneEntry | None = None) -> dict[str, Any]:
        """What `nameserver status` gets: everything, or one zone. Of many zones, a few in each turn of the loop."""
        entries = [entry] if entry else sorted(self._state.zones.entries.values(), key=lambda each: each.config.text)
        zones = []
        for number, each in enumerate(entries):
            if number % ZONES_A_TURN == ZONES_A_TURN - 1:
                await asyncio.sleep(0)
            zones.append(self._zone(each).to_json())
        return {"server": self._server().to_json(), "zones": zones}

    def _drawn(self, render: Callable[[Snapshot], Iterator[bytes]]) -> Iterator[bytes]:
        """What `render` makes of a snapshot; before that some empty pieces, for the loop to turn while it is taken."""
        zones: list[ZoneStatus] = []
        entries = list(self._state.zones.entries.values())
        for start in range(0, len(entries), ZONES_A_TURN):
            zones += map(self._zone, entries[start : start + ZONES_A_TURN])
            yield b""
        yield from render(self._snapshot(zones))

    def _snapshot(self, zones: list[ZoneStatus]) -> Snapshot:
        state = self._state
        counters: list[CounterRow] = [
            (name.metric, name.labels, float(value))
            for name, value in zip(COUNTERS, state.supervisor.totals(), strict=True)
        ]
        survived = float(sum(state.tally.internal_errors.values()))
        counters.append((INTERNAL_ERROR_METRIC, {"process": "transfer", "where": CALLBACK}, survived))
        return Snapshot(
            server=self._server(),
            zones=zones,
            counters=counters,
            tally=state.tally,
            per_zone_metrics=state.config.server.per_zone_metrics,
        )

    def _metrics(self) -> Response:
        return Response(content_type=CONTENT_TYPE, body=self._drawn(iter_metrics))

    def _page(self) -> Response:
        return Response(content_type="text/html; charset=utf-8", body=self._drawn(render_page))

    def _health(self) -> Response:
        """Alive: some worker answers. One that is being replaced is no reason to restart the others."""
        workers = self._state.supervisor.workers
        missing = [str(worker.index) for worker in workers if not worker.ready]
        if len(missing) == len(workers):
            return plain("no worker is running\n", 503)
        return plain(f"ok; being replaced: worker {', '.join(missing)}\n" if missing else "ok\n")

    def _ready(self) -> Response:
        """Ready: every worker answers some version of each zone that is held, and the other zones were tried once.

        A zone whose primaries are gone, or that is paused, does not take the server out of service: the others are
        served.
        """
        zones, supervisor = self._state.zones, self._state.supervisor
        held = [name for name in self._state.publisher.stored if name in zones.entries]
        loading = sum(name not in worker.served for worker in supervisor.workers for name in held)
        if not zones.started or loading or any(not worker.ready for worker in supervisor.workers):
            return plain("starting\n", 503)
        silent = sorted(entry.config.text for entry in zones.entries.values() if not entry.answering)
        untried = sum(not entry.answering and not entry.tried for entry in zones.entries.values())
        if untried:
            return plain(f"{plural(untried, 'zone')} not tried yet\n", 503)
        paused = sorted(entry.config.text for entry in zones.entries.values() if entry.pause and entry.answering)
        told = [
            f"; {plural(len(some), 'zone')} {what}: {', '.join(some[:10])}"
            for some, what in ((silent, "not answering"), (paused, "paused by command"))
            if some
        ]
        return plain(f"ready{''.join(told)}\n")

    def _server(self) -> ServerStatus:
        state = self._state
        entries = state.zones.entries.values()
        return ServerStatus(
            version=nameserver.__version__,
            pid=os.getpid(),
            now=time.time(),
            started=state.started,
            config_path=str(state.config.path),
            listen=(
                *map(str, state.config.server.listen),
                *(f"{each} (TLS)" for each in state.config.server.listen_tls),
            ),
            event_loop=state.loop_name,
            last_reload=state.reload.at,
            last_reload_ok=state.reload.ok,
            last_reload_success=state.reload.succeeded,
            last_reload_message=state.reload.message,
            workers=tuple(self._workers()),
            zones_by_state=dict(Counter(entry.state for entry in entries)),
            transfers_in_progress={"in": state.zones.transferring, "out": sum(state.sending.values())},
            transfer_queue_length={"in": state.zones.waiting, "out": sum(state.queued.values())},
            store_up=not state.publisher.watch.troubled,
            certificates=_certificates(state.config),
            notices=(*state.store.notices, *filter(None, self._notices())),
        )

    def _notices(self) -> tuple[str, ...]:
        zones = self._state.zones
        entries = zones.entries.values()
        return (
            self._state.publisher.watch.notice,
            zones.unread_notice,
            _override_notice(entries),
            _pause_notice(entries),
        )

    def _workers(self) -> list[WorkerStatus]:
        state = self._state
        stored = {name: each for name, each in state.publisher.stored.items() if name in state.zones.entries}
        wall = time.time() - time.monotonic()
        return [
            WorkerStatus(
                index=worker.index,
                pid=worker.pid,
                alive=worker.ready,
                restarts=worker.restarts,
                zones_behind=sum(worker.served.get(name, 0) < each.generation for name, each in stored.items()),
                last_heartbeat=wall + worker.last_beat,
            )
            for worker in state.supervisor.workers
        ]

    def _zone(self, entry: ZoneEntry) -> ZoneStatus:
        state = self._state
        stored = state.publisher.held(entry.config.name)
        times, trouble = entry.times(), entry.trouble
        serials = [each.serial for each in entry.primaries.values() if each.serial is not None]
        return ZoneStatus(
            name=entry.config.text,
            type=entry.config.type,
            state=entry.state,
            answering=entry.answering and entry.pause is None,
            serial=stored.serial if stored else None,
            primary_serial=entry.newest(serials),
            records=stored.records if stored else 0,
            size=stored.size if stored else 0,
            last_success=times.last_success,
            last_change=times.last_change,
            next_refresh=times.next_refresh,
            expires=times.expires,
            last_reason=trouble.reason,
            last_detail=trouble.detail,
            failures=trouble.failures,
            primaries=tuple(entry.primaries.values()),
            downstreams=state.downstreams.statuses(entry.config.name),
            last_transfer=entry.last_transfer,
            notifies=tuple(entry.notifies.values()),
            queries=entry.queries,
            control_queries=entry.control_queries,
            axfr_sent=entry.sent.axfr,
            ixfr_sent=entry.sent.ixfr,
            bytes_sent=entry.sent.bytes,
            generation=stored.generation if stored else 0,
            workers_serving=state.supervisor.serving(entry.config.name, stored.generation) if stored else 0,
            override=entry.config.override,
            unstored=entry.config.name in state.publisher.unstored,
            pause=_pause(entry),
        )


def _certificates(config: Config) -> dict[str, float]:
    """When each certificate that we show ends."""
    found = {} if config.tls is None else {"server": config.tls.certificate.expires}
    for remote in config.remotes.values():
        if remote.tls is not None and remote.tls.certificate is not None:
            found[f"tls.{remote.tls.name}"] = remote.tls.certificate.expires
    return found


def _override_notice(entries: Iterable[ZoneEntry]) -> str:
    """A sentence about zones whose role is not what the configuration says; empty while there are none."""
    zones = [entry.config.text for entry in entries if entry.config.override]
    if not zones:
        return ""
    more = f" and {plural(len(zones) - 3, 'other zone')}" if len(zones) > 3 else ""
    return f"promoted or demoted by command, other than configured: {', '.join(sorted(zones)[:3])}{more}"


def _pause_notice(entries: Iterable[ZoneEntry]) -> str:
    """A sentence about zones that are paused; empty while there are none."""
    zones = sorted(entry.config.text for entry in entries if entry.pause is not None)
    if not zones:
        return ""
    more = f" and {plural(len(zones) - 3, 'other zone')}" if len(zones) > 3 else ""
    return f"paused by command, until nameserver resume ZONE or the time is up: {', '.join(zones[:3])}{more}"


def _pause(entry: ZoneEntry) -> PauseStatus | None:
    pause = entry.pause
    if pause is None:
        return None
    kept = pause.keep(machine_clock(), time.time())
    return PauseStatus(
        answer=kept.answer,
        since=kept.since,
        until=kept.until,
        queries=pause.queries,
        control_queries=pause.control_queries,
    )


def _refusal(asked: str, reason: str, *, zone: str = "", source: str = "", key: str = "") -> Event:
    """The event of a transfer or NOTIFY that was turned away."""
    why, now = Reason(reason), time.time()
    if asked == "notify":
        return NotifyReceivedEvent(at=now, zone=zone, source=source, key=key, outcome=Verdict.REFUSED, reason=why)
    return TransferEvent(
        at=now,
        zone=zone,
        direction=Direction.OUT,
        address=source,
        key=key,
        asked=Kind(asked),
        outcome=Verdict.REFUSED,
        reason=why,
    )
