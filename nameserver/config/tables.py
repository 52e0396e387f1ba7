"""Reads one table against its part of the schema."""

from collections.abc import Mapping
from typing import Any

from nameserver.config.problems import Place, Problems
from nameserver.config.schema import Setting, unknown_key
from nameserver.config.values import BadValue


def read_table(
    raw: Mapping[str, Any],
    settings: Mapping[str, Setting],
    place: Place,
    problems: Problems,
) -> dict[str, Any]:
    """The converted values by field. What is unknown or wrong is reported and left out.

    In a list that is judged further, None stands in the place of what was left out.
    """
    converted: dict[str, Any] = {}
    for key, value in raw.items():
        setting = settings.get(key)
        if setting is None:
            problems.unknown(place.below(key), unknown_key(key, settings))
            continue
        try:
            converted[setting.field] = setting.convert(value)
        except BadValue as bad:
            for where, text in bad.faults:
                problems.error(place.below(key, *where), text)
            if setting.judged_further and bad.usable is not None:
                converted[setting.field] = bad.usable
    return converted


def part(prefix: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields whose names begin with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in fields.items() if key.startswith(prefix)}
