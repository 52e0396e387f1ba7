"""Ordinary questions answered by a look at the packed nodes, octet for octet as the pipeline would.

    a type without names in its rdata, also a wildcard's          ──▶ pointer and slice of the node
    a name or type that is not there                              ──▶ the zone's negative answer
      in a zone signed with NSEC3                                 ──▶ … and what denies it
    at or below a delegation                                      ──▶ the delegation's referral
    anything else                                                 ──▶ nothing: the pipeline has to be asked

Everything about a question but the labels below its zone's apex is understood once, as a `View` (`query.views`); most
questions find theirs, and what they ask for, in two looks into a dict. No object outlives its answer, whatever
names are asked for.

Where the question's name is not all in lower case, nothing in the answer but an owner made from it points into it
(`nameserver.wire.render`), or, where that has no room, only what matches whatever the letters: what follows the
question then fits every other spelling too. A negative answer depends on the name through nothing but its length: the
SOA's names may point to the labels from the apex upwards, not below, as long as the label next below the apex is none
of theirs. It is learnt from the pipeline's. A referral likewise moves with the question (`query.referrals`).
"""

from typing import NamedTuple

from nameserver.query.counters import query_slot, response_slot
from nameserver.query.dependence import Dependence
from nameserver.query.exchange import Repeatable
from nameserver.query.nsec3_denial import proofs, read_negative
from nameserver.query.pipeline import Pipeline
from nameserver.query.rate_limit import Told
from nameserver.query.referrals import refer
from nameserver.query.shapes import read_shape
from nameserver.query.siblings import Sibling, Siblings
from nameserver.query.tally import Tally
from nameserver.query.views import (
    ALONE,
    HEADER,
    LONGEST_LABEL,
    LONGEST_NAME,
    Around,
    Remembered,
    View,
    can_be_seen,
)
from nameserver.query.zoneset import Depends, ServedZone
from nameserver.wire import codes
from nameserver.wire.names import last_label
from nameserver.wire.rrset import split_tails
from nameserver.zone.lookup import ASTERISK
from nameserver.zone.node import (
    HAS_CASE,
    HAS_CNAME,
    HAS_DNAME,
    HAS_NS,
    HASHED_KEY,
    PLAIN,
    SINGLES,
    find_rrsigs,
    find_tails,
)

MOST_VIEWS = 16_384
MOST_NEGATIVES = 16_384  # answers, of all views
MOST_REFERRALS = 32 * 1024 * 1024  # octets, of all zones
_REFERRAL_BESIDE = 500  # octets of memory that a referral kept takes besides its own, …
_LENGTH_BESIDE = 100  # … and each length of question that it is kept for
_LONGEST_ASKED = 512  # octets of a message that is looked at
_SHORTEST = HEADER + 5  # octets of a message with a question
_NOT_A_QUERY = 0xF8  # QR, and an opcode other than QUERY, in the first octet of the flags
_POINTER = b"\xc0\x0c"  # to the question's name
_POINTER_BITS = 0xC000
_REDIRECTING = HAS_NS | HAS_DNAME
_NO_LABEL = b"\0"
_NOT_PLAIN = HAS_CASE | HAS_CNAME | HAS_NS

_ALWAYS_FITS = 128  # octets of rdata: one such record has room in any reply, whatever the name's length

# Slices written down: to make one costs as much as to cut by it.
_BEFORE = slice(HEADER)  # what is before the question
_FIRST_TYPE = slice(3)  # of a node: what it has, and the first RRset's type
# By size of rdata: a node's first record.
_FIRST_RECORDS = tuple(slice(1, 11 + size) for size in range(_ALWAYS_FITS + 1))
# By the length of the question's first label: it, what follows it, where that begins.
_LABELS = tuple(
    (slice(HEADER, HEADER + 1 + length), slice(HEADER + 1 + length, None), HEADER + 1 + length) for length in range(256)
)

# A reply without its id, and the number of its kind.
Composed = tuple[bytes, int]


class Wanted(NamedTuple):
    """What the pipeline's answer to the message at hand would be learnt for."""

    view: View
    key: int
    rcode: int
    apex_at: int  # where the apex stands in the question, for an answer with proofs; -1 for one without


class Composer:
    """Answers for one transport ("udp" or "tcp") and one address family (4 or 6); `cookie` as for `Shortcut`.

    `wanted` is what the answer to the last message would be learnt for, where `compose` has to ask for that.
    """

    def __init__(self, pipeline: Pipeline, transport: str, family: int, tally: Tally, *, cookie: bool) -> None:
        self._pipeline = pipeline
        self._zones = pipeline.zones
        self._transport, self._family, self._cookie = transport, family, cookie
        self._tally = tally
        self._views: dict[bytes, dict[bytes, View]] = {}  # by header, by what follows the labels below the apex
        self._views_kept = self._negatives_kept = self._referral_octets = 0
        self._remembered: dict[ServedZone, Remembered] = {}
        self._siblings = (Siblings(), Siblings())  # the latter of questions not all in lower case
        self.wanted: Wanted | None = None

    def forget(self) -> None:
        """Begin afresh, as the tally does; zones that are gone are not held on to."""
        self._views.clear()
        self._views_kept = self._negatives_kept = self._referral_octets = 0
        self._remembered.clear()
        for siblings in self._siblings:
            siblings.forget()
        self.wanted = None

    # --- finding what is asked about ---------------------------------------------------------------------------------

    def compose(self, asked: bytes) -> Composed | None:
        """The answer to a message without its id, and the number of its kind; None where the pipeline has to be asked.

        Here a name in lower case, one label below its zone's apex, which is most of the traffic.
        """
        self.wanted = None
        views = self._views.get(asked[_BEFORE])
        if views is None or len(asked) < _SHORTEST:
            return self._compose_any(asked)
        label, after_label, parent_at = _LABELS[asked[HEADER]]
        view = views.get(asked[after_label])
        if view is None:
            return self._compose_below(asked, views, label, parent_at)
        if view.epoch != self._zones.epoch or parent_at > view.longest:
            return self._compose_any(asked)
        key = asked[label]
        node = view.nodes.get(key)
        if node is not None:  # then it is in lower case, as the keys are
            if node[_FIRST_TYPE] == view.single and not node[9] and (size := node[10]) <= _ALWAYS_FITS:
                record = node[_FIRST_RECORDS[size]]
                return b"".join((view.head, asked[view.question], _POINTER, record, view.opt)), view.hit_kind
            if (second := _second_record(node, view)) is not None:
                return b"".join((view.head, asked[view.question], _POINTER, second, view.opt)), view.hit_kind
            return self._present(asked, view, key, node, False)
        folded = key.lower()
        if folded != key and (node := view.nodes.get(folded)) is not None:
            return self._present(asked, view, folded, node, True)
        return self._absent(asked, view, folded, b"", folded != key)

    def _compose_below(self, asked: bytes, views: dict[bytes, View], label: slice, at: int) -> Composed | None:
        """The same for a name further below its zone's apex, or in another spelling; `at` is past its first label."""
        folded = asked.lower()  # types and sizes have no letter case: what follows the name has to be the same as it is
        spelled = asked != folded
        after_label = folded[at:]
        view = views.get(after_label) if spelled else None
        if view is None:
            found = self._siblings[spelled].find(asked, folded[label], after_label, self._zones.epoch)
        else:
            found = self._respelled(asked, folded, view, label, at)
        if found is not None:
            return found
        size = len(asked)
        while view is None:
            if at >= size or not 0 < (length := asked[at]) <= LONGEST_LABEL:
                return self._compose_any(asked)
            at += length + 1
            view = views.get(folded[at:])
        if view.epoch != self._zones.epoch or view.nested or at + view.apex_size > HEADER + LONGEST_NAME:
            return self._compose_any(asked)
        if not 0 < asked[HEADER] <= LONGEST_LABEL or not asked.endswith(view.rest):
            return self._compose_any(asked)
        return self._descend(asked, view, folded[HEADER:at], spelled and asked[view.question] != folded[view.question])

    def _respelled(self, asked: bytes, folded: bytes, view: View, label: slice, at: int) -> Composed | None:
        """The same for a name right below its apex with capital letters, where the node has nothing else before it."""
        if view.epoch != self._zones.epoch or at > view.longest or not asked.endswith(view.rest):
            return None
        node = view.nodes.get(folded[label])
        if node is None or node[_FIRST_TYPE] != view.single or node[9] or (size := node[10]) > _ALWAYS_FITS:
            return None
        question, name = asked[view.question], folded[view.question]
        if question == name:
            return None  # the letters are in the header
        body = b"".join((view.head, question, name[:-4], node[_FIRST_RECORDS[size]], view.opt))
        return (body, view.hit_kind) if len(body) + 2 <= view.limit else None

    def _compose_any(self, asked: bytes) -> Composed | None:
        """The same for any name in any spelling; what is known of its zone is brought up to date."""
        if not _SHORTEST <= len(asked) <= _LONGEST_ASKED or asked[0] & _NOT_A_QUERY or not asked[HEADER]:
            return None  # the root is not asked for often
        end, last = HEADER, len(asked) - 4
        while end < last and (length := asked[end]):
            if length > LONGEST_LABEL:
                return None
            end += length + 1
        end += 1
        if end > last or end > HEADER + LONGEST_NAME:
            return None
        name = asked[HEADER:end].lower()
        zones = self._zones.by_name
        apex_at = 0
        while (served := zones.get(name[apex_at:])) is None:
            length = name[apex_at]
            if not length:
                return None
            apex_at += length + 1
        if not apex_at and int.from_bytes(asked[end : end + 2], "big") not in ALONE:
            return None  # what an apex is asked for is there, and is for the pipeline: a view would be of no use
        view = self._view(asked[:HEADER], served, asked[end:])
        return None if view is None else self._descend(asked, view, name[:apex_at], name != asked[HEADER:end])

    def _view(self, header: bytes, served: ServedZone, rest: bytes) -> View | None:
        """The view of a zone that is found by these octets around a name, up to date; None where there is none."""
        zones, octets = self._zones, served.name + rest
        views = self._views.get(header, {})
        view = views.get(octets)
        if view is not None:
            if max(served.changed, zones.rearranged) <= view.epoch:
                view.epoch = zones.epoch
                return view
            del views[octets]
            self._views_kept -= 1
        zone, settings = can_be_seen(served), self._pipeline.settings
        shape = None if zone is None else read_shape(header + rest, self._transport, settings, cookie=self._cookie)
        if zone is None or shape is None:
            return None
        if self._views_kept >= MOST_VIEWS:
            self.forget()
        kept = self._remembered.get(served)
        if kept is None or max(served.changed, zones.rearranged) > kept.epoch:
            kept = self._remembered[served] = Remembered(zones.epoch, zone)
        made = View(zones, served, zone, rest, shape, settings.minimal_responses, kept)
        self._views.setdefault(header, {})[octets] = made
        self._views_kept += 1
        return made

    def _descend(self, asked: bytes, view: View, key: bytes, spelled: bool) -> Composed | None:
        """Look at every name between the apex and the one asked for (RFC 1034 §4.3.2): the topmost cut wins."""
        nodes, descendants = view.nodes, view.descendants
        encloser, cut, below = None, None, b""
        label_at, size = 0, len(key)
        at = key[0] + 1 if size else 0
        while at < size:
            above = key[at:]
            node = nodes.get(above)
            if node is not None:
                if node[0] & _REDIRECTING:
                    if not node[0] & HAS_NS:
                        return None  # a DNAME: what it makes has the question's labels in it
                    cut, below = above, key[label_at:at]
                if encloser is None:
                    encloser = above
            elif encloser is None and above in descendants:
                encloser = above
            label_at = at
            at += key[at] + 1
        if cut is not None:
            return self._referral(asked, view, cut, below, spelled)
        node = nodes.get(key)
        if node is not None:
            return self._present(asked, view, key, node, spelled)
        if encloser is None:
            encloser = b""
        elif len(encloser) == HASHED_KEY:
            return None  # perhaps an owner of NSEC3, which is no name of the zone
        return self._absent(asked, view, key, encloser, spelled)

    # --- composing ---------------------------------------------------------------------------------------------------

    def _present(self, asked: bytes, view: View, key: bytes, node: bytes, spelled: bool) -> Composed | None:
        """The name holds records."""
        question = asked[view.question]
        owner = question[:-4].lower() if spelled else _POINTER
        if node[_FIRST_TYPE] == view.single and not node[9] and (size := node[10]) <= _ALWAYS_FITS:
            record: bytes | None = node[_FIRST_RECORDS[size]]
        else:
            record = _second_record(node, view)
        if record is not None:
            body = b"".join((view.head, question, owner, record, view.opt))
            return (body, view.hit_kind) if len(body) + 2 <= view.limit else None
        if node[0] & _NOT_PLAIN or len(key) == HASHED_KEY:
            if node[0] & HAS_NS and key:
                return self._referral(asked, view, key, b"", spelled)
            if node[0] & (HAS_CASE | HAS_CNAME) or len(key) == HASHED_KEY:
                return None
        there = find_tails(node, view.qtype)
        if there is None:
            return self._negative(asked, view, key, b"", codes.NOERROR, spelled)
        if not view.plain:
            return None
        kind = view.hit_kind
        if not kind:
            kind = view.hit_kind = self._kind(view, Depends.NODE, Told.POSITIVE)
            if not view.signed:
                view.code = view.qtype.to_bytes(2, "big")
                view.single = PLAIN + view.code
        count, tails = there
        if count == 1 and not view.signed:
            body = b"".join((view.head, question, owner, tails, view.opt))
        else:
            pointer = (_POINTER_BITS | HEADER + 2 + len(question)).to_bytes(2, "big") if spelled else _POINTER
            count, records = self._joined(view, node, count, tails, pointer)
            body = b"".join((view.counts(count, 0, 0), question, owner, records, view.opt))
        return (body, kind) if len(body) + 2 <= view.limit else None

    @staticmethod
    def _joined(view: View, node: bytes, count: int, tails: bytes, pointer: bytes) -> tuple[int, bytes]:
        """(number of records, the records but for the first one's owner): the tails, signatures where they are due."""
        records = tails if count == 1 else pointer.join(split_tails(tails))
        if view.signed and (signatures := find_rrsigs(node, view.qtype, b"")) is not None:
            records += pointer + pointer.join(split_tails(signatures.tails))
            count += signatures.rdata_count
        return count, records

    def _absent(self, asked: bytes, view: View, key: bytes, encloser: bytes, spelled: bool) -> Composed | None:
        """The name holds no records."""
        if key in view.descendants:
            return self._negative(asked, view, key, encloser, codes.NOERROR, spelled)
        if view.bare and not encloser:
            return self._negative(asked, view, key, encloser, codes.NXDOMAIN, spelled)
        asterisk = ASTERISK + encloser
        node = view.nodes.get(asterisk)
        if node is None:
            rcode = codes.NOERROR if asterisk in view.descendants else codes.NXDOMAIN
            return self._negative(asked, view, key, encloser, rcode, spelled)
        if view.signed or node[0] & (HAS_CASE | HAS_CNAME):
            return None
        there = find_tails(node, view.qtype)
        if there is None:
            return self._negative(asked, view, key, encloser, codes.NOERROR, spelled)
        if not view.plain or key[: key[0] + 1] == _NO_LABEL:
            return None
        kind = view.wildcard_kind
        if not kind:
            kind = view.wildcard_kind = self._kind(view, Depends.ZONE, Told.POSITIVE)
        count, tails = there
        head = view.head
        if count != 1:
            head, tails = view.counts(count, 0, 0), _POINTER.join(split_tails(tails))
        records = b"".join((_POINTER, tails, view.opt))
        body = b"".join((head, asked[view.question], records))
        if len(body) + 2 > view.limit:
            return None
        if encloser and len(key) == key[0] + 1 + len(encloser) and not view.nested:
            self._siblings[spelled].keep(asked, Sibling(view, encloser, frozenset(), head, records, kind))
        return body, kind

    def _negative(
        self, asked: bytes, view: View, key: bytes, encloser: bytes, rcode: int, spelled: bool
    ) -> Composed | None:
        """The zone's negative answer to this length of question; noted as wanted where it is not known."""
        if (last_label(key) if key and len(key) > key[0] + 1 else key) in view.taken:
            return None
        number = len(asked) << 5 | rcode << 1 | spelled
        if view.signed:
            return self._denial(asked, view, key, encloser, number) if rcode == codes.NXDOMAIN else None
        held = view.negatives.get(number)
        if held is None:
            self.wanted = Wanted(view, number, rcode, -1)
            return None
        return b"".join((held.head, asked[view.question], held.records)), held.kind

    def _denial(self, asked: bytes, view: View, key: bytes, encloser: bytes, number: int) -> Composed | None:
        """The same with the NSEC3 records that deny the name, for clients that want to see it proved."""
        if view.proofs is None:
            return None
        held = view.denials.get(number)
        if held is None:
            spelled = number & 1
            self.wanted = Wanted(view, number, codes.NXDOMAIN, 0 if spelled else HEADER + 2 + len(key))
            return None
        # All but the last of them is the same for all names below the encloser.
        keys = view.proofs.nxdomain(key, encloser)
        question = asked[view.question]
        here = HEADER + 2 + len(question) + len(held.records)
        begun = view.begun.get((number, keys[:-1]))
        if begun is None:
            begun = proofs(view.zone, keys[:-1], held.apex_pointer, here)
            if begun is None:
                return None
            self._make_room_for_a_negative()
            view.begun[number, keys[:-1]] = begun
        told = proofs(view.zone, keys[-1:], held.apex_pointer, here + len(begun[1]))
        if told is None:
            return None
        head = held.flags.to_bytes(2, "big") + view.counts(0, held.records_count + begun[0] + told[0], 0)[2:]
        body = b"".join((head, question, held.records, begun[1], told[1], view.opt))
        return (body, held.kind) if len(body) + 2 <= view.limit else None

    def _referral(self, asked: bytes, view: View, cut: bytes, below: bytes, spelled: bool) -> Composed | None:
        """The referral at this cut; `below` is the question's label next below it, nothing where it has none."""
        question = asked[view.question]
        referral = view.referrals[spelled].get(cut)
        if referral is None:
            if view.costly:
                return None
            budget = self._zones.hash_budget
            referral = refer(view.zone, cut, below, question[:-4], dnssec=view.signed, budget=budget)
            if referral is None:
                return None
            self._make_room_for_a_referral(referral.octets + _REFERRAL_BESIDE)
            view.referrals[spelled][cut] = referral
        if below in referral.taken:
            return None
        kind = view.referral_kind
        if not kind:
            kind = view.referral_kind = self._kind(view, Depends.ZONE, Told.REFERRAL)
        records = referral.by_size.get(len(question))
        if records is None:
            records = referral.move(len(question))
            self._make_room_for_a_referral(len(records) + _LENGTH_BESIDE)
        counts = referral.counts_with_opt if view.opt else referral.counts
        head, records = view.referral_head + counts, records + view.opt
        body = b"".join((head, question, records))
        if len(body) + 2 > view.limit:
            return None
        if below and len(below) + len(cut) + view.apex_size + 4 == len(question) and not view.nested:
            self._siblings[spelled].keep(asked, Sibling(view, None, referral.taken, head, records, kind))
        return body, kind

    def _kind(self, view: View, depends: Depends, told: Told) -> int:
        """The number of a kind of answer that is not negative."""
        qtype = view.qtype
        return self._tally.number(
            Repeatable(
                query_slot(self._transport, self._family, codes.QUERY, qtype),
                response_slot(codes.NOERROR, self._transport, False),
                qtype == codes.SOA,
                Dependence(view.served, depends, True),
                told,
                None if depends is Depends.NODE else view.served.name,
            )
        )

    # --- learning ----------------------------------------------------------------------------------------------------

    def learn(self, wanted: Wanted, reply: bytes, question_end: int, kind: int) -> None:
        """Keep what was wanted of the pipeline's reply to the message that `compose` had nothing for."""
        if reply[3] & 15 != wanted.rcode:
            return
        self._make_room_for_a_negative()
        view = wanted.view
        if wanted.apex_at < 0:
            view.negatives[wanted.key] = Around(reply[2 : HEADER + 2], reply[question_end:], kind)
        elif not reply[2] & codes.TC >> 8:
            negative = read_negative(reply, question_end, view.zone, wanted.apex_at, kind)
            if negative is not None:
                view.denials[wanted.key] = negative

    def _make_room_for_a_referral(self, octets: int) -> None:
        """So much more is kept."""
        self._referral_octets += octets
        if self._referral_octets > MOST_REFERRALS:
            self.forget()

    def _make_room_for_a_negative(self) -> None:
        """One more is kept, or something like it."""
        if self._negatives_kept >= MOST_NEGATIVES:
            self.forget()
        self._negatives_kept += 1


def _second_record(node: bytes, view: View) -> bytes | None:
    """The record of the view's type that stands second in a node of single records, as an AAAA behind an A."""
    if node[0] != SINGLES or node[9] or node[(at := 11 + node[10]) : at + 2] != view.code or node[at + 8]:
        return None
    record = node[at : at + 10 + node[at + 9]]
    return record if len(record) <= _ALWAYS_FITS else None
