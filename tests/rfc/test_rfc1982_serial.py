"""RFC 1982: serial number arithmetic, for SERIAL_BITS = 32."""

import pytest

from nameserver.zone.serial import Order, add, compare, newer

TOP = 2**32 - 1
HALF = 2**31


@pytest.mark.parametrize(
    ("a", "b"),
    [(1, 0), (44, 0), (100, 0), (100, 44), (200, 100), (0, TOP), (HALF - 1, 0), (0, HALF + 1), (HALF, 1), (TOP, HALF)],
)
def test_section_3_2_and_5_2_the_shorter_way_round_decides(a, b):
    assert newer(a, b)
    assert not newer(b, a)
    assert compare(a, b) is Order.NEWER
    assert compare(b, a) is Order.OLDER


@pytest.mark.parametrize(("a", "b"), [(0, HALF), (HALF, 0), (1, HALF + 1), (TOP, HALF - 1)])
def test_section_3_2_exactly_half_the_circle_apart_is_undefined_both_ways(a, b):
    assert compare(a, b) is Order.UNDEFINED
    assert not newer(a, b)
    assert not newer(b, a)


@pytest.mark.parametrize("serial", [0, 1, HALF - 1, HALF, TOP])
def test_section_3_1_the_largest_step_is_newer_and_one_more_is_not_allowed(serial):
    assert newer(add(serial, HALF - 1), serial)
    assert add(serial, 0) == serial
    with pytest.raises(ValueError, match="can be advanced"):
        add(serial, HALF)


def test_section_4_1_corollary_newer_is_not_transitive_around_the_circle():
    third = 2**32 // 3
    assert newer(third, 0)
    assert newer(2 * third, third)
    assert not newer(2 * third, 0)
