"""Each file in tests/data/bad-config has one fault, named by the file; its first line says how it is to be shown."""

from pathlib import Path

import pytest

from nameserver.config.load import load_config
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
