"""The command's frame: verbs, help, exit codes."""

import argparse
import subprocess
import sys
from types import SimpleNamespace

import pytest

from nameserver import __version__
from nameserver.cli import main as command
from nameserver.errors import ConfigError, StoreLocked


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A verb `probe`, whose module stands in for a real one."""
    module = SimpleNamespace(
        configure=lambda parser: parser.add_argument("--flag", action="store_true"), main=lambda args: int(args.flag)
    )
    monkeypatch.setattr(command, "VERBS", (command.Verb("probe", "probe_module", "try something"),))
    monkeypatch.setattr(command, "import_module", lambda name: module)
    return module


def test_a_verb_gets_its_arguments_and_its_result_is_the_exit_code(verb: SimpleNamespace):
    assert command.main(["probe"]) == 0
    assert command.main(["probe", "--flag"]) == 1


def test_help_lists_every_verb_without_importing_one():
    script = (
        "import sys; from nameserver.cli.main import main, VERBS\n"
        "try: main(['--help'])\n"
        "except SystemExit as stop: code = stop.code\n"
        "sys.exit(code or int(any(verb.module in sys.modules for verb in VERBS)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for verb in command.VERBS:
        assert verb.name in done.stdout
        assert verb.help in " ".join(done.stdout.split())


def test_only_the_wanted_verb_is_imported():
    script = (
        "import sys; from nameserver.cli.main import build_parser\n"
        "build_parser(['keygen'])\n"
        "others = ('nameserver.server', 'nameserver.store', 'nameserver.config')\n"
        "sys.exit(any(name.startswith(others) for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        command.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"nameserver {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["probe", "--nonsense"], ["--flag", "probe"], ["probe", "--fl"]]
)
def test_wrong_usage_exits_2(verb: SimpleNamespace, arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2
    assert "usage: nameserver" in capsys.readouterr().err


def _raising(error: BaseException):
    def main(_: argparse.Namespace) -> int:
        raise error

    return main


def test_a_faulty_configuration_exits_2_with_every_problem(verb: SimpleNamespace, capsys: pytest.CaptureFixture[str]):
    verb.main = _raising(ConfigError(["a.toml:1: x: y", "a.toml:2: x: z"]))
    assert command.main(["probe"]) == 2
    assert capsys.readouterr().err == "a.toml:1: x: y\na.toml:2: x: z\n"


def test_an_error_of_ours_is_one_line_and_no_traceback(verb: SimpleNamespace, capsys: pytest.CaptureFixture[str]):
    verb.main = _raising(StoreLocked("held by process 7"))
    assert command.main(["probe"]) == 2
    assert capsys.readouterr().err == "nameserver probe: held by process 7\n"


def test_an_interrupt_ends_the_command_quietly(verb: SimpleNamespace, capsys: pytest.CaptureFixture[str]):
    verb.main = _raising(KeyboardInterrupt())
    assert command.main(["probe"]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_is_no_error():
    """`nameserver status | head -1`."""
    script = (
        "from types import SimpleNamespace; from nameserver.cli import main as command\n"
        "module = SimpleNamespace(configure=lambda p: None, main=lambda a: print('x' * 1000000) or 0)\n"
        "command.import_module = lambda name: module\n"
        "raise SystemExit(command.main(['status']))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 0


def test_every_verb_names_a_module_of_its_own():
    assert len({verb.module for verb in command.VERBS}) == len(command.VERBS)
    assert all(verb.module == f"nameserver.cli.{verb.name.replace('-', '_')}" for verb in command.VERBS)
