"""What is no proof that a zone is closed."""

import dns.name
import pytest

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.nameservers import Target
from nameserver.migrate.checks.exposure import WAYS, Attempt, judge

ZONE = dns.name.from_text("shop.example.")
AT = Target("ns1.shop.example", Endpoint("192.0.2.1", 53), "given")


def attempts(tcp: str, udp: str = "REFUSED") -> list[Attempt]:
    return [
        Attempt(AT, kind, "TCP" if over_tcp else "UDP", False, 0, result.isupper(), result)
        for kind, over_tcp in WAYS
        for result in (tcp if over_tcp else udp,)
    ]


def test_an_answer_that_cannot_be_read_may_be_the_zone():
    report = judge(ZONE, attempts("malformed"))
    assert (report.exit_code, report.faults, report.verdict) == (
        1, {"unreadable"}, "It is not known whether the zone is open.",
    )  # fmt: skip


@pytest.mark.parametrize("tcp", ["connect-timeout", "unreachable"])
def test_a_server_that_is_silent_over_tcp_is_told_apart(tcp: str):
    report = judge(ZONE, attempts(tcp))
    assert [finding.code for finding in report.findings] == ["tcp-silent"]
    assert report.verdict == "No server that answered hands out the zone without a key; not all did."


def test_a_refusal_and_a_closed_port_are_what_is_wanted():
    for tcp in ("REFUSED", "connect-refused", "closed-early"):
        report = judge(ZONE, attempts(tcp))
        assert (report.exit_code, report.findings) == (0, [])
