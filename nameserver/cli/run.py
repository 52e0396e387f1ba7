"""`nameserver run -c FILE`: the daemon, in the foreground."""

import argparse
import sys
from pathlib import Path

from nameserver.config.load import load_config
from nameserver.errors import ConfigError, NameserverError
from nameserver.telemetry.words import plural


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, required=True, help="the TOML configuration")


def main(args: argparse.Namespace) -> int:
    """0 after an orderly stop; 2 where the configuration or the machine does not allow a start."""
    from nameserver.server.daemon import run
    from nameserver.server.memory import collect_seldom

    collect_seldom()
    try:
        config = load_config(args.config)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        print(f"{args.config}: {plural(len(error.problems), 'problem')}; not started", file=sys.stderr)
        return 2
    try:
        run(config)
    except NameserverError as error:
        print(f"not started: {error}", file=sys.stderr)
        return 2
    return 0
