"""Tables, colours, and what is kept off the terminal."""

import io

from support.statuses import HOSTILE

from nameserver.cli.present import Cell, Palette, facts, safe, safe_lines, table

PLAIN, COLOURED = Palette(False), Palette(True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_are_as_wide_as_their_widest_cell_and_empty_ones_are_left_out() -> None:
    rows = [
        [Cell("a.example"), Cell(""), Cell("7", right=True)],
        [Cell("b"), Cell(""), Cell("1234", right=True)],
    ]
    assert table(("ZONE", "TYPE", "NO"), rows, PLAIN) == ["ZONE         NO", "a.example     7", "b          1234"]


def test_colour_does_not_disturb_the_alignment() -> None:
    rows = [[Cell("a", "good"), Cell("x")], [Cell("long", "bad"), Cell("y")]]
    lines = table(("N", "M"), rows, COLOURED)
    assert lines[1] == "\x1b[32ma\x1b[0m     x"
    assert lines[2] == "\x1b[31mlong\x1b[0m  y"


def test_an_empty_table_has_no_lines() -> None:
    assert table(("ZONE",), [], PLAIN) == []


def test_facts_are_aligned_and_empty_ones_left_out() -> None:
    assert facts([("a", "1"), ("long", "2"), ("gone", "")], PLAIN, "  ") == ["  a     1", "  long  2"]
    assert facts([], PLAIN) == []


def test_cells_and_texts_cannot_speak_to_the_terminal() -> None:
    assert table(("Z",), [[Cell(HOSTILE)]], PLAIN)[1].isprintable()
    assert safe(HOSTILE).isprintable()
    assert [line.isprintable() for line in safe_lines("one\n\x1btwo")] == [True, True]


def test_colour_is_for_terminals_that_want_it() -> None:
    def painted(stream: io.StringIO, **environment: str) -> bool:
        return Palette.of(stream, environment).paint("x", "good") != "x"

    assert painted(Terminal())
    assert not painted(io.StringIO())
    assert not painted(Terminal(), NO_COLOR="1")
    assert painted(Terminal(), NO_COLOR="")
    assert not painted(Terminal(), TERM="dumb")


def test_standard_output_and_the_processes_environment_are_the_default() -> None:
    assert Palette.of().paint("x", "good") == "x"


def test_an_unknown_tone_is_no_tone() -> None:
    assert COLOURED.paint("x", "") == "x"
