"""Log lines: one per record, safe to print, plain for people or JSON for machines.

Plain:  2026-11-21T01:18:10.123Z INFO transfer in zone=example.com primary=a key=k asked=ixfr got=ixfr serial=1->2 …
JSON:   {"time": …, "level": …, "logger": …, "message": …, and an event's own fields under "event"}

Text that a peer chose may be anything: the formatters escape every control character, so that no message, however it
was put together, can start a second line or speak to a terminal.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any, TextIO

from nameserver.errors import NameserverError
from nameserver.telemetry.events import (
    CheckEvent,
    Direction,
    Event,
    NotifyReceivedEvent,
    NotifySentEvent,
    Outcome,
    TransferEvent,
)
from nameserver.telemetry.outlet import OutletHandler

MAX_TEXT = 255  # characters of a peer's text that are kept
MAX_LINE = 8192  # characters of a message, without a traceback
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FORMATS = ("plain", "json")
_ROOT = "nameserver"
_QUOTED = frozenset(' "=')


def escape(text: str, limit: int = MAX_TEXT) -> str:
    r"""`text` with everything that does not print as `\xNN`, `\uNNNN` or `\UNNNNNNNN`, cut off with "…" at `limit`.

    Backslashes stay as they are: names come here with the `\DDD` of RFC 1035 §5.1 in them.
    """
    if len(text) > limit:
        text = text[:limit] + "…"
    return text if text.isprintable() else "".join(map(_escape_character, text))


def _escape_character(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def quote(value: object) -> str:
    """A value for `name=value`: escaped, in quotes where it would not stand as one word, "-" where there is none."""
    if value is None or value == "":
        return "-"
    text = escape(str(value))
    if _QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _line(title: str, **fields: object) -> str:
    return title + "".join(f" {name}={quote(value)}" for name, value in fields.items())


def _serials(old: int | None, new: int | None) -> str:
    return f"{'none' if old is None else old}->{'none' if new is None else new}"


def transfer_line(event: TransferEvent) -> str:
    """One transfer, its fields in a fixed order; a `detail` comes last."""
    peer = {"primary": event.primary} if event.direction is Direction.IN else {"client": event.address}
    line = _line(
        f"transfer {event.direction}",
        zone=event.zone,
        **peer,
        key=event.key,
        transport=event.transport,
        asked=event.asked,
        got=event.got,
        serial=_serials(event.serial_old, event.serial_new),
        messages=event.messages,
        records=event.records,
        bytes=event.bytes,
        seconds=f"{event.seconds:.3f}",
        outcome=event.outcome,
        reason=event.reason,
    )
    return line + (_line("", detail=event.detail) if event.detail else "")


def check_line(event: CheckEvent) -> str:
    """One SOA check, its fields in a fixed order; a `detail` comes last."""
    line = _line(
        "check",
        zone=event.zone,
        primary=event.primary,
        address=event.address,
        key=event.key,
        transport=event.transport,
        serial=_serials(event.serial_held, event.serial_seen),
        seconds=f"{event.seconds:.3f}",
        outcome=event.outcome,
        reason=event.reason,
    )
    return line + (_line("", detail=event.detail) if event.detail else "")


def notify_line(event: NotifyReceivedEvent | NotifySentEvent) -> str:
    """One NOTIFY, received or sent."""
    if isinstance(event, NotifyReceivedEvent):
        peer: dict[str, object] = {"source": event.source}
        rest: dict[str, object] = {}
        title = "notify in"
    else:
        peer = {"target": event.target, "address": event.address}
        rest = {"tries": event.tries}
        title = "notify out"
    line = _line(
        title,
        zone=event.zone,
        **peer,
        key=event.key,
        serial=event.serial,
        **rest,
        outcome=event.outcome,
        reason=event.reason,
    )
    detail = event.detail if isinstance(event, NotifySentEvent) else ""
    return line + (_line("", detail=detail) if detail else "")


def log_event(event: Event, *, repeated: bool = False, known: bool = False) -> None:
    """Write an event's line.

    Transfers are INFO, or WARNING where they failed or something in them had to be put right. Checks and NOTIFYs
    happen all the time: DEBUG while they are fine. What anyone may cause, a refusal, is INFO. `repeated`: it failed
    like this the time before, which is DEBUG: thousands of zones of a primary that is away must not bury the rest.
    `known`: what had to be put right is this primary's habit and was a WARNING before (Knot never sets AA in AXFR).
    """
    fine = event.outcome in (Outcome.OK, Outcome.UP_TO_DATE, Outcome.IGNORED)
    match event:
        case TransferEvent():
            name, level = "transfer", logging.WARNING if event.detail and not known else logging.INFO
        case CheckEvent():
            name, level = "check", logging.DEBUG
        case _:
            name, level = "notify", logging.DEBUG
    logger = logging.getLogger(f"{_ROOT}.{name}")
    if repeated:
        level = logging.DEBUG
    elif not fine:
        level = logging.INFO if event.outcome is Outcome.REFUSED else logging.WARNING
    if logger.isEnabledFor(level):  # most lines are not wanted, and to write one costs
        logger.log(level, "%s", _event_line(event), extra={"event": event})


def _event_line(event: Event) -> str:
    match event:
        case TransferEvent():
            return transfer_line(event)
        case CheckEvent():
            return check_line(event)
        case _:
            return notify_line(event)


def _time(created: float) -> str:
    moment = datetime.fromtimestamp(created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


class PlainFormatter(logging.Formatter):
    """A line for people. A traceback follows indented, each of its lines escaped like the message."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole record as text."""
        line = f"{_time(record.created)} {record.levelname} {escape(record.getMessage(), MAX_LINE)}"
        if record.exc_info and record.exc_info[0] is not None:
            trace = self.formatException(record.exc_info)
            line += "".join(f"\n    {escape(each, MAX_LINE)}" for each in trace.splitlines())
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object to a line; ASCII only, so control characters are escaped whatever reads it."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole record as text."""
        data: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escape(record.getMessage(), MAX_LINE),
        }
        event: Event | None = getattr(record, "event", None)
        if event is not None:
            fields = event.to_json()
            data["event"] = {k: escape(v) if isinstance(v, str) else v for k, v in fields.items()}
        if record.exc_info and record.exc_info[0] is not None:
            data["exception"] = self.formatException(record.exc_info)
        return json.dumps(data, ensure_ascii=True)


class LogSettingsError(NameserverError):
    """A level or format that does not exist."""


def setup(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send everything logged under "nameserver", and warnings of libraries, to `stream` (standard error, unwaited for).

    Replaces what an earlier call set up, so a reload may call it again. Raises LogSettingsError.
    """
    if level not in LEVELS:
        raise LogSettingsError(f'no log level "{level}"; there is: {", ".join(LEVELS)}')
    if log_format not in FORMATS:
        raise LogSettingsError(f'no log format "{log_format}"; there is: {", ".join(FORMATS)}')
    handler = OutletHandler() if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if log_format == "json" else PlainFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries
    logging.getLogger(_ROOT).setLevel(LEVELS[level])
