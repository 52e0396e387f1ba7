"""How commands write to a terminal: aligned tables, colour where it is wanted, nothing that a peer wrote unescaped."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TextIO

from nameserver.telemetry.log import escape

_CODES = {"good": "32", "busy": "34", "warn": "33", "bad": "31", "dim": "2", "bold": "1"}
MAX_TEXT = 500


class Cell(NamedTuple):
    """Text of a table cell; `tone` is a key of the palette."""

    text: str
    tone: str = ""
    right: bool = False


class Palette:
    """Colours, or none."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled

    @classmethod
    def of(cls, stream: TextIO | None = None, environment: Mapping[str, str] | None = None) -> "Palette":
        """Coloured on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is dumb."""
        stream = sys.stdout if stream is None else stream
        environment = os.environ if environment is None else environment
        return cls(stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb")

    def paint(self, text: str, tone: str) -> str:
        """`text` in a tone."""
        return f"\x1b[{_CODES[tone]}m{text}\x1b[0m" if self._enabled and tone in _CODES and text else text


def forget_reader() -> None:
    """Whoever read our output went away (`nameserver status | head`). Python would complain again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def safe(value: object) -> str:
    """Any value as text for a terminal, on one line."""
    return escape(str(value), MAX_TEXT)


def safe_lines(text: str) -> list[str]:
    """The lines of a text, each safe for a terminal."""
    return [safe(line) for line in text.split("\n")]


def table(titles: Sequence[str], rows: Sequence[Sequence[Cell]], palette: Palette) -> list[str]:
    """Lines of an aligned table. Columns that are empty in every row are left out. Cells are escaped here."""
    texts = [[safe(cell.text) for cell in row] for row in rows]
    kept = [index for index in range(len(titles)) if any(row[index] for row in texts)]
    widths = {index: max(len(titles[index]), *(len(row[index]) for row in texts)) for index in kept}
    lines: list[str] = []
    heads = [_pad(titles[index], widths[index], right=rows[0][index].right) for index in kept] if rows else []
    if heads:
        lines.append(palette.paint("  ".join(heads).rstrip(), "dim"))
    for row, words in zip(rows, texts, strict=True):
        cells = []
        for index in kept:
            padded = _pad(words[index], widths[index], right=row[index].right)
            # The padding stays outside the colour, so that a trailing one can be stripped.
            cells.append(padded.replace(words[index], palette.paint(words[index], row[index].tone), 1))
        lines.append("  ".join(cells).rstrip())
    return lines


def facts(pairs: Sequence[tuple[str, str]], palette: Palette, indent: str = "", least: int = 0) -> list[str]:
    """Lines of "name  value"; the values are safe already. Pairs with an empty value are left out.

    `least`: width of the names, where they are to stand below others.
    """
    pairs = [(name, value) for name, value in pairs if value]
    width = max([least, *(len(name) for name, _ in pairs)])
    return [f"{indent}{palette.paint(name.ljust(width), 'dim')}  {value}" for name, value in pairs]


def _pad(text: str, width: int, *, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)
