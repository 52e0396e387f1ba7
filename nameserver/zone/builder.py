"""Building a zone from records as they arrive, straight into packed nodes.

    records in transfer order            one owner at a time            packed at once, never kept as objects
    ┌───────────────────────┐   same    ┌─────────────────────┐ owner  ┌───────────────────────────────────────┐
    │ www A, www A, mail A … │──owner──▶│ run: tails of `www` │changes▶│ two columns: b"\\x03www", flags · RRsets │
    └───────────────────────┘           └─────────────────────┘        └───────────────────────────────────────┘
                                                                            │ `finish`
                                                                            ▼
                                              sorted by key; an owner that is there twice or more is merged, once

Primaries send nearly every owner's records together, so a run is packed when the owner changes. An owner that comes
back is packed again and the parts are merged at the end: merging at each return would let a primary that alternates
between two large owners cost quadratic time. Owners of addresses, which most are, come by the message (`AddressRun`).

Policies (all counted): the same record twice is taken once; RRs of one RRset with different TTLs all get the lowest
(RFC 2181 §5.2); a TTL with its top bit set is zero (RFC 2181 §8); an owner outside the zone is left out.
"""

from dataclasses import dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception, named like one

from nameserver.errors import Reason, WireError, ZoneError
from nameserver.wire import codes, names
from nameserver.wire.address_runs import AddressRun
from nameserver.wire.rdata import fold_rdata, read_known_name, type_text
from nameserver.wire.rrset import Record
from nameserver.wire.walk import Section, Walked, read_tail, to_walked
from nameserver.zone import checks
from nameserver.zone.denial import FREE_ITERATIONS, nsec3_iterations
from nameserver.zone.node import (
    HAS_CASE,
    HAS_CNAME,
    HAS_DNAME,
    PLAIN,
    RRSIG,
    owner_of,
    pack_groups,
    pack_pair,
    pack_single,
    tails_of,
)
from nameserver.zone.soa import Soa, parse_soa
from nameserver.zone.sorted_nodes import SortedNodes, sort_columns

_PLAIN_SIZES = {codes.A: 4, codes.AAAA: 16}  # of the rdata by type, where every size else is wrong
_POINTED = Struct("!HHHIH").unpack_from  # the pointer that an owner ends with, type, class, TTL, size of the rdata
_POINTER = 0xC000  # and the place that it points at
_LONGEST_TTL = 0x7FFFFFFF
_LONG_KEY = 80  # bytes of a key whose labels are not gone through at every owner: an address in ip6.arpa has 64
_PARENTS_KEPT = 10_000
_WORTH_A_TRY = 8  # owners in a run of addresses, after which another run is looked for at once; …
_WITHOUT_TRYING = 64  # … else after so many records
_FEW = 16  # records left of a message, which are read one by one
_NO_COUNT = 65535  # a node counts an RRset's records in two bytes


@dataclass(slots=True)
class Tally:
    """What was put right on the way in, or is odd: counts, and the first case of each as text."""

    duplicates: int = 0
    out_of_zone: int = 0
    mixed_ttl: int = 0
    repeated: int = 0  # records that an incremental transfer added although they were there
    iterations: int = 0  # of the zone's NSEC3, where these are too many
    first_out_of_zone: str = ""
    first_mixed_ttl: str = ""

    def look_at_apex(self, node: bytes | None, before: bytes | None = None) -> None:
        """Note what the apex's node shows that was not so `before`."""
        iterations = nsec3_iterations(node) if node else 0
        if iterations > FREE_ITERATIONS and (before is None or nsec3_iterations(before) != iterations):
            self.iterations = iterations

    def warnings(self) -> list[str]:
        """One sentence for each kind that occurred."""
        lines = []
        if self.out_of_zone:
            lines.append(f"{self.out_of_zone} records outside the zone were left out, first {self.first_out_of_zone}")
        if self.duplicates:
            lines.append(f"{self.duplicates} records came more than once and were taken once")
        if self.repeated:
            lines.append(f"{self.repeated} records of the apex were added once more as they were")
        if self.mixed_ttl:
            lines.append(f"{self.mixed_ttl} RRsets had several TTLs and got their lowest, first {self.first_mixed_ttl}")
        if self.iterations:
            lines.append(
                f"its NSEC3 have {self.iterations} additional iterations: validators take zones with more than "
                f"{FREE_ITERATIONS} for unsigned; the signer should use 0 (RFC 9276)"
            )
        return lines


@dataclass(frozen=True, slots=True)
class BuiltZone:
    """A complete, checked zone. `size` is the bytes of all keys and nodes."""

    nodes: SortedNodes
    apex_as_received: bytes
    soa: Soa
    soa_rdata: bytes
    records: int
    size: int
    tally: Tally

    @property
    def duplicates(self) -> int:
        """Records that came more than once."""
        return self.tally.duplicates

    @property
    def out_of_zone(self) -> int:
        """Records left out because their owner is not in the zone."""
        return self.tally.out_of_zone

    @property
    def mixed_ttl(self) -> int:
        """RRsets that came with several TTLs."""
        return self.tally.mixed_ttl

    @property
    def warnings(self) -> list[str]:
        """One sentence for each thing that was put right."""
        return self.tally.warnings()


def pack_tails(tails: list[bytes], owner: bytes, keep_owner: bool, tally: Tally, limit: int) -> tuple[bytes, int]:
    """Sort one owner's tails into RRsets: (the node, number of its records).

    RRsets are told apart, and sorted, by type and for RRSIG the type covered. `keep_owner` tells that the owner's case
    is not that of key + apex, so that the node has to hold it. Duplicates and mixed TTLs are put right and counted in
    `tally`. Raises `ZoneError` (limit-rrset) for an RRset of more than `limit` records.
    """
    groups: dict[bytes, list[bytes]] = {}
    for tail in tails:
        code = tail[:2]  # node.group_of, without a call for each record
        if code == RRSIG:
            code += tail[10:12]
        if code in groups:
            groups[code].append(tail)
        else:
            groups[code] = [tail]
    if len(groups) < len(tails):
        for code in sorted(groups):
            if len(groups[code]) > 1:
                group = groups[code] = _tidy(groups[code], owner, tally)
                if len(group) > limit:
                    what = f"{names.to_text(owner)} {_type_of(code)} has {len(group)} records"
                    raise ZoneError(Reason.LIMIT_RRSET, f"{what}, more than the limit of {limit}")
    return pack_groups(groups, owner if keep_owner else None)


def _type_of(code: bytes) -> str:
    return type_text(int.from_bytes(code[:2], "big"))


def _tidy(group: list[bytes], owner: bytes, tally: Tally) -> list[bytes]:
    """Two or more tails of one RRset: each record once, all with the lowest of their TTLs."""
    rdtype = group[0][0] << 8 | group[0][1]
    unique: dict[bytes, bytes] = {}
    for tail in group:
        unique.setdefault(fold_rdata(rdtype, tail[10:]), tail)
    ttls = {tail[4:8] for tail in group}
    if len(unique) < len(group):
        tally.duplicates += len(group) - len(unique)
        group = list(unique.values())
    if len(ttls) > 1:
        lowest = min(ttls)
        group = [tail[:4] + lowest + tail[8:] for tail in group]
        tally.mixed_ttl += 1
        tally.first_mixed_ttl = tally.first_mixed_ttl or f"{names.to_text(owner)} {type_text(rdtype)}"
    return group


class ZoneBuilder:
    """Collects the records of one zone; see the head of this file.

    `apex` is the zone's folded absolute wire name. The case of the apex is taken from the first record's owner when
    that is the apex, as it is in every transfer. After a method has raised, the builder is of no further use.
    """

    __slots__ = (
        "_dname_keys", "_keys", "_longest_key", "_next_check", "_nodes", "_owner", "_packed", "_parents", "_run",
        "apex", "apex_as_received", "limits", "rrset_limit", "size", "tally",
    )  # fmt: skip

    def __init__(self, apex: bytes, limits: checks.ContentLimits) -> None:
        self.apex = apex
        self.apex_as_received = apex
        self.limits = limits
        self._longest_key = min(_LONG_KEY, names.MAX_NAME - len(apex))  # of an owner that needs no thought
        self.rrset_limit = min(limits.max_rrset_records, _NO_COUNT)
        self.tally = Tally()
        self.size = 0
        self._packed = 0  # records in nodes
        self._keys: list[bytes] = []  # in the order of arrival; an owner that came back is there again
        self._nodes: list[bytes] = []  # of each
        self._dname_keys: set[bytes] = set()
        self._parents: set[bytes] = set()  # of long owners in the zone: folded, absolute
        self._owner = b""
        self._run: list[bytes] = []
        self._next_check = self.rrset_limit

    def add(self, record: Record) -> None:
        """Take one record. Raises `ZoneError` (wrong-class, soa-in-middle, limit-…)."""
        if record.ttl & 0x80000000:
            record = record._replace(ttl=0)
        self.add_walked(to_walked(record))

    def add_walked(self, walked: Walked) -> None:
        """Take one record of any type, SOA included, as `walk` yields it. Raises as `add`."""
        owner, rdtype, rdclass, tail = walked
        if rdclass != codes.IN:
            raise wrong_class(walked)
        if not self._nodes and not self._run and owner.lower() == self.apex:
            self.apex_as_received = owner
        if rdtype == codes.SOA and owner.lower() != self.apex:
            raise ZoneError(Reason.SOA_IN_MIDDLE, f"{names.to_text(owner)} has an SOA record but is not the apex")
        if owner != self._owner:
            self._flush()
            self._owner = owner
        self._run.append(tail)
        self._check_limits()

    def extend(self, section: Section) -> Walked | None:
        """Take records up to the next SOA, which is returned and not taken; None when there was none.

        Raises `WireError`, and `ZoneError` (wrong-class, limit-…).
        """
        # The first owner of a message is often the one that later ones point at; behind it a run of addresses is looked
        # for, but not where few records follow.
        most = more = 1 if section.left >= _FEW else section.left
        while section.left:
            if self._take_plain(section, most) == most:
                if section.message[section.offset : section.offset + 1] < b"\x40":
                    most, more = self._take_addresses(section), 1
                else:  # a run begins with a label; this is more of the owner before, and may be much
                    most, more = more, min(2 * more, _WITHOUT_TRYING)
                continue
            walked = next(section, None)
            if walked is None:
                break
            owner, rdtype, rdclass, tail = walked
            if rdclass != codes.IN:
                raise wrong_class(walked)
            if rdtype == codes.SOA:
                self._check_limits()
                return walked
            if owner != self._owner:
                self._flush()
                self._owner = owner
            self._run.append(tail)
        self._check_limits()
        return None

    def _take_addresses(self, section: Section) -> int:
        """Take owners that hold addresses, as `wire.address_runs` finds them; after how many records to try again.

        All that is left of the message is looked through at each try. So where most of what was found could not be
        taken, there is no other: what a message costs stays linear in its size.

        The key of such an owner is its label and the key of the name pointed at. An owner is packed when the next one
        comes; the last becomes the run, as what follows may be more of it.
        """
        if section.left < _FEW:
            return _WITHOUT_TRYING
        run = AddressRun(section.message, section.offset)
        if run.found < _WORTH_A_TRY or self.limits.max_types_per_name < 2:
            return _WITHOUT_TRYING
        parents = self._parents_of(run, section)
        run.keep_records(section.left)  # what follows the last of them is no answer
        last = len(run) - 1
        if last >= 0:
            self._flush()
            if len(parents) == 1:
                (parent,) = parents.values()
                keys = [label + parent for label in run.labels]
            else:
                keys = [label + parents[pointer] for label, pointer in zip(run.labels, run.pointers, strict=True)]
            nodes = [PLAIN + tails for tails in run.tails]
            following = run.tails_of(last)
            self._packed += run.records - len(following)
            for index, tails in run.several.items():
                if index < last:
                    self._packed -= len(tails)
                    nodes[index] = self._node(keys[index], tails, None)
            self._owner, self._run = keys.pop() + self.apex_as_received, following
            nodes.pop()
            self._keys += keys
            self._nodes += nodes
            self.size += sum(map(len, keys)) + sum(map(len, nodes))
        section.offset = run.start(len(run))
        section.left -= run.records
        return 1 if len(run) * 2 >= run.found else len(section.message)

    def _parents_of(self, run: AddressRun, section: Section) -> dict[bytes, bytes]:
        """The key of what each pointer of a run leads to; the run ends before the first owner that is not plain."""
        parents: dict[bytes, bytes] = {}
        alike = len(set(run.pointers)) == 1
        for index, pointer in enumerate(run.pointers[:1] if alike else run.pointers):
            if pointer not in parents:
                start = run.start(index)
                parent = self._learn(section, start, start + len(run.labels[index]), int.from_bytes(pointer, "big"))
                if parent is None:
                    run.cut(index)
                    break
                parents[pointer] = parent
        if parents and max(map(len, run.labels), default=0) + max(map(len, parents.values())) > self._longest_key:
            owners = zip(run.labels, run.pointers, strict=True)
            sizes = [len(label) + len(parents[pointer]) for label, pointer in owners]
            run.cut(next((index for index, size in enumerate(sizes) if size > self._longest_key), len(run)))
        return parents

    def _take_plain(self, section: Section, most: int) -> int:
        """Take records that need no thought, up to the first that does, or `most`; how many.

        Plain is an owner in lower case that is a pointer, or labels and a pointer, to a name known to be in the zone,
        with an ordinary record of class IN. Its key is then the labels and the key of the name pointed at. Whatever
        looks odd is left where it is, for `section` to read and judge.
        """
        message, keys, known, size = section.message, section.keys, section.known, len(section.message)
        offset, left, stop = section.offset, section.left, max(0, section.left - most)
        first, weight, longest, apex = len(self._keys), self.size, self._longest_key, self.apex_as_received
        current, run = self._plain_key(self._owner) if self._run else None, self._run
        alone = b""  # the current owner's node, where that is an address and nothing else
        try:
            while left > stop:
                start = offset
                while (length := message[start]) < 0x40 and length:
                    start += length + 1
                pointer, rdtype, rdclass, ttl, length = _POINTED(message, start)
                key = keys.get(pointer)
                if key is None and (key := self._learn(section, offset, start, pointer)) is None:
                    break
                if start > offset:
                    labels = message[offset:start]
                    key = labels + key
                    if labels != labels.lower() or len(key) > longest:
                        break
                    keys[_POINTER + offset], known[offset] = key, key + apex
                start += 2
                end = start + 10 + length
                if rdclass != codes.IN or ttl > _LONGEST_TTL or end > size:
                    break
                if length == _PLAIN_SIZES.get(rdtype):
                    tail = message[start:end]
                    node = PLAIN + tail
                elif rdtype == codes.SOA:
                    break
                else:
                    tail, node = read_tail(message, start, end, rdtype, known), b""
                if key == current:
                    run.append(tail)
                    alone = b""
                else:
                    if current is None:
                        self._flush()
                    elif alone:  # as `_pack`, without three calls for each owner
                        self._keys.append(current)
                        self._nodes.append(alone)
                        self._packed += 1
                    else:
                        self._pack(current, run, None)
                    current, run, alone = key, [tail], node
                offset, left = end, left - 1
        except (IndexError, StructError, WireError):
            pass  # `section` finds the same, and says where
        taken, section.offset, section.left = section.left - left, offset, left
        self.size = weight + sum(map(len, self._keys[first:])) + sum(map(len, self._nodes[first:]))
        self._run = run
        if run and current is not None:
            self._owner = current + apex
        return taken

    def _learn(self, section: Section, owner_at: int, start: int, pointer: int) -> bytes | None:
        """The key of the name that a pointer at `start`, in the owner at `owner_at`, leads to, if it is a plain one."""
        known = section.keys.get(pointer)
        if known is not None:
            return known
        if not 12 <= pointer - _POINTER < owner_at:
            return None
        name, _ = read_known_name(section.message, start, section.known)  # by the pointer: its target is remembered
        key = self._plain_key(name)
        if key is not None:
            section.keys[pointer] = key
        return key

    def _plain_key(self, name: bytes) -> bytes | None:
        """The key of a name in the zone that is spelled as key and apex would spell it; None for any other."""
        cut = len(name) - len(self.apex_as_received)
        key = name[:cut]
        if not 0 <= cut <= _LONG_KEY or not name.endswith(self.apex_as_received) or key != key.lower():
            return None
        position = 0
        while position < cut:
            position += key[position] + 1
        return key if position == cut else None

    def finish(self) -> BuiltZone:
        """Pack what is left, check the whole, and hand it over.

        Raises `ZoneError` (no-soa, no-ns, soa-in-middle, cname-conflict, limit-…).
        """
        self._flush()
        nodes, apex = self._in_order(), self.apex_as_received
        self._check_limits()
        apex_node = nodes.get(b"")
        soa_rdata = checks.check_apex(apex_node, apex)
        checks.check_below_dnames(nodes, self._dname_keys, apex)
        self.tally.look_at_apex(apex_node)
        return BuiltZone(nodes, apex, parse_soa(soa_rdata), soa_rdata, self._packed, self.size, self.tally)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Pack the run of the current owner."""
        run, owner, apex = self._run, self._owner, self.apex
        if not run:
            return
        self._run = []
        folded = owner.lower()
        cut = len(folded) - len(apex)
        position = 0
        if cut <= _LONG_KEY:
            while position < cut:
                position += folded[position] + 1
        else:
            position = self._apex_in(folded, cut)
        if position != cut or not folded.endswith(apex):
            self._leave_out(len(run))
            return
        key = folded[:cut]
        self._pack(key, run, owner if owner != key + self.apex_as_received else None)

    def _pack(self, key: bytes, run: list[bytes], spelled: bytes | None) -> None:
        """Take an owner with all its records. `spelled`: the owner, where that is not key and apex."""
        node = self._node(key, run, spelled)
        self._keys.append(key)
        self._nodes.append(node)
        self.size += len(key) + len(node)

    def _node(self, key: bytes, run: list[bytes], spelled: bytes | None) -> bytes:
        """Make a node of one owner's tails, and count these."""
        count = len(run)
        if count == 1:
            node = pack_single(run[0], spelled)
            self._packed += 1
        elif count == 2 and spelled is None and run[0][:2] < run[1][:2]:
            node = pack_pair(run[0], run[1])
            self._packed += 2
        else:
            owner = key + self.apex_as_received if spelled is None else spelled
            node, records = pack_tails(run, owner, spelled is not None, self.tally, self.rrset_limit)
            self._packed += records
            self._next_check = self.rrset_limit
        if count > 1 and (node[0] & (HAS_CNAME | HAS_DNAME) or count > self.limits.max_types_per_name):
            checks.check_node(key, node, self.apex_as_received, self.limits)
        if node[0] & HAS_DNAME:
            self._dname_keys.add(key)
        return node

    def _apex_in(self, folded: bytes, cut: int) -> int:
        """The first label of a long owner at or behind `cut`: `cut` itself where the apex can stand there.

        A few bytes of a message make an owner of more than a hundred labels, by a pointer to one that came before. So
        parents whose labels were gone through are remembered.
        """
        position = folded[0] + 1
        parent = folded[position:]
        if parent in self._parents:
            return cut
        while position < cut:
            position += folded[position] + 1
        if position == cut and folded.endswith(self.apex):
            if len(self._parents) == _PARENTS_KEPT:
                self._parents.clear()
            self._parents.add(parent)
        return position

    def _leave_out(self, count: int) -> None:
        self.tally.out_of_zone += count
        self.tally.first_out_of_zone = self.tally.first_out_of_zone or names.to_text(self._owner)

    def _in_order(self) -> SortedNodes:
        """All owners in key order, each once."""
        keys, nodes, repeated = sort_columns(self._keys, self._nodes)
        self._keys, self._nodes = [], []
        if repeated:
            together: dict[bytes, list[bytes]] = {}
            for key, node in zip(keys, nodes, strict=True):
                together.setdefault(key, []).append(node)
            keys = list(together)
            nodes = [each[0] if len(each) == 1 else self._merge(key, each) for key, each in together.items()]
        return SortedNodes(keys, nodes, self.size)

    def _merge(self, key: bytes, parts: list[bytes]) -> bytes:
        """One node of those of an owner that came back. The first one's spelling counts."""
        apex = self.apex_as_received
        tails = [tail for part in parts for tail in tails_of(part)]
        keep_owner = bool(parts[0][0] & HAS_CASE)
        merged, records = pack_tails(tails, owner_of(parts[0], key, apex), keep_owner, self.tally, self.rrset_limit)
        if merged[0] & HAS_DNAME:
            self._dname_keys.add(key)
        checks.check_node(key, merged, apex, self.limits)
        self._packed += records - len(tails)
        self.size += len(merged) - sum(map(len, parts)) - len(key) * (len(parts) - 1)
        return merged

    def _check_limits(self) -> None:
        """The limits on the whole, and that the current run can still become a node."""
        limits, run = self.limits, self._run
        records = self._packed + len(run)
        if records > limits.max_records:
            raise ZoneError(Reason.LIMIT_RECORDS, f"more records than the limit of {limits.max_records}")
        if self.size > limits.max_bytes:
            raise ZoneError(Reason.LIMIT_BYTES, f"the zone takes more bytes than the limit of {limits.max_bytes}")
        if len(run) > self._next_check:
            pack_tails(run, self._owner, False, Tally(), self.rrset_limit)
            self._next_check = 2 * len(run)  # so that one owner with very many records is not checked at every message


def wrong_class(walked: Walked) -> ZoneError:
    """The error for a record of a class other than IN."""
    owner, rdtype, rdclass, _ = walked
    what = f"{names.to_text(owner)} {type_text(rdtype)} has class {rdclass}"
    return ZoneError(Reason.WRONG_CLASS, f"{what}, a zone holds class IN (1) only")
