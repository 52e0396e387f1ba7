"""tests/FAULTS.md says which test shows which outcome: whatever it names exists, and no fault has two rows or none."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (TESTS / "FAULTS.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| ?[A-Z]\d", line)
]
SHOWN, ELSEWHERE = [row for row in ROWS if len(row) == 4], [row for row in ROWS if len(row) == 3]
NAMED = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")
# The catalogue: bugs of others (C), injected faults (F), what is on by default (S). Numbers that are missing were never
# given to anything.
CATALOGUE = {
    *(f"C{number:02}" for number in range(1, 66)),
    "C40b",
    "C40c",
    *(f"F{number:02}" for number in (*range(1, 19), *range(20, 31), *range(40, 65), *range(70, 85))),
    *(f"S{number:02}" for number in range(1, 19)),
}


def test_every_row_names_a_test_that_exists() -> None:
    missing = []
    for row in SHOWN:
        named = NAMED.findall(row[3])
        assert named, f"{row[0]} names no test"
        for path, function in named:
            source = TESTS / path
            if not source.is_file() or (function and f"def {function}(" not in source.read_text(encoding="utf-8")):
                missing.append(f"{row[0]}: {path}::{function}")
    assert missing == []


def test_what_no_test_shows_has_a_reason() -> None:
    assert [row for row in ROWS if row not in SHOWN and row not in ELSEWHERE] == []
    assert all(len(row[2]) > 20 and not NAMED.search(row[2]) for row in ELSEWHERE)


def test_no_fault_has_two_rows() -> None:
    ids = [row[0] for row in ROWS]
    assert sorted(ids) == sorted(set(ids))


def test_no_fault_of_the_catalogue_is_left_out() -> None:
    assert sorted(CATALOGUE - {row[0] for row in ROWS}) == []
