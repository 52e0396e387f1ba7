"""`nameserver status [ZONE]`: how the server and its zones are."""

import argparse

from nameserver.cli import remote
from nameserver.cli.present import Cell, Palette, facts, safe, safe_lines, table
from nameserver.telemetry import words
from nameserver.telemetry.events import Kind, NotifyReceivedEvent, Outcome, TransferEvent
from nameserver.telemetry.status import DownstreamStatus, PauseStatus, PrimaryStatus, ServerStatus, ZoneStatus

TONES = {
    "serving": "good",
    "refreshing": "busy",
    "retrying": "warn",
    "serial-backwards": "warn",
    "never-transferred": "bad",
    "expired": "bad",
    "not-loaded": "bad",
    "paused": "warn",
}
_TITLES = (
    *("ZONE", "TYPE", "STATE", "SERIAL", "CHANGED", "CONFIRMED", "NEXT CHECK", "EXPIRES"),
    *("PRIMARY", "DOWNSTREAM", "PROBLEM"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", nargs="?", metavar="ZONE", help="one zone in full; without it, all in a table")
    parser.add_argument("--problems", action="store_true", help="only zones that are not as they should be")
    remote.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when every zone shown is answered, 1 when one is not, 2 for usage, 3 without a server."""
    return remote.run(args, lambda: _status(args))


def _status(args: argparse.Namespace) -> int:
    answer = remote.ask(args, "status", zone=args.zone)
    server = ServerStatus.from_json(answer["server"])
    zones = [ZoneStatus.from_json(each) for each in answer["zones"]]
    if args.problems:
        zones = [zone for zone in zones if troubled(zone)]
        kept = {zone.name for zone in zones}
        answer["zones"] = [each for each in answer["zones"] if each["name"] in kept]
    if args.json:
        remote.print_json(answer)
    else:
        palette = Palette.of()
        lines = zone_lines(zones[0], server, palette) if args.zone and zones else server_lines(server, palette)
        if not args.zone:
            lines += ["", *zones_lines(zones, server.now, palette)]
        print("\n".join(lines))
    return remote.GOOD if all(zone.answering for zone in zones) else remote.FINDING


def troubled(zone: ZoneStatus) -> bool:
    """Whether a zone is not as it should be."""
    return (
        not zone.answering
        or zone.unstored
        or zone.last_reason is not None
        or TONES.get(zone.state, "bad") in ("warn", "bad")
    )


def server_lines(server: ServerStatus, palette: Palette) -> list[str]:
    """The server's facts."""
    alive = sum(worker.alive for worker in server.workers)
    restarts = sum(worker.restarts for worker in server.workers)
    workers = f"{alive} of {len(server.workers)} answering"
    if restarts:
        workers += f", {words.plural(restarts, 'restart')}"
    states = ", ".join(
        palette.paint(f"{count:,} {safe(state)}", TONES.get(state, "bad"))
        for state, count in server.zones_by_state.items()
        if count
    )
    loaded = f"{words.moment(server.last_reload, server.now)}, " + (
        "ok"
        if server.last_reload_ok
        else palette.paint(f"failed: {'; '.join(safe_lines(server.last_reload_message))}", "bad")
    )
    running, queued = server.transfers_in_progress, server.transfer_queue_length
    pairs = [
        ("server", f"nameserver {safe(server.version)}, process {server.pid}, {safe(server.event_loop)}"),
        ("started", words.moment(server.started, server.now)),
        ("configuration", f"{safe(server.config_path)}, loaded {loaded}"),
        ("listening on", safe(", ".join(server.listen))),
        *(
            ("certificate", f"{safe(name)}, ends {full_moment(ends, server.now)}")
            for name, ends in server.certificates.items()
        ),
        ("workers", palette.paint(workers, "good" if alive == len(server.workers) and alive else "bad")),
        ("transfers", f"{running.get('in', 0)} in, {running.get('out', 0)} out, {queued.get('in', 0)} waiting"),
        ("zones", states or "none"),
    ]
    pairs += [("notice", palette.paint(safe(notice), "warn")) for notice in server.notices]
    return facts(pairs, palette)


def zones_lines(zones: list[ZoneStatus], now: float, palette: Palette) -> list[str]:
    """The table of zones."""
    if not zones:
        return ["no zones to show"]
    return table(_TITLES, [_row(zone, now) for zone in sorted(zones, key=lambda zone: zone.name)], palette)


def _row(zone: ZoneStatus, now: float) -> list[Cell]:
    primaries = ", ".join(dict.fromkeys(primary.name for primary in zone.primaries))
    behind = zone.primary_serial is not None and zone.primary_serial != zone.serial
    held = "-" if zone.serial is None else str(zone.serial)
    return [
        Cell(zone.name, "bold"),
        Cell(f"{zone.type}, by command" if zone.override else zone.type if zone.type != "secondary" else ""),
        Cell(zone.state, TONES.get(zone.state, "bad")),
        Cell(f"{held} (primary {zone.primary_serial})" if behind else held, "warn" if behind else "", right=True),
        Cell(_or_dash(zone.last_change, now)),
        Cell(_or_dash(zone.last_success, now)),
        Cell(_or_dash(zone.next_refresh, now)),
        Cell(_or_dash(zone.expires, now), "bad" if zone.expires is not None and zone.expires <= now else ""),
        Cell(primaries or "-"),
        _below(zone),
        Cell(zone.last_reason or "", "warn"),
    ]


def _below(zone: ZoneStatus) -> Cell:
    """How many of those who are told have the version; empty where nobody is told."""
    told = [each for each in zone.downstreams if each.is_told]
    if not told:
        return Cell("")
    current = sum(each.has_it for each in told)
    return Cell(f"{current} of {len(told)} current", "" if current == len(told) else "warn")


def _or_dash(when: float | None, now: float) -> str:
    return "-" if when is None else words.moment(when, now)


def full_moment(when: float | None, now: float) -> str:
    """A time both ways: "in 4m 10s (2026-11-21 01:22:20 UTC)"; empty for None."""
    return "" if when is None else f"{words.moment(when, now)} ({words.timestamp(when)})"


def zone_lines(zone: ZoneStatus, server: ServerStatus, palette: Palette) -> list[str]:
    """One zone in full."""
    now = server.now
    alive = sum(worker.alive for worker in server.workers)
    serial = "none" if zone.serial is None else str(zone.serial)
    if zone.primary_serial is not None and zone.primary_serial != zone.serial:
        serial += palette.paint(f", the primary has {zone.primary_serial}", "warn")
    answered = f"by {zone.workers_serving} of {alive} workers" if zone.answering else palette.paint("no", "bad")
    if zone.answering and zone.unstored:
        answered += palette.paint(", from memory alone: what was stored is lost", "warn")
    problem = ": ".join(safe(part) for part in (zone.last_reason, zone.last_detail) if part)
    failures = f" ({words.plural(zone.failures, 'failure')} in a row)" if zone.failures else ""
    pairs = [
        ("zone", palette.paint(safe(zone.name), "bold") + f" ({safe(zone.type)})"),
        ("state", palette.paint(safe(zone.state), TONES.get(zone.state, "bad"))),
        ("role", palette.paint(safe(zone.override), "warn")),
        ("answered", answered),
        ("paused", palette.paint(pause_text(zone.pause, now), "warn") if zone.pause else ""),
        ("asked", asked_text(zone.pause, server, palette) if zone.pause else ""),
        ("serial", serial),
        ("content", f"{words.plural(zone.records, 'record')}, {words.size(zone.size)}, generation {zone.generation}"),
        ("changed", full_moment(zone.last_change, now)),
        ("confirmed", full_moment(zone.last_success, now)),
        ("next check", full_moment(zone.next_refresh, now)),
        ("expires", full_moment(zone.expires, now)),
        ("problem", palette.paint(problem, "warn") + failures if problem else ""),
        ("last transfer", transfer_text(zone.last_transfer, now)),
        ("queries", f"{zone.queries:,} and {zone.control_queries:,} of peers"),
        ("sent", _sent(zone)),
    ]
    lines = facts(pairs, palette)
    for primary in zone.primaries:
        lines += ["", *primary_lines(primary, now, palette)]
    for downstream in zone.downstreams:
        lines += ["", *downstream_lines(downstream, now, palette)]
    return lines


def pause_text(pause: PauseStatus, now: float) -> str:
    """What queries get by command, and until when."""
    ends = f"{words.timestamp(pause.until)} ({words.moment(pause.until, now)})"
    return safe(f"queries get {pause.answer.upper()} until {ends}")


def asked_text(pause: PauseStatus, server: ServerStatus, palette: Palette) -> str:
    """What was asked in a pause, which is what it is for."""
    since = f"since {full_moment(max(pause.since, server.started), server.now)}"
    if server.started > pause.since:
        since += ", when the server was started"
    asked = palette.paint(words.queries(pause.queries), "warn" if pause.queries else "good")
    return f"{asked} and {pause.control_queries:,} of peers {since}"


def _sent(zone: ZoneStatus) -> str:
    """What secondaries got of it; empty where nothing."""
    if not zone.bytes_sent:
        return ""
    whole, steps = words.plural(zone.axfr_sent, "whole transfer"), words.plural(zone.ixfr_sent, "incremental one")
    return f"{whole} and {steps} to secondaries, {words.size(zone.bytes_sent)}"


def primary_lines(primary: PrimaryStatus, now: float, palette: Palette) -> list[str]:
    """One primary of a zone."""
    key = "none"
    if primary.key:
        key = safe(primary.key)
        key += f" (fingerprint {safe(primary.key_fingerprint)})" if primary.key_fingerprint else ""
    preferred = ""
    if primary.preferred_key:
        why = f" ({safe(primary.preferred_key_reason)})" if primary.preferred_key_reason else ""
        preferred = palette.paint(f"{safe(primary.preferred_key)}, not accepted there{why}", "warn")
    result = "" if primary.last_attempt is None else palette.paint("ok", "good")
    if primary.last_reason:
        result = palette.paint(safe(primary.last_reason), "warn")
        result += f": {safe(primary.last_detail)}" if primary.last_detail else ""
    over_tls = "yes" if primary.tls else ""
    if primary.certificate_expires is not None:
        over_tls += f", its certificate ends {full_moment(primary.certificate_expires, now)}"
    skew = ""
    if primary.skew is not None and abs(primary.skew) >= 1:
        skew = f"{abs(primary.skew):.0f} s {'ahead of' if primary.skew > 0 else 'behind'} this machine"
    pairs = [
        ("primary", palette.paint(safe(primary.name), "bold")),
        ("address", safe(primary.address)),
        ("key", key),
        ("over TLS", over_tls),
        ("preferred", preferred),
        ("serial", "" if primary.serial is None else str(primary.serial)),
        ("last try", full_moment(primary.last_attempt, now) or "never"),
        ("result", result),
        ("last success", full_moment(primary.last_success, now) or "never"),
        ("its clock", skew),
    ]
    return facts(pairs, palette, "  ")


def downstream_lines(downstream: DownstreamStatus, now: float, palette: Palette) -> list[str]:
    """One server below us, for one zone."""
    serial = palette.paint("not known", "warn") if downstream.serial is None else str(downstream.serial)
    if downstream.serial is not None:
        how = "it answers" if downstream.answers else "it fetched"
        serial = palette.paint(serial, "good" if downstream.has_it else "warn") + f", which {how}"
        serial += f", {words.moment(downstream.seen_at, now)}" if downstream.seen_at is not None else ""
    told = ""
    if downstream.notified_at is not None:
        told = f"serial {downstream.notified_serial}, {words.moment(downstream.notified_at, now)}: "
        if downstream.notify_reason:
            why = ": ".join(filter(None, (downstream.notify_reason, downstream.notify_detail)))
            told += palette.paint(safe(f"given up, {why}"), "warn")
        else:
            told += palette.paint("confirmed", "good") + f" at try {downstream.notify_tries}"
    check = ": ".join(filter(None, (downstream.check_reason or "", downstream.check_detail)))
    pairs = [
        ("downstream", palette.paint(safe(downstream.name), "bold") + _VIA.get(downstream.via, "")),
        ("address", safe(downstream.address)),
        ("key", safe(downstream.key or "none")),
        ("serial", serial),
        ("took", "" if downstream.lag is None else words.duration(downstream.lag)),
        ("behind", full_moment(downstream.behind_since, now) and f"since {full_moment(downstream.behind_since, now)}"),
        ("notify", told or ("" if downstream.is_told is False else "not yet")),
        ("check", palette.paint(safe(check), "warn")),
        ("next check", full_moment(downstream.next_check, now)),
    ]
    return facts(pairs, palette, "  ")


_VIA = {"ns": " (named by the zone's NS records)", "transfer": " (fetches the zone, and is not told)"}


def transfer_text(event: TransferEvent | None, now: float) -> str:
    """A transfer in a sentence; empty for None."""
    if event is None:
        return ""
    serials = "" if event.serial_new is None else f", serial {event.serial_new}"
    if event.serial_old is not None and event.serial_new is not None:
        serials = f", serial {event.serial_old} to {event.serial_new}"
    what = f"{event.asked} asked, {event.got} came" if event.asked != event.got else str(event.got)
    if event.got is Kind.NONE:
        what = f"{event.asked} asked, nothing came"
    failed = "" if event.reason is None else f" ({event.reason})"
    amount = f", {words.plural(event.records, 'record')}, {words.size(event.bytes)} in {words.duration(event.seconds)}"
    if not event.messages:
        amount = ""
    peer = event.primary or event.address
    over = " over TLS" if event.transport == "tls" else ""
    return safe(f"{words.moment(event.at, now)} from {peer}{over}: {event.outcome}{failed}, {what}{serials}{amount}")


def notify_text(event: NotifyReceivedEvent, now: float) -> str:
    """A NOTIFY that came, in a sentence."""
    serial = "" if event.serial is None else f", serial {event.serial}"
    refused = f": refused ({event.reason})" if event.outcome is Outcome.REFUSED else ""
    return safe(f"{words.moment(event.at, now)} from {event.source}{serial}{refused}")
