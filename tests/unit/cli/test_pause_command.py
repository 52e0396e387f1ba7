"""`nameserver pause` and `resume`: what they ask of the server, and what they make of its answer."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from support.control_peer import ControlPeer, Json

from nameserver.cli import pause, resume
from nameserver.cli.any_order import AnyOrder

NOW = 1_795_225_000.0
PAUSED = {
    "ok": True,
    "zone": "example.com",
    "answer": "refused",
    "since": NOW,
    "until": NOW + 3600,
    "now": NOW,
    "before": None,
    "answering": True,
    "heard": True,
}
RESUMED = {
    "ok": True,
    "zone": "example.com",
    "was": True,
    "lasted": 2520.0,
    "queries": 1200,
    "control_queries": 3,
    "state": "serving",
    "answering": True,
    "heard": True,
    "trouble": "",
}


def run(tmp_path: Path, module: ModuleType, answer: Json, *arguments: str) -> tuple[int, list[Json]]:
    """The exit code, and what the server was asked."""
    parser = AnyOrder()
    module.configure(parser)
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.sock"  # it may be run several times
    with ControlPeer(path, lambda request: answer) as peer:
        code: int = module.main(parser.parse_args([*arguments, "--control", str(path)]))
    return code, peer.requests


def test_a_pause_is_refused_for_an_hour_unless_it_is_said_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, requests = run(tmp_path, pause, PAUSED, "example.com")
    assert (code, requests) == (0, [{"verb": "pause", "zone": "example.com", "answer": "refused", "length": 3600.0}])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "example.com: paused, queries get REFUSED until 2026-11-21 02:36:40 UTC (in 1h)"
    assert told[-1] == "  to have it answered again at once: nameserver resume example.com"
    assert len(told) == 4
    _, requests = run(tmp_path, pause, PAUSED, "--for", "1h30m", "--answer", "servfail", "example.com")
    assert (requests[0]["answer"], requests[0]["length"]) == ("servfail", 5400.0)


def test_what_a_pause_replaces_and_what_is_odd_about_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, pause, PAUSED | {"before": NOW + 60, "answering": False, "heard": False}, "example.com")
    told = capsys.readouterr().out
    assert "it was until 2026-11-21 01:37:40 UTC, which this replaces" in told
    assert "it would not be answered without that" in told
    assert "not every worker has said yet" in told


@pytest.mark.parametrize("length", ["7d1s", "8d", "0s", "500ms", "3600", "soon", "-1h", ""])
def test_a_length_that_is_none_or_too_long_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], length: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, pause, PAUSED, "example.com", f"--for={length}")
    assert stopped.value.code == 2
    assert "a pause is a trial, and ends by itself" in capsys.readouterr().err


def test_an_end_of_a_pause_says_how_many_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, requests = run(tmp_path, resume, RESUMED, "example.com")
    assert (code, requests) == (0, [{"verb": "resume", "zone": "example.com"}])
    assert (
        capsys.readouterr().out
        == "example.com: answered again, after 42m; 1,200 queries came meanwhile, and 3 of peers\n"
    )
    assert run(tmp_path, resume, {"ok": True, "zone": "example.com", "was": False}, "example.com")[0] == 0
    assert capsys.readouterr().out == "example.com: it is not paused: nothing is done\n"


def test_what_is_wrong_with_the_end_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = RESUMED | {"state": "expired", "answering": False, "heard": False, "trouble": "the disk\x1b is full"}
    assert run(tmp_path, resume, answer, "example.com")[0] == 0
    told = capsys.readouterr().out
    assert "paused no more, but expired: queries get SERVFAIL" in told
    assert "not every worker has said yet" in told and "goes by what was: the disk" in told and "\x1b" not in told


@pytest.mark.parametrize(("module", "answer"), [(pause, PAUSED), (resume, RESUMED)])
def test_json_is_the_servers_answer_and_an_error_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], module: ModuleType, answer: Json
) -> None:
    assert run(tmp_path, module, answer, "example.com", "--json")[0] == 0
    assert json.loads(capsys.readouterr().out) == {key: value for key, value in answer.items() if key != "ok"}
    assert run(tmp_path, module, {"ok": False, "error": "no zone x is configured here"}, "x")[0] == 2
    assert "no zone x" in capsys.readouterr().err
