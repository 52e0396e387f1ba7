"""Whose answer is right: field by field the majority of the servers that hold the zone.

    replies of Knot, NSD, BIND ──▶ per field: what most of them say ──▶ ours differs? ──▶ explained by an entry of
                                   no majority: any of theirs                             `differences`, or unexplained

Fields are those of `seen.FIELDS`. Judging each by itself asks more than judging replies as a whole: two peers that
differ in one section still decide on all the rest. A reply that cannot be read has no vote, nor has a server that does
not hold the zone; ours must be readable.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from differential.optional import last_link, split
from differential.questions import Question
from differential.seen import FIELDS, SECTIONS, Broken, Seen, see
from differential.worlds import World

DS = 43


class Served:
    """The zones of a world by their folded wire names."""

    def __init__(self, world: World) -> None:
        self.numbers = {zone.origin.to_wire().lower(): number for number, zone in enumerate(world.zones)}
        self.apexes = frozenset(self.numbers)
        self.world = world

    def zone_for(self, name: bytes, rdtype: int = 0) -> int | None:
        """The number of the zone that answers for a folded name; a DS is asked of the parent, if that is served."""
        found = self._nearest(name[name[0] + 1 :]) if rdtype == DS and len(name) > 1 and name in self.numbers else None
        return self._nearest(name) if found is None else found

    def _nearest(self, name: bytes) -> int | None:
        while name not in self.numbers:
            if len(name) == 1:
                return None
            name = name[name[0] + 1 :]
        return self.numbers[name]


@dataclass(frozen=True)
class Vote:
    """One field: the values that ours may have, and whether there was a majority for it."""

    field: str
    allowed: tuple[object, ...]
    decided: bool


@dataclass
class Case:
    """A question with what came of it. `peers` are the replies of those that hold the zone asked."""

    question: Question
    ours: Seen
    peers: Mapping[str, Seen]
    served: Served
    wires: Mapping[str, bytes | None]

    @cached_property
    def qname(self) -> bytes:
        """The folded name in the question."""
        return self.question.name.to_wire().lower()

    @cached_property
    def zone(self) -> int | None:
        """The zone that is asked."""
        return self.served.zone_for(self.qname, self.question.rdtype)

    def leads_to(self, seen: Seen) -> int | None:
        """The zone in which a reply's chain of aliases ends."""
        return self.served.zone_for(last_link(seen, self.qname), self.question.rdtype)

    @cached_property
    def votes(self) -> dict[str, Vote]:
        """The peers' votes, by field.

        What stands in a reply follows from its RCODE and from how much of it had room. So on the sections only those
        vote who are of the majority in these two (without one: who say what we say): an error has no records, but says
        nothing about records either.
        """
        voters = dict(self.peers)
        found = {}
        for each in ("reply", "rcode", "tc"):
            found[each] = vote(each, voters)
            voters = self._with(voters, found[each])
            if each == "rcode":
                found |= {each: vote(each, voters) for each in FIELDS if each not in found and each not in SECTIONS}
        return found | {each: vote(each, voters) for each in SECTIONS}

    def _with(self, voters: dict[str, Seen], given: Vote) -> dict[str, Seen]:
        """Those who voted for what won; where nothing did, for what we say, if anybody did."""
        ours = getattr(self.ours, given.field)
        wanted = given.allowed if given.decided or ours not in given.allowed else (ours,)
        return {name: seen for name, seen in voters.items() if getattr(seen, given.field) in wanted}

    def majority(self, field: str) -> Any:
        """The majority's value; the first of all where there is none."""
        return self.votes[field].allowed[0]


def vote(field: str, peers: Mapping[str, Seen]) -> Vote:
    """The value of more than half of them; where there is none, all their values."""
    counted = Counter(getattr(seen, field) for seen in peers.values())
    ((value, count), *_) = counted.most_common(1)
    if 2 * count > len(peers):
        return Vote(field, (value,), True)
    return Vote(field, tuple(counted), False)


def differing(case: Case) -> list[Vote]:
    """The fields in which ours is neither the majority's nor, without one, anybody's."""
    if not case.peers:
        return []
    return [case.votes[each] for each in FIELDS if getattr(case.ours, each) not in case.votes[each].allowed]


@dataclass(frozen=True)
class Difference:
    """A difference that is meant: in which fields, when, why. `applies` is asked for each such field."""

    name: str
    fields: frozenset[str]
    reason: str
    source: str
    applies: Callable[[Case, Vote], bool]


@dataclass
class Verdict:
    """What the comparison of one case came to."""

    case: Case
    unexplained: list[Vote]
    explained_by: list[str]
    faults: list[str] = field(default_factory=list)  # rules of our own that our reply breaks

    @property
    def good(self) -> bool:
        return not self.unexplained and not self.faults


def judge(case: Case, differences: Iterable[Difference]) -> Verdict:
    """Compare, and look for the entry that explains each field that differs."""
    verdict = Verdict(case, [], [])
    for each in differing(case):
        for entry in differences:
            if each.field in entry.fields and entry.applies(case, each):
                if entry.name not in verdict.explained_by:
                    verdict.explained_by.append(entry.name)
                break
        else:
            verdict.unexplained.append(each)
    return verdict


def make_case(
    question: Question, wires: Mapping[str, bytes | None], ours: str, holding: Mapping[str, set[int]], served: Served
) -> Case:
    """Take the replies apart. Raises `Broken` where ours cannot be read."""
    zone = served.zone_for(question.name.to_wire().lower(), question.rdtype)
    if question.questions != 1 or question.opcode:
        zone = None  # which it is about, if any, does not come into the reply
    peers = {}
    for name, wire in wires.items():
        if name != ours and (zone is None or zone in holding[name]):
            try:
                peers[name] = split(see(wire), served.apexes)
            except Broken:
                continue
    return Case(question, split(see(wires[ours]), served.apexes), peers, served, wires)
