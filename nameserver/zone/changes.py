"""Differences between two versions of a zone, applied strictly (RFC 1995 §4).

    changesets ──▶ for each record: open its owner's node (once) ──▶ delete what must be there, add what must not be
                                                                        │
    read_node ◀── nodes not yet opened ──────────────────┘              ▼ all changesets done
                                        pack every opened node, check it, keep those whose bytes changed

Nothing is written here: the result is a set of node replacements that the caller commits as a whole. Strict means
that a difference which does not fit what we hold (an absent record is deleted, a present one added) is an error, for
then our copy and the primary's have parted, and only a full transfer brings them together again. Not compared are the
TTL of a deleted record and the case of names, as in the DNS itself.

One exception, since it has no effect: records of the apex may be added once more exactly as they are. NSD (4.6) makes
its differences so, and would otherwise have every change of its zones transferred in full.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from nameserver.errors import Reason, ZoneError
from nameserver.wire import codes, names
from nameserver.wire.rdata import fold_rdata, type_text
from nameserver.wire.rrset import Record, RRset, split_tails
from nameserver.wire.walk import to_record, to_walked
from nameserver.zone import checks
from nameserver.zone.builder import Tally, pack_tails, wrong_class
from nameserver.zone.node import count_records, owner_of, unpack_node
from nameserver.zone.soa import Soa, parse_soa

ReadNode = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Changeset:
    """One step from a serial to the next. `deleted` starts with the old SOA record, `added` with the new one."""

    old_serial: int
    new_serial: int
    deleted: list[Record]
    added: list[Record]


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying changesets leads to: each changed key's new node, None where the owner is gone.

    `steps` are the changesets as they took effect: what they delete is spelled as it was held, what changed nothing is
    left out. Who holds the version before comes to exactly this one by them, one after another.
    """

    nodes: dict[bytes, bytes | None]
    soa: Soa
    soa_rdata: bytes
    records_delta: int
    size_delta: int  # bytes of keys and nodes
    tally: Tally
    steps: tuple[Changeset, ...]


class _OpenNode:
    """One owner's records while they change: RRset → record as it is compared → tail."""

    __slots__ = ("before", "groups", "owner")

    def __init__(self, before: bytes | None, key: bytes, apex: bytes) -> None:
        self.before = before
        self.owner = owner_of(before, key, apex) if before else b""
        self.groups: dict[tuple[int, bytes], dict[bytes, bytes]] = {}
        for rrset in unpack_node(before, b"") if before else ():
            for tail in split_tails(rrset.tails):
                self._group(rrset.type, tail[10:])[fold_rdata(rrset.type, tail[10:])] = tail

    def _group(self, rdtype: int, rdata: bytes) -> dict[bytes, bytes]:
        return self.groups.setdefault((rdtype, rdata[:2] if rdtype == codes.RRSIG else b""), {})

    def delete(self, record: Record) -> Record | None:
        """Take the record out: the one that was there, None if it is not there."""
        covered = record.rdata[:2] if record.type == codes.RRSIG else b""
        group = self.groups.get((record.type, covered))
        tail = None if group is None else group.pop(fold_rdata(record.type, record.rdata), None)
        if group is None or tail is None:
            return None
        held = to_record((self.owner, record.type, codes.IN, tail))
        if not group:
            del self.groups[record.type, covered]
        if not self.groups:
            self.owner = b""  # should the owner come back, it comes in the case of the records that bring it
        return held

    def add(self, record: Record) -> Record | None:
        """Put the record in, as it then is there; None if it is there already."""
        group = self._group(record.type, record.rdata)
        compared = fold_rdata(record.type, record.rdata)
        if compared in group:
            return None
        self.owner = self.owner or record.owner
        group[compared] = to_walked(record)[3]
        return record if record.owner == self.owner else record._replace(owner=self.owner)

    def repeats(self, record: Record) -> bool:
        """Whether exactly this record, TTL included, is there."""
        group = self._group(record.type, record.rdata)
        return group.get(fold_rdata(record.type, record.rdata)) == to_walked(record)[3]

    def pack(self, key: bytes, apex: bytes, tally: Tally, limit: int) -> tuple[bytes | None, int]:
        """(the new node, number of its records)."""
        tails = [tail for group in self.groups.values() for tail in group.values()]
        if not tails:
            return None, 0
        return pack_tails(tails, self.owner, self.owner != key + apex, tally, limit)


def apply_changes(
    read_node: ReadNode,
    changesets: Iterable[Changeset],
    apex_as_received: bytes,
    limits: checks.ContentLimits,
    *,
    records_held: int = 0,
    size_held: int = 0,
) -> Applied:
    """Apply changesets, in order, to the version that `read_node` (key → node) reads.

    `records_held` and `size_held` describe that version, for the limits. Records outside the zone are left out and
    counted. Raises `ZoneError`: ixfr-mismatch, or a content reason if the outcome is not a zone to be served.
    """
    tally = Tally()
    opened, steps = _apply_all(read_node, changesets, apex_as_received, tally)
    replaced: dict[bytes, bytes | None] = {}
    records_delta = size_delta = 0
    for key, node in opened.items():
        packed, records = node.pack(key, apex_as_received, tally, limits.max_rrset_records)
        if packed == node.before:
            continue
        if packed is not None:
            checks.check_node(key, packed, apex_as_received, limits)
        replaced[key] = packed
        records_delta += records - (count_records(node.before) if node.before else 0)
        size_delta += _size(key, packed) - _size(key, node.before)

    def read_new(key: bytes) -> bytes | None:
        return replaced[key] if key in replaced else read_node(key)

    soa_rdata = checks.check_apex(read_new(b""), apex_as_received)
    checks.check_touched_below_dnames(replaced, read_new, apex_as_received)
    if b"" in replaced:
        tally.look_at_apex(replaced[b""], read_node(b""))
    if records_held + records_delta > limits.max_records:
        raise ZoneError(Reason.LIMIT_RECORDS, f"more records than the limit of {limits.max_records}")
    if size_held + size_delta > limits.max_bytes:
        raise ZoneError(Reason.LIMIT_BYTES, f"the zone takes more bytes than the limit of {limits.max_bytes}")
    if tally.mixed_ttl or tally.duplicates:  # what was put right is in the nodes only
        steps = [_as_one_step(opened, replaced, apex_as_received)]
    return Applied(replaced, parse_soa(soa_rdata), soa_rdata, records_delta, size_delta, tally, tuple(steps))


def _apply_all(
    read_node: ReadNode, changesets: Iterable[Changeset], apex: bytes, tally: Tally
) -> tuple[dict[bytes, _OpenNode], list[Changeset]]:
    opened: dict[bytes, _OpenNode] = {}
    folded_apex = apex.lower()

    def open_node(record: Record) -> _OpenNode | None:
        if record.rdclass != codes.IN:
            raise wrong_class(to_walked(record))
        key = names.relative_key(record.owner.lower(), folded_apex)
        if key is None:
            tally.out_of_zone += 1
            tally.first_out_of_zone = tally.first_out_of_zone or names.to_text(record.owner)
            return None
        node = opened.get(key)
        if node is None:
            node = opened[key] = _OpenNode(read_node(key), key, apex)
        return node

    steps: list[Changeset] = []
    for changeset in changesets:
        step = Changeset(changeset.old_serial, changeset.new_serial, [], [])
        for record in changeset.deleted:
            node = open_node(record)
            if node is not None:
                if (held := node.delete(record)) is None:
                    raise _mismatch(changeset, record, "deletes", "which we do not have")
                step.deleted.append(held)
        for record in changeset.added:
            node = open_node(record)
            if node is None:
                continue
            if (held := node.add(record)) is not None:
                step.added.append(held)
                continue
            if record.owner.lower() != folded_apex or not node.repeats(record):
                raise _mismatch(changeset, record, "adds", "which we have already")
            tally.repeated += 1
        steps.append(step)
    return opened, steps


def _as_one_step(opened: Mapping[bytes, _OpenNode], replaced: Mapping[bytes, bytes | None], apex: bytes) -> Changeset:
    old = {key: opened[key].before or b"" for key in replaced}
    new = {key: node or b"" for key, node in replaced.items()}
    return diff(old, new, apex)


def _mismatch(changeset: Changeset, record: Record, verb: str, fault: str) -> ZoneError:
    step = f"the step from serial {changeset.old_serial} to {changeset.new_serial}"
    what = f"{names.to_text(record.owner)} {type_text(record.type)} ({len(record.rdata)} bytes of rdata)"
    return ZoneError(Reason.IXFR_MISMATCH, f"{step} {verb} {what}, {fault}")


def _size(key: bytes, node: bytes | None) -> int:
    return len(key) + len(node) if node else 0


def differs(read_node: ReadNode, nodes: Mapping[bytes, bytes], apex_as_received: bytes) -> bool:
    """Whether some of a version's nodes hold other records than the version that `read_node` reads.

    TTL and case count, the order of records does not. Owners that only `read_node` knows are not looked for: the caller
    compares the numbers of records.
    """
    for key, node in nodes.items():
        held = read_node(key)
        if held != node and set(_records(held, key, apex_as_received)) != set(_records(node, key, apex_as_received)):
            return True
    return False


# --- the reverse --------------------------------------------------------------------------------------------------


def diff(old: Mapping[bytes, bytes], new: Mapping[bytes, bytes], apex_as_received: bytes) -> Changeset:
    """The changeset that leads from one version's nodes to another's, both whole zones under the same apex.

    TTL and case are part of the comparison: a record of which only these changed is deleted and added. Raises
    `ZoneError` (no-soa) unless both have an SOA.
    """
    deleted: list[Record] = []
    added: list[Record] = []
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if before != after:
            _diff_node(key, before, after, apex_as_received, deleted, added)
    serials = []
    for nodes, records in ((old, deleted), (new, added)):
        soa = _soa_record(nodes, apex_as_received)
        serials.append(parse_soa(soa.rdata).serial)
        records[:] = [soa, *(record for record in records if record.type != codes.SOA)]
    return Changeset(serials[0], serials[1], deleted, added)


def _soa_record(nodes: Mapping[bytes, bytes], apex: bytes) -> Record:
    for record in _records(nodes.get(b""), b"", apex):
        if record.type == codes.SOA:
            return record
    raise ZoneError(Reason.NO_SOA, f"{names.to_text(apex)} has no SOA record")


def _records(node: bytes | None, key: bytes, apex: bytes) -> Iterator[Record]:
    if node:
        rrset: RRset
        for rrset in unpack_node(node, owner_of(node, key, apex)):
            for tail in split_tails(rrset.tails):
                yield to_record((rrset.owner, rrset.type, codes.IN, tail))


def _diff_node(
    key: bytes, before: bytes | None, after: bytes | None, apex: bytes, deleted: list[Record], added: list[Record]
) -> None:
    # An owner whose case changed has other records on both sides, so the whole node goes and comes back.
    old_records = dict.fromkeys(_records(before, key, apex))
    new_records = dict.fromkeys(_records(after, key, apex))
    deleted.extend(record for record in old_records if record not in new_records)
    added.extend(record for record in new_records if record not in old_records)
