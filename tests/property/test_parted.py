"""The nodes of a large zone are to everybody what those of a small one are."""

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from support.served_zones import HEAD, nodes_from_text
from support.signing import Nsec, signed_nodes

from nameserver.zone import contents, emptied
from nameserver.zone.contents import Zone, ZoneLoader
from nameserver.zone.parted import PART, PartedNodes

keys = st.binary(max_size=3)
items = st.lists(st.tuples(keys, st.binary(max_size=3)), max_size=30)


@given(st.integers(0, 6), items, st.lists(keys | st.tuples(keys, st.binary(max_size=3)), max_size=20))
def test_a_dict_in_parts_is_a_dict(parts, at_first, steps):
    held, model = PartedNodes(parts * PART), dict[bytes, bytes]()
    new = held.put(at_first)
    assert sorted(new) == sorted({key for key, _ in at_first})
    model.update(at_first)
    for step in steps:
        if isinstance(step, bytes):
            assert (held.pop(step, None), step in held) == (model.pop(step, None), False)
        else:
            before = step[0] in model
            assert held.put([step]) == ([] if before else [step[0]])
            model[step[0]] = step[1]
    assert held == model and len(held) == len(model) and sorted(held) == sorted(model)
    assert sum(map(len, held.parts)) == len(model)
    for key in {*model, b"", b"abcd"}:
        assert held.get(key) == model.get(key) and (key in held) == (key in model)
    for key in list(model):
        held[key] = b"other"
        assert held[key] == b"other"
        del held[key]
    assert not held


APEX, BASE = nodes_from_text(HEAD, "example.")
SIGNED_BASE = signed_nodes(HEAD, "example.", Nsec())[1]
A = nodes_from_text(f"{HEAD}\nx A 192.0.2.7", "example.")[1][b"\1x"]
labels = st.sampled_from([b"\1a", b"\1b", b"\1*"])
names = st.lists(labels, min_size=1, max_size=3).map(b"".join)
nodes = st.dictionaries(names, st.just(A), max_size=12)
changes = st.dictionaries(names, st.sampled_from([A, None]), max_size=12)


@given(nodes, st.lists(changes, max_size=3), st.booleans())
def test_a_large_zone_is_loaded_changed_and_dismantled_as_a_small_one_is(start, steps, signed):
    start = {**(SIGNED_BASE if signed else BASE), **start}
    small = Zone.from_nodes(APEX, start, 0)
    with patch.object(contents, "WHOLE", 3), patch.object(emptied, "AT_ONCE", 2):
        loader = ZoneLoader(APEX, 0, 3 * PART)
        for item in start.items():
            loader.add([item])
        large = loader.finish()
        assert isinstance(large.nodes, PartedNodes) and len(large.nodes.parts) == 3
        for generation, step in enumerate(steps, 1):
            assert large.apply(step, generation) == small.apply(step, generation)
        assert large.nodes == small.nodes and large.descendants == small.descendants
        for each in (large, small):
            owners, turns = len(each.nodes) + len(each.descendants), len(list(each.dismantled()))
            assert not each.nodes and not each.descendants
            assert owners / 2 <= turns <= owners + signed
