"""One refresh run over a zone's primaries: after a step has ended, which is next?

A run is a queue of primaries: those whose NOTIFY caused the run first (RFC 1996 §3.11), the others as configured.
With each, the steps follow one another like this, on one address until that fails:

    something held:   SOA by UDP ──(no answer, cut)──▶ SOA by TCP
                          └────────────────┬───────────────┘
                         serial: equal     │ newer              older
                              ▼            ▼                      ▼
                       run ends,      IXFR ──(fails)──▶ AXFR   refused: next primary; taken only where no live
                       up to date       └──────┬──────┘        version is held, by AXFR, and only after the other
                                               ▼               primaries had nothing equal or newer to offer
                                      run ends, transferred
    nothing held, or forced:  AXFR

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
from nameserver.refresh.outcome import CLASS_OF, Failed, FailureClass, LowerSerial, Outcome, Transferred, UpToDate
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
    """A primary as the run sees it: its name in messages, how many addresses it has, whether to ask for IXFR."""

    name: str
    addresses: int = 1
    ixfr: bool = True


class Then(Enum):
    """Where a failed step leads."""

    TCP = "the same question by TCP"
    AXFR = "a full transfer from the same address"
    ADDRESS = "the primary's next address; after the last one the next primary"
    PRIMARY = "the next primary"
    END = "the run ends"


_T = Then
AFTER_FAILURE: dict[FailureClass, tuple[Then, Then, Then, Then]] = {
    #                          SOA by UDP  SOA by TCP  IXFR        AXFR
    FailureClass.CONNECT:     (_T.TCP,     _T.ADDRESS, _T.ADDRESS, _T.ADDRESS),
    FailureClass.STREAM:      (_T.TCP,     _T.ADDRESS, _T.AXFR,    _T.ADDRESS),
    FailureClass.ANSWER:      (_T.PRIMARY, _T.PRIMARY, _T.AXFR,    _T.PRIMARY),
    FailureClass.AUTH:        (_T.PRIMARY, _T.PRIMARY, _T.PRIMARY, _T.PRIMARY),
    FailureClass.SERIAL:      (_T.PRIMARY, _T.PRIMARY, _T.PRIMARY, _T.PRIMARY),
    FailureClass.INCREMENTAL: (_T.PRIMARY, _T.PRIMARY, _T.AXFR,    _T.PRIMARY),
    FailureClass.CONTENT:     (_T.PRIMARY, _T.PRIMARY, _T.AXFR,    _T.PRIMARY),
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
    ) -> None:
        """`held` is our serial, None when no version is held; `force` takes a full transfer of whatever serial.

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
        self._opening = StepKind.AXFR if force or held is None else StepKind.SOA_UDP
        self._first = frozenset(first)
        order = dict.fromkeys((*first, *range(len(primaries))))  # keeps the order, drops repetitions
        self._queue = deque(Step(self._opening, index, 0) for index in order)
        # with the present primary
        self._announced: int | None = None  # the serial of its SOA answer
        self._ixfr_failed = False
        # over the run
        self._current: UpToDate | None = None
        self._missed: Failed | None = None
        self._lower: LowerSerial | None = None
        self._failure: Failed | None = None
        self.step: Step | None = self._queue.popleft()
        self.outcome: Outcome | None = None

    def soa_answered(self, serial: int, expire_option: int | None = None) -> None:
        """The SOA question was answered, with authority."""
        step = self._expect(StepKind.SOA_UDP, StepKind.SOA_TCP)
        self._announced = serial
        order = self._order(serial)
        if order is Order.EQUAL:
            self._found_current(UpToDate(serial, expire_option))
        elif order is Order.NEWER:
            incremental = self._primaries[step.primary].ixfr and not self._ixfr_failed
            self.step = step._replace(kind=StepKind.IXFR if incremental else StepKind.AXFR)
        elif self._accept_lower:
            self._queue.append(step._replace(kind=StepKind.AXFR))
            self._next_primary()
        else:
            self._lower = LowerSerial(serial)
            self._next_primary()

    def transfer_up_to_date(self, serial: int, expire_option: int | None = None) -> None:
        """The IXFR was answered by nothing but the SOA we hold (RFC 1995 §2)."""
        self._expect(StepKind.IXFR)
        self._found_current(UpToDate(serial, expire_option))

    def refusal(self, serial: int) -> Reason | None:
        """Why a transferred version with this serial must not be committed; None when it may be.

        To be asked before the commit, and reported through `failed`. Also refuses what is newer than ours but older
        than the same primary's answer to the SOA question: its servers disagree, and the next run would go back up.
        """
        if self._take_any:
            return None
        order = self._order(serial)
        if order is Order.EQUAL:
            return Reason.SERIAL_SAME
        if order is Order.UNDEFINED:
            return Reason.SERIAL_UNDEFINED
        if order is Order.OLDER:
            return Reason.SERIAL_BACKWARDS
        if self._announced is not None and compare(self._announced, serial) is Order.NEWER:
            return Reason.SERIAL_BACKWARDS
        return None

    def transferred(self, serial: int, soa: Soa, expire_option: int | None = None) -> None:
        """The transfer arrived whole, was not refused, and is committed."""
        self._expect(StepKind.IXFR, StepKind.AXFR)
        self._end(Transferred(serial, soa, expire_option))

    def failed(self, reason: Reason, detail: str = "") -> None:
        """The step failed; a cut answer by UDP is `SHORT_MESSAGE`."""
        step = self._expect(*StepKind)
        failure = Failed(reason, f"{self._primaries[step.primary].name}: {detail or reason}")
        # a zone that breaks rules outweighs a primary that is away: it decides how soon to try again
        if self._failure is None or CLASS_OF[self._failure.reason] is not FailureClass.CONTENT:
            self._failure = failure
        if self._announced is not None and self._order(self._announced) is Order.NEWER:
            self._missed = self._failure
        self._ixfr_failed |= step.kind is StepKind.IXFR
        then = after_failure(step.kind, reason)
        if then is Then.TCP:
            self.step = step._replace(kind=StepKind.SOA_TCP)
        elif then is Then.AXFR:
            self.step = step._replace(kind=StepKind.AXFR)
        elif then is Then.ADDRESS and step.address + 1 < self._primaries[step.primary].addresses:
            self.step = Step(self._opening, step.primary, step.address + 1)
        elif then is Then.END:
            self._end(failure)
        else:
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
        """Go on to the next primary, unless there is none or all who must be asked have been."""
        self._announced = None
        self._ixfr_failed = False
        if self._queue and (self._current is None or self._must_be_asked(self._queue[0])):
            self.step = self._queue.popleft()
        elif self._current is not None:
            self._end(UpToDate(self._current.serial, self._current.expire_option, self._missed))
        else:
            self._end(self._missed or self._lower or self._failure)

    def _must_be_asked(self, step: Step) -> bool:
        """Whether this step is the question to a primary that is asked even though another says we are current."""
        return step.kind is StepKind.SOA_UDP and step.primary in self._first

    def _end(self, outcome: Outcome | None) -> None:
        self.step = None
        self.outcome = outcome
