"""nameserver.zone.sorted_places: canonical order as octets, and the last place before another."""

from bisect import bisect_right

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameserver.zone.sorted_places import BLOCK, SortedPlaces, canonical_place, key_at

labels = st.binary(min_size=1, max_size=4) | st.sampled_from(
    [b"\0", b"\1", b"\1\1", b"\0\0", b"a", b"a\0", b"a\1", b"*"]
)
names = st.lists(labels, max_size=4)


def key_of(name: list[bytes]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in name).lower()


@given(st.lists(names))
def test_places_sort_as_names_do_in_canonical_order(several):
    """RFC 4034 §6.1, as dnspython has it."""
    by_place = sorted({key_of(name) for name in several}, key=canonical_place)
    by_name = sorted({key_of(name) for name in several}, key=lambda key: dns.name.from_wire(key + b"\0", 0)[0])
    assert by_place == by_name


@given(names)
def test_a_key_is_made_again_of_its_place(name):
    key = key_of(name)
    assert key_at(canonical_place(key)) == key


def test_the_example_of_rfc_4034_section_6_1():
    in_order = [
        "example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.",
        r"\001.z.example.", "*.z.example.", r"\200.z.example.",
    ]  # fmt: skip
    keys = [dns.name.from_text(name).to_wire().lower()[:-9] for name in in_order]
    assert sorted(set(keys), key=canonical_place) == keys


steps = st.lists(st.tuples(st.booleans(), st.binary(max_size=2)), max_size=400)


@given(steps, st.lists(st.binary(max_size=3), max_size=20))
def test_the_last_place_before_another_is_found_whatever_came_and_went(changes, asked):
    places, model = SortedPlaces(), set()
    for comes, place in changes:
        if comes and place not in model:
            places.add(place)
            model.add(place)
        elif not comes and place in model:
            places.remove(place)
            model.remove(place)
    in_order = sorted(model)
    assert len(places) == len(model)
    assert (places.first(), places.last()) == ((in_order[0], in_order[-1]) if in_order else (None, None))
    for place in [*asked, *in_order]:
        index = bisect_right(in_order, place)
        assert places.at_or_before(place) == (in_order[index - 1] if index else None)


@pytest.mark.parametrize("order", [1, -1, 7919])
def test_thousands_that_come_and_go_in_any_order_leave_nothing_behind(order):
    """Upwards, downwards, across: blocks are split, emptied from either end, and the first one's place is taken."""
    count = 50 * BLOCK
    numbers = [number * order % count for number in range(count)]
    keys = [number.to_bytes(2, "big") for number in numbers]
    places = SortedPlaces()
    for key in keys:
        places.add(key)
    for number in range(0, count, 97):
        assert places.at_or_before(number.to_bytes(2, "big") + b"\0") == number.to_bytes(2, "big")
    for index, key in enumerate(keys):
        places.remove(key)
        if index % 100 == 0 and index + 1 < count:
            assert places.first() == min(keys[index + 1 :])
            assert places.at_or_before(b"\xff\xff") == max(keys[index + 1 :])
    assert (len(places), places.first(), places.last(), places.at_or_before(b"\xff")) == (0, None, None, None)
    places.add(b"again")
    assert places.at_or_before(b"z") == b"again"
