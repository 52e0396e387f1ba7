"""A version as two columns: a mapping like any other, in key order."""

import random

import pytest

from nameserver.zone import sorted_nodes
from nameserver.zone.emptied import AT_ONCE
from nameserver.zone.sorted_nodes import SortedNodes, sort_columns

NODES = {b"\3www": b"w", b"": b"apex", b"\1a\3www": b"below", b"\4mail": b"m"}


def test_it_is_a_mapping_of_what_it_was_made_of():
    held = SortedNodes.of(NODES)
    assert held == NODES
    assert {key: held[key] for key in NODES} == NODES
    assert held.get(b"\3ftp") is None and b"\xff" not in held
    with pytest.raises(KeyError):
        held[b"\3ftp"]
    assert SortedNodes([], []) == {} and SortedNodes([], []).get(b"") is None


def test_owners_stand_in_key_order_whatever_order_they_came_in():
    keys = list(NODES)
    random.shuffle(keys)
    held = SortedNodes.of({key: NODES[key] for key in keys})
    assert list(held) == held.owners == sorted(NODES)
    assert list(held.items()) == sorted(NODES.items())
    assert list(held.values()) == held.column == [NODES[key] for key in sorted(NODES)]


def test_what_is_sorted_already_is_taken_as_it_is():
    held = SortedNodes.of(NODES)
    assert SortedNodes.of(held) is held


def test_a_large_version_is_emptied_in_slices():
    nodes = SortedNodes.of({b"%06d" % number: b"" for number in range(2 * AT_ONCE + 1)})
    left = [len(nodes) for _ in nodes.dismantled()]
    assert left == [AT_ONCE + 1, 1, 0] and not nodes and not nodes.column


@pytest.mark.parametrize("strays", [0, 1, 2, 5, 40])
@pytest.mark.parametrize("most", [5, 1000])
def test_columns_are_sorted_as_pairs_would_be_wherever_strays_stand(monkeypatch, strays, most):
    """Few strays are moved, more have all of it sorted: the same comes of it, equal keys in order."""
    monkeypatch.setattr(sorted_nodes, "_STRAYS", most)
    dice = random.Random(strays)
    for owners in (0, 1, 2, 60):
        keys = sorted(dice.randbytes(2) for _ in range(owners))
        for _ in range(strays):
            key = dice.choice([*keys, dice.randbytes(1)])
            keys[(at := dice.randrange(len(keys) + 1)) : at] = [key] * dice.choice([1, 1, 2])
        nodes = [b"%d" % number for number in range(len(keys))]
        expected = sorted(zip(keys, nodes, strict=True), key=lambda pair: pair[0])
        in_order, column, repeated = sort_columns(list(keys), list(nodes))
        assert list(zip(in_order, column, strict=True)) == expected
        assert repeated is (len(set(keys)) < len(keys))


def test_the_size_is_that_of_keys_and_nodes():
    assert SortedNodes.of(NODES).size == sum(map(len, NODES)) + sum(map(len, NODES.values()))
