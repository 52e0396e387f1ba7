"""Each file in tests/data/bad-config has one fault, named by the file; its first line says how it is to be shown."""

import json
from pathlib import Path

import pytest

from nameserver.config.load import load_config, read_config
from nameserver.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[2] / "data" / "bad-config"
FAULTS = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_a_fault_is_reported_alone_with_file_line_path_and_advice(path: Path):
    first_line = path.read_text().splitlines()[0]
    expected = first_line.removeprefix("# expect: ").replace("FILEDIR", str(FOLDER)).replace("FILE", str(path), 0)
    expected = expected.replace("at FILE:", f"at {path}:")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.problems == [f"{path}:{expected}"]


def test_all_faults_of_all_files_are_reported_in_one_run(tmp_path: Path):
    """The faulty files, all included into one: none hides another."""
    independent = [path for path in FAULTS if not path.stem.startswith(("server-", "syntax-", "zone-not", "include-"))]
    main = tmp_path / "main.toml"
    main.write_text("include = [" + ", ".join(f'"{path}"' for path in independent) + "]\n")
    with pytest.raises(ConfigError) as caught:
        load_config(main)
    files = {problem.partition(":")[0] for problem in caught.value.problems}
    assert files == {str(path) for path in independent}


def test_problems_stand_in_the_order_of_files_and_lines(tmp_path: Path):
    main = tmp_path / "main.toml"
    main.write_text('include = ["b.toml", "a.toml"]\n[server]\nworkers = -1\nlog-level = "x"\n')
    (tmp_path / "a.toml").write_text("[server]\ntransfers-in = 0\n")
    (tmp_path / "b.toml").write_text("[server]\nsoa-checks = 0\n")
    with pytest.raises(ConfigError) as caught:
        load_config(main)
    places = [problem.removeprefix(f"{tmp_path}/").partition(": ")[0] for problem in caught.value.problems]
    assert places == ["main.toml:3", "main.toml:4", "b.toml:2", "a.toml:2"]


ODD = json.dumps("a\x1b[31m\n\r\x07\u202e\u2028\x9b")


@pytest.mark.parametrize(
    "text",
    [
        f'[zone.{ODD}]\nprimaries = ["x"]\n',
        f"[remote.{ODD}]\naddress = [{ODD}]\n",
        f'[remote.{ODD}]\naddress = ["127.0.0.1"]\n[zone."a.test"]\nprimaries = ["x"]\n',
        f'[zone."a.test"]\nprimaries = [{ODD}]\n',
        f"[key.{ODD}]\nalgorithm = {ODD}\nsecret = {ODD}\n",
        f'[key."k"]\nalgorithm = "hmac-sha256"\nsecret-file = {ODD}\n',
        f"include = [{ODD}]\n",
        f"[server]\nlisten = [{ODD}]\n{ODD} = 1\nstate-dir = {ODD}\nlog-level = {ODD}\nnsid = {ODD}\nhttp = {ODD}\n",
        f"{ODD} = 1\n[{ODD}]\nx = 1\n",
        f"[template.{ODD}]\nmin-refresh-time = {ODD}\n",
        f'[zone."a."]\ntemplate = {ODD}\nallow-transfer = [{{ address = {ODD} }}, {{ {ODD} = 1 }}]\n',
        f'[zone."x"]\ntype = {ODD}\nfile = {ODD}\nmax-zone-size = {ODD}\nalso-notify = [{ODD}]\n',
        '[server]\nlisten = ["\x1b[31m"]\n',
        "\x1b[31m",
        'a = \u202e"x"\n',
    ],
)
def test_no_text_of_a_configuration_reaches_a_terminal_or_the_log_as_it_is(tmp_path: Path, text: str):
    (tmp_path / "nameserver.toml").write_text(text)
    _, errors, warnings = read_config(tmp_path / "nameserver.toml")
    assert errors
    assert all(str(each).isprintable() for each in (*errors, *warnings))
