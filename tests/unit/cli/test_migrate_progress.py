"""How far a comparison has come, as a terminal shows it."""

import io
import sys

import pytest

from nameserver.cli.migrate import progress
from nameserver.cli.migrate.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_there_is_a_bar_from_when_on_it_is_known_how_many_records_are_to_come(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Progress("comparing") as shown:
        shown("old", 1000)
        shown("new", 100)
        shown.expect(1000)
        shown("new", 500)
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert drawn[1:] == [
        "comparing: old 1,000",
        "comparing: new 100  old 1,000",
        f"comparing: [{'#' * 15}{'.' * 15}] new 500  old 1,000",
        "",
    ]


def test_nothing_is_drawn_where_nobody_looks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    monkeypatch.setattr(sys, "stderr", hidden := io.StringIO())
    with Progress("comparing") as shown:
        shown("old", 1000)
    assert hidden.getvalue() == ""
