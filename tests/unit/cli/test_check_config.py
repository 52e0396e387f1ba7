"""`nameserver check-config`."""

import hashlib
import json
from pathlib import Path

import pytest

from nameserver.cli.main import main
from nameserver.config.roles import FILE_NAME, Role, written

SECRET = "c2l4dGVlbiBieXRlcyBvZiB0aGUgc2VjcmV0ISEhISE="
GOOD = (
    f'[key.k]\nsecret = "{SECRET}"\n[remote.a]\naddress = ["192.0.2.1"]\nkey = "k"\n'
    '[zone.one]\nprimaries = ["a"]\n[zone.two]\ntype = "primary"\nfile = "two.zone"\n'
)
BAD = '[server]\nworkers = "x"\nlissten = []\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "main.toml"
    path.write_text(GOOD)
    path.chmod(0o600)
    return path


def test_a_good_configuration_exits_0_with_a_summary(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check-config", "-c", str(config)]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{config}: good: 2 zones (1 secondary, 1 primary), 1 remote, 1 key, 1 warning\n"
    assert shown.err.startswith(f"warning: {config}:10: zone.two.file: there is no zone file")


def test_problems_are_all_printed_and_exit_1(config: Path, capsys: pytest.CaptureFixture[str]):
    config.write_text(BAD)
    assert main(["check-config", "-c", str(config)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        f"{config}:2: server.workers: expected a whole number, got a string",
        f'{config}:3: server.lissten: unknown key, did you mean "listen"?',
        f"{config}: 2 problems",
    ]


def test_a_missing_file_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check-config", "-c", str(tmp_path / "none.toml")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_json_has_the_same_for_scripts(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check-config", "-c", str(config), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["zones"], report["remotes"]) == (True, 2, 1)
    fingerprint = hashlib.sha256(b"sixteen bytes of the secret!!!!!").hexdigest()[:8]
    assert report["keys"] == [{"name": "k", "algorithm": "hmac-sha256", "fingerprint": fingerprint}]
    config.write_text(BAD)
    assert main(["check-config", "-c", str(config), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert [(problem["line"], problem["path"]) for problem in report["problems"]] == [
        (2, "server.workers"),
        (3, "server.lissten"),
    ]


def test_no_output_shows_a_secret(config: Path, capsys: pytest.CaptureFixture[str]):
    for text in (GOOD, GOOD.replace(SECRET, SECRET + "x"), GOOD.replace("secret =", "secert =")):
        for options in ([], ["--json"]):
            config.write_text(text)
            main(["check-config", "-c", str(config), *options])
            shown = capsys.readouterr()
            assert SECRET[:12] not in shown.out + shown.err


def with_state(config: Path) -> Path:
    """The same configuration with a state directory, which is returned."""
    state = config.parent / "state"
    state.mkdir()
    config.write_text(f'[server]\nstate-dir = "state"\n{GOOD}')
    return state


def test_what_was_promoted_by_command_is_told_as_long_as_the_configuration_says_otherwise(
    config: Path, capsys: pytest.CaptureFixture[str]
):
    state = with_state(config)
    role = Role("one", "primary", Path("/state/one.zone"), (), 1e9, "secondary of a")
    (state / FILE_NAME).write_bytes(written([role]))
    assert main(["check-config", "-c", str(config)]) == 0
    shown = capsys.readouterr()
    assert "good: 2 zones, 1 remote, 1 key, 2 warnings" in shown.out
    (line,) = [line for line in shown.err.splitlines() if FILE_NAME in line]
    assert line.startswith(f"warning: {state / FILE_NAME}: zone one was promoted by command on 2001-09-09")
    config.write_text(config.read_text().replace('primaries = ["a"]', 'type = "primary"\nfile = "/state/one.zone"'))
    assert main(["check-config", "-c", str(config), "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert "the configuration has it as primary from /state/one.zone, and holds from now on" in warnings[-1]["text"]


def test_where_that_cannot_be_read_it_says_so_and_where_it_is_damaged_it_is_a_problem(
    config: Path, capsys: pytest.CaptureFixture[str]
):
    path = with_state(config) / FILE_NAME
    path.mkdir()
    assert main(["check-config", "-c", str(config)]) == 0
    assert f"warning: {path}: Is a directory: whether zones were promoted" in capsys.readouterr().err
    path.rmdir()
    path.write_text("[zone")
    assert main(["check-config", "-c", str(config)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{path}: it says which zones were promoted or demoted, and cannot be read (")
    assert error.endswith("1 problem\n")
