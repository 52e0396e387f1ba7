"""What a new version that came whole replaces in the stored one: enough to make the one of the other, and no more."""

from hypothesis import given
from hypothesis import strategies as st
from support.served_zones import HEAD, nodes_from_text

from nameserver.zone.difference import slices_of
from nameserver.zone.replaced_nodes import replaced_nodes

APEX, BASE = nodes_from_text(HEAD, "example.")
NODES = [nodes_from_text(f"{HEAD}\nx A 192.0.2.{n}", "example.")[1][b"\x01x"] for n in range(3)]

keys = st.text("ab", min_size=1, max_size=3).map(lambda label: bytes((len(label),)) + label.encode())
versions = st.dictionaries(keys, st.sampled_from(NODES)).map(lambda nodes: BASE | nodes)


@given(versions, versions)
def test_old_and_replaced_make_new(old, new):
    replaced = replaced_nodes(slices_of(old), new, APEX, 1000)
    assert replaced is not None
    made = dict(old)
    for key, (before, after) in replaced.items():
        assert old.get(key) == before != after == new.get(key)
        if after is None:
            del made[key]
        else:
            made[key] = after
    assert made == new


@given(versions, versions, st.integers(0, 5))
def test_more_than_the_limit_is_not_gathered(old, new, limit):
    replaced = replaced_nodes(slices_of(old), new, APEX, 1000)
    assert replaced is not None
    assert replaced_nodes(slices_of(old), new, APEX, limit) == (replaced if len(replaced) <= limit else None)
