"""One refresh run over a zone's primaries: after a step has ended, which is next?

A run is a queue of visits to primaries: those whose NOTIFY caused the run first (RFC 1996 §3.11), the others as
configured; addresses known to be silent after all others. The steps of a visit follow one another like this, on one
address until that fails:

    something held:   SOA by UDP ──(no answer, cut)──▶ SOA by TCP    (at once, to a primary with TLS)
                          └────────────────┬───────────────┘
                         serial: equal     │ newer              older
                              ▼            ▼                      ▼
                       run ends,      IXFR ──(fails)──▶ AXFR   refused: next primary; taken only where no live
                       up to date       └──────┬──────┘        version is held, by AXFR, and only after the other
                                               ▼               primaries had nothing equal or newer to offer
                                      run ends, transferred
    nothing held, or forced:  AXFR
    held, but not stored:     as above, with AXFR in place of IXFR, and for an equal serial too
    held, and a newer version likely:  `guess` ──▶ IXFR ──(anything but a newer version)──▶ SOA, as above

An IXFR that stands still has cost a time-out already, and one that brings nothing new contradicts the SOA: the AXFR in
its place is asked for after everybody else, too.

A step that fails leads on by the kind of step and the class of the failure: the table `AFTER_FAILURE`. The run ends
in the best of what was learnt: transferred, up to date, failed to take a newer version, only older serials, failed.

The caller drives it: while `run.step` is not None, do that step and report it by one of the methods. A transfer is
shown to `refusal` before it is committed.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from nameserver.errors import Reason
from nameserver.refresh.outcome import (
    CLASS_OF,
    COSTLY,
    Failed,
    FailureClass,
    LowerSerial,
    Outcome,
    Transferred,
    UpToDate,
)
from nameserver.zone.serial import Order, compare
from nameserver.zone.soa import Soa


class StepKind(Enum):
    """What to ask a primary."""

    SOA_UDP = "SOA by UDP"
    SOA_TCP = "SOA by TCP"
    IXFR = "IXFR"
    AXFR = "AXFR"


class Step(NamedTuple):
    """One exchange with one address of one primary; both are indexes into what the run was given."""

    kind: StepKind
    primary: int
    address: int


class PrimaryPlan(NamedTuple):
    """A primary as the run sees it: its name in messages, how many addresses it has, whether to ask for IXFR.

    `silent`: which of its addresses did not answer lately. `datagrams`: whether it may be asked over UDP, which it may
    not where everything to it goes over TLS (RFC 9103).
    """

    name: str
    addresses: int = 1
    ixfr: bool = True
    silent: frozenset[int] = frozenset()
    datagrams: bool = True


class _Visit(NamedTuple):
    """To one primary: the addresses to be tried in turn, and the first question to each."""

    primary: int
    addresses: tuple[int, ...]
    opening: StepKind
    silent: bool = False  # the addresses are; of no use once the primary has spoken elsewhere


class Then(Enum):
    """Where a failed step leads."""

    TCP = "the same question by TCP"
    AXFR = "a full transfer from the same address"
    LATER = "the primary's next address; a full transfer from this one when nobody else helped"
    ADDRESS = "the primary's next address; after the last one the next primary"
    PRIMARY = "the next primary"
    END = "the run ends"


_T = Then
AFTER_FAILURE: dict[FailureClass, tuple[Then, Then, Then, Then]] = {
    #                          SOA by UDP  SOA by TCP  IXFR        AXFR
    FailureClass.CONNECT:     (_T.TCP,     _T.ADDRESS, _T.ADDRESS, _T.ADDRESS),
    FailureClass.STALL:       (_T.TCP,     _T.ADDRESS, _T.LATER,   _T.ADDRESS),
    FailureClass.STREAM:      (_T.TCP,     _T.ADDRESS, _T.AXFR,    _T.ADDRESS),
    FailureClass.ANSWER:      (_T.PRIMARY, _T.PRIMARY, _T.AXFR,    _T.PRIMARY),
    FailureClass.AUTH:        (_T.PRIMARY, _T.PRIMARY, _T.PRIMARY, _T.PRIMARY),
    FailureClass.SERIAL:      (_T.PRIMARY, _T.PRIMARY, _T.PRIMARY, _T.PRIMARY),
    FailureClass.INCREMENTAL: (_T.PRIMARY, _T.PRIMARY, _T.AXFR,    _T.PRIMARY),
    FailureClass.CONTENT:     (_T.PRIMARY, _T.PRIMARY, _T.AXFR,    _T.PRIMARY),
    FailureClass.LIMIT:       (_T.PRIMARY, _T.PRIMARY, _T.PRIMARY, _T.PRIMARY),
    FailureClass.LOCAL:       (_T.END,     _T.END,     _T.END,     _T.END),
}  # fmt: skip
_COLUMN = {kind: column for column, kind in enumerate(StepKind)}


def after_failure(kind: StepKind, reason: Reason) -> Then:
    """Where a step of this kind leads when it failed for this reason."""
    return AFTER_FAILURE[CLASS_OF[reason]][_COLUMN[kind]]


class RefreshRun:
    """The decisions of one run. `step` is what to do now; once it is None, `outcome` says how the run ended."""

    def __init__(
        self,
        primaries: Sequence[PrimaryPlan],
        held: int | None,
        *,
        force: bool = False,
        accept_lower: bool = False,
        first: Sequence[int] = (),
        whole: bool = False,
    ) -> None:
        """`held` is our serial, None when no version is held; `force` takes a full transfer of whatever serial.

        `whole`: what is held is answered, but stored no more: a full transfer is wanted, of our serial or a newer one.

        `accept_lower`: no live version is held, so any serial is better than none. `first`: indexes of primaries to
        ask before the others, and each of them, even when one says that we are up to date: two primaries that sent
        NOTIFY may hold different serials. Raises ValueError without primaries.
        """
        if not primaries:
            raise ValueError("a refresh run needs at least one primary")
        self._primaries = primaries
        self._held = held
        self._accept_lower = accept_lower
        self._take_any = force or accept_lower or held is None
        self._whole = whole
        self._opening = StepKind.AXFR if force or held is None else StepKind.SOA_UDP
        self._first = frozenset(first)
        order = dict.fromkeys((*first, *range(len(primaries))))  # keeps the order, drops repetitions
        visits = [self._visit(index, silent=False) for index in order]
        visits += [self._visit(index, silent=True) for index in order if primaries[index].silent]
        self._queue = deque(visit for visit in visits if visit.addresses)
        self._visiting = self._queue.popleft()
        # by primary
        self._shown: dict[int, int] = {}  # the serial of its SOA answer, or of the version that came from it
        self._ixfr_failed: set[int] = set()
        self._guessed: Step | None = None
        self._guess_failed: Reason | None = None
        self._spoke: set[int] = set()  # its answer was its last word, whatever address gave it
        # over the run
        self._current: UpToDate | None = None
        self._doubtful: UpToDate | None = None  # current by one of a primary's answers and not by the other
        self._missed: Failed | None = None
        self._lower: LowerSerial | None = None
        self._failure: Failed | None = None
        self.step: Step | None = Step(self._visiting.opening, self._visiting.primary, self._visiting.addresses[0])
        self.outcome: Outcome | None = None

    def _visit(self, index: int, *, silent: bool) -> _Visit:
        """The visit to a primary's silent addresses, or to the others; it may have none."""
        primary = self._primaries[index]
        addresses = (each for each in range(primary.addresses) if (each in primary.silent) is silent)
        opening = self._opening
        if opening is StepKind.SOA_UDP and not primary.datagrams:
            opening = StepKind.SOA_TCP
        return _Visit(index, tuple(addresses), opening, silent)

    def guess(self) -> bool:
        """Ask for a newer version instead of the serial: whether that is what to do now.

        For a primary that is likely to have one. Nothing is believed of that: where no newer version comes, the serial
        is asked for all the same, and what the guess failed for counts as if it had been tried after that. Not where
        no difference is wanted, nor more than once, nor at an address that may be silent.
        """
        step, visit = self.step, self._visiting
        if step is None or step.kind is not visit.opening or step.kind is StepKind.AXFR or visit.silent:
            return False
        if self._whole or self._guessed is not None or not self._primaries[step.primary].ixfr:
            return False
        self.step = self._guessed = step._replace(kind=StepKind.IXFR)
        return True

    def soa_answered(self, serial: int, expire_option: int | None = None) -> None:
        """The SOA question was answered, with authority."""
        step = self._expect(StepKind.SOA_UDP, StepKind.SOA_TCP)
        self._shown[step.primary] = serial
        order = self._order(serial)
        if order is Order.EQUAL and not self._whole:
            self._found_current(UpToDate(serial, expire_option))
        elif (
            order is Order.NEWER
            and self._guess_failed is not None
            and self._guessed == step._replace(kind=StepKind.IXFR)
        ):
            self._missed = self._failure
            self._go_on(self._guessed, after_failure(StepKind.IXFR, self._guess_failed))
        elif order in (Order.EQUAL, Order.NEWER):
            able = self._primaries[step.primary].ixfr and step.primary not in self._ixfr_failed
            incremental = able and not self._whole
            self.step = step._replace(kind=StepKind.IXFR if incremental else StepKind.AXFR)
        elif self._accept_lower:
            self._queue.append(_Visit(step.primary, (step.address,), StepKind.AXFR))
            self._next_primary()
        else:
            self._lower = LowerSerial(serial)
            self._next_primary()

    def transfer_up_to_date(self, serial: int, expire_option: int | None = None) -> None:
        """The IXFR was answered by nothing but the SOA we hold (RFC 1995 §2), though the SOA question was by a newer.

        The primary's servers disagree, or it cannot make differences and says so badly: the others are asked, and when
        none of them has a newer version either, this one for the whole zone.
        """
        step = self._expect(StepKind.IXFR)
        if step is self._guessed:
            self._ask_serial(step)
            return
        self._doubtful = UpToDate(serial, expire_option)
        name, announced = self._primaries[step.primary].name, self._shown[step.primary]
        self._missed = Failed(Reason.SERIAL_SAME, f"{name}: it shows serial {announced}, and its IXFR {serial}")
        self._ixfr_failed.add(step.primary)
        self._queue.append(_Visit(step.primary, (step.address,), StepKind.AXFR))
        self._next_primary()

    def refusal(self, serial: int) -> Reason | None:
        """Why a transferred version with this serial must not be committed; None when it may be.

        To be asked before the commit, and reported through `failed`. Also refuses what is newer than ours but older
        than the same primary's answer to the SOA question: its servers disagree, and the next run would go back up.
        """
        if self._take_any:
            return None
        order = self._order(serial)
        if order is Order.EQUAL:
            return None if self._whole else Reason.SERIAL_SAME
        if order is Order.UNDEFINED:
            return Reason.SERIAL_UNDEFINED
        if order is Order.OLDER:
            return Reason.SERIAL_BACKWARDS
        announced = self._shown.get(self._visiting.primary)
        if announced is not None and compare(announced, serial) is Order.NEWER:
            return Reason.SERIAL_BACKWARDS
        return None

    def transferred(self, serial: int, soa: Soa, expire_option: float | None = None) -> None:
        """The transfer arrived whole, was not refused, and is committed."""
        step = self._expect(StepKind.IXFR, StepKind.AXFR)
        self._shown[step.primary] = serial
        self._end(Transferred(serial, soa, expire_option))

    @property
    def guessing(self) -> bool:
        """Whether the present step is the guess."""
        return self.step is not None and self.step is self._guessed

    @property
    def guessed(self) -> int | None:
        """The primary (by index) that was asked for a newer version before it was asked for its serial."""
        return None if self._guessed is None else self._guessed.primary

    def shown(self, primary: int) -> int | None:
        """The serial that a primary (by index) was seen to have, None where it was not, or was not asked."""
        return self._shown.get(primary)

    def failed(self, reason: Reason, detail: str = "", *, asked: bool = True) -> None:
        """The step failed; a cut answer by UDP is `SHORT_MESSAGE`.

        `asked`: False where the address was passed over for being silent, and the reason is an earlier exchange's.
        """
        step = self._expect(*StepKind)
        failure = Failed(reason, f"{self._primaries[step.primary].name}: {detail or reason}")
        # a zone that is not fit to be served outweighs a primary that is away: it decides how soon to try again
        if self._failure is None or CLASS_OF[self._failure.reason] not in COSTLY:
            self._failure = failure
        announced = self._shown.get(step.primary)
        if announced is not None and self._order(announced) is Order.NEWER:
            self._missed = self._failure
        if not asked:
            self._pass_over(step)
            return
        if step.kind is StepKind.IXFR:
            self._ixfr_failed.add(step.primary)
        then = after_failure(step.kind, reason)
        if then is Then.END:
            self._end(failure)
        elif step is self._guessed:
            self._guess_failed = reason
            self._ask_serial(step)
        else:
            self._go_on(step, then)

    def _failed_guess(self, step: Step) -> Reason | None:
        """Why the guess at this step's address failed; None where it did not, or there was none."""
        return self._guess_failed if self._guessed == step._replace(kind=StepKind.IXFR) else None

    def _ask_serial(self, step: Step) -> None:
        """The guess was wrong: the visit goes on as it would have begun without it."""
        self.step = step._replace(kind=self._visiting.opening)

    def _pass_over(self, step: Step) -> None:
        """Past an address that turned out to be silent: back to it at the end, if somebody else comes first."""
        if step.kind is StepKind.SOA_UDP:
            self._go_on(step, Then.TCP)
            return
        if step is self._guessed:
            self._ask_serial(step)
            return
        if self.elsewhere:
            self._queue.append(self._visiting._replace(addresses=(step.address,), silent=True))
        self._go_on(step, Then.ADDRESS)

    @property
    def elsewhere(self) -> bool:
        """Whether this step's address, should it be silent, can wait: somebody else is to be asked who may not be."""
        visit = self._visiting
        if visit.silent or self.step is None:
            return False
        return self.step.address != visit.addresses[-1] or any(
            not each.silent and self._of_use(each) for each in self._queue
        )

    def _go_on(self, step: Step, then: Then) -> None:
        """To the next step after one that failed."""
        if then is Then.TCP:
            self.step = step._replace(kind=StepKind.SOA_TCP)
            return
        if then is Then.AXFR:
            self.step = step._replace(kind=StepKind.AXFR)
            return
        if then is Then.LATER:
            self._queue.append(_Visit(step.primary, (step.address,), StepKind.AXFR))
        addresses = self._visiting.addresses
        following = addresses.index(step.address) + 1
        if then is not Then.PRIMARY and following < len(addresses):
            self.step = Step(self._visiting.opening, step.primary, addresses[following])
        else:
            if then is Then.PRIMARY:
                self._spoke.add(step.primary)
            self._next_primary()

    def _expect(self, *kinds: StepKind) -> Step:
        """The present step, which must be one of `kinds`; anything else is a mistake of the caller."""
        if self.step is None or self.step.kind not in kinds:
            raise ValueError(f"this report does not fit the present step, {self.step}")
        return self.step

    def _order(self, serial: int) -> Order:
        """How a primary's serial stands to ours."""
        return Order.NEWER if self._held is None else compare(serial, self._held)

    def _found_current(self, current: UpToDate) -> None:
        self._current = current
        self._next_primary()

    def _next_primary(self) -> None:
        """Go on to the next visit, unless there is none or all who must be asked have been."""
        while self._queue and not self._of_use(self._queue[0]):
            self._queue.popleft()
        if self._queue:
            self._visiting = self._queue.popleft()
            self.step = Step(self._visiting.opening, self._visiting.primary, self._visiting.addresses[0])
        elif (current := self._current or self._doubtful) is not None:
            self._end(UpToDate(current.serial, current.expire_option, self._missed))
        else:
            self._end(self._missed or self._lower or self._failure)

    def _of_use(self, visit: _Visit) -> bool:
        """Whether a visit can still add to what was learnt."""
        if visit.silent and visit.primary in self._spoke:
            return False
        if self._current is None:
            return True
        # one says that we are current: left are who told us of a version, and what is known to be newer
        announced = self._shown.get(visit.primary)
        if visit.opening is StepKind.AXFR:
            return announced is not None and self._order(announced) is Order.NEWER
        return visit.primary in self._first

    def _end(self, outcome: Outcome | None) -> None:
        self.step = None
        self.outcome = outcome
