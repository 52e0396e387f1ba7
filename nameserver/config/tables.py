"""Reads one table against its part of the schema."""

from collections.abc import Callable, Mapping
from typing import Any

from nameserver.config.problems import Place, Problems
from nameserver.config.schema import Setting, unknown_key
from nameserver.config.values import BadValue


def read_table(
    raw: Mapping[str, Any],
    settings: Mapping[str, Setting],
    place: Place,
    problems: Problems,
    is_secret: Callable[[str], bool] | None = None,
) -> dict[str, Any]:
    """The converted values by field. What is unknown or wrong is reported and left out.

    Unknown keys for which `is_secret` holds are reported without their names.
    """
    converted: dict[str, Any] = {}
    for key, value in raw.items():
        setting = settings.get(key)
        if setting is None:
            if is_secret is not None and is_secret(key):
                text = "unknown key, whose name is not shown: it may be a secret"
                problems.error(place.below(key).without_name(), text)
            else:
                problems.error(place.below(key), unknown_key(key, settings))
            continue
        try:
            converted[setting.field] = setting.convert(value)
        except BadValue as bad:
            for where, text in bad.faults:
                problems.error(place.below(key, *where), text)
    return converted
