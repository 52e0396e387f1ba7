"""Log lines: one per record, safe to print, plain for people or JSON for machines.

Plain:  2026-11-21T01:18:10.123Z INFO transfer in zone=example.com primary=a key=k asked=ixfr got=ixfr serial=1->2 …
JSON:   {"time": …, "level": …, "logger": …, "message": …, and an event's own fields under "event"}

Text that a peer chose may be anything: the formatters escape every control character, so that no message, however it
was put together, can start a second line or speak to a terminal.
"""

import asyncio
import json
import logging
import re
from datetime import UTC, datetime
from functools import lru_cache
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
_PLAIN_WORD = re.compile(rf"[!#-<>-~]{{1,{MAX_TEXT}}}").fullmatch  # stands as it is; no space, `"` or `=` in it
_EVENT_LOGGERS = {name: logging.getLogger(f"{_ROOT}.{name}") for name in ("transfer", "check", "notify")}


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
    text = str(value)
    if _PLAIN_WORD(text):
        return text
    text = escape(text)
    if _QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(maxsize=64)  # what is odd about a primary is so in each of its zones
def _detail(detail: str) -> str:
    return f" detail={quote(detail)}" if detail else ""


def _serials(old: int | None, new: int | None) -> str:
    return f"{'none' if old is None else old}->{'none' if new is None else new}"


def transfer_line(event: TransferEvent) -> str:
    """One transfer, its fields in a fixed order; a `detail` comes last."""
    incoming = event.direction is Direction.IN
    peer = f"primary={quote(event.primary)}" if incoming else f"client={quote(event.address)}"
    return (
        f"transfer {event.direction} zone={quote(event.zone)} {peer} key={quote(event.key)} transport={event.transport}"
        f" asked={event.asked} got={event.got} serial={_serials(event.serial_old, event.serial_new)}"
        f" messages={event.messages} records={event.records} bytes={event.bytes} seconds={event.seconds:.3f}"
        f" outcome={event.outcome} reason={event.reason or '-'}{_detail(event.detail)}"
    )


def check_line(event: CheckEvent) -> str:
    """One SOA check, its fields in a fixed order; a `detail` comes last."""
    return (
        f"check zone={quote(event.zone)} primary={quote(event.primary)} address={quote(event.address)}"
        f" key={quote(event.key)} transport={event.transport} serial={_serials(event.serial_held, event.serial_seen)}"
        f" seconds={event.seconds:.3f} outcome={event.outcome} reason={event.reason or '-'}{_detail(event.detail)}"
    )


def notify_line(event: NotifyReceivedEvent | NotifySentEvent) -> str:
    """One NOTIFY, received or sent."""
    if isinstance(event, NotifyReceivedEvent):
        title, peer, tries, detail = "notify in", f"source={quote(event.source)}", "", ""
    else:
        title, peer = "notify out", f"target={quote(event.target)} address={quote(event.address)}"
        tries, detail = f" tries={event.tries}", event.detail
    return (
        f"{title} zone={quote(event.zone)} {peer} key={quote(event.key)} serial={quote(event.serial)}{tries}"
        f" outcome={event.outcome} reason={event.reason or '-'}{_detail(detail)}"
    )


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
    logger = _EVENT_LOGGERS[name]
    if repeated:
        level = logging.DEBUG
    elif not fine:
        level = logging.INFO if event.outcome is Outcome.REFUSED else logging.WARNING
    if logger.isEnabledFor(level):  # most lines are not wanted, and to write one costs
        # Not by `logger.log`, which walks the stack for the place in the source: that is here.
        record = logging.LogRecord(logger.name, level, __file__, 0, "%s", (_event_line(event),), None)
        record.event = event
        logger.handle(record)


def _event_line(event: Event) -> str:
    match event:
        case TransferEvent():
            return transfer_line(event)
        case CheckEvent():
            return check_line(event)
        case _:
            return notify_line(event)


def _time(created: float) -> str:
    second = int(created)
    return f"{_second(second)}.{int((created - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


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
    # No format of ours shows these, and to find them out takes a third of the time that a record takes to make.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def gather(loop: asyncio.AbstractEventLoop) -> None:
    """Called in the loop's thread: what it logs in quick succession is written together (see `OutletHandler`)."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, OutletHandler):
            handler.gather(loop)
