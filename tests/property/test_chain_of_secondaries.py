"""A chain of three of ours below a primary, with one clock in hand: whatever fails when, none serves beyond its word.

    primary ──▶ first ──▶ second ──▶ third        each asks the one before it, and is told by EDNS EXPIRE (RFC 7314)

The primary's word is the SOA's expire, from each moment in which it told the first that what it has is good.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from support.refreshing import FAILED, DrivenZone, transferred

from nameserver.query.expire import expire_option
from nameserver.refresh.machine import State
from nameserver.refresh.outcome import Outcome, UpToDate

START = 1000.0
GONE = (State.EXPIRED, State.NEVER_TRANSFERRED)
TIMES = {"refresh": 300, "retry": 60}


@dataclass
class Chain:
    """The three, and what stands between each and the one before it."""

    expire: int
    random: float
    knows_the_option: bool
    serial: int = 5
    word: float = 0.0  # until when the primary's word is good
    links: list[bool] = field(default_factory=lambda: [True, True, True])

    def __post_init__(self) -> None:
        self.now = START
        self.zones = [DrivenZone(random=self.random, now=START) for _ in range(3)]
        for zone in self.zones:
            zone.start()
        self.settle()

    def settle(self) -> None:
        """Answer the checks that are under way, those of the first first."""
        for number, zone in enumerate(self.zones):
            while zone.checking:
                zone.finish(self.answer(number))

    def answer(self, number: int) -> Outcome:
        """What the one before it says now."""
        if not self.links[number]:
            return FAILED
        held = self.zones[number].machine.snapshot().serial
        if number == 0:
            self.word = self.now + self.expire
            serial, option = self.serial, self.expire if self.knows_the_option else None
        else:
            above = self.zones[number - 1]
            if above.state in GONE:
                return FAILED
            serial = above.machine.snapshot().serial or 0
            option = int.from_bytes(expire_option(self.expire, above.life)[1], "big")
        if serial == held:
            return UpToDate(serial, option)
        return transferred(serial, option, expire=self.expire, **TIMES)

    def let_pass(self, seconds: float) -> None:
        """Time passes; all that becomes due on the way happens when it does, and the rule is looked at each time."""
        until = self.now + seconds
        while True:
            due = min(
                (each for zone in self.zones if (each := zone.machine.next_deadline()) is not None), default=until
            )
            self.now = max(self.now, min(due, until))
            for zone in self.zones:
                zone.now = self.now
                if (deadline := zone.machine.next_deadline()) is not None and deadline <= self.now:
                    zone.tick()
            self.settle()
            self.check()
            if due > until:
                return

    def check(self) -> None:
        for number, zone in enumerate(self.zones):
            if zone.state not in GONE:
                assert self.now <= self.word, (
                    f"number {number} serves {self.now - self.word} s beyond the primary's word"
                )


EVENTS = st.one_of(
    st.tuples(st.just("time"), st.floats(0, 4000)),
    st.tuples(st.just("cut"), st.integers(0, 2)),
    st.tuples(st.just("mend"), st.integers(0, 2)),
    st.tuples(st.just("change"), st.just(0)),
    st.tuples(st.just("refresh"), st.integers(0, 2)),
    st.tuples(st.just("notify"), st.integers(0, 2)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=40), st.integers(400, 6000), st.floats(0, 0.99), st.booleans())
def test_none_of_a_chain_of_three_ever_serves_longer_than_the_primary_said(events, expire, random, knows) -> None:
    chain = Chain(expire, random, knows)
    for what, value in events:
        match what:
            case "time":
                chain.let_pass(value)
            case "cut":
                chain.links[value] = False
            case "mend":
                chain.links[value] = True
            case "change":
                chain.serial += 1
            case "refresh":
                chain.zones[value].refresh()
            case "notify":
                chain.zones[value].notify()
        chain.settle()
        chain.check()


def test_a_primary_that_goes_for_good_takes_the_whole_chain_with_it_and_one_that_returns_brings_it_back() -> None:
    chain = Chain(expire=3000, random=0.5, knows_the_option=False)
    chain.let_pass(10_000)
    assert [zone.state for zone in chain.zones] == [State.SERVING] * 3
    chain.links[0] = False
    chain.let_pass(chain.word - chain.now - 1)
    assert chain.zones[0].state not in GONE, "the first serves to the end"
    chain.let_pass(2)
    assert [zone.state for zone in chain.zones] == [State.EXPIRED] * 3
    chain.links[0] = True
    chain.let_pass(4000)
    assert [zone.state for zone in chain.zones] == [State.SERVING] * 3
