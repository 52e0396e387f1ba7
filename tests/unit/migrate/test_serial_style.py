"""How a serial is judged, and the way from one to another (RFC 1982)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nameserver.migrate.checks.inventory import serial_style, way_to
from nameserver.zone.serial import newer


@pytest.mark.parametrize(
    ("serial", "style", "code"),
    [
        (2026112101, "date", ""),
        (2026112199, "date", "serial-full"),
        (2026112099, "date", ""),
        (2026112201, "date", "serial-future"),
        (1795000000, "epoch", ""),
        (17, "counter", ""),
        (2026139901, "counter", ""),
        (4294967290, "counter", "serial-wrap"),
    ],
)
def test_the_style_is_told_and_what_is_odd_about_it(serial: int, style: str, code: str):
    assert serial_style(serial, "20261121")[:2] == (style, code)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@example(1, 0)
@example(0, 2**31)
def test_each_serial_on_the_way_is_newer_than_the_one_before(start: int, target: int):
    steps = way_to(start, target)
    assert len(steps) <= (3 if (target - start) % 2**32 == 2**32 - 1 else 2)
    assert (steps or [start])[-1] == target
    for before, after in zip([start, *steps], steps, strict=False):
        assert newer(after, before)
