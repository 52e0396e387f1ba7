"""What may happen a thousand times a second is told once a minute."""

from support.clock import ManualClock

from nameserver.telemetry.throttle import MOST, Throttle


def test_the_first_is_told_at_once_and_the_rest_as_a_count_a_minute_later(clock: ManualClock) -> None:
    throttle = Throttle(60.0, clock)
    told = []
    for _ in range(130):
        told.append(throttle.due("it"))
        clock.advance(1.0)
    assert [(at, times) for at, times in enumerate(told) if times] == [(0, 1), (60, 60), (120, 60)]


def test_things_are_told_apart(clock: ManualClock) -> None:
    throttle = Throttle(60.0, clock)
    assert [throttle.due(thing) for thing in ("one", "other", "one")] == [1, 1, 0]


def test_what_is_remembered_is_bounded(clock: ManualClock) -> None:
    throttle = Throttle(60.0, clock)
    for number in range(10 * MOST):
        throttle.due(str(number))
    assert len(throttle._seen) == MOST
