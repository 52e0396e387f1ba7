"""`nameserver check-config`."""

import hashlib
import json
from pathlib import Path

import pytest

from nameserver.cli.main import main

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
