"""Whether the hint of a primary's NOTIFY is gone by."""

from nameserver.refresh.hints import TRUE_IN_A_ROW, Hints


def prove(hints: Hints[str], primary: str, times: int) -> None:
    for _ in range(times):
        hints.proved(primary, true=True)


def test_hints_are_gone_by_once_several_in_a_row_were_true() -> None:
    hints: Hints[str] = Hints()
    prove(hints, "a", TRUE_IN_A_ROW - 1)
    assert not hints.good("a")
    prove(hints, "a", 1)
    assert hints.good("a") and not hints.good("b")


def test_a_false_one_ends_it_however_many_were_true_before() -> None:
    hints: Hints[str] = Hints()
    prove(hints, "a", 1000)
    hints.proved("a", true=False)
    assert not hints.good("a")
    prove(hints, "a", TRUE_IN_A_ROW - 1)
    assert not hints.good("a")


def test_whoever_is_configured_no_more_is_forgotten() -> None:
    hints: Hints[str] = Hints()
    for primary in "ab":
        prove(hints, primary, TRUE_IN_A_ROW)
    hints.keep(frozenset("b"))
    assert (hints.good("a"), hints.good("b")) == (False, True)
