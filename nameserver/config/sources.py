"""The files of a configuration: the one that was named and what it includes, merged into one set of tables.

    main.toml ── include = ["zones/*.toml", "keys/*.key"] ──▶ *.toml  merged (and may include more)
                                                           ▶ others  BIND key blocks, as tables of [key]

Globs and file names are relative to the file they stand in. Each file is read once, however often it is named. What
two files both define is an error that names both places.
"""

import ast
import glob
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nameserver.config import keyfile, schema, values
from nameserver.config.files import is_file, read_private_file
from nameserver.config.positions import TomlPath
from nameserver.config.problems import Place, Problems, SourceFile
from nameserver.config.suggest import did_you_mean, dotted, may_be_secret_file, printable, shown_file

_LINE_OF_SYNTAX_ERROR = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_KEY_IN_SYNTAX_ERROR = re.compile(
    r"(?:Cannot declare|Cannot mutate immutable namespace|Cannot redefine namespace|Duplicate inline table key) "
    r"(?P<key>\(.*\)|'.*'|\".*\")(?: twice)?$",
    re.DOTALL,
)
_QUOTED = re.compile(r"\([^)]{3,}\)|'[^']{4,}'|\"[^\"]{4,}\"", re.DOTALL)  # what none of them has today but may have


@dataclass(frozen=True, slots=True)
class Entry:
    """A table or value as it stands in a file."""

    raw: Any = field(repr=False)  # may hold a secret
    place: Place


@dataclass(slots=True)
class Tables:
    """All files merged. `named` holds the tables of [key], [remote], [template] and [zone] by name."""

    server: dict[str, Entry] = field(default_factory=dict)
    named: dict[str, dict[str, Entry]] = field(default_factory=lambda: {table: {} for table in schema.TABLES})
    files: list[SourceFile] = field(default_factory=list)


def read_sources(path: Path, problems: Problems) -> Tables:
    """Read `path` and everything it includes; whatever cannot be read or is defined twice goes to `problems`."""
    tables = Tables()
    seen: set[Path] = set()
    main = SourceFile(path, str(path))
    waiting: list[tuple[SourceFile, Place]] = [(main, Place(main, ()))]
    while waiting:
        file, included_at = waiting.pop(0)
        try:
            resolved = file.path.resolve()
        except (OSError, RuntimeError):  # links in a circle: reading it says so
            resolved = file.path.absolute()
        if resolved in seen:
            continue
        seen.add(resolved)
        file.order = len(tables.files)
        tables.files.append(file)
        if file is main or file.path.suffix == ".toml":
            if _read_toml(file, included_at, problems):
                _merge(file, tables, problems)
                waiting += _included(file, problems)
        else:
            _read_key_blocks(file, included_at, tables, problems)
    return tables


def _read_toml(file: SourceFile, included_at: Place, problems: Problems) -> bool:
    try:
        with file.path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            raw = stream.read()
    except OSError as error:
        which = "" if included_at.file is file else f"{printable(file.display)} "
        problems.error(included_at, f"{which}cannot be read: {error.strerror}")
        return False
    file.readable_by_others = bool(mode & (stat.S_IRGRP | stat.S_IROTH))
    try:
        file.text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        file.document = tomllib.loads(file.text)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.error(Place(file, (), line), "holds bytes that are not UTF-8")
    except tomllib.TOMLDecodeError as error:
        problems.error(Place(file, (), _syntax_line(str(error), file.text)), _syntax_text(str(error)))
    except ValueError:  # what int() says of thousands of digits
        problems.error(Place(file, (), 1), "TOML: a number is too long")
    except RecursionError:
        problems.error(Place(file, (), 1), "lists or tables are nested too deeply")
    else:
        return True
    return False


def _syntax_line(message: str, text: str) -> int:
    match = _LINE_OF_SYNTAX_ERROR.search(message)
    if match is None:
        return 1
    return int(match[1]) if match[1] else max(text.rstrip("\n").count("\n") + 1, 1)


def _syntax_text(message: str) -> str:
    """tomllib's own words, without the position that stands in front, and never with a value of the file.

    Where it quotes a key, as a tuple of Python, the key is written as TOML writes it.
    """
    text = _LINE_OF_SYNTAX_ERROR.sub("", message)
    hint = ""
    match = _KEY_IN_SYNTAX_ERROR.match(text)
    if match is not None:
        return f"TOML: {_key_in_message(match['key'])} stands twice in this file, or its table was closed already"
    text = _QUOTED.sub("…", text)
    if text.startswith("Invalid value"):
        hint = " (text must be quoted)"
    elif text.startswith("Cannot overwrite"):
        hint = " (the same table or key stands twice in this file)"
    return f"TOML: {text[:1].lower()}{printable(text[1:])}{hint}"


def _key_in_message(text: str) -> str:
    """The key that tomllib quotes: "'name'", or "('table', 'name')"."""
    try:
        key = ast.literal_eval(text)
    except (ValueError, SyntaxError):  # another version's way
        return "a table or key"
    return dotted((key,) if isinstance(key, str) else map(str, key))


def _included(file: SourceFile, problems: Problems) -> list[tuple[SourceFile, Place]]:
    """The files that `file` includes, those of one glob in the order of their names."""
    place = Place(file, ("include",))
    found: list[tuple[SourceFile, Place]] = []
    for at, pattern in _patterns(file, place, problems):
        if may_be_secret_file(pattern) and not glob.has_magic(pattern) and not is_file(file.path.parent / pattern):
            problems.error(at, "no such file; its name is not shown, it looks like a secret")
            continue
        if not glob.has_magic(pattern):
            found.append((SourceFile(file.path.parent / pattern, _display(file, pattern)), at))
            continue
        # Path.glob takes no absolute pattern
        matches = sorted(glob.glob(pattern, root_dir=file.path.parent, recursive=True))  # noqa: PTH207
        matches = [match for match in matches if not (file.path.parent / match).is_dir()]
        if not matches:
            problems.warn(at, f"no file matches {shown_file(pattern)}")
        found += [(SourceFile(file.path.parent / match, _display(file, match)), at) for match in matches]
    return found


def _patterns(file: SourceFile, place: Place, problems: Problems) -> Iterator[tuple[Place, str]]:
    """Each usable element of `include`; a bad one does not keep the files of the others from being checked."""
    raw = file.document.get("include", [])
    if not isinstance(raw, list):
        text = f'expected a list such as ["zones/*.toml", "keys/*.key"], got {values.type_name(raw)}'
        problems.error(place, text)
        return
    for index, element in enumerate(raw):
        try:
            yield place.below(index), values.non_empty(element)
        except values.BadValue as bad:
            problems.error(place.below(index), str(bad))


def _display(file: SourceFile, name: str) -> str:
    return str(Path(file.display).parent / name)


def _read_key_blocks(file: SourceFile, included_at: Place, tables: Tables, problems: Problems) -> None:
    shown_as = printable(file.display)
    try:
        file.text = read_private_file(file.path, shown_as)
    except values.BadValue as bad:
        problems.error(included_at, str(bad))
        return
    blocks, faults = keyfile.read_key_blocks(file.text)
    for fault in faults:
        problems.error(Place(file, (), fault.line), fault.text)
    lines: dict[TomlPath, int] = {}
    for block in blocks:
        path = ("key", block.name)
        place = Place(file, path, block.line if path in lines else 0)
        lines.setdefault(path, block.line)
        lines.setdefault((*path, "algorithm"), block.algorithm_line)
        lines.setdefault((*path, "secret"), block.secret_line)
        file.lines = lines
        raw = {"algorithm": block.algorithm, "secret": block.secret}
        missing = [part for part, value in raw.items() if value is None]
        if missing:
            problems.error(place, f"the key block has no {' and no '.join(missing)}")
        else:
            _add(tables.named["key"], block.name, Entry(raw, place), problems)


def _merge(file: SourceFile, tables: Tables, problems: Problems) -> None:
    for name, raw in file.document.items():
        place = Place(file, (name,))
        if name == "include":
            continue
        if name not in schema.TOP_LEVEL:
            is_table = isinstance(raw, dict)
            text = f"unknown table{did_you_mean(name, schema.TOP_LEVEL)}" if is_table else schema.unknown_at_top(name)
            problems.unknown(place, text)
        elif not isinstance(raw, dict):
            example = "[server]" if name == "server" else f'[{name}."NAME"]'
            problems.error(place, f"expected a table {example}, got {values.type_name(raw)}")
        elif name == "server":
            for key, value in raw.items():
                _add(tables.server, key, Entry(value, place.below(key)), problems)
        else:
            for entry, value in raw.items():
                _merge_named(name, entry, value, place.below(entry), tables, problems)


def _merge_named(table: str, name: str, raw: object, place: Place, tables: Tables, problems: Problems) -> None:
    """One [table.NAME].

    Nothing in it is a table, so where one is, the quotes are missing: TOML reads [zone.example.com] as three nested
    tables. That is said, and the inner one is read under the name that was meant, so that its own faults show too.
    """
    if not isinstance(raw, dict):
        problems.error(place, f"expected a table [{table}.NAME] with its keys, got {values.type_name(raw)}")
        return
    inner = {key: value for key, value in raw.items() if isinstance(value, dict) and key not in schema.TABLES[table]}
    for key, value in inner.items():
        whole = f"{name}.{key}"
        if not any(isinstance(below, dict) for below in value.values()):
            text = f"a name with dots needs quotes: [{dotted((table, whole))}]"
            problems.error(place.below(key), text)
        _merge_named(table, whole, value, place.below(key), tables, problems)
    own = {key: value for key, value in raw.items() if key not in inner}
    if own or not inner:
        _add(tables.named[table], name, Entry(own, place), problems)


def _add(target: dict[str, Entry], name: str, entry: Entry, problems: Problems) -> None:
    if name in target:
        problems.error(entry.place, f"is already defined at {target[name].place.where()}")
    else:
        target[name] = entry
