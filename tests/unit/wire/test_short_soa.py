"""An SOA whose rdata is too short to be one, wherever a peer may send one: refused, and nothing else happens.

Two names of a byte each and five numbers are 22 bytes: whatever is shorter cannot be an SOA, however it is filled.
"""

import struct

import pytest
from support.transfer_messages import APEX, NOW, NS, QUERY_ID, inbound, message, soa

from nameserver.errors import Reason, TransferError, WireError
from nameserver.transfer.inbound import TransferKind
from nameserver.wire import codes
from nameserver.wire.request import parse_request
from nameserver.wire.response import parse_soa_response

SHORT = [bytes(size) for size in range(22)] + [soa(5).rdata[:size] for size in range(1, 22)]


def sent(flags: int, qtype: int, rdata: bytes, *, authority: bool = False) -> bytes:
    """A message with one question and one SOA."""
    counts = (1, 0, 1, 0) if authority else (1, 1, 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", codes.SOA, 1, 300, len(rdata)) + rdata
    return struct.pack("!HHHHHH", QUERY_ID, flags, *counts) + APEX + struct.pack("!HH", qtype, 1) + record


@pytest.mark.parametrize("rdata", SHORT, ids=len)
def test_a_short_soa_is_refused_wherever_it_comes(rdata: bytes) -> None:
    with pytest.raises(WireError) as caught:
        parse_request(sent(codes.NOTIFY << 11, codes.SOA, rdata))
    assert caught.value.rcode == codes.FORMERR
    with pytest.raises(WireError) as caught:
        parse_request(sent(0, codes.IXFR, rdata, authority=True))
    assert caught.value.rcode == codes.FORMERR
    with pytest.raises(WireError):
        parse_soa_response(sent(codes.QR | codes.AA, codes.SOA, rdata), QUERY_ID, APEX)
    short = soa(6)._replace(rdata=rdata)
    for kind, records in (
        (TransferKind.AXFR, (short, NS, short)),
        (TransferKind.AXFR, (soa(6), NS, short)),
        (TransferKind.IXFR, (short,)),
        (TransferKind.IXFR, (soa(6), short, soa(6), NS, soa(6))),
        (TransferKind.IXFR, (soa(6), soa(5), NS, short, NS, soa(6))),
    ):
        transfer = inbound(kind)
        with pytest.raises(TransferError) as failure:
            transfer.feed(message(*records, kind=kind), NOW)
        assert failure.value.reason is Reason.MALFORMED
