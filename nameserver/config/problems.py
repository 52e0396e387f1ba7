"""Where in the configuration something stands, and the list of what is wrong with it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from nameserver.config.positions import TomlPath, find_positions
from nameserver.config.suggest import dotted, is_old_word, may_be_secret, printable


@dataclass(eq=False, slots=True)
class SourceFile:
    """A file of the configuration as read. `display` is its name as the operator would type it."""

    path: Path
    display: str
    text: str = field(default="", repr=False)  # may hold secrets, as does the document
    order: int = 0  # in which order the files were read: problems are listed in it
    readable_by_others: bool = False
    document: dict[str, Any] = field(default_factory=dict, repr=False)
    lines: dict[TomlPath, int] | None = field(default=None, repr=False)  # of TOML: found when first asked for

    def line(self, path: TomlPath) -> int:
        """The line of a TOML path, or of the nearest part of it that stands in the file. Found when first asked."""
        if self.lines is None:
            self.lines = find_positions(self.text)
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class Place(NamedTuple):
    """A TOML path in a file; `line` is given only where the file is not TOML."""

    file: SourceFile
    path: TomlPath
    line: int = 0

    def below(self, *parts: str | int) -> "Place":
        """A place further down."""
        return Place(self.file, (*self.path, *parts), self.line)

    def without_name(self) -> "Place":
        """The same line, without the last part of the path: for a name that must not be shown."""
        return Place(self.file, self.path[:-1], self.line or self.file.line(self.path))

    def where(self) -> str:
        """FILE:LINE."""
        return f"{printable(self.file.display)}:{self.line or self.file.line(self.path)}"


class Problem(NamedTuple):
    """One line of a report."""

    file: str
    line: int  # 0: the file as a whole
    path: str  # as TOML writes it; empty: the file as a whole
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.path}: {self.text}" if self.path else f"{where}: {self.text}"


class Problems:
    """Collects errors and warnings, so that one run shows all of them."""

    def __init__(self) -> None:
        self._errors: dict[Problem, _Order] = {}  # a dict drops repetitions
        self._warnings: dict[Problem, _Order] = {}

    def error(self, place: Place, text: str) -> None:
        """Something that must be put right before the daemon takes this configuration."""
        problem = _problem(place, text)
        self._errors[problem] = _order(problem, place)

    def unknown(self, place: Place, text: str) -> None:
        """A name that is not known; where it could be a secret in the wrong place, its line is all that is shown."""
        if may_be_secret(str(place.path[-1])):
            self.error(place.without_name(), "unknown key, whose name is not shown: it may be a secret")
        elif is_old_word(str(place.path[-1])):
            self.error(place.without_name(), text)
        else:
            self.error(place, text)

    def warn(self, place: Place, text: str) -> None:
        """Something that works but was hardly meant."""
        problem = _problem(place, text)
        self._warnings[problem] = _order(problem, place)

    @property
    def errors(self) -> list[Problem]:
        """In the order in which the operator meets them."""
        return _sorted(self._errors)

    @property
    def warnings(self) -> list[Problem]:
        """In the order in which the operator meets them."""
        return _sorted(self._warnings)


def _problem(place: Place, text: str) -> Problem:
    file = place.file
    line = place.line or (file.line(place.path) if file.text else 0)
    return Problem(printable(file.display), line, dotted(place.path), text)


# Order of the file, line, then the path, in which numbers (positions in a list) count as numbers.
_Order = tuple[int, int, tuple[tuple[bool, int, str], ...], str]


def _order(problem: Problem, place: Place) -> _Order:
    path = tuple((True, part, "") if isinstance(part, int) else (False, 0, part) for part in place.path)
    return place.file.order, problem.line, path, problem.text


def _sorted(problems: dict[Problem, _Order]) -> list[Problem]:
    return sorted(problems, key=problems.__getitem__)
