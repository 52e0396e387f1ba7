"""What two hints of one sender come to: never less than either of them alone."""

from hypothesis import given
from hypothesis import strategies as st

from nameserver.query.notify import newest_hint
from nameserver.zone.serial import Order, compare

SERIALS = st.integers(0, 2**32 - 1)


def is_news(hint: int | None, held: int) -> bool:
    return hint is None or compare(hint, held) in (Order.NEWER, Order.UNDEFINED)


def test_the_newer_serial_counts_and_none_outweighs_all() -> None:
    assert newest_hint(7, 9) == newest_hint(9, 7) == 9
    assert newest_hint(2**32 - 1, 1) == newest_hint(1, 2**32 - 1) == 1
    assert newest_hint(None, 5) is newest_hint(5, None) is newest_hint(None, None) is None


@given(held=SERIALS, ahead=st.integers(1, 2**30), other=SERIALS)
def test_no_forged_serial_hides_a_newer_version(held: int, ahead: int, other: int) -> None:
    """Whatever else comes from the primary's address beside what it says of a version less than 2^30 ahead of ours."""
    true = (held + ahead) & 0xFFFFFFFF
    assert is_news(newest_hint(true, other), held)
    assert is_news(newest_hint(other, true), held)
