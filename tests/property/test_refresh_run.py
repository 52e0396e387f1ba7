"""Refresh runs over random primaries that do random things: every run ends, asks nobody twice, and ends in the best."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from support.refreshing import soa

from nameserver.errors import Reason
from nameserver.refresh.outcome import CLASS_OF, COSTLY, Failed, FailureClass, LowerSerial, Transferred, UpToDate
from nameserver.refresh.plan import PrimaryPlan, RefreshRun, Step, StepKind

UDP, TCP, IXFR, AXFR = StepKind
HELD = 5
SERIALS = st.sampled_from([3, 4, 5, 6, 7, 5 + 2**31])
FAILURES = st.sampled_from(sorted(Reason, key=str))
LOCAL = {reason for reason, kind in CLASS_OF.items() if kind is FailureClass.LOCAL}


@st.composite
def primaries(draw: st.DrawFn) -> list[PrimaryPlan]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        addresses = draw(st.integers(1, 3))
        silent = draw(st.frozensets(st.integers(0, addresses - 1)))
        made.append(PrimaryPlan(f"p{number}", addresses, draw(st.booleans()), silent))
    return made


class Course:
    """One run, step by step; what was asked of whom, in order."""

    def __init__(self, run: RefreshRun, draw) -> None:
        self.run, self.draw = run, draw
        self.asked: list[Step] = []
        self.seen: list[int] = []  # serials in SOA answers
        self.ends_early = False
        self.guesses = 0

    def go(self) -> None:
        while (step := self.run.step) is not None:
            assert len(self.asked) < 200, self.asked
            if self.draw(st.booleans()) and self.run.guess():
                self.guesses += 1
                continue
            if self.draw(st.integers(0, 5)) == 0 and (step.kind is not UDP or self.draw(st.booleans())):
                self.run.failed(Reason.CONNECT_TIMEOUT, asked=False)
                continue
            self.asked.append(step)
            reason = self.draw(st.none() | FAILURES)
            if reason is not None:
                self.ends_early |= reason in LOCAL
                self.run.failed(reason)
            elif step.kind in (UDP, TCP):
                self.seen.append(self.draw(SERIALS))
                self.run.soa_answered(self.seen[-1])
            elif step.kind is IXFR and self.draw(st.booleans()):
                self.run.transfer_up_to_date(HELD)
            else:
                self.transfer(self.draw(SERIALS))

    def transfer(self, serial: int) -> None:
        refusal = self.run.refusal(serial)
        if refusal is None:
            self.run.transferred(serial, soa(serial))
        else:
            self.run.failed(refusal)


@settings(max_examples=200, deadline=None)
@given(
    plans=primaries(),
    held=st.sampled_from([None, HELD]),
    force=st.booleans(),
    accept_lower=st.booleans(),
    first=st.lists(st.integers(0, 3), max_size=4),
    data=st.data(),
)
def test_every_run_ends_and_asks_nobody_twice(
    plans: list[PrimaryPlan], held: int | None, force: bool, accept_lower: bool, first: list[int], data: st.DataObject
) -> None:
    first = [index for index in first if index < len(plans)]
    run = RefreshRun(plans, held, force=force, accept_lower=accept_lower, first=first)
    course = Course(run, data.draw)
    course.go()
    times = Counter(course.asked)
    assert course.guesses <= 1
    assert all(times[step] == 1 for step in times if step.kind is AXFR), "a transfer is large"
    assert all(times[step] <= 1 + course.guesses for step in times if step.kind is IXFR), "so is a difference"
    assert all(count <= 2 for count in times.values()), "an address passed over at TCP begins anew, once"
    for index, plan in enumerate(plans):
        kinds = [step.kind for step in course.asked if step.primary == index]
        assert plan.ixfr or IXFR not in kinds
        if held is None or force:
            assert set(kinds) <= {AXFR}
    judge(course, held, force or accept_lower or held is None)


def judge(course: Course, held: int | None, takes_any: bool) -> None:
    """The outcome is the best of what was learnt."""
    match course.run.outcome:
        case Transferred(serial):
            assert takes_any or serial in (6, 7)
        case UpToDate(serial, _, missed):
            assert serial == held
            assert missed is None or any(seen in (6, 7) for seen in course.seen)
        case LowerSerial(serial):
            assert serial in (3, 4, 5 + 2**31) and HELD not in course.seen
        case Failed():
            assert course.ends_early or held is None or not any(seen == HELD for seen in course.seen)
        case other:
            raise AssertionError(other)


@settings(max_examples=200, deadline=None)
@given(plans=primaries(), reasons=st.lists(FAILURES, min_size=1, max_size=5), data=st.data())
def test_a_run_in_which_all_fail_asks_every_primary_and_blames_content_first(
    plans: list[PrimaryPlan], reasons: list[Reason], data: st.DataObject
) -> None:
    run = RefreshRun(plans, None)
    given_: list[Reason] = []
    asked: set[int] = set()
    while run.step is not None:
        reason = data.draw(st.sampled_from(reasons))
        given_.append(reason)
        step = run.step
        asked.add(step.primary)
        run.failed(reason)
        if reason in LOCAL:
            assert run.outcome == Failed(reason, f"p{step.primary}: {reason}")
            return
    assert asked == set(range(len(plans)))
    assert isinstance(run.outcome, Failed)
    costly = [reason for reason in given_ if CLASS_OF[reason] in COSTLY]
    assert run.outcome.reason == (costly[0] if costly else given_[-1])
