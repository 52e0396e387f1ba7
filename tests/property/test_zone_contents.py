"""Applying changes to a zone leaves it as if it had been built anew from the resulting nodes."""

from hypothesis import given
from hypothesis import strategies as st
from support.served_zones import HEAD, nodes_from_text

from nameserver.zone.contents import Zone

APEX, BASE = nodes_from_text(HEAD, "example.")
NODE, OTHER = (nodes_from_text(f"{HEAD}\nx A 192.0.2.{n}", "example.")[1][b"\x01x"] for n in (7, 8))

labels = st.sampled_from([b"\x01a", b"\x01b", b"\x01*"])
keys = st.lists(labels, min_size=1, max_size=4).map(b"".join)
nodes = st.dictionaries(keys, st.sampled_from([NODE, OTHER]), max_size=12)
changes = st.dictionaries(keys, st.sampled_from([NODE, OTHER, None]), max_size=12)


@given(nodes, st.lists(changes, max_size=4))
def test_apply_is_rebuild(start, steps):
    zone = Zone.from_nodes(APEX, BASE | start, 0)
    model = BASE | start
    for generation, step in enumerate(steps, 1):
        zone.apply(step, generation)
        for key, node in step.items():
            if node is None:
                model.pop(key, None)
            else:
                model[key] = node
        rebuilt = Zone.from_nodes(APEX, model, generation)
        assert zone.nodes == rebuilt.nodes
        assert zone.descendants == rebuilt.descendants
        assert zone.generation == generation


@given(nodes)
def test_a_name_exists_exactly_when_it_or_something_below_it_holds_records(start):
    zone = Zone.from_nodes(APEX, BASE | start, 0)
    existing = {b""}
    for key in zone.nodes:
        while key:
            existing.add(key)
            key = key[key[0] + 1 :]
    assert {key for key in {*zone.nodes, *zone.descendants} if zone.exists(key)} == existing
    for key, count in zone.descendants.items():
        assert count == sum(1 for name in existing if name and name[name[0] + 1 :] == key)


@given(nodes)
def test_removing_everything_leaves_only_the_apex_family(start):
    zone = Zone.from_nodes(APEX, BASE | start, 0)
    zone.apply(dict.fromkeys(start), 1)
    assert zone.nodes == BASE
    assert zone.descendants == {b"": 1}
