"""Answers without the pipeline: what was answered before, and what a look into the packed nodes is enough for.

`query.pipeline` is the one place that says what an answer is. This module only saves it work, in three steps, each of
which gives exactly the octets that the pipeline would give, or nothing:

    message ──▶ 1  the same octets, but for the id, were answered before           ──▶ that answer
            ──▶ 2  an ordinary question, answered by a look at the packed nodes:
                     a type without names in its rdata                             ──▶ pointer and slice of the node
                     a name or type that is not there                              ──▶ the zone's negative answer
            ──▶ 3  the question was answered before in another spelling            ──▶ that answer's records
            ──▶ the pipeline; what it says is learnt for all three steps

What an answer depends on (`Depends`) decides how long it is good. Every change that a worker takes in gets the next
number of `ZoneSet.epoch`; an answer carries the number it was made under. Where that is the present one, it is good:
one comparison. Else the zone is asked whether what the answer depends on has changed since.

Step 1 compares octets as they are, so whatever a message holds (options, flags, sizes), two cannot be confused. A
message is kept there when it comes the second time, so that a flood of made-up names pushes nothing out. Answers kept
are bounded in number and octets; the one kept longest makes room.

Where the question's name is not all in lower case, nothing in the answer but an owner made from it points into it
(`nameserver.wire.render`): what follows the question then fits every other spelling too, for steps 2 and 3. Where it is
all in lower case, a negative answer depends on it through nothing but its length: the SOA's names may point to the
labels from the apex upwards, not below, as long as the label next below the apex is none of theirs.
"""

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

from nameserver.query.counters import TCP, UDP, query_slot, response_slot
from nameserver.query.dependence import Dependence
from nameserver.query.exchange import Outcome, Repeatable
from nameserver.query.pipeline import LARGEST_MESSAGE, PLAIN_UDP_SIZE, Pipeline
from nameserver.query.zoneset import Depends, ServedZone, ZoneState
from nameserver.wire import codes
from nameserver.wire.edns import DO, pack_opt
from nameserver.wire.names import read_name, relative_key
from nameserver.wire.render import ECHOED
from nameserver.wire.rrset import split_tails
from nameserver.zone.contents import Zone
from nameserver.zone.node import HAS_CASE, HAS_CNAME, HAS_DNAME, HAS_NS, HASHED_KEY

MOST_ANSWERS = 131_072
MOST_OCTETS = 32 * 1024 * 1024  # of all answers kept by step 1
MOST_SPELLED = 32_768  # answers kept by step 3
MOST_SHAPES = 4096
MOST_KINDS = 65_536
DOORS = 1 << 18  # places in the table of messages that came once

UNCOUNTED = 0  # the kind of what is counted elsewhere

# An answer of step 1: epoch, address of the body, its length, number of its kind, the body. The body is the reply
# without its first two octets, the id.
Entry = tuple[int, int, int, int, bytes]

_HEADER = 12
_BLOCK = Struct("!IH")  # as in zone.node: size of an RRset's tails, number of records
_OPT_FIXED = 11  # octets of an OPT record without options
_POINTER = b"\xc0\x0c"  # to the question's name
_NOT_A_QUERY = 0xF800  # QR, and an opcode other than QUERY
_TLSA, _SSHFP, _CAA = 52, 44, 257
# Types whose answer is the RRset and nothing else: no names to compress, nothing to add.
_PLAIN = frozenset({codes.A, codes.AAAA, codes.TXT, _SSHFP, _TLSA, _CAA})
# Types that need more than a look to say whether they are there, or where to look.
_INVOLVED = frozenset({codes.DS, codes.RRSIG, codes.NSEC, codes.NSEC3, codes.OPT, codes.NXNAME})
_FIRST_META, _LAST_META = 128, 255  # RFC 6895 §3.1: QTYPEs and meta-types
_COUNTS = Struct("!HHHHH")  # a header without its id
_WHOLLY_PLAIN_HEADER = b"\0\1\0\0\0\0\0"  # one question, nothing in answer and authority, at most 255 additional


class Shape(NamedTuple):
    """Everything in a message but id and name, understood."""

    number: int
    qtype: int
    type_octets: bytes
    flags: int  # of an authoritative reply of ours
    opt: bytes  # ours, or nothing
    limit: int  # octets of the reply
    dnssec: bool


class Spelled(NamedTuple):
    """Step 3: a reply around its question, and what it was made under."""

    epoch: int
    head: bytes  # flags and counts
    records: bytes  # what follows the question
    kind: int


# Number of the shape, RCODE, length of the name, and whether that is not all in lower case.
NegativeKey = tuple[int, int, int, bool]


class Negatives(NamedTuple):
    """A zone's negative answers as of an epoch."""

    epoch: int
    soa_labels: frozenset[bytes]  # the labels next below the apex of the names in the SOA
    answers: dict[NegativeKey, Spelled]


class Shortcut:
    """The steps, for one transport ("udp" or "tcp") and one address family (4 or 6).

    `entries` and `tally` are there for the loop over received messages to use directly: an entry whose epoch is
    `zones.epoch` is the answer, and is counted by `tally[kind] += 1`. Whatever it does not find so it asks of `find`,
    then of the pipeline, whose outcome it shows to `learn`. `locate` gives the address in memory of the octets of a
    bytes object, for senders that need it.
    """

    def __init__(self, pipeline: Pipeline, transport: str, family: int, locate: Callable[[bytes], int]) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.tally: list[int] = [0]
        self.zones = pipeline.zones
        self.pipeline = pipeline
        self._transport = transport
        self._family = family
        self._locate = locate
        self.spent: list[
            Entry
        ] = []  # answers no longer kept, which may be on their way; the loop clears it after sending
        self._kinds: list[Repeatable | None] = [None]
        self._numbers: dict[Repeatable, int] = {}
        self._hit_kinds: dict[tuple[ServedZone, int], int] = {}
        self._arranged = self.zones.rearranged
        self._order: deque[bytes] = deque()  # the keys of `entries`, in the order they came
        self._octets = 0
        self._doors = bytearray()  # made when the first message comes: a server may never be asked over some transport
        self._shapes: dict[bytes, Shape | None] = {}
        self._spelled: dict[bytes, Spelled] = {}
        self._negatives: dict[ServedZone, Negatives] = {}
        self._wanted: tuple[dict[NegativeKey, Spelled], NegativeKey] | None = None

    # --- finding -----------------------------------------------------------------------------------------------------

    def find(self, packet: bytes) -> Entry | None:
        """The answer to a message, to be counted as its kind; None where the pipeline has to be asked."""
        key = packet[2:]
        epoch = self.zones.epoch
        entry = self.entries.get(key)
        if entry is not None:
            if entry[0] == epoch:
                return entry
            if self._is_good(entry[0], entry[3], key):
                entry = (epoch, *entry[1:])
                self.entries[key] = entry
                return entry
        self._wanted = None
        if self.pipeline.limiter is not None:
            return None  # what is sent depends on who asks, and how often
        name_end = packet.find(b"\0", _HEADER) + 1
        if not name_end:
            return None
        question = packet[_HEADER:name_end]
        name = question.lower()
        found = self._compose(packet, name, name_end, name != question)
        if found is None and name != question:
            found = self._respell(packet, name, name_end)
        if found is None:
            return None
        body, kind = found
        entry = (epoch, self._locate(body), len(body), kind, body)
        if name == question:
            self._keep(key, entry)
        return entry

    def _is_good(self, made: int, number: int, key: bytes) -> bool:
        """Whether an answer made under an earlier epoch still holds; `key` is its message without the id."""
        kind = self._kinds[number]
        if kind is None or made < self.zones.rearranged or kind.dependence.depends is Depends.ALL:
            return False
        dependence = kind.dependence
        served = dependence.served
        if served is None:
            return False
        if dependence.depends is Depends.ZONE or served.replaced > made:
            return served.changed <= made
        name = key[10 : key.index(0, 10) + 1].lower()
        return served.touched.get(name[: len(name) - len(served.name)], 0) <= made

    def _compose(self, packet: bytes, name: bytes, name_end: int, spelled: bool) -> tuple[bytes, int] | None:
        """Step 2: (body, number of its kind)."""
        shape = self._shape(packet, name_end)
        if shape is None:
            return None
        by_name = self.zones.by_name
        offset, size = 0, len(name)
        while (served := by_name.get(name[offset:])) is None:
            length = name[offset]
            offset += length + 1
            if length > 63 or offset >= size:
                return None
        zone = served.zone
        if zone is None or served.state is not ZoneState.SERVING or size > 255 or size == 1:
            return None
        if zone.apex_as_received != served.name or (shape.dnssec and zone.denial is not None):
            return None
        key = name[:offset]
        node = zone.nodes.get(key)
        encloser = _encloser(zone, key)
        if encloser is None or len(key) == HASHED_KEY or len(encloser) == HASHED_KEY:
            return None  # below a delegation or a DNAME; or perhaps an owner of NSEC3, which is no name of the zone
        if node is None:
            if key in zone.descendants:
                return self._negative(packet, served, zone, shape, name, key, codes.NOERROR, spelled)
            asterisk = b"\x01*" + encloser
            if asterisk in zone.nodes or asterisk in zone.descendants:
                return None
            return self._negative(packet, served, zone, shape, name, key, codes.NXDOMAIN, spelled)
        flags = node[0]
        if flags & (HAS_CASE | HAS_CNAME) or (key and flags & HAS_NS):
            return None
        start, end, wanted = 1, len(node), shape.type_octets
        while start < end:
            size, count = _BLOCK.unpack_from(node, start)
            start += 6
            if node[start : start + 2] == wanted:
                if shape.qtype not in _PLAIN or not self.pipeline.settings.minimal_responses:
                    return None
                return self._hit(packet, served, shape, name, node[start : start + size], count, spelled)
            start += size
        return self._negative(packet, served, zone, shape, name, key, codes.NOERROR, spelled)

    def _shape(self, packet: bytes, name_end: int) -> Shape | None:
        """What the octets around the name mean; None where that is not ordinary."""
        octets = packet[2:_HEADER] + packet[name_end:]
        try:
            return self._shapes[octets]
        except KeyError:
            if len(self._shapes) >= MOST_SHAPES:
                return None  # whoever sends that many combinations can wait
            shape = self._shapes[octets] = self._read_shape(octets, len(self._shapes))
            return shape

    def _read_shape(self, octets: bytes, number: int) -> Shape | None:
        flags = octets[0] << 8 | octets[1]
        edns = octets[9]
        if flags & _NOT_A_QUERY or octets[2:9] != _WHOLLY_PLAIN_HEADER or edns > 1:
            return None
        if len(octets) != 14 + edns * _OPT_FIXED or octets[12:14] != codes.IN.to_bytes(2, "big"):
            return None
        qtype = octets[10] << 8 | octets[11]
        if qtype in _INVOLVED or _FIRST_META <= qtype <= _LAST_META:
            return None
        opt, limit, sent = b"", PLAIN_UDP_SIZE, octets[14:]
        largest = self.pipeline.settings.max_udp_size
        dnssec = False
        if edns:
            # Owner the root, type, VERSION 0 (RFC 6891 §6.1.2); size and flags may be any. No options.
            if sent[:3] != b"\0\0\x29" or sent[6] or sent[9] or sent[10]:
                return None
            dnssec = sent[7] & DO >> 8 != 0
            opt = pack_opt(largest, 0, 0, DO if dnssec else 0, ())
            limit = min(max(PLAIN_UDP_SIZE, sent[3] << 8 | sent[4]), largest)
        if self._transport == TCP:
            limit = LARGEST_MESSAGE
        flags = codes.QR | codes.AA | flags & ECHOED
        return Shape(number, qtype, octets[10:12], flags, opt, limit, dnssec)

    def _hit(
        self, packet: bytes, served: ServedZone, shape: Shape, name: bytes, tails: bytes, count: int, spelled: bool
    ) -> tuple[bytes, int] | None:
        """The RRset at the very name."""
        question_end = _HEADER + len(name) + 4
        owner, pointer = _POINTER, _POINTER
        if spelled:
            owner, pointer = name, (0xC000 | question_end).to_bytes(2, "big")
        records = owner + tails if count == 1 else owner + pointer.join(split_tails(tails))
        opt = shape.opt
        if question_end + len(records) + len(opt) > shape.limit:
            return None
        head = _COUNTS.pack(shape.flags, 1, count, 0, 1 if opt else 0)
        number = self._hit_kinds.get((served, shape.number))
        if number is None:
            number = self._hit_kinds[served, shape.number] = self._number(
                Repeatable(
                    query_slot(self._transport, self._family, codes.QUERY, shape.qtype),
                    response_slot(codes.NOERROR, self._transport, False),
                    False,
                    Dependence(served, Depends.NODE, True),
                )
            )
        return head + packet[_HEADER:question_end] + records + opt, number

    def _negative(
        self,
        packet: bytes,
        served: ServedZone,
        zone: Zone,
        shape: Shape,
        name: bytes,
        key: bytes,
        rcode: int,
        spelled: bool,
    ) -> tuple[bytes, int] | None:
        """The zone's negative answer to this shape and length of question; noted as wanted where it is not known."""
        negatives = self._negatives.get(served)
        if negatives is None or served.changed > negatives.epoch or self.zones.rearranged > negatives.epoch:
            negatives = Negatives(self.zones.epoch, _soa_labels(zone), {})
            self._negatives[served] = negatives
        if key and not spelled and _label_below_apex(key) in negatives.soa_labels:
            return None
        negative_key = (shape.number, rcode, len(name), spelled)
        held = negatives.answers.get(negative_key)
        if held is None:
            self._wanted = negatives.answers, negative_key
            return None
        return held.head + packet[_HEADER : _HEADER + len(name) + 4] + held.records, held.kind

    def _respell(self, packet: bytes, name: bytes, name_end: int) -> tuple[bytes, int] | None:
        """Step 3: (body, number of its kind)."""
        key = packet[2:_HEADER] + name + packet[name_end:]
        held = self._spelled.get(key)
        if held is None:
            return None
        epoch = self.zones.epoch
        if held.epoch != epoch:
            if not self._is_good(held.epoch, held.kind, key):
                return None
            self._spelled[key] = held._replace(epoch=epoch)
        return held.head + packet[_HEADER : name_end + 4] + held.records, held.kind

    # --- learning ----------------------------------------------------------------------------------------------------

    def learn(self, packet: bytes, outcome: Outcome) -> None:
        """Keep what the pipeline said to a message for which `find` had nothing; call it right after that."""
        repeatable, reply, wanted = outcome.repeatable, outcome.reply, self._wanted
        self._wanted = None
        if repeatable is None or reply is None:
            return
        number = self._number(repeatable)
        name_end = packet.index(b"\0", _HEADER) + 1
        answer = Spelled(self.zones.epoch, reply[2:_HEADER], reply[name_end + 4 :], number)
        question = packet[_HEADER:name_end]
        name = question.lower()
        if wanted is not None:
            answers, key = wanted
            if reply[3] & 15 == key[1] and len(answers) < MOST_SHAPES:
                answers[key] = answer
        elif name == question:
            body = reply[2:]
            self._keep(packet[2:], (self.zones.epoch, self._locate(body), len(body), number, body))
        elif repeatable.dependence.any_spelling:
            if len(self._spelled) >= MOST_SPELLED:
                self._spelled.clear()
            self._spelled[packet[2:_HEADER] + name + packet[name_end:]] = answer

    def _keep(self, key: bytes, entry: Entry) -> None:
        """Keep an answer for step 1 if its message came before, to our knowledge."""
        entries = self.entries
        held = entries.get(key)
        if held is not None:
            self._octets += entry[2] - held[2]
            self.spent.append(held)
            entries[key] = entry
            return
        if not self._doors:
            self._doors = bytearray(DOORS)
        number = hash(key)
        place, mark = number & (DOORS - 1), number >> 20 & 0xFF | 1
        if self._doors[place] != mark:
            self._doors[place] = mark
            return
        entries[key] = entry
        self._order.append(key)
        self._octets += entry[2]
        while len(entries) > MOST_ANSWERS or self._octets > MOST_OCTETS:
            gone = entries.pop(self._order.popleft())
            self._octets -= gone[2]
            self.spent.append(gone)

    def _number(self, kind: Repeatable) -> int:
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
            self.tally.append(0)
        return number

    # --- counting ----------------------------------------------------------------------------------------------------

    def count(self) -> None:
        """Add what was answered since the last time to the counters of the pipeline and of the zones."""
        counters, tally = self.pipeline.counters, self.tally
        self.spent.clear()
        for number, answered in enumerate(tally):
            if not answered:
                continue
            tally[number] = 0
            kind = self._kinds[number]
            if kind is None:
                continue
            counters[kind.query_slot] += answered
            counters[kind.response_slot] += answered
            served = kind.dependence.served
            if served is not None and kind.control:
                served.control_queries += answered
            elif served is not None:
                served.queries += answered
        if self._arranged != self.zones.rearranged or len(self._kinds) > MOST_KINDS:
            self._forget()

    def _forget(self) -> None:
        """Begin afresh; zones that are gone are not held on to."""
        self._arranged = self.zones.rearranged
        self._octets = 0
        # The same objects stay: the loop over messages may hold them.
        self.entries.clear()
        self.tally[:] = [0]
        self._kinds[:] = [None]
        self._numbers.clear()
        self._hit_kinds.clear()
        self._order.clear()
        self._spelled.clear()
        self._negatives.clear()


class Shortcuts:
    """The shortcuts of one process, by transport and address family. `locate` as for `Shortcut`."""

    made = Shortcut

    def __init__(self, pipeline: Pipeline, locate: Callable[[bytes], int]) -> None:
        self._all = {
            (transport, version): self.made(pipeline, transport, version, locate)
            for transport in (UDP, TCP)
            for version in (4, 6)
        }

    def of(self, transport: str, version: int) -> Shortcut:
        """The one for "udp" or "tcp", and IP version 4 or 6."""
        return self._all[transport, version]

    def count(self) -> None:
        """Bring the counters up to date."""
        for each in self._all.values():
            each.count()


def _encloser(zone: Zone, key: bytes) -> bytes | None:
    """The nearest name above `key` that exists; None where a delegation or a DNAME is above it. The apex for itself."""
    encloser = None
    nodes = zone.nodes
    while key:
        key = key[key[0] + 1 :]
        node = nodes.get(key)
        if node is not None:
            if node[0] & (HAS_NS | HAS_DNAME) and (key or node[0] & HAS_DNAME):
                return None
            if encloser is None:
                encloser = key
        elif encloser is None and key in zone.descendants:
            encloser = key
    return encloser or b""


def _soa_labels(zone: Zone) -> frozenset[bytes]:
    """The labels next below the apex of the names in the zone's SOA."""
    rdata = next(zone.soa.rdatas()).lower()
    mname, offset = read_name(rdata, 0)
    rname, _ = read_name(rdata, offset)
    keys = (relative_key(name, zone.apex) for name in (mname, rname))
    return frozenset(_label_below_apex(key) for key in keys if key)


def _label_below_apex(key: bytes) -> bytes:
    while len(key) > key[0] + 1:
        key = key[key[0] + 1 :]
    return key
