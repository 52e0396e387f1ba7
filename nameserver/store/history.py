"""The history of zones in the database: a row per part of a step, written along with the version that it leads to.

    number      generation of the version it leads to << 16 | place among the steps of that commit
    until       when the step is too old, by the limit that held when it was written; wall clock
    after       the number of the step before; 0: the history begins here

So a history hangs together, row by row, and at its end with the zone's row: what is left of one that was cut off, or a
page that is whole but old, fits nowhere. Each row's CRC covers its place and all that is said of its step. What does
not check is no reason to lose a zone: it is answered whole, and its history dropped (`Store.drop_history`).
"""

import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct, error
from zlib import crc32

from nameserver.errors import StoreDamaged
from nameserver.zone.history import HistoryLimits, PackedStep
from nameserver.zone.serial import newer

MOST_STEPS = 1 << 16  # of one commit

COLUMNS = "zone, number, part, after, old_serial, new_serial, until, parts, records, size, crc, data"
TABLES = (
    """CREATE TABLE history (
        id INTEGER PRIMARY KEY, zone INTEGER NOT NULL, number INTEGER NOT NULL, part INTEGER NOT NULL,
        after INTEGER NOT NULL, old_serial INTEGER NOT NULL, new_serial INTEGER NOT NULL, until REAL NOT NULL,
        parts INTEGER NOT NULL, records INTEGER NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL,
        data BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX history_by_number ON history (zone, number, part)",
)

_PUT = f"INSERT INTO history ({COLUMNS}) VALUES ({', '.join('?' * 12)})"  # noqa: S608 - constants of ours
_TOTALS = "SELECT count(*), total(size), min(until), max(number) FROM history WHERE zone = ? AND part = 0"
_OLDEST = "SELECT number, until, size FROM history WHERE zone = ? AND part = 0 ORDER BY number"
_STEPS = (
    "SELECT number, after, old_serial, new_serial, until, parts, records, size FROM history "
    "WHERE zone = ? AND part = 0 ORDER BY number DESC"
)
_ROWS = f"SELECT {COLUMNS} FROM history WHERE zone = ? AND number = ? ORDER BY part"  # noqa: S608
_ALL_ROWS = f"SELECT {COLUMNS} FROM history WHERE zone = ? ORDER BY number, part"  # noqa: S608
_PLACE = Struct("!qqIqIIdIqq")
_STEP_TYPES = (int, int, int, int, float, int, int, int)


@dataclass(frozen=True, slots=True)
class NewSteps:
    """What a commit adds to a zone's history: the steps from the version before to the one that is committed."""

    steps: Sequence[PackedStep]
    limits: HistoryLimits
    at: float  # wall clock


@dataclass(frozen=True, slots=True)
class StoredStep:
    """One step without its records. `size` is as in `PackedStep`."""

    number: int
    after: int
    old_serial: int
    new_serial: int
    until: float
    parts: int
    records: int
    size: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What is kept of one zone."""

    steps: int
    size: int
    until: float  # when the oldest step is too old, wall clock
    last: int  # number of the newest step


NONE = Totals(0, 0, 0.0, 0)


def totals(database: sqlite3.Connection, zone_id: int) -> Totals:
    """What the rows of a zone come to."""
    count, size, until, last = database.execute(_TOTALS, (zone_id,)).fetchone()
    return Totals(count, int(size), until or 0.0, last or 0)


def append(
    database: sqlite3.Connection, zone_id: int, generation: int, room: int, new: NewSteps, held: Totals
) -> Totals:
    """Write the steps that lead to a generation, and let go of the oldest beyond the limits; what is then kept.

    `room` is how many octets the zone's history may take. Where the newest step alone is beyond the limits, nothing is
    kept: what is older leads nowhere then.
    """
    limits = new.limits
    kept = list(new.steps[-min(limits.max_changes, MOST_STEPS) :]) if limits.max_changes else []
    while kept and sum(step.size for step in kept) > room:
        del kept[0]
    if not kept or len(kept) < len(new.steps):
        held = drop(database, zone_id)
    until = new.at + limits.max_age
    for place, step in enumerate(kept):
        number = generation << 16 | place
        _put(database, zone_id, StoredStep(
            number, held.last, step.old_serial, step.new_serial, until, len(step.parts), step.records, step.size
        ), step.parts)  # fmt: skip
        first = held.until if held.steps else until
        held = Totals(held.steps + 1, held.size + step.size, first, number)
    most, largest = held.steps, held.size
    # Beyond a limit by a little more than needed: not every change costs a removal.
    if held.steps > limits.max_changes:
        most = max(1, limits.max_changes - limits.max_changes // 8)
    if held.size > room:
        largest = room - room // 8
    return prune(database, zone_id, new.at, held, most, largest)


def _put(database: sqlite3.Connection, zone_id: int, step: StoredStep, parts: Sequence[bytes]) -> None:
    for part, data in enumerate(parts):
        crc = _crc(zone_id, part, step, data)
        database.execute(_PUT, (
            zone_id, step.number, part, step.after, step.old_serial, step.new_serial, step.until, step.parts,
            step.records, step.size, crc, data,
        ))  # fmt: skip


def prune(
    database: sqlite3.Connection,
    zone_id: int,
    now: float,
    held: Totals,
    most: int | None = None,
    largest: int | None = None,
) -> Totals:
    """Let go of what is too old, and of the oldest steps until no more are left than these; what is then kept.

    The newest stays: it is what a client that was told a moment ago asks for.
    """
    most, largest = held.steps if most is None else most, held.size if largest is None else largest
    if held.steps <= max(1, most) and held.size <= largest and (held.until >= now or held.steps < 2):
        return held
    steps, size, first, first_until = held.steps, held.size, held.last, held.until
    rows = database.execute(_OLDEST, (zone_id,))
    for number, until, step_size in rows:
        first, first_until = number, until
        if number == held.last or (steps <= most and size <= largest and until >= now):
            break
        steps, size = steps - 1, size - step_size
    rows.close()
    database.execute("DELETE FROM history WHERE zone = ? AND number < ?", (zone_id, first))
    return Totals(steps, size, first_until, held.last)


def drop(database: sqlite3.Connection, zone_id: int) -> Totals:
    """Forget a zone's history."""
    database.execute("DELETE FROM history WHERE zone = ?", (zone_id,))
    return NONE


# reading


def steps_since(
    database: sqlite3.Connection, zone_id: int, generation: int, serial: int, goal: int, at_most: float = math.inf
) -> list[StoredStep]:
    """The steps, oldest first, from a serial to the version of a generation, whose serial is `goal`; empty: none lead.

    Nor are there any where they take more than `at_most` octets: it is not looked further then. Raises
    StoreDamaged where the history does not hang together, sqlite3.Error.
    """
    chain: list[StoredStep] = []
    rows = database.execute(_STEPS, (zone_id,))
    try:
        wanted, reached, size = 0, goal, 0
        for row in rows:
            step = _step_of(row)
            size += step.size
            fits = step.number == wanted if chain else step.number >> 16 == generation
            if not fits or step.new_serial != reached or not newer(step.new_serial, step.old_serial):
                raise StoreDamaged("a step of its history is not where it belongs")
            chain.append(step)
            if step.old_serial == serial:
                return chain[::-1] if size <= at_most else []
            wanted, reached = step.after, step.old_serial
            if not wanted or size > at_most:
                break
        return []
    finally:
        rows.close()


def parts_of(database: sqlite3.Connection, zone_id: int, step: StoredStep) -> Iterator[bytes]:
    """The parts of a step. Raises StoreDamaged where they are not what was written, sqlite3.Error."""
    rows = database.execute(_ROWS, (zone_id, step.number))
    try:
        found = 0
        for row in rows:
            part, data = _checked(zone_id, row, step)
            if part != found:
                raise StoreDamaged("a part of its history is missing")
            found += 1
            yield data
        if found != step.parts:
            raise StoreDamaged("a part of its history is missing")
    finally:
        rows.close()


def whole_rows(database: sqlite3.Connection, zone_id: int, generation: int, serial: int) -> list[tuple[object, ...]]:
    """Every row of a zone's history, values of COLUMNS; empty where the history does not pass every check.

    Raises sqlite3.Error.
    """
    try:
        # No serial is its own predecessor: this reads, and judges, all there are.
        steps_since(database, zone_id, generation, serial, serial)
        rows = database.execute(_ALL_ROWS, (zone_id,)).fetchall()
        parts = [(_step_of((*row[1:2], *row[3:10])), _checked(zone_id, row, None)[0]) for row in rows]
    except StoreDamaged:
        return []
    previous: StoredStep | None = None
    due = 0
    for step, part in parts:
        same = previous is not None and step == previous
        if part != (due if same else 0) or (not same and previous is not None and due != previous.parts):
            return []
        previous, due = step, part + 1
    return rows if previous is None or due == previous.parts else []


def put_rows(database: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Write what `whole_rows` gave of another database."""
    database.executemany(_PUT, rows)


def _step_of(row: tuple[object, ...]) -> StoredStep:
    if not all(type(value) is kind for value, kind in zip(row, _STEP_TYPES, strict=True)):
        raise StoreDamaged("a step of its history is not what was written")
    return StoredStep(*row)  # type: ignore[arg-type]


def _checked(zone_id: int, row: tuple[object, ...], expected: StoredStep | None) -> tuple[int, bytes]:
    """(number of the part, content) of a row of COLUMNS. Raises StoreDamaged."""
    step, part, crc, data = _step_of((*row[1:2], *row[3:10])), row[2], row[10], row[11]
    if isinstance(part, int) and isinstance(data, bytes) and expected in (None, step):  # noqa: SIM102
        if _crc(zone_id, part, step, data) == crc:
            return part, data
    raise StoreDamaged("a step of its history does not match its checksum")


def _crc(zone_id: int, part: int, step: StoredStep, data: bytes) -> int:
    try:
        place = _PLACE.pack(
            zone_id, step.number, part, step.after, step.old_serial, step.new_serial, step.until, step.parts,
            step.records, step.size,
        )  # fmt: skip
    except error:  # numbers that fit no field
        raise StoreDamaged("a step of its history is not what was written") from None
    return crc32(data, crc32(place))
