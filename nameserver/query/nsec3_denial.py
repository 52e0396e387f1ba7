"""The NSEC3 records of a negative answer, put together from the packed nodes of the names that deny.

Such an answer is that of its zone, SOA and signatures, followed by two or three times this:

    label of the hash · pointer to the apex · tail of the NSEC3 · pointer to this owner · tail of its RRSIG

All but the pointers is there already, in the node. Which names deny, `nameserver.zone.denial` says; that these octets
are what `nameserver.wire.render` would write, a property test.
"""

from typing import NamedTuple

from nameserver.wire.names import skip_name
from nameserver.wire.rrset import split_tails
from nameserver.zone.contents import Zone
from nameserver.zone.denial import Keys
from nameserver.zone.node import HAS_CASE, HASHED_KEY, owner_of, signed_nsec3

_TAIL_HEAD, _SOA_TIMERS = 10, 20  # octets of an SOA's tail before its names and behind them
_POINTER = 0xC000
_POINTED_AT = 0x4000  # octets of a message that pointers reach


class Negative(NamedTuple):
    """What stands before the proofs: the zone's SOA and its signatures, for a question of some length and spelling."""

    flags: int
    records: bytes
    records_count: int
    apex_pointer: bytes
    kind: int


def read_negative(reply: bytes, question_end: int, zone: Zone, apex: int, kind: int) -> Negative | None:
    """What a rendered negative answer of a signed zone says before its proofs; None where it does not begin like one.

    `question_end` and `apex` are offsets into the reply; `apex` is where the apex stands in the question, 0 where
    nothing points into that. What had no room in full, so that its names match whatever their case, is not taken.
    """
    denial = zone.denial
    if denial is None or len(denial.negative) != 2:
        return None
    names = denial.negative[0].tails[_TAIL_HEAD:-_SOA_TIMERS]
    if names != names.lower() or (not apex and reply[question_end] >= _POINTER >> 8):
        return None
    count = sum(rrset.rdata_count for rrset in denial.negative)
    offset = question_end
    for _ in range(count):
        offset = skip_name(reply, offset) + 10
        offset += reply[offset - 2] << 8 | reply[offset - 1]
    # The root is shorter than a pointer to it.
    pointer = (_POINTER | (apex or question_end)).to_bytes(2, "big") if len(zone.apex) > 1 else zone.apex
    return Negative(reply[2] << 8 | reply[3], reply[question_end:offset], count, pointer, kind)


def proofs(zone: Zone, keys: Keys, apex_pointer: bytes, here: int) -> tuple[int, bytes] | None:
    """(number of records, the records) that the nodes of these keys deny with, to stand at offset `here` of a message.

    None where a node is not the ordinary one, of an NSEC3 and its signatures.
    """
    nodes, apex = zone.nodes, zone.apex
    parts: list[bytes] = []
    records = 0
    for key in keys:
        node = nodes[key]
        label = key
        if node[0] & HAS_CASE:
            owner = owner_of(node, key, apex)
            label = owner[:HASHED_KEY]
            if owner[HASHED_KEY:] != apex:
                return None
        there = signed_nsec3(node)
        if there is None or here >= _POINTED_AT:
            return None
        nsec3, signatures, signed = there
        owner_pointer = (_POINTER | here).to_bytes(2, "big")
        if signatures != 1:
            signed = owner_pointer.join(split_tails(signed))
        part = b"".join((label, apex_pointer, nsec3, owner_pointer, signed))
        parts.append(part)
        here += len(part)
        records += 1 + signatures
    return records, b"".join(parts)
