"""The SOA record's fields (RFC 1035 §3.3.13)."""

from struct import Struct
from typing import NamedTuple

from nameserver.errors import Reason, ZoneError
from nameserver.wire import codes
from nameserver.wire.rrset import RRset
from nameserver.zone.node import find_rrset

_NUMBERS = Struct("!IIIII")


class Soa(NamedTuple):
    """SOA rdata. Names are uncompressed wire names in the sender's case; the four times are seconds."""

    mname: bytes
    rname: bytes
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int


def parse_soa(rdata: bytes) -> Soa:
    """Read SOA rdata: two uncompressed names, five 32-bit numbers, nothing else.

    Raises ZoneError (no-soa) when it is cut short, has bytes left over, or holds a compressed name.
    """
    rname_at = _name_end(rdata, 0)
    numbers_at = _name_end(rdata, rname_at)
    if len(rdata) - numbers_at != _NUMBERS.size:
        raise ZoneError(
            Reason.NO_SOA,
            f"SOA rdata has {len(rdata) - numbers_at} octets after its two names, it must have {_NUMBERS.size}",
        )
    return Soa(rdata[:rname_at], rdata[rname_at:numbers_at], *_NUMBERS.unpack_from(rdata, numbers_at))


def soa_rrset(apex_node: bytes, owner: bytes) -> RRset:
    """The SOA RRset of an apex's node, under `owner`. Raises ZoneError (no-soa) unless it holds exactly one SOA."""
    rrset = find_rrset(apex_node, codes.SOA, owner)
    if rrset is None or rrset.rdata_count != 1:
        raise ZoneError(Reason.NO_SOA, f"the apex holds {rrset.rdata_count if rrset else 'no'} SOA records, not one")
    return rrset


def soa_of(apex_node: bytes) -> Soa:
    """The fields of the SOA that an apex's node holds. Raises ZoneError (no-soa) unless that is exactly one."""
    return parse_soa(next(soa_rrset(apex_node, b"").rdatas()))


def _name_end(rdata: bytes, offset: int) -> int:
    """Where the name that starts at `offset` ends."""
    while offset < len(rdata):
        length = rdata[offset]
        if length == 0:
            return offset + 1
        if length > 63:
            raise ZoneError(Reason.NO_SOA, f"SOA rdata holds a label of length octet {length}, the most is 63")
        offset += length + 1
    raise ZoneError(Reason.NO_SOA, f"SOA rdata of {len(rdata)} octets ends inside a name")
