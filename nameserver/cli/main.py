"""The `nameserver` command: finds the verb and hands over to its module.

Only the module of the verb that was asked for is imported: `nameserver status` in a monitoring loop should not pay for
the daemon's imports. A verb module provides `configure(parser)`, which declares its arguments, and `main(args)`, which
returns the exit code:

    0 good    1 a finding    2 usage or configuration    3 the server could not be reached
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from nameserver import __version__
from nameserver.errors import ConfigError, NameserverError

GOOD, FINDING, USAGE, UNREACHABLE = 0, 1, 2, 3


class Verb(NamedTuple):
    """One line of `nameserver --help`."""

    name: str
    module: str
    help: str


VERBS = (
    Verb("run", "nameserver.cli.run", "run the server in the foreground"),
    Verb("check-config", "nameserver.cli.check_config", "show every problem of a configuration"),
    Verb("keygen", "nameserver.cli.keygen", "make a TSIG key"),
    Verb("status", "nameserver.cli.status", "show the state of the server and its zones"),
    Verb("why", "nameserver.cli.why", "explain the state of one zone and what to do"),
    Verb("refresh", "nameserver.cli.refresh", "check zones with their primaries now"),
    Verb("retransfer", "nameserver.cli.retransfer", "fetch a zone afresh, whatever its serial"),
    Verb("reload", "nameserver.cli.reload", "read the configuration again"),
    Verb("ask", "nameserver.cli.ask", "ask a nameserver one question"),
    Verb("demo", "nameserver.cli.demo", "run an example primary and secondary on this machine"),
)


def build_parser(wanted: str | None) -> argparse.ArgumentParser:
    """The command's parser. Every verb is listed; only the `wanted` one is imported and knows its arguments."""
    parser = argparse.ArgumentParser(
        prog="nameserver",
        description="A pure-Python authoritative secondary nameserver.",
        epilog="Exit codes: 0 good, 1 a finding, 2 usage or configuration, 3 the server could not be reached.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nameserver {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs", required=True)
    for verb in VERBS:
        subparser = verbs.add_parser(verb.name, help=verb.help, description=_sentence(verb.help), allow_abbrev=False)
        if verb.name == wanted:
            import_module(verb.module).configure(subparser)
    return parser


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: the process's own) and return its exit code.

    Raises `SystemExit` where argparse answers itself: 2 on wrong usage, 0 after --help and --version.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    wanted = next((argument for argument in given if not argument.startswith("-")), None)
    args = build_parser(wanted).parse_args(given)
    module = next(verb.module for verb in VERBS if verb.name == args.verb)
    try:
        code: int = import_module(module).main(args)
        if sys.stdout is not None:  # so it is where we were started without one
            sys.stdout.flush()
    except ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return USAGE
    except NameserverError as error:
        print(f"nameserver {args.verb}: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        # The reader went away (`nameserver status | head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except KeyboardInterrupt:
        return 130  # what a shell reports for SIGINT
    return code
