"""tests/FAULTS.md says which test shows which outcome: whatever it names exists, and no fault has two rows."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (TESTS / "FAULTS.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| ?[A-Z]\d", line)
]
NAMED = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")


def test_every_row_names_a_test_that_exists() -> None:
    missing = []
    for row in ROWS:
        assert len(row) == 4, row
        named = NAMED.findall(row[3])
        assert named, f"{row[0]} names no test"
        for path, function in named:
            source = TESTS / path
            if not source.is_file() or (function and f"def {function}(" not in source.read_text(encoding="utf-8")):
                missing.append(f"{row[0]}: {path}::{function}")
    assert missing == []


def test_no_fault_has_two_rows() -> None:
    ids = [row[0] for row in ROWS]
    assert sorted(ids) == sorted(set(ids))
