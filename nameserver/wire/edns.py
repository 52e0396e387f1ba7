"""EDNS (RFC 6891): reading and writing the OPT record, and extended errors (RFC 8914)."""

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from nameserver.errors import WireError
from nameserver.wire import codes

DO = 0x8000  # "DNSSEC OK", in the OPT's flags
MAX_OPTIONS = 100  # more is FORMERR: RFC 6891 names no bound, but work per packet must have one

_OPT = Struct("!xHHBBHH")  # root owner, type, class = UDP size, extended RCODE, version, flags, rdlength
_OPTION = Struct("!HH")


class Edns(NamedTuple):
    """What an OPT record says. A tuple, as one is made for most queries; `options` are (code, value) in order sent."""

    udp_size: int  # octets the sender can take in; as sent, so it may be below 512
    version: int
    dnssec_ok: bool
    flags: int  # all 16 bits, DO included
    options: tuple[tuple[int, bytes], ...] = ()
    extended_rcode: int = 0  # upper eight bits of the RCODE; in replies only

    def option(self, code: int) -> bytes | None:
        """The value of the first option with this code."""
        for found, value in self.options:
            if found == code:
                return value
        return None


def parse_opt(rdclass: int, ttl: int, rdata: bytes) -> Edns:
    """An OPT record from its class, TTL and rdata (RFC 6891 §6.1.2).

    Options of a version we do not know are not looked at. Raises `WireError` when the options do not fill the rdata
    exactly or are more than `MAX_OPTIONS`.
    """
    version = ttl >> 16 & 0xFF
    options = parse_options(rdata) if rdata and version == 0 else ()
    return Edns(rdclass, version, ttl & DO != 0, ttl & 0xFFFF, options, ttl >> 24)


def parse_options(rdata: bytes) -> tuple[tuple[int, bytes], ...]:
    """The options in an OPT record's rdata. Raises `WireError` as `parse_opt` does."""
    options: list[tuple[int, bytes]] = []
    offset, end = 0, len(rdata)
    while offset < end:
        if end - offset < 4:
            raise WireError("an EDNS option is cut short", codes.FORMERR)
        code, size = _OPTION.unpack_from(rdata, offset)
        offset += 4
        if size > end - offset:
            raise WireError("an EDNS option runs past the end of the OPT record", codes.FORMERR)
        if len(options) == MAX_OPTIONS:
            raise WireError(f"an OPT record holds more than {MAX_OPTIONS} options", codes.FORMERR)
        options.append((code, rdata[offset : offset + size]))
        offset += size
    return tuple(options)


def pack_opt(
    udp_size: int, ext_rcode_high: int = 0, version: int = 0, flags: int = 0, options: Iterable[tuple[int, bytes]] = ()
) -> bytes:
    """A whole OPT record, root owner included. `ext_rcode_high` is RCODE >> 4."""
    if not options:
        return _OPT.pack(codes.OPT, udp_size, ext_rcode_high, version, flags, 0)
    rdata = b"".join([_OPTION.pack(code, len(value)) + value for code, value in options])
    return _OPT.pack(codes.OPT, udp_size, ext_rcode_high, version, flags, len(rdata)) + rdata


def ede_option(code: int, text: str = "") -> tuple[int, bytes]:
    """An extended error as an option (RFC 8914 §2): info code and UTF-8 text, which is not zero-terminated."""
    return codes.OPT_EDE, code.to_bytes(2, "big") + text.encode()
