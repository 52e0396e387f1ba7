"""Mutated transfers through the machine that takes them in, and their differences through `apply_changes`.

What must hold for every stream of messages:

    it ends in `TransferError` or `ZoneError`, or in a result; nothing else is raised
    a result holds exactly what the messages say, read a second time by other code (`fuzz.wellformed`): the zone between
    two equal SOA records, or the differences carried out on a set of records; so nothing is ever published in part
    such a zone is one that may be served: see `_check_sound`; sent out again, it arrives as the same zone
    a stream that was signed before it was mutated gives the unmutated stream's result, or none
    a message after the last one is refused
    no message takes more than 5 ms of CPU, or 0.5 us for each of its octets where that is more (on a slower or busier
    machine four times what ordinary records take), nor does applying what came: work that outgrows its input shows
"""

import time
from collections import defaultdict
from random import Random

from fuzz.costly import streams
from fuzz.mutate import LARGEST, SIZES, Mutator
from fuzz.outcome import CORPUS, Failed, Tried, timed
from fuzz.transfer_seeds import IXFR, KEY, REQUEST_MAC, RESIGNED, SIGNED, frame, held, signed, unframe
from fuzz.wellformed import Entry, Malformed, answer_records, read_message
from support.transfer_messages import APEX, NOW, QUERY_ID

from nameserver.errors import Reason, TransferError, ZoneError
from nameserver.transfer.inbound import FullTransfer, InboundTransfer, IncrementalTransfer, Result, TransferKind
from nameserver.transfer.limits import TransferLimits
from nameserver.transfer.outbound import axfr_messages
from nameserver.wire import codes
from nameserver.wire.names import label_offsets, relative_key
from nameserver.wire.rdata import fold_rdata, read_rdata
from nameserver.wire.tsig import StreamVerifier
from nameserver.zone.changes import apply_changes
from nameserver.zone.node import HAS_CASE, find_rrset, owner_of, pack_node, unpack_node

SECONDS = 0.005  # CPU for one message, and for applying the differences of a stream
SECONDS_PER_OCTET = 0.5e-6
TIMES_ORDINARY = 4.0
LIMITS = TransferLimits()
HELD = held()
SENT_AGAIN = 0.2  # share of the zones taken that are sent out and read once more
BESIDE_CNAME = {codes.CNAME, codes.RRSIG, codes.NSEC, 24, 25, 30}

# (folded owner, type, folded rdata): what makes a record itself
Identity = tuple[bytes, int, bytes]


class Target:
    """See the head of this file."""

    name = "transfers"

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._seeds = [path.read_bytes() for path in sorted((CORPUS / "transfers").glob("*.bin"))]
        messages = [message for seed_case in self._seeds for message in unframe(seed_case)[1]]
        self._messages = messages
        self._mutator = Mutator(self._random, messages)
        self._results: dict[int, list[object]] = defaultdict(list)
        for case in self._seeds:
            first, stream = unframe(case)
            if first & SIGNED:
                self._results[first & IXFR].append(_essence(_Run(first, stream).take()))

    def step(self) -> Tried:
        first, messages = unframe(self._random.choice(self._seeds))
        if not first & SIGNED and self._random.random() < 0.2:
            first |= RESIGNED
        at, chance = self._random.randrange(len(messages)), self._random.random()
        if chance < 0.25 and not first & SIGNED:
            messages[at] = self._rearrange(messages[at])
        elif chance < 0.75:
            messages[at] = self._mutator.mutate(messages[at])
        else:
            self._disarrange(messages)
        return self.replay(frame(first, messages))

    def _rearrange(self, message: bytes) -> bytes:
        """Whole records lost, moved, doubled, or repeated until the message is full; the count fits."""
        start, records = answer_records(message)
        random = self._random
        for _ in range(random.choice((1, 1, 2, 3))):
            if not records:
                return message
            at = random.randrange(len(records))
            piece = records[at : at + random.choice((1, 1, 1, 2, 3))]
            how = random.randrange(5)
            if how < 2:
                del records[at : at + len(piece)]
            if how == 1:
                at = random.randrange(len(records) + 1)
                records[at:at] = piece
            elif how == 2:
                records[at:at] = piece
            elif how == 3:
                records[at:at] = [self._mutator.mutate(each) for each in piece]
            elif how == 4:
                size = sum(map(len, piece))
                if size:
                    records[at:at] = piece * ((random.choice(SIZES) - sum(map(len, records)) - start) // size)
        body = b"".join(records)[: LARGEST - start]
        return message[:6] + min(LARGEST, len(records)).to_bytes(2, "big") + bytes(4) + message[12:start] + body

    def _disarrange(self, messages: list[bytes]) -> None:
        """Messages lost, doubled, exchanged, from another transfer, or without their signatures."""
        at = self._random.randrange(len(messages))
        how = self._random.randrange(7)
        if how == 0:
            del messages[at]
        elif how == 1:
            messages.insert(at, messages[at])
        elif how == 2:
            other = self._random.randrange(len(messages))
            messages[at], messages[other] = messages[other], messages[at]
        elif how == 3:
            messages[at] = self._random.choice(self._messages)
        elif how == 4:
            messages.insert(at, self._random.choice(self._messages))
        elif how == 5:
            for index in range(at, len(messages)) if self._random.random() < 0.5 else (at, len(messages) - 1):
                messages[index] = _unsigned(messages[index])
            if self._random.random() < 0.7:
                messages[at] = self._mutator.mutate(messages[at])
        else:
            del messages[at + 1 :]
            messages[at] = self._mutator.mutate(messages[at])

    def replay(self, case: bytes) -> Tried:
        """Feed one stream and judge the end of it. Raises `Failed`."""
        first, messages = unframe(case)
        label = f"transfers-{'ixfr' if first & IXFR else 'axfr'}{'-signed' if first & SIGNED else ''}"
        if first & RESIGNED:
            messages = [each for each in messages if 12 <= len(each) < LARGEST - 100 and each[10:12] != b"\xff\xff"]
            messages = signed(messages)
        try:
            runs: list[_Run] = []

            def whole() -> None:
                runs.append(_Run(first, messages))
                runs[-1].take()

            _, seconds = timed(whole, SECONDS)
            run = runs[0]
            # All of a stream may well take longer than one message may: then each of them is looked at.
            if seconds > SECONDS:
                seconds = _slowest_part(runs, [len(each) for each in messages])
            if run.result is not None:
                self._judge(first, messages, run)
        except (Malformed, AssertionError) as error:
            raise Failed(str(error), label, case) from error
        except Exception as error:
            raise Failed(f"raised {error!r}", label, case) from error
        kind = "signed" if first & SIGNED else "plain"
        return Tried(f"{kind} {run.verdict}", seconds, label, case)

    def _judge(self, first: int, messages: list[bytes], run: "_Run") -> None:
        """What came of a stream that was taken."""
        if first & SIGNED:
            _claim(_essence(run.result) in self._results[first & IXFR], "a mutated signed stream had another result")
        if run.fed < len(messages):
            raise AssertionError("messages were left over")
        entries = [entry for each in messages for entry in read_message(each, tolerant=True).answers]
        if isinstance(run.result, FullTransfer):
            built = run.result.built
            _check_full(entries, run.result)
            _check_sound(built.nodes, built.apex_as_received, whole=True)
            if self._random.random() < SENT_AGAIN:
                _check_sent_again(run.result)
        elif isinstance(run.result, IncrementalTransfer) and run.applied is not None:
            merged = {**HELD.nodes, **run.applied.nodes}
            nodes = {key: node for key, node in merged.items() if node is not None}
            _claim(run.applied.soa.serial == run.result.serial, "the zone has another serial than the transfer")
            _check_differences(entries, nodes)
            _check_sound(nodes, APEX, whole=False)
            _claim(run.applied.records_delta == _records(nodes) - HELD.records, "records are miscounted")
            _claim(run.applied.size_delta == _size(nodes) - HELD.size, "the size is wrong")


class _Run:
    """One pass of a stream through everything up to what would be published."""

    def __init__(self, first: int, messages: list[bytes]) -> None:
        kind = TransferKind.IXFR if first & IXFR else TransferKind.AXFR
        verifier = StreamVerifier(KEY, REQUEST_MAC) if first & (SIGNED | RESIGNED) else None
        self._inbound = InboundTransfer(APEX, kind, QUERY_ID, 5, LIMITS, verifier)
        self._messages = messages
        self.result: Result | None = None
        self.applied = None
        self.verdict = "unfinished"
        self.fed = 0
        self.seconds: list[float] = []

    def take(self) -> Result | None:
        try:
            done = False
            for each in self._messages:
                # As the shell does: what has arrived behind the last message is fed too, and must be refused.
                self.fed += 1
                began = time.process_time()
                try:
                    done = self._inbound.feed(each, NOW) or done
                finally:
                    self.seconds.append(time.process_time() - began)
            if done:
                self._apply()
        except TransferError as error:
            self.verdict = f"refused: {error.reason}"
        except ZoneError as error:
            self.verdict = f"not applied: {error.reason}"
        return self.result

    def _apply(self) -> None:
        result = self._inbound.result()
        self.verdict = f"taken: {self._inbound.stats.got}"
        if isinstance(result, IncrementalTransfer):
            began = time.process_time()
            try:
                self.applied = apply_changes(HELD.nodes.get, result.changesets, APEX, LIMITS)
            finally:
                self.seconds.append(time.process_time() - began)
        self.result = result


def _slowest_part(runs: list[_Run], sizes: list[int]) -> float:
    """CPU seconds of a stream's most expensive message, or of applying it; the least of several runs.

    Not the median: ordinary large messages are near enough to the limit for a busy machine to carry them over it.
    """
    slowest = 0.0
    for part in range(len(runs[0].seconds)):
        seconds = min(each.seconds[part] for each in runs)
        size = sizes[part] if part < len(sizes) else sum(sizes)
        allowed = max(SECONDS, size * SECONDS_PER_OCTET)
        if seconds > allowed:  # slow, or is it the machine?
            allowed = max(allowed, size * TIMES_ORDINARY * _ordinary_seconds_per_octet())
        _claim(seconds <= allowed, f"took {seconds * 1000:.2f} ms of CPU for {size} octets")
        slowest = max(slowest, seconds)
    return slowest


def _ordinary_seconds_per_octet() -> float:
    """What a large message of ordinary records takes, on this machine and now; the least of several tries."""
    messages = streams()["ordinary"]
    least = min(timed(lambda: _Run(0, messages).take(), 0.0)[1] for _ in range(3))
    return least / sum(map(len, messages))


def _unsigned(message: bytes) -> bytes:
    """The message without its TSIG record; as it is where it has none."""
    start = message.rfind(KEY.name + b"\x00\xfa\x00\xff")
    return message if start < 0 else message[:10] + b"\0\0" + message[12:start]


def _essence(result: Result | None) -> object:
    """A result in a form that can be compared."""
    if isinstance(result, FullTransfer):
        return result.built.nodes, result.built.apex_as_received
    return result


def _records(nodes: dict[bytes, bytes]) -> int:
    return sum(rrset.rdata_count for node in nodes.values() for rrset in unpack_node(node, b""))


def _size(nodes: dict[bytes, bytes]) -> int:
    return sum(len(key) + len(node) for key, node in nodes.items())


def _identities(nodes: dict[bytes, bytes]) -> list[Identity]:
    return [
        (key + APEX, rrset.type, fold_rdata(rrset.type, rdata))
        for key, node in nodes.items()
        for rrset in unpack_node(node, b"")
        for rdata in rrset.rdatas()
    ]


def _identity(entry: Entry) -> Identity:
    return entry.owner.lower(), entry.type, fold_rdata(entry.type, entry.rdata)


def _in_zone(entry: Entry) -> bool:
    return relative_key(entry.owner.lower(), APEX) is not None


def _check_full(entries: list[Entry], result: FullTransfer) -> None:
    """The zone is what stands between the two equal SOA records, and all of it."""
    first, *middle, last = entries
    _claim(first.type == last.type == codes.SOA, "not between SOA records")
    _claim(_identity(first) == _identity(last), "the SOA records differ")
    _claim(all(entry.type != codes.SOA for entry in middle), "a third SOA")
    _claim(all(entry.rdclass == codes.IN for entry in entries), "another class")
    wanted = {_identity(entry) for entry in (first, *middle) if _in_zone(entry)}
    found = _identities(result.built.nodes)
    _claim(len(found) == len(wanted) and set(found) == wanted, "the zone is not what was sent")
    ttls: dict[tuple[bytes, int, bytes], int] = {}
    for entry in (first, *middle):
        ttl = 0 if entry.ttl >> 31 else entry.ttl
        group = entry.owner.lower(), entry.type, entry.rdata[:2] if entry.type == codes.RRSIG else b""
        ttls[group] = min(ttl, ttls.get(group, ttl))
    for key, node in result.built.nodes.items():
        for rrset in unpack_node(node, b""):
            covered = rrset.tails[10:12] if rrset.type == codes.RRSIG else b""
            _claim(rrset.ttl == ttls[key + APEX, rrset.type, covered], "a TTL is not the RRset's lowest")
    _claim(result.built.records == len(found), "records are miscounted")
    _claim(result.built.size == _size(result.built.nodes), "the size is wrong")


def _check_differences(entries: list[Entry], nodes: dict[bytes, bytes]) -> None:
    """The differences, carried out on a set of records, lead to the same records."""
    model = set(_identities(HELD.nodes))
    deleting = False
    for entry in entries[1:-1]:
        if entry.type == codes.SOA:
            deleting = not deleting
        if not _in_zone(entry):
            continue
        identity = _identity(entry)
        _claim((identity in model) == deleting or identity[0] == APEX, "a difference that does not fit was carried out")
        (model.remove if deleting else model.add)(identity)
    _claim(not deleting and _identity(entries[0]) == _identity(entries[-1]), "not between SOA records")
    _claim(set(_identities(nodes)) == model, "the differences lead to another zone")


def _check_sound(nodes: dict[bytes, bytes], apex: bytes, *, whole: bool) -> None:
    """What may be served. `whole`: nothing may lie below a DNAME either (differences may leave such names hidden)."""
    dnames = {key for key, node in nodes.items() if find_rrset(node, codes.DNAME, b"")}
    for key, node in nodes.items():
        owner = owner_of(node, key, apex)
        _claim(owner.lower() == key + APEX and len(owner) <= 255, "an owner is not its key")
        rrsets = list(unpack_node(node, b""))
        counts = {rrset.type: rrset.rdata_count for rrset in rrsets}
        _claim(node == pack_node(rrsets, owner if node[0] & HAS_CASE else None), "a node is not packed as nodes are")
        _claim(bool(node[0] & HAS_CASE) == (owner != key + apex), "the owner's case is kept wrongly")
        _claim(all(counts.get(single, 1) == 1 for single in (codes.CNAME, codes.DNAME, codes.SOA)), "not single")
        _claim(codes.CNAME not in counts or set(counts) <= BESIDE_CNAME, "data beside a CNAME")
        _claim((codes.SOA in counts) == (key == b""), "the SOA is not at the apex alone")
        for rrset in rrsets:
            _check_records(rrset)
        if whole:
            above = {key[offset:] for offset in label_offsets(key + b"\0")[1:]} | ({b""} if key else set())
            _claim(not above & dnames or set(counts) <= {codes.NSEC3, codes.RRSIG}, "data below a DNAME")
    _claim(find_rrset(nodes[b""], codes.NS, b"") is not None, "no NS at the apex")


def _check_records(rrset) -> None:
    records = list(rrset.records())
    _claim(len(records) == rrset.rdata_count, "an RRset's records are miscounted")
    for record in records:
        _claim(record.rdclass == codes.IN and record.ttl < 1 << 31, "class or TTL")
        again = read_rdata(record.rdata, 0, len(record.rdata), record.type)
        _claim(again == record.rdata, "rdata is not what it is read as")


def _check_sent_again(result: FullTransfer) -> None:
    built = result.built
    items = [(owner_of(node, key, built.apex_as_received), node) for key, node in built.nodes.items()]
    rrset = find_rrset(built.nodes[b""], codes.SOA, built.apex_as_received)
    question = APEX + b"\0\xfc\0\1"
    try:
        messages = list(axfr_messages(rrset, items, QUERY_ID, question))
    except TransferError as error:
        _claim(error.reason is Reason.LIMIT_BYTES, "a zone that was taken cannot be sent")
        return
    again = InboundTransfer(APEX, TransferKind.AXFR, QUERY_ID, None, LIMITS)
    _claim([again.feed(each, NOW) for each in messages][-1], "the zone as sent out is not whole")
    _claim(_essence(again.result()) == _essence(result), "the zone as sent out is another zone")


def _claim(truth: bool, otherwise: str) -> None:
    if not truth:
        raise AssertionError(otherwise)
