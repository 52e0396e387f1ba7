"""Rdata of every type, right and wrong, from a primary into the store, over a restart and out again.

Either the transfer is refused, or what goes out is byte for byte what came in.
"""

import random
import secrets
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dns.exception
import dns.rdata
import pytest
from support.rdata_lines import GOOD, wire_of
from support.transfer_messages import APEX, NOW, NS, QUERY_ID, axfr, inbound, message, soa

from nameserver.errors import Reason, TransferError
from nameserver.store.database import Store, ZoneTimers
from nameserver.store.reader import StoreReader
from nameserver.transfer.outbound import axfr_messages
from nameserver.wire import codes
from nameserver.wire.rdata import COMPRESSIBLE
from nameserver.wire.rrset import Record
from nameserver.zone.builder import BuiltZone
from nameserver.zone.contents import Zone
from nameserver.zone.node import find_rrset, owner_of, unpack_node

MUTANTS = 25  # of each line
# An SOA stands at the apex only; each of the others gets an owner of its own, so that none is in another's way.
TYPES = [line for line in GOOD if not line.startswith("SOA ")]


def mutants(rdata: bytes, chance: random.Random) -> Iterator[bytes]:
    """Rdata that may be wrong: cut, longer, with bytes set; and none at all."""
    yield b""
    for _ in range(MUTANTS):
        made = bytearray(rdata)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(made) + 1)
            match chance.randrange(5):
                case 0:
                    del made[place:]
                case 1:
                    made[place:place] = chance.randbytes(chance.randint(1, 4))
                case 2:
                    del made[place : place + 1]
                case _ if made:
                    made[min(place, len(made) - 1)] = chance.choice([0, 1, 63, 64, 127, 128, 191, 192, 255])
        yield bytes(made)


def taken(record: Record) -> bool:
    """Whether a zone with this record is."""
    transfer = inbound()
    try:
        return transfer.feed(message(soa(6), NS, record, soa(6)), NOW)
    except TransferError as error:
        assert error.reason in (Reason.MALFORMED, Reason.CNAME_CONFLICT), error
        return False


def through_the_store(directory: Path, built: BuiltZone) -> BuiltZone:
    """Committed, the store closed and opened again, sent as a transfer, read as one."""
    directory.mkdir()
    with closing(Store.open(directory, 0.0)) as store:
        store.commit_full(
            APEX,
            "example.com",
            built.nodes,
            apex_as_received=built.apex_as_received,
            soa_rdata=built.soa_rdata,
            serial=built.soa.serial,
            records=built.records,
            source="a test",
            timers=ZoneTimers(1.0, 1.0, 4e9, 4e9),
        )
    with closing(Store.open(directory, 0.0)) as store, closing(StoreReader(store.path)) as reader:
        loaded = reader.load(APEX)
        assert loaded is not None
        nodes = {key: node for items in loaded.slices for key, node in items}
        zone = Zone.from_nodes(built.apex_as_received, nodes, 1)
        apex_soa = find_rrset(nodes[b""], codes.SOA, built.apex_as_received)
        items = [(owner_of(node, key, zone.apex), node) for key, node in nodes.items()]
        received = inbound()
        question = APEX + b"\0\xfc\0\1"
        for each in axfr_messages(apex_soa, items, QUERY_ID, question):
            received.feed(each, NOW)
    return received.result().built


def rdatas(built: BuiltZone) -> dict[tuple[bytes, int], set[bytes]]:
    """All rdata by owner and type."""
    found: dict[tuple[bytes, int], set[bytes]] = {}
    for key, node in built.nodes.items():
        for rrset in unpack_node(node, key):
            found.setdefault((key, rrset.type), set()).update(record.rdata for record in rrset.records())
    return found


def may_point(record: Record) -> bool:
    """Whether a name in it may have become a pointer to an earlier one, and goes out as that one (RFC 3597 §4)."""
    return record.type in COMPRESSIBLE and max(record.rdata, default=0) >= 0xC0


def test_rdata_of_every_type_is_refused_or_goes_out_as_it_came_in(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    good: list[Record] = []
    wrong = 0
    for number, line in enumerate(TYPES):
        rdtype, rdata = wire_of(line)
        for index, each in enumerate([rdata, *mutants(rdata, chance)]):
            label = b"%d-%d" % (number, index)
            record = Record(bytes((len(label),)) + label + APEX, rdtype, codes.IN, 300, each)
            if taken(record):
                good.append(record)
            else:
                wrong += 1
                assert index, f"{line} is refused as it is"
    assert len(good) > 5 * len(TYPES) and wrong > 5 * len(TYPES)
    sent = axfr(soa(6), NS, *good, soa(6))
    came_out = rdatas(through_the_store(tmp_path / "state", sent))
    for record in good:
        key = record.owner[: -len(APEX)]
        assert came_out[key, record.type] == {record.rdata} or may_point(record), record
    assert len(came_out) == len(good) + 2


@pytest.mark.parametrize("rdtype", sorted({wire_of(line)[0] for line in TYPES}))
def test_a_record_without_rdata_is_taken_where_its_type_can_be_empty(rdtype: int) -> None:
    """As dnspython sees it."""
    try:
        dns.rdata.from_wire(1, rdtype, b"", 0, 0)
        can_be = True
    except (dns.exception.DNSException, ValueError, struct.error, IndexError):
        can_be = False
    assert taken(Record(b"\3www" + APEX, rdtype, codes.IN, 300, b"")) == can_be
