"""`nameserver reload`: read the configuration again; zones that did not change are not touched."""

import argparse

from nameserver.cli import remote
from nameserver.cli.present import safe_lines
from nameserver.cli.remote import Json

RELOAD_TIME = 300.0  # seconds a large configuration may take


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    remote.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when the new configuration is in force, 2 when it has problems (and nothing changed), 3 without a server."""
    return remote.run(args, lambda: _reload(args))


def _reload(args: argparse.Namespace) -> int:
    answer = remote.ask(args, "reload", patience=RELOAD_TIME, timeout=RELOAD_TIME)
    if args.json:
        remote.print_json(answer)
    else:
        print("\n".join(_lines(answer)))
    return remote.GOOD


def _lines(answer: Json) -> list[str]:
    message = str(answer.get("message", ""))
    return safe_lines(f"reloaded: {message}" if message else "reloaded")
