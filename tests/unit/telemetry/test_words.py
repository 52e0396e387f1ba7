"""Times and sizes in words."""

import pytest

from nameserver.telemetry import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0002, "under 1 ms"),
        (0.002, "2 ms"),
        (0.04, "40 ms"),
        (0.9996, "1.0s"),
        (1.26, "1.3s"),
        (9.99, "10s"),
        (59.6, "1m"),
        (250, "4m 10s"),
        (3600, "1h"),
        (3605, "1h"),
        (7260, "2h 1m"),
        (604_800, "7d"),
        (90_000, "1d 1h"),
        (-70, "-1m 10s"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(("when", "text"), [(None, "never"), (100.2, "now"), (350.0, "in 4m 10s"), (88.0, "12s ago")])
def test_a_moment_is_told_from_now(when: float | None, text: str) -> None:
    assert words.moment(when, 100.0) == text


def test_a_timestamp_is_utc_and_survives_nonsense() -> None:
    assert words.timestamp(0) == "1970-01-01 00:00:00 UTC"
    assert words.timestamp(None) == words.timestamp(1e30) == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB"), (2**60, "1048576.0 TiB")],
)
def test_a_size_has_a_binary_unit(count: int, text: str) -> None:
    assert words.size(count) == text


def test_counts_agree_with_their_noun() -> None:
    assert [words.plural(n, "zone") for n in (0, 1, 1200)] == ["0 zones", "1 zone", "1,200 zones"]
