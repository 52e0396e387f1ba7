"""State and snapshot are edited and merged by hand: what is wrong in them is a sentence, never a traceback."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.commands import nameserver

from nameserver.cli.migrate.moving import metrics_of
from nameserver.cli.migrate.render import markdown, text
from nameserver.cli.present import Palette
from nameserver.migrate.checks import snapshot
from nameserver.migrate.moments import moment
from nameserver.migrate.move import phases
from nameserver.migrate.move.phases import State, StateError
from nameserver.migrate.report import Level, Report, Table

GOOD = asdict(State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "zones"))


def test_what_was_written_is_read_again(tmp_path: Path):
    state = State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "zones", samples=[[1, 2.5]], cached={"taken": 1})
    phases.write(tmp_path / "move.json", state)
    assert phases.read(tmp_path / "move.json") == state


@pytest.mark.parametrize(
    "changed",
    [
        {"old": "192.0.2.1"},
        {"old": []},
        {"new": [1]},
        {"phase": ["plan"]},
        {"phase": "nowhere"},
        {"seen": {"ttl-lowered": "yesterday"}},
        {"seen": []},
        {"samples": [[1]]},
        {"samples": [1]},
        {"floor": True},
        {"floor": None},
        {"quiet": float("nan")},
        {"seen": {"delegated": float("-inf")}},
        {"keep": 10**400},
        {"new_ns": ["ns1..new.example"]},
        {"surprise": 1},
        {"format": 2},
    ],
    ids=str,
)
def test_a_state_of_other_types_is_refused_with_its_name(tmp_path: Path, changed: dict[str, Any]):
    path = tmp_path / "move.json"
    path.write_text(json.dumps(GOOD | changed))
    with pytest.raises(StateError, match=r"move\.json"):
        phases.read(path)


@pytest.mark.parametrize(
    "body", [b"", b"[" * 100_000, b"[]", b"null", b"\xff", b"<<<<<<< ours", b'{"format": 1}', b'{"format":1,"zone":[]}']
)
def test_a_file_that_is_no_state_or_snapshot_is_refused(tmp_path: Path, body: bytes):
    for name in ("shop.example.json", "shop.example.zone"):
        (tmp_path / name).write_bytes(body)
    with pytest.raises(StateError):
        phases.read(tmp_path / "shop.example.json")
    with pytest.raises(snapshot.SnapshotError):
        snapshot.read(tmp_path, "shop.example")


def test_names_that_are_written_into_the_state_by_hand_are_those_that_servers_tell(tmp_path: Path):
    path = tmp_path / "move.json"
    path.write_text(json.dumps(GOOD | {"new_ns": ["NS1.New.Example.", "ns2.bücher.example"]}))
    assert phases.read(path).new_ns == ["ns1.new.example", "ns2.xn--bcher-kva.example"]


def test_a_time_that_no_calendar_has_is_told_as_it_is():
    assert moment(1.8e12) == "1800000000000 s after 1970"


def test_a_server_in_the_state_that_is_none_is_a_sentence_with_exit_code_2(tmp_path: Path):
    path = tmp_path / "move.json"
    path.write_text(json.dumps(GOOD | {"old": ["192.0.2.300"]}))
    done = nameserver("migrate", "status", "shop.example", "--state", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f'{path}: "192.0.2.300" looks like an address and is none']


def test_the_same_server_on_both_sides_is_no_comparison():
    done = nameserver("migrate", "compare", "shop.example", "--old", "127.0.0.1:9", "--new", "127.0.0.1#9")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "127.0.0.1:9 is given as the old side and as the new one\n"


def test_what_a_server_wrote_makes_no_link_no_tag_and_no_column_in_markdown():
    report = Report("serials", "shop.example")
    hostile = "[x](javascript:1) <img src=x> `a` \\| b *c* | d"
    report.tables.append(Table("", ("SERVER",), ((hostile,),)))
    report.add(Level.FAULT, "lags", hostile)
    for line in markdown(report):
        if "javascript" in line:
            assert "\\[x\\](javascript:1) \\<img src=x\\> \\`a\\` " in line
            assert "\\*c\\* \\| d" in line


def test_a_page_of_metrics_that_is_no_http_is_a_reason_and_no_traceback():
    state = State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "zones")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = Thread(target=answer)
        thread.start()
        state.metrics = f"127.0.0.1:{listener.getsockname()[1]}"
        fetch = metrics_of(state)
        assert fetch is not None
        with pytest.raises(ValueError, match="no answer of HTTP"):
            fetch()
        thread.join()


def test_a_page_of_metrics_that_is_not_there_is_told_with_its_address():
    state = State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "zones", metrics="127.0.0.1:9")
    fetch = metrics_of(state)
    assert fetch is not None
    with pytest.raises(ValueError, match=r"^http://127\.0\.0\.1:9/metrics: Connection refused$"):
        fetch()


@pytest.mark.parametrize(
    ("verb", "option", "value"),
    [("plan", "--start", "9999-12-31T23:59:59Z"), ("plan", "--port", "99999"), ("plan", "--target", "2147483648")],
)
def test_numbers_beyond_what_there_is_are_refused_before_anything_is_written(
    tmp_path: Path, verb: str, option: str, value: str
):
    state = tmp_path / "move.json"
    sides = ["--old", "127.0.0.1:9", "--new", "127.0.0.2:9", "--timeout", "0.1"]
    done = nameserver("migrate", verb, "shop.example", *sides, "--state", str(state), option, value)
    assert (done.returncode, state.exists()) == (2, False)
    assert f"error: argument {option}: " in done.stderr


def silent_sides(directory: Path) -> list[str]:
    """Options for servers, and a way to them, where nobody answers."""
    hints = directory / "hints"
    hints.write_text("127.0.0.9:9\n")
    sides = ["--old", "127.0.0.1:9", "--new", "127.0.0.2:9", "--timeout", "0.1"]
    return [*sides, "--root-hints", str(hints)]


def test_a_gate_where_nobody_answers_is_exit_code_3(tmp_path: Path):
    sides = silent_sides(tmp_path)
    done = nameserver("migrate", "gate", "shop.example", *sides, "-4")
    assert done.returncode == 3, done.stdout
    assert "warning (one-family): servers that are found by name were asked over IPv4 alone" in done.stdout
    assert "note (no-resolvers): no resolver was asked" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("NO GO")


def test_a_gate_whose_reader_went_away_is_no_go_for_that(tmp_path: Path):
    sides = silent_sides(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "nameserver", "migrate", "gate", "shop.example", *sides]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=120, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (3, b"")


def test_the_last_phase_is_entered_with_a_word_of_its_own_also_over_closed_gates(tmp_path: Path):
    phases.write(tmp_path / "move.json", State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "z", phase="decommission"))
    words = ["shop.example", "--state", str(tmp_path / "move.json"), "--override", "it will be fine"]
    done = nameserver("migrate", "advance", *words)
    assert done.returncode == 2
    assert "advance with --final" in done.stderr


@pytest.mark.parametrize("words", [["verify", "--then-http"], ["decommission", "--metrics"]])
def test_no_password_stands_in_an_address(words: list[str]):
    verb, option = words
    done = nameserver("migrate", verb, "shop.example", option, "http://me:sesame@192.0.2.1/metrics")
    assert done.returncode == 2
    assert "no secret goes on this line" in done.stderr
    assert "sesame" not in done.stderr


def test_a_secret_that_was_written_behind_a_keys_name_is_not_shown_once_more():
    done = nameserver("migrate", "check", "shop.example", "@127.0.0.1:9", "--key", "hmac-sha256:k:c2VzYW1l")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "--key: expected a key's name; its secret is read from --key-file FILE or -c FILE\n"


def test_what_differs_at_the_end_of_a_long_record_is_shown():
    key = 'default._domainkey.shop.example. 300 IN TXT "v=DKIM1; p=' + "A" * 700
    report = Report("compare", "shop.example", lines=[f'- {key}B"', f'+ {key}C"'])
    for shown in (text(report, Palette(False)), markdown(report)):
        assert {f'- {key}B"', f'+ {key}C"'} <= set(shown)


@pytest.mark.parametrize(
    ("zone", "more", "why"),
    [
        ("shop.example", ["--ics", "/proc/nowhere/x"], "/proc/nowhere/x: No such file or directory"),
        (".".join(["a" * 60] * 4), [], "File name too long; give --state FILE"),
        ("@127.0.0.1", [], "'@127.0.0.1' is written as a server: the zone stands first"),
    ],
)
def test_a_plan_that_cannot_be_written_whole_is_not_begun(tmp_path: Path, zone: str, more: list[str], why: str):
    sides = ["--old", "127.0.0.1:9", "--new", "127.0.0.2:9", "--timeout", "0.1"]
    command = [sys.executable, "-m", "nameserver", "migrate", "plan", zone, *sides, *more]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert done.stderr.rstrip().endswith(why)


def test_a_calendar_has_lines_of_75_octets_at_most_and_is_the_same_when_they_are_joined():
    zone = ".".join(["a" * 60] * 3)
    folded = phases.icalendar([(0.0, f"Lower the TTLs of {zone} to 300 s")], zone)
    assert all(len(line) <= 75 for line in folded.split("\r\n"))
    assert f"SUMMARY:Lower the TTLs of {zone} to 300 s\r\n" in folded.replace("\r\n ", "")


def test_the_way_back_of_every_phase_can_be_read_before_the_move(tmp_path: Path):
    phases.write(tmp_path / "move.json", State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "zones", ["old.example"]))
    done = nameserver("migrate", "rollback", "shop.example", "--state", str(tmp_path / "move.json"), "--all", "--json")
    assert done.returncode == 0, done.stderr
    lines = json.loads(done.stdout)["lines"]
    assert [line for line in lines if line.startswith("In ")] == [f"In {phase}:" for phase in phases.PHASES]
    assert lines.count("    old.example") == 3


def test_dnssec_takes_its_sides_from_a_state_or_from_the_command_line_and_not_from_both(tmp_path: Path):
    phases.write(tmp_path / "move.json", State("shop.example", ["192.0.2.1"], ["192.0.2.2"], "zones"))
    words = ["shop.example", "--state", str(tmp_path / "move.json"), "--old", "192.0.2.9"]
    done = nameserver("migrate", "dnssec", *words)
    assert (done.returncode, "give either it or them" in done.stderr) == (2, True)


def test_a_plan_names_the_gates_that_are_measured(tmp_path: Path):
    words = ["shop.example", "--old", "127.0.0.1:9", "--new", "127.0.0.2:9", "--timeout", "0.1"]
    told = nameserver("migrate", "plan", *words, "--state", str(tmp_path / "a")).stdout
    more = ["--state", str(tmp_path / "b"), "--resolvers", "192.0.2.9"]
    named = nameserver("migrate", "plan", *words, *more).stdout
    assert "decommission  delegation, old-keys\n" in told
    assert "decommission  delegation, resolvers, old-keys\n" in named
