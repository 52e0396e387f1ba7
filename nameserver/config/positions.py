"""On which line each table, key and list element of a TOML text stands.

The standard library's reader gives values without positions, and an error without a line sends people searching. This
is not a second parser: it runs over text that `tomllib` has already accepted, so it may trust the syntax and only
tracks *where* it is:

    top level   [header] / [[header]] sets the prefix; key = value records prefix + key
    value       string   skipped by one expression (all four kinds)
                [ … ]    recurses, one index per element
                { … }    recurses, like a table
                other    numbers, dates, booleans: up to the next , ] } # or line end

Should it lose its way all the same, it returns what it found until then: a line number less is no reason to fail.
"""

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress

TomlPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\r\n]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # up to two quotes may stand right before the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


class _LostError(Exception):
    """The scanner met what it does not know."""


def find_positions(text: str) -> dict[TomlPath, int]:
    """Line (from 1) of every table, key and list element in `text`, which must be valid TOML."""
    scanner = _Scanner(text)
    with suppress(_LostError, RecursionError):
        scanner.run()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = 0
        self.lines: dict[TomlPath, int] = {}
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._array_sizes: dict[TomlPath, int] = {}  # arrays of tables met so far

    def run(self) -> None:
        prefix: TomlPath = ()
        while self._peek_after_blank():
            if self.text.startswith("[", self.offset):
                prefix = self._header()
            else:
                self._key_and_value(prefix)

    def _peek_after_blank(self) -> str:
        self._skip(_BLANK)
        return self.text[self.offset : self.offset + 1]

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.offset)
        if match is None:
            raise _LostError
        self.offset = match.end()
        return match[0]

    def _expect(self, literal: str) -> None:
        if not self.text.startswith(literal, self.offset):
            raise _LostError
        self.offset += len(literal)

    def _record(self, path: TomlPath) -> None:
        self.lines.setdefault(path, bisect_right(self._breaks, self.offset) + 1)

    def _header(self) -> TomlPath:
        """A [table] or [[array of tables]] line; returns the prefix for the keys below it."""
        is_array = self.text.startswith("[[", self.offset)
        brackets = 2 if is_array else 1
        start = self.offset
        self.offset += brackets
        parts = self._key()
        self._skip(_SPACE)
        self._expect("]" * brackets)
        end, self.offset = self.offset, start
        path: TomlPath = ()
        for position, part in enumerate(parts):
            path += (part,)
            self._record(path)
            if is_array and position == len(parts) - 1:
                self._array_sizes[path] = self._array_sizes.get(path, 0) + 1
            if path in self._array_sizes:
                path += (self._array_sizes[path] - 1,)
                self._record(path)
        self.offset = end
        return path

    def _key(self) -> tuple[str, ...]:
        """A bare, quoted or dotted key."""
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            if self.text[self.offset : self.offset + 1] in ('"', "'"):
                parts.append(_unquoted(self._skip(_STRING)))
            else:
                parts.append(self._skip(_BARE))
            self._skip(_SPACE)
            if not self.text.startswith(".", self.offset):
                return tuple(parts)
            self.offset += 1

    def _key_and_value(self, prefix: TomlPath) -> None:
        start = self.offset
        parts = self._key()
        self._expect("=")
        self._skip(_SPACE)
        value, self.offset = self.offset, start
        path = prefix
        for part in parts:
            path += (part,)
            self._record(path)
        self.offset = value
        self._value(path)

    def _value(self, path: TomlPath) -> None:
        first = self.text[self.offset : self.offset + 1]
        if first in ('"', "'"):
            self._skip(_STRING)
        elif first == "[":
            self._list(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _list(self, path: TomlPath) -> None:
        self._expect("[")
        index = 0
        while self._peek_after_blank() != "]":
            self._record((*path, index))
            self._value((*path, index))
            index += 1
            if self._peek_after_blank() == ",":
                self.offset += 1
        self.offset += 1

    def _inline_table(self, path: TomlPath) -> None:
        self._expect("{")
        while self._peek_after_blank() != "}":
            self._key_and_value(path)
            if self._peek_after_blank() == ",":
                self.offset += 1
        self.offset += 1


def _unquoted(token: str) -> str:
    if token.startswith("'") or "\\" not in token:
        return token[1:-1]
    return str(tomllib.loads(f"key = {token}")["key"])
