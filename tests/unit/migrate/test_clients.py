"""Who still asks, by the logs that servers have of it."""

import pytest

from nameserver.migrate.checks.clients import read_log, tell
from nameserver.migrate.report import Report

BIND = "21-Nov-2026 19:42:52.256 client @0x7f88c88db098 {}#55826 ({}): query: {} IN {} +E(0)K (127.0.0.1)"
VIEW = "21-Nov-2026 19:42:52.256 queries: info: client @0x7f88 {}#5582 ({}): view inside: query: {} IN {} -E(0) (::1)"
PDNS = "Nov 21 19:42:52 Remote {} wants '{}|{}', do = 0, bufsize = 1232: packetcache MISS"
PROXY = "Nov 21 19:42:52 Remote {}<-10.0.0.1 wants '{}|{}', do = 0, bufsize = 1232: packetcache HIT"
TCPDUMP = "19:42:52.256138 IP {}.53421 > 198.51.100.3.53: 12345+ [1au] {}? {}. (57)"
ODD_BITS = "19:42:52.2 eth0  In  IP {}.53421 > 198.51.100.3.53: 12345+% [b2&3=0x120] [1au] {}? {}. (57)"
REPLY = "19:42:52.256139 IP 198.51.100.3.53 > {}.53421: 12345 NXDomain*- q: {}? {}. 0/1/1 (120)"
TCPDUMP6 = "19:42:52.256138 IP6 {}.53421 > 2001:db8::3.53: 12345 {}? {}. (57)"


@pytest.mark.parametrize(
    ("line", "network", "kind"),
    [
        (BIND.format("192.0.2.77", "www.Shop.example", "www.Shop.example", "A"), "192.0.2.0/24", "A"),
        (VIEW.format("2001:db8:1:2::7", "shop.example", "shop.example", "MX"), "2001:db8:1::/48", "MX"),
        (PDNS.format("192.0.2.77", "www.shop.example", "AAAA"), "192.0.2.0/24", "AAAA"),
        (PROXY.format("192.0.2.77", "www.shop.example", "AAAA"), "192.0.2.0/24", "AAAA"),
        (TCPDUMP.format("192.0.2.77", "A", "www.shop.example"), "192.0.2.0/24", "A"),
        (ODD_BITS.format("192.0.2.77", "A", "www.shop.example"), "192.0.2.0/24", "A"),
        (TCPDUMP6.format("2001:db8:1:2::7", "HTTPS", "shop.example"), "2001:db8:1::/48", "HTTPS"),
    ],
)
def test_a_query_is_read_in_each_form_and_its_client_told_as_a_network(line: str, network: str, kind: str):
    reply = REPLY.format("192.0.2.77", "A", "www.shop.example")
    found = read_log([line, "21-Nov-2026 19:42:52.300 something else", reply], "shop.example")
    assert (found.queries, dict(found.networks)) == (1, {network: 1})
    assert dict(found.types[network]) == {kind: 1}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("shop.example", "SOA"), ("shop.example", "AXFR"), ("eshop.example", "A"), ("example", "A"), ("www.other", "A")],
)
def test_probes_transfers_and_other_zones_are_nobody_who_asks(name: str, kind: str):
    assert read_log([BIND.format("192.0.2.77", name, name, kind)], "shop.example").queries == 0


def test_a_log_in_no_form_that_is_known_is_refused_and_an_empty_one_is_silence():
    with pytest.raises(ValueError, match="no line of it is a query"):
        read_log(["GET / HTTP/1.1\n"], "shop.example")
    assert read_log([], "shop.example").queries == 0


def test_those_who_ask_most_come_first_and_no_address_is_shown_whole():
    lines = [BIND.format(f"198.51.{number}.9", "x", "www.shop.example", "A") for number in range(30)]
    lines += [BIND.format("192.0.2.77", "x", "www.shop.example", kind) for kind in ("A", "A", "MX")]
    report = Report("decommission", "shop.example")
    tell(report, read_log(lines, "shop.example"), "query.log")
    rows = report.tables[0].rows
    assert (rows[0], len(rows)) == (("192.0.2.0/24", "3", "A 2, MX 1"), 10)
    assert [finding.code for finding in report.findings] == ["clients"]
    assert "33 queries of users, from 31 networks" in report.findings[0].text
    assert "192.0.2.77" not in str(report.as_json()) + str(rows)
