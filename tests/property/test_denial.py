"""Whatever a signed zone holds, its answers prove what they say; and changes leave it as if it had been loaded anew.

What proves is judged from the answer alone (`support.validator`), as a validator would.
"""

import os
import struct

import dns.message
import dns.name
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import NOW, handle, pipeline_of, served_zone
from support.served_zones import HEAD, nodes_from_text
from support.signing import Nsec, Nsec3, signed_nodes
from support.validator import Bogus, validate

from nameserver.zone.contents import Zone
from nameserver.zone.node import HASHED_KEY

ORIGIN = "z."
APEX = dns.name.from_text(ORIGIN)
EXAMPLES = int(os.environ.get("NAMESERVER_DENIAL_EXAMPLES", "20"))
METHODS = [
    (Nsec(),),
    (Nsec3(),),
    (Nsec3(salt="aabbccdd", iterations=3),),
    (Nsec3(opt_out=True),),
]
TYPES = ["A", "TXT", "NS", "DS", "CNAME", "NSEC", "MX"]

CONTENTS = {
    "host": ["A 192.0.2.1"],
    "text": ['TXT "t"', "A 192.0.2.2"],
    "alias": ["CNAME a.z."],
    "alias-below": ["CNAME b.a.b.z."],
    "away": ["CNAME elsewhere.test."],
    "insecure": ["NS ns.elsewhere.test."],
    "secure": ["NS ns1.z.", f"DS 1 8 2 {'ab' * 32}"],
    "moved": ["DNAME b.z."],
}
# A question as it goes on the wire: its head, and an OPT at its end.
HEADER = struct.pack("!HHHHHH", 4711, 0, 1, 0, 0, 1)
OPT, OPT_WITH_DO = (struct.pack("!xHHBBHH", 41, 4096, 0, 0, flags, 0) for flags in (0, 0x8000))

# Labels that sort otherwise as octets than as names do.
labels = st.sampled_from(["a", "b", "*", r"a\000", "aa"])
owners = st.lists(labels, min_size=1, max_size=4).map(".".join)
models = st.dictionaries(owners, st.sampled_from(list(CONTENTS)), max_size=9)
small_models = st.dictionaries(owners, st.sampled_from(list(CONTENTS)), max_size=5)


def text_of(model: dict[str, str]) -> str:
    """The zone's text, without what may not stand in one: names below a DNAME, wildcards that delegate or redirect."""
    moved = [owner for owner, content in model.items() if content == "moved"]
    lines = [HEAD]
    for owner, content in model.items():
        if any(owner.endswith(f".{above}") for above in moved):
            continue
        if owner.startswith("*") and content in ("insecure", "secure", "moved"):
            content = "host"
        lines += [f"{owner} 3600 {record}" for record in CONTENTS[content]]
    return "\n".join(lines)


def names_of(model: dict[str, str]) -> list[str]:
    """Every name of the zone, every name above one, and names beside and below all of these."""
    existing = {""}
    for owner in model:
        parts = owner.split(".")
        existing.update(".".join(parts[start:]) for start in range(len(parts)))
    beside = {f"{label}.{name}".rstrip(".") for name in existing for label in ("a", "aaa", "*", r"\000")}
    return sorted(existing | beside)


def answers(zone: Zone, names: list[str], types: list[str], *, dnssec: bool = True) -> dict[tuple[str, str], bytes]:
    """What the zone answers to every name and type."""
    pipeline = pipeline_of(served_zone(zone))
    replies = {}
    for name in names:
        for rdtype in types:
            qname = dns.name.from_text(f"{name}.{ORIGIN}".lstrip(".")).to_wire()
            asked = HEADER + qname + struct.pack("!HH", dns.rdatatype.from_text(rdtype), 1)
            outcome = handle(pipeline, asked + (OPT_WITH_DO if dnssec else OPT), transport="tcp", now=NOW)
            assert outcome.reply is not None
            replies[name, rdtype] = outcome.reply
    return replies


@settings(max_examples=EXAMPLES, deadline=None)
@given(models, st.sampled_from(METHODS), st.sampled_from(TYPES))
def test_every_answer_proves_what_it_says(model, methods, rdtype):
    zone = Zone.from_nodes(*signed_nodes(text_of(model), ORIGIN, *methods), 1)
    for wire in answers(zone, names_of(model), [rdtype]).values():
        validate(dns.message.from_wire(wire), APEX)


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(models, st.sampled_from(METHODS), st.sampled_from(["A", "NS", "MX"]))
def test_without_do_a_signed_zone_answers_as_the_unsigned_one(model, methods, rdtype):
    names = names_of(model)
    signed = Zone.from_nodes(*signed_nodes(text_of(model), ORIGIN, *methods), 1)
    unsigned = Zone.from_nodes(*nodes_from_text(text_of(model), ORIGIN), 1)
    assert answers(signed, names, [rdtype], dnssec=False) == answers(unsigned, names, [rdtype], dnssec=False)


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(models, st.sampled_from(METHODS[:3]), st.sampled_from(TYPES))
def test_every_record_of_a_proof_is_needed_for_it(model, methods, rdtype):
    """Without opt-out, where what is missing makes an answer insecure rather than bogus."""
    zone = Zone.from_nodes(*signed_nodes(text_of(model), ORIGIN, *methods), 1)
    for wire in answers(zone, names_of(model), [rdtype]).values():
        reply = dns.message.from_wire(wire)
        proofs = [rrset for rrset in reply.authority if rrset.rdtype in (43, 46, 47, 50)]
        for rrset in proofs:
            reply.authority.remove(rrset)
            with pytest.raises(Bogus):
                validate(reply, APEX)
            reply.authority.append(rrset)


VERSIONS = [None, (), (Nsec(),), (Nsec3(),), (Nsec3(salt="01"),), (Nsec3(opt_out=True),), (Nsec(), Nsec3()), (
    Nsec3(salt="01"), Nsec3(salt="02", iterations=2)
)]  # fmt: skip


histories = st.lists(st.tuples(small_models, st.sampled_from(VERSIONS)), min_size=2, max_size=4)


def nodes_of_version(model: dict[str, str], methods: tuple | None) -> dict[bytes, bytes]:
    """A version's nodes; `methods` None: not signed, (): signed, but nothing denies."""
    if methods is None:
        return nodes_from_text(text_of(model), ORIGIN)[1]
    return signed_nodes(text_of(model), ORIGIN, *methods)[1]


@settings(max_examples=EXAMPLES, deadline=None)
@given(histories, st.randoms(use_true_random=False))
def test_changes_leave_a_zone_as_if_it_had_been_loaded_anew(versions, chance):
    """Each version is reached in two steps, between which chains are half there: the first takes any of the changes."""
    held = nodes_of_version(*versions[0])
    zone = Zone.from_nodes(APEX.to_wire(), held, 0)
    names = sorted({name for model, _ in versions for name in names_of(model)})
    for model, methods in versions[1:]:
        target = nodes_of_version(model, methods)
        changes = {key: target.get(key) for key in held.keys() | target.keys() if held.get(key) != target.get(key)}
        first = {key: node for key, node in sorted(changes.items()) if chance.random() < 0.5}
        for step in (first, {key: node for key, node in changes.items() if key not in first}):
            zone.apply(step, zone.generation + 1)
            held = {key: node for key, node in (held | step).items() if node is not None}
            anew = Zone.from_nodes(APEX.to_wire(), held, zone.generation)
            assert (zone.denial is None) == (anew.denial is None)
            asked = [*names, *(key[1:].decode() for key in held if len(key) == HASHED_KEY)]
            assert answers(zone, asked, ["A", "DS"]) == answers(anew, asked, ["A", "DS"])
