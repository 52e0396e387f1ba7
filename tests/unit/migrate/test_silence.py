"""When an old side is silent: what counts as that, and what must never."""

import json

import pytest
from support import statuses

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker
from nameserver.migrate.checks.query_counts import Look, read_page
from nameserver.migrate.move import silence
from nameserver.migrate.move.phases import State
from nameserver.migrate.move.silence import silent_since
from nameserver.migrate.report import Report
from nameserver.telemetry.metrics import render_metrics

HOUR, DAY = 3600.0, 86400.0
PAGE = """process_start_time_seconds 1000.5
nameserver_zone_queries_total{zone="shop.example",kind="normal"} 7
nameserver_zone_queries_total{zone="shop.example",kind="control"} 900
nameserver_zone_queries_total{zone="other.example",kind="normal"} 40
"""


def bind_page(**counters: object) -> str:
    zone = {"name": "shop.example", "class": "IN", "serial": 1, "type": "primary", **counters}
    page = {"boot-time": "1970-01-01T00:16:40.500Z", "views": {"_default": {"zones": [zone]}}}
    return json.dumps(page)


def move(*looks: tuple[float, Look], quiet: float = DAY) -> tuple[State, Report]:
    """Looks at one page, and what is made of them at the time of the last."""
    state = State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "zones", phase="decommission", quiet=quiet)
    for when, look in looks:
        silence.note(state, [look], when)
    return state, silence.judge(state, looks[-1][0], "")


def test_our_page_and_binds_tell_the_queries_of_users_and_the_start_of_who_counts():
    look = read_page(PAGE, "shop.example")
    assert (look, look.ours) == (Look(7.0, 1000.5), True)
    counted = bind_page(qtypes={"A": 3, "AAAA": 4, "SOA": 100, "AXFR": 5, "IXFR": 6})
    look = read_page(counted, "shop.example")
    assert (look, look.ours) == (Look(7.0, 1000.5), False)


def test_what_our_own_server_renders_is_read_with_its_start_whatever_the_system_tells():
    page = render_metrics(statuses.snapshot(statuses.zone())).decode()
    look = read_page(page, "example.com")
    assert look.count == 1234
    assert look.started is not None
    without = "".join(line for line in page.splitlines(True) if "process_start_time" not in line)
    assert read_page(without, "example.com").started is not None


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("", "the page has no nameserver_zone_queries_total of shop.example"),
        (bind_page(), "zone-statistics full"),
        (bind_page(qtypes=[]), "not the statistics of a BIND"),
        (bind_page(name="other.example", qtypes={"A": 1}), "no zone shop.example"),
        ("{", "not the statistics of a BIND"),
        (PAGE.replace(" 7\n", " NaN\n"), "no number of queries"),
        (PAGE.replace(" 7\n", " -7\n"), "no number of queries"),
        (PAGE.replace("1000.5", "+Inf"), "no time"),
        ('{"views": 1}', "not the statistics of a BIND"),
    ],
)
def test_a_page_that_does_not_count_the_zone_is_refused_with_the_reason(page: str, why: str):
    with pytest.raises(ValueError, match=why):
        read_page(page, "shop.example")


def test_a_day_without_a_query_is_silence_and_an_hour_is_not_yet():
    _, short = move((0.0, Look(7, 1.0)), (HOUR, Look(7, 1.0)))
    assert (short.faults, short.facts["safe_from"]) == ({"too-early"}, DAY)
    _, enough = move((0.0, Look(7, 1.0)), (HOUR, Look(7, 1.0)), (DAY, Look(7, 1.0)))
    assert (enough.exit_code, enough.verdict) == (0, "Silent since 1970-01-01 00:00:00 UTC.")


def test_a_counter_that_was_restarted_and_came_to_the_same_number_is_no_silence():
    state, report = move((0.0, Look(7, 1.0)), (2 * DAY, Look(7, 1.5 * DAY)))
    assert silent_since(state.samples) is None
    assert report.faults == {"restarted"}


def test_a_counter_that_went_down_is_no_silence_though_the_start_is_the_same():
    _, report = move((0.0, Look(7, 1.0)), (2 * DAY, Look(3, 1.0)))
    assert report.faults == {"restarted"}


def test_without_the_start_of_the_process_nobody_can_tell():
    _, report = move((0.0, Look(7)), (2 * DAY, Look(7)))
    assert (report.faults, report.verdict) == ({"no-start-time"}, "Nobody can tell.")


def test_since_a_restart_after_which_nothing_was_counted_there_is_silence():
    state, report = move((0.0, Look(7, 1.0)), (2 * DAY, Look(0, 0.5 * DAY)))
    assert (silent_since(state.samples), report.exit_code) == (0.5 * DAY, 0)


def test_a_start_before_the_look_before_by_another_clock_does_not_lengthen_the_silence():
    state, _ = move((DAY, Look(7, 1.0)), (2 * DAY, Look(0, 100.0)))
    assert silent_since(state.samples) == DAY


def test_a_start_that_is_worked_out_anew_each_time_may_be_a_second_off():
    _, report = move((0.0, Look(7, 1.0)), (2 * DAY, Look(7, 2.0)))
    assert report.exit_code == 0


def test_one_query_ends_the_silence_and_says_how_many_there_were():
    _, report = move((0.0, Look(7, 1.0)), (2 * DAY, Look(7, 1.0)), (3 * DAY, Look(9, 1.0)))
    assert report.faults == {"still-asked"}
    assert "2 queries since the last look" in report.findings[0].text


def test_of_several_servers_each_has_to_be_silent_and_none_restarted():
    state = State("shop.example", ["192.0.2.1", "192.0.2.3"], ["192.0.2.2"], "zones")
    silence.note(state, [Look(7, 1.0), Look(5, 2.0)], 0.0)
    silence.note(state, [Look(7, 1.0), Look(5, DAY)], 2 * DAY)
    assert silent_since(state.samples) is None
    silence.note(state, [Look(7, 1.0), Look(5, DAY)], 4 * DAY)
    assert silent_since(state.samples) == 2 * DAY
    silence.note(state, [Look(7, 1.0), Look(6, DAY)], 5 * DAY)
    assert silent_since(state.samples) is None


def test_what_these_commands_ask_themselves_is_no_use_of_the_old_side():
    old, asker = Endpoint("192.0.2.1", 53), Asker()
    state, _ = move((0.0, Look(7, 1.0)))
    asker.asked_as_users[old] += 5
    silence.note_own(state, asker, [old], 100.0)
    assert (silence.settling(state, 100.5), silence.settling(state, 200.0)) == (1.5, 0.0)
    silence.note(state, [Look(12, 1.0)], 2 * DAY)
    assert silence.judge(state, 2 * DAY, "").exit_code == 0
    silence.note(state, [Look(0, 2.5 * DAY)], 3 * DAY)
    assert state.samples[-1][1] == 0  # what was asked of the process before is not taken off the count of this one
