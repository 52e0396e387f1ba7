"""Transfers without end or measure, message by message: where they are cut off, and what they cost until then."""

import struct
import tracemalloc
from collections.abc import Callable
from itertools import count

import pytest
from support.transfer_messages import APEX, NOW, QUERY_ID, inbound, message, rr, soa

from nameserver.errors import Reason, TransferError
from nameserver.transfer.inbound import InboundTransfer, TransferKind
from nameserver.transfer.limits import TransferLimits
from nameserver.wire import codes
from nameserver.wire.rrset import Record

MIB = 1024 * 1024
LIMITS = TransferLimits(max_bytes=2 * MIB, max_records=10_000)


def host(number: int, size: int = 0) -> Record:
    """An address, or so much of something, at an owner of its own."""
    owner = b"\x0ahost%06d" % number + APEX
    if size:
        return Record(owner, 65_280, codes.IN, 300, bytes(size))
    return Record(owner, codes.A, codes.IN, 300, b"\xc0\0\2\1")


def replaced(record: Record, serial: int) -> Record:
    """An SOA with another serial."""
    return record._replace(rdata=record.rdata[:-20] + serial.to_bytes(4, "big") + record.rdata[-16:])


ENDLESS: dict[str, tuple[Callable[[int], Record], Reason]] = {
    "small records": (host, Reason.LIMIT_RECORDS),
    "large records": (lambda number: host(number, 60_000), Reason.LIMIT_BYTES),
    "owners in turn": (
        lambda number: host(number % 2000)._replace(rdata=struct.pack("!I", number)),
        Reason.LIMIT_RECORDS,
    ),
    "types in turn": (lambda number: host(number % 500)._replace(type=60_000 + number // 500), Reason.LIMIT_RECORDS),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_a_zone_without_end_is_cut_off_in_bounded_memory(what: str) -> None:
    """At the limit of bytes or of records, whichever comes first; kept is not more than what was let through."""
    make, reason = ENDLESS[what]
    transfer = inbound(limits=LIMITS)
    transfer.feed(message(soa(6), rr("@ 300 NS ns1")), NOW)
    numbers = count()
    tracemalloc.start()
    try:
        with pytest.raises(TransferError) as caught:
            while True:
                transfer.feed(
                    message(*(make(next(numbers)) for _ in range(100 if reason is Reason.LIMIT_RECORDS else 1))), NOW
                )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.reason is reason
    assert peak < 1.2 * LIMITS.max_bytes


def test_differences_without_end_are_cut_off_in_bounded_memory() -> None:
    """The tiniest steps there are; each takes the place of objects, so they are bounded by what they change."""
    bound, new = MIB, soa(2**30)
    transfer = InboundTransfer(APEX, TransferKind.IXFR, QUERY_ID, 5, TransferLimits(), max_difference=bound)
    transfer.feed(message(new, soa(5), kind=TransferKind.IXFR), NOW)
    tracemalloc.start()
    try:
        with pytest.raises(TransferError) as caught:
            for serial in count(6):
                at = replaced(new, serial)
                step = [at, host(serial), at]
                transfer.feed(message(*step, kind=TransferKind.IXFR), NOW)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.reason is Reason.IXFR_TOO_BIG
    assert peak < 6 * bound
