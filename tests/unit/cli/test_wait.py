"""`nameserver wait`: what it asks of the server, what it says, and how it ends."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.control_peer import ControlPeer, Json

from nameserver.cli import wait

REACHED: Json = {
    "ok": True, "zone": "example.com", "wanted": 7, "reached": True, "state": "serving", "serial": 7, "here": True,
    "primary_serial": 7, "downstreams": [],
}  # fmt: skip
LACKING: Json = {
    **REACHED, "reached": False, "serial": 6, "here": False, "primary_serial": 6, "downstreams": [
        {"name": "edge-1", "reached": True, "serial": 7, "answers": True},
        {"name": "edge-2", "reached": False, "serial": 5, "answers": True, "notify_reason": "refused",
         "notify_detail": "it answers REFUSED"},
        {"name": "edge-3\x1b[31m", "reached": False, "serial": None, "check_reason": "connect-timeout",
         "check_detail": "no answer"},
    ],
}  # fmt: skip


def run(tmp_path: Path, answer: Callable[[Json], Json], *arguments: str) -> tuple[int, list[Json]]:
    parser = argparse.ArgumentParser()
    wait.configure(parser)
    path = tmp_path / "c.sock"
    with ControlPeer(path, answer) as peer:
        code = wait.main(parser.parse_args(["example.com", *arguments, "--control", str(path)]))
    return code, peer.requests


def test_a_serial_that_is_answered_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, requests = run(tmp_path, lambda _: REACHED, "--serial", "7", "--timeout", "5")
    assert code == 0
    (asked,) = requests
    assert (asked["verb"], asked["zone"], asked["serial"], asked["all"]) == ("wait", "example.com", 7, False)
    assert 0 < asked["within"] <= 5 < asked["timeout"]
    assert capsys.readouterr().out.startswith("example.com: serial 7 is answered here by every worker (")


def test_with_all_those_below_are_waited_for_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {**REACHED, "downstreams": [{"name": "a", "reached": True}, {"name": "b", "reached": True}]}
    code, requests = run(tmp_path, lambda _: answer, "--serial", "7", "--all")
    assert code == 0 and requests[0]["all"] is True
    assert "is answered here and by 2 downstreams (" in capsys.readouterr().out


def test_what_is_not_answered_in_time_is_a_finding_that_names_who_lacks_it_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(tmp_path, lambda _: LACKING, "--serial", "7", "--all", "--timeout", "0.05")
    out = capsys.readouterr().out
    assert code == 1
    assert "here: serial 6 is answered (serving), the primary had 6 when it was asked last" in out
    assert "edge-2: answers serial 5, NOTIFY was given up (refused: it answers REFUSED)" in out
    assert "what it has is not known, the last check failed (connect-timeout: no answer)" in out
    assert "edge-1" not in out and "\x1b" not in out
    assert out.splitlines()[-1] == "More: nameserver why example.com"


def test_a_server_without_a_place_to_wait_is_asked_again(tmp_path: Path) -> None:
    answers = iter([LACKING, LACKING, REACHED])
    code, requests = run(tmp_path, lambda _: next(answers), "--serial", "7", "--timeout", "30")
    assert (code, len(requests)) == (0, 3)


def test_a_zone_that_is_removed_meanwhile_is_a_finding_one_that_never_was_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone: Json = {"ok": False, "error": "no zone example.com is configured here"}
    answers = iter([LACKING, gone])
    assert run(tmp_path, lambda _: next(answers), "--serial", "7")[0] == 1
    (tmp_path / "c.sock").unlink()
    assert run(tmp_path, lambda _: gone, "--serial", "7")[0] == 2
    assert capsys.readouterr().err.count("no zone example.com") == 2


def test_json_is_how_things_are_and_how_long_it_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, lambda _: LACKING, "--serial", "7", "--all", "--timeout", "0.05", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["reached"] is False and shown["downstreams"][1]["name"] == "edge-2" and shown["waited"] >= 0.05


def test_without_a_server_it_is_unreachable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    wait.configure(parser)
    args = parser.parse_args(["example.com", "--serial", "1", "--control", str(tmp_path / "none.sock")])
    assert wait.main(args) == 3
    assert "no server" in capsys.readouterr().err


@pytest.mark.parametrize("serial", ["-1", "4294967296", "1.5", "x", "", "٣"])
def test_what_is_no_serial_is_wrong_usage(tmp_path: Path, serial: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        run(tmp_path, lambda _: REACHED, f"--serial={serial}")
    assert raised.value.code == 2
    assert "expected a serial from 0 to 4294967295" in capsys.readouterr().err


def test_whoever_watches_sees_who_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    answers = iter([LACKING, REACHED])
    run(tmp_path, lambda _: next(answers), "--serial", "7", "--all")
    shown = capsys.readouterr().err
    assert "example.com: waiting for this server, edge-2, edge-3" in shown
    assert shown.endswith("\r\x1b[K"), "the line is gone in the end"
