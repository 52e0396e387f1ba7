"""`nameserver keygen`: forms, lengths, and a file that is never overwritten nor readable by others."""

import base64
import contextlib
import os
import re
import shutil
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest

from nameserver.cli.main import main
from nameserver.config.load import load_config
from nameserver.wire.names import from_text

NAME = from_text("transfer-key")


def generate(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["keygen", "transfer-key", *arguments]) == 0
    return capsys.readouterr().out


def find_tool(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def test_the_default_form_is_a_table_of_our_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "main.toml").write_text(generate(capsys))
    (tmp_path / "main.toml").chmod(0o600)
    config = load_config(tmp_path / "main.toml")
    assert config.keys[NAME].algorithm == "hmac-sha256"
    assert len(config.keys[NAME].secret) == 32
    assert not [warning for warning in config.warnings if "key" in warning]


@pytest.mark.parametrize(
    ("algorithm", "size"),
    [("hmac-sha256", 32), ("sha384", 48), ("HMAC-SHA512", 64), ("hmac-sha224", 28), ("hmac-sha1", 20)],
)
def test_the_secret_is_as_long_as_the_digest_and_the_key_can_be_loaded(
    algorithm: str, size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "main.toml").write_text(generate(capsys, "-a", algorithm))
    assert len(load_config(tmp_path / "main.toml").keys[NAME].secret) == size


def test_the_bind_form_can_be_included_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["keygen", "transfer-key", "--format", "bind", "-o", str(tmp_path / "k.key")]) == 0
    (tmp_path / "main.toml").write_text('include = ["k.key"]\n')
    assert load_config(tmp_path / "main.toml").keys[NAME].fingerprint in capsys.readouterr().out


def test_the_secret_form_is_what_a_secret_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["keygen", "transfer-key", "--format", "secret", "-o", str(tmp_path / "k.secret")]) == 0
    (tmp_path / "main.toml").write_text('[key.transfer-key]\nsecret-file = "k.secret"\n')
    config = load_config(tmp_path / "main.toml")
    assert config.keys[NAME].fingerprint in capsys.readouterr().out
    assert not [warning for warning in config.warnings if "key" in warning]


def test_a_file_is_private_whatever_the_umask(tmp_path: Path):
    old = os.umask(0)
    try:
        assert main(["keygen", "transfer-key", "-o", str(tmp_path / "k")]) == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


def test_a_file_that_exists_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "k").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("k", "link"):
        assert main(["keygen", "transfer-key", "-o", str(tmp_path / name)]) == 2
        assert "exists and is left as it is" in capsys.readouterr().err
    assert (tmp_path / "k").read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_missing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["keygen", "transfer-key", "-o", str(tmp_path / "none" / "k")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_with_a_file_the_secret_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["keygen", "transfer-key", "--format", "secret", "-o", str(tmp_path / "k")]) == 0
    shown = capsys.readouterr()
    assert (tmp_path / "k").read_text().strip() not in shown.out + shown.err


def test_every_key_is_another(capsys: pytest.CaptureFixture[str]):
    assert len({generate(capsys, "--format", "secret") for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a;b", 'a"b', "a{b", "a}b", "a\\b", "a\nb", "a'b", "a#b", "a:b", "ä", "-a", "a..b", "x" * 64, "$(id)"],
)
def test_a_name_that_some_server_would_misread_is_refused(name: str, capsys: pytest.CaptureFixture[str]):
    """C14."""
    with pytest.raises(SystemExit) as stop:
        main(["keygen", "--", name])
    assert stop.value.code == 2


@pytest.mark.parametrize("algorithm", ["hmac-md5", "md5", "hmac-sha3"])
def test_unknown_and_broken_algorithms_are_refused(algorithm: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main(["keygen", "k", "-a", algorithm])
    assert stop.value.code == 2
    assert "known are" in capsys.readouterr().err


def test_a_weak_algorithm_is_warned_of(capsys: pytest.CaptureFixture[str]):
    assert main(["keygen", "k", "-a", "hmac-sha1"]) == 0
    shown = capsys.readouterr()
    assert "weak" in shown.err
    assert "allow-weak = true" in shown.out


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha512"])
def test_bind_accepts_its_form(algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tool = find_tool("named-checkconf")
    (tmp_path / "named.conf").write_text(generate(capsys, "--format", "bind", "-a", algorithm))
    subprocess.run([tool, str(tmp_path / "named.conf")], check=True, timeout=30)


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha512"])
def test_nsd_accepts_its_form(algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tool = find_tool("nsd-checkconf")
    text = generate(capsys, "--format", "nsd", "-a", algorithm)
    (tmp_path / "nsd.conf").write_text(text)
    shown = subprocess.run(
        [tool, "-s", "transfer-key", str(tmp_path / "nsd.conf")], check=True, timeout=30, capture_output=True, text=True
    )
    assert shown.stdout.strip() in text
    assert shown.stdout.strip()


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha512"])
def test_knot_accepts_its_form(algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tool = find_tool("knotc")
    (tmp_path / "knot.conf").write_text(generate(capsys, "--format", "knot", "-a", algorithm))
    subprocess.run([tool, "-c", str(tmp_path / "knot.conf"), "conf-check"], check=True, timeout=30, capture_output=True)


# Allowed, and still not what a parser expects: numbers, words of YAML and of the configurations, dots, underscores.
ODD_NAMES = [
    "9",
    "1.5e3",
    "0x1f",
    "null",
    "true",
    "key",
    "algorithm",
    "name",
    "id",
    "_a._b",
    "a-b.c-d",
    "end.",
    "NO",
]


def test_every_server_reads_odd_names_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """C14: all keys in one file, as each of the three takes them; ours too, from its own form and from BIND's."""

    def all_of(form: str) -> str:
        texts = []
        for name in ODD_NAMES:
            assert main(["keygen", name, "--format", form]) == 0
            texts.append(capsys.readouterr().out)
        return "\n".join(texts)

    def check(tool: str, *arguments: str) -> str:
        command = [find_tool(tool), *arguments]
        return subprocess.run(command, check=True, timeout=30, capture_output=True, text=True).stdout

    bind, nsd, knot = (tmp_path / f"{form}.conf" for form in ("bind", "nsd", "knot"))
    for path in (bind, nsd, knot):
        path.write_text(all_of(path.stem))
        path.chmod(0o600)
    (tmp_path / "main.toml").write_text(all_of("toml"))
    (tmp_path / "main.toml").chmod(0o600)
    (tmp_path / "other.toml").write_text('include = ["bind.conf"]\n')
    wanted = {from_text(name.lower()) for name in ODD_NAMES}
    assert load_config(tmp_path / "main.toml").keys.keys() == wanted
    assert load_config(tmp_path / "other.toml").keys.keys() == wanted
    shown = check("named-checkconf", "-p", str(bind))
    assert set(re.findall(r'key "(.*?)"', shown)) == {name.lower().removesuffix(".") for name in ODD_NAMES}
    secrets = re.findall(r'secret: "(.*)"', nsd.read_text())
    for name, secret in zip(ODD_NAMES, secrets, strict=True):
        assert check("nsd-checkconf", "-s", name.lower().removesuffix("."), str(nsd)).strip() == secret
    check("knotc", "-c", str(knot), "conf-check")


def test_powerdns_gets_the_command_of_both_its_generations(capsys: pytest.CaptureFixture[str]):
    text = generate(capsys, "--format", "pdns")
    new, old = re.findall(r"pdnsutil (.*)", text)
    secret = new.removeprefix("tsigkey import transfer-key hmac-sha256 ")
    assert len(base64.b64decode(secret, validate=True)) == 32
    assert old == f"import-tsig-key transfer-key hmac-sha256 {secret}"


def test_powerdns_takes_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """With whichever of the two commands the installed generation has."""
    tool = find_tool("pdnsutil")
    schema = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
    if not schema.exists():
        pytest.skip("the SQLite backend of PowerDNS is not installed")
    database = tmp_path / "pdns.sqlite3"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(schema.read_text())
    backend = f"launch=gsqlite3\ngsqlite3-database={database}\ngsqlite3-dnssec=yes\n"
    (tmp_path / "pdns.conf").write_text(backend)
    commands = re.findall(r"pdnsutil (.*)", generate(capsys, "--format", "pdns"))
    for command in commands:
        subprocess.run(
            [tool, "--config-dir", str(tmp_path), *command.split()], timeout=30, capture_output=True, check=False
        )
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name, algorithm, secret FROM tsigkeys").fetchall()
    assert rows == [("transfer-key", "hmac-sha256", commands[0].split()[-1])]


SECRET = "c2l4dGVlbiBieXRlcyBvZiB0aGUgc2VjcmV0ISEhISE="


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "k.secret"
    assert main(["keygen", "transfer-key", "--format", "secret", "-o", str(path)]) == 0
    return path


@pytest.mark.parametrize("form", ["toml", "bind", "nsd", "knot", "pdns", "secret"])
def test_a_secret_file_is_printed_in_every_form(form: str, secret_file: Path, capsys: pytest.CaptureFixture[str]):
    """The walk of the README: make the key once, print it for the other side."""
    capsys.readouterr()
    text = generate(capsys, "--from", str(secret_file), "--format", form)
    assert secret_file.read_text().strip() in text
    assert text == generate(capsys, "--from", str(secret_file), "--format", form)


def test_a_key_block_is_printed_in_another_form(secret_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    block = tmp_path / "k.key"
    arguments = ["--from", str(secret_file), "-a", "sha512", "--format", "bind", "-o", str(block)]
    assert main(["keygen", "transfer-key", *arguments]) == 0
    assert "fewer than the 64" in capsys.readouterr().err
    text = generate(capsys, "--from", str(block))
    assert 'algorithm = "hmac-sha512"' in text
    assert secret_file.read_text().strip() in text
    assert generate(capsys, "--from", str(block), "--format", "secret") == secret_file.read_text()


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        (f'key other {{ algorithm hmac-sha256; secret "{SECRET}"; }};', [], "no key of the name transfer-key"),
        (f'key "a..b" {{ algorithm hmac-sha256; secret "{SECRET}"; }};', [], "no key of the name transfer-key"),
        (f'key transfer-key {{ algorithm hmac-sha256; secret "{SECRET}"; }};' * 2, [], "more than one key"),
        (f'key transfer-key {{ secret "{SECRET}"; }};', [], "needs an algorithm"),
        (f'key transfer-key {{ algorithm hmac-md5; secret "{SECRET}"; }};', [], ":1: hmac-md5 is broken"),
        (f'key transfer-key {{ algorithm hmac-sha256; secret "{SECRET}"; }};', ["-a", "sha512"], "leave -a away"),
        (f'\nkey transfer-key {{ secert "{SECRET}"; }};', [], ":2: unknown statement"),
        (f'[key.transfer-key]\nsecret = "{SECRET}"\n', [], "holds TOML"),
        (SECRET[:-1], [], "not valid base64"),
        ("", [], "is empty"),
    ],
)
def test_a_file_without_the_key_is_refused_without_showing_a_secret(
    text: str, arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "k"
    path.write_text(text)
    path.chmod(0o600)
    assert main(["keygen", "transfer-key", "--from", str(path), *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err
    assert SECRET[:10] not in shown.err


def test_a_file_that_others_can_read_is_refused_as_in_a_configuration(
    secret_file: Path, capsys: pytest.CaptureFixture[str]
):
    secret_file.chmod(0o644)
    assert main(["keygen", "transfer-key", "--from", str(secret_file)]) == 2
    assert f"chmod 600 {secret_file}" in capsys.readouterr().err


def test_a_secret_in_place_of_the_file_is_not_shown(capsys: pytest.CaptureFixture[str]):
    assert main(["keygen", "transfer-key", "--from", SECRET]) == 2
    assert SECRET[:10] not in capsys.readouterr().err


def test_a_secret_of_another_algorithms_length_is_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "k.secret"
    assert main(["keygen", "transfer-key", "-a", "sha512", "--format", "secret", "-o", str(path)]) == 0
    assert main(["keygen", "transfer-key", "--from", str(path)]) == 0
    assert "give -a hmac-sha512" in capsys.readouterr().err
    assert main(["keygen", "transfer-key", "--from", str(path), "-a", "sha512"]) == 0
    assert capsys.readouterr().err == ""
