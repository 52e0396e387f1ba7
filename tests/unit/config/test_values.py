"""Converters of single values."""

import datetime
from ipaddress import ip_network

import pytest

from nameserver.config import values
from nameserver.config.model import Endpoint
from nameserver.config.values import BadValue

WEEK = 7 * 86400


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("500ms", 0.5),
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("7d", WEEK),
        ("1w", WEEK),
        (90, 90),
        (1.5, 1.5),
        ("1.5h", 5400),
    ],
)
def test_a_duration_is_seconds(raw, seconds):
    assert values.duration(0, WEEK)(raw) == seconds


@pytest.mark.parametrize(
    "raw", ["", "15", "m", "15x", "15m!", "-1s", "1e3s", "\u0661s", True, [], "2w", float("nan"), float("inf")]
)
def test_a_duration_that_is_none_or_out_of_range_is_refused(raw):
    with pytest.raises(BadValue):
        values.duration(0, WEEK)(raw)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.05, "0.05s"), (59, "59s"), (90, "1.5m"), (3600, "1h"), (WEEK, "1w"), (5415, "5415s")]
)
def test_a_duration_is_shown_in_its_largest_unit(seconds, text):
    assert values.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("raw", "amount"),
    [("512B", 512), ("64KiB", 65536), ("1MiB", 2**20), ("1 GiB", 2**30), ("10kB", 10_000), ("1.5KiB", 1536), (77, 77)],
)
def test_a_size_is_bytes(raw, amount):
    assert values.size(0, 2**31)(raw) == amount


@pytest.mark.parametrize("raw", ["", "12", "1K", "1TiB", "x", True, 1.5, "3GiB", -1])
def test_a_size_that_is_none_or_out_of_range_is_refused(raw):
    with pytest.raises(BadValue):
        values.size(0, 2**31)(raw)


@pytest.mark.parametrize(
    ("raw", "endpoint"),
    [
        ("192.0.2.1", Endpoint("192.0.2.1", 53)),
        ("192.0.2.1:5300", Endpoint("192.0.2.1", 5300)),
        ("192.0.2.1#5300", Endpoint("192.0.2.1", 5300)),
        ("2001:DB8:0::1", Endpoint("2001:db8::1", 53)),
        ("[2001:db8::1]", Endpoint("2001:db8::1", 53)),
        ("[2001:db8::1]:5300", Endpoint("2001:db8::1", 5300)),
        ("2001:db8::1#5300", Endpoint("2001:db8::1", 5300)),
        ("::", Endpoint("::", 53)),
    ],
)
def test_every_form_of_an_endpoint_is_understood(raw, endpoint):
    assert values.endpoint()(raw) == endpoint


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "ns1",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:x",
        "192.0.2.1:\u0665\u0663",
        "192.0.2.256",
        "[2001:db8::1",
        "[::1]53",
        "fe80::1%eth0",
        "192.0.2.1@x",
        "::1@53",
        53,
    ],
)
def test_what_is_no_endpoint_is_refused(raw):
    with pytest.raises(BadValue):
        values.endpoint()(raw)


def test_http_is_switched_off_by_an_empty_string_and_has_its_own_port():
    assert values.http_endpoint("") is None
    assert values.http_endpoint("127.0.0.1") == Endpoint("127.0.0.1", 9530)
    assert values.http_endpoint("[::1]:80") == Endpoint("::1", 80)


def test_a_network_is_an_address_a_prefix_or_any():
    assert values.network("any") is None
    assert values.network("192.0.2.1") == ip_network("192.0.2.1/32")
    assert values.network("2001:db8::/32") == ip_network("2001:db8::/32")


@pytest.mark.parametrize("raw", ["all", "192.0.2.1/33", "192.0.2.1/24", "fe80::1%eth0", "::ffff:192.0.2.1", 4])
def test_what_is_no_network_is_refused(raw):
    with pytest.raises(BadValue):
        values.network(raw)


def test_an_nsid_is_text_or_bytes():
    assert values.identifier("ns1") == b"ns1"
    assert values.identifier("0xC0ffee") == b"\xc0\xff\xee"
    for bad in ("0xc", "0xzz", "x" * 129, 1):
        with pytest.raises(BadValue):
            values.identifier(bad)


def test_numbers_are_not_booleans_and_stay_in_range():
    assert values.number(0, 1)(1) == 1.0
    for bad in (True, "1", 2, float("nan")):
        with pytest.raises(BadValue):
            values.number(0, 1)(bad)


def test_every_bad_element_of_a_list_is_reported_with_its_index():
    nested = values.list_of(values.list_of(values.integer(0, 9), example="[1]"), example="[[1]]")
    with pytest.raises(BadValue) as caught:
        nested([[1], [2, "x"], 3, [10]])
    assert [where for where, _ in caught.value.faults] == [(1, 1), (2,), (3, 0)]
    assert caught.value.usable == ((1,), None, None, None)


def test_what_stands_twice_is_reported_beside_other_faults():
    with pytest.raises(BadValue) as caught:
        values.list_of(values.integer(0, 9), example="[1]", unique=True)([1, "x", 1, 10])
    assert [where for where, _ in caught.value.faults] == [(1,), (2,), (3,)]


@pytest.mark.parametrize(
    "raw",
    [float("inf"), float("nan"), 10**5000, -(10**5000), "9" * 400 + "s"],
    ids=["infinite", "none", "large", "small", "long"],
)
def test_numbers_beyond_all_bounds_are_refused_in_words(raw):
    converters = [values.duration(0, WEEK), values.size(0, 9), values.integer(0, 9), values.number(0, 9)]
    for convert in converters:
        with pytest.raises(BadValue) as caught:
            convert(raw)
        assert len(str(caught.value)) < 300
        assert "infw" not in str(caught.value)
        assert "nans" not in str(caught.value)


def test_one_of_a_few_words_is_suggested():
    with pytest.raises(BadValue, match='did you mean "warning"'):
        values.choice("info", "warning")("warn")


def test_text_is_limited_in_bytes_not_characters():
    assert values.short_text(4)("äö") == "äö"
    with pytest.raises(BadValue):
        values.short_text(4)("äöü")


def test_the_type_that_was_found_is_named():
    found = [values.type_name(value) for value in (True, 1, 1.0, "", [], {}, datetime.date(2026, 1, 1))]
    assert found == ["a boolean", "an integer", "a number", "a string", "a list", "a table", "a date or time"]
