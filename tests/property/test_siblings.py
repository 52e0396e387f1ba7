"""What names with one parent have in common is given to those whom the pipeline would give it, and to nobody else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import pipeline_of, served
from support.short_cut_pair import Pair

from nameserver.query.siblings import BESIDE

ZONE = """
@ 3600 SOA ns host 9 3600 600 86400 60
@ NS ns
ns A 192.0.2.10
*.star A 192.0.2.1
*.star AAAA 2001:db8::1
*.many A 192.0.2.2
*.many A 192.0.2.3
aaa.star A 192.0.2.4
x.bbb.star A 192.0.2.5
*.ccc.star A 192.0.2.6
*.name CNAME ns
*.cut.star A 192.0.2.7
cut NS ddd.cut
cut NS ns.other.test.
ddd.cut A 192.0.2.8
eee.cut NS ns.other.test.
cut.star NS fff.cut.star
fff.cut.star A 192.0.2.9
"""
APEX = b"\4zone\4test\0"
CHILD = "@ SOA ns host 1 1 1 1 1\n@ NS ns\nns A 192.0.2.99\n@ A 192.0.2.98"
LABELS = [
    b"\3" + each for each in (b"aaa", b"bbb", b"ccc", b"cut", b"ddd", b"eee", b"fff", b"xyz", b"XYZ", b"xYz", b"Ddd")
]
LABELS += [b"\1x", b"\1*", b"\4long", b"\x3f" + b"l" * 63]
PARENTS = [b"\4star", b"\4many", b"\4name", b"\3cut", b"\3cut\4star", b"\3ccc\4star", b"\3aaa\3cut", b"\4STAR",
           b"\3Cut", b"\4none", b""]  # fmt: skip
HEADERS = [b"\0\0\0\1\0\0\0\0\0", b"\1\0\0\1\0\0\0\0\0", b"\1\x10\0\1\0\0\0\0\0"]
EDNS = [b"", b"\0\0\x29\x04\xd0\0\0\0\0\0\0", b"\0\0\x29\x02\0\0\0\x80\0\0\0", b"\0\0\x29\x10\x41\0\0\0\0\0\0"]
CHANGED = [
    b"\3aaa\4star",
    b"\1*\4star",
    b"\1*\4many",
    b"\3cut",
    b"\3xyz\4star",
    b"\3ddd\3cut",
    b"\4star",
    b"\3cut\4star",
]

ASKED = st.tuples(st.sampled_from(LABELS), st.sampled_from(PARENTS), st.sampled_from([1, 28, 15, 65]),
                  st.sampled_from(HEADERS), st.sampled_from(EDNS))  # fmt: skip
CHANGE = st.tuples(st.lists(st.sampled_from(CHANGED), min_size=1, max_size=2), st.integers(0, 40))


def message(label: bytes, parent: bytes, rdtype: int, header: bytes, edns: bytes) -> bytes:
    counted = header + (b"\1" if edns else b"\0")
    return b"id" + counted + label + parent + APEX + rdtype.to_bytes(2, "big") + b"\0\1" + edns


def pair_of(transport: str) -> Pair:
    pair = Pair(transport)
    pair.serve_instead(*(pipeline_of(served(ZONE, "zone.test.")) for _ in "ab"))
    return pair


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["udp", "tcp"]),
    st.lists(st.one_of(st.lists(ASKED, min_size=1, max_size=12), CHANGE, st.booleans()), max_size=8),
)
def test_siblings_are_answered_as_the_pipeline_does(transport: str, steps) -> None:
    pair = pair_of(transport)
    child = b"\3xyz\3cut" + APEX
    for step in steps:
        if isinstance(step, list):
            for each in step * 2:
                pair.ask(message(*each))
        elif isinstance(step, tuple):
            pair.change(APEX, *step)
        else:
            for pipeline in (pair.plain, pair.short):
                if step and pipeline.zones.exact(child) is None:
                    pipeline.zones.add(served(CHILD, "xyz.cut.zone.test."))
                elif not step and pipeline.zones.exact(child) is not None:
                    pipeline.zones.remove(child)
    pair.same_counts()


def test_each_label_below_each_parent_is_answered_as_the_pipeline_does_in_any_order() -> None:
    for first in LABELS:
        pair = pair_of("udp")
        for parent in PARENTS:
            for label in (first, *LABELS, *LABELS[::-1]):
                for header in HEADERS[:2]:
                    pair.ask(message(label, parent, 1, header, b""))
        pair.same_counts()


@pytest.mark.parametrize(("rdtype", "edns"), [(65, b""), (1, EDNS[3])])
def test_octets_behind_the_name_that_are_capital_letters_are_no_spelling(rdtype: int, edns: bytes) -> None:
    pair = pair_of("udp")
    for label in (b"\3ABC", b"\3abc", b"\3DEF", b"\3def") * 2:
        for parent in PARENTS:
            pair.ask(message(label, parent, rdtype, HEADERS[0], edns))
    pair.same_counts()


@pytest.mark.parametrize("parent", [b"\3cut", b"\4star"])
def test_a_zone_of_its_own_below_their_parent_is_none_of_them(parent: bytes) -> None:
    pair = pair_of("udp")
    for pipeline in (pair.plain, pair.short):
        pipeline.zones.add(served(CHILD, f"xyz.{parent[1:].decode()}.zone.test."))
    for label in (b"\3ddd", b"\3www", b"\3mmm", b"\3xyz", b"\3kkk") * 3:
        pair.ask(message(label, parent, 1, HEADERS[0], b""))
    pair.same_counts()


def test_what_is_kept_of_siblings_is_bounded_in_octets(monkeypatch) -> None:
    monkeypatch.setattr("nameserver.query.siblings.MOST_OCTETS", 4000)
    pair = pair_of("udp")
    kept = 0
    for number in range(300):
        for parent in PARENTS[:5]:
            label = b"%x" % (16 ** (number % 40) * 10 + number)
            asked = message(bytes((len(label),)) + label, parent, 1, HEADERS[number % 2], b"")
            pair.ask(asked)
            pair.ask(asked[:12] + asked[12:-4].upper() + asked[-4:])
            for siblings in pair.shortcut._composer._siblings:
                held = [(after, answer) for table in siblings._answers.values() for after, answer in table.items()]
                octets = sum(len(after) + len(answer.records) + BESIDE for after, answer in held)
                assert octets == siblings._octets <= 4000
                kept += len(held)
    assert kept
