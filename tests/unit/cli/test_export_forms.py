"""The forms of `nameserver export`: from pieces that end anywhere, in bounded memory."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from nameserver.cli import export_forms
from nameserver.cli.export_forms import JSON, OCTODNS, ZONE, made
from nameserver.store import sorted_texts

SOA = "example.com. 60 IN SOA ns1.example.com. host.example.com. 7 1 1 1 1\n"


def pieces(text: str, size: int) -> Iterator[bytes]:
    return (text[start : start + size].encode() for start in range(0, len(text), size))


def hosts(count: int) -> Iterator[bytes]:
    yield SOA.encode()
    for number in range(count):
        yield f"host{number * 7919 % count}.example.com. 300 IN A 192.0.2.{number % 250}\n".encode()


@pytest.mark.parametrize("form", [JSON, OCTODNS])
def test_where_a_piece_ends_makes_no_difference(form: str) -> None:
    text = SOA + 'a.example.com. 1 IN TXT "x y" "z"\nb.example.com. 1 IN A 192.0.2.1\n'
    whole = b"".join(made(form, "example.com", 7, 3, iter([text.encode()]), None).pieces)
    for size in (1, 7, 50):
        assert b"".join(made(form, "example.com", 7, 3, pieces(text, size), None).pieces) == whole


def test_the_zone_file_is_passed_on_as_it_comes() -> None:
    given = [b"a", b"bc", b""]
    assert [*made(ZONE, "example.com", 7, 1, iter(given), None).pieces] == given


@pytest.mark.parametrize("form", [JSON, OCTODNS])
def test_memory_is_bounded_however_large_the_zone(form: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module, name, size in ((export_forms, "_OWNERS_AT_ONCE", 500), (export_forms, "_PIECE", 4096)):
        monkeypatch.setattr(module, name, size)
    monkeypatch.setattr(sorted_texts, "_BLOCK", 20)
    list(made(form, "example.com", 7, 10, hosts(10), tmp_path).pieces)  # what is there once, whatever is exported
    peaks = []
    for count in (2000, 6000):
        out = made(form, "example.com", 7, count, hosts(count), tmp_path)
        tracemalloc.start()
        size = sum(map(len, out.pieces))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert size > 50 * count
    assert peaks[1] < peaks[0] * 2, peaks
    assert not [*tmp_path.iterdir()]


def test_octodns_owners_are_in_natural_order_over_all_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(export_forms, "_OWNERS_AT_ONCE", 10)
    text = b"".join(made(OCTODNS, "example.com", 7, 100, hosts(100), tmp_path).pieces).decode()
    assert [line for line in text.splitlines() if line.startswith("host")] == [f"host{n}:" for n in range(100)]


def test_a_zone_without_anything_for_octodns_is_an_empty_mapping() -> None:
    out = made(OCTODNS, "example.com", 7, 1, iter([SOA.encode()]), None)
    assert b"".join(out.pieces) == b"---\n{}\n"
    assert not out.findings()


def test_a_directory_that_does_not_take_what_is_sorted_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(export_forms, "_OWNERS_AT_ONCE", 10)
    out = made(OCTODNS, "example.com", 7, 100, hosts(100), tmp_path / "absent")
    with pytest.raises(OSError, match=r"cannot be sorted in .*absent: No such file"):
        list(out.pieces)
