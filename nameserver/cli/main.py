"""The `nameserver` command: finds the verb and hands over to its module.

Only the module of the verb that was asked for is imported: `nameserver status` in a monitoring loop should not pay for
the daemon's imports. A verb module provides `configure(parser)`, which declares its arguments, and `main(args)`, which
returns the exit code:

    0 good    1 a finding    2 usage or configuration    3 the server could not be reached
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from nameserver import __version__
from nameserver.cli.any_order import AnyOrder
from nameserver.errors import ConfigError, NameserverError

GOOD, FINDING, USAGE, UNREACHABLE = 0, 1, 2, 3


class Verb(NamedTuple):
    """One line of `nameserver --help`; with `verbs`, a group whose own verbs stand in that table of its module."""

    name: str
    module: str
    help: str
    verbs: bool = False


VERBS = (
    Verb("run", "nameserver.cli.run", "run the server in the foreground"),
    Verb("check-config", "nameserver.cli.check_config", "show every problem of a configuration"),
    Verb("keygen", "nameserver.cli.keygen", "make a TSIG key"),
    Verb("status", "nameserver.cli.status", "show the state of the server and its zones"),
    Verb("why", "nameserver.cli.why", "explain the state of one zone and what to do"),
    Verb("refresh", "nameserver.cli.refresh", "check zones with their primaries now"),
    Verb("retransfer", "nameserver.cli.retransfer", "fetch a zone afresh, whatever its serial"),
    Verb("wait", "nameserver.cli.wait", "wait until a serial is answered, here and downstream"),
    Verb("reload", "nameserver.cli.reload", "read the configuration again"),
    Verb("promote", "nameserver.cli.promote", "make a primary zone of a secondary one"),
    Verb("demote", "nameserver.cli.demote", "make a secondary zone of a primary one"),
    Verb("pause", "nameserver.cli.pause", "have a zone silent for a while, as if it were gone"),
    Verb("resume", "nameserver.cli.resume", "have a paused zone answered again at once"),
    Verb("export", "nameserver.cli.export", "write a zone as a canonical zone file"),
    Verb("ask", "nameserver.cli.ask", "ask a nameserver one question"),
    Verb("demo", "nameserver.cli.demo", "run an example primary and secondary on this machine"),
    Verb("migrate", "nameserver.cli.migrate", "move a zone between providers: measure, judge, prove", verbs=True),
)


def build_parser(wanted: Sequence[str]) -> argparse.ArgumentParser:
    """The command's parser. Every verb is listed; only the `wanted` one is imported and knows its arguments.

    `wanted`: the words of the command line that are no options, of which the first name the verb.
    """
    parser = argparse.ArgumentParser(
        prog="nameserver",
        description="A pure-Python authoritative secondary nameserver.",
        epilog="Exit codes: 0 good, 1 a finding, 2 usage or configuration, 3 the server could not be reached.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nameserver {__version__}")
    _add_verbs(parser, VERBS, wanted)
    return parser


def _add_verbs(parser: argparse.ArgumentParser, table: Sequence[Verb], wanted: Sequence[str]) -> None:
    verbs = parser.add_subparsers(metavar="VERB", title="verbs", required=True, parser_class=AnyOrder)
    for verb in table:
        subparser = verbs.add_parser(verb.name, help=verb.help, description=_sentence(verb.help), allow_abbrev=False)
        subparser.set_defaults(verb=verb)
        subparser.in_order = verb.verbs
        if verb.name == next(iter(wanted), None):
            module = import_module(verb.module)
            if verb.verbs:
                _add_verbs(subparser, module.VERBS, wanted[1:])
            else:
                module.configure(subparser)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: the process's own) and return its exit code.

    Raises `SystemExit` where argparse answers itself: 2 on wrong usage, 0 after --help and --version.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    wanted = [argument for argument in given if not argument.startswith("-")]
    args = build_parser(wanted).parse_args(given)
    verb: Verb = args.verb
    code: int = GOOD
    try:
        code = import_module(verb.module).main(args)
        if sys.stdout is not None:  # so it is where we were started without one
            sys.stdout.flush()
    except ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return USAGE
    except NameserverError as error:
        print(f"nameserver {verb.name}: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        from nameserver.cli.present import forget_reader

        forget_reader()
        return code
    except KeyboardInterrupt:
        return 130  # what a shell reports for SIGINT
    return code
