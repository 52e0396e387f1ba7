"""The file of pauses: what is written is what is read, and what cannot be used is told."""

from pathlib import Path

import pytest

from nameserver.errors import StoreError
from nameserver.refresh.pause import KeptPause
from nameserver.store.pause_file import FILE_NAME, read_pauses, write_pauses
from nameserver.wire import names


def test_what_is_written_is_read(tmp_path: Path) -> None:
    odd = [b"\x01.\x07example\0", b'\x03a"\\\x04test\0', b"\x02\x00\x7f\x04test\0", b"\0", names.from_text("0/26.test")]
    pauses = {
        name: KeptPause("servfail" if number % 2 else "refused", 1_795_225_000.125 + number, 1_795_228_600.5)
        for number, name in enumerate(odd)
    }
    write_pauses(tmp_path, pauses)
    assert read_pauses(tmp_path) == pauses


def test_there_is_no_file_where_nothing_is_paused(tmp_path: Path) -> None:
    assert read_pauses(tmp_path) == {}
    write_pauses(tmp_path, {names.from_text("example.com"): KeptPause("refused", 1.0, 2.0)})
    write_pauses(tmp_path, {})
    write_pauses(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "[zone",
        "zone = 7",
        '[zone."example.com"]\nanswer = "refused"\nsince = 1.0',
        '[zone."example.com"]\nanswer = "gone"\nsince = 1.0\nuntil = 2.0',
        '[zone."example.com"]\nanswer = 5\nsince = 1.0\nuntil = 2.0',
        '[zone."example.com"]\nanswer = "refused"\nsince = nan\nuntil = 2.0',
        '[zone."example.com"]\nanswer = "refused"\nsince = 1.0\nuntil = inf',
        f'[zone."{"x" * 64}.com"]\nanswer = "refused"\nsince = 1.0\nuntil = 2.0',
        "\x00",
        f'[zone."example.com"]\nanswer = "refused"\nsince = {"9" * 400}\nuntil = 2.0',
        f"zone = {'[' * 5000}",
    ],
    ids=range(11),
)
def test_what_cannot_be_used_is_told_with_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(StoreError, match=FILE_NAME):
        read_pauses(tmp_path)


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StoreError, match="directory"):
        read_pauses(tmp_path)
