"""One run over the primaries: which step follows which, and what the run comes to."""

import pytest
from support.refreshing import soa

from nameserver.errors import Reason
from nameserver.refresh.outcome import Failed, LowerSerial, Transferred, UpToDate
from nameserver.refresh.plan import AFTER_FAILURE, PrimaryPlan, RefreshRun, Step, StepKind, Then, after_failure

UDP, TCP, IXFR, AXFR = StepKind
A, B, C = (PrimaryPlan(name) for name in "abc")
NETWORK = (Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.CLOSED_EARLY, Reason.IDLE_TIMEOUT, Reason.TOO_SLOW)
STALLS = (Reason.IDLE_TIMEOUT, Reason.TOTAL_TIMEOUT, Reason.TOO_SLOW)
AUTH = tuple(reason for reason in Reason if reason.startswith("tsig-"))
CONTENT = (Reason.NO_NS, Reason.CNAME_CONFLICT, Reason.WRONG_CLASS)
LIMITS = (Reason.LIMIT_BYTES, Reason.LIMIT_RECORDS, Reason.LIMIT_RRSET, Reason.LIMIT_TYPES)
ANSWERS = (Reason.REFUSED, Reason.NOTAUTH_ZONE, Reason.SERVFAIL, Reason.NXDOMAIN, Reason.NOT_AUTHORITATIVE)


def at(run: RefreshRun) -> tuple[StepKind, int, int] | None:
    """The present step as a plain tuple."""
    return tuple(run.step) if run.step else None


def take(run: RefreshRun, serial: int) -> None:
    run.transferred(serial, soa(serial))


# --- the usual courses -----------------------------------------------------------------------------------------------


def test_a_run_needs_a_primary() -> None:
    with pytest.raises(ValueError, match="at least one primary"):
        RefreshRun([], 5)


def test_an_equal_serial_ends_the_run_up_to_date() -> None:
    run = RefreshRun([A, B], 5)
    assert at(run) == (UDP, 0, 0)
    run.soa_answered(5, 100)
    assert run.step is None
    assert run.outcome == UpToDate(5, 100)


def test_a_newer_serial_leads_to_an_incremental_transfer() -> None:
    run = RefreshRun([A], 5)
    run.soa_answered(6)
    assert at(run) == (IXFR, 0, 0)
    run.transferred(6, soa(6), 900)
    assert run.outcome == Transferred(6, soa(6), 900)


@pytest.mark.parametrize("serial", [5, 6])
def test_what_is_held_but_stored_no_more_is_taken_whole_at_its_own_serial_too(serial: int) -> None:
    run = RefreshRun([A], 5, whole=True)
    run.soa_answered(serial)
    assert at(run) == (AXFR, 0, 0)
    assert run.refusal(serial) is None
    take(run, serial)
    assert run.outcome == Transferred(serial, soa(serial))


def test_what_is_held_but_stored_no_more_does_not_give_way_to_an_older_serial() -> None:
    run = RefreshRun([A, B], 5, whole=True)
    run.soa_answered(4)
    assert at(run) == (UDP, 1, 0)
    run.soa_answered(5)
    assert run.refusal(4) is Reason.SERIAL_BACKWARDS
    run.failed(Reason.SERIAL_BACKWARDS)
    assert run.outcome == LowerSerial(4)


def test_newer_is_meant_as_rfc_1982_says() -> None:
    run = RefreshRun([A], 2**32 - 1)
    run.soa_answered(3)
    assert at(run) == (IXFR, 0, 0)


def test_a_primary_without_ixfr_is_asked_for_everything() -> None:
    run = RefreshRun([PrimaryPlan("a", ixfr=False)], 5)
    run.soa_answered(6)
    assert at(run) == (AXFR, 0, 0)


def test_with_nothing_held_the_run_starts_with_a_full_transfer() -> None:
    run = RefreshRun([A], None)
    assert at(run) == (AXFR, 0, 0)
    assert run.refusal(17) is None


def test_a_forced_run_takes_a_full_transfer_of_any_serial() -> None:
    run = RefreshRun([A], 5, force=True)
    assert at(run) == (AXFR, 0, 0)
    assert [run.refusal(serial) for serial in (4, 5, 6, 5 + 2**31)] == [None] * 4


def test_an_ixfr_without_the_newer_version_that_was_shown_leads_to_the_others_and_to_an_axfr_last() -> None:
    run = RefreshRun([A, B], 5)
    run.soa_answered(6)
    run.transfer_up_to_date(5, 60)
    assert at(run) == (UDP, 1, 0)
    run.soa_answered(4)
    assert at(run) == (AXFR, 0, 0)
    assert run.refusal(5) is Reason.SERIAL_SAME
    run.failed(Reason.SERIAL_SAME)
    assert run.outcome == UpToDate(5, 60, Failed(Reason.SERIAL_SAME, "a: serial-same")), "and is tried again soon"


def test_a_version_that_an_ixfr_withheld_is_taken_from_whoever_has_it() -> None:
    run = RefreshRun([A, B], 5)
    run.soa_answered(9)
    run.transfer_up_to_date(5)
    run.soa_answered(7)
    assert (at(run), run.refusal(7)) == ((IXFR, 1, 0), None)
    alone = RefreshRun([A], 5)
    alone.soa_answered(6)
    alone.transfer_up_to_date(5)
    assert (at(alone), alone.refusal(6)) == ((AXFR, 0, 0), None)


# --- where a newer version is likely ---------------------------------------------------------------------------------


def guessing(*plans: PrimaryPlan, **more) -> RefreshRun:
    """A run that has been told to guess."""
    run = RefreshRun(plans, 5, **more)
    assert run.guess()
    return run


def test_a_primary_that_is_likely_to_have_a_newer_version_is_asked_for_it_at_once() -> None:
    run = guessing(A, B, first=[1])
    assert (at(run), run.guessed) == ((IXFR, 1, 0), 1)
    assert [run.refusal(serial) for serial in (4, 5, 6)] == [Reason.SERIAL_BACKWARDS, Reason.SERIAL_SAME, None]
    take(run, 6)
    assert run.outcome == Transferred(6, soa(6))
    assert (run.shown(0), run.shown(1)) == (None, 6)


def test_where_it_has_none_it_is_asked_for_its_serial_and_that_counts() -> None:
    run = guessing(A)
    run.transfer_up_to_date(5)
    assert at(run) == (UDP, 0, 0)
    assert not run.guess(), "one guess is enough"
    run.soa_answered(5, 100)
    assert run.outcome == UpToDate(5, 100)
    assert run.shown(0) == 5


def test_a_newer_version_that_came_too_late_for_a_guess_is_taken_as_ever() -> None:
    run = guessing(A)
    run.transfer_up_to_date(5)
    run.soa_answered(6)
    assert at(run) == (IXFR, 0, 0)
    run.transfer_up_to_date(5)
    assert at(run) == (AXFR, 0, 0)


@pytest.mark.parametrize("reason", [reason for reason in Reason if after_failure(IXFR, reason) is not Then.END])
def test_whatever_a_guess_fails_for_the_run_goes_on_as_without_it_and_does_not_repeat_it(reason: Reason) -> None:
    run, usual = guessing(A, B), RefreshRun([A, B], 5)
    run.failed(reason)
    assert at(run) == (UDP, 0, 0)
    run.soa_answered(6)
    usual.soa_answered(6)
    usual.failed(reason)
    while usual.step is not None:
        assert at(run) == at(usual), "as if the serial had been asked for first"
        for each in (run, usual):
            each.soa_answered(4) if at(each)[0] is UDP else each.failed(reason)
    assert run.outcome == usual.outcome
    again = guessing(A)
    again.failed(reason)
    again.soa_answered(5)
    assert again.outcome == UpToDate(5), "a guess that fails is no failure of the check"


def test_a_guess_that_turns_out_to_be_at_a_silent_address_leads_to_the_soa_question_there() -> None:
    run = guessing(A, B)
    run.failed(Reason.CONNECT_TIMEOUT, asked=False)
    assert at(run) == (UDP, 0, 0)
    run.failed(Reason.CONNECT_TIMEOUT, asked=False)
    run.failed(Reason.CONNECT_TIMEOUT, asked=False)
    assert at(run) == (UDP, 1, 0)


@pytest.mark.parametrize(
    ("plan", "more"),
    [
        (PrimaryPlan("a", ixfr=False), {}),
        (PrimaryPlan("a", silent=frozenset((0,))), {}),
        (PrimaryPlan("a"), {"whole": True}),
        (PrimaryPlan("a"), {"force": True}),
    ],
)
def test_no_guess_is_made_where_an_ixfr_is_of_no_use(plan: PrimaryPlan, more: dict) -> None:
    run = RefreshRun([plan], 5, **more)
    before = run.step
    assert not run.guess()
    assert (run.step, run.guessed) == (before, None)


def test_a_guess_takes_the_place_of_the_first_question_alone() -> None:
    run = RefreshRun([A], 5)
    run.failed(Reason.CONNECT_TIMEOUT)
    assert at(run) == (TCP, 0, 0)
    assert not run.guess()
    run.failed(Reason.CONNECT_TIMEOUT)
    assert not run.guess(), "the run has ended"


def test_after_a_guess_a_primary_over_tls_is_asked_for_its_serial_there_too() -> None:
    run = guessing(PrimaryPlan("a", addresses=2, datagrams=False))
    run.transfer_up_to_date(5)
    assert at(run) == (TCP, 0, 0)
    run.failed(Reason.IDLE_TIMEOUT)
    assert at(run) == (TCP, 0, 1)


# --- reports ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "report"),
    [
        (AXFR, lambda run: run.soa_answered(5)),
        (AXFR, lambda run: run.transfer_up_to_date(5)),
        (UDP, lambda run: take(run, 6)),
    ],
)
def test_a_report_that_does_not_fit_the_step_is_refused(kind: StepKind, report) -> None:
    run = RefreshRun([A], 5, force=kind is AXFR)
    with pytest.raises(ValueError, match="does not fit"):
        report(run)


def test_a_run_that_has_ended_takes_no_more_reports() -> None:
    run = RefreshRun([A], 5)
    run.soa_answered(5)
    with pytest.raises(ValueError, match="does not fit the present step, None"):
        run.failed(Reason.REFUSED)


# --- failures --------------------------------------------------------------------------------------------------------


def test_no_answer_by_udp_is_asked_again_by_tcp() -> None:
    run = RefreshRun([A], 5)
    run.failed(Reason.IDLE_TIMEOUT)
    assert at(run) == (TCP, 0, 0)
    run.soa_answered(5)
    assert run.outcome == UpToDate(5)


def test_a_cut_answer_by_udp_is_asked_again_by_tcp() -> None:
    assert after_failure(UDP, Reason.SHORT_MESSAGE) is Then.TCP


def test_a_dead_address_leads_to_the_next_and_after_the_last_to_the_next_primary() -> None:
    run = RefreshRun([PrimaryPlan("a", 2), B], 5)
    seen = []
    while run.step is not None:
        seen.append(at(run))
        run.failed(Reason.CONNECT_REFUSED)
    assert seen == [(UDP, 0, 0), (TCP, 0, 0), (UDP, 0, 1), (TCP, 0, 1), (UDP, 1, 0), (TCP, 1, 0)]
    assert run.outcome == Failed(Reason.CONNECT_REFUSED, "b: connect-refused")


@pytest.mark.parametrize("reason", ANSWERS)
def test_an_error_answered_to_the_soa_question_leads_to_the_next_primary_without_a_transfer(reason: Reason) -> None:
    run = RefreshRun([PrimaryPlan("a", 2), B], 5)
    run.failed(reason)
    assert at(run) == (UDP, 1, 0)


@pytest.mark.parametrize("reason", AUTH)
@pytest.mark.parametrize("kind", StepKind)
def test_a_tsig_failure_leads_to_the_next_primary(kind: StepKind, reason: Reason) -> None:
    assert after_failure(kind, reason) is Then.PRIMARY


@pytest.mark.parametrize("reason", NETWORK)
@pytest.mark.parametrize("kind", StepKind)
def test_a_failure_of_the_network_leads_to_the_next_primary(kind: StepKind, reason: Reason) -> None:
    """Over TCP where UDP failed, from the start where differences broke off; never the same question again."""
    run = RefreshRun([A, B], None if kind is AXFR else 5)
    if kind is TCP:
        run.failed(Reason.CONNECT_TIMEOUT)
    elif kind is IXFR:
        run.soa_answered(6)
    asked = []
    while run.step is not None and run.step.primary == 0:
        asked.append(run.step.kind)
        run.failed(reason)
    assert asked[0] is kind
    assert len(asked) == len(set(asked))
    assert run.step is not None and run.step.primary == 1


@pytest.mark.parametrize("reason", STALLS)
def test_an_ixfr_that_stands_still_is_followed_by_the_next_primary_and_by_an_axfr_last(reason: Reason) -> None:
    """A stalled primary must not hold a run for two time-outs while another could help."""
    run = RefreshRun([PrimaryPlan("a", 2), B], 5)
    run.soa_answered(6)
    run.failed(reason)
    assert at(run) == (UDP, 0, 1)
    run.failed(Reason.CONNECT_TIMEOUT)
    run.failed(Reason.CONNECT_TIMEOUT)
    assert at(run) == (UDP, 1, 0)
    run.failed(Reason.REFUSED)
    assert at(run) == (AXFR, 0, 0)
    assert run.refusal(6) is None
    run.failed(reason)
    assert run.step is None
    alone = RefreshRun([A], 5)
    alone.soa_answered(6)
    alone.failed(reason)
    assert at(alone) == (AXFR, 0, 0), "there is nobody else to ask"


def test_an_ixfr_that_stands_still_is_asked_for_in_full_even_when_another_says_we_are_current() -> None:
    """That one may be behind; without this the newer version would never come."""
    run = RefreshRun([A, B, C], 5)
    run.soa_answered(6)
    run.failed(Reason.IDLE_TIMEOUT)
    run.soa_answered(5)
    assert at(run) == (AXFR, 0, 0)
    run.failed(Reason.IDLE_TIMEOUT)
    assert run.outcome == UpToDate(5, None, Failed(Reason.IDLE_TIMEOUT, "a: idle-timeout"))


@pytest.mark.parametrize("reason", LIMITS)
def test_what_breaks_a_limit_is_not_asked_for_again_in_another_way(reason: Reason) -> None:
    run = RefreshRun([PrimaryPlan("a", 3), B], 5)
    run.soa_answered(6)
    run.failed(reason)
    assert at(run) == (UDP, 1, 0)


@pytest.mark.parametrize(
    "reason",
    [
        *ANSWERS,
        *CONTENT,
        Reason.FORMERR,
        Reason.NOTIMP,
        Reason.IXFR_HISTORY_GAP,
        Reason.IXFR_MISMATCH,
        Reason.IXFR_TOO_BIG,
        Reason.CLOSED_EARLY,
        Reason.MALFORMED,
    ],
)
def test_a_failed_ixfr_is_followed_by_one_axfr_from_the_same_primary(reason: Reason) -> None:
    run = RefreshRun([A, B], 5)
    run.soa_answered(6)
    run.failed(reason)
    assert at(run) == (AXFR, 0, 0)
    run.failed(reason)
    assert at(run) != (AXFR, 0, 0)


def test_ixfr_is_not_tried_again_at_another_address_of_a_primary_where_it_failed() -> None:
    run = RefreshRun([PrimaryPlan("a", 2)], 5)
    run.soa_answered(6)
    run.failed(Reason.IXFR_MISMATCH)
    run.failed(Reason.CLOSED_EARLY)
    assert at(run) == (UDP, 0, 1)
    run.soa_answered(6)
    assert at(run) == (AXFR, 0, 1)


def test_ixfr_is_tried_at_the_next_primary() -> None:
    run = RefreshRun([A, B], 5)
    run.soa_answered(6)
    run.failed(Reason.IXFR_MISMATCH)
    run.failed(Reason.NO_NS)
    run.soa_answered(6)
    assert at(run) == (IXFR, 1, 0)


def test_an_ixfr_that_cannot_connect_is_not_followed_by_an_axfr_to_the_same_address() -> None:
    run = RefreshRun([PrimaryPlan("a", 2)], 5)
    run.soa_answered(6)
    run.failed(Reason.CONNECT_TIMEOUT)
    assert at(run) == (UDP, 0, 1)


def test_an_ixfr_that_goes_backwards_is_not_followed_by_an_axfr() -> None:
    run = RefreshRun([A], 5)
    run.soa_answered(6)
    run.failed(Reason.SERIAL_BACKWARDS)
    assert run.outcome == Failed(Reason.SERIAL_BACKWARDS, "a: serial-backwards")


@pytest.mark.parametrize("reason", [*CONTENT, *LIMITS])
def test_a_zone_that_breaks_rules_is_not_fetched_again_from_the_same_primary(reason: Reason) -> None:
    run = RefreshRun([PrimaryPlan("a", 3), B], None)
    run.failed(reason, "why")
    assert at(run) == (AXFR, 1, 0)


def test_a_broken_zone_outweighs_a_dead_primary_in_the_outcome() -> None:
    run = RefreshRun([A, B], None)
    run.failed(Reason.NO_NS, "no NS at the apex")
    run.failed(Reason.CONNECT_REFUSED)
    assert run.outcome == Failed(Reason.NO_NS, "a: no NS at the apex")


@pytest.mark.parametrize("reason", [Reason.SHUTTING_DOWN, Reason.QUOTA, Reason.SUPERSEDED])
def test_our_own_doing_ends_the_run(reason: Reason) -> None:
    run = RefreshRun([A, B], 5)
    run.failed(reason, "now")
    assert run.outcome == Failed(reason, "a: now")


def test_up_to_date_at_one_primary_does_not_hide_that_a_newer_version_was_missed_at_another() -> None:
    run = RefreshRun([A, B], 5)
    run.soa_answered(6)
    run.failed(Reason.TSIG_BADSIG, "bad")
    run.soa_answered(5, 70)
    assert run.outcome == UpToDate(5, 70, Failed(Reason.TSIG_BADSIG, "a: bad"))


def test_a_newer_version_that_was_missed_outweighs_an_older_serial_elsewhere() -> None:
    run = RefreshRun([A, B], 5)
    run.soa_answered(6)
    run.failed(Reason.TSIG_BADSIG)
    run.soa_answered(4)
    assert run.outcome == Failed(Reason.TSIG_BADSIG, "a: tsig-badsig")


def test_a_missed_newer_version_is_blamed_on_the_primary_that_has_it() -> None:
    run = RefreshRun([A, B], 5)
    run.soa_answered(6)
    run.failed(Reason.TSIG_BADSIG)
    run.failed(Reason.REFUSED)
    assert run.outcome == Failed(Reason.TSIG_BADSIG, "a: tsig-badsig")


def test_every_step_and_reason_has_a_next() -> None:
    assert {(kind, reason): after_failure(kind, reason) for kind in StepKind for reason in Reason}
    assert all(len(row) == len(StepKind) for row in AFTER_FAILURE.values())


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("announced", [4, 5, 6])
@pytest.mark.parametrize("accept_lower", [False, True])
@pytest.mark.parametrize("silent", [(), (0, 2)])
def test_a_run_whose_transfers_always_fail_ends(
    reason: Reason, announced: int, accept_lower: bool, silent: tuple[int, ...]
) -> None:
    primaries = [PrimaryPlan("a", 3, silent=frozenset(silent)), PrimaryPlan("b", 2)]
    run = RefreshRun(primaries, 5, accept_lower=accept_lower)
    steps = 0
    while run.step is not None:
        steps += 1
        if run.step.kind in (UDP, TCP):
            run.soa_answered(announced)
        else:
            run.failed(reason)
    assert steps <= 5 * 3
    assert run.outcome is not None


# --- silence ---------------------------------------------------------------------------------------------------------


def silent(name: str, addresses: int, *which: int) -> PrimaryPlan:
    return PrimaryPlan(name, addresses, silent=frozenset(which))


def openings(run: RefreshRun, reason: Reason, *, asked: bool = True) -> list[tuple[int, int]]:
    """Primary and address of each visit of a run in which every step fails."""
    seen: list[tuple[int, int]] = []
    while run.step is not None:
        here = (run.step.primary, run.step.address)
        if here not in seen[-1:]:
            seen.append(here)
        run.failed(reason, asked=asked)
    return seen


def test_silent_addresses_are_asked_last() -> None:
    primaries = [silent("a", 3, 0, 2), silent("b", 1, 0), C]
    run = RefreshRun(primaries, 5, first=[1])
    assert openings(run, Reason.CONNECT_TIMEOUT) == [(0, 1), (2, 0), (1, 0), (0, 0), (0, 2)]


def test_where_all_are_silent_the_order_is_as_ever() -> None:
    run = RefreshRun([silent("a", 2, 0, 1), silent("b", 1, 0)], None)
    assert openings(run, Reason.CONNECT_REFUSED) == [(0, 0), (0, 1), (1, 0)]


def test_what_is_passed_over_leads_on_like_what_does_not_answer() -> None:
    """UDP to TCP, which may be open; a transfer to the next address, and no AXFR where IXFR was not even asked for."""
    run = RefreshRun([A, B], 5)
    run.failed(Reason.IDLE_TIMEOUT, "why", asked=False)
    assert at(run) == (TCP, 0, 0)
    run.soa_answered(6)
    run.failed(Reason.IDLE_TIMEOUT, "silent since", asked=False)
    assert at(run) == (UDP, 1, 0)
    run.failed(Reason.REFUSED)
    assert at(run) == (UDP, 0, 0)
    run.failed(Reason.IDLE_TIMEOUT, asked=False)
    run.failed(Reason.IDLE_TIMEOUT, "silent since", asked=False)
    assert run.outcome == Failed(Reason.IDLE_TIMEOUT, "a: silent since"), "it has a newer version"
    twice = RefreshRun([PrimaryPlan("a", 2)], 5)
    twice.soa_answered(6)
    twice.failed(Reason.IDLE_TIMEOUT, asked=False)
    twice.soa_answered(6)
    assert at(twice) == (IXFR, 0, 1), "its IXFR has not failed"


def test_an_address_that_fell_silent_during_the_run_is_asked_after_the_others() -> None:
    """The run had waited for its place, and another one has found out meanwhile."""
    run = RefreshRun([PrimaryPlan("a", 2), B], 5)
    assert run.elsewhere
    run.failed(Reason.CONNECT_TIMEOUT, asked=False)
    run.failed(Reason.CONNECT_TIMEOUT, asked=False)
    assert openings(run, Reason.CONNECT_REFUSED) == [(0, 1), (1, 0), (0, 0)]
    assert not RefreshRun([A], 5).elsewhere
    assert not RefreshRun([silent("a", 2, 0, 1), silent("b", 1, 0)], 5).elsewhere, "one silent one is like another"
    last = RefreshRun([A, B], None)
    last.failed(Reason.CONNECT_TIMEOUT)
    assert not last.elsewhere
    last.failed(Reason.CONNECT_TIMEOUT, asked=False)
    assert last.step is None


def test_a_run_that_passes_everybody_over_fails_with_what_is_remembered() -> None:
    run = RefreshRun([silent("a", 1, 0)], 5)
    assert openings(run, Reason.CONNECT_REFUSED, asked=False) == [(0, 0)]
    assert run.outcome == Failed(Reason.CONNECT_REFUSED, "a: connect-refused")


def test_a_primary_that_spoke_is_not_asked_at_its_silent_address() -> None:
    run = RefreshRun([silent("a", 2, 0), B], 5)
    assert at(run) == (UDP, 0, 1)
    run.failed(Reason.REFUSED)
    run.failed(Reason.REFUSED)
    assert run.step is None


def test_a_silent_address_is_not_asked_once_we_are_known_to_be_current() -> None:
    run = RefreshRun([silent("a", 1, 0), B], 5)
    assert at(run) == (UDP, 1, 0)
    run.soa_answered(5)
    assert run.outcome == UpToDate(5)


# --- serials ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lower", [4, 5 + 2**31])
def test_an_older_or_incomparable_serial_is_refused_and_the_next_primary_asked(lower: int) -> None:
    run = RefreshRun([A, B], 5)
    run.soa_answered(lower)
    assert at(run) == (UDP, 1, 0)
    run.failed(Reason.REFUSED)
    assert run.outcome == LowerSerial(lower)


def test_an_older_serial_at_one_primary_does_not_matter_when_another_holds_ours() -> None:
    run = RefreshRun([A, B], 5)
    run.soa_answered(4)
    run.soa_answered(5)
    assert run.outcome == UpToDate(5)


def test_a_primary_that_shows_a_newer_serial_than_it_sends_is_passed_over() -> None:
    """One is down, one shows 9 but sends 5, one holds 7: the run ends at 7."""
    run = RefreshRun([A, B, C], 5)
    run.failed(Reason.CONNECT_REFUSED)
    run.failed(Reason.CONNECT_REFUSED)
    run.soa_answered(9)
    run.failed(Reason.NOTIMP)
    reason = run.refusal(5)
    assert reason is Reason.SERIAL_SAME
    run.failed(reason)
    run.soa_answered(7)
    assert run.refusal(7) is None
    take(run, 7)
    assert run.outcome == Transferred(7, soa(7))


@pytest.mark.parametrize(
    ("serial", "reason"),
    [
        (9, None),
        (10, None),
        (8, Reason.SERIAL_BACKWARDS),
        (5, Reason.SERIAL_SAME),
        (4, Reason.SERIAL_BACKWARDS),
        (5 + 2**31, Reason.SERIAL_UNDEFINED),
    ],
)
def test_a_transfer_is_judged_by_what_we_hold_and_by_what_was_announced(serial: int, reason: Reason | None) -> None:
    run = RefreshRun([A], 5)
    run.soa_answered(9)
    assert run.refusal(serial) is reason


def test_before_an_announcement_only_what_we_hold_counts() -> None:
    assert RefreshRun([A], 5).refusal(6) is None


# --- nothing live held -----------------------------------------------------------------------------------------------


def test_with_nothing_live_an_equal_serial_is_enough() -> None:
    run = RefreshRun([A], 5, accept_lower=True)
    assert at(run) == (UDP, 0, 0)
    run.soa_answered(5)
    assert run.outcome == UpToDate(5)


def test_with_nothing_live_an_older_serial_is_taken_in_full() -> None:
    run = RefreshRun([A], 5, accept_lower=True)
    run.soa_answered(4)
    assert at(run) == (AXFR, 0, 0)
    assert run.refusal(4) is None
    take(run, 4)
    assert run.outcome == Transferred(4, soa(4))


def test_with_nothing_live_an_older_serial_is_taken_only_when_no_primary_has_better() -> None:
    run = RefreshRun([A, B], 5, accept_lower=True)
    run.soa_answered(4)
    assert at(run) == (UDP, 1, 0)
    run.soa_answered(6)
    assert at(run) == (IXFR, 1, 0)


def test_with_nothing_live_the_older_serials_are_tried_in_turn() -> None:
    run = RefreshRun([PrimaryPlan("a", 2), B], 5, accept_lower=True)
    run.failed(Reason.IDLE_TIMEOUT)
    run.failed(Reason.CONNECT_REFUSED)
    run.soa_answered(4)
    run.soa_answered(3)
    assert at(run) == (AXFR, 0, 1)
    run.failed(Reason.REFUSED)
    assert at(run) == (AXFR, 1, 0)
    run.failed(Reason.REFUSED)
    assert run.outcome == Failed(Reason.REFUSED, "b: refused")


# --- NOTIFY ----------------------------------------------------------------------------------------------------------


def test_the_sender_of_a_notify_is_asked_first() -> None:
    run = RefreshRun([A, B, C], 5, first=[2])
    seen = []
    while run.step is not None:
        seen.append(run.step.primary)
        run.failed(Reason.REFUSED)
    assert seen == [2, 0, 1]


def test_all_senders_of_notifies_are_asked_even_when_one_says_we_are_current() -> None:
    run = RefreshRun([A, B, C], 5, first=[1, 2, 1])
    assert run.step == Step(UDP, 1, 0)
    run.soa_answered(5)
    assert run.step == Step(UDP, 2, 0)
    run.soa_answered(6)
    assert at(run) == (IXFR, 2, 0)


def test_once_the_senders_are_asked_one_that_is_current_is_enough() -> None:
    run = RefreshRun([A, B, C], 5, first=[1, 2])
    run.soa_answered(5, 30)
    run.soa_answered(4)
    assert run.outcome == UpToDate(5, 30)


def test_an_older_serial_at_a_sender_is_not_taken_when_another_says_we_are_current() -> None:
    run = RefreshRun([A, B], 5, first=[0, 1], accept_lower=True)
    run.soa_answered(4)
    run.soa_answered(5)
    assert run.outcome == UpToDate(5)
