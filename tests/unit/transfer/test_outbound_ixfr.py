"""Packing differences into IXFR messages: their sizes, and which are worth sending."""

import pytest
from support.transfer_messages import APEX, NOW, inbound, soa

from nameserver.errors import Reason, TransferError
from nameserver.transfer.inbound import TransferKind
from nameserver.transfer.outbound import TARGET
from nameserver.transfer.outbound_ixfr import are_few, condensing, is_larger_than_zone, ixfr_messages, largest_chain
from nameserver.wire import codes
from nameserver.wire.rrset import Record, RRset
from nameserver.zone.changes import Changeset
from nameserver.zone.history import CONDENSE_AT_MOST, PackedStep, pack_changeset, unpack_changeset

QUESTION = APEX + codes.IXFR.to_bytes(2, "big") + b"\0\1"
SOA = RRset.of(APEX, codes.SOA, 3600, [soa(6).rdata])


def record(size: int, name: bytes = b"\3big") -> Record:
    return Record(name + APEX, 65280, codes.IN, 300, bytes(size))


def step(*added: Record, old: int = 5) -> PackedStep:
    return pack_changeset(Changeset(old, old + 1, [soa(old)], [soa(old + 1), *added]), APEX)


def send(packed: PackedStep, **options) -> list[bytes]:
    return list(ixfr_messages(SOA, packed.parts, 0x1234, QUESTION, **options))


def test_messages_are_filled_to_the_target_and_not_beyond() -> None:
    packed = step(*(record(100, b"\4%04d" % number) for number in range(2000)))
    messages = send(packed, reserve=100)
    assert all(TARGET - 200 < len(each) <= TARGET for each in messages[:-1])


def test_a_large_record_has_a_message_of_its_own() -> None:
    packed = step(record(65_450), record(10, b"\1a"))
    machine = inbound(TransferKind.IXFR, 5)
    done = [machine.feed(each, NOW) for each in send(packed)]
    assert done == [False, False, True]
    assert machine.result().changesets == [unpack_changeset(packed)]


@pytest.mark.parametrize(("size", "reserve", "fits"), [(65_490, 0, True), (65_490, 100, False), (65_535, 0, False)])
def test_a_record_too_large_for_any_message_ends_the_transfer(size: int, reserve: int, fits: bool) -> None:
    if fits:
        assert max(map(len, send(step(record(size)), reserve=reserve))) <= 65_535
        return
    with pytest.raises(TransferError) as caught:
        send(step(record(size)), reserve=reserve)
    assert caught.value.reason is Reason.LIMIT_BYTES and "big.example.com TYPE65280" in str(caught.value)


def test_owners_end_in_a_pointer_to_the_question() -> None:
    (message,) = send(step(record(1), record(1, b"\1a")))
    assert message.count(APEX) == 1 + 2 * 4, "the question, and the names in the rdata of four SOAs"


def test_what_is_larger_than_the_zone_or_than_memory_is_meant_for_is_known_by_its_size() -> None:
    packed = step(record(1000))
    assert not is_larger_than_zone([packed], packed.size) and is_larger_than_zone([packed], packed.size - 1)
    half = PackedStep(1, 2, 2, CONDENSE_AT_MOST // 2, ())
    assert are_few([half, half]) and not are_few([half, half, packed])
    assert (largest_chain(10), largest_chain(CONDENSE_AT_MOST + 1)) == (CONDENSE_AT_MOST, CONDENSE_AT_MOST + 1)


def test_condensing_turns_to_others_after_each_part_and_leaves_alone_what_it_does_not_shorten() -> None:
    one, two = step(*(record(1000, b"\3%03d" % number) for number in range(100))), step(old=6)
    making = condensing([*one.parts, *two.parts], [one, two], APEX)
    turns = 0
    try:
        while True:
            next(making)
            turns += 1
    except StopIteration as end:
        parts, steps = end.value
    assert turns == len(one.parts) + 1 == 5
    assert (steps[0].old_serial, steps[0].new_serial, len(steps), len(parts)) == (5, 7, 1, 4)
    many = [step(*(record(4, b"\5%05d" % number) for number in range(5000))), step(old=6)]
    making = condensing([*many[0].parts, *many[1].parts], many, APEX)
    assert sum(1 for _ in making) == len(many[0].parts) + 1 + 2, "a turn for each 2,000 records that are packed"
    with pytest.raises(StopIteration) as same:
        next(condensing(one.parts, [one], APEX))
    assert same.value.value == (one.parts, [one])
