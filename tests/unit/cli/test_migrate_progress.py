"""Progress of long migration commands: one line on a terminal, nothing anywhere else."""

import io
import sys

import pytest

from nameserver.cli.migrate.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "file"])
def test_the_gate_that_is_measured_is_told_on_a_terminal_alone(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress("gate") as progress:
        progress.stage("parity", 2, 9)
        progress("old", 1200)
        progress.stage("serials", 3, 9)
    told = stream.getvalue()
    if not stream.isatty():
        assert told == ""
        return
    drawn = told.split("\r\x1b[K")
    assert drawn[1] == "gate: 2 of 9, parity  "
    assert drawn[-2:] == ["gate: 3 of 9, serials  ", ""]  # and the line is gone in the end
