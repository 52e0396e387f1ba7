"""Answers without the pipeline: what was answered before, and what a look into the packed nodes is enough for.

`query.pipeline` is the one place that says what an answer is. This module only saves it work, in three steps, each of
which gives exactly the octets that the pipeline would give, or nothing:

    message ──▶ 1  the same octets, but for the id, were answered before           ──▶ that answer
            ──▶ 2  the question was answered before in another spelling            ──▶ that answer's records
            ──▶ 3  an ordinary question, answered by a look at the packed nodes (`query.siblings`):
                     a type without names in its rdata, also a wildcard's          ──▶ pointer and slice of the node
                     a name or type that is not there                              ──▶ the zone's negative answer
                       in a zone signed with NSEC3                                 ──▶ … and what denies it
                     below a delegation                                            ──▶ the delegation's referral
            ──▶ the pipeline; what it says is learnt for all three steps

What an answer depends on (`Depends`) decides how long it is good. Every change that a worker takes in gets the next
number of `ZoneSet.epoch`; an answer carries the number it was made under. Where that is the present one, it is good:
one comparison. Else the zone is asked whether what the answer depends on has changed since.

Step 1 compares octets as they are, so whatever a message holds (options, flags, sizes), two cannot be confused. A
message is kept there when it comes the second time, so that a flood of made-up names pushes nothing out; at once where
the pipeline was needed to answer for a name that is there, of which there are only so many. Answers kept are bounded in
number and octets; the one kept longest makes room.

Where the question's name is not all in lower case, nothing in the answer but an owner made from it points into it
(`nameserver.wire.render`), or, where that has no room, only what matches whatever the letters: what follows the
question then fits every other spelling too. A negative answer depends on the name through nothing but its length: the
SOA's names may point to the labels from the apex upwards, not below, as long as the label next below the apex is none
of theirs. A referral likewise depends on nothing but the length of a label below the delegation, as long as that is no
label of its name servers.
"""

from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import NamedTuple

from nameserver.query.counters import query_slot, response_slot
from nameserver.query.dependence import Dependence
from nameserver.query.exchange import Outcome, Repeatable
from nameserver.query.nsec3_denial import Negative, proofs, read_negative
from nameserver.query.pipeline import Pipeline
from nameserver.query.rate_limit import Told
from nameserver.query.shapes import Shape, read_shape
from nameserver.query.siblings import LONGEST_LABEL, LONGEST_NAME, Around, Negatives, Siblings, labels_in_soa, siblings
from nameserver.query.tally import Tally
from nameserver.query.zoneset import Depends, ServedZone
from nameserver.wire import codes
from nameserver.wire.names import skip_name
from nameserver.wire.rrset import split_tails
from nameserver.zone.contents import Zone
from nameserver.zone.node import HAS_CASE, HAS_CNAME, HAS_NS, HASHED_KEY, find_rrsigs, find_tails

LONGEST_ASKED = 512  # octets of a message that has a shortcut: what is in longer ones is for the pipeline
MOST_ANSWERS = 131_072
MOST_OCTETS = 32 * 1024 * 1024  # of all answers kept by step 1 and their messages
MOST_SPELLED = 65_536  # answers kept by step 2
MOST_SPELLED_OCTETS = 16 * 1024 * 1024  # of these and their messages
MOST_SHAPES = 4096
MOST_SIBLINGS = 32_768
MOST_NEGATIVES = 4096  # per zone
DOORS = 1 << 18  # places in the table of messages that came once

# An answer of step 1: epoch, address of the body, its length, number of its kind, the body. The body is the reply
# without its first two octets, the id.
Entry = tuple[int, int, int, int, bytes]

# Offsets into a message without its id.
_HEADER = 10
_POINTER = b"\xc0\x0c"  # to the question's name
_POINTER_BITS = 0xC000
_NOT_A_QUERY = 0xF8  # QR, and an opcode other than QUERY, in the first octet of the flags
_SHORTEST = _HEADER + 5  # octets of a message with a question
_COUNTS = Struct("!HHHHH")  # a header without its id


class Spelled(NamedTuple):
    """Step 2: a message and the reply to it, both around the question's name."""

    epoch: int
    header: bytes
    name_end: int
    rest: bytes  # of the message: what follows the name
    head: bytes  # flags and counts
    records: bytes  # of the reply: what follows the question
    kind: int


class Wanted(NamedTuple):
    """What the pipeline's answer to the message at hand would be learnt for, in step 3."""

    into: dict[int, Around]
    signed: tuple[dict[int, Negative], Zone, int] | None  # … instead of that; the zone, and where its apex stands
    key: int
    rcode: int


class Shortcut:
    """The steps, for one transport ("udp" or "tcp") and one address family (4 or 6).

    `entries` and `tally` are there for the loop over received messages to use directly: an entry whose epoch is
    `zones.epoch` is the answer, and is counted by `tally.counts[kind] += 1`. Whatever it does not find so it asks of
    `find`, then of the pipeline, whose outcome it shows to `learn`. Messages and answers are without their first two
    octets, the id. `locate` gives the address in memory of the octets of a bytes object, for senders that need it. With
    `cookie`, messages end in a COOKIE option without its octets, and so do answers (`nameserver.query.cookies`).
    """

    def __init__(
        self,
        pipeline: Pipeline,
        transport: str,
        family: int,
        locate: Callable[[bytes], int],
        tally: Tally,
        *,
        cookie: bool = False,
    ) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.tally = tally
        self.zones = pipeline.zones
        self.pipeline = pipeline
        self._transport = transport
        self._family = family
        self._locate = locate
        self._cookie = cookie
        # Answers no longer kept, which may be on their way; the loop clears it after sending.
        self.spent: list[Entry] = []
        self._hit_kinds: dict[tuple[ServedZone, int, Depends], int] = {}
        self._order: deque[bytes] = deque()  # the keys of `entries`, in the order they came
        self._octets = 0
        self._doors = bytearray()  # made when the first message comes: a server may never be asked over some transport
        self._shapes: dict[bytes, Shape] = {}
        self._shapes_read = 0
        self._siblings: dict[bytes, Siblings] = {}  # by message without id and label
        self._spelled: dict[bytes, Spelled] = {}  # by message in lower case
        self._spelled_octets = 0
        self._negatives: dict[ServedZone, Negatives] = {}
        self._wanted: Wanted | None = None

    # --- finding -----------------------------------------------------------------------------------------------------

    def find(self, asked: bytes) -> Entry | None:
        """The answer to a message, to be counted as its kind; None where the pipeline has to be asked."""
        epoch = self.zones.epoch
        entry = self.entries.get(asked)
        if entry is not None:
            if entry[0] == epoch:
                return entry
            if self._is_good(entry[0], entry[3], asked):
                entry = (epoch, *entry[1:])
                self.entries[asked] = entry
                return entry
        self._wanted = None
        if not _SHORTEST <= len(asked) <= LONGEST_ASKED or asked[0] & _NOT_A_QUERY or not asked[_HEADER]:
            return None  # the root is not asked for often
        low = asked.lower()
        if low != asked and (entry := self._respell(asked, low)) is not None:
            return entry
        parent_at = _HEADER + 1 + asked[_HEADER]
        rest = asked[parent_at:]
        shared = self._siblings.get(asked[:_HEADER] + low[parent_at:])
        # Types and sizes have no letter case: what follows the name has to be the same as it is.
        if shared is None or shared.epoch != epoch or parent_at > shared.longest or not rest.endswith(shared.rest):
            shared, parent_at = self._find_siblings(asked, parent_at)
        if shared is None:
            return None
        name_end = parent_at + shared.parent_size
        name = asked[_HEADER:name_end]
        folded = name.lower()
        found = self._compose(asked, shared, folded, name_end, folded != name)
        if found is None:
            return None
        body, kind = found
        entry = (epoch, self._locate(body), len(body), kind, body)
        if folded == name:
            self._keep(asked, entry)
        return entry

    def _respell(self, asked: bytes, folded: bytes) -> Entry | None:
        """Step 2. `folded` is all of the message in lower case, also what are no letters."""
        held = self._spelled.get(folded)
        if held is None or not asked.endswith(held.rest) or not asked.startswith(held.header):
            return None
        name_end = held.name_end
        if asked[_HEADER:name_end] == folded[_HEADER:name_end]:
            return None
        epoch = self.zones.epoch
        if held.epoch != epoch:
            if not self._is_good(held.epoch, held.kind, asked):
                return None
            self._spelled[folded] = held._replace(epoch=epoch)
        body = held.head + asked[_HEADER : name_end + 4] + held.records
        return epoch, self._locate(body), len(body), held.kind, body

    def allows(self, entry: Entry, asked: bytes, address: IPv4Address | IPv6Address, now: int) -> bool:
        """Whether rate limits let an answer found go to this address; if not, the pipeline says what becomes of it."""
        limiter, kind = self.pipeline.limiter, self.tally.kind(entry[3])
        if limiter is None or kind is None:
            return True
        name = kind.told_under
        if name is None:
            name = asked[_HEADER : name_end(asked)].lower()
        return limiter.allows(address, kind.told, name, now)

    def _is_good(self, made: int, number: int, asked: bytes) -> bool:
        """Whether an answer to a message that was made under an earlier epoch still holds."""
        kind = self.tally.kind(number)
        if kind is None or made < self.zones.rearranged or kind.dependence.depends is Depends.ALL:
            return False
        dependence = kind.dependence
        served = dependence.served
        if served is None:
            return False
        if dependence.depends is Depends.ZONE or served.replaced > made:
            return served.changed <= made
        name = asked[_HEADER : name_end(asked)].lower()
        return served.touched.get(name[: len(name) - len(served.name)], 0) <= made

    def _find_siblings(self, asked: bytes, parent_at: int) -> tuple[Siblings | None, int]:
        """Those that are not found at first sight, and where their parent begins."""
        end = asked.find(b"\0", parent_at) + 1
        header, rest = asked[:_HEADER], asked[end:]
        name = asked[_HEADER:end].lower()
        if name in self.zones.by_name:  # the apex of a zone: its own siblings, so to say
            return self._siblings_of(header, name, rest), _HEADER
        if asked[_HEADER] > LONGEST_LABEL or len(name) > LONGEST_NAME:
            return None, 0
        return self._siblings_of(header, name[parent_at - _HEADER :], rest), parent_at

    def _siblings_of(self, header: bytes, parent: bytes, rest: bytes) -> Siblings | None:
        """Those of a folded parent; `rest` is what follows the name."""
        octets = header + parent + rest.lower()
        zones, held = self.zones, self._siblings.get(octets)
        if held is not None and held.rest == rest and max(held.served.changed, zones.rearranged) <= held.epoch:
            held.epoch = zones.epoch
            return held
        shape = self._shape(header + rest)
        made = None if shape is None else siblings(zones, parent, rest, shape)
        # What does not exist has no end: only the siblings of a name that does are kept.
        if made is not None and made.encloser == made.key:
            if len(self._siblings) >= MOST_SIBLINGS:
                self._siblings.clear()
            self._siblings[octets] = made
        return made

    def _shape(self, octets: bytes) -> Shape | None:
        """What the octets around the name mean; None where that is not ordinary."""
        shape = self._shapes.get(octets)
        if shape is None:
            self._shapes_read += 1
            settings, cookie = self.pipeline.settings, self._cookie
            shape = read_shape(octets, self._shapes_read, self._transport, settings, cookie=cookie)
            if shape is not None:
                if len(self._shapes) >= MOST_SHAPES:
                    self._shapes.clear()
                self._shapes[octets] = shape
        return shape

    def _compose(
        self, asked: bytes, shared: Siblings, name: bytes, name_end: int, spelled: bool
    ) -> tuple[bytes, int] | None:
        """Step 3: (body, number of its kind). `name` is folded, `name_end` its end in `asked`."""
        if shared.cut is not None:
            return self._referral(asked, shared, name, name_end, spelled)
        key = name[: -shared.apex_size]
        node = shared.nodes.get(key)
        if node is None:
            if key in shared.descendants:
                return self._negative(asked, shared, name, name_end, codes.NOERROR, spelled)
            node = shared.wildcard
            if node is None:
                rcode = codes.NOERROR if shared.wildcard_exists else codes.NXDOMAIN
                return self._negative(asked, shared, name, name_end, rcode, spelled)
            if shared.signed or node[0] & (HAS_CASE | HAS_CNAME):
                return None
            depends = Depends.ZONE
        elif node[0] & (HAS_CASE | HAS_CNAME) or (key and node[0] & HAS_NS) or len(key) == HASHED_KEY:
            return None
        else:
            depends = Depends.NODE
        there = find_tails(node, shared.shape.qtype)
        if there is None:
            return self._negative(asked, shared, name, name_end, codes.NOERROR, spelled)
        if not shared.plain or not self.pipeline.settings.minimal_responses:
            return None
        count, tails = there
        owner = pointer = _POINTER
        if spelled and depends is Depends.NODE:
            owner, pointer = name, (_POINTER_BITS | name_end + 6).to_bytes(2, "big")
        records = owner + tails if count == 1 else owner + pointer.join(split_tails(tails))
        if shared.signed and (signatures := find_rrsigs(node, shared.shape.qtype, b"")) is not None:
            records += pointer + pointer.join(split_tails(signatures.tails))
            count += signatures.rdata_count
        found = self._hit(asked, shared, name_end + 4, count, records, depends)
        if found is not None and spelled and depends is Depends.NODE:
            self._keep_spelled(asked, name_end, *found)
        return found

    def _hit(
        self, asked: bytes, shared: Siblings, question_end: int, count: int, records: bytes, depends: Depends
    ) -> tuple[bytes, int] | None:
        """The records at the very name, or (`depends` is ZONE) of the wildcard that stands in for it."""
        shape = shared.shape
        opt = shape.opt
        if 2 + question_end + len(records) + len(opt) > shape.limit:
            return None
        number = self._hit_kinds.get((shared.served, shape.qtype, depends))
        if number is None:
            number = self._hit_kinds[shared.served, shape.qtype, depends] = self.tally.number(
                Repeatable(
                    query_slot(self._transport, self._family, codes.QUERY, shape.qtype),
                    response_slot(codes.NOERROR, self._transport, False),
                    False,
                    Dependence(shared.served, depends, True),
                    Told.POSITIVE,
                    None if depends is Depends.NODE else shared.served.name,
                )
            )
        head = _COUNTS.pack(shape.flags, 1, count, 0, 1 if opt else 0)
        return head + asked[_HEADER:question_end] + records + opt, number

    def _negative(
        self, asked: bytes, shared: Siblings, name: bytes, name_end: int, rcode: int, spelled: bool
    ) -> tuple[bytes, int] | None:
        """The zone's negative answer to this shape and length of question; noted as wanted where it is not known."""
        negatives = shared.negatives
        if negatives is None:
            negatives = shared.negatives = self._negatives_of(shared)
        if (shared.below_apex or name[: name[0] + 1]) in negatives.soa_labels:
            return None
        key = (shared.shape.number << 4 | rcode) << 9 | len(name) << 1 | spelled
        if shared.signed:
            if rcode != codes.NXDOMAIN or shared.proofs is None:
                return None
            return self._denial(asked, shared, name, name_end, spelled, negatives, key)
        held = negatives.answers.get(key)
        if held is None:
            self._wanted = Wanted(negatives.answers, None, key, rcode)
            return None
        return held.head + asked[_HEADER : name_end + 4] + held.records, held.kind

    def _negatives_of(self, shared: Siblings) -> Negatives:
        """Those of the siblings' zone, as it is now."""
        served = shared.served
        held = self._negatives.get(served)
        if held is None or max(served.changed, self.zones.rearranged) > held.epoch:
            held = self._negatives[served] = Negatives(self.zones.epoch, labels_in_soa(shared.zone), {}, {})
        return held

    def _denial(
        self,
        asked: bytes,
        shared: Siblings,
        name: bytes,
        name_end: int,
        spelled: bool,
        negatives: Negatives,
        number: int,
    ) -> tuple[bytes, int] | None:
        """The same with the NSEC3 records that deny the name, for clients that want to see it proved."""
        held, key = negatives.signed.get(number), name[: -shared.apex_size]
        if held is None:
            apex_at = 0 if spelled else _HEADER + 2 + len(key)
            self._wanted = Wanted(negatives.answers, (negatives.signed, shared.zone, apex_at), number, codes.NXDOMAIN)
            return None
        if shared.proofs is None:
            return None
        denying = shared.proofs.nxdomain(key, shared.encloser)
        told = proofs(shared.zone, denying, held.apex_pointer, name_end + 6 + len(held.records))
        if told is None:
            return None
        count, records = told
        shape = shared.shape
        head = _COUNTS.pack(held.flags, 1, 0, held.records_count + count, 1)
        body = b"".join((head, asked[_HEADER : name_end + 4], held.records, records, shape.opt))
        return (body, held.kind) if len(body) + 2 <= shape.limit else None

    def _referral(
        self, asked: bytes, shared: Siblings, name: bytes, name_end: int, spelled: bool
    ) -> tuple[bytes, int] | None:
        """The referral at or above the parent."""
        if name[: name[0] + 1] in shared.taken:
            return None
        key = len(name) << 1 | spelled
        held = shared.referrals.get(key)
        if held is None:
            self._wanted = Wanted(shared.referrals, None, key, codes.NOERROR)
            return None
        return held.head + asked[_HEADER : name_end + 4] + held.records, held.kind

    # --- learning ----------------------------------------------------------------------------------------------------

    def learn(self, asked: bytes, outcome: Outcome) -> None:
        """Keep what the pipeline said to a message for which `find` had nothing; call it right after that."""
        repeatable, reply, wanted = outcome.repeatable, outcome.reply, self._wanted
        self._wanted = None
        if repeatable is None or reply is None or outcome.cookie or len(asked) > LONGEST_ASKED:
            return
        number = self.tally.number(repeatable)
        end = name_end(asked)
        answer = Around(self.zones.epoch, reply[2 : _HEADER + 2], reply[end + 6 :], number)
        question = asked[_HEADER:end]
        name = question.lower()
        if wanted is not None:
            self._learn_wanted(wanted, reply, end + 6, answer)
        elif name == question:
            body = reply[2:]
            entry = (self.zones.epoch, self._locate(body), len(body), number, body)
            self._keep(asked, entry, at_once=_is_there(repeatable.dependence.served, name))
        elif repeatable.dependence.any_spelling:
            self._keep_spelled(asked, end, reply[2:], number)

    @staticmethod
    def _learn_wanted(wanted: Wanted, reply: bytes, question_end: int, answer: Around) -> None:
        if reply[3] & 15 != wanted.rcode:
            return
        if wanted.signed is None:
            if len(wanted.into) >= MOST_NEGATIVES:
                wanted.into.clear()
            wanted.into[wanted.key] = answer
        elif not reply[2] & codes.TC >> 8:
            into, zone, apex_at = wanted.signed
            negative = read_negative(reply, question_end, zone, apex_at, answer.kind)
            if negative is not None and len(into) < MOST_NEGATIVES:
                into[wanted.key] = negative

    def _keep_spelled(self, asked: bytes, name_end: int, body: bytes, kind: int) -> None:
        """Keep an answer for step 2."""
        self._spelled_octets += len(asked) + len(body)
        if len(self._spelled) >= MOST_SPELLED or self._spelled_octets > MOST_SPELLED_OCTETS:
            self._spelled.clear()
            self._spelled_octets = 0
        header, rest, records = asked[:_HEADER], asked[name_end:], body[name_end + 4 :]
        self._spelled[asked.lower()] = Spelled(self.zones.epoch, header, name_end, rest, body[:_HEADER], records, kind)

    def _keep(self, asked: bytes, entry: Entry, *, at_once: bool = False) -> None:
        """Keep an answer for step 1: `at_once`, or if its message came before, to our knowledge."""
        entries = self.entries
        held = entries.get(asked)
        if held is not None:
            self._octets += entry[2] - held[2]
            self.spent.append(held)
            entries[asked] = entry
            return
        if not at_once:
            if not self._doors:
                self._doors = bytearray(DOORS)
            number = hash(asked)
            place, mark = number & (DOORS - 1), number >> 20 & 0xFF | 1
            if self._doors[place] != mark:
                self._doors[place] = mark
                return
        entries[asked] = entry
        self._order.append(asked)
        self._octets += len(asked) + entry[2]
        while len(entries) > MOST_ANSWERS or self._octets > MOST_OCTETS:
            first = self._order.popleft()
            gone = entries.pop(first)
            self._octets -= len(first) + gone[2]
            self.spent.append(gone)

    def forget(self) -> None:
        """Begin afresh, as the tally does; zones that are gone are not held on to. Nothing may be on its way."""
        self._octets = 0
        # The same objects stay: the loop over messages may hold them.
        self.entries.clear()
        self.spent.clear()
        self._hit_kinds.clear()
        self._order.clear()
        self._siblings.clear()
        self._spelled.clear()
        self._spelled_octets = 0
        self._negatives.clear()


def name_end(asked: bytes) -> int:
    """Where the question's name ends, of a message that was parsed. A label may hold a zero."""
    return skip_name(asked, _HEADER)


def _is_there(served: ServedZone | None, name: bytes) -> bool:
    """Whether the zone has records at this name."""
    return served is not None and served.zone is not None and name[: len(name) - len(served.name)] in served.zone.nodes
