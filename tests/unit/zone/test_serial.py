"""nameserver.zone.serial"""

import pytest

from nameserver.zone.serial import HALF, MODULUS, Order, add, compare, newer


def test_equal_serials_are_equal_and_neither_is_newer():
    assert compare(7, 7) is Order.EQUAL
    assert not newer(7, 7)


def test_one_step_forward_is_newer_and_one_step_back_is_older():
    assert compare(8, 7) is Order.NEWER
    assert compare(7, 8) is Order.OLDER
    assert newer(8, 7)
    assert not newer(7, 8)


def test_a_step_that_is_too_large_is_refused_with_its_bounds():
    with pytest.raises(ValueError, match=rf"0 to {HALF - 1}, not by {HALF}"):
        add(1, HALF)
    with pytest.raises(ValueError, match="not by -1"):
        add(1, -1)


def test_adding_wraps_at_the_top():
    assert add(MODULUS - 1, 1) == 0
