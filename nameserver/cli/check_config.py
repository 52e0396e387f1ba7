"""`nameserver check-config -c FILE`: every problem of a configuration at once."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from nameserver.cli.main import FINDING, GOOD
from nameserver.config.load import DEFAULT_PATH, read_config
from nameserver.config.model import Config
from nameserver.config.problems import Problem
from nameserver.config.roles import FILE_NAME, apply_roles, read_roles
from nameserver.errors import ConfigError
from nameserver.telemetry.words import plural
from nameserver.wire.names import to_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        default=DEFAULT_PATH,
        help="the configuration (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def main(args: argparse.Namespace) -> int:
    """0 where the server would start with this configuration, warnings included; 1 where it would not."""
    config, errors, warnings = with_roles(*read_config(args.config))
    if args.json:
        print(json.dumps(_as_json(args.config, config, errors, warnings), indent=2))
        return GOOD if config is not None else FINDING
    for line in [*map(str, errors), *(f"warning: {warning}" for warning in warnings)]:
        print(line, file=sys.stderr)
    if config is None:
        print(f"{args.config}: {plural(len(errors), 'problem')}", file=sys.stderr)
    else:
        print(f"{args.config}: good: {_summary(config, len(warnings))}")
    return GOOD if config is not None else FINDING


def with_roles(
    config: Config | None, errors: list[Problem], warnings: list[Problem]
) -> tuple[Config | None, list[Problem], list[Problem]]:
    """The same with what was promoted or demoted by command, as the server has it."""
    if config is None:
        return config, errors, warnings
    path = str(config.server.state_dir / FILE_NAME)
    try:
        applied = apply_roles(config, read_roles(config.server.state_dir))
    except OSError as error:
        text = f"{error.strerror}: whether zones were promoted or demoted by command is not looked at"
        return config, errors, [*warnings, Problem(path, 0, "", text)]
    except ConfigError as error:
        return None, [Problem(path, 0, "", text.removeprefix(f"{path}: ")) for text in error.problems], warnings
    told = [*applied.config.warnings[len(config.warnings) :], *applied.forgotten]
    return applied.config, errors, [*warnings, *(Problem(path, 0, "", text) for text in told)]


def _summary(config: Config, warnings: int) -> str:
    kinds = Counter(zone.type for zone in config.zones.values())
    zones = plural(len(config.zones), "zone")
    if len(kinds) > 1:
        zones += f" ({', '.join(f'{number} {kind}' for kind, number in sorted(kinds.items(), reverse=True))})"
    parts = [zones, plural(len(config.remotes), "remote"), plural(len(config.keys), "key")]
    return ", ".join([*parts, plural(warnings, "warning")])


def _as_json(path: Path, config: Config | None, errors: list[Problem], warnings: list[Problem]) -> dict[str, Any]:
    report: dict[str, Any] = {
        "config": str(path),
        "ok": config is not None,
        "problems": [problem._asdict() for problem in errors],
        "warnings": [problem._asdict() for problem in warnings],
    }
    if config is not None:
        report["zones"] = len(config.zones)
        report["remotes"] = len(config.remotes)
        # The fingerprint lets both ends see that they hold the same secret without showing it.
        report["keys"] = [
            {"name": to_text(key.name), "algorithm": key.algorithm, "fingerprint": key.fingerprint}
            for key in config.keys.values()
        ]
    return report
