"""What `migrate serials` makes of what servers answer."""

from dataclasses import replace

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.nameservers import Target, Unfound
from nameserver.migrate.checks.serials import Sight, judge, newest
from nameserver.zone.serial import Order, add, compare

ZONE = dns.name.from_text("example.com")
ONE = Target("ns1.example.com", Endpoint("192.0.2.1", 53), "parent and zone")
TWO = Target("ns2.example.com", Endpoint("192.0.2.2", 53), "parent and zone")


def seen(target: Target, transport: str, serial: int | None, problem: str = "", contents: str = "same") -> Sight:
    return Sight(target, transport, serial, serial is not None, contents, problem, problem, 0.001 if serial else None)


def both(target: Target, serial: int) -> list[Sight]:
    return [seen(target, "UDP", serial), seen(target, "TCP", serial)]


def codes_of(sights: list[Sight], wanted: int | None = None) -> list[str]:
    return [finding.code for finding in judge(ZONE, sights, wanted=wanted).findings]


def test_one_serial_everywhere_is_good():
    report = judge(ZONE, both(ONE, 7) + both(TWO, 7))
    assert (report.exit_code, report.findings, report.facts["newest"]) == (0, [], 7)


def test_a_server_that_lags_is_named_over_each_transport():
    report = judge(ZONE, both(ONE, 7) + both(TWO, 6))
    assert report.exit_code == 1
    assert [finding.code for finding in report.findings] == ["lags", "lags"]
    assert "ns2.example.com (192.0.2.2:53) over UDP has serial 6, others have 7" in report.findings[0].text


def test_the_newest_is_found_beyond_the_wrap():
    assert judge(ZONE, both(ONE, 4294967295) + both(TWO, 3)).facts["newest"] == 3


def test_serials_half_the_circle_apart_have_no_newest():
    assert codes_of(both(ONE, 0) + both(TWO, 2**31)) == ["serial-undefined"]


def test_the_same_serial_with_another_soa_is_a_finding_of_its_own():
    other = [replace(sight, contents="other") for sight in both(TWO, 7)]
    assert codes_of(both(ONE, 7) + other) == ["same-serial-differs"]


def test_udp_that_answers_where_tcp_does_not_means_a_firewall():
    report = judge(ZONE, [seen(ONE, "UDP", 7), seen(ONE, "TCP", None, "connect-timeout")])
    assert "UDP answers, TCP does not: a firewall" in report.findings[0].next_step


def test_a_serial_that_is_waited_for_is_not_there_yet():
    assert codes_of(both(ONE, 7), wanted=8) == ["not-yet"]
    assert codes_of(both(ONE, 7), wanted=7) == []


def test_nobody_answering_is_exit_code_3():
    silent = [seen(ONE, "UDP", None, "connect-timeout"), seen(ONE, "TCP", None, "connect-refused")]
    assert judge(ZONE, silent).exit_code == 3


def test_a_server_without_an_address_is_a_fault():
    report = judge(ZONE, both(ONE, 7), [Unfound("no-address", "ns3.example.com. has no address", "")])
    assert (report.exit_code, report.findings[0].code) == (1, "no-address")


def test_the_digest_tells_what_was_found_and_not_how_long_it_took():
    one, slower = judge(ZONE, both(ONE, 7)), judge(ZONE, [replace(sight, seconds=2.0) for sight in both(ONE, 7)])
    assert one.digest() == slower.digest() != judge(ZONE, both(ONE, 8)).digest()


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**31 - 1), min_size=1))
def test_the_newest_of_serials_within_half_the_circle_is_at_or_after_all(base: int, steps: list[int]):
    serials = [add(base, step) for step in steps]
    top = newest(serials)
    assert top == add(base, max(steps))
    assert all(compare(top, serial) in (Order.NEWER, Order.EQUAL) for serial in serials if top is not None)


def test_no_serial_has_no_newest():
    assert newest([]) is None


@pytest.mark.parametrize("problem", ["refused", "not-authoritative"])
def test_each_problem_comes_with_what_to_do(problem: str):
    report = judge(ZONE, [*both(ONE, 7), seen(TWO, "UDP", None, problem)])
    assert report.findings[0].next_step
