"""Reading zone files (RFC 1035 §5) into a zone.

    octets ──▶ entries (a line, or several joined by parentheses) ─┬─ plain ──▶ fields ──▶ rdata_from_text ─┐
                                                                   └─ odd ────▶ dnspython, this one entry ──┴─▶ builder

The common forms are read by our own code, which takes a million records in seconds; whatever is not plain (escapes in
names, rarer types, anything wrong) goes to dnspython, entry by entry, with the state that the entries before have left:
origin, owner, TTLs. So there is one truth about odd forms and one source of error texts. One entry at a time makes line
numbers exact and lets reading go on after an error, so that all are reported at once. Nothing but the zone itself is
kept: where a rule of the whole is broken, the file is read once more to find the line.

Octets beyond ASCII stand for themselves, in names too, as NSD and BIND have it: nothing is taken for a name in another
script and renamed. $ORIGIN, $TTL and $GENERATE are understood, and $INCLUDE where the caller opens files for us. An
included file begins at the origin that stands behind its name, else at the present one; behind it origin and owner are
what they were before.
"""

import io
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import IO

import dns.exception
import dns.ttl

from nameserver.errors import ZoneError, ZoneFileError
from nameserver.wire import codes, names
from nameserver.wire.walk import Walked
from nameserver.zone.builder import BuiltZone, ZoneBuilder
from nameserver.zone.checks import FormatLimits, NodeError
from nameserver.zone.odd_entries import EntryState, OddReader, Take, include_of, pack_tail, what_is_wrong
from nameserver.zone.rdata_from_text import LENGTHS, READERS, WITH_STRINGS

MAX_PROBLEMS = 100  # a file that is no zone file at all has one per line
MAX_NESTED = 10  # files that include one another

_SPECIAL = re.compile(rb'\\.|"(?:\\.|[^"\\])*"?|;.*|[()]')
_COMMENT = re.compile(rb";[^\n]*")
# A quoted string, a plain field, a parenthesis; in the last group whatever is none of these.
_FIELD = re.compile(
    rb'("(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x1f])*")'
    rb"|((?:[!#-'*-:<-\[\]-~]|\\[!-~])+)"
    rb"|([()])|;[^\n]*|([^ \t\n])"
)
_PLAIN = bytes(octet for octet in range(0x21, 0x7F) if octet not in b'"();\\') + b" \t\n"
_PARENTHESES = bytes.maketrans(b"()", b"  ")
_DIGITS = frozenset(b"0123456789")
_DOLLAR, _OPENING, _QUOTE = b"$("[0], b"$("[1], b'"'[0]
_CLASS_IN = frozenset((b"IN", b"in"))
_MAX_RDATA = 65535
_BLANKS = frozenset(b" \t")
_SUFFIXES_KEPT = 20_000  # ends of names that are remembered
_TTLS_KEPT = 1000

# The name of a file as an $INCLUDE gives it, and the file it stands in → the name to call it by, its content. Raises
# `OSError`, or `ValueError` with what is wrong with it.
Include = Callable[[str, str], tuple[str, str | IO[bytes]]]


def read_zone_file(
    source: str | Callable[[], IO[bytes]], origin: bytes, filename: str, include: Include | None = None
) -> BuiltZone:
    """Read a zone file whose names are relative to `origin` (absolute wire name) unless it says otherwise.

    `source` is the text (what in it was not UTF-8 is there as surrogate escapes), or opens it: a line at a time is
    read, and after some errors all of it once more. Records outside the zone are left out and counted, as in transfers.
    Raises `ZoneFileError` with a line 'FILE:LINE: what is wrong' for each entry that cannot be read (at most 100), or
    for the first rule that the zone as a whole breaks; `OSError` as `source` does.
    """

    def content() -> IO[bytes]:
        return _as_file(source if isinstance(source, str) else source())

    builder = ZoneBuilder(origin.lower(), FormatLimits())
    reader = _Reader(origin, builder.add_walked, include)
    try:
        reader.read(filename, content())
        if not reader.problems:
            return builder.finish()
    except NodeError as error:
        file, line = _first_record(content(), origin, filename, include, error.key + origin.lower())
        reader.problems.append(f"{file}:{line}: {error.detail}")
    except ZoneError as error:
        reader.problems.append(f"{reader.file or filename}:{reader.line}: {error.detail}")
    raise ZoneFileError(reader.problems)


class _Found(Exception):
    """Ends the search for an owner."""


def _first_record(
    content: IO[bytes], origin: bytes, filename: str, include: Include | None, owner: bytes
) -> tuple[str, int]:
    """File and line of the first record of an owner, folded; the first line where it has none."""

    def look(walked: Walked) -> None:
        if walked[0].lower() == owner:
            raise _Found

    reader = _Reader(origin, look, include)
    try:
        reader.read(filename, content)
    except _Found:
        return reader.file, reader.line
    return filename, 1


def _as_file(content: str | IO[bytes]) -> IO[bytes]:
    return io.BytesIO(content.encode("utf-8", "surrogateescape")) if isinstance(content, str) else content


def _lines(content: Iterable[bytes]) -> Iterator[bytes]:
    r"""Lines that end in \n, whatever they end in."""
    for line in content:
        if b"\r" in line:
            for part in line.splitlines():
                yield part + b"\n"
        else:
            yield line


class _Reader:
    """Reads a zone file and those that it includes, record by record into `take`.

    `file` and `line` are where the present entry begins; `problems` are lines as `read_zone_file` raises them. What
    `take` raises goes through.
    """

    def __init__(self, origin: bytes, take: Take, include: Include | None) -> None:
        self.problems: list[str] = []
        self.file = ""
        self.line = 1
        self._take_record = take
        self._include = include
        self._open: list[str] = []
        self._state = EntryState(origin, origin)
        self._suffixes: dict[bytes, bytes] = {}  # what may stand behind a dot, and its wire form
        self._suffixes_of = b""  # the origin that they end in
        self._ttls: dict[bytes, int] = {}
        self._odd = OddReader(self._state, take)

    def read(self, file: str, content: IO[bytes]) -> None:
        """Read one file."""
        self._open.append(file)
        self.file = file
        with content:
            for line, entry in self._odd_entries(content):
                problem = self._read_odd(file, line, entry)
                if len(self.problems) == MAX_PROBLEMS:
                    break
                if problem:
                    self.problems.append(f"{file}:{line}: {problem}")
        self._open.pop()

    def _odd_entries(self, content: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """(number of its first line, text) of each entry that is not plain; plain ones are taken on the way."""
        depth = number = start = 0
        pending: list[bytes] = []
        for line in _lines(content):
            number += 1
            odd = line.translate(None, _PLAIN)
            if not odd and not depth:
                fields = line.split()
                if fields:
                    self.line = number
                    if not self._take(fields, line[0] in _BLANKS):
                        yield number, line
                continue
            if b"(" in odd or b")" in odd:
                marks = _SPECIAL.findall(line)
                depth = max(0, depth + marks.count(b"(") - marks.count(b")"))
            start = start if pending else number
            pending.append(line)
            if not depth:
                entry, pending = b"".join(pending), []
                self.line = start
                if not self._take_special(entry):
                    yield start, entry
        if pending:
            yield start, b"".join(pending)

    # --- plain entries ------------------------------------------------------------------------------------------------

    def _take_special(self, entry: bytes) -> bool:
        """Take an entry with comments, parentheses, strings or escapes in it; False where it is not plain."""
        if entry[0] == _OPENING:
            return False
        blank = entry[0] in _BLANKS
        if b'"' not in entry and b"\\" not in entry:
            text = _COMMENT.sub(b"", entry)
            opened = text.count(b"(")
            if opened <= 1:
                if opened != text.count(b")") or text.find(b"(") > text.find(b")"):
                    return False
                text = text.translate(_PARENTHESES)
                if text.translate(None, _PLAIN):
                    return False
                fields = text.split()
                return self._take(fields, blank) if fields else not opened
        fields, depth = [], 0
        for quoted, plain, mark, odd in _FIELD.findall(entry):
            if odd:
                return False
            if mark:
                depth += 1 if mark == b"(" else -1
                if depth < 0:
                    return False
            elif quoted or plain:
                fields.append(quoted or plain)
        if depth or not fields or b"\\" in fields[0] or fields[0][0] == _QUOTE:
            return False
        return self._take(fields, blank, may_be_plain=False)

    def _take(self, fields: list[bytes], blank: bool, *, may_be_plain: bool = True) -> bool:
        """Take the fields of an entry; False, with nothing changed, where it is not plain.

        `blank`: it begins with a blank, and so has the owner of the one before. `may_be_plain`: no field has a quote or
        a backslash.
        """
        state, at = self._state, 0
        owner = state.owner
        if not blank:
            if fields[0][0] == _DOLLAR:
                return may_be_plain and self._take_directive(fields)
            named = self._name(fields[0])
            if named is None:
                return False
            owner, at = named, 1
        given: int | None = None
        try:
            field = fields[at]
            if field[0] in _DIGITS:
                given = self._ttl(field)
                at += 1
                field = fields[at]
            if field in _CLASS_IN:
                at += 1
                field = fields[at]
                if given is None and field[0] in _DIGITS:
                    given = self._ttl(field)
                    at += 1
                    field = fields[at]
            rdtype, read = READERS[field]
            if not may_be_plain and field not in WITH_STRINGS and any(map(_is_special, fields)):
                return False
            rdata = read(fields[at + 1 :], self._name)
        except (IndexError, KeyError):
            return False
        ttl = state.implicit_ttl() if given is None else given
        if rdata is None or ttl is None or len(rdata) > _MAX_RDATA:
            return False
        state.owner = owner
        if given is not None:
            state.last_ttl = given
        self._take_record((owner, rdtype, codes.IN, pack_tail(rdtype, ttl, rdata)))
        return True

    def _take_directive(self, fields: list[bytes]) -> bool:
        if len(fields) != 2:
            return False
        directive = fields[0].upper()
        if directive == b"$ORIGIN":
            origin = self._name(fields[1])
            if origin is not None:
                self._state.origin = origin
            return origin is not None
        if directive == b"$TTL" and fields[1].isdigit():
            try:
                self._state.default_ttl = self._ttl(fields[1])
            except KeyError:
                return False
            self._state.default_from_soa = False
            return True
        return False

    def _ttl(self, text: bytes) -> int:
        """Raises `KeyError` where it is none."""
        value = self._ttls.get(text)
        if value is None:
            try:
                value = dns.ttl.from_text(text.decode("ascii"))
            except dns.exception.DNSException:
                raise KeyError(text) from None
            if len(self._ttls) >= _TTLS_KEPT:
                self._ttls.clear()
            self._ttls[text] = value
        return value

    def _name(self, text: bytes) -> bytes | None:
        """The absolute wire form of a plain name; None for any other. The ends of names are remembered."""
        head, dot, rest = text.partition(b".")
        if not dot:
            if text == b"@":
                return self._state.origin
            suffix: bytes | None = self._state.origin
        elif self._suffixes_of == self._state.origin:
            suffix = self._suffixes.get(rest) or self._suffix(rest)
        else:
            suffix = self._suffix(rest)
        size = len(head)
        if not 0 < size < 64 or suffix is None:
            return names.ROOT if text == b"." else None
        name = LENGTHS[size] + head + suffix
        return name if len(name) <= names.MAX_NAME else None

    def _suffix(self, text: bytes) -> bytes | None:
        """As `_name`, of what stands behind a dot: nothing, the root, and @ is a label like others."""
        if len(text) > names.MAX_NAME or b".." in text or text[:1] == b".":
            return None
        origin = self._state.origin
        wire = b""
        for label in text.split(b"."):
            if len(label) > 63:
                return None
            wire += LENGTHS[len(label)] + label
        if text and text[-1:] != b".":
            wire += origin
        if len(wire) > names.MAX_NAME:
            return None
        if self._suffixes_of != origin or len(self._suffixes) >= _SUFFIXES_KEPT:
            self._suffixes, self._suffixes_of = {}, origin
        self._suffixes[text] = wire
        return wire

    # --- odd entries: dnspython's -------------------------------------------------------------------------------------

    def _read_odd(self, file: str, line: int, entry: bytes) -> str | None:
        """Read one entry: what is wrong with it, or None."""
        self.file, self.line = file, line
        including = entry[:8].upper() == b"$INCLUDE"
        return what_is_wrong(partial(self._read_included, file) if including else self._odd.read, entry)

    def _read_included(self, file: str, entry: bytes) -> str | None:
        """$INCLUDE: what is wrong with the directive, or None (RFC 1035 §5.1)."""
        state = self._state
        wanted, new_origin = include_of(entry, state.origin)
        if self._include is None:
            return "$INCLUDE is not supported here: put the records into this file"
        try:
            name, content = self._include(wanted, file)
        except OSError as error:
            return f"{wanted} cannot be included: {error.strerror}"
        origin, owner = state.origin, state.owner
        with _as_file(content) as included:
            if name in self._open:
                return f"{name} includes itself"
            if len(self._open) == MAX_NESTED:
                return f"more than {MAX_NESTED} files are nested"
            state.origin = new_origin
            self.read(name, included)
        state.origin, state.owner, self.file = origin, owner, file
        return None


def _is_special(field: bytes) -> bool:
    return field[0] == _QUOTE or b"\\" in field
