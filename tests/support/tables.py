"""Samples to figures, figures to Markdown."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

Figures = Mapping[str, Any]
Column = tuple[str, Callable[[Figures], str]]


def percentile(taken: Sequence[float | None], share: float) -> float:
    """Of all tries; one without an answer (None) took for ever."""
    if not taken:
        return math.nan
    ordered = sorted(math.inf if each is None else each for each in taken)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def summary(taken: Sequence[float | None]) -> dict[str, float]:
    """Seconds and share."""
    answered = sum(each is not None for each in taken)
    return {
        "tries": len(taken),
        "answered": answered / len(taken) if taken else math.nan,
        "p50": percentile(taken, 0.50),
        "p99": percentile(taken, 0.99),
    }


def middle(rounds: Sequence[Figures]) -> dict[str, Any]:
    """The median of each figure over the rounds; words stay as they are."""
    first = rounds[0]
    joined: dict[str, Any] = {}
    for name, value in first.items():
        values = [each[name] for each in rounds]
        if isinstance(value, Mapping):
            joined[name] = middle(values)
        else:
            joined[name] = value if isinstance(value, str) else median(values)
    return joined


def finite(value: Any) -> Any:
    """For JSON: what is no number there becomes null."""
    if isinstance(value, Mapping):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(rows: Sequence[tuple[str, Figures]], columns: Sequence[Column], first: str = "server") -> str:
    """Markdown."""
    lines = [[first, *(name for name, _ in columns)], ["---"] * (len(columns) + 1)]
    lines += [[name, *(cell(figures) for _, cell in columns)] for name, figures in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Three digits that say something."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "lost"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def share(value: float) -> str:
    """Per cent; 100 is said of all alone."""
    return "-" if math.isnan(value) else f"{math.floor(value * 1000) / 10:g} %"


def milliseconds(seconds: float) -> str:
    return number(seconds * 1000)


def ratio(one: float, other: float) -> str:
    """`one` over `other`."""
    return f"{number(one / other)}" if math.isfinite(one) and other > 0 else "-"
