"""Zone files (RFC 1035 §5): reading one into a zone, writing a zone as one.

dnspython parses each record; the rest is ours, because a zone file's reader must neither merge nor drop in silence:

    text ──▶ entries (a line, or several joined by parentheses) ──▶ dnspython, one entry at a time ──▶ ZoneBuilder

One entry at a time makes line numbers exact and lets reading go on after an error, so that all are reported at once.
Octets beyond ASCII stand for themselves, in names too, as NSD and BIND have it: nothing is taken for a name in another
script and renamed. $ORIGIN, $TTL and $GENERATE are understood, and $INCLUDE where the caller reads files for us. An
included file begins at the origin that stands behind its name, else at the present one; behind it origin and owner are
what they were before.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.zonefile
from dns.rdtypes.ANY.RP import RP
from dns.rdtypes.nsbase import NSBase

from nameserver.errors import WireError, ZoneError, ZoneFileError
from nameserver.wire import codes, names
from nameserver.wire.rdata import read_rdata, type_text
from nameserver.wire.rrset import Record
from nameserver.zone.builder import BuiltZone, ZoneBuilder
from nameserver.zone.checks import FormatLimits, NodeError
from nameserver.zone.node import owner_of, unpack_node
from nameserver.zone.sorted_places import canonical_place

MAX_PROBLEMS = 100  # a file that is no zone file at all has one per line
MAX_GENERATED = 65_536  # records of one $GENERATE
MAX_NESTED = 10  # files that include one another

_DIRECTIVES = ("$ORIGIN", "$TTL", "$GENERATE")
_ESCAPED_OR_ALIEN = re.compile("\\\\?([\udc80-\udcff])|\\\\.")
_SPECIAL = re.compile(r'\\.|"(?:\\.|[^"\\])*"?|;.*|[()]')

# Types of RFC 1035 §3.3 whose presentation dnspython does not know: a name or two.
for _rdtype, _text, _form in ((7, "MB", NSBase), (8, "MG", NSBase), (9, "MR", NSBase), (14, "MINFO", RP)):
    with contextlib.suppress(dns.rdata.RdatatypeExists):
        dns.rdata.register_type(_form, _rdtype, _text)

# The name of a file as an $INCLUDE gives it, and the file it stands in → the name to call it by, its text. Raises
# `OSError`, or `ValueError` with what is wrong with it.
Include = Callable[[str, str], tuple[str, str]]


class _Manager:
    """What dnspython's reader asks about the zone: its origin is the root, so that no record is outside and lost."""

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return dns.name.root, False, dns.name.root


class _Collector:
    """Stands where dnspython expects a transaction; receives each record as it is read."""

    def __init__(self, builder: ZoneBuilder) -> None:
        self.manager = _Manager()
        self.builder = builder
        self.file = ""
        self.line = 1
        self.places: dict[bytes, tuple[str, int]] = {}  # folded owner → file and line of its first record
        self._left = MAX_GENERATED

    def begin(self, file: str, line: int) -> None:
        """The next entry starts at `line` of `file`."""
        self.file, self.line = file, line
        self._left = MAX_GENERATED

    def check_put_rdataset(self, check: object) -> None:
        """Part of dnspython's interface; our own checks come later."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """Part of dnspython's interface."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        """Take a record. Raises `ValueError` when it cannot be one of ours, `ZoneError` as the builder."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"$GENERATE makes more than {MAX_GENERATED} records")
        # Both return None only when they are given a file to write to.
        owner, wire = name.to_wire() or b"", rdata.to_wire() or b""
        rdtype = int(rdata.rdtype)
        try:
            read_rdata(wire, 0, len(wire), rdtype)
        except WireError as error:
            raise ValueError(f"{type_text(rdtype)} rdata is malformed: {error}") from None
        self.places.setdefault(owner.lower(), (self.file, self.line))
        self.builder.add(Record(owner, rdtype, codes.IN, ttl, wire))


def read_zone_file(text: str, origin: bytes, filename: str, include: Include | None = None) -> BuiltZone:
    """Read a zone file whose names are relative to `origin` (absolute wire name) unless it says otherwise.

    What in `text` was not UTF-8 is there as surrogate escapes. Records outside the zone are left out and counted, as in
    transfers. Raises `ZoneFileError` with a line 'FILE:LINE: what is wrong' for each entry that cannot be read (at most
    100), or for the first rule that the zone as a whole breaks.
    """
    builder = ZoneBuilder(origin.lower(), FormatLimits())
    collector = _Collector(builder)
    source = _Source(_make_reader(collector, origin), collector, include)
    try:
        source.read(filename, text)
        if not source.problems:
            return builder.finish()
    except NodeError as error:
        file, line = collector.places.get(error.key + origin.lower(), (filename, 1))
        source.problems.append(f"{file}:{line}: {error.detail}")
    except ZoneError as error:
        source.problems.append(f"{collector.file or filename}:{collector.line}: {error.detail}")
    raise ZoneFileError(source.problems)


class _Octets(dns.name.IDNACodec):
    """Labels beyond ASCII as the octets that stand in the file."""

    def encode(self, label: str) -> bytes:
        return label.encode()


def _legible(text: str) -> str:
    r"""The same text with \DDD (RFC 1035 §5.1) for each octet that is not UTF-8, which `text` has a surrogate for."""
    if text.isascii():
        return text
    return _ESCAPED_OR_ALIEN.sub(lambda found: f"\\{ord(found[1]) & 0xFF}" if found[1] else found[0], text)


def _make_reader(collector: _Collector, origin: bytes) -> dns.zonefile.Reader:
    transaction: Any = collector
    reader = dns.zonefile.Reader(
        dns.tokenizer.Tokenizer(""), dns.rdataclass.IN, transaction, allow_directives=_DIRECTIVES
    )
    reader.current_origin = reader.last_name = dns.name.from_wire(origin, 0)[0]
    return reader


def _entries(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, text) of each entry: a line, or lines joined by parentheses."""
    depth = start = 0
    pending: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if "(" in line or ")" in line:
            marks = _SPECIAL.findall(line)
            depth = max(0, depth + marks.count("(") - marks.count(")"))
        start = start or number
        pending.append(line)
        if depth == 0:
            if len(pending) > 1 or line.strip():
                yield start, "\n".join(pending) + "\n"
            start, pending = 0, []
    if pending:
        yield start, "\n".join(pending) + "\n"


class _Source:
    """A zone file and those that it includes. `problems` are lines as `read_zone_file` raises them."""

    def __init__(self, reader: dns.zonefile.Reader, collector: _Collector, include: Include | None) -> None:
        self.problems: list[str] = []
        self._reader = reader
        self._collector = collector
        self._include = include
        self._open: list[str] = []

    def read(self, file: str, text: str) -> None:
        """Read one file into the collector. Raises `ZoneError` as the builder."""
        self._open.append(file)
        for line, entry in _entries(_legible(text)):
            problem = self._read_entry(file, line, entry)
            if len(self.problems) == MAX_PROBLEMS:
                break
            if problem:
                self.problems.append(f"{file}:{line}: {problem}")
        self._open.pop()

    def _read_entry(self, file: str, line: int, entry: str) -> str | None:
        """Read one entry: what is wrong with it, or None. Raises `ZoneError` as the builder."""
        self._collector.begin(file, line)
        self._reader.tok = dns.tokenizer.Tokenizer(entry, "", _Octets())  # type: ignore[no-untyped-call]
        try:
            if entry[:8].upper() == "$INCLUDE":
                return self._read_included(file)
            self._reader.read()
        except dns.exception.SyntaxError as error:
            # dnspython prefixes the place within what it was given, which is one entry
            return re.sub(r"^(:\d+: )+", "", str(error)) or "this cannot be read"
        except (dns.exception.DNSException, ValueError) as error:
            return str(error) or type(error).__name__
        return None

    def _read_included(self, file: str) -> str | None:
        """$INCLUDE: what is wrong with the directive, or None (RFC 1035 §5.1)."""
        reader, tokens = self._reader, self._reader.tok
        origin, last_name = reader.current_origin, reader.last_name
        tokens.get()
        wanted = tokens.get_string()
        token = tokens.get()
        if not token.is_eol_or_eof():
            tokens.unget(token)
            reader.current_origin = tokens.get_name(origin)
            tokens.get_eol()
        if self._include is None:
            return "$INCLUDE is not supported here: put the records into this file"
        try:
            name, text = self._include(wanted, file)
        except OSError as error:
            reader.current_origin = origin
            return f"{wanted} cannot be included: {error.strerror}"
        if name in self._open or len(self._open) == MAX_NESTED:
            reader.current_origin = origin
            return f"{name} includes itself" if name in self._open else f"more than {MAX_NESTED} files are nested"
        self.read(name, text)
        reader.current_origin, reader.last_name = origin, last_name
        return None


# --- writing ------------------------------------------------------------------------------------------------------


def rdata_text(rdtype: int, rdata: bytes) -> str:
    """Presentation form of uncompressed rdata; the generic form (RFC 3597 §5) where there is no faithful other."""
    kind = dns.rdatatype.RdataType.make(rdtype)
    try:
        text = dns.rdata.from_wire(dns.rdataclass.IN, kind, rdata, 0, len(rdata)).to_text().rstrip()
        if dns.rdata.from_text(dns.rdataclass.IN, kind, text, dns.name.root, False).to_wire() == rdata:
            return text
    except (dns.exception.DNSException, ValueError):
        pass
    return f"\\# {len(rdata)} {rdata.hex()}".rstrip()


def zone_file_lines(nodes: Mapping[bytes, bytes], apex_as_received: bytes) -> Iterator[str]:
    """Each record as a line without its line end: owners in canonical order, the SOA first, all names absolute."""
    for key in sorted(nodes, key=canonical_place):
        owner = owner_of(nodes[key], key, apex_as_received)
        text = names.to_text_absolute(owner)
        for rrset in sorted(unpack_node(nodes[key], owner), key=lambda rrset: rrset.type != codes.SOA):
            head = f"{text} {rrset.ttl} IN {type_text(rrset.type)}"
            for rdata in rrset.rdatas():
                yield f"{head} {rdata_text(rrset.type, rdata)}"


def write_zone_file(nodes: Mapping[bytes, bytes], apex_as_received: bytes) -> str:
    """A zone as text that `read_zone_file` reads back."""
    return "".join(f"{line}\n" for line in zone_file_lines(nodes, apex_as_received))
