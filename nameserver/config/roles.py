"""Zones whose role was changed by command (`promote`, `demote`): what goes before the configuration until it agrees.

The configuration is not ours to edit: it is written by hand or by tools that would write it again, is mostly read-only
to the daemon, and when a primary has died at night there is no time to have it changed everywhere first. So the change
stands in the state directory, survives restarts, and is told of wherever the configuration is looked at:

    the zone's table is as it was then     the role holds, and every start, reload, status and check-config says so
    it was changed, and has the same type  the configuration has followed: it holds from now on, the role is forgotten
    it was changed, and still contradicts  the role holds; that the configuration says otherwise is told with its words
    there is no such table any more        the zone is gone; should it come back (the table was lost by mistake, and a
                                           promoted zone has no other source), it has the role again

Times are wall-clock Unix seconds.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nameserver.config.model import Config, ZoneConfig
from nameserver.errors import ConfigError
from nameserver.wire import names

FILE_NAME = "roles.toml"
_HEAD = """\
# Zones whose role was changed by `nameserver promote` or `demote`. Written by the server; the commands change it, and
# it goes before the configuration until that agrees.
"""


@dataclass(frozen=True, slots=True)
class Role:
    """One zone's role, as it was ordered."""

    zone: str
    type: str  # "primary" or "secondary"
    file: Path | None  # of a primary zone
    primaries: tuple[str, ...]  # names of remotes, of a secondary zone
    since: float
    configured: str  # what the configuration said then, as `described`


Roles = Mapping[bytes, Role]  # by the zone's folded wire name


def described(zone: ZoneConfig) -> str:
    """What a zone's table says of its role: "secondary of primary-a", "primary from FILE"."""
    if zone.type == "primary":
        return f"primary from {zone.file}"
    return f"secondary of {', '.join(remote.name for remote in zone.primaries)}"


def read_roles(state_dir: Path) -> Roles:
    """The roles in a state directory; none where there is no file.

    Raises `OSError` where it cannot be read, ConfigError where it cannot be used.
    """
    path = state_dir / FILE_NAME
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return {names.fold(names.from_text(text)): _role(text, row) for text, row in document.get("zone", {}).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"it says which zones were promoted or demoted, and cannot be read ({error}): mend or remove it"
        raise ConfigError([f"{path}: {what}"]) from error


def _role(text: str, row: Mapping[str, Any]) -> Role:
    kind = row["type"]
    if kind not in ("primary", "secondary"):
        raise ValueError(f"type {kind!r} of zone {text}")
    file = Path(row["file"]) if kind == "primary" else None
    primaries = tuple(map(str, row["primaries"])) if kind == "secondary" else ()
    return Role(text, kind, file, primaries, float(row["since"]), str(row["configured"]))


def written(roles: Iterable[Role]) -> bytes:
    """The file that `read_roles` reads."""
    lines = [_HEAD]
    for role in roles:
        # A JSON string is one of TOML's too.
        lines += [f"[zone.{_quoted(role.zone)}]\n", f"type = {_quoted(role.type)}\n"]
        if role.file is not None:
            lines.append(f"file = {_quoted(str(role.file))}\n")
        if role.type == "secondary":
            lines.append(f"primaries = [{', '.join(map(_quoted, role.primaries))}]\n")
        lines += [f"since = {role.since!r}\n", f"configured = {_quoted(role.configured)}\n\n"]
    return "".join(lines).encode()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(frozen=True, slots=True)
class Applied:
    """A configuration with the roles in it, those that still hold, and what to say of those that do not."""

    config: Config
    roles: Roles
    forgotten: tuple[str, ...]


def apply_roles(config: Config, roles: Roles) -> Applied:
    """Put roles before a configuration, as the head of this file says. A zone that has one says so in `override`.

    Raises ConfigError where a zone is to be a secondary of remotes that are configured no more.
    """
    zones, kept = dict(config.zones), dict[bytes, Role]()
    forgotten, absent, problems = list[str](), list[str](), list[str]()
    for name, role in roles.items():
        zone = config.zones.get(name)
        if zone is None:
            kept[name] = role
            absent.append(
                f"zone {role.zone} is configured no more; should it come back, it is {_of(role)} by command "
                f"(to forget that, remove it from {FILE_NAME} in the state directory)"
            )
        elif described(zone) != role.configured and zone.type == role.type:
            forgotten.append(f"zone {role.zone}: the configuration has it as {described(zone)}, and holds from now on")
        else:
            missing = [each for each in role.primaries if each not in config.remotes]
            if missing:
                what = f"zone {role.zone} was demoted to be a secondary of it, by command; configure it, or promote"
                problems += [f"{config.path}: no [remote.{each}] is configured: {what} the zone" for each in missing]
            else:
                zones[name], kept[name] = with_role(zone, role, config), role
    if problems:
        raise ConfigError(problems)
    told = (f"zone {zones[name].text} was {zones[name].override}" for name in kept if name in zones)
    warnings = (*config.warnings, *told, *absent)
    return Applied(replace(config, zones=zones, warnings=warnings), kept, tuple(forgotten))


def with_role(zone: ZoneConfig, role: Role, config: Config) -> ZoneConfig:
    """A configured zone as its role has it. Its remotes must be there."""
    primaries = tuple(config.remotes[each] for each in role.primaries)
    override = _explained(zone, role)
    return replace(zone, type=role.type, file=role.file, primaries=primaries, override=override)


def _of(role: Role) -> str:
    return f"primary from {role.file}" if role.type == "primary" else f"secondary of {', '.join(role.primaries)}"


def _explained(zone: ZoneConfig, role: Role) -> str:
    """For status displays: what holds, what the configuration says, and how to have them agree."""
    verb, undo = ("promoted", "demote") if role.type == "primary" else ("demoted", "promote")
    day = datetime.fromtimestamp(role.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    says = f"the configuration says {described(zone)}"
    if described(zone) != role.configured:
        says += f" (it said {role.configured} then)"
    if role.type == "primary":
        wanted = f'type = "primary" and file = "{role.file}"'
    else:
        wanted = f"primaries = [{', '.join(json.dumps(each) for each in role.primaries)}]"
        wanted = wanted if zone.type == "secondary" else f'type = "secondary" and {wanted}'
    return (
        f"{verb} by command on {day}: {_of(role)}, while {says}; "
        f"write {wanted} into its table to agree, or undo it with: nameserver {undo} {zone.text}"
    )
