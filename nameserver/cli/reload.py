"""`nameserver reload`: read the configuration again; zones that did not change are not touched."""

import argparse

from nameserver.cli import remote
from nameserver.cli.present import safe_lines
from nameserver.cli.remote import Json

RELOAD_TIME = 300.0  # seconds a large configuration may take


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    remote.add_arguments(parser)
    parser.add_argument("--force", action="store_true", help="even if no zone is left")


def main(args: argparse.Namespace) -> int:
    """0: the new configuration is in force, 1: but a zone file was not taken, 2: nothing changed, 3: no server."""
    return remote.run(args, lambda: _reload(args))


def _reload(args: argparse.Namespace) -> int:
    answer = remote.ask(args, "reload", patience=RELOAD_TIME, timeout=RELOAD_TIME, force=args.force)
    remote.show(args, answer, lambda _palette: _lines(answer))
    return remote.FINDING if answer.get("problems") else remote.GOOD


def _lines(answer: Json) -> list[str]:
    message = str(answer.get("message", ""))
    lines = [f"reloaded: {message}" if message else "reloaded"]
    lines += [f"warning: {each}" for each in answer.get("warnings", ())]
    lines += [f"not taken: {each}" for each in answer.get("problems", ())]
    return safe_lines("\n".join(lines))
