"""Who takes a transfer too slowly, at times that the test says."""

import pytest

from nameserver.errors import Reason, TransferError
from nameserver.server.answering.pace import OutLimits, Pace

LIMITS = OutLimits(idle_timeout=30.0, min_rate_bytes=100_000, min_rate_interval=60.0)
START = 300_000


def cut_after(taken_a_second: float) -> tuple[float, Reason] | None:
    """When, and why, a client is cut that takes so much; None where it catches up."""
    pace, now, unsent = Pace(LIMITS, 0.0, START), 0.0, float(START)
    while unsent > 64_000:
        try:
            wait = pace.look(now, int(unsent))
        except TransferError as error:
            return now, error.reason
        assert 0 < wait <= LIMITS.idle_timeout / 10
        now += wait
        unsent -= taken_a_second * wait
    return None


@pytest.mark.parametrize(
    ("taken_a_second", "expected"),
    [
        (0.0, (30.0, Reason.IDLE_TIMEOUT)),
        (1.0, (60.0, Reason.TOO_SLOW)),
        (1000.0, (60.0, Reason.TOO_SLOW)),
        (1700.0, None),
        (1_000_000.0, None),
    ],
)
def test_idle_and_too_slow_are_cut_and_the_rest_is_waited_for(
    taken_a_second: float, expected: tuple[float, Reason] | None
) -> None:
    """F72: nothing for 30 s, or less than the least rate over an interval."""
    assert cut_after(taken_a_second) == expected


def test_each_interval_counts_by_itself() -> None:
    pace = Pace(LIMITS, 0.0, 1_000_000)
    for second in range(0, 120, 2):
        pace.look(float(second), 1_000_000 - 2000 * second)
    with pytest.raises(TransferError, match="the client took 60 bytes in 60 s") as caught:
        for second in range(120, 200, 2):
            pace.look(float(second), 760_000 - (second - 120))
    assert caught.value.reason is Reason.TOO_SLOW


def test_the_idle_time_starts_anew_with_whatever_is_taken() -> None:
    pace = Pace(OutLimits(idle_timeout=30.0, min_rate_bytes=0), 0.0, START)
    for second in range(0, 300, 29):
        pace.look(float(second), START - second)
    with pytest.raises(TransferError) as caught:
        pace.look(321.0, START - 290)
    assert caught.value.reason is Reason.IDLE_TIMEOUT
