"""How long a pause lasts: by the machine clock while it runs, by a wall clock that may be wrong over a restart."""

import pytest

from nameserver.refresh.pause import LONGEST, KeptPause, Pause, restored

HOUR = 3600.0
WALL = 1_795_225_000.0


def test_what_is_kept_is_the_same_moment_by_the_other_clock() -> None:
    pause = Pause("refused", began=1000.0, ends=1000.0 + HOUR)
    assert pause.keep(1600.0, WALL) == KeptPause("refused", WALL - 600.0, WALL + HOUR - 600.0)


def test_it_goes_on_after_a_restart_with_what_is_left_of_it() -> None:
    kept = KeptPause("servfail", WALL, WALL + HOUR)
    pause = restored(kept, 50.0, WALL + 600.0)  # the machine was started anew too: its clock is young
    assert pause == Pause("servfail", began=50.0 - 600.0, ends=50.0 + HOUR - 600.0)
    assert pause is not None and pause.keep(50.0, WALL + 600.0) == kept


@pytest.mark.parametrize("late", [HOUR, HOUR + 1.0, 50 * 365 * 86400.0])
def test_one_whose_time_is_up_does_not_go_on(late: float) -> None:
    assert restored(KeptPause("refused", WALL, WALL + HOUR), 0.0, WALL + late) is None


@pytest.mark.parametrize("early", [1.0, 86400.0, WALL])
def test_a_clock_that_is_behind_makes_it_as_long_as_it_was_ordered_and_no_longer(early: float) -> None:
    pause = restored(KeptPause("refused", WALL, WALL + HOUR), 7.0, WALL - early)
    assert pause is not None and (pause.began, pause.ends) == (7.0, 7.0 + HOUR)


def test_whatever_stands_in_the_file_it_is_never_longer_than_a_pause_may_be() -> None:
    for since in (WALL, WALL - 30 * 86400.0, WALL + 86400.0):
        pause = restored(KeptPause("refused", since, 4e9), 0.0, WALL)
        assert pause is not None and pause.ends <= LONGEST
    assert restored(KeptPause("refused", WALL + 10.0, WALL), 0.0, WALL) is None, "ends before it begins"


def test_what_is_asked_is_counted_by_kind() -> None:
    pause = Pause("refused", 0.0, HOUR)
    pause.count(2, 1)
    pause.count(0, 3)
    assert (pause.queries, pause.control_queries) == (2, 4)
