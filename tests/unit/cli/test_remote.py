"""Where the commands find the control socket, and how they end when they do not."""

import argparse
import json
from pathlib import Path

import pytest

from nameserver.cli import remote
from nameserver.control.protocol import ControlTimeout
from nameserver.errors import ConfigError


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    remote.add_arguments(parser)
    return parser.parse_args(arguments)


def config(tmp_path: Path, text: str, name: str = "nameserver.toml") -> str:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def test_a_path_given_is_taken() -> None:
    assert remote.control_path(parsed("--control", "/x.sock")) == Path("/x.sock")


def test_both_at_once_is_wrong_usage() -> None:
    with pytest.raises(SystemExit):
        parsed("--control", "/x", "-c", "/y")


def test_the_configuration_names_it_relative_to_itself(tmp_path: Path) -> None:
    file = config(tmp_path, '[server]\ncontrol = "run/c.sock"\n')
    assert remote.control_path(parsed("-c", file)) == tmp_path / "run/c.sock"


def test_an_included_file_may_name_it(tmp_path: Path) -> None:
    config(tmp_path, '[server]\ncontrol = "c.sock"\n', "parts/server.toml")
    file = config(tmp_path, 'include = ["parts/*.toml"]\n')
    assert remote.control_path(parsed("-c", file)) == tmp_path / "parts/c.sock"


def test_included_files_are_not_read_where_the_main_one_tells(tmp_path: Path) -> None:
    """Ten thousand zones would make every `status` a second late; here the included file could not even be read."""
    file = config(tmp_path, 'include = ["zones/*.toml"]\n[server]\ncontrol = "c.sock"\n')
    config(tmp_path, '[server]\ncontrol = "other.sock"\n', "zones/a.toml")
    assert remote.control_path(parsed("-c", file)) == tmp_path / "c.sock"


def test_a_configuration_that_is_no_toml_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TOML"):
        remote.control_path(parsed("-c", config(tmp_path, "[server\n")))


def test_a_configuration_that_is_faulty_elsewhere_still_tells(tmp_path: Path) -> None:
    file = config(tmp_path, '[server]\ncontrol = "/c.sock"\nlisten = 7\n[nonsense]\nx = 1\n')
    assert remote.control_path(parsed("-c", file)) == Path("/c.sock")


@pytest.mark.parametrize("text", ["", "[server]\n", "[server]\ncontrol = 7\n"])
def test_a_configuration_that_names_none_means_the_default(tmp_path: Path, text: str) -> None:
    assert remote.control_path(parsed("-c", config(tmp_path, text))) == Path("/run/nameserver/control.sock")


def test_without_arguments_the_default_configuration_counts_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "DEFAULT_CONFIG", tmp_path / "absent.toml")
    assert remote.control_path(parsed()) == Path("/run/nameserver/control.sock")
    monkeypatch.setattr(remote, "DEFAULT_CONFIG", Path(config(tmp_path, '[server]\ncontrol = "/c.sock"\n')))
    assert remote.control_path(parsed()) == Path("/c.sock")


def test_the_defaults_are_those_of_the_server() -> None:
    from nameserver.config import load
    from nameserver.control import protocol

    assert load.DEFAULT_PATH == remote.DEFAULT_CONFIG
    assert load._DEFAULT_CONTROL == protocol.DEFAULT_PATH


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = parsed("-c", str(tmp_path / "absent.toml"))
    with pytest.raises(ConfigError, match="absent"):
        remote.control_path(args)
    assert remote.run(args, lambda: len(str(remote.control_path(args)))) == remote.USAGE
    assert "absent.toml" in capsys.readouterr().err


def test_no_server_is_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = parsed("--control", str(tmp_path / "none.sock"), "--json")
    assert remote.run(args, lambda: len(remote.ask(args, "status"))) == remote.UNREACHABLE
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert "no server at" in answer["error"]


def test_a_server_that_is_still_at_it_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    def late() -> int:
        raise ControlTimeout("not finished\nafter 5 s \x1b")

    assert remote.run(parsed(), late) == remote.FINDING
    assert capsys.readouterr().err == "not finished\nafter 5 s \\x1b\n"
