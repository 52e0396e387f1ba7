"""Who is answered when: little at once, much in turns, and never more in one turn of the loop than it may."""

from hypothesis import given
from hypothesis import strategies as st
from support.manual_loop import ManualLoop

from nameserver.server.answering.turns import SHARE, TURN, Turns


class Asker:
    """Has so many messages; writes down who answered how many."""

    def __init__(self, name: str, waiting: int, record: list[tuple[str, int]]) -> None:
        self.name = name
        self.waiting = waiting
        self.record = record
        self.reads = True

    @property
    def can_go_on(self) -> bool:
        return self.reads and self.waiting > 0

    def work(self, most: int) -> int:
        done = min(most, self.waiting) if self.reads else 0
        self.waiting -= done
        self.record.append((self.name, done))
        return done


class SteppedLoop(ManualLoop):
    """One turn at a time."""

    def turn(self) -> None:
        timers, self._timers = self._timers, []
        for _, _, timer in sorted(timers):
            if not timer.cancelled:
                timer.call()

    @property
    def busy(self) -> bool:
        return bool(self._timers)


def line() -> tuple[SteppedLoop, Turns[Asker], list[tuple[str, int]]]:
    loop = SteppedLoop()
    return loop, Turns(loop), []  # type: ignore[arg-type]


def test_who_asks_for_little_is_answered_at_once() -> None:
    loop, turns, record = line()
    turns.want(Asker("a", 1, record))
    turns.want(Asker("b", 2, record))
    assert record == [("a", 1), ("b", 2)]
    loop.turn()
    assert not loop.busy, "nothing is left to be done"


def test_who_asks_for_much_goes_to_the_end_of_the_line_after_each_share() -> None:
    loop, turns, record = line()
    turns.want(Asker("a", 3 * SHARE, record))
    turns.want(Asker("b", SHARE + 1, record))
    turns.want(Asker("c", 1, record))
    assert record == [("a", SHARE)], "the others come after the one that waits"
    loop.turn()
    assert record[1:5] == [("a", SHARE), ("b", SHARE), ("c", 1), ("a", SHARE)]


def test_one_turn_of_the_loop_answers_no_more_than_it_may() -> None:
    loop, turns, record = line()
    askers = [Asker(str(number), 5, record) for number in range(40)]
    for each in askers:
        turns.want(each)
    while loop.busy:
        assert sum(done for _, done in record) <= TURN
        record.clear()
        loop.turn()
    assert not any(each.waiting for each in askers)


def test_who_has_left_or_cannot_be_sent_more_is_not_in_the_way() -> None:
    loop, turns, record = line()
    gone, full, other = (Asker(name, 2 * SHARE, record) for name in ("gone", "full", "other"))
    for each in (gone, full, other):
        turns.want(each)
    turns.leave(gone)
    turns.leave(Asker("never there", 1, record))
    full.reads = False
    record.clear()
    loop.turn()
    assert record == [("full", 0), ("other", SHARE), ("other", SHARE)]
    full.reads = True
    turns.want(full)
    while loop.busy:
        loop.turn()
    assert full.waiting == 0


def test_one_that_breaks_does_not_stop_the_others() -> None:
    loop, turns, record = line()
    turns.want(Asker("a", 3 * SHARE, record))
    broken, other = Asker("broken", 1, record), Asker("other", 1, record)
    broken.record = None  # type: ignore[assignment]
    turns.want(broken)
    turns.want(other)
    while loop.busy:
        try:
            loop.turn()
        except AttributeError:
            continue
    assert other.waiting == 0


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(0, 5))
def test_everyone_is_answered_and_nobody_twice_before_all_who_wait_had_a_share(sizes: list[int], again: int) -> None:
    loop, turns, record = line()
    askers = [Asker(str(number), size, record) for number, size in enumerate(sizes)]
    for each in askers * (1 + again):  # one that asks again while it stands in the line keeps its place
        turns.want(each)
    record.clear()
    waiting = {each.name: each.waiting for each in askers}
    while loop.busy:
        loop.turn()
    assert not any(each.waiting for each in askers)
    still_before: dict[str, set[str]] = {}  # by who was served: those who are to be before it is again
    for name, done in record:
        waiting[name] -= done
        for others in still_before.values():
            others.discard(name)
        assert not still_before.get(name), "someone was passed over"
        still_before[name] = {other for other, left in waiting.items() if left and other != name}
