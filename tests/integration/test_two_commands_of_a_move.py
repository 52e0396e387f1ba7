"""Two commands at one state file at once, as real processes: what one has recorded the other does not write over."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from nameserver.migrate.move import phases
from nameserver.migrate.move.phases import State

ENDS = 60.0  # seconds


@pytest.fixture
def old_side() -> Iterator[socket.socket]:
    """Takes connections, and says nothing until the test lets it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(ENDS)
        yield listening


@pytest.fixture
def path(tmp_path: Path, old_side: socket.socket) -> Path:
    port = old_side.getsockname()[1]
    state = State("shop.example", [f"127.0.0.1:{port}"], ["127.0.0.2:9"], "zones", phase="lower-ttl")
    phases.write(tmp_path / "move.json", state)
    return tmp_path / "move.json"


def begin(verb: str, path: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nameserver", "migrate", verb, "shop.example", "--state", str(path), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=ENDS)
    return process.returncode, out, err


def while_measuring(verb: str, path: Path, old_side: socket.socket, *words: str) -> tuple[int, str, str]:
    """Begin a command; while it waits for the old side, take the move back with another. What became of the first."""
    first = begin(verb, path, "--timeout", "20", *words)
    connection, _ = old_side.accept()  # by now it has read the state
    code, out, err = end(begin("rollback", path, "--done", "not this week"))
    assert code == 0, out + err
    connection.close()
    old_side.close()
    return end(first)


def test_a_step_that_was_measured_on_a_state_of_before_is_not_taken(path: Path, old_side: socket.socket):
    code, _, err = while_measuring("advance", path, old_side, "--override", "it will be fine")
    assert code == 2
    assert "was changed by another command since it was read: nothing was recorded" in err
    state = phases.read(path)
    assert (state.phase, [entry["reason"] for entry in state.log]) == ("plan", ["not this week"])


def test_a_report_stands_and_says_that_it_was_not_recorded(path: Path, old_side: socket.socket):
    code, out, _ = while_measuring("status", path, old_side, "--json")
    assert code == 3
    assert [each["code"] for each in json.loads(out)["findings"] if each["level"] == "warning"] == ["not-recorded"]
    assert phases.read(path).phase == "plan"


def test_of_many_at_once_each_is_recorded_or_says_that_it_is_not(path: Path):
    began = [begin("rollback", path, "--done", f"reason {number}") for number in range(6)]
    ended = [end(each) for each in began]
    done = [number for number, (code, _, _) in enumerate(ended) if code == 0]
    assert done
    assert all(code == 0 or (code == 2 and "changed by another command" in err) for code, _, err in ended), ended
    assert sorted(entry["reason"] for entry in phases.read(path).log) == [f"reason {number}" for number in done]


def test_of_two_plans_for_one_file_the_later_is_refused(tmp_path: Path):
    path = tmp_path / "move.json"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old:
        old.bind(("127.0.0.1", 0))
        old.settimeout(ENDS)
        words = ["--old", f"127.0.0.1:{old.getsockname()[1]}", "--new", "127.0.0.2:9", "--new-ns", "ns.new.example"]
        both = [begin("plan", path, *words, "--timeout", "30", "--target", target) for target in ("60", "120")]
        questions = [old.recvfrom(4096) for _ in both]  # both have found no file, and wait for an answer
        assert not path.exists()
        for question, asker in questions:
            refused = dns.message.make_response(dns.message.from_wire(question))
            refused.set_rcode(dns.rcode.REFUSED)
            old.sendto(refused.to_wire(), asker)
        codes = sorted(end(each)[0] for each in both)
    assert codes == [0, 2]
