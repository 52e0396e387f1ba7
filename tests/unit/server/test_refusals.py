"""Refused transfers and NOTIFYs: a few in full, the rest as counts; a line a minute for one that goes on and on."""

from nameserver.errors import Reason
from nameserver.query.exchange import Refused
from nameserver.server.refusals import LINES, SHOWN, RefusalLog, Refusals

NOTIFY = ("notify", "refused")


def refused(source: str, asked: str = "axfr") -> Refused:
    return Refused(b"\x07example\x00", source, asked, Reason.REFUSED, b"\x01k\x00")


def test_a_flood_of_refusals_is_told_in_part_and_counted_in_full() -> None:
    refusals = Refusals()
    for number in range(SHOWN + 7):
        refusals.add(refused(f"192.0.2.{number}"))
    told = refusals.take()
    assert len(told["shown"]) == SHOWN
    first = {"asked": "axfr", "reason": "refused", "zone": "example", "source": "192.0.2.0", "key": "k"}
    assert told["shown"][0] == first
    assert told["more"] == [["axfr", "refused", 7]]
    assert refusals.take() == {"shown": [], "more": []}


def test_a_flood_of_one_kind_hides_none_of_another() -> None:
    refusals = Refusals()
    for number in range(10 * SHOWN):
        refusals.add(refused(f"192.0.2.{number}", "notify"))
    refusals.add(refused("198.51.100.1"))
    assert refusals.take()["shown"][-1]["asked"] == "axfr"


def test_a_source_that_goes_on_gets_one_line_a_minute_and_the_rest_is_counted() -> None:
    log = RefusalLog()
    log.minute(1000.0)
    lines = counts = 0
    for second in range(1, 181):
        counts += sum(count for _, count in log.minute(1000.0 + second))
        for _ in range(20):
            lines += log.wants(NOTIFY, "example", "192.0.2.1")
        log.skipped(NOTIFY, 980)
    counts += sum(count for _, count in log.minute(1e9))
    assert 3 <= lines <= 4
    assert lines + counts == 180 * 1000


def test_a_crowd_of_sources_gets_a_few_lines_a_minute_for_each_kind() -> None:
    log = RefusalLog()
    log.minute(1000.0)
    for second in range(59):
        for number in range(20):
            log.wants(NOTIFY, "example", f"10.0.{second}.{number}")
    assert log.wants(("axfr", "refused"), "example", "10.0.0.1"), "another kind has lines of its own"
    assert log.minute(1060.0) == [(NOTIFY, 59 * 20 - LINES)]
    assert log.wants(NOTIFY, "example", "10.0.0.1"), "in the next minute again"
    assert log.minute(1061.0) == []
