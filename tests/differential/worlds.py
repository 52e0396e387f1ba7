"""Worlds: sets of zones that one set of servers serves together, since what one zone answers may lead into another.

Everything is drawn from the seed and the world's number, and nothing else: the same world comes out again alone. Each
world has parents with their children (delegated or not, with a DS or without), apexes of mixed case and of great
length, a zone of nothing but SOA and NS, and every fourth the root.
"""

import contextlib
import random
from dataclasses import dataclass

import dns.name
from differential import shapes, sign_zone
from differential.draft import LABELS, ZoneDraft
from dns.name import Name

ZONES_PER_WORLD = 20
LONG_APEX = ".".join(["l" * 63, "o" * 63, "n" * 60, "g" * 30, "test"])
FIXED = (
    "alpha.test", "sub.alpha.test", "deep.er.sub.alpha.test", "x.alpha.test", "MiXed.Case.TEST", LONG_APEX,
    "2.0.192.in-addr.arpa", "least.example", "beta.example", "a.beta.example",
)  # fmt: skip
LEAST = "least.example"


@dataclass
class World:
    """Zones that are served together. The number and the seed make them again."""

    seed: int
    number: int
    zones: list[ZoneDraft]

    @property
    def minimal(self) -> bool:
        """Whether our server leaves name servers out of positive answers here; every second world it does not."""
        return self.number % 2 == 0

    def zone_of(self, name: Name) -> ZoneDraft | None:
        """The zone nearest above a name."""
        holding = [zone for zone in self.zones if name.is_subdomain(zone.origin)]
        return max(holding, key=lambda zone: len(zone.origin), default=None)


def make_world(seed: int, number: int, count: int = ZONES_PER_WORLD, signed: bool = True) -> World:
    """World `number` of a run, of `count` zones. Without `signed`, no zone is signed; nothing else changes."""
    rng = random.Random(f"{seed}/{number}")
    names = zone_names(rng, number, count)
    drafts = [ZoneDraft(name, random.Random(f"{seed}/{number}/{name}")) for name in names]
    kinds = [rng.choice(("", "", "", "nsec", "nsec3", "nsec3-optout")) for _ in drafts]
    for draft, kind in zip(drafts, kinds, strict=True):
        too_long = kind and len(draft.origin.to_wire()) > 222  # for a hash before it (RFC 5155 §3)
        draft.signing = ("nsec" if too_long else kind) if signed else ""
        draft.friends = friends_of(draft, names)
        fill(draft, names)
    for draft in drafts:
        if draft.signing:
            sign_zone.sign(draft)
    return World(seed, number, drafts)


def zone_names(rng: random.Random, number: int, count: int) -> list[Name]:
    texts = [*FIXED]
    if number % 4 == 1:
        texts.insert(3, ".")
    if number % 2:
        texts.insert(4, "test")
    while len(texts) < count:
        parent = rng.choice(("example", "test", "beta.example", texts[-1]))
        texts.append(f"zone{len(texts)}.{parent}")
    return [dns.name.from_text(text) for text in texts[:count]]


def friends_of(draft: ZoneDraft, names: list[Name]) -> list[Name]:
    """Names in the other zones that stand a chance to be there."""
    found = []
    for name in names:
        if name == draft.origin or len(name.to_wire()) > 200:
            continue
        texts = ("@", "www", "a", "nothere", "a.b", "s0", "www.s0", "a.s1", "ns1", "c0.s1", "d.s0", "a.d.s0")
        found += [dns.name.from_text(text, name) for text in texts]
    draft.rng.shuffle(found)
    return found[:12]


def fill(draft: ZoneDraft, names: list[Name]) -> None:
    """SOA, NS, the children, and some shapes, at places of which some are shared."""
    rng, origin = draft.rng, draft.origin
    serial = rng.choice((1, 2026010101, 4294967295))
    minimum = rng.choice((0, 60, 300, 86400))
    draft.add(origin, "SOA", f"ns1 hostmaster {serial} 72000 9000 1209600 {minimum}", rng.choice((0, 300, 3600)))
    draft.add(origin, "NS", "ns1" if rng.random() < 0.8 else shapes.OUTSIDE[1])
    if rng.random() < 0.8:
        draft.address(draft.child("ns1"))
    if draft.text == LEAST:
        draft.shapes.append("nothing but SOA and NS")
        return
    for name in names:
        if name != origin and name.is_subdomain(origin):
            delegate(draft, name)
    if not draft.signing and rng.random() < 0.04:
        draft.shapes.append("apex_dname")
        shapes.apex_dname(draft, origin)
        return
    chosen = rng.sample(shapes.SHAPES, rng.choice((4, 6, 9)))
    if rng.random() < 0.05:
        chosen.append(rng.choice(shapes.RARE))
    for number, shape in enumerate(chosen):
        place = rng.choice(
            (origin, draft.child(f"s{number}"), draft.child(f"s{number}"), draft.child(rng.choice(LABELS)))
        )
        draft.shapes.append(shape.__name__)
        with contextlib.suppress(dns.name.NameTooLong):  # below the longest apex
            shape(draft, place)


def delegate(draft: ZoneDraft, child: Name) -> None:
    """Another zone of ours below this one: delegated as usual, without a DS, without glue, or not at all."""
    kind = draft.rng.randrange(4)
    if kind == 0:
        return
    server = dns.name.from_text(draft.rng.choice(("ns1", "ns.inner", "ns1.elsewhere.invalid.")), child)
    draft.add(child, "NS", server)
    if kind > 1:
        draft.address(server)
    if kind > 2:
        draft.add(child, "DS", f"{draft.rng.randrange(65536)} 13 2 {draft.rng.randbytes(32).hex()}")
