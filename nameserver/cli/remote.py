"""What the commands that talk to a running server share: its address, the call, the exit code."""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nameserver.cli.present import Palette, safe_lines
from nameserver.control.client import call
from nameserver.control.protocol import DEFAULT_PATH, ControlError, ControlTimeout, ControlUnreachable
from nameserver.errors import ConfigError

Json = dict[str, Any]

GOOD, FINDING, USAGE, UNREACHABLE = 0, 1, 2, 3
DEFAULT_STATE_DIR = "/var/lib/nameserver"
DEFAULT_CONFIG = Path("/etc/nameserver/nameserver.toml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """-c FILE or --control PATH, and --json."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the server's configuration, which names its control socket (default: {DEFAULT_CONFIG})",
    )
    where.add_argument("--control", type=Path, metavar="PATH", help="the server's control socket")
    parser.add_argument("--json", action="store_true", help="print JSON")


def control_path(args: argparse.Namespace) -> Path:
    """The control socket that the arguments lead to. Raises ConfigError when the file they name cannot be read."""
    if args.control is not None:
        return Path(args.control)
    return _configured(args, "control") or Path(DEFAULT_PATH)


def state_directory(args: argparse.Namespace) -> Path | None:
    """The state directory that the arguments lead to; None where they name a control socket and no configuration.

    Raises ConfigError as `control_path`.
    """
    return None if args.control is not None else _configured(args, "state-dir") or Path(DEFAULT_STATE_DIR)


def _configured(args: argparse.Namespace, key: str) -> Path | None:
    """A path that [server] sets; None where it does not."""
    if args.config is not None:
        return _path_in(args.config, key)
    try:
        return _path_in(DEFAULT_CONFIG, key)
    except ConfigError:  # nobody named that file: it may be absent, or closed to this user
        return None


def _path_in(config: Path, key: str) -> Path | None:
    """The same of a configuration, which may be faulty elsewhere: asking how things are must still work.

    The main file is looked at first and mostly tells: included files may be ten thousand.
    """
    try:
        main = tomllib.loads(config.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        pass  # what is wrong with it is said below
    else:
        server = main.get("server")
        found = server.get(key) if isinstance(server, dict) else None
        if isinstance(found, str):
            return config.parent / found
        if "include" not in main:
            return None
    return _path_anywhere(config, key)


def _path_anywhere(config: Path, key: str) -> Path | None:
    """The same, from all files. Raises ConfigError where the main one cannot be read."""
    from nameserver.config.problems import Problems
    from nameserver.config.sources import read_sources

    problems = Problems()
    tables = read_sources(config, problems)
    entry = tables.server.get(key)
    if entry is not None and isinstance(entry.raw, str):
        return entry.place.file.path.parent / entry.raw
    if problems.errors and not tables.files[0].document:
        raise ConfigError([str(problem) for problem in problems.errors])
    return None


def ask(args: argparse.Namespace, verb: str, *, patience: float = 0.0, **arguments: object) -> Json:
    """Ask the server that the arguments lead to."""
    return call(control_path(args), verb, patience=patience, **arguments)


def run(args: argparse.Namespace, command: Callable[[], int]) -> int:
    """Run a command; errors become a sentence on standard error (or JSON on standard output) and an exit code."""
    try:
        return command()
    except ControlUnreachable as error:
        return fail(args, str(error), UNREACHABLE)
    except ControlTimeout as error:
        return fail(args, str(error), FINDING)
    except (ControlError, ConfigError) as error:
        return fail(args, str(error), USAGE)


def fail(args: argparse.Namespace, text: str, code: int) -> int:
    """Say what went wrong and return `code`."""
    if args.json:
        print_json({"ok": False, "error": text})
    else:
        print("\n".join(safe_lines(text)), file=sys.stderr)
    return code


def show(args: argparse.Namespace, answer: Json, lines: Callable[[Palette], list[str]]) -> None:
    """Print an answer: as JSON where that is wanted, else the lines that are made of it."""
    if args.json:
        print_json(answer)
    else:
        print("\n".join(lines(Palette.of())))


def print_json(data: Json) -> None:
    """Print JSON; ASCII only, so whatever a peer wrote stays escaped."""
    print(json.dumps(data, indent=2, ensure_ascii=True))
