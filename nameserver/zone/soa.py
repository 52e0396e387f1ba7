"""The SOA record's fields (RFC 1035 §3.3.13)."""

from struct import Struct
from typing import NamedTuple

from nameserver.errors import Reason, WireError, ZoneError
from nameserver.wire import codes
from nameserver.wire.names import read_plain_name
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
    try:
        mname, rname_at = read_plain_name(rdata, 0)
        rname, numbers_at = read_plain_name(rdata, rname_at)
    except WireError as error:
        raise ZoneError(Reason.NO_SOA, f"SOA rdata of {len(rdata)} octets: {error}") from None
    if len(rdata) - numbers_at != _NUMBERS.size:
        raise ZoneError(
            Reason.NO_SOA,
            f"SOA rdata has {len(rdata) - numbers_at} octets after its two names, it must have {_NUMBERS.size}",
        )
    return Soa(mname, rname, *_NUMBERS.unpack_from(rdata, numbers_at))


def soa_rrset(apex_node: bytes, owner: bytes) -> RRset:
    """The SOA RRset of an apex's node, under `owner`. Raises ZoneError (no-soa) unless it holds exactly one SOA."""
    rrset = find_rrset(apex_node, codes.SOA, owner)
    if rrset is None or rrset.rdata_count != 1:
        raise ZoneError(Reason.NO_SOA, f"the apex holds {rrset.rdata_count if rrset else 'no'} SOA records, not one")
    return rrset
