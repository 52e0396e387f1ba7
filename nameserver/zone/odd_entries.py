"""Entries of zone files that are not plain: read by dnspython, one at a time.

It is given what the entries before have left, and leaves that to those behind. It parses and no more: what its own zone
objects would settle in silence (duplicates, several TTLs) goes on record by record.
"""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.tokenizer
import dns.zonefile
from dns.rdtypes.ANY.RP import RP
from dns.rdtypes.nsbase import NSBase

from nameserver.errors import WireError
from nameserver.wire import codes
from nameserver.wire.rdata import read_rdata, type_text
from nameserver.wire.rrset import TAIL
from nameserver.wire.walk import Walked

MAX_GENERATED = 65_536  # records of one $GENERATE

Take = Callable[[Walked], None]

_DIRECTIVES = ("$ORIGIN", "$TTL", "$GENERATE")
_ESCAPED_OR_ALIEN = re.compile("\\\\?([\udc80-\udcff])|\\\\.")
_TOP_BIT = 0x80000000

# Types of RFC 1035 §3.3 whose presentation dnspython does not know: a name or two.
for _rdtype, _text, _form in ((7, "MB", NSBase), (8, "MG", NSBase), (9, "MR", NSBase), (14, "MINFO", RP)):
    with contextlib.suppress(dns.rdata.RdatatypeExists):
        dns.rdata.register_type(_form, _rdtype, _text)


@dataclass(slots=True)
class EntryState:
    """What one entry of a zone file leaves to the next. Names are absolute wire names."""

    origin: bytes
    owner: bytes
    last_ttl: int | None = None  # the last that was given
    default_ttl: int | None = None
    default_from_soa: bool = False  # not of a $TTL

    def implicit_ttl(self) -> int | None:
        """That of a record which gives none: of $TTL, else the last one given, else as follows from the SOA."""
        if self.last_ttl is not None and (self.default_ttl is None or self.default_from_soa):
            return self.last_ttl
        return self.default_ttl


def pack_tail(rdtype: int, ttl: int, rdata: bytes) -> bytes:
    """The tail of a record (see `nameserver.wire.rrset`); a TTL with its top bit set is zero (RFC 2181 §8)."""
    return TAIL.pack(rdtype, codes.IN, 0 if ttl & _TOP_BIT else ttl, len(rdata)) + rdata


class _Octets(dns.name.IDNACodec):
    """Labels beyond ASCII as the octets that stand in the file."""

    def encode(self, label: str) -> bytes:
        return label.encode()


def _legible(text: str) -> str:
    r"""The same text with \DDD (RFC 1035 §5.1) for each octet that is not UTF-8, which `text` has a surrogate for."""
    if text.isascii():
        return text
    return _ESCAPED_OR_ALIEN.sub(lambda found: f"\\{ord(found[1]) & 0xFF}" if found[1] else found[0], text)


class _Manager:
    """What dnspython's reader asks about the zone: its origin is the root, so that no record is outside and lost."""

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return dns.name.root, False, dns.name.root


class _Collector:
    """Stands where dnspython expects a transaction; hands each record on as it is read."""

    def __init__(self, take: Take) -> None:
        self.manager = _Manager()
        self.left = MAX_GENERATED  # records that the present entry may yet make
        self._take = take

    def check_put_rdataset(self, check: object) -> None:
        """Part of dnspython's interface; our own checks come later."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """Part of dnspython's interface."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        """Take a record. Raises `ValueError` when it cannot be one of ours, `ZoneError` as the builder."""
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"$GENERATE makes more than {MAX_GENERATED} records")
        # Both return None only when they are given a file to write to.
        owner, wire = name.to_wire() or b"", rdata.to_wire() or b""
        rdtype = int(rdata.rdtype)
        try:
            read_rdata(wire, 0, len(wire), rdtype)
        except WireError as error:
            raise ValueError(f"{type_text(rdtype)} rdata is malformed: {error}") from None
        self._take((owner, rdtype, codes.IN, pack_tail(rdtype, ttl, wire)))


class OddReader:
    """Reads single entries into `take`. What `take` raises goes through."""

    def __init__(self, state: EntryState, take: Take) -> None:
        self._state = state
        self._collector = _Collector(take)
        transaction: Any = self._collector
        self._reader = dns.zonefile.Reader(
            dns.tokenizer.Tokenizer(""), dns.rdataclass.IN, transaction, allow_directives=_DIRECTIVES
        )

    def read(self, entry: bytes) -> str | None:
        """Read one entry, with what that does to the state. Returns None, or raises as dnspython where it is wrong."""
        reader, state = self._reader, self._state
        self._collector.left = MAX_GENERATED
        reader.tok = _tokens(entry)
        reader.current_origin, reader.last_name = _from_wire(state.origin), _from_wire(state.owner)
        reader.last_ttl, reader.last_ttl_known = state.last_ttl or 0, state.last_ttl is not None
        reader.default_ttl, reader.default_ttl_known = state.default_ttl or 0, state.default_ttl is not None
        reader.default_ttl_from_soa = state.default_from_soa
        reader.read()
        state.origin, state.owner = reader.current_origin.to_wire() or b"", reader.last_name.to_wire() or b""
        state.last_ttl = reader.last_ttl if reader.last_ttl_known else None
        state.default_ttl = reader.default_ttl if reader.default_ttl_known else None
        state.default_from_soa = reader.default_ttl_from_soa
        return None


def include_of(entry: bytes, origin: bytes) -> tuple[str, bytes]:
    """What an $INCLUDE names, and the origin that it begins at. Raises as dnspython where it is wrong."""
    tokens = _tokens(entry)
    tokens.get()
    wanted = tokens.get_string()
    token = tokens.get()
    if not token.is_eol_or_eof():
        tokens.unget(token)
        origin = tokens.get_name(_from_wire(origin)).to_wire() or b""
        tokens.get_eol()
    return wanted, origin


def what_is_wrong(read: Callable[[bytes], str | None], entry: bytes) -> str | None:
    """What `read` says of an entry, or dnspython about it: a sentence; None where all is well."""
    try:
        return read(entry)
    except dns.exception.SyntaxError as error:
        # dnspython prefixes the place within what it was given, which is one entry
        return re.sub(r"^(:\d+: )+", "", str(error)) or "this cannot be read"
    except (dns.exception.DNSException, ValueError) as error:
        return str(error) or type(error).__name__


def _tokens(entry: bytes) -> dns.tokenizer.Tokenizer:
    text = _legible(entry.decode("utf-8", "surrogateescape"))
    return dns.tokenizer.Tokenizer(text if text[-1] == "\n" else f"{text}\n", "", _Octets())  # type: ignore[no-untyped-call]


def _from_wire(name: bytes) -> dns.name.Name:
    return dns.name.from_wire(name, 0)[0]
