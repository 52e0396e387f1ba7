"""Times, sizes and counts as people read them. Used by the status page and by the commands."""

from datetime import UTC, datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(seconds: float) -> str:
    """A length of time in its two largest units: "4m 10s", "2d 3h"; below ten seconds "1.3s", "250 ms", "2 ms"."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds == 0:
        return "0s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 else "under 1 ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    rest = round(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        if rest >= size or parts:
            count, rest = divmod(rest, size)
            parts.append(f"{count}{unit}")
            if len(parts) == 2:
                break
    return " ".join(part for part in parts if not part.startswith("0"))


def moment(when: float | None, now: float) -> str:
    """A wall-clock time relative to `now`: "12s ago", "in 4m 10s", "now", or "never"."""
    if when is None:
        return "never"
    if abs(when - now) < 0.5:
        return "now"
    return f"in {duration(when - now)}" if when > now else f"{duration(now - when)} ago"


def timestamp(when: float | None) -> str:
    """A wall-clock time in full, UTC; empty for None or one that no calendar holds."""
    if when is None:
        return ""
    try:
        return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def size(count: float) -> str:
    """Bytes with a binary unit: "512 B", "1.4 MiB"."""
    for unit in _SIZES[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_SIZES[-1]}"


def queries(count: int) -> str:
    """A number of queries: "no queries", "1 query", "1,200 queries"."""
    return "no queries" if not count else "1 query" if count == 1 else f"{count:,} queries"


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 zone", "12 zones"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
