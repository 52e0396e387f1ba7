"""`nameserver refresh`, `retransfer` and `reload`: what they ask of the server, and what they make of its answer."""

import argparse
import json
from pathlib import Path
from types import ModuleType

import pytest
from support.control_peer import ControlPeer, Json

from nameserver.cli import refresh, reload, retransfer


def run(tmp_path: Path, module: ModuleType, answer: Json, *arguments: str) -> tuple[int, list[Json]]:
    """The exit code, and what the server was asked."""
    parser = argparse.ArgumentParser()
    module.configure(parser)
    path = tmp_path / "c.sock"
    with ControlPeer(path, lambda request: answer) as peer:
        code: int = module.main(parser.parse_args([*arguments, "--control", str(path)]))
    return code, peer.requests


def test_refresh_asks_for_one_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, requests = run(tmp_path, refresh, {"ok": True, "zones": 1}, "example.com")
    assert (code, requests) == (0, [{"verb": "refresh", "zone": "example.com"}])
    assert capsys.readouterr().out.startswith("example.com: check started")


@pytest.mark.parametrize("arguments", [(), ("--all",)])
def test_refresh_asks_for_all(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, requests = run(tmp_path, refresh, {"ok": True, "zones": 1200}, *arguments)
    assert (code, requests) == (0, [{"verb": "refresh", "zone": None}])
    assert capsys.readouterr().out == "1,200 checks started\n"


def test_refresh_of_one_and_all_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, refresh, {}, "example.com", "--all") == (2, [])
    assert "either" in capsys.readouterr().err


@pytest.mark.parametrize("module", [refresh, retransfer, reload])
def test_json_is_the_servers_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str], module: ModuleType) -> None:
    arguments = () if module is reload else ("example.com",)
    assert run(tmp_path, module, {"ok": True, "zones": 1, "message": "m"}, *arguments, "--json")[0] == 0
    assert json.loads(capsys.readouterr().out) == {"zones": 1, "message": "m"}


def test_retransfer_returns_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, requests = run(tmp_path, retransfer, {"ok": True}, "example.com")
    assert code == 0
    assert requests == [{"verb": "retransfer", "zone": "example.com", "wait": False, "timeout": 0.0}]
    assert "transfer started" in capsys.readouterr().out


def test_retransfer_waits_for_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"ok": True, "outcome": "ok", "serial": 7}
    code, requests = run(tmp_path, retransfer, answer, "example.com", "--wait", "--timeout", "9")
    assert (code, requests[0]["wait"], requests[0]["timeout"]) == (0, True, 9.0)
    assert capsys.readouterr().out == "example.com: transferred, serial 7\n"


def test_a_failed_retransfer_is_exit_code_1_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"ok": True, "outcome": "failed", "reason": "refused", "detail": "not \x1b you"}
    assert run(tmp_path, retransfer, answer, "example.com", "--wait")[0] == 1
    text = capsys.readouterr().out
    assert "failed: refused: not \\x1b you" in text
    assert "does not let us have this zone" in text
    assert "nameserver why example.com" in text


def test_a_failed_retransfer_names_the_address_to_try(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = {"reason": "connect-refused", "address": "192.0.2.1:5353", "key": "k"}
    answer = {"ok": True, "outcome": "failed", "reason": "connect-refused", "detail": "", "transfer": last}
    assert run(tmp_path, retransfer, answer, "example.com", "--wait")[0] == 1
    assert "dig +tcp SOA example.com @192.0.2.1 -p 5353" in capsys.readouterr().out


@pytest.mark.parametrize("last", [None, {"reason": None, "address": "192.0.2.9:53", "key": ""}])
def test_a_transfer_that_is_not_the_failed_one_gives_no_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], last: Json | None
) -> None:
    answer = {"ok": True, "outcome": "failed", "reason": "connect-refused", "detail": "", "transfer": last}
    assert run(tmp_path, retransfer, answer, "example.com", "--wait")[0] == 1
    assert "192.0.2.9" not in capsys.readouterr().out


def test_a_failure_without_a_reason_is_told_without_a_meaning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, retransfer, {"ok": True, "outcome": "failed", "reason": ""}, "example.com", "--wait")[0] == 1
    assert capsys.readouterr().out.splitlines()[0] == "example.com: failed"


def test_a_retransfer_that_outlasts_the_wait_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"ok": False, "error": "not finished after 9 s; the server goes on", "timeout": True}
    assert run(tmp_path, retransfer, answer, "example.com", "--wait", "--timeout", "9")[0] == 1
    assert "goes on" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", "1e9"])
def test_a_timeout_that_is_none_is_wrong_usage(
    tmp_path: Path, seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, retransfer, {}, "example.com", "--wait", "--timeout", seconds)
    assert caught.value.code == 2
    assert f"expected a number of seconds above 0 and up to 86400, got '{seconds}'" in capsys.readouterr().err


def test_reload_tells_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"ok": True, "message": "1 zone added; [server] listen changed"}
    assert run(tmp_path, reload, answer)[0] == 0
    assert capsys.readouterr().out == "reloaded: 1 zone added; [server] listen changed\n"


def test_reload_without_a_message_says_that_it_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, reload, {"ok": True})[0] == 0
    assert capsys.readouterr().out == "reloaded\n"


def test_a_refused_reload_prints_every_problem_on_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"ok": False, "error": "the configuration is not used:\na.toml:1: x: bad\na.toml:2: y: bad"}
    assert run(tmp_path, reload, answer)[0] == 2
    assert capsys.readouterr().err.splitlines()[1:] == ["a.toml:1: x: bad", "a.toml:2: y: bad"]
