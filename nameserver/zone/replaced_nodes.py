"""Which owners a new version that came whole replaces in the stored one: so that an edit of a zone file costs an edit.

The stored version comes in slices in key order, the new one is in memory. Owners whose records only stand in another
order are not replaced: nobody could tell.
"""

from collections.abc import Iterable, Mapping

from nameserver.zone.builder import BuiltZone
from nameserver.zone.changes import Applied, diff
from nameserver.zone.difference import Items
from nameserver.zone.node import owner_of, tails_of
from nameserver.zone.sorted_nodes import SortedNodes

Replaced = dict[bytes, tuple[bytes | None, bytes | None]]  # key → node before, node after; None: no such owner


def replaced_nodes(old: Iterable[Items], new: Mapping[bytes, bytes], apex: bytes, limit: int) -> Replaced | None:
    """The owners that differ between two versions under the same apex; None where they are more than `limit`.

    TTL and case count as differences. Raises what the slices raise.
    """
    content = SortedNodes.of(new)
    keys, nodes = content.owners, content.column
    replaced: Replaced = {}
    at, end = 0, len(keys)
    for items in old:
        for key, node in items:
            while at < end and keys[at] < key:
                replaced[keys[at]] = None, nodes[at]
                at += 1
            if at == end or keys[at] != key:
                replaced[key] = node, None
                continue
            if nodes[at] != node and _records(key, node, apex) != _records(key, nodes[at], apex):
                replaced[key] = node, nodes[at]
            at += 1
        if len(replaced) > limit:
            return None
    for key, node in zip(keys[at:], nodes[at:], strict=True):
        replaced[key] = None, node
        if len(replaced) > limit:
            return None
    return replaced


def _records(key: bytes, node: bytes, apex: bytes) -> tuple[bytes, list[bytes]]:
    return owner_of(node, key, apex), sorted(tails_of(node))


def as_applied(replaced: Replaced, built: BuiltZone, records_held: int) -> Applied:
    """The same as the outcome of a change to the stored version, which has `records_held` records.

    Raises `ZoneError` (no-soa) unless the apex, whose SOA has another serial, is among the replaced.
    """
    before = {key: old for key, (old, _) in replaced.items() if old is not None}
    after = {key: new for key, (_, new) in replaced.items() if new is not None}
    return Applied(
        nodes={key: new for key, (_, new) in replaced.items()},
        soa=built.soa,
        soa_rdata=built.soa_rdata,
        records_delta=built.records - records_held,
        size_delta=sum(_size(after, key) - _size(before, key) for key in replaced),
        tally=built.tally,
        steps=(diff(before, after, built.apex_as_received),),
    )


def _size(nodes: Mapping[bytes, bytes], key: bytes) -> int:
    return len(key) + len(nodes[key]) if key in nodes else 0
