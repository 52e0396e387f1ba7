"""nameserver.query.counters"""

import errno
from itertools import product

import pytest

from nameserver.query.counters import (
    CALLBACK,
    COUNTERS,
    HANDSHAKES,
    PORT_ZERO,
    QUERY,
    REFLECTOR,
    RESPONSE,
    SHORT,
    TCP_EVENTS,
    TOO_LARGE,
    dropped_slot,
    handshake_slot,
    internal_error_slot,
    query_slot,
    rate_limited_slot,
    response_slot,
    send_error_slot,
    tcp_slot,
)
from nameserver.wire import codes


def test_every_slot_has_a_name_of_its_own():
    assert len({(name.metric, *name.labels.items()) for name in COUNTERS}) == len(COUNTERS)


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        (("udp", 4, codes.QUERY, codes.A), ("udp", "ipv4", "QUERY", "A")),
        (("tcp", 6, codes.QUERY, codes.IXFR), ("tcp", "ipv6", "QUERY", "IXFR")),
        (("udp", 6, codes.NOTIFY, codes.SOA), ("udp", "ipv6", "NOTIFY", "SOA")),
        (("tcp", 4, codes.UPDATE, codes.SOA), ("tcp", "ipv4", "other", "SOA")),
        (("udp", 4, codes.QUERY, 257), ("udp", "ipv4", "QUERY", "CAA")),
        (("udp", 4, codes.QUERY, 65535), ("udp", "ipv4", "QUERY", "other")),
    ],
)
def test_a_request_is_counted_under_its_labels(arguments, labels):
    name = COUNTERS[query_slot(*arguments)]
    assert name.metric == "nameserver_queries_total"
    assert tuple(name.labels.values()) == labels
    assert tuple(name.labels) == ("transport", "family", "opcode", "type")


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        ((codes.NOERROR, "udp", False), ("NOERROR", "udp", "false")),
        ((codes.NXDOMAIN, "tcp", False), ("NXDOMAIN", "tcp", "false")),
        ((codes.NOERROR, "udp", True), ("NOERROR", "udp", "true")),
        ((codes.BADVERS, "udp", False), ("BADVERS", "udp", "false")),
        ((4095, "tcp", True), ("other", "tcp", "true")),
    ],
)
def test_a_reply_is_counted_under_its_labels(arguments, labels):
    name = COUNTERS[response_slot(*arguments)]
    assert name.metric == "nameserver_responses_total"
    assert tuple(name.labels.values()) == labels


@pytest.mark.parametrize("reason", [PORT_ZERO, SHORT, RESPONSE, TOO_LARGE])
def test_a_drop_is_counted_under_its_reason(reason):
    name = COUNTERS[dropped_slot(reason)]
    assert (name.metric, name.labels) == ("nameserver_dropped_total", {"reason": reason})


def test_no_two_kinds_of_event_share_a_slot():
    queries = {query_slot(*a) for a in product(("udp", "tcp"), (4, 6), (0, 4, 5), (*range(1, 260), 65535))}
    replies = {response_slot(*a) for a in product(range(30), ("udp", "tcp"), (False, True))}
    drops = {dropped_slot(reason) for reason in (PORT_ZERO, SHORT, RESPONSE, TOO_LARGE, REFLECTOR)}
    unsent = {send_error_slot(error) for error in (*errno.errorcode.values(), "")}
    faults = {internal_error_slot(where) for where in (QUERY, CALLBACK)}
    connections = {tcp_slot(event) for event in TCP_EVENTS}
    limited = {rate_limited_slot(action) for action in ("drop", "slip")}
    handshakes = {handshake_slot(outcome) for outcome in HANDSHAKES}
    kinds = (queries, replies, drops, unsent, faults, connections, limited, handshakes)
    assert len(set().union(*kinds)) == sum(map(len, kinds)) == len(COUNTERS)


def test_an_error_of_sending_is_counted_by_name_and_rare_ones_together():
    assert COUNTERS[send_error_slot("EPERM")].labels == {"error": "EPERM"}
    assert COUNTERS[send_error_slot("EDOM")].labels == COUNTERS[send_error_slot("")].labels == {"error": "other"}


def test_a_memoryview_serves_as_well_as_a_list():
    counters = memoryview(bytearray(8 * len(COUNTERS))).cast("Q")
    counters[query_slot("udp", 4, 0, 1)] += 1
    assert sum(counters) == 1
